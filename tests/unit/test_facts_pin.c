/* SPDX-License-Identifier: BSD-2-Clause */
/* What holds a frame in the kernel, and how long; see test_facts_pool.c. */
#include "lab.h"

#define POOL 6

static char *p;

static void take(size_t n)
{
	p = lab_map_huge(-1, n);
	ck_assert_ptr_nonnull(p);
	ck_assert(lab_populate(p, n * LAB_2M));
}

#define need_pin(err)                                                        \
	do {                                                                 \
		if ((err) < 0) {                                             \
			lab_skip("can't pin: %s", strerror(-(err)));         \
			return;                                              \
		}                                                            \
	} while (0)

static long locked_kib(void)
{
	char line[128];
	long value = -1;
	FILE *f = fopen("/proc/self/status", "r");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %ld", &value) == 1)
			break;
	fclose(f);
	return value;
}

/* 12: mlock of hugetlb says yes and does nothing. */
START_TEST(fact_12_mlock_of_hugetlb_does_nothing)
{
	long before = locked_kib();

	lab_need_pool(1);
	take(1);
	if (mlock(p, LAB_2M) < 0) {
		lab_skip("RLIMIT_MEMLOCK is too small");
		return;
	}
	ck_assert_int_eq(locked_kib(), before);
}
END_TEST

/* 12: locked base pages move; a page in a fixed buffer doesn't. */
START_TEST(fact_12_mlock_is_not_wiring)
{
	uint64_t first, last;
	int ring;

	lab_need_frames();
	p = lab_map_small(-1, 1);
	madvise(p, LAB_2M, MADV_NOHUGEPAGE);
	memset(p, 1, LAB_2M);
	ck_assert_int_eq(mlock(p, LAB_2M), 0);
	madvise(p, LAB_2M, MADV_HUGEPAGE);
	first = lab_frame(p);
	last = lab_frame(p + LAB_2M - LAB_4K);
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_COLLAPSE), 0);
	ck_assert_uint_ne(lab_frame(p + LAB_2M - LAB_4K), last);
	(void)first;

	p = lab_map_small(-1, 1);
	madvise(p, LAB_2M, MADV_NOHUGEPAGE);
	memset(p, 1, LAB_2M);
	ring = lab_pin(p + LAB_4K, LAB_4K, NULL);
	need_pin(ring);
	madvise(p, LAB_2M, MADV_HUGEPAGE);
	first = lab_frame(p + LAB_4K);
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_COLLAPSE), -1);
	ck_assert_uint_eq(lab_frame(p + LAB_4K), first);
	close(ring);
}
END_TEST

/* 12: the pin stays when the mapping through which it was made goes. */
START_TEST(fact_12_pin_survives_unmapping)
{
	long unused = lab_free();
	int ring;

	lab_need_pool(1);
	take(1);
	ring = lab_pin(p, LAB_2M, NULL);
	need_pin(ring);
	munmap(p, LAB_2M);
	lab_sleep_ms(100);
	ck_assert_int_eq(lab_free(), unused - 1);
	close(ring);
	ck_assert(lab_becomes("free_hugepages", unused));
}
END_TEST

/* 13: bounds of a ring; one buffer over several hugetlb mappings. */
START_TEST(fact_13_bounds_of_a_ring)
{
	static struct iovec ranges[16385];
	struct io_uring_params params;
	size_t over = ((size_t)1 << 30) + LAB_4K;
	char *large;
	int ring;

	memset(&params, 0, sizeof(params));
	p = lab_map_small(-1, 1);
	memset(p, 1, LAB_2M);
	ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	need_pin(ring < 0 ? -errno : 0);
	for (size_t i = 0; i < 16385; i++)
		ranges[i] = (struct iovec){p, LAB_4K};
	ck_assert_int_eq(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS,
				 ranges, 16385), -1);
	ck_assert_int_eq(errno, EINVAL);
	/* One byte over a GiB is refused before it is looked at. */
	large = mmap(NULL, over, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(large, MAP_FAILED);
	ranges[0] = (struct iovec){large, over};
	ck_assert_int_eq(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS,
				 ranges, 1), -1);
	ck_assert_int_eq(errno, EFAULT);
	close(ring);
}
END_TEST

/* 13: with the descriptor at hand, a pin is gone when the call returns. */
START_TEST(fact_13_unregistering_is_immediate)
{
	long unused = lab_free();
	double start;
	int ring;

	lab_need_pool(1);
	take(1);
	ring = lab_pin(p, LAB_2M, NULL);
	need_pin(ring);
	munmap(p, LAB_2M);
	start = lab_ms();
	ck_assert_int_eq(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS,
				 NULL, 0), 0);
	printf("fact 13: unregistered in %.2f ms, free pages %s\n", lab_ms() - start,
	       lab_free() == unused ? "at once" : "later");
	ck_assert(lab_becomes("free_hugepages", unused));
	close(ring);
}
END_TEST

/* 14: the mapping of the SQ ring keeps the pin when all descriptors are gone. */
START_TEST(fact_14_mapping_keeps_the_pin)
{
	long unused = lab_free();
	void *map;
	int ring;

	lab_need_pool(1);
	take(1);
	ring = lab_pin(p, LAB_2M, &map);
	need_pin(ring);
	close(ring);
	munmap(p, LAB_2M);
	lab_sleep_ms(100);
	ck_assert_int_eq(lab_free(), unused - 1);
	munmap(map, LAB_4K);
	ck_assert(lab_becomes("free_hugepages", unused));
}
END_TEST

static int look_for_mapping(void *arg)
{
	return msync(arg, LAB_4K, MS_ASYNC) == 0;
}

/* 14: with MADV_DONTFORK no child has it; without, it does. */
START_TEST(fact_14_dontfork)
{
	void *map;
	int ring;

	p = lab_map_small(-1, 1);
	memset(p, 1, LAB_4K);
	ring = lab_pin(p, LAB_4K, &map);
	need_pin(ring);
	ck_assert_int_eq(lab_in_child(look_for_mapping, map), 1);
	ck_assert_int_eq(madvise(map, LAB_4K, MADV_DONTFORK), 0);
	ck_assert_int_eq(lab_in_child(look_for_mapping, map), 0);
	close(ring);
}
END_TEST

static int pin_and_exit(void *arg)
{
	bool unregister = arg;
	char *mine = lab_map_huge(-1, 2);
	void *map;
	int ring;

	if (!mine || !lab_populate(mine, 2 * LAB_2M))
		return 1;
	ring = lab_pin(mine, 2 * LAB_2M, &map);
	if (ring < 0)
		return 77;
	if (unregister)
		syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0);
	return 0;
}

/* 15: pinned pages of a process that exited come back, but late. */
START_TEST(fact_15_pages_come_back_late)
{
	long unused = lab_free();
	double start;

	lab_need_pool(2);
	for (int i = 0; i < 2; i++) {
		int status = lab_in_child(pin_and_exit, (void *)(uintptr_t)i);

		start = lab_ms();
		need_pin(status == 77 ? -EPERM : 0);
		ck_assert_int_eq(status, 0);
		ck_assert(lab_becomes("free_hugepages", unused));
		printf("fact 15: %s, back %.1f ms after waitpid\n",
		       i ? "unregistered" : "left pinned", lab_ms() - start);
	}
}
END_TEST

/* 16: nobody's RLIMIT_MEMLOCK buys a few superpages; a pipe costs none. */
static int pin_as_nobody(void *arg)
{
	struct rlimit limit = {8 << 20, 8 << 20};
	struct iovec byte;
	int n = 0, fds[2];
	char *mine = arg;

	if (!lab_become_nobody() || setrlimit(RLIMIT_MEMLOCK, &limit))
		return 100;
	while (n < 5 && lab_pin(mine + (size_t)n * LAB_2M, LAB_2M, NULL) >= 0)
		n++;
	if (n > 4 || (n < 5 && errno != ENOMEM))
		return 101;
	if (pipe(fds) < 0)
		return 102;
	for (int i = 0; i < 5; i++) {
		byte = (struct iovec){mine + (size_t)i * LAB_2M, 1};
		if (vmsplice(fds[1], &byte, 1, SPLICE_F_NONBLOCK) != 1)
			return 103;
	}
	return n;
}

START_TEST(fact_16_memlock_and_pipe)
{
	int n;

	lab_need_pool(5);
	/* Shared: a child of private memory would have to copy it first. */
	p = lab_map_huge(lab_memfd_huge(5), 5);
	ck_assert(lab_populate(p, 5 * LAB_2M));
	n = lab_in_child(pin_as_nobody, p);
	ck_assert_int_le(n, 4);
	printf("fact 16: 8 MiB of RLIMIT_MEMLOCK pinned %d superpages\n", n);
}
END_TEST

/* 16: a byte in a pipe keeps a whole superpage out of the pool. */
START_TEST(fact_16_pipe_holds)
{
	long unused = lab_free();
	struct iovec byte;
	int fds[2];

	lab_need_pool(1);
	take(1);
	byte = (struct iovec){p + 1000, 1};
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(vmsplice(fds[1], &byte, 1, SPLICE_F_NONBLOCK), 1);
	munmap(p, LAB_2M);
	/* The writing end isn't needed for it. */
	close(fds[1]);
	lab_sleep_ms(50);
	ck_assert_int_eq(lab_free(), unused - 1);
	close(fds[0]);
	ck_assert_int_eq(lab_free(), unused);
}
END_TEST

/* 17: MADV_DONTNEED takes a pinned frame away without a word. */
START_TEST(fact_17_dontneed_swaps_the_frame)
{
	uint64_t before;
	int ring;

	lab_need_frames();
	lab_need_pool(2);
	take(1);
	ring = lab_pin(p, LAB_2M, NULL);
	need_pin(ring);
	before = lab_frame(p);
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_DONTNEED), 0);
	ck_assert(lab_populate(p, LAB_2M));
	ck_assert_uint_ne(lab_frame(p), before);
	close(ring);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("facts: pins");
	TCase *tests = tcase_create("pin");

	lab_open(POOL);
	tcase_add_checked_fixture(tests, lab_settle, NULL);
	tcase_add_test(tests, fact_12_mlock_of_hugetlb_does_nothing);
	tcase_add_test(tests, fact_12_mlock_is_not_wiring);
	tcase_add_test(tests, fact_12_pin_survives_unmapping);
	tcase_add_test(tests, fact_13_bounds_of_a_ring);
	tcase_add_test(tests, fact_13_unregistering_is_immediate);
	tcase_add_test(tests, fact_14_mapping_keeps_the_pin);
	tcase_add_test(tests, fact_14_dontfork);
	tcase_add_test(tests, fact_15_pages_come_back_late);
	tcase_add_test(tests, fact_16_memlock_and_pipe);
	tcase_add_test(tests, fact_16_pipe_holds);
	tcase_add_test(tests, fact_17_dontneed_swaps_the_frame);
	suite_add_tcase(suite, tests);
	return lab_run(suite);
}
