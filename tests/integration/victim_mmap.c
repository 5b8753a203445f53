/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that knows nothing of the library: run by test_preload_mmap with
 * and without the shim.  What it prints must be the same.
 *
 *	victim_mmap random SEED N	N operations on mappings; prints a digest
 *	victim_mmap CASE		one of the cases at the end of the file
 *
 * Exit: 0, 1 with a line on stderr, 77 skipped.  VICTIM_LOG=1: every operation
 * and what came of it, on stderr.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW (PROT_READ | PROT_WRITE)

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

#define need(condition)                                                            \
	do {                                                                       \
		if (!(condition))                                                  \
			die("%s:%d: %s (errno %d)", __FILE__, __LINE__, #condition, errno); \
	} while (0)

static uint64_t state;

static uint64_t chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t below(size_t n)
{
	return (size_t)(chance() >> 16) % n;
}

static uint64_t digest = UINT64_C(0xcbf29ce484222325);
static bool log_all;

static void fold(uint64_t x)
{
	for (int i = 0; i < 8; i++, x >>= 8)
		digest = (digest ^ (x & 255)) * UINT64_C(0x100000001b3);
}

static sigjmp_buf back;
static volatile sig_atomic_t probing;

static void on_fault(int signal)
{
	if (!probing)
		_exit(100 + signal);
	siglongjmp(back, signal);
}

/* The word at p, or a signal's number with the top bit set. */
static uint64_t look(const volatile uint64_t *p)
{
	uint64_t value;
	int signal = sigsetjmp(back, 1);

	if (signal)
		value = UINT64_C(1) << 63 | (unsigned int)signal;
	else {
		probing = 1;
		value = *p & ~(UINT64_C(1) << 63);
	}
	probing = 0;
	return value;
}

static uint64_t put(volatile uint64_t *p, uint64_t value)
{
	int signal = sigsetjmp(back, 1);

	if (!signal) {
		probing = 1;
		*p = value;
	}
	probing = 0;
	return (unsigned int)signal;
}

/* A mapping, page by page; history is equal where the kernel has one mapping. */
enum { GONE, NONE, READ, WRITE };
#define PAGES_MOST 1600
#define OBJECTS 48

static struct object {
	char *at;
	size_t n;
	unsigned char state[PAGES_MOST];
	bool of_file[PAGES_MOST];
	uint32_t history[PAGES_MOST];
} objects[OBJECTS];

static uint32_t histories;
static int file = -1;
#define FILE_PAGES 64

static size_t some_pages(void)
{
	switch (below(8)) {
	case 0:
		return 1 + below(15);
	case 1:
		return 500 + below(30);
	case 2:
		return 1 + below(PAGES_MOST - 100);
	case 3:
		return 512;
	default:
		return 16 + below(64);
	}
}

/* Made as one. */
static void set(struct object *o, size_t first, size_t n, int to)
{
	histories++;
	memset(o->state + first, to, n);
	memset(o->of_file + first, false, n);
	for (size_t i = first; i < first + n; i++)
		o->history[i] = histories;
}

/* Changed in the same way: what was not one mapping need not become one. */
static void change(struct object *o, size_t first, size_t n, int to)
{
	histories++;
	for (size_t i = first; i < first + n; i++) {
		if (to != GONE)
			o->state[i] = (unsigned char)to;
		o->history[i] = o->history[i] * UINT32_C(2654435761) + histories;
	}
}

static bool all_there(const struct object *o, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++)
		if (o->state[i] == GONE)
			return false;
	return true;
}

static bool one_mapping(const struct object *o, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++)
		if (o->state[i] == GONE || o->history[i] != o->history[first])
			return false;
	return true;
}

static void drop(struct object *o)
{
	for (size_t i = 0, run; i < o->n; i += run) {
		for (run = 1; i + run < o->n && !o->state[i] == !o->state[i + run]; run++)
			;
		if (o->state[i])
			fold((uint64_t)munmap(o->at + i * PAGE, run * PAGE));
	}
	o->n = 0;
}

static uint64_t word_of(const struct object *o, size_t page, uint64_t *value, bool write)
{
	uint64_t *p = (uint64_t *)(void *)(o->at + page * PAGE) + below(PAGE / 8);

	return write ? put(p, *value) : (*value = look(p));
}

/* Some pages that aren't gone: as they should be?  Into the digest. */
static void examine(struct object *o, size_t first, size_t n)
{
	size_t rounds = n < 6 ? n : 6;

	for (size_t i = 0; i < rounds; i++) {
		size_t page = first + (i == 0 ? 0 : i == 1 ? n - 1 : below(n));
		uint64_t value = chance() >> 1, seen;

		if (o->state[page] == GONE)
			continue;
		fold(word_of(o, page, &seen, false));
		fold(word_of(o, page, &value, true));
	}
}

static void fill(struct object *o, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++)
		if (o->state[i] == WRITE)
			memset(o->at + i * PAGE, (int)(chance() & 255), PAGE);
}

static void sum(const struct object *o, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++) {
		const uint64_t *p = (const uint64_t *)(void *)(o->at + i * PAGE);

		if (o->state[i] < READ)
			continue;
		for (size_t j = 0; j < PAGE / 8; j += 31)
			fold(p[j]);
	}
}

static void range(const struct object *o, size_t *first, size_t *n)
{
	*first = below(o->n);
	*n = 1 + below(o->n - *first);
	if (below(3) && *n > 8)
		*n = 1 + below(8);
	if (!below(6)) {
		*first = 0;
		*n = o->n;
	}
}

static void op_map(struct object *o)
{
	static const int extra[] = {0, 0, 0, 0, MAP_NORESERVE, MAP_POPULATE, MAP_STACK};
	size_t n = some_pages();
	int prot = below(8) ? RW : below(2) ? PROT_READ : PROT_NONE;

	if (o->n)
		drop(o);
	o->at = mmap(NULL, n * PAGE - below(PAGE), prot, ANON | extra[below(7)], -1, 0);
	need(o->at != MAP_FAILED);
	o->n = n;
	set(o, 0, n, prot == RW ? WRITE : prot ? READ : NONE);
	examine(o, 0, n);
}

static void op_unmap(struct object *o)
{
	size_t first, n;
	uint64_t value;

	range(o, &first, &n);
	/* Holes may hold anything by now. */
	if (!all_there(o, first, n))
		return;
	fold((uint64_t)munmap(o->at + first * PAGE, n * PAGE - below(PAGE)));
	/* At once: anything may be mapped there later. */
	fold(word_of(o, first, &value, false));
	fold(word_of(o, first + n - 1, &value, true));
	fold((uint64_t)msync(o->at + first * PAGE, PAGE, MS_ASYNC));
	set(o, first, n, GONE);
	if (n > 1 && !below(3)) {
		char *p = mmap(o->at + first * PAGE, n * PAGE, RW,
			       ANON | MAP_FIXED_NOREPLACE, -1, 0);

		fold(p == o->at + first * PAGE);
		if (p == o->at + first * PAGE) {
			set(o, first, n, WRITE);
			examine(o, first, n);
		}
	}
}

static void op_protect(struct object *o)
{
	static const int prots[] = {PROT_NONE, PROT_READ, RW};
	size_t first, n, to = below(3);
	int r;

	range(o, &first, &n);
	if (!all_there(o, first, n))
		return;
	r = mprotect(o->at + first * PAGE, n * PAGE, prots[to]);
	fold((uint64_t)r);
	if (!r)
		change(o, first, n, NONE + (int)to);
	examine(o, first, n);
}

static void op_advise(struct object *o)
{
	static const int advices[] = {
		MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_FREE,
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLD, MADV_DONTFORK, MADV_DOFORK,
		MADV_DODUMP, MADV_DONTDUMP, MADV_RANDOM, MADV_NORMAL, MADV_POPULATE_WRITE,
		MADV_REMOVE, MADV_PAGEOUT, 12345,
	};
	int advice = advices[below(sizeof(advices) / sizeof(advices[0]))];
	size_t first, n;

	range(o, &first, &n);
	if (!all_there(o, first, n))
		return;
	fold((uint64_t)madvise(o->at + first * PAGE, n * PAGE, advice));
	fold((uint64_t)errno);
	if (advice == MADV_FREE)
		fill(o, first, n);
	/* Attributes may split a mapping; the kernel may or may not join it. */
	change(o, first, n, GONE);
	/* Content of read-only pages after MADV_FREE is up to the kernel. */
	if (advice == MADV_FREE)
		for (size_t i = first; i < first + n; i++)
			if (o->state[i] != WRITE) {
				fold((uint64_t)munmap(o->at + i * PAGE, PAGE));
				o->state[i] = GONE;
			}
	examine(o, first, n);
	sum(o, first, n < 8 ? n : 8);
}

static void op_over(struct object *o)
{
	size_t first, n;
	bool of_file = !below(3);
	char *p;

	range(o, &first, &n);
	if (of_file && n > FILE_PAGES)
		n = FILE_PAGES;
	if (!all_there(o, first, n))
		return;
	p = mmap(o->at + first * PAGE, n * PAGE, RW,
		 MAP_PRIVATE | MAP_FIXED_NOREPLACE | MAP_ANONYMOUS, -1, 0);
	fold(p == MAP_FAILED ? (uint64_t)errno : 0);
	p = mmap(o->at + first * PAGE, n * PAGE, RW,
		 MAP_FIXED | MAP_PRIVATE | (of_file ? 0 : MAP_ANONYMOUS), of_file ? file : -1, 0);
	fold(p == o->at + first * PAGE);
	set(o, first, n, WRITE);
	memset(o->of_file + first, of_file, n);
	sum(o, first, n < 8 ? n : 8);
	examine(o, first, n);
}

/* To another object's slot, which must be empty. */
static void moved(struct object *o, size_t first, size_t n, char *to, size_t to_n,
		  struct object *other)
{
	bool of_file = o->of_file[first];
	int old = o->state[first];

	set(o, first, n, GONE);
	other->at = to;
	other->n = to_n;
	set(other, 0, to_n, old);
	memset(other->of_file, of_file, to_n);
	examine(other, 0, to_n);
	sum(other, 0, to_n < 64 ? to_n : 64);
	if (to_n > n)
		sum(other, n, to_n - n < 16 ? to_n - n : 16);
}

static void op_remap(struct object *o, struct object *other)
{
	size_t first, n, to_n;
	char *p;

	range(o, &first, &n);
	while (n > 1 && !one_mapping(o, first, n))
		n /= 2;
	if (!one_mapping(o, first, n) || other == o)
		return;
	if (other->n)
		drop(other);
	to_n = below(3) ? n + below(n + 20) : 1 + below(n);
	/* Beyond the end of the file there is nothing. */
	if (to_n > PAGES_MOST || (to_n > n && o->of_file[first]))
		to_n = n;
	switch (below(4)) {
	case 0: { /* onto something of ours */
		char *place = mmap(NULL, (to_n + 1) * PAGE, RW, ANON, -1, 0);

		need(place != MAP_FAILED);
		memset(place, 17, PAGE);
		p = mremap(o->at + first * PAGE, n * PAGE, to_n * PAGE,
			   MREMAP_MAYMOVE | MREMAP_FIXED, place);
		fold(p == place);
		if (p != place)
			fold((uint64_t)errno);
		need(!munmap(place + to_n * PAGE, PAGE));
		if (p == place)
			moved(o, first, n, p, to_n, other);
		else
			need(!munmap(place, to_n * PAGE));
		return;
	}
	case 1: /* in place: only shrinking is certain */
		if (to_n > n)
			to_n = n;
		p = mremap(o->at + first * PAGE, n * PAGE, to_n * PAGE, 0);
		fold(p == o->at + first * PAGE);
		if (p != MAP_FAILED && to_n < n) {
			uint64_t value;

			fold(word_of(o, first + to_n, &value, false));
			set(o, first + to_n, n - to_n, GONE);
		}
		return;
	case 2:
		if (o->state[first] != WRITE)
			break;
		p = mremap(o->at + first * PAGE, n * PAGE, n * PAGE,
			   MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		fold(p != MAP_FAILED);
		if (p != MAP_FAILED) {
			examine(o, first, n); /* zeros now */
			moved(o, first, 0, p, n, other);
			memset(o->at + first * PAGE, 3, n * PAGE);
			sum(o, first, n < 8 ? n : 8);
			change(o, first, n, GONE);
		}
		return;
	}
	p = mremap(o->at + first * PAGE, n * PAGE, to_n * PAGE, MREMAP_MAYMOVE);
	fold(p != MAP_FAILED);
	if (p == MAP_FAILED) {
		fold((uint64_t)errno);
		return;
	}
	/* Moved or not isn't in the digest: it is up to what lies behind. */
	moved(o, first, n, p, to_n, other);
}

/* A child sees a copy, and what it does to it is its own affair. */
static void op_fork(struct object *o)
{
	uint64_t saved;
	size_t first, n, i;
	int status;
	pid_t child;

	range(o, &first, &n);
	for (i = first; i < first + n; i++)
		if (o->state[i] == GONE)
			return;
	/* Not what was advised MADV_DONTFORK. */
	if (madvise(o->at + first * PAGE, n * PAGE, MADV_DOFORK))
		return;
	change(o, first, n, GONE);
	saved = digest;
	fflush(NULL);
	child = fork();
	need(child >= 0);
	if (!child) {
		uint64_t before;

		sum(o, first, n);
		before = digest;
		examine(o, first, n);
		if (madvise(o->at + first * PAGE, n * PAGE, MADV_DONTNEED))
			_exit(201);
		digest = saved;
		op_map(o);
		fill(o, 0, o->n);
		drop(o);
		_exit((int)(before % 199));
	}
	need(waitpid(child, &status, 0) == child);
	sum(o, first, n);
	fold(WIFEXITED(status) ? (uint64_t)WEXITSTATUS(status) : 1000u);
	/* The child drew numbers of its own. */
}

static void op_io(struct object *o)
{
	size_t first, n;
	ssize_t done;

	range(o, &first, &n);
	if (!all_there(o, first, n))
		return;
	if (n > FILE_PAGES)
		n = FILE_PAGES;
	done = pread(file, o->at + first * PAGE, n * PAGE, 0);
	fold((uint64_t)done);
	if (done < 0)
		fold((uint64_t)errno);
	sum(o, first, n);
}

static void op_lock(struct object *o)
{
	unsigned char resident[8];
	size_t first, n;

	range(o, &first, &n);
	if (!all_there(o, first, n))
		return;
	if (n > 8)
		n = 8;
	fold((uint64_t)mlock(o->at + first * PAGE, n * PAGE));
	fold((uint64_t)madvise(o->at + first * PAGE, n * PAGE, MADV_DONTNEED));
	fill(o, first, n);
	if (!mincore(o->at + first * PAGE, n * PAGE, resident))
		for (size_t i = 0; i < n; i++)
			fold(o->state[first + i] == WRITE && resident[i]);
	fold((uint64_t)munlock(o->at + first * PAGE, n * PAGE));
	sum(o, first, n);
	change(o, first, n, GONE);
}

static void random_operations(uint64_t seed, unsigned long count)
{
	static const char *const names[] = {"map",   "map",  "fill",    "sum",  "unmap",
					    "protect", "advise", "over", "remap", "io", "lock"};
	char page[4096];

	state = seed * 2 + 1;
	file = memfd_create("victim", 0);
	need(file >= 0);
	for (size_t i = 0; i < FILE_PAGES; i++) {
		memset(page, (int)i + 1, sizeof(page));
		need(write(file, page, sizeof(page)) == (ssize_t)sizeof(page));
	}
	for (unsigned long i = 0; i < count; i++) {
		struct object *o = &objects[below(OBJECTS)], *other = &objects[below(OBJECTS)];
		size_t what = below(11), first, n;

		errno = 0;
		if (!o->n)
			what = 0;
		if (log_all)
			fprintf(stderr, "%lu %s %zu (%zu) %016" PRIx64 "\n", i,
				i % 509 == 508 && o->n ? "fork" : names[what],
				(size_t)(o - objects), o->n, digest);
		if (i % 509 == 508 && o->n) {
			op_fork(o);
			continue;
		}
		switch (what) {
		case 0:
		case 1:
			op_map(o);
			break;
		case 2:
			range(o, &first, &n);
			fill(o, first, n < 64 ? n : 64);
			break;
		case 3:
			range(o, &first, &n);
			sum(o, first, n < 64 ? n : 64);
			break;
		case 4:
			op_unmap(o);
			break;
		case 5:
			op_protect(o);
			break;
		case 6:
			op_advise(o);
			break;
		case 7:
			op_over(o);
			break;
		case 8:
			op_remap(o, other);
			break;
		case 9:
			op_io(o);
			break;
		case 10:
			op_lock(o);
			break;
		}
	}
	for (size_t i = 0; i < OBJECTS; i++) {
		sum(&objects[i], 0, objects[i].n);
		if (objects[i].n)
			drop(&objects[i]);
	}
	close(file);
	printf("%016" PRIx64 "\n", digest);
}

/* What the memory is made of, by the program's own reading. */
#define FRAME_BITS ((UINT64_C(1) << 55) - 1)

static bool frames_of(const void *va, size_t n, uint64_t *frames)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t done = pread(fd, frames, n * 8, (off_t)((uintptr_t)va / PAGE * 8));

	close(fd);
	if (fd < 0 || done != (ssize_t)(n * 8))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!(frames[i] >> 63))
			die("page %zu at %p isn't there", i, va);
		frames[i] &= FRAME_BITS;
		if (!frames[i])
			return false;
	}
	return true;
}

/* Pages that don't follow the one before. */
static size_t breaks(const void *va, size_t len)
{
	static uint64_t frames[64 * MIB / PAGE];
	size_t n = (len + PAGE - 1) / PAGE, count = 0;

	need(n <= 64 * MIB / PAGE);
	if (!frames_of(va, n, frames)) {
		fputs("frames are hidden\n", stderr);
		exit(77);
	}
	for (size_t i = 1; i < n; i++)
		count += frames[i] != frames[i - 1] + 1;
	return count;
}

/* In KiB, from /proc/self/FILE; -1: no such line. */
static long proc_number(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	char line[256];
	long value = -1;

	need(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			value = strtol(line + strlen(name) + 1, NULL, 10);
	fclose(f);
	return value;
}

static long pinned_kib(void)
{
	return proc_number("/proc/self/status", "VmPin");
}

/* Whether it is all there before it was touched. */
static bool is_populated(char *p, size_t len)
{
	static unsigned char present[32 * MIB / PAGE];

	if (p == MAP_FAILED || mincore(p, len, present))
		return false;
	for (size_t i = 0; i < len / PAGE; i++)
		if (!(present[i] & 1))
			return false;
	return true;
}

static char *map(size_t len)
{
	char *p = mmap(NULL, len, RW, ANON, -1, 0);

	need(p != MAP_FAILED);
	return p;
}

static const size_t sizes[] = {64 * KIB,     68 * KIB, 256 * KIB,      MIB,      MIB + PAGE,
			       2 * MIB,      3 * MIB,  2 * MIB + PAGE, 8 * MIB,  17 * MIB,
			       2 * MIB - PAGE, 100 * KIB, 32 * MIB,    64 * KIB, 64 * MIB};
#define N_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* Every mapping is one run of frames, zero, and pinned. */
static void case_runs(void)
{
	char *p[N_SIZES];
	size_t total = 0;
	long pinned;

	for (size_t i = 0; i < N_SIZES; i++) {
		p[i] = map(sizes[i]);
		for (size_t at = 0; at < sizes[i]; at += 8)
			need(!*(uint64_t *)(void *)(p[i] + at));
		printf("%zu KiB: %zu breaks\n", sizes[i] / KIB, breaks(p[i], sizes[i]));
		memset(p[i], (int)i + 1, sizes[i]);
		total += sizes[i];
	}
	pinned = pinned_kib();
	printf("pinned: %s\n", pinned >= (long)(total / KIB) ? "all" : "not all");
	fprintf(stderr, "%zu KiB mapped, %ld pinned\n", total / KIB, pinned);
	for (size_t i = 0; i < N_SIZES; i++) {
		for (size_t at = 0; at < sizes[i]; at++)
			need(p[i][at] == (char)(i + 1));
		need(!munmap(p[i], sizes[i]));
	}
}

/* How much of a long test to run, as the harness has it. */
static int scaled(int n, int least)
{
	const char *percent = getenv("CONTIG_TEST_SCALE");
	int share = percent ? n * atoi(percent) / 100 : n;

	return share < least ? least : share;
}

/* What is unmapped goes back: pins, and the memory. */
static void case_gives_back(void)
{
	enum { N = 40 };
	long start = proc_number("/proc/self/smaps_rollup", "Rss"), now = 0;
	char *p[N], *last;

	for (int round = scaled(5, 1); round; round--) {
		for (int i = 0; i < N; i++) {
			p[i] = map((size_t)(i + 1) * 100 * KIB);
			memset(p[i], 1, (size_t)(i + 1) * 100 * KIB);
		}
		for (int i = 0; i < N; i++)
			need(!munmap(p[i], (size_t)(i + 1) * 100 * KIB));
	}
	/* Unmapping nearly all of a long one lets go of nearly all of it. */
	last = map(48 * MIB);
	memset(last, 1, 48 * MIB);
	need(!munmap(last, 24 * MIB));
	need(!munmap(last + 26 * MIB, 22 * MIB));
	for (int i = 0; i < 500; i++) {
		now = pinned_kib();
		if (now <= (long)(20 * MIB / KIB))
			break;
		usleep(20000);
	}
	fprintf(stderr, "pinned at the end: %ld KiB\n", now);
	printf("pinned: %s\n", now <= (long)(20 * MIB / KIB) ? "little" : "much");
	now = proc_number("/proc/self/smaps_rollup", "Rss");
	fprintf(stderr, "resident: %ld, at first %ld KiB\n", now, start);
	printf("resident: %s\n", now - start < (long)(24 * MIB / KIB) ? "little" : "much");
	for (size_t at = 24 * MIB; at < 26 * MIB; at++)
		need(last[at] == 1);
}

/* With little data allowed there is room for a mapping, and what goes with it. */
static void case_little_data(void)
{
	enum { LEN = MIB };
	rlim_t most = (rlim_t)proc_number("/proc/self/status", "VmData") * KIB + 24 * MIB;
	char *p;

	need(!setrlimit(RLIMIT_DATA, &(struct rlimit){most, most}));
	p = map(LEN);
	memset(p, 1, LEN);
	puts("mapped");
	need(!munmap(p, LEN));
}

/* Address space that is only reserved costs nothing, however much it is. */
static void case_reserves(void)
{
	static const struct {
		size_t len;
		int prot, flags;
	} big[] = {
		{1024 * GIB, PROT_NONE, ANON | MAP_NORESERVE},
		{1024 * GIB, PROT_NONE, ANON},
		{64 * GIB, RW, ANON | MAP_NORESERVE},
		{4 * GIB, RW, ANON},
		{512 * MIB, RW, ANON},
		{8 * MIB, RW, ANON | MAP_STACK},
		{8 * MIB, RW, ANON | MAP_GROWSDOWN},
	};
	long start = proc_number("/proc/self/smaps_rollup", "Rss"), now;
	size_t n = sizeof(big) / sizeof(big[0]);
	char *p[sizeof(big) / sizeof(big[0])];

	for (size_t i = 0; i < n; i++) {
		p[i] = mmap(NULL, big[i].len, big[i].prot, big[i].flags, -1, 0);
		printf("%zu: %s\n", i, p[i] == MAP_FAILED ? "refused" : "mapped");
		if (p[i] != MAP_FAILED && big[i].prot)
			p[i][big[i].len - 1] = 1;
	}
	/* As an arena is made: reserved, then opened from the front. */
	need(!mprotect(p[0], 16 * MIB, RW));
	memset(p[0], 1, 300 * KIB);
	now = proc_number("/proc/self/smaps_rollup", "Rss");
	fprintf(stderr, "resident: %ld, at first %ld KiB\n", now, start);
	/* Superpages at the touched places, where they are always given. */
	printf("resident: %s\n", now - start < (long)(32 * MIB / KIB) ? "little" : "much");
	for (size_t i = 0; i < n; i++)
		if (p[i] != MAP_FAILED)
			need(!munmap(p[i], big[i].len));
}

/* The usual way to an aligned block: too much, then cut at both ends. */
static void case_aligned(void)
{
	for (size_t align = 128 * KIB; align <= 16 * MIB; align *= 2) {
		char *p = map(2 * align), *start;
		size_t head;

		start = (char *)(((uintptr_t)p + align - 1) & ~(align - 1));
		head = (size_t)(start - p);
		if (head)
			need(!munmap(p, head));
		if (align - head)
			need(!munmap(start + align, align - head));
		printf("%zu KiB: %zu breaks\n", align / KIB, (memset(start, 1, align),
							     breaks(start, align)));
		need(!munmap(start, align));
	}
}

/* Whether a mapping begins where CONTIG_RUN_ALIGN=64M would have it. */
static void case_aligned_far(void)
{
	char *p = mmap(NULL, 64 * KIB, RW, ANON, -1, 0);
	uint64_t frame;

	if (p == MAP_FAILED) {
		printf("%s\n", strerror(errno));
		return;
	}
	memset(p, 1, 64 * KIB);
	need(frames_of(p, 1, &frame));
	printf("%s\n", frame % (64 * MIB / PAGE) ? "elsewhere" : "aligned");
}

/* A block that grows stays whole, and keeps its content. */
static void case_grows(void)
{
	size_t len = 64 * KIB, steps = 0;
	char *p = map(len);

	memset(p, 1, len);
	while (len < 40 * MIB) {
		size_t more = len / 8 < PAGE ? PAGE : (len / 8 + PAGE - 1) & ~(PAGE - 1);
		char *q = mremap(p, len, len + more, MREMAP_MAYMOVE);

		need(q != MAP_FAILED);
		p = q;
		/* To the last byte of what was, and zeros from there on. */
		need(p[len - 1] == (steps ? (char)(steps % 100 + 2) : 1));
		for (size_t at = 0; at < more; at += 64)
			need(!p[len + at]);
		memset(p + len, (int)(++steps % 100) + 2, more);
		len += more;
		if (steps % 8 == 0)
			printf("%zu KiB: %zu breaks\n", len / KIB, breaks(p, len));
	}
	for (size_t at = 0; at < 64 * KIB; at++)
		need(p[at] == 1);
	need(!munmap(p, len));
}

/* A page's worth of dropping leaves frames where they are. */
static void case_drops(void)
{
	enum { LEN = 4 * MIB };
	uint64_t before[LEN / PAGE], after[LEN / PAGE];
	char *p = map(LEN);

	memset(p, 5, LEN);
	if (!frames_of(p, LEN / PAGE, before))
		exit(77);
	for (size_t at = 0; at < LEN; at += 64 * KIB) {
		need(!madvise(p + at, PAGE, MADV_DONTNEED));
		for (size_t i = 0; i < PAGE; i++)
			need(!p[at + i]);
		need(p[at + PAGE] == 5);
		need(!madvise(p + at + PAGE, PAGE, MADV_FREE));
	}
	/* The kernel can have collapsed no more than is there. */
	need(!madvise(p, LEN, 25 /* MADV_COLLAPSE */));
	memset(p, 6, LEN);
	need(frames_of(p, LEN / PAGE, after));
	printf("frames %s\n", memcmp(before, after, sizeof(before)) ? "moved" : "stayed");
	/* All of it: zeros, and the memory isn't kept. */
	need(!madvise(p, LEN, MADV_DONTNEED));
	for (size_t i = 0; i < LEN; i++)
		need(!p[i]);
	for (int i = 0; i < 500 && pinned_kib() > 2048; i++)
		usleep(20000);
	printf("pinned: %s\n", pinned_kib() > 2048 ? "much" : "little");
	need(!munmap(p, LEN));
}

static void *churn(void *arg)
{
	const int steps = scaled(2000, 150);
	uint64_t mine = (uintptr_t)arg * 977 + 1;
	struct {
		char *p;
		size_t len;
		char fill;
	} held[16] = {{0}};

	for (int i = 0; i < steps; i++) {
		size_t k, len;

		mine ^= mine << 13;
		mine ^= mine >> 7;
		mine ^= mine << 17;
		k = mine >> 20 & 15;
		if (held[k].p) {
			for (size_t at = 0; at < held[k].len; at += PAGE)
				need(held[k].p[at] == held[k].fill);
			if (mine & 3) {
				need(!munmap(held[k].p, held[k].len));
				held[k].p = NULL;
			} else {
				need(!madvise(held[k].p, held[k].len, MADV_DONTNEED));
				need(!held[k].p[held[k].len - 1]);
				memset(held[k].p, held[k].fill, held[k].len);
			}
			continue;
		}
		len = (1 + (mine >> 30) % 60) * 8 * KIB;
		held[k].p = map(len);
		held[k].len = len;
		held[k].fill = (char)(mine >> 40 | 1);
		for (size_t at = 0; at < len; at += PAGE)
			need(!held[k].p[at]);
		memset(held[k].p, held[k].fill, len);
	}
	for (int k = 0; k < 16; k++)
		if (held[k].p)
			need(!munmap(held[k].p, held[k].len));
	return NULL;
}

/* Threads that map and unmap, while others fork. */
static void case_threads(void)
{
	enum { N = 6 };
	pthread_t threads[N];

	for (uintptr_t i = 0; i < N; i++)
		need(!pthread_create(&threads[i], NULL, churn, (void *)(i + 1)));
	for (int i = scaled(20, 3); i; i--) {
		pid_t child = fork();
		int status;

		need(child >= 0);
		if (!child) {
			churn((void *)(uintptr_t)(i + 50));
			_exit(0);
		}
		need(waitpid(child, &status, 0) == child);
		need(WIFEXITED(status) && !WEXITSTATUS(status));
	}
	for (int i = 0; i < N; i++)
		need(!pthread_join(threads[i], NULL));
	puts("done");
}

static volatile int handled;

static void on_alarm(int signal)
{
	/* The next one long enough after, whatever this takes. */
	static const struct itimerval once = {{0, 0}, {0, 300}};
	char *p = mmap(NULL, 128 * KIB, RW, ANON, -1, 0);

	(void)signal;
	if (p == MAP_FAILED)
		_exit(90);
	p[0] = 1;
	if (madvise(p, PAGE, MADV_DONTNEED) || p[0] || munmap(p, 128 * KIB))
		_exit(91);
	handled++;
	setitimer(ITIMER_REAL, &once, NULL);
}

/* A handler that maps, over a thread that maps. */
static void case_signals(void)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval timer = {{0, 0}, {0, 300}};

	need(!sigaction(SIGALRM, &action, NULL));
	need(!setitimer(ITIMER_REAL, &timer, NULL));
	churn((void *)(uintptr_t)7);
	memset(&timer, 0, sizeof(timer));
	need(!setitimer(ITIMER_REAL, &timer, NULL));
	need(handled);
	puts("done");
}

/* A parent's frames stay where they are, and the child's memory is its own. */
static void case_fork(void)
{
	enum { LEN = 6 * MIB };
	char *p = map(LEN);
	uint64_t before[LEN / PAGE], after[LEN / PAGE];
	int status;
	pid_t child;

	memset(p, 1, LEN);
	need(frames_of(p, LEN / PAGE, before));
	child = fork();
	need(child >= 0);
	if (!child) {
		for (size_t at = 0; at < LEN; at++)
			if (p[at] != 1)
				_exit(1);
		memset(p, 2, LEN);
		if (munmap(p, LEN / 2) || madvise(p + LEN / 2, PAGE, MADV_DONTNEED) || p[LEN / 2])
			_exit(2);
		p = mmap(NULL, MIB, RW, ANON, -1, 0);
		_exit(p == MAP_FAILED || *p ? 3 : 0);
	}
	memset(p, 3, LEN);
	need(waitpid(child, &status, 0) == child);
	need(WIFEXITED(status) && !WEXITSTATUS(status));
	for (size_t at = 0; at < LEN; at++)
		need(p[at] == 3);
	need(frames_of(p, LEN / PAGE, after));
	printf("frames %s\n", memcmp(before, after, sizeof(before)) ? "moved" : "stayed");
	need(!munmap(p, LEN));
}

/* Whether the kernel, told to move a page to the other node, does: without a
 * second node it can't. */
static bool moves(void *page)
{
	int node = -1, other = -1, now = -1;

	memset(page, 1, 1);
	if (syscall(SYS_move_pages, 0, 1UL, &page, NULL, &node, 0) || node < 0)
		return false;
	other = !node;
	syscall(SYS_move_pages, 0, 1UL, &page, &other, &now, 2 /* MPOL_MF_MOVE */);
	now = -1;
	return !syscall(SYS_move_pages, 0, 1UL, &page, NULL, &now, 0) && now == other;
}

/*
 * Linux 6.1 pins no System V segment for io_uring, but a pipe's reference holds
 * it as well, and isn't counted in VmPin.  With two nodes that can be seen: an
 * ordinary segment moves, and this one doesn't.
 */
static bool is_held(char *p, size_t len)
{
	int id;
	char *plain;
	bool held;

	if (pinned_kib() >= (long)(len / KIB))
		return true;
	id = shmget(IPC_PRIVATE, len, IPC_CREAT | 0600);
	plain = (char *)syscall(SYS_shmat, id, NULL, 0);
	need(id >= 0 && plain != (void *)-1 && !shmctl(id, IPC_RMID, NULL));
	held = moves(plain);
	for (size_t at = 0; at < len; at += 2 * MIB)
		held = held && !moves(p + at);
	need(!syscall(SYS_shmdt, plain));
	return held;
}

/* A segment that a child attaches by its key's identifier. */
static void case_segment(void)
{
	enum { LEN = 6 * MIB + 3 * PAGE };
	int id = shmget(IPC_PRIVATE, LEN, IPC_CREAT | 0600), status;
	struct shmid_ds info;
	long held, left;
	char *p, *q;
	pid_t child;

	if (id < 0 && errno == ENOSPC)
		exit(77);
	need(id >= 0);
	p = shmat(id, NULL, 0);
	need(p != (void *)-1);
	for (size_t at = 0; at < LEN; at++)
		need(!p[at]);
	memset(p, 7, LEN);
	child = fork();
	need(child >= 0);
	if (!child) {
		q = shmat(id, NULL, 0);
		if (q == (void *)-1 || q[LEN - 1] != 7)
			_exit(1);
		q[5] = 8;
		if (p[5] != 8 || shmdt(q) || shmdt(p))
			_exit(2);
		_exit(0);
	}
	need(waitpid(child, &status, 0) == child);
	need(WIFEXITED(status) && !WEXITSTATUS(status));
	need(p[5] == 8);
	need(!shmctl(id, IPC_STAT, &info));
	printf("size %zu, attached %lu\n", info.shm_segsz, (unsigned long)info.shm_nattch);
	/* Superpages: whatever their order, each is a run. */
	for (size_t i = 0; i < LEN / (2 * MIB); i++)
		printf("superpage %zu: %s\n", i,
		       breaks(p + i * 2 * MIB, 2 * MIB) ? "in pieces" : "whole");
	p[0] = p[2 * MIB] = p[4 * MIB] = 1;
	printf("pinned: %s\n", is_held(p, 6 * MIB) ? "yes" : "no");
	/* Read-only, at an address of ours, and over a mapping. */
	q = shmat(id, NULL, SHM_RDONLY);
	need(q != (void *)-1 && q[5] == 8 && !shmdt(q));
	q = map(8 * MIB);
	need(shmat(id, q, SHM_REMAP) == q && q[5] == 8 && !q[7 * MIB]);
	q[6] = 9;
	need(p[6] == 9);
	need(!shmdt(q) && !munmap(q, 8 * MIB));
	need(!shmctl(id, IPC_RMID, NULL));
	/* What pipes hold isn't counted by the kernel. */
	held = pinned_kib();
	left = held < (long)(6 * MIB / KIB) ? held : held - (long)(6 * MIB / KIB);
	need(!shmdt(p) && shmdt(p) < 0 && errno == EINVAL);
	for (int i = 0; i < 500 && pinned_kib() > left; i++)
		usleep(20000);
	fprintf(stderr, "pinned: %ld, then %ld KiB\n", held, pinned_kib());
	printf("afterwards: %s\n", pinned_kib() <= left ? "little" : "much");
}

/* Unmapping more than one has takes nothing from mappings to come.  (Not to be
 * tried without the shim: other people's memory may lie there.) */
static void case_beyond(void)
{
	for (int i = 0; i < 20; i++) {
		char *p = map(64 * KIB), *q = map(64 * KIB), *r;

		need(q == p + 64 * KIB || i);
		q[0] = 1;
		need(!munmap(q, 512 * KIB));
		need(msync(q + 128 * KIB, PAGE, MS_ASYNC) < 0 && errno == ENOMEM);
		r = map(128 * KIB);
		need(!r[0] && !r[128 * KIB - 1]);
		memset(r, 2, 128 * KIB);
		need(mprotect(r, MIB, PROT_READ) < 0 && errno == ENOMEM);
		need(!munmap(r, 128 * KIB) && !munmap(p, 64 * KIB));
		r = map(64 * KIB);
		memset(r, 3, 64 * KIB);
		need(!munmap(r, 64 * KIB));
	}
	puts("done");
}

/*
 * n pieces of len bytes next to each other that the kernel can't join, since
 * they were touched in the opposite order; the pages of piece i hold i + 1.
 * Superpages that the shim puts together can be like that.
 */
static char *pieces(size_t len, size_t n)
{
	char *from = map(n * len), *to = mmap(NULL, n * len, PROT_NONE, ANON, -1, 0);

	need(to != MAP_FAILED);
	for (size_t i = 0; i < n; i++) {
		memset(from + i * len, (int)(n - i), len);
		need(mremap(from + i * len, len, len, MREMAP_MAYMOVE | MREMAP_FIXED,
			    to + (n - 1 - i) * len) == to + (n - 1 - i) * len);
	}
	/* By the kernel alone it doesn't go, or there is nothing to see here. */
	need((void *)syscall(SYS_mremap, to, n * len, n * len + PAGE, MREMAP_MAYMOVE) ==
	     MAP_FAILED && errno == EFAULT);
	return to;
}

/* Bytes [at, at + n) of pieces of len bytes, at p. */
static void need_pieces(const char *p, size_t len, size_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		need(p[i] == (char)((at + i) / len + 1));
}

static bool is_mapped(char *p)
{
	unsigned char there;

	return !mincore(p, PAGE, &there);
}

/* What is one mapping to the program moves, grows and shrinks as one.  (With the
 * shim only: to the kernel these are several, and an error.) */
static void case_pieces(void)
{
	enum { N = 5 };
	const size_t len = 48 * PAGE, all = N * len, more = 40 * PAGE;
	struct rlimit limit, tight;
	char *p, *q, *r;
	int status;
	pid_t child;

	/* Grows: zeros behind, and the kernel's own error isn't seen. */
	p = pieces(len, N);
	errno = 0;
	q = mremap(p, all, all + more, MREMAP_MAYMOVE);
	need(q != MAP_FAILED && !errno);
	need_pieces(q, len, 0, all);
	for (size_t i = 0; i < more; i++)
		need(!q[all + i]);
	memset(q, 1, all + more);
	need(q == p || !is_mapped(p));
	need(!munmap(q, all + more));

	/* In place or not at all. */
	p = pieces(len, N);
	r = mmap(p + all, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	need(r == p + all || errno == EEXIST);
	need(mremap(p, all, all + PAGE, 0) == MAP_FAILED && errno == ENOMEM);
	need(mremap(p, all, all, 0) == p);
	need_pieces(p, len, 0, all);
	need(mremap(p, all, all - PAGE, 0) == p && !is_mapped(p + all - PAGE));
	need_pieces(p, len, 0, all - PAGE);

	/* Onto another mapping, and shorter: from the middle of one piece to the
	 * middle of another; what was left around it stays. */
	q = map(all);
	memset(q, 99, all);
	need(mremap(p + PAGE, 4 * len, 3 * len, MREMAP_MAYMOVE | MREMAP_FIXED, q + PAGE) ==
	     q + PAGE);
	need_pieces(q + PAGE, len, PAGE, 3 * len);
	need(q[PAGE - 1] == 99 && q[PAGE + 3 * len] == 99 && q[all - 1] == 99);
	need(p[0] == 1 && !is_mapped(p + PAGE) && !is_mapped(p + 4 * len));
	need_pieces(p + PAGE + 4 * len, len, PAGE + 4 * len, len - 2 * PAGE);
	/* In pieces at the new place too; and in a child. */
	child = fork();
	need(child >= 0);
	if (!child) {
		need((r = mremap(q + PAGE, 3 * len, 3 * len + more, MREMAP_MAYMOVE)) != MAP_FAILED);
		need_pieces(r, len, PAGE, 3 * len);
		_exit(0);
	}
	need(waitpid(child, &status, 0) == child && !status);
	r = mremap(q + PAGE, 3 * len, 4 * len, MREMAP_MAYMOVE);
	need(r != MAP_FAILED && r != q + PAGE && !is_mapped(q + PAGE));
	need_pieces(r, len, PAGE, 3 * len);
	need(!r[3 * len] && !r[4 * len - 1] && q[0] == 99);

	/* Two places: zeros at the old one. */
	p = pieces(len, N);
	q = mremap(p, all, all, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	need(q != MAP_FAILED);
	need_pieces(q, len, 0, all);
	for (size_t i = 0; i < all; i++)
		need(!p[i]);
	memset(p, 7, all);
	need_pieces(q, len, 0, all);

	/* Protection comes along. */
	need(!mprotect(q, all, PROT_READ));
	r = mremap(q, all, all + PAGE, MREMAP_MAYMOVE);
	need(r != MAP_FAILED);
	need_pieces(r, len, 0, all);
	need(put((uint64_t *)(void *)r, 1) == SIGSEGV);
	need(put((uint64_t *)(void *)(r + all), 1) == SIGSEGV);

	/* What nobody could take for one mapping. */
	p = pieces(len, N);
	need(!mprotect(p + len, len, PROT_READ));
	need(mremap(p, all, all + PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	need(!mprotect(p + len, len, RW));
	need(!munmap(p + 2 * len, PAGE));
	need(mremap(p, all, all + PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	file = memfd_create("victim", 0);
	need(mmap(p + 2 * len, PAGE, RW, MAP_PRIVATE | MAP_FIXED, file, 0) == p + 2 * len);
	need(mremap(p, all, all + PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	need_pieces(p, len, 0, 2 * len);

	/* When it fails, also half-way, all is where it was. */
	p = pieces(len, N);
	need(mremap(p, all, ((size_t)1 << 47) - GIB, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
	need_pieces(p, len, 0, all);
	r = mmap(p + all, PAGE, PROT_NONE, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	need(r == p + all || errno == EEXIST);
	need(!getrlimit(RLIMIT_DATA, &limit));
	tight = limit;
	tight.rlim_cur = (rlim_t)proc_number("/proc/self/status", "VmData") * KIB + MIB;
	need(!setrlimit(RLIMIT_DATA, &tight));
	need(mremap(p, all, all + 16 * MIB, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
	need(!setrlimit(RLIMIT_DATA, &limit));
	need_pieces(p, len, 0, all);
	memset(p, 1, all);
	puts("done");
}

static char *block(size_t align, size_t len, int fill)
{
	void *p;

	need(!posix_memalign(&p, align, len));
	memset(p, fill, len);
	return p;
}

static void need_all(const char *p, size_t len, int fill)
{
	for (size_t i = 0; i < len; i++)
		need(p[i] == (char)fill);
}

static uint64_t write_fault(char *p)
{
	return put((uint64_t *)(void *)p, 0);
}

/* Parts of malloc'ed blocks, which their neighbours don't notice. */
static void case_protects(void)
{
	enum { BLOCKS = 64, LEN = 96 * 1024, BIG = 7 << 20 };
	char *small[4 * BLOCKS], *p[BLOCKS], *big, *q;
	int status, segment;
	pid_t child;

	/* A segment in the place of a part. */
	q = block(2 * MIB, 2 * MIB, 9);
	segment = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600);
	need(segment >= 0 && shmat(segment, q + 8 * PAGE, SHM_REMAP) == q + 8 * PAGE);
	need(!shmctl(segment, IPC_RMID, NULL));
	need(q[8 * PAGE - 1] == 9 && q[8 * PAGE] == 0 && q[9 * PAGE] == 9);
	need(!shmdt(q + 8 * PAGE) && !is_mapped(q + 8 * PAGE));
	need(mmap(q + 8 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == q + 8 * PAGE);
	free(q);
	for (int i = 0; i < 4 * BLOCKS; i++) {
		small[i] = malloc(3000);
		memset(small[i], i, 3000);
		if (i % 4 == 3)
			p[i / 4] = block(PAGE, LEN, i / 4);
	}
	/* A guard at the end, a read-only page in the middle. */
	errno = 0;
	for (int i = 0; i < BLOCKS; i++) {
		need(!mprotect(p[i] + LEN - PAGE, PAGE, PROT_NONE) && !errno);
		need(!mprotect(p[i] + 5 * PAGE, 2 * PAGE, PROT_READ) && !errno);
	}
	for (int i = 0; i < BLOCKS; i++) {
		need_all(p[i], LEN - PAGE, i);
		need(write_fault(p[i] + 5 * PAGE) == SIGSEGV);
		need(write_fault(p[i] + 7 * PAGE - 8) == SIGSEGV);
		need(look((uint64_t *)(void *)(p[i] + LEN - PAGE)) >> 63);
		memset(p[i], i, 5 * PAGE);
		memset(p[i] + 7 * PAGE, i, LEN - 8 * PAGE);
	}
	child = fork();
	need(child >= 0);
	if (!child) {
		for (int i = 0; i < BLOCKS; i++) {
			need_all(p[i], LEN - PAGE, i);
			need(write_fault(p[i] + 5 * PAGE) == SIGSEGV);
			need(!mprotect(p[i] + LEN - PAGE, PAGE, RW));
			need_all(p[i], LEN, i);
			need(!mprotect(p[i] + PAGE, PAGE, PROT_READ));
		}
		_exit(0);
	}
	need(waitpid(child, &status, 0) == child && !status);
	/* Dropped: zeros, also behind a protection. */
	for (int i = 0; i < BLOCKS; i += 2) {
		need(!madvise(p[i] + 4 * PAGE, 2 * PAGE, MADV_DONTNEED));
		need(!madvise(p[i] + LEN - 2 * PAGE, 2 * PAGE, MADV_DONTNEED));
		need(write_fault(p[i] + 5 * PAGE) == SIGSEGV);
		need(look((uint64_t *)(void *)(p[i] + LEN - PAGE)) >> 63);
	}
	for (int i = 0; i < BLOCKS; i++) {
		need(!mprotect(p[i], LEN, RW));
		if (i % 2 == 0) {
			need_all(p[i] + 4 * PAGE, 2 * PAGE, 0);
			need_all(p[i] + LEN - 2 * PAGE, 2 * PAGE, 0);
			memset(p[i] + 4 * PAGE, i, 2 * PAGE);
			memset(p[i] + LEN - 2 * PAGE, i, 2 * PAGE);
		}
		need_all(p[i], LEN, i);
	}
	/* Other memory in a block's place, and moved out of one. */
	for (int i = 1; i < 20; i += 2) {
		char *at = p[i] + 8 * PAGE;

		need(mmap(at, PAGE, RW, ANON | MAP_FIXED, -1, 0) == at);
		need_all(at, PAGE, 0);
		need_all(at + PAGE, PAGE, i);
		need(!munmap(at, PAGE) && !is_mapped(at) && at[-1] == i && at[PAGE] == i);
		q = mremap(at + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
		need(q != MAP_FAILED && q != at + PAGE && !is_mapped(at + PAGE));
		need_all(q, PAGE, i);
		need_all(q + PAGE, PAGE, 0);
		need(mremap(q, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
		memset(at, i, 2 * PAGE);
	}
	/* From the middle of one superpage to that of another. */
	big = block(2 * MIB, BIG, 5);
	need(!mprotect(big + MIB, 4 * MIB, PROT_READ));
	need(!write_fault(big + MIB - 8) && write_fault(big + MIB) == SIGSEGV);
	need(write_fault(big + 3 * MIB) == SIGSEGV && write_fault(big + 5 * MIB - 8) == SIGSEGV);
	need(!write_fault(big + 5 * MIB) && !write_fault(big + BIG - 8));
	need_all(big + MIB, 4 * MIB, 5);
	/* A page of what is protected as a whole. */
	need(!mprotect(big + 3 * MIB + PAGE, PAGE, RW));
	need(!write_fault(big + 3 * MIB + PAGE) && write_fault(big + 3 * MIB) == SIGSEGV);
	need(!madvise(big + MIB, 4 * MIB, MADV_DONTNEED) && write_fault(big + MIB) == SIGSEGV);
	need_all(big + MIB, 4 * MIB, 0);
	/* Not for the child. */
	need(!madvise(big + 6 * MIB + PAGE, PAGE, MADV_DONTFORK));
	child = fork();
	need(child >= 0);
	if (!child)
		_exit(look((uint64_t *)(void *)(big + 6 * MIB + PAGE)) >> 63 &&
				      big[6 * MIB] == 5 && big[6 * MIB + 2 * PAGE] == 5 ?
			      0 : 1);
	need(waitpid(child, &status, 0) == child && !status);
	need(!mprotect(big, BIG, RW));
	memset(big, 6, BIG);
	/* What is wrong stays wrong. */
	need(mprotect(big + 1, PAGE, PROT_READ) < 0 && errno == EINVAL);
	need(mprotect(big, PAGE, 1 << 20) < 0 && errno == EINVAL);
	/* Freed, and made use of anew. */
	free(big);
	for (int i = 0; i < BLOCKS; i += 2)
		free(p[i]);
	for (int round = 0; round < 20; round++) {
		q = block(PAGE, (size_t)(1 + round) * 300 * KIB, round);
		need_all(q, (size_t)(1 + round) * 300 * KIB, round);
		free(q);
	}
	for (int i = 0; i < 4 * BLOCKS; i++)
		need_all(small[i], 3000, i);
	for (int i = 1; i < BLOCKS; i += 2)
		need_all(p[i], LEN, i);
	puts("done");
}

/* What other memory puts up with, parts of a block do too; and stay as they are. */
static void take_hints(char *p, int fill)
{
	static const int hints[] = {
		MADV_NORMAL,	 MADV_RANDOM,	MADV_SEQUENTIAL, MADV_WILLNEED,
		MADV_MERGEABLE,	 MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		20 /* MADV_COLD */, 21 /* MADV_PAGEOUT */, MADV_FREE,
	};
	char *other = mmap(NULL, 2 * PAGE, RW, ANON, -1, 0);

	need(other != MAP_FAILED);
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		memset(p, fill, 4 * PAGE);
		errno = 0;
		if (!madvise(other, 2 * PAGE, hints[i]) && madvise(p + PAGE, 2 * PAGE, hints[i]))
			die("hint %d: %s", hints[i], strerror(errno));
		if (hints[i] <= MADV_WILLNEED)
			need(!posix_madvise(p + PAGE, 2 * PAGE, hints[i]));
		need_all(p, PAGE, fill);
		need_all(p + 3 * PAGE, PAGE, fill);
		for (size_t at = PAGE; hints[i] != MADV_FREE && at < 3 * PAGE; at++)
			need(p[at] == (char)fill);
	}
	need(!munmap(other, 2 * PAGE));
}

static void drop_parts(char *p, size_t len, int fill)
{
	need_all(p, len, fill);
	need(!madvise(p + PAGE, 2 * PAGE, MADV_DONTNEED));
	need(!madvise(p + len / 2 + PAGE, len / 4, MADV_DONTNEED));
	need_all(p, PAGE, fill);
	need_all(p + PAGE, 2 * PAGE, 0);
	need_all(p + 3 * PAGE, len / 2 - 2 * PAGE, fill);
	need_all(p + len / 2 + PAGE, len / 4, 0);
	need_all(p + len / 2 + len / 4 + PAGE, len / 4 - PAGE, fill);
	memset(p, fill, len);
}

/* Also in a child, which has copies of its parent's superpages. */
enum { ADVISED = 6 << 20, ADVISED_SHORT = 96 * 1024 };

static void advise_parts(char *p, char *q)
{
	take_hints(p, 3);
	take_hints(q + PAGE, 4);
	drop_parts(p, ADVISED, 3);
	drop_parts(q, ADVISED_SHORT, 4);
}

static void case_advises(void)
{
	char *p = block(PAGE, ADVISED, 3), *q = block(PAGE, ADVISED_SHORT, 4);
	int status;
	pid_t child;

	advise_parts(p, q);
	child = fork();
	need(child >= 0);
	if (!child) {
		advise_parts(p, q);
		child = fork();
		need(child >= 0);
		if (!child) {
			take_hints(p, 3);
			drop_parts(p, ADVISED, 3);
			_exit(0);
		}
		need(waitpid(child, &status, 0) == child && !status);
		_exit(0);
	}
	need(waitpid(child, &status, 0) == child && !status);
	need_all(p, ADVISED, 3);
	puts("done");
}

enum { SHARED_BLOCKS = 24, SHARED_LEN = 64 * 4096, COUNTERS = 3 };
static char *shared_blocks[SHARED_BLOCKS];
static volatile int stop;

/* Counts on a page of its own in every block. */
static void *count_up(void *arg)
{
	size_t page = 8 + (size_t)(uintptr_t)arg;

	for (uint64_t n = 1; !stop; n++) {
		for (int i = 0; i < SHARED_BLOCKS; i++) {
			volatile uint64_t *p = (void *)(shared_blocks[i] + page * PAGE);

			if (++*p != n)
				die("block %d: %" PRIu64 " rather than %" PRIu64, i, *p, n);
		}
		sched_yield();
	}
	return NULL;
}

/* Nothing of what others write meanwhile gets lost. */
static void case_protects_threads(void)
{
	pthread_t threads[COUNTERS];

	for (int i = 0; i < SHARED_BLOCKS; i++)
		shared_blocks[i] = block(PAGE, SHARED_LEN, 0);
	for (int i = 0; i < COUNTERS; i++)
		need(!pthread_create(&threads[i], NULL, count_up, (void *)(uintptr_t)i));
	for (int i = 0; i < SHARED_BLOCKS; i++) {
		memset(shared_blocks[i], i + 1, 8 * PAGE);
		if (mprotect(shared_blocks[i] + PAGE, PAGE, PROT_READ)) {
			fprintf(stderr, "block %d: %s\n", i, strerror(errno));
			exit(77);
		}
		need(write_fault(shared_blocks[i] + PAGE) == SIGSEGV);
	}
	for (int i = 0; i < SHARED_BLOCKS; i++)
		need_all(shared_blocks[i], 8 * PAGE, i + 1);
	stop = 1;
	for (int i = 0; i < COUNTERS; i++)
		need(!pthread_join(threads[i], NULL));
	puts("done");
}

static int userfault = -1;
static volatile int asked;

static void *answer(void *arg)
{
	struct uffd_msg message;
	char page[4096];

	(void)arg;
	memset(page, 9, sizeof(page));
	while (read(userfault, &message, sizeof(message)) == (ssize_t)sizeof(message)) {
		struct uffdio_copy copy = {
			.dst = message.arg.pagefault.address & ~(uint64_t)(PAGE - 1),
			.src = (uintptr_t)page,
			.len = PAGE,
		};

		need(message.event == UFFD_EVENT_PAGEFAULT);
		asked++;
		need(!ioctl(userfault, UFFDIO_COPY, &copy));
	}
	return NULL;
}

/* Pages that were never written are asked for; and those dropped, again. */
static void case_userfaults(void)
{
	enum { N = 16 };
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register wish = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	char *p = map(N * PAGE);
	pthread_t thread;

	p[3 * PAGE] = 1;
	p[5 * PAGE] = 1;
	userfault = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (userfault < 0 || ioctl(userfault, UFFDIO_API, &api)) {
		fputs("userfaultfd isn't to be had\n", stderr);
		exit(77);
	}
	wish.range.start = (uintptr_t)p;
	wish.range.len = N * PAGE;
	need(!ioctl(userfault, UFFDIO_REGISTER, &wish));
	need(!pthread_create(&thread, NULL, answer, NULL));
	for (size_t i = 0; i < N; i++)
		need(p[i * PAGE] == (i == 3 || i == 5 ? 1 : 9));
	need(!madvise(p + 3 * PAGE, PAGE, MADV_DONTNEED) && p[3 * PAGE] == 9);
	printf("asked %d times\n", asked);
	fflush(stdout);
	_exit(0);
}

/* Which sizes are to be had at all. */
static void case_sizes(void)
{
	for (size_t len = 64 * KIB; len <= 32 * MIB; len *= 2) {
		char *p = mmap(NULL, len, RW, ANON, -1, 0), line[64];
		int n = snprintf(line, sizeof(line), "%zu KiB: %s, %s\n", len / KIB,
				 p == MAP_FAILED ? strerror(errno) : "mapped",
				 is_populated(p, len) ? "there" : "not there");

		need(write(1, line, (size_t)n) == n);
		if (p != MAP_FAILED)
			need(!munmap(p, len));
	}
	/* Nothing is asked of a reservation. */
	need(mmap(NULL, 32 * MIB, PROT_NONE, ANON, -1, 0) != MAP_FAILED);
}

/* A mapping that grows, far enough to have to move, and on. */
static void case_grows_on(void)
{
	char *p = mmap(NULL, MIB, RW, ANON, -1, 0);
	size_t len = MIB;

	need(p != MAP_FAILED);
	memset(p, 1, MIB);
	for (size_t more = 2 * MIB; more <= 16 * MIB; more *= 2) {
		char *q = mremap(p, len, more, MREMAP_MAYMOVE);

		printf("%zu KiB: %s\n", more / KIB, q == MAP_FAILED ? strerror(errno) : "grown");
		if (q == MAP_FAILED)
			continue;
		p = q;
		memset(p + len, 1, more - len);
		len = more;
	}
	for (size_t at = 0; at < len; at++)
		need(p[at] == 1);
	need(!munmap(p, len));
}

/* How a new segment can be attached, and whether it is then. */
static void attach_new(size_t len, int flags)
{
	int id = shmget(IPC_PRIVATE, len, IPC_CREAT | 0600 | flags);
	struct shmid_ds info;
	char *p;

	if (id < 0 && (errno == ENOSPC || errno == EPERM))
		exit(77);
	need(id >= 0);
	p = shmat(id, NULL, 0);
	printf("%zu KiB: %s", len / KIB, p == (void *)-1 ? strerror(errno) : "attached");
	need(!shmctl(id, IPC_STAT, &info));
	printf(", %lu\n", (unsigned long)info.shm_nattch);
	if (p != (void *)-1) {
		memset(p, 1, len);
		need(!shmdt(p));
	}
	need(!shmctl(id, IPC_RMID, NULL));
}

static void case_attaches(void)
{
	attach_new(MIB, 0);
	attach_new(2 * MIB, 0);
	attach_new(6 * MIB + 12 * KIB, 0);
	attach_new(14 * MIB, 0);
}

static void case_attaches_hugetlb(void)
{
	attach_new(4 * MIB, SHM_HUGETLB);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"runs", case_runs},	   {"gives_back", case_gives_back}, {"reserves", case_reserves},
	{"little_data", case_little_data},
	{"aligned", case_aligned}, {"grows", case_grows},	    {"drops", case_drops},
	{"threads", case_threads}, {"signals", case_signals},	    {"fork", case_fork},
	{"segment", case_segment}, {"sizes", case_sizes},
	{"grows_on", case_grows_on}, {"aligned_far", case_aligned_far},
	{"attaches", case_attaches}, {"attaches_hugetlb", case_attaches_hugetlb},
	{"userfaults", case_userfaults},
	{"beyond", case_beyond},   {"pieces", case_pieces},
	{"advises", case_advises},
	{"protects", case_protects}, {"protects_threads", case_protects_threads},
};

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};

	log_all = getenv("VICTIM_LOG");
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	if (argc == 4 && !strcmp(argv[1], "random")) {
		random_operations(strtoull(argv[2], NULL, 0), strtoul(argv[3], NULL, 0));
		return 0;
	}
	for (size_t i = 0; argc == 2 && i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].run();
			return 0;
		}
	fputs("usage: victim_mmap random SEED N | CASE\n", stderr);
	return 2;
}
