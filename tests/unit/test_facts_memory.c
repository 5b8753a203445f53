/* SPDX-License-Identifier: BSD-2-Clause */
/* Collapsing, seeing and reserving memory; see test_facts_pool.c. */
#include "lab.h"

static char *p;

static int shmem(size_t pages)
{
	int fd = memfd_create("lab", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)(pages * LAB_2M)), 0);
	p = lab_map_small(fd, pages);
	return fd;
}

/* 7: one byte, then MADV_COLLAPSE; a congruent second mapping is huge too, and
 * any 4 KiB of it can be mapped elsewhere. */
START_TEST(fact_7_touch_and_collapse)
{
	int fd = shmem(2), pagemap;
	char *view, *small;

	p[LAB_2M] = 1;
	ck_assert_int_eq(madvise(p + LAB_2M, LAB_2M, MADV_COLLAPSE), 0);
	view = lab_reserve(1);
	ck_assert_ptr_eq(mmap(view, LAB_2M, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			      fd, (off_t)LAB_2M), view);
	ck_assert(lab_populate(view, LAB_2M));
	ck_assert_int_ne(lab_is_huge(p + LAB_2M, LAB_2M), 0);
	ck_assert_int_ne(lab_is_huge(view, LAB_2M), 0);
	small = mmap(NULL, LAB_4K, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     (off_t)(LAB_2M + 3 * LAB_4K));
	ck_assert_ptr_ne(small, MAP_FAILED);
	*small = 5;
	ck_assert_int_eq(view[3 * LAB_4K], 5);
	lab_need_frames();
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ck_assert_uint_eq(lab_frame_of(pagemap, view) % 512, 0);
	for (size_t i = 1; i < 512; i++)
		ck_assert_uint_eq(lab_frame_of(pagemap, view + i * LAB_4K),
				  lab_frame_of(pagemap, view) + i);
	ck_assert_uint_eq(lab_frame_of(pagemap, small), lab_frame_of(pagemap, view) + 3);
}
END_TEST

START_TEST(fact_7_fallocate_first)
{
	int fd = shmem(1), r;

	ck_assert_int_eq(fallocate(fd, 0, 0, (off_t)LAB_2M), 0);
	r = madvise(p, LAB_2M, MADV_COLLAPSE);
	printf("fact 7: collapse after fallocate without a touch: %s\n",
	       r ? strerror(errno) : "works");
	*p = 1;
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_COLLAPSE), 0);
}
END_TEST

START_TEST(fact_7_thp_disable)
{
	shmem(1);
	*p = 1;
	ck_assert_int_eq(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_COLLAPSE), -1);
	ck_assert_int_eq(errno, EINVAL);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}
END_TEST

/* Collapse until it fails: 0 when that is EBUSY and nobody was killed. */
static int collapse_to_the_limit(void *arg)
{
	if (!lab_memcg_enter(arg))
		return 1;
	for (size_t i = 0; i < 32; i++) {
		p[i * LAB_2M] = 1;
		if (madvise(p + i * LAB_2M, LAB_2M, MADV_COLLAPSE))
			return i < 4 ? 2 : errno == EBUSY ? 0 : 3;
	}
	return 4;
}

static int populate_to_the_limit(void *arg)
{
	if (!lab_memcg_enter(arg))
		return 1;
	return lab_populate(p, 32 * LAB_2M) ? 2 : 3;
}

/* 7: at a memory cgroup's limit a collapse is EBUSY; populating kills. */
START_TEST(fact_7_memory_cgroup)
{
	const char *dir;
	int collapsed, populated;

	lab_need_root();
	dir = lab_memcg(32L << 20);
	if (!dir) {
		lab_skip("can't make a memory cgroup");
		return;
	}
	shmem(32);
	collapsed = lab_in_child(collapse_to_the_limit, (void *)(uintptr_t)dir);
	ck_assert_int_eq(madvise(p, 32 * LAB_2M, MADV_REMOVE), 0);
	populated = lab_in_child(populate_to_the_limit, (void *)(uintptr_t)dir);
	madvise(p, 32 * LAB_2M, MADV_REMOVE);
	lab_memcg_remove(dir);
	ck_assert_int_eq(collapsed, 0);
	ck_assert_int_eq(populated, -SIGKILL);
}
END_TEST

/* Since Linux 6.17 mremap moves several mappings at once; before, EFAULT.
 * The library asks for one mapping at a time. */
START_TEST(fact_mremap_of_several_mappings)
{
	char *to = lab_reserve(2), *r;

	p = lab_map_small(-1, 2);
	memset(p, 1, 2 * LAB_4K);
	ck_assert_int_eq(mprotect(p + LAB_2M, LAB_4K, PROT_READ), 0);
	r = mremap(p, 2 * LAB_2M, 2 * LAB_2M, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	printf("fact: mremap over several mappings: %s\n",
	       r == MAP_FAILED ? strerror(errno) : "works");
	ck_assert(r == to || (r == MAP_FAILED && errno == EFAULT));
}
END_TEST

/* 26: frames are for CAP_SYS_ADMIN of the first user namespace alone. */
static int look_as_nobody(void *arg)
{
	char mine[16] = "x";
	int opened = *(int *)arg, own;

	if (!lab_become_nobody())
		return 1;
	own = open("/proc/self/pagemap", O_RDONLY);
	if (own < 0 || lab_frame_of(own, mine) != LAB_HIDDEN)
		return 2;
	/* The old descriptor keeps its opener's rights, and its memory. */
	if (lab_frame_of(opened, p) >= LAB_HIDDEN)
		return 3;
	return 0;
}

static int look_as_namespace_root(void *arg)
{
	char mine[16] = "x";
	int own;

	(void)arg;
	if (unshare(CLONE_NEWUSER) < 0)
		return 77;
	own = open("/proc/self/pagemap", O_RDONLY);
	return own >= 0 && lab_frame_of(own, mine) == LAB_HIDDEN ? 0 : 2;
}

START_TEST(fact_26_hidden_frames)
{
	int opened = open("/proc/self/pagemap", O_RDONLY), status;
	int only_here;

	lab_need_frames();
	p = (char *)&only_here;
	only_here = 1;
	ck_assert_int_eq(only_here, 1);
	ck_assert_int_eq(lab_in_child(look_as_nobody, &opened), 0);
	status = lab_in_child(look_as_namespace_root, NULL);
	if (status == 77)
		printf("fact 26: no user namespaces here: half tested\n");
	else
		ck_assert_int_eq(status, 0);
}
END_TEST

static int prove_as_nobody(void *arg)
{
	(void)arg;
	if (!lab_become_nobody())
		return 1;
	shmem(1);
	*p = 1;
	switch (lab_is_huge(p, LAB_2M)) {
	case -ENOTTY:
		return 77;
	case 0:
		break;
	default:
		return 2;
	}
	if (madvise(p, LAB_2M, MADV_COLLAPSE))
		return 3;
	return lab_is_huge(p, LAB_2M) == 1 ? 0 : 4;
}

/* 26: PAGE_IS_HUGE is told to everybody. */
START_TEST(fact_26_huge_is_no_secret)
{
	int status = lab_in_child(prove_as_nobody, NULL);

	if (status == 77) {
		lab_skip("no PAGEMAP_SCAN (before Linux 6.7)");
		return;
	}
	ck_assert_int_eq(status, 0);
}
END_TEST

static int reserve_limited(void *arg)
{
	struct rlimit limit = {(rlim_t)1 << 32, (rlim_t)1 << 32};

	(void)arg;
	if (setrlimit(RLIMIT_AS, &limit))
		return 1;
	return mmap(NULL, (size_t)1 << 40, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED &&
	       errno == ENOMEM ? 0 : 2;
}

/* 29: 64 TiB of nothing can be had, if RLIMIT_AS lets us. */
START_TEST(fact_29_reservation)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	size_t len = (size_t)1 << 40;
#else
	size_t len = (size_t)1 << 46;
#endif
	void *r = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	ck_assert_ptr_ne(r, MAP_FAILED);
	ck_assert_int_eq(mprotect(r, LAB_4K, PROT_READ | PROT_WRITE), 0);
	*(char *)r = 1;
	ck_assert_int_eq(munmap(r, len), 0);
	ck_assert_int_eq(lab_in_child(reserve_limited, NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("facts: memory");
	TCase *tests = tcase_create("memory");

	lab_open(0);
	tcase_add_test(tests, fact_7_touch_and_collapse);
	tcase_add_test(tests, fact_7_fallocate_first);
	tcase_add_test(tests, fact_7_thp_disable);
	tcase_add_test(tests, fact_7_memory_cgroup);
	tcase_add_test(tests, fact_mremap_of_several_mappings);
	tcase_add_test(tests, fact_26_hidden_frames);
	tcase_add_test(tests, fact_26_huge_is_no_secret);
	tcase_add_test(tests, fact_29_reservation);
	suite_add_tcase(suite, tests);
	return lab_run(suite);
}
