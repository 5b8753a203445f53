/* SPDX-License-Identifier: BSD-2-Clause */
/* What fork does to superpages; see test_facts_pool.c. */
#include "lab.h"

#define POOL 6

static char *p;
static uint64_t frame;

static void take_private(void)
{
	p = lab_map_huge(-1, 1);
	ck_assert_ptr_nonnull(p);
	ck_assert(lab_populate(p, LAB_2M));
	*p = 1;
	frame = lab_frame(p);
}

static int stay(void *arg, bool first)
{
	(void)arg;
	return first ? 0 : *(volatile char *)p;
}

/* 18: the parent's write moves its own frame; the child keeps the old one. */
START_TEST(fact_18_write_after_fork_moves)
{
	struct lab_peer peer;
	int r;

	lab_need_frames();
	lab_need_pool(2);
	take_private();
	peer = lab_start(stay, NULL, &r);
	ck_assert_uint_eq(lab_frame(p), frame);
	*p = 2;
	ck_assert_uint_ne(lab_frame(p), frame);
	ck_assert_int_eq(lab_stop(&peer), 1);
}
END_TEST

/* 18: pinned, the kernel copies for the child inside fork instead. */
START_TEST(fact_18_pinned_stays)
{
	struct lab_peer peer;
	int r, ring;

	lab_need_frames();
	lab_need_pool(2);
	take_private();
	ring = lab_pin(p, LAB_2M, NULL);
	if (ring < 0) {
		lab_skip("can't pin: %s", strerror(-ring));
		return;
	}
	peer = lab_start(stay, NULL, &r);
	*p = 2;
	ck_assert_uint_eq(lab_frame(p), frame);
	ck_assert_int_eq(lab_stop(&peer), 1);
	close(ring);
}
END_TEST

/* Takes all that is left, in this process. */
static void empty_pool(void)
{
	size_t n = (size_t)lab_usable();
	char *rest = n ? lab_map_huge(-1, n) : NULL;

	if (!n)
		return;
	ck_assert_int_eq(madvise(rest, n * LAB_2M, MADV_DONTFORK), 0);
	ck_assert(lab_populate(rest, n * LAB_2M));
	ck_assert_int_eq(lab_usable(), 0);
}

/* 18: with nothing free, fork() of pinned superpages is ENOMEM; the parent is
 * none the worse. */
START_TEST(fact_18_fork_without_pages)
{
	int ring;
	pid_t pid;

	lab_need_frames();
	lab_need_pool(2);
	take_private();
	ring = lab_pin(p, LAB_2M, NULL);
	if (ring < 0) {
		lab_skip("can't pin: %s", strerror(-ring));
		return;
	}
	empty_pool();
	pid = fork();
	if (!pid)
		_exit(0);
	ck_assert_int_eq(pid, -1);
	ck_assert_int_eq(errno, ENOMEM);
	ck_assert_uint_eq(lab_frame(p), frame);
	ck_assert_int_eq(*p, 1);
	/* vfork copies nothing. */
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_DONTFORK), 0);
	close(ring);
}
END_TEST

/* Runs the parent's part in a process of its own.  0: it lived, and its child
 * died of SIGBUS; else its own fate. */
static int write_with_empty_pool(void *arg)
{
	bool reserve = (uintptr_t)arg & 1, move = (uintptr_t)arg & 2;
	size_t rest_len;
	char *rest, *to;
	int go[2];
	pid_t child;

	p = mmap(NULL, 2 * LAB_2M, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | LAB_HUGE_2M |
			 (reserve ? 0 : MAP_NORESERVE), -1, 0);
	if (p == MAP_FAILED || !lab_populate(p, 2 * LAB_2M))
		return 1;
	if (move) {
		to = mmap(NULL, 3 * LAB_2M, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		to = (char *)(((uintptr_t)to + LAB_2M - 1) & ~(LAB_2M - 1));
		for (size_t i = 0; i < 2; i++)
			if (mremap(p + i * LAB_2M, LAB_2M, LAB_2M,
				   MREMAP_MAYMOVE | MREMAP_FIXED,
				   to + (1 - i) * LAB_2M) == MAP_FAILED)
				return 2;
		p = to;
	}
	rest_len = (size_t)lab_usable() * LAB_2M;
	rest = rest_len ? lab_map_huge(-1, rest_len / LAB_2M) : NULL;
	if (rest && (madvise(rest, rest_len, MADV_DONTFORK) || !lab_populate(rest, rest_len)))
		return 3;
	if (pipe(go) < 0)
		return 4;
	child = fork();
	if (!child) {
		char c;

		close(go[1]);
		if (read(go[0], &c, 1) < 0)
			_exit(1);
		_exit(*(volatile char *)p);
	}
	p[0] = p[LAB_2M] = 2;
	close(go[1]);
	return lab_reap(child) == -SIGBUS ? 0 : 5;
}

/*
 * 18: unpinned and the pool short, somebody dies of SIGBUS after a write: the
 * child, even of reading, if the parent's mapping holds a reservation; and
 * otherwise the *parent*, in its own memory.  mremap of part of a mapping loses
 * the reservation, so memory placed as in fact 20 is always the second case.
 */
START_TEST(fact_18_somebody_loses)
{
	lab_need_pool(3);
	ck_assert_int_eq(lab_in_child(write_with_empty_pool, (void *)(uintptr_t)_i),
			 _i == 1 ? 0 : -SIGBUS);
}
END_TEST

/* 20: a private mapping of a populated memfd is somebody else's memory. */
START_TEST(fact_20_private_memfd_copies)
{
	char *view;
	int fd;

	lab_need_frames();
	lab_need_pool(2);
	fd = lab_memfd_huge(1);
	p = lab_map_huge(fd, 1);
	ck_assert(lab_populate(p, LAB_2M));
	frame = lab_frame(p);
	view = mmap(NULL, LAB_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
	ck_assert_ptr_ne(view, MAP_FAILED);
	ck_assert_int_eq(*(volatile char *)view, 0);
	ck_assert_uint_eq(lab_frame(view), frame);
	*view = 1;
	ck_assert_uint_ne(lab_frame(view), frame);
}
END_TEST

/* 20: mremap moves superpages to any place, frames and content and pin. */
START_TEST(fact_20_mremap_keeps_frames)
{
	uint64_t frames[4];
	char *from, *to;

	lab_need_frames();
	lab_need_pool(4);
	from = lab_map_huge(-1, 4);
	ck_assert(lab_populate(from, 4 * LAB_2M));
	to = lab_reserve(4);
	for (size_t i = 0; i < 4; i++) {
		frames[i] = lab_frame(from + i * LAB_2M);
		from[i * LAB_2M] = (char)i;
	}
	for (size_t i = 0; i < 4; i++)
		ck_assert_ptr_eq(mremap(from + i * LAB_2M, LAB_2M, LAB_2M,
					MREMAP_MAYMOVE | MREMAP_FIXED,
					to + (3 - i) * LAB_2M),
				 to + (3 - i) * LAB_2M);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(lab_frame(to + (3 - i) * LAB_2M), frames[i]);
		ck_assert_int_eq(to[(3 - i) * LAB_2M], (char)i);
		ck_assert_uint_eq(lab_frame(from + i * LAB_2M), LAB_ABSENT);
	}
}
END_TEST

static int read_then_touch(void *arg, bool first)
{
	(void)arg;
	if (first)
		return *(volatile char *)p;
	return *(volatile char *)p == 0 ? 0 : 1;
}

/* 21: shared memory is the child's too; after the parent's trim the child
 * reads zeros, and that puts a new superpage into the parent's file. */
START_TEST(fact_21_trim_after_fork)
{
	struct lab_peer peer;
	struct stat st;
	long unused;
	int fd, seen;

	lab_need_pool(2);
	unused = lab_free();
	fd = lab_memfd_huge(1);
	p = lab_map_huge(fd, 1);
	ck_assert(lab_populate(p, LAB_2M));
	*p = 42;
	peer = lab_start(read_then_touch, NULL, &seen);
	ck_assert_int_eq(seen, 42);
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_REMOVE), 0);
	ck_assert_int_eq(lab_free(), unused);
	ck_assert_int_eq(lab_stop(&peer), 0);
	ck_assert_int_eq(lab_free(), unused - 1);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(st.st_blocks, 0);
}
END_TEST

/* 19: MADV_WIPEONFORK doesn't know hugetlb. */
START_TEST(fact_19_no_wipeonfork)
{
	lab_need_pool(1);
	take_private();
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_WIPEONFORK), -1);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("facts: fork");
	TCase *tests = tcase_create("fork");

	lab_open(POOL);
	tcase_add_checked_fixture(tests, lab_settle, NULL);
	tcase_add_test(tests, fact_18_write_after_fork_moves);
	tcase_add_test(tests, fact_18_pinned_stays);
	tcase_add_test(tests, fact_18_fork_without_pages);
	tcase_add_loop_test(tests, fact_18_somebody_loses, 0, 4);
	tcase_add_test(tests, fact_19_no_wipeonfork);
	tcase_add_test(tests, fact_20_private_memfd_copies);
	tcase_add_test(tests, fact_20_mremap_keeps_frames);
	tcase_add_test(tests, fact_21_trim_after_fork);
	suite_add_tcase(suite, tests);
	return lab_run(suite);
}
