/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host/pin.h under attack.  One node has nowhere to migrate to, so frames are
 * driven out in other ways: a collapse moves base pages into a new superpage,
 * a write after fork moves private ones, a punched hole frees or splits.
 * Each attack is first seen to work on memory that isn't pinned.
 */
#include "lab.h"

#include "base/reason.h"
#include "host/pin.h"

#define POOL 6

static char *private_huge(size_t pages)
{
	char *p = lab_map_huge(-1, pages);

	ck_assert_ptr_nonnull(p);
	ck_assert(lab_populate(p, pages * LAB_2M));
	return p;
}

/* 2 MiB of base pages, anonymous. */
static char *base_pages(void)
{
	char *p = lab_map_small(-1, 1);

	ck_assert_int_eq(madvise(p, LAB_2M, MADV_NOHUGEPAGE), 0);
	memset(p, 1, LAB_2M);
	ck_assert_int_eq(lab_is_huge(p, LAB_2M) > 0, 0);
	return p;
}

static struct pin *pin_one(void *va, size_t len, size_t page_size, bool inherit)
{
	struct iovec range = {va, len};
	struct pin *pin = contig_pin_make(&range, 1, page_size, inherit);

	ck_assert_ptr_nonnull(pin);
	return pin;
}

/* Collapse the 2 MiB at p: 1 when the page at p + at moved.  A collapse that
 * is wanted is refused now and then, where memory is short or fragmented. */
static int attack_collapse(char *p, size_t at, int tries)
{
	uint64_t before = lab_frame(p + at);

	madvise(p, LAB_2M, MADV_HUGEPAGE);
	for (int i = 0; i < tries && madvise(p, LAB_2M, MADV_COLLAPSE); i++) {
		if (i == 50)
			lab_write("/proc/sys/vm/compact_memory", 1);
		lab_sleep_ms(1);
	}
	return lab_frame(p + at) != before;
}

static int child_waits(void *arg, bool first)
{
	(void)arg;
	(void)first;
	return 0;
}

/* Fork, then write: 1 when the parent's frame moved; -1: fork failed. */
static int attack_fork(char *p)
{
	uint64_t before = lab_frame(p);
	struct lab_peer peer;
	int r, moved;

	peer = lab_start(child_waits, NULL, &r);
	*p = 2;
	moved = lab_frame(p) != before;
	lab_stop(&peer);
	return moved;
}

static bool can_pin_by_uring(void)
{
	struct pin_ability ability;

	contig_pin_ability(&ability);
	return !ability.uring;
}

#define need_uring()                                                      \
	do {                                                              \
		if (!can_pin_by_uring()) {                                \
			lab_skip("needs io_uring");      \
			return;                                           \
		}                                                         \
	} while (0)

/* Base pages: io_uring and a pipe hold them, mlock and nothing don't. */
START_TEST(test_base_pages_stay)
{
	enum pin_method method = (enum pin_method)_i;
	size_t at = 77 * LAB_4K;
	char *p = base_pages();
	struct pin *pin;

	lab_need_frames();
	if (method == PIN_URING)
		need_uring();
	contig_pin_allow(method);
	/* One page is enough for a reference; mlock of one would split the
	 * mapping, which no collapse gets over. */
	pin = method < PIN_PIPE ? pin_one(p, LAB_2M, LAB_4K, false) :
				  pin_one(p + at, LAB_4K, LAB_4K, false);
	ck_assert_int_eq(contig_pin_method(pin), method);
	ck_assert_int_eq(attack_collapse(p, at, method < PIN_PIPE ? 500 : 5), method < PIN_PIPE);
	ck_assert_int_eq(p[at], 1);
	ck_assert_int_eq(contig_pin_wiring(pin, false),
			 method >= PIN_PIPE ? CONTIG_WIRING_PINNED :
			 method == PIN_MLOCK ? CONTIG_WIRING_RESIDENT :
					       CONTIG_WIRING_NONE);
	ck_assert_int_eq(contig_pin_wiring(pin, true),
			 method >= PIN_PIPE ? CONTIG_WIRING_PINNED :
					      CONTIG_WIRING_RESIDENT);
	contig_pin_drop(pin);
	if (method < PIN_PIPE)
		return;
	/* And lets go: within 100 ms, so the attack has time. */
	for (double end = lab_ms() + 10000; lab_ms() < end; lab_sleep_ms(5))
		if (attack_collapse(p, at, 5))
			return;
	ck_abort_msg("still held 10 s after the drop");
}
END_TEST

/* A private superpage stays over a fork and a write. */
START_TEST(test_private_superpage_stays)
{
	char *p;
	struct pin *pin;

	lab_need_frames();
	need_uring();
	lab_need_pool(3);
	p = private_huge(1);
	ck_assert_int_eq(attack_fork(p), 1);
	pin = pin_one(p, LAB_2M, LAB_2M, false);
	ck_assert_int_eq(contig_pin_method(pin), PIN_URING);
	ck_assert_int_eq(attack_fork(p), 0);
	contig_pin_drop(pin);
}
END_TEST

/* A superpage punched while pinned stays out of the pool until the drop. */
START_TEST(test_punched_superpage_stays)
{
	enum pin_method method = (enum pin_method)_i;
	long unused = lab_free();
	int fd;
	char *p;
	struct pin *pin;

	if (method == PIN_URING)
		need_uring();
	lab_need_pool(2);
	fd = lab_memfd_huge(2);
	p = lab_map_huge(fd, 2);
	ck_assert(lab_populate(p, 2 * LAB_2M));
	contig_pin_allow(method);
	pin = pin_one(p, 2 * LAB_2M, LAB_2M, false);
	ck_assert_int_eq(contig_pin_method(pin), method);
	ck_assert_int_eq(madvise(p, 2 * LAB_2M, MADV_REMOVE), 0);
	lab_sleep_ms(100);
	ck_assert_int_eq(lab_free(), method >= PIN_PIPE ? unused - 2 : unused);
	contig_pin_drop(pin);
	if (method == PIN_PIPE)
		ck_assert_int_eq(lab_free(), unused);
	ck_assert(lab_becomes("free_hugepages", unused));
	munmap(p, 2 * LAB_2M);
	close(fd);
}
END_TEST

static char *collapsed(int *fd)
{
	char *p;

	*fd = memfd_create("lab", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(*fd, (off_t)LAB_2M), 0);
	p = lab_map_small(*fd, 1);
	*p = 1;
	ck_assert_int_eq(madvise(p, LAB_2M, MADV_COLLAPSE), 0);
	return p;
}

/* One byte in a pipe keeps a whole collapsed superpage from being split. */
START_TEST(test_collapsed_is_not_split)
{
	enum pin_method method = (enum pin_method)_i;
	int fd;
	char *p = collapsed(&fd);
	uint64_t frame = lab_frame(p);
	struct stat st;
	struct pin *pin;

	lab_need_frames();
	if (method == PIN_URING)
		need_uring();
	contig_pin_allow(method);
	pin = pin_one(p, LAB_2M, LAB_2M, false);
	ck_assert_int_eq(contig_pin_method(pin), method);
	memset(p, 3, LAB_2M);
	ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)(9 * LAB_4K), LAB_4K), 0);
	/* A hole in a superpage that can't be split is zeroed, not freed. */
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_blocks, method >= PIN_PIPE ? 512 * 8 : 511 * 8);
	for (size_t i = 0; i < 512 && method >= PIN_PIPE; i++) {
		ck_assert_int_eq(p[i * LAB_4K], i == 9 ? 0 : 3);
		ck_assert_uint_eq(lab_frame(p + i * LAB_4K), frame + i);
	}
	contig_pin_drop(pin);
	close(fd);
}
END_TEST

static unsigned int count_descriptors(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 2048; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int lowest_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

/* Closing every descriptor does nothing to io_uring; a pipe notices. */
START_TEST(test_closefrom)
{
	char *p = base_pages();
	struct pin *uring = NULL, *pipe;
	unsigned int before = count_descriptors();
	int lowest = lowest_descriptor(), reused[2];

	if (can_pin_by_uring()) {
		uring = pin_one(p, LAB_4K, LAB_4K, false);
		ck_assert_int_eq(contig_pin_method(uring), PIN_URING);
		ck_assert_uint_eq(count_descriptors(), before);
	}
	contig_pin_allow(PIN_PIPE);
	pipe = pin_one(p + LAB_4K, LAB_4K, LAB_4K, false);
	ck_assert_int_eq(contig_pin_method(pipe), PIN_PIPE);
	ck_assert_uint_eq(count_descriptors(), before + 1);
	ck_assert_int_eq(lowest_descriptor(), lowest);
	ck_assert(contig_pin_alive(pipe));
	for (int fd = 3; fd < 2048; fd++)
		close(fd);
	ck_assert(!contig_pin_alive(pipe));
	ck_assert_int_eq(contig_pin_wiring(pipe, true), CONTIG_WIRING_RESIDENT);
	ck_assert_int_eq(contig_pin_wiring(pipe, false), CONTIG_WIRING_NONE);
	/* Whoever has its number now keeps it: other pipes, say. */
	ck_assert_int_eq(pipe2(reused, 0), 0);
	for (int fd = 10; fd < 1000; fd++)
		dup2(reused[0], fd);
	before = count_descriptors();
	ck_assert(!contig_pin_alive(pipe));
	contig_pin_drop(pipe);
	ck_assert_uint_eq(count_descriptors(), before);
	if (uring) {
		ck_assert(contig_pin_alive(uring));
		if (lab_sees_frames())
			ck_assert_int_eq(attack_collapse(p, 0, 5), 0);
		contig_pin_drop(uring);
	}
}
END_TEST

struct family {
	bool inherit;
	int removed[2], end[2];
	char *p;
};

/* A parent that maps, pins, forks and dies; its child lives on a while. */
static int mother(void *arg)
{
	struct family *family = arg;
	int fd = memfd_create("lab", MFD_CLOEXEC | MFD_HUGETLB | LAB_HUGE_2M);
	struct iovec range = {NULL, LAB_2M};
	pid_t mother_pid = getpid(), pid;
	struct pin *pin;
	char byte;

	if (fd < 0 || ftruncate(fd, (off_t)LAB_2M) < 0)
		return 1;
	family->p = lab_map_huge(fd, 1);
	if (!family->p || !lab_populate(family->p, LAB_2M))
		return 2;
	close(fd);
	range.iov_base = family->p;
	pin = contig_pin_make(&range, 1, LAB_2M, family->inherit);
	if (!pin || contig_pin_method(pin) != PIN_URING)
		return 3;
	pid = fork();
	if (pid)
		return pid < 0 ? 4 : 0;
	while (getppid() == mother_pid)
		lab_sleep_ms(1);
	/* The memory goes; only a pin that came along can hold the frame. */
	madvise(family->p, LAB_2M, MADV_REMOVE);
	if (write(family->removed[1], "", 1) != 1 || read(family->end[0], &byte, 1) != 1)
		return 5;
	return 0;
}

/* inherit: the pin lives as long as the child; else it dies with its maker. */
START_TEST(test_inheritance)
{
	struct family family = {.inherit = _i};
	long unused;
	char byte;

	need_uring();
	lab_need_pool(2);
	unused = lab_free();
	ck_assert_int_eq(pipe(family.removed), 0);
	ck_assert_int_eq(pipe(family.end), 0);
	ck_assert_int_eq(lab_in_child(mother, &family), 0);
	ck_assert_int_eq(read(family.removed[0], &byte, 1), 1);
	if (family.inherit) {
		lab_sleep_ms(300);
		ck_assert_int_eq(lab_free(), unused - 1);
	} else {
		ck_assert(lab_becomes("free_hugepages", unused));
	}
	ck_assert_int_eq(write(family.end[1], "", 1), 1);
	ck_assert(lab_becomes("free_hugepages", unused));
}
END_TEST

/* A child that forgets keeps no descriptors, and the parent keeps its pin. */
static int forget(void *arg)
{
	unsigned int before = count_descriptors();

	contig_pin_forget(arg);
	return before - count_descriptors() == 1 ? 0 : 1;
}

START_TEST(test_forget)
{
	char *p = base_pages();
	struct pin *pin;

	contig_pin_allow(PIN_PIPE);
	pin = pin_one(p, LAB_4K, LAB_4K, false);
	ck_assert_int_eq(lab_in_child(forget, pin), 0);
	ck_assert(contig_pin_alive(pin));
	if (lab_sees_frames())
		ck_assert_int_eq(attack_collapse(p, 0, 5), 0);
	contig_pin_drop(pin);
	contig_pin_drop(NULL);
	contig_pin_forget(NULL);
}
END_TEST

/* RLIMIT_MEMLOCK used up: a pipe; and where that is full too, mlock fails as
 * well, and the memory is said to be unwired. */
static int as_nobody(void *arg)
{
	char *p = arg;
	struct rlimit none = {0, 0};
	struct iovec range = {p, LAB_4K};
	struct pin *pin;
	struct pin_ability ability;

	if (!lab_become_nobody() || setrlimit(RLIMIT_MEMLOCK, &none))
		return 1;
	contig_pin_ability(&ability);
	if (ability.memlock_exempt || ability.memlock_limit || ability.pipe ||
	    !ability.uring)
		return 2;
	contig_reason_clear();
	pin = contig_pin_make(&range, 1, LAB_4K, false);
	if (contig_pin_method(pin) != PIN_PIPE || *contig_reason_get())
		return 3;
	contig_pin_drop(pin);
	contig_pin_allow(PIN_MLOCK);
	pin = contig_pin_make(&range, 1, LAB_4K, false);
	if (contig_pin_method(pin) != PIN_NONE ||
	    contig_pin_wiring(pin, false) != CONTIG_WIRING_NONE || contig_pin_alive(pin))
		return 4;
	contig_pin_drop(pin);
	return 0;
}

START_TEST(test_memlock_exhausted)
{
	ck_assert_int_eq(lab_in_child(as_nobody, base_pages()), 0);
}
END_TEST

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

START_TEST(test_mlock)
{
	char *p = base_pages();
	struct iovec ranges[2] = {{p, 8 * LAB_4K}, {p + 32 * LAB_4K, 4 * LAB_4K}};
	long before = locked_kib();
	struct pin *pin;

	contig_pin_allow(PIN_MLOCK);
	pin = contig_pin_make(ranges, 2, LAB_4K, false);
	ck_assert_int_eq(contig_pin_method(pin), PIN_MLOCK);
	ck_assert_int_eq(locked_kib(), before + 48);
	contig_pin_drop(pin);
	ck_assert_int_eq(locked_kib(), before);
	/* The second range isn't mapped: the first is unlocked again. */
	ranges[1].iov_base = lab_reserve(1);
	munmap(ranges[1].iov_base, LAB_2M);
	pin = contig_pin_make(ranges, 2, LAB_4K, false);
	ck_assert_int_eq(contig_pin_method(pin), PIN_NONE);
	ck_assert_int_eq(locked_kib(), before);
	contig_pin_drop(pin);
}
END_TEST

/* More pages than one pipe holds, then more than all of them. */
START_TEST(test_many_pages_in_pipes)
{
	char *p = lab_map_small(-1, 17);
	/* 257 pages: the last one goes into a second pipe. */
	struct iovec ranges[4] = {{p, 2 * LAB_4K},
				  {p + LAB_2M + LAB_4K, LAB_4K},
				  {p + 2 * LAB_2M, 253 * LAB_4K},
				  {p + 3 * LAB_2M + LAB_4K, LAB_4K}};
	unsigned int before = count_descriptors();
	struct pin *pin;

	madvise(p, 4 * LAB_2M, MADV_NOHUGEPAGE);
	memset(p, 1, 4 * LAB_2M);
	contig_pin_allow(PIN_PIPE);
	pin = contig_pin_make(ranges, 4, LAB_4K, false);
	ck_assert_int_eq(contig_pin_method(pin), PIN_PIPE);
	ck_assert_uint_eq(count_descriptors(), before + 2);
	if (lab_sees_frames())
		for (size_t i = 0; i < 4; i++)
			ck_assert_int_eq(attack_collapse(p + i * LAB_2M, LAB_4K, 5), 0);
	contig_pin_drop(pin);
	ck_assert_uint_eq(count_descriptors(), before);

	memset(p, 1, 17 * LAB_2M);
	ranges[0].iov_len = 17 * LAB_2M;
	pin = contig_pin_make(ranges, 1, LAB_4K, false);
	ck_assert_int_lt(contig_pin_method(pin), PIN_PIPE);
	ck_assert_uint_eq(count_descriptors(), before);
	contig_pin_drop(pin);
}
END_TEST

/* All slots, and one buffer over several hugetlb mappings. */
START_TEST(test_slots)
{
	struct iovec ranges[PIN_SLOTS + 1];
	char *p = base_pages(), *va;
	struct pin *pin;
	int fd;

	need_uring();
	for (size_t i = 0; i <= PIN_SLOTS; i++)
		ranges[i] = (struct iovec){p + 2 * i * LAB_4K, LAB_4K};
	pin = contig_pin_make(ranges, PIN_SLOTS, LAB_4K, false);
	ck_assert_int_eq(contig_pin_method(pin), PIN_URING);
	if (lab_sees_frames())
		ck_assert_int_eq(attack_collapse(p, 2 * (PIN_SLOTS - 1) * LAB_4K, 5), 0);
	contig_pin_drop(pin);

	ck_assert_ptr_null(contig_pin_make(ranges, PIN_SLOTS + 1, LAB_4K, false));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(contig_pin_make(ranges, 0, LAB_4K, false));
	ck_assert_ptr_null(contig_pin_make(ranges, 1, LAB_2M, false));
	ck_assert_ptr_null(contig_pin_make(ranges, 1, 12345, false));
	ranges[0].iov_len = 100;
	ck_assert_ptr_null(contig_pin_make(ranges, 1, LAB_4K, false));
	ck_assert_str_ne(contig_reason_get(), "");

	lab_need_pool(2);
	fd = lab_memfd_huge(2);
	va = lab_reserve(2);
	for (int i = 0; i < 2; i++)
		ck_assert_ptr_ne(mmap(va + (size_t)i * LAB_2M, LAB_2M, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd,
				      i ? 0 : (off_t)LAB_2M), MAP_FAILED);
	ck_assert(lab_populate(va, 2 * LAB_2M));
	pin = pin_one(va, 2 * LAB_2M, LAB_2M, true);
	ck_assert_int_eq(contig_pin_method(pin), PIN_URING);
	contig_pin_drop(pin);
	munmap(va, 2 * LAB_2M);
	close(fd);
}
END_TEST

/* A 1 GiB page is one range, by any method. */
START_TEST(test_gigapage)
{
	size_t size = (size_t)1 << 30;
	const char *file = "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages";
	long unused = lab_read(file);
	char *p;

	if (unused < 1) {
		printf("test_gigapage: no free 1 GiB page: not tested\n");
		return;
	}
	need_uring();
	for (int method = PIN_PIPE; method <= PIN_URING; method++) {
		struct pin *pin;

		p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << 26, -1, 0);
		ck_assert_ptr_ne(p, MAP_FAILED);
		ck_assert(lab_populate(p, size));
		contig_pin_allow((enum pin_method)method);
		pin = pin_one(p, size, size, false);
		ck_assert_int_eq(contig_pin_method(pin), method);
		munmap(p, size);
		lab_sleep_ms(50);
		ck_assert_int_eq(lab_read(file), unused - 1);
		contig_pin_drop(pin);
		ck_assert(lab_becomes(file, unused));
	}
}
END_TEST

/* What doctor prints is what happens. */
START_TEST(test_ability)
{
	struct pin_ability ability;
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	contig_pin_ability(&ability);
	ck_assert_int_eq(ability.pipe, 0);
	ck_assert(ability.memlock_limit == limit.rlim_cur ||
		  (limit.rlim_cur == RLIM_INFINITY && ability.memlock_limit == ~0ULL));
	ck_assert_int_eq(ability.uring_disabled,
			 (int)lab_read("/proc/sys/kernel/io_uring_disabled"));
	if (!geteuid())
		ck_assert(ability.memlock_exempt);
}
END_TEST

/* Where a ring is mapped; one page of it is enough to know. */
static char *ring_address(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned long at = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "io_uring"))
			at = strtoul(line, NULL, 16);
	fclose(maps);
	return (char *)at;
}

/* In a child that no handler of fork(2) has seen: 0, or what went wrong. */
static int child_drops(struct pin *parents, char *ring)
{
	char *own = mmap(ring, LAB_4K, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	char *page = mmap(NULL, LAB_4K, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	struct iovec range = {page, LAB_4K};
	unsigned char there;
	struct pin *pin;

	if (own != ring || page == MAP_FAILED)
		return 1;
	if (contig_pin_release_now())
		return 2;
	contig_pin_drop(parents);
	if (mincore(own, LAB_4K, &there))
		return 3;
	/* What it pins itself is its own. */
	pin = contig_pin_make(&range, 1, LAB_4K, false);
	if (!pin || contig_pin_method(pin) != PIN_URING)
		return 4;
	if (contig_pin_release_now() != 1)
		return 5;
	contig_pin_drop(pin);
	return 0;
}

/* A child of clone(2) has its parent's descriptors and notes, and may drop what
 * it finds there: the parent's pin stays, and so does what the child mapped. */
START_TEST(test_child_of_clone)
{
	size_t at = 77 * LAB_4K;
	char *p = base_pages(), *ring;
	struct rlimit files;
	struct pin *pin;
	int status;
	pid_t pid;

	lab_need_frames();
	need_uring();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	contig_pin_keep_descriptors();
	pin = pin_one(p + at, LAB_4K, LAB_4K, false);
	ck_assert_int_eq(contig_pin_method(pin), PIN_URING);
	ring = ring_address();
	ck_assert_ptr_nonnull(ring);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	ck_assert_int_ge(pid, 0);
	if (!pid)
		_exit(child_drops(pin, ring));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(attack_collapse(p, at, 5), 0);
	/* And it was that descriptor which the child had. */
	ck_assert_int_eq(contig_pin_release_now(), 1);
	contig_pin_drop(pin);
}
END_TEST

/* A daemon has closed its standard streams, and may have few descriptors: what
 * it opens next must be those, not what pins. */
START_TEST(test_standard_streams)
{
	struct rlimit files = {40, 40};
	int saved[3], status = 0;
	char *p = base_pages();
	struct pin *pin;

	lab_need_frames();
	setrlimit(RLIMIT_NOFILE, &files);
	contig_pin_allow(PIN_PIPE);
	for (int i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
		close(i);
	}
	pin = contig_pin_make(&(struct iovec){p, LAB_2M}, 1, LAB_4K, false);
	for (int i = 0; i < 3; i++)
		if (open("/dev/null", O_RDWR) != i)
			status = 2;
	if (!pin || contig_pin_method(pin) != PIN_PIPE)
		status = 1;
	else if (!contig_pin_alive(pin))
		status = 3;
	contig_pin_drop(pin);
	for (int i = 0; i < 3; i++)
		dup2(saved[i], i);
	ck_assert_int_eq(status, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pin");
	TCase *tests = tcase_create("pin");

	lab_open(POOL);
	tcase_add_checked_fixture(tests, lab_settle, NULL);
	tcase_add_loop_test(tests, test_base_pages_stay, PIN_NONE, PIN_URING + 1);
	tcase_add_test(tests, test_private_superpage_stays);
	tcase_add_loop_test(tests, test_punched_superpage_stays, PIN_NONE, PIN_URING + 1);
	tcase_add_loop_test(tests, test_collapsed_is_not_split, PIN_NONE, PIN_URING + 1);
	tcase_add_test(tests, test_closefrom);
	tcase_add_loop_test(tests, test_inheritance, 0, 2);
	tcase_add_test(tests, test_forget);
	tcase_add_test(tests, test_memlock_exhausted);
	tcase_add_test(tests, test_mlock);
	tcase_add_test(tests, test_many_pages_in_pipes);
	tcase_add_test(tests, test_slots);
	tcase_add_test(tests, test_gigapage);
	tcase_add_test(tests, test_ability);
	tcase_add_test(tests, test_child_of_clone);
	tcase_add_test(tests, test_standard_streams);
	suite_add_tcase(suite, tests);
	return lab_run(suite);
}
