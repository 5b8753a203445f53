/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/board.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION ""
#endif

/* Programs close and reopen 0 to 2 as they like. */
#define LOWEST 3

_Static_assert(sizeof(struct board_counter) == 32 && sizeof(struct board_pool) == 160 &&
		       sizeof(struct board_vma) == 168 && sizeof(struct board_peer) == 32,
	       "a record has the same size everywhere");
_Static_assert(sizeof(BOARD_MAGIC) - 1 == sizeof(((struct board_header *)0)->magic),
	       "the magic fills its field");

struct board *contig_board_now;

static bool tried;
/* Kept open for readers who may not use map_files (not root); the program
 * may close it, and open its own under the number. */
static int board_fd = -1;
static size_t populated; /* bytes, from its beginning */
static dev_t board_device;
static ino_t board_inode;

uint64_t contig_board_clock(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_BOOTTIME, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool is_ours(void)
{
	struct stat st;

	return board_fd >= 0 && !fstat(board_fd, &st) && st.st_dev == board_device &&
	       st.st_ino == board_inode;
}

static int open_file(void)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	struct rlimit limit;
	struct stat st;
	int fd, higher;

	/* Beyond RLIMIT_FSIZE ftruncate is SIGXFSZ, which kills. */
	if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur < sizeof(struct board))
		return -1;
	fd = memfd_create(BOARD_NAME, flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(BOARD_NAME, flags);
	if (fd < 0)
		return -1;
	if (fd < LOWEST) {
		higher = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST);
		close(fd);
		fd = higher;
	}
	if (fd < 0)
		return -1;
	if (fchmod(fd, 0400) < 0 || ftruncate(fd, sizeof(struct board)) < 0 ||
	    fstat(fd, &st) < 0) {
		close(fd);
		return -1;
	}
	board_device = st.st_dev;
	board_inode = st.st_ino;
	return fd;
}

/*
 * Memory for [0, end) of it: what can't be had is an error here; in a store it
 * would be SIGBUS.
 */
static bool populate(struct board *board, size_t end)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* Set by two at a time it may come out as the lower: done twice, then. */
	size_t from = __atomic_load_n(&populated, __ATOMIC_RELAXED);

	end = (end + page - 1) & -page;
	if (end <= from)
		return true;
	if (madvise((char *)board + from, end - from, MADV_POPULATE_WRITE) &&
	    /* Kernels before 5.14. */
	    (errno != EINVAL || !is_ours() ||
	     fallocate(board_fd, 0, (off_t)from, (off_t)(end - from))))
		return false;
	__atomic_store_n(&populated, end, __ATOMIC_RELAXED);
	return true;
}

static const struct board_counter counters[BOARD_COUNTERS_N] = {
#define X(name) {#name, 0},
	BOARD_COUNTERS_EACH(X)
#undef X
};

static void fill_header(struct board *board, uint32_t level)
{
#define TABLE(member, filled)                                                        \
	{(uint32_t)offsetof(struct board, member), sizeof(board->member[0]),         \
	 sizeof(board->member) / sizeof(board->member[0]), filled}
	board->header = (struct board_header){
		.version = BOARD_VERSION,
		.header_size = sizeof(struct board_header),
		.size = sizeof(struct board),
		.pid = (uint32_t)getpid(),
		.level = level,
		.made = contig_board_clock(),
		.n_tables = BOARD_TABLES,
		.tables = {
			[BOARD_COUNTERS] = TABLE(counters, BOARD_COUNTERS_N),
			[BOARD_POOLS] = TABLE(pools, 0),
			[BOARD_VMAS] = TABLE(vmas, 0),
			[BOARD_PEERS] = TABLE(peers, 0),
		},
	};
#undef TABLE
	snprintf(board->header.library, sizeof(board->header.library), "%s", PACKAGE_VERSION);
	memcpy(board->counters, counters, sizeof(counters));
}

struct board *contig_board_make(uint32_t level)
{
	struct board *board;

	if (contig_board_now || tried)
		return contig_board_now;
	tried = true;
	board_fd = open_file();
	if (board_fd < 0)
		goto none;
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, board_fd, 0);
	if (board == MAP_FAILED)
		goto close_it;
	/* A child that wrote there would write into its parent's. */
	if (madvise(board, sizeof(*board), MADV_DONTFORK) < 0 ||
	    !populate(board, offsetof(struct board, pools)))
		goto unmap_it;
	/* Nobody else is to cut it short, or to write to it. */
	if (fcntl(board_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE |
						 F_SEAL_SEAL) < 0)
		fcntl(board_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	fill_header(board, level);
	__atomic_store_n(&contig_board_now, board, __ATOMIC_RELEASE);
	return board;
unmap_it:
	munmap(board, sizeof(*board));
close_it:
	close(board_fd);
	board_fd = -1;
none:
	contig_debug(HOST, "no statistics memory: %s", strerror(errno));
	return NULL;
}

/* The magic comes last: with it the records are as they should be. */
void contig_board_show(struct board *board)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(board->header.magic, BOARD_MAGIC, sizeof(board->header.magic));
}

void contig_board_forget(void)
{
	contig_board_now = NULL;
	if (is_ours())
		close(board_fd);
	board_fd = -1;
	populated = 0;
	tried = false;
}

static struct board_record *record_at(struct board *board, const struct board_table *table,
				      uint32_t i)
{
	return (struct board_record *)((char *)board + table->offset +
				       (size_t)i * table->record_size);
}

int contig_board_record(struct board *board, enum board_tables which)
{
	struct board_table *table = &board->header.tables[which];
	uint32_t i = 0;

	while (i < table->used && record_at(board, table, i)->state)
		i++;
	if (i == table->room)
		goto lost;
	if (i == table->used) {
		if (!populate(board, table->offset + (i + 1) * (size_t)table->record_size))
			goto lost;
		__atomic_store_n(&table->used, i + 1, __ATOMIC_RELEASE);
	}
	return (int)i;
lost:
	__atomic_fetch_add(&board->header.lost, 1, __ATOMIC_RELAXED);
	return -1;
}
