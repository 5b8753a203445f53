/* SPDX-License-Identifier: BSD-2-Clause */
/* What the holder of a memfd's descriptor or mapping can do to its owner; see
 * test_facts_pool.c. */
#include "lab.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define POOL 4

static int fd;
static char *p;

static void own(size_t pages)
{
	fd = memfd_create("lab", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | LAB_HUGE_2M);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)(pages * LAB_2M)), 0);
	p = lab_map_huge(fd, pages);
	ck_assert_ptr_nonnull(p);
	ck_assert(lab_populate(p, pages * LAB_2M));
}

static int reopen(int from)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", from);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* arg: a descriptor opened for reading.  0: got it writable; else errno. */
static int reopen_as_nobody(void *arg)
{
	if (!lab_become_nobody())
		return 255;
	return reopen((int)(intptr_t)arg) >= 0 ? 0 : errno;
}

/* 22: reading rights are writing rights, unless the mode says no; and the
 * owner's own user is not stopped by that. */
START_TEST(fact_22_reopen)
{
	char path[64];
	struct stat st;
	int reader;

	fd = memfd_create("lab", MFD_CLOEXEC);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_mode & 0666, 0666);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reader = open(path, O_RDONLY);
	ck_assert_int_ge(reader, 0);
	ck_assert_int_eq(lab_in_child(reopen_as_nobody, (void *)(intptr_t)reader), 0);
	ck_assert_int_eq(fchmod(fd, 0400), 0);
	if (geteuid()) {
		/* We are the owner: the mode binds us, but we can undo it. */
		ck_assert_int_eq(reopen(reader), -1);
		ck_assert_int_eq(fchmod(reader, 0600), 0);
		ck_assert_int_ge(reopen(reader), 0);
		return;
	}
	ck_assert_int_eq(lab_in_child(reopen_as_nobody, (void *)(intptr_t)reader), EACCES);
}
END_TEST

struct peer_finds {
	bool write, punch, remove, map, seal;
};
static struct peer_finds *finds;

/* A peer that mapped for writing first; then the owner seals. */
static int peer_before_seal(void *arg, bool first)
{
	static char *view;

	(void)arg;
	if (first) {
		view = mmap(NULL, LAB_2M, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
		return view == MAP_FAILED;
	}
	*view = 9;
	finds->write = true;
	finds->punch = !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				  (off_t)LAB_2M);
	finds->remove = !madvise(view, LAB_2M, MADV_REMOVE);
	finds->map = mmap(NULL, LAB_2M, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			  fd, 0) != MAP_FAILED;
	finds->seal = !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	return 0;
}

/* 23: F_SEAL_FUTURE_WRITE binds everyone, but old mappings go on writing;
 * F_SEAL_SEAL keeps a peer from adding seals. */
START_TEST(fact_23_future_write)
{
	struct lab_peer peer;
	uint64_t frame;
	int failed;

	lab_need_pool(1);
	own(1);
	frame = lab_frame(p);
	finds = mmap(NULL, LAB_4K, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	peer = lab_start(peer_before_seal, NULL, &failed);
	ck_assert_int_eq(failed, 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL), 0);
	ck_assert_int_eq(lab_stop(&peer), 0);
	ck_assert(finds->write && *p == 9);
	ck_assert(!finds->punch && !finds->remove && !finds->map && !finds->seal);
	ck_assert_uint_eq(lab_frame(p), frame);
	/* The owner can't trim either. */
	ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				   (off_t)LAB_2M), -1);
	ck_assert_int_eq(errno, EPERM);
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_REMOVE), -1);
	*p = 10;
}
END_TEST

static int peer_removes(void *arg, bool first)
{
	static char *view;

	(void)arg;
	if (first) {
		view = mmap(NULL, LAB_2M, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
		close(fd);
		return view == MAP_FAILED || madvise(view, LAB_2M, MADV_REMOVE) < 0;
	}
	return *(volatile char *)view;
}

/* 23: unsealed, a mapping alone destroys the data; 24: and a touch after a
 * punch, by whomever, allocates in the owner's file. */
START_TEST(fact_23_24_peer_removes_and_touches)
{
	struct lab_peer peer;
	struct stat st;
	int failed, ring;
	uint64_t frame;
	long unused;

	lab_need_pool(3);
	unused = lab_free();
	own(1);
	*p = 7;
	frame = lab_frame(p);
	ring = lab_pin(p, LAB_2M, NULL);
	peer = lab_start(peer_removes, NULL, &failed);
	ck_assert_int_eq(failed, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_blocks, 0);
	/* A pin keeps the old frame from anybody's use. */
	if (ring >= 0)
		ck_assert_int_eq(lab_free(), unused - 1);
	ck_assert_int_eq(lab_stop(&peer), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(st.st_blocks, 0);
	ck_assert_int_eq(*p, 0);
	if (lab_sees_frames() && ring >= 0)
		ck_assert_uint_ne(lab_frame(p), frame);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("facts: sharing");
	TCase *tests = tcase_create("share");

	lab_open(POOL);
	tcase_add_checked_fixture(tests, lab_settle, NULL);
	tcase_add_test(tests, fact_22_reopen);
	tcase_add_test(tests, fact_23_future_write);
	tcase_add_test(tests, fact_23_24_peer_removes_and_touches);
	suite_add_tcase(suite, tests);
	return lab_run(suite);
}
