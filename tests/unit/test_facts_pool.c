/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel's hugetlb pools do, on which the design rests.  A failure
 * here means that a kernel changed, not that the library broke: look at what
 * relies on it.  The numbers are those of FACTS.
 */
#include "lab.h"

#include <pthread.h>
#include <sys/file.h>

#define POOL 16

static int fd = -1;
static char *p;

/* A memfd of n places, mapped without a reservation. */
static void map_pool(size_t n)
{
	fd = lab_memfd_huge(n);
	p = lab_map_huge(fd, n);
	ck_assert_ptr_nonnull(p);
}

/* 1: frames come in any order; they are distinct and aligned at least. */
START_TEST(fact_1_frames_in_no_order)
{
	uint64_t frames[POOL];
	unsigned int ascending = 0;

	lab_need_frames();
	lab_need_pool(POOL);
	map_pool(POOL);
	ck_assert(lab_populate(p, POOL * LAB_2M));
	for (size_t i = 0; i < POOL; i++) {
		frames[i] = lab_frame(p + i * LAB_2M);
		ck_assert_uint_eq(frames[i] % 512, 0);
		for (size_t j = 0; j < i; j++)
			ck_assert_uint_ne(frames[i], frames[j]);
		ascending += i && frames[i] == frames[i - 1] + 512;
	}
	printf("fact 1: %u of %d neighbours adjacent as the pool gave them\n",
	       ascending, POOL - 1);
}
END_TEST

static int by_frame_down(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* 2: what is freed in descending order comes back in ascending order, node by
 * node: each has a list, and a touch takes from the CPU's own node first. */
START_TEST(fact_2_free_list_is_lifo)
{
	struct {
		uint64_t frame;
		size_t index;
		int node;
	} pages[POOL];

	lab_need_frames();
	lab_need_pool(POOL);
	map_pool(POOL);
	ck_assert(lab_populate(p, POOL * LAB_2M));
	for (size_t i = 0; i < POOL; i++) {
		pages[i].frame = lab_frame(p + i * LAB_2M);
		pages[i].index = i;
		pages[i].node = lab_node(p + i * LAB_2M);
	}
	qsort(pages, POOL, sizeof(pages[0]), by_frame_down);
	for (size_t i = 0; i < POOL; i++)
		ck_assert_int_eq(madvise(p + pages[i].index * LAB_2M, LAB_2M, MADV_REMOVE), 0);
	for (size_t i = 0; i < POOL; i++) {
		if (pages[POOL - 1 - i].node >= 0)
			lab_bind(pages[POOL - 1 - i].node);
		ck_assert(lab_populate(p + i * LAB_2M, LAB_2M));
	}
	lab_bind(-1);
	for (size_t i = 0; i < POOL; i++)
		ck_assert_uint_eq(lab_frame(p + i * LAB_2M), pages[POOL - 1 - i].frame);
}
END_TEST

/* 2, the limit of it: while the node has surplus pages, freed pages go back to
 * the buddy allocator instead of the list. */
START_TEST(fact_2_not_with_surplus)
{
	long total;

	lab_need_root();
	lab_need_pool(POOL);
	total = lab_read("nr_hugepages");
	map_pool(POOL);
	ck_assert(lab_populate(p, POOL * LAB_2M));
	lab_write("nr_hugepages", total - lab_free() - 2);
	ck_assert_int_eq(lab_read("surplus_hugepages"), 2);
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_REMOVE), 0);
	ck_assert_int_eq(lab_free(), 0);
	ck_assert_int_eq(lab_read("surplus_hugepages"), 1);
	munmap(p, POOL * LAB_2M);
	close(fd);
	lab_write("nr_hugepages", total);
}
END_TEST

static int raise_and_die(void *arg)
{
	long before = lab_read("nr_hugepages"), extra = lab_free() + 2;
	char *mine;

	(void)arg;
	if (lab_write("nr_hugepages", before + 2))
		return 1;
	mine = lab_map_huge(-1, (size_t)extra);
	if (!mine || !lab_populate(mine, (size_t)extra * LAB_2M))
		return 2;
	if (lab_write("nr_hugepages", before))
		return 3;
	if (lab_read("surplus_hugepages") < 2)
		return 4;
	raise(SIGKILL);
	return 5;
}

/* 5: raise, take, write the old number back: crash-safe growth. */
START_TEST(fact_5_taken_pages_become_surplus)
{
	long total = lab_read("nr_hugepages");

	lab_need_root();
	lab_need_pool(1);
	ck_assert_int_eq(lab_in_child(raise_and_die, NULL), -SIGKILL);
	ck_assert(lab_becomes("nr_hugepages", total));
	ck_assert_int_eq(lab_read("surplus_hugepages"), 0);
}
END_TEST

static int try_lock(void *arg)
{
	int lock;

	(void)arg;
	if (!lab_become_nobody())
		return 2;
	lock = open(LAB_POOL, O_RDONLY | O_CLOEXEC);
	if (lock < 0)
		return 3;
	return flock(lock, LOCK_EX | LOCK_NB) < 0;
}

/* 6: flock(2) of the pool's directory excludes, also for nobody. */
START_TEST(fact_6_flock_in_sysfs)
{
	int lock = open(LAB_POOL, O_RDONLY | O_CLOEXEC), status = 1;

	if (lock < 0) {
		lab_skip("no 2 MiB pool in this kernel");
		return;
	}
	/* Another user of the library may hold it for a moment. */
	for (int i = 0; i < 1000 && status == 1; i++, lab_sleep_ms(10))
		status = lab_in_child(try_lock, NULL);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(flock(lock, LOCK_EX), 0);
	ck_assert_int_eq(lab_in_child(try_lock, NULL), 1);
	close(lock);
}
END_TEST

static int touch(void *arg)
{
	*(volatile char *)arg = 1;
	return 0;
}

/* 9: an empty pool is SIGBUS at the touch, EFAULT from MADV_POPULATE_WRITE,
 * ENOMEM from an mmap that reserves. */
START_TEST(fact_9_populate_is_efault)
{
	size_t n = (size_t)lab_usable();

	lab_need_pool(2);
	map_pool(n + 1);
	ck_assert(lab_populate(p, n * LAB_2M));
	ck_assert_int_eq(lab_in_child(touch, p), 0);
	ck_assert_int_eq(lab_in_child(touch, p + n * LAB_2M), -SIGBUS);
	ck_assert_int_eq(madvise(p + n * LAB_2M, LAB_2M, MADV_POPULATE_WRITE), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_int_eq(madvise(p, (n + 1) * LAB_2M, MADV_POPULATE_WRITE), -1);
	ck_assert_ptr_eq(mmap(NULL, LAB_2M, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | LAB_HUGE_2M,
			      -1, 0), MAP_FAILED);
	ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

/* 9, and: MAP_NORESERVE goes on into nr_overcommit without a word. */
START_TEST(fact_9_populate_takes_surplus)
{
	size_t n = (size_t)lab_usable();

	lab_need_root();
	lab_need_pool(2);
	map_pool(n + 2);
	ck_assert_int_eq(lab_write("nr_overcommit_hugepages", 1), 0);
	ck_assert(lab_populate(p, (n + 1) * LAB_2M));
	ck_assert_int_eq(lab_read("surplus_hugepages"), 1);
	ck_assert(!lab_populate(p, (n + 2) * LAB_2M));
	munmap(p, (n + 2) * LAB_2M);
	close(fd);
	ck_assert_int_eq(lab_write("nr_overcommit_hugepages", 0), 0);
	ck_assert_int_eq(lab_read("surplus_hugepages"), 0);
}
END_TEST

static void *populate_half(void *arg)
{
	char *half = arg;

	for (size_t i = 0; i < POOL / 2; i++)
		if (!lab_populate(half + i * LAB_2M, LAB_2M))
			return half;
	return NULL;
}

/* 10: two threads may populate one file at once. */
START_TEST(fact_10_parallel_populate)
{
	pthread_t other;
	void *failed;

	lab_need_pool(POOL);
	map_pool(POOL);
	ck_assert_int_eq(pthread_create(&other, NULL, populate_half, p), 0);
	ck_assert_ptr_null(populate_half(p + POOL / 2 * LAB_2M));
	pthread_join(other, &failed);
	ck_assert_ptr_null(failed);
	for (size_t i = 0; i < POOL; i++)
		ck_assert_uint_ne(lab_frame(p + i * LAB_2M), LAB_ABSENT);
}
END_TEST

#define assert_fails(call, number)                          \
	do {                                                \
		errno = 0;                                  \
		ck_assert_int_eq((long)(call), -1);         \
		ck_assert_int_eq(errno, number);            \
	} while (0)

/* 11: hugetlb is all or nothing. */
START_TEST(fact_11_all_or_nothing)
{
	long unused;
	char *at;

	lab_need_pool(2);
	map_pool(2);
	ck_assert(lab_populate(p, 2 * LAB_2M));
	unused = lab_free();
	memset(p, 7, LAB_2M);
	assert_fails(mmap(NULL, LAB_2M, PROT_READ, MAP_SHARED, fd, LAB_4K), EINVAL);
	at = lab_reserve(2) + LAB_4K;
	assert_fails(mmap(at, LAB_2M, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0), EINVAL);
	assert_fails(munmap(p + LAB_4K, LAB_4K), EINVAL);
	assert_fails(mprotect(p + LAB_4K, LAB_4K, PROT_READ), EINVAL);
	assert_fails(madvise(p + LAB_4K, LAB_4K, MADV_DONTNEED), EINVAL);
	ck_assert_int_eq(madvise(p, LAB_4K, MADV_DONTNEED), 0);
	ck_assert_uint_ne(lab_frame(p), LAB_ABSENT);
	assert_fails(madvise(p + LAB_4K, LAB_4K, MADV_DONTDUMP), EINVAL);
	/* A small hole zeroes and frees nothing. */
	ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   LAB_4K, LAB_4K), 0);
	ck_assert_int_eq(p[0], 7);
	ck_assert_int_eq(p[LAB_4K], 0);
	ck_assert_int_eq(p[2 * LAB_4K], 7);
	ck_assert_int_eq(lab_free(), unused);
}
END_TEST

/* What contig_superpage_release() rests on: MADV_REMOVE of a whole superpage,
 * over several mappings, gives it back. */
START_TEST(fact_remove_frees)
{
	long unused;

	lab_need_pool(3);
	unused = lab_free();
	map_pool(3);
	ck_assert_ptr_eq(mmap(p + LAB_2M, LAB_2M, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, (off_t)(2 * LAB_2M)),
			 p + LAB_2M);
	ck_assert(lab_populate(p, 2 * LAB_2M));
	ck_assert_int_eq(lab_free(), unused - 2);
	ck_assert_int_eq(madvise(p, 2 * LAB_2M, MADV_REMOVE), 0);
	ck_assert_int_eq(lab_free(), unused);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("facts: pools");
	TCase *tests = tcase_create("pool");

	lab_open(POOL);
	tcase_add_checked_fixture(tests, lab_settle, NULL);
	tcase_add_test(tests, fact_1_frames_in_no_order);
	tcase_add_test(tests, fact_2_free_list_is_lifo);
	tcase_add_test(tests, fact_2_not_with_surplus);
	tcase_add_test(tests, fact_5_taken_pages_become_surplus);
	tcase_add_test(tests, fact_6_flock_in_sysfs);
	tcase_add_test(tests, fact_9_populate_is_efault);
	tcase_add_test(tests, fact_9_populate_takes_surplus);
	tcase_add_test(tests, fact_10_parallel_populate);
	tcase_add_test(tests, fact_11_all_or_nothing);
	tcase_add_test(tests, fact_remove_frees);
	suite_add_tcase(suite, tests);
	return lab_run(suite);
}
