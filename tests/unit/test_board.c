/* SPDX-License-Identifier: BSD-2-Clause */
/* A board that another version wrote, or somebody who means no good. */
#include "board.h"
#include "host/board.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char reason[256];

static int file_of(const void *bytes, size_t len)
{
	int fd = memfd_create("board", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, len, 0), (ssize_t)len);
	return fd;
}

static enum board_error read_bytes(const void *bytes, size_t len, struct board_copy *copy)
{
	int fd = file_of(bytes, len);
	enum board_error error = board_read_file(fd, copy, reason, sizeof(reason));

	close(fd);
	return error;
}

/* A copy of this process's, with two pools, a vma and a peer. */
static struct board *sample(void)
{
	static struct board copy;
	struct board *board = contig_board_make(2);

	ck_assert_ptr_nonnull(board);
	for (int i = 0; i < 2 && board->header.tables[BOARD_POOLS].used < 2; i++) {
		int n = contig_board_record(board, BOARD_POOLS);

		ck_assert_int_eq(n, i);
		snprintf(board->pools[n].name, sizeof(board->pools[n].name), "pool%d", n);
		board->pools[n].record.state = 1;
		board->pools[n].record.sequence = 2;
		board->pools[n].held = (uint64_t)(n + 1) << 21;
	}
	if (!board->header.tables[BOARD_VMAS].used) {
		ck_assert_int_eq(contig_board_record(board, BOARD_VMAS), 0);
		board->vmas[0].record.state = 1;
		board->vmas[0].size = 12345;
		ck_assert_int_eq(contig_board_record(board, BOARD_PEERS), 0);
		board->peers[0].record.state = 1;
		board->peers[0].pages = 77;
	}
	board->counters[BOARD_COUNTER_taken].value = 99;
	contig_board_show(board);
	memcpy(&copy, board, sizeof(copy));
	return &copy;
}

START_TEST(whole)
{
	struct board_copy copy;
	uint64_t value;

	ck_assert_int_eq(read_bytes(sample(), sizeof(struct board), &copy), BOARD_FOUND);
	ck_assert_uint_eq(copy.header.pid, (uint32_t)getpid());
	ck_assert_uint_eq(copy.n_pools, 2);
	ck_assert_str_eq(copy.pools[1].name, "pool1");
	ck_assert_uint_eq(copy.pools[1].held, 2 << 21);
	ck_assert_uint_eq(copy.vmas[0].size, 12345);
	ck_assert_uint_eq(copy.peers[0].pages, 77);
	ck_assert(board_counter(&copy, "taken", &value) && value == 99);
	ck_assert(!board_counter(&copy, "nonsense", &value));
	ck_assert_uint_eq(copy.torn, 0);
	board_free(&copy);
}
END_TEST

START_TEST(cut_short)
{
	const struct board *board = sample();
	struct board_copy copy;

	for (size_t len = 0; len < sizeof(*board); len += len < 2048 ? 1 : 509) {
		ck_assert_int_eq(read_bytes(board, len, &copy), BOARD_INVALID);
		ck_assert(reason[0]);
	}
}
END_TEST

START_TEST(other_versions)
{
	struct board *board = sample();
	struct board_copy copy;
	char *newer;

	board->header.version++;
	ck_assert_int_eq(read_bytes(board, sizeof(*board), &copy), BOARD_INVALID);
	ck_assert_ptr_nonnull(strstr(reason, "version 2"));

	/* Newer, with longer records, a larger header and one table more: pools
	 * of 256 bytes behind all the rest. */
	board = sample();
	newer = calloc(1, 2 * sizeof(*board));
	memcpy(newer, board, sizeof(*board));
	for (int i = 0; i < 2; i++)
		memcpy(newer + sizeof(*board) + (size_t)i * 256, &board->pools[i],
		       sizeof(board->pools[i]));
	board = (struct board *)newer;
	board->header.size = 2 * sizeof(*board);
	board->header.n_tables = BOARD_TABLES + 1;
	board->header.header_size += sizeof(struct board_table);
	board->header.tables[BOARD_POOLS] =
		(struct board_table){sizeof(*board), 256, 4, 2};
	ck_assert_int_eq(read_bytes(newer, 2 * sizeof(*board), &copy), BOARD_FOUND);
	ck_assert_uint_eq(copy.n_pools, 2);
	ck_assert_str_eq(copy.pools[1].name, "pool1");
	ck_assert_uint_eq(copy.pools[1].held, 2 << 21);
	board_free(&copy);

	/* Older: pools without their last fields, no table of peers. */
	board->header.tables[BOARD_POOLS].record_size = offsetof(struct board_pool, held);
	board->header.tables[BOARD_POOLS].used = 1;
	board->header.n_tables = BOARD_PEERS;
	ck_assert_int_eq(read_bytes(newer, 2 * sizeof(*board), &copy), BOARD_FOUND);
	ck_assert_str_eq(copy.pools[0].name, "pool0");
	ck_assert_uint_eq(copy.pools[0].held, 0);
	ck_assert_uint_eq(copy.n_peers, 0);
	board_free(&copy);
	free(newer);
}
END_TEST

START_TEST(being_written)
{
	struct board *board = sample();
	struct board_copy copy;

	board->pools[0].record.sequence = 3;
	ck_assert_int_eq(read_bytes(board, sizeof(*board), &copy), BOARD_FOUND);
	ck_assert_uint_eq(copy.torn, 1);
	ck_assert_uint_eq(copy.pools[0].record.state, 0);
	ck_assert_uint_eq(copy.pools[1].held, 2 << 21);
	board_free(&copy);
}
END_TEST

/* Any byte anything: an answer, soon, and nothing read or written outside
 * (which a sanitizer would tell). */
START_TEST(hostile)
{
	struct board *board = sample();
	unsigned char *bytes = malloc(sizeof(*board));
	struct board_copy copy;
	unsigned int found = 0;

	srandom(1);
	for (int i = 0; i < 4000; i++) {
		memcpy(bytes, board, sizeof(*board));
		for (long n = random() % 8 + 1; n; n--) {
			/* Mostly the header. */
			size_t at = (size_t)random() %
				    (random() % 4 ? sizeof(board->header) : sizeof(*board));

			bytes[at] = random() % 2 ? (unsigned char)random() : 0xff;
		}
		if (read_bytes(bytes, sizeof(*board), &copy) != BOARD_FOUND)
			continue;
		found++;
		for (size_t j = 0; j < copy.n_pools; j++)
			ck_assert_uint_lt(strlen(copy.pools[j].name), sizeof(copy.pools[j].name));
		board_free(&copy);
	}
	ck_assert_uint_gt(found, 100);
	free(bytes);
}
END_TEST

START_TEST(tables_outside)
{
	static const struct board_table wrong[] = {
		{0xfffffff0, 160, 64, 2}, {1024, 160, 0xffffffff, 2}, {1024, 160, 64, 65},
		{1024, 4, 64, 2},         {1024, 0x20000000, 64, 2},  {0, 160, 64, 2},
		{1024, 65536, 65536, 65536},
	};
	struct board_copy copy;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct board *board = sample();

		board->header.tables[BOARD_POOLS] = wrong[i];
		ck_assert_int_eq(read_bytes(board, sizeof(*board), &copy), BOARD_INVALID);
		ck_assert_ptr_nonnull(strstr(reason, "table"));
	}
}
END_TEST

/* A writer that is slow enough to be met in the middle. */
static bool stop; /* atomic */

static void *write_pools(void *arg)
{
	struct board_pool *pool = arg;
	uint64_t *words = &pool->longest;

	for (uint64_t value = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); value++) {
		board_write_begin(&pool->record);
		for (uint64_t *word = words; word <= &pool->quarantined; word++) {
			board_store(word, value);
			for (unsigned int i = 0; i < 20; i++)
				__asm__ volatile("");
		}
		board_write_end(&pool->record);
		for (unsigned int i = 0; i < 2000; i++)
			__asm__ volatile("");
	}
	return NULL;
}

START_TEST(whole_records)
{
	struct board *board;
	struct board_copy copy;
	unsigned int seen = 0;
	uint64_t last = 0;
	pthread_t thread;
	int fd = -1;

	sample();
	board = contig_board_now;
	/* The file that is mapped, as another process finds it. */
	for (int i = 3; i < 64 && fd < 0; i++) {
		char path[32], link[32] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
		if (readlink(path, link, sizeof(link) - 1) > 0 && strstr(link, BOARD_NAME))
			fd = i;
	}
	ck_assert_int_ge(fd, 3);
	memset(&board->pools[0].longest, 0,
	       (size_t)((char *)&board->pools[0].free - (char *)&board->pools[0].longest));
	ck_assert_int_eq(pthread_create(&thread, NULL, write_pools, &board->pools[0]), 0);
	for (int i = 0; i < 20000 || (seen <= 100 && i < 1000000); i++) {
		const struct board_pool *pool;

		ck_assert_int_eq(board_read_file(fd, &copy, reason, sizeof(reason)), BOARD_FOUND);
		pool = &copy.pools[0];
		for (const uint64_t *word = &pool->longest; word <= &pool->quarantined; word++)
			ck_assert_msg(*word == pool->longest, "torn: %lu and %lu",
				      (unsigned long)*word, (unsigned long)pool->longest);
		seen += pool->longest != last;
		last = pool->longest;
		board_free(&copy);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(seen, 100);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("board");
	TCase *tcase = tcase_create("reader");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, whole);
	tcase_add_test(tcase, cut_short);
	tcase_add_test(tcase, other_versions);
	tcase_add_test(tcase, being_written);
	tcase_add_test(tcase, hostile);
	tcase_add_test(tcase, tables_outside);
	tcase_add_test(tcase, whole_records);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
