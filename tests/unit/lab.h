/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A laboratory: the machine as seen without the library.  Frames come from
 * this file's own read of pagemap, pool sizes from its own read of sysfs, and
 * a pool of superpages is put up before the first test and taken down, to the
 * page, after the last, whatever happens in between.
 */
#ifndef TESTS_LAB_H
#define TESTS_LAB_H

#include "stay_on_node.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define LAB_4K ((size_t)4096)
#define LAB_2M ((size_t)2 << 20)
#define LAB_HUGE_2M (21 << 26) /* MAP_HUGE_2MB, MFD_HUGE_2MB */
#define LAB_NOBODY 65534
#define LAB_POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"

#define LAB_ABSENT UINT64_MAX
#define LAB_HIDDEN (UINT64_MAX - 1)

/* Shared with forked tests, so that the summary knows. */
static struct lab {
	int skipped;
	pid_t owner;
	long total_before; /* -1: not ours to restore */
	long overcommit_before;
	long free_at_start;
} *lab;

/* A test that can't run here says why and returns: lab_skip(...); return; */
#define lab_skip(...)                                               \
	do {                                                        \
		__atomic_fetch_add(&lab->skipped, 1, __ATOMIC_SEQ_CST); \
		printf("%s: skipped: ", __func__);                  \
		printf(__VA_ARGS__);                                \
		printf("\n");                                       \
		fflush(stdout);                                     \
	} while (0)

static inline long lab_read(const char *file)
{
	char path[320];
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", *file == '/' ? "" : LAB_POOL, file);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

static inline int lab_write(const char *file, long value)
{
	char path[320], text[32];
	int fd, n, err = 0;

	snprintf(path, sizeof(path), "%s%s", *file == '/' ? "" : LAB_POOL, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = snprintf(text, sizeof(text), "%ld\n", value);
	if (write(fd, text, (size_t)n) != n)
		err = -errno;
	close(fd);
	return err;
}

static inline long lab_free(void)
{
	return lab_read("free_hugepages");
}

static inline double lab_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static inline void lab_sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* Whether a counter of the pool becomes value within ten seconds. */
static inline bool lab_becomes(const char *file, long value)
{
	for (double end = lab_ms() + 10000; lab_ms() < end; lab_sleep_ms(1))
		if (lab_read(file) == value)
			return true;
	return lab_read(file) == value;
}

/* The frame of one address, by an own read of an own descriptor. */
static inline uint64_t lab_frame_of(int pagemap, const void *va)
{
	uint64_t entry;

	if (pread(pagemap, &entry, 8, (off_t)((uintptr_t)va / LAB_4K * 8)) != 8)
		return LAB_ABSENT;
	if (!(entry >> 63))
		return LAB_ABSENT;
	entry &= (UINT64_C(1) << 55) - 1;
	return entry ? entry : LAB_HIDDEN;
}

static inline uint64_t lab_frame(const void *va)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t frame = fd < 0 ? LAB_ABSENT : lab_frame_of(fd, va);

	if (fd >= 0)
		close(fd);
	return frame;
}

/* The node of the page at va, touched; -1 where that isn't told. */
static inline int lab_node(void *va)
{
	int node;

	return syscall(SYS_get_mempolicy, &node, NULL, 0, va, MPOL_F_NODE | MPOL_F_ADDR) ?
		       -1 : node;
}

/* What this thread touches comes from node only; -1: from anywhere. */
static inline void lab_bind(int node)
{
	unsigned long nodes[16] = {0};

	if (node >= 0)
		nodes[node / 64] = 1UL << node % 64;
	ck_assert_int_eq(syscall(SYS_set_mempolicy, node < 0 ? MPOL_DEFAULT : MPOL_BIND, nodes,
				 1025), 0);
}

static inline bool lab_sees_frames(void)
{
	volatile char here = 1;

	(void)here;
	return lab_frame((const void *)&here) < LAB_HIDDEN;
}

/* PAGEMAP_SCAN's answer: is all of the range mapped by superpages?  1, 0, or
 * -errno (-ENOTTY before Linux 6.7). */
static inline int lab_is_huge(const void *va, size_t len)
{
	struct {
		uint64_t start, end, categories;
	} region = {0};
	struct {
		uint64_t size, flags, start, end, walk_end, vec, vec_len,
			max_pages, inverted, mask, anyof, returned;
	} arg = {0};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), r;

	if (fd < 0)
		return -errno;
	arg.size = sizeof(arg);
	arg.start = (uintptr_t)va;
	arg.end = (uintptr_t)va + len;
	arg.vec = (uintptr_t)&region;
	arg.vec_len = 1;
	arg.mask = arg.returned = 1u << 6; /* PAGE_IS_HUGE */
	r = ioctl(fd, _IOWR('f', 16, arg), &arg);
	r = r < 0 ? -errno :
		    region.start == (uintptr_t)va && region.end == (uintptr_t)va + len;
	close(fd);
	return r;
}

/* Writable mapping of superpages that reserves nothing; NULL on failure. */
static inline char *lab_map_huge(int fd, size_t pages)
{
	int flags = MAP_NORESERVE | (fd >= 0 ? MAP_SHARED :
					       MAP_PRIVATE | MAP_ANONYMOUS |
						       MAP_HUGETLB | LAB_HUGE_2M);
	void *p = mmap(NULL, pages * LAB_2M, PROT_READ | PROT_WRITE, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static inline int lab_memfd_huge(size_t pages)
{
	int fd = memfd_create("lab", MFD_CLOEXEC | MFD_HUGETLB | LAB_HUGE_2M);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)(pages * LAB_2M)), 0);
	return fd;
}

/* An aligned place for 2 MiB pages; PROT_NONE. */
static inline char *lab_reserve(size_t pages)
{
	size_t len = (pages + 1) * LAB_2M;
	char *p = mmap(NULL, len, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ck_assert_ptr_ne(p, MAP_FAILED);
	return (char *)(((uintptr_t)p + LAB_2M - 1) & ~(LAB_2M - 1));
}

static inline char *lab_map_small(int fd, size_t pages)
{
	char *p = lab_reserve(pages);
	int flags = MAP_FIXED | MAP_NORESERVE |
		    (fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);

	ck_assert_ptr_eq(mmap(p, pages * LAB_2M, PROT_READ | PROT_WRITE, flags,
			      fd, 0),
			 p);
	return p;
}

static inline bool lab_populate(char *p, size_t len)
{
	return !madvise(p, len, MADV_POPULATE_WRITE);
}

/* A ring that pins one range; descriptor or -errno.  *map, if wanted: the SQ
 * ring's mapping of one page. */
static inline int lab_pin(void *va, size_t len, void **map)
{
	struct iovec range = {va, len};
	struct io_uring_params params;
	int fd, err;

	memset(&params, 0, sizeof(params));
	fd = (int)syscall(SYS_io_uring_setup, 1, &params);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, &range,
		    1) < 0)
		goto fail;
	if (!map)
		return fd;
	*map = mmap(NULL, LAB_4K, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    IORING_OFF_SQ_RING);
	if (*map != MAP_FAILED)
		return fd;
fail:
	err = -errno;
	close(fd);
	return err;
}

/* Give up all privileges, for good, but stay able to look at /proc/self. */
static inline bool lab_become_nobody(void)
{
	if (geteuid())
		return true;
	return !syscall(SYS_setgroups, 0, NULL) &&
	       !setresgid(LAB_NOBODY, LAB_NOBODY, LAB_NOBODY) &&
	       !setresuid(LAB_NOBODY, LAB_NOBODY, LAB_NOBODY) &&
	       !prctl(PR_SET_DUMPABLE, 1);
}

/*
 * Run code in a child: LAB_CHILD(status) { ...; _exit(n); } — status is n,
 * or -signal.  The child must not use ck_assert.
 */
static inline int lab_reap(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

typedef int (*lab_fn)(void *arg);

static inline int lab_in_child(lab_fn fn, void *arg)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (!child) {
		struct rlimit no_core = {0, 0};

		setrlimit(RLIMIT_CORE, &no_core);
		for (int s = 1; s < 32; s++)
			signal(s, SIG_DFL);
		_exit(fn(arg));
	}
	ck_assert_int_gt(child, 0);
	return lab_reap(child);
}

/*
 * A child process that stays until told: lab_start() returns when fn's first
 * half, fn(arg, true), is done; lab_stop() lets it run fn(arg, false) and
 * exit.
 */
struct lab_peer {
	pid_t pid;
	int go, done;
};
typedef int (*lab_peer_fn)(void *arg, bool first);

static inline struct lab_peer lab_start(lab_peer_fn fn, void *arg, int *result)
{
	int go[2], done[2];
	struct lab_peer peer;

	fflush(NULL);
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(done, O_CLOEXEC), 0);
	peer.pid = fork();
	ck_assert_int_ge(peer.pid, 0);
	if (!peer.pid) {
		int r = fn(arg, true);
		char c;

		close(go[1]);
		if (write(done[1], &r, sizeof(r)) != sizeof(r))
			_exit(99);
		if (read(go[0], &c, 1) < 0)
			_exit(98);
		_exit(fn(arg, false));
	}
	close(go[0]);
	close(done[1]);
	peer.go = go[1];
	peer.done = done[0];
	if (read(peer.done, result, sizeof(*result)) != sizeof(*result))
		*result = -1;
	return peer;
}

static inline int lab_stop(struct lab_peer *peer)
{
	close(peer->go);
	close(peer->done);
	return lab_reap(peer->pid);
}

/*
 * A memory cgroup of our own with a limit; its directory, or NULL where none
 * can be made.  Of version 2 the controller may have to be turned on first,
 * and is turned off again by lab_memcg_remove().
 */
static bool lab_memcg_turned_on;

static inline bool lab_memcg_turn(const char *how)
{
	int fd = open("/sys/fs/cgroup/cgroup.subtree_control", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, how, strlen(how)) == (ssize_t)strlen(how);

	if (fd >= 0)
		close(fd);
	return done;
}

static inline const char *lab_memcg(long limit)
{
	static char dir[96];
	char path[192];
	static const struct {
		const char *root, *limit;
	} kinds[] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
		     {"/sys/fs/cgroup", "memory.max"}};

	for (size_t i = 0; i < 2; i++) {
		snprintf(dir, sizeof(dir), "%s/libcontig-lab-%d", kinds[i].root,
			 (int)getpid());
		if (mkdir(dir, 0755) < 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, kinds[i].limit);
		if (i && access(path, F_OK) < 0)
			lab_memcg_turned_on = lab_memcg_turn("+memory");
		if (!lab_write(path, limit))
			return dir;
		rmdir(dir);
	}
	return NULL;
}

static inline bool lab_memcg_enter(const char *dir)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	return !lab_write(path, getpid());
}

static inline void lab_memcg_remove(const char *dir)
{
	for (int i = 0; i < 200 && rmdir(dir) < 0 && errno == EBUSY; i++)
		lab_sleep_ms(5);
	if (lab_memcg_turned_on)
		lab_memcg_turned_on = !lab_memcg_turn("-memory");
}

static inline void lab_restore(void)
{
	if (!lab || lab->owner != getpid() || lab->total_before < 0)
		return;
	/* Pages of pins come back late; while they are out they count. */
	lab_write("nr_hugepages", lab->total_before);
	lab_write("nr_overcommit_hugepages", lab->overcommit_before);
	if (!lab_becomes("nr_hugepages", lab->total_before))
		fprintf(stderr, "the pool had %ld superpages, now %ld\n",
			lab->total_before, lab_read("nr_hugepages"));
	lab->total_before = -1;
}

static inline void lab_killed(int signal_number)
{
	lab_restore();
	_exit(128 + signal_number);
}

/* Usable superpages now. */
static inline long lab_usable(void)
{
	long reserved = lab_read("resv_hugepages"), unused = lab_free();

	return unused < 0 ? 0 : unused - (reserved > 0 ? reserved : 0);
}

/* Before each test: pages that the one before had pinned come back late. */
static inline void lab_settle(void)
{
	for (double end = lab_ms() + 2000;
	     lab_ms() < end && lab_free() != lab->free_at_start;)
		lab_sleep_ms(1);
}

/* Put up a pool with at least this many free superpages, if we may. */
static inline void lab_open(long superpages)
{
	cpu_set_t before;

	stay_on_node(&before);
	lab = mmap(NULL, sizeof(*lab), PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (lab == MAP_FAILED)
		exit(99);
	lab->owner = getpid();
	lab->total_before = lab->overcommit_before = -1;
	lab->free_at_start = lab_free();
	if (!superpages || lab_read("nr_hugepages") < 0 ||
	    access(LAB_POOL "nr_hugepages", W_OK) < 0)
		return;
	lab->total_before = lab_read("nr_hugepages");
	lab->overcommit_before = lab_read("nr_overcommit_hugepages");
	/* What somebody allowed beyond the pool would be no end of it. */
	if (lab->overcommit_before > 0)
		lab_write("nr_overcommit_hugepages", 0);
	atexit(lab_restore);
	signal(SIGINT, lab_killed);
	signal(SIGTERM, lab_killed);
	/* Free memory may be in pieces. */
	for (int i = 0; lab_usable() < superpages && i < 10; i++) {
		if (i)
			lab_write("/proc/sys/vm/compact_memory", 1);
		lab_write("nr_hugepages",
			  lab->total_before + superpages - lab_usable());
	}
	lab->free_at_start = lab_free();
}

/* Run a suite: 0 passed, 1 failed, 77 when a test was skipped. */
static inline int lab_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (lab->total_before >= 0) {
		long before = lab->total_before;

		lab_restore();
		if (lab_read("nr_hugepages") != before)
			failed++;
	}
	return failed ? 1 : lab->skipped ? 77 : 0;
}

/* What most tests begin with. */
#define lab_need_pool(n)                                                     \
	do {                                                                 \
		if (lab_usable() < (n)) {                                    \
			lab_skip("needs %d free 2 MiB hugetlb pages, has %ld", \
				 (int)(n), lab_usable());                    \
			return;                                              \
		}                                                            \
	} while (0)

#define lab_need_frames()                                                  \
	do {                                                               \
		if (!lab_sees_frames()) {                                  \
			lab_skip("needs CAP_SYS_ADMIN to see frames");     \
			return;                                            \
		}                                                          \
	} while (0)

#define lab_need_root()                                   \
	do {                                              \
		if (geteuid()) {                          \
			lab_skip("needs root");           \
			return;                           \
		}                                         \
	} while (0)

#endif
