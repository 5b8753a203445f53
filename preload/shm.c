/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System V shared memory.  A segment stays the kernel's: others find it by its
 * key.  When it is attached, what there is of whole superpages is collapsed
 * and pinned as long as this process is attached.  How long the runs are is up
 * to the kernel, and is told.  shmget() and shmctl() need no help.
 */
#include "preload/calm.h"
#include "preload/fork.h"
#include "preload/inside.h"
#include "preload/loosen.h"
#include "preload/mappings.h"
#include "preload/options.h"
#include "preload/raw.h"
#include "preload/report.h"
#include "preload/segments.h"

#include "base/page.h"
#include "base/reason.h"
#include "host/pagemap.h"
#include "host/pin.h"
#include "host/superpage.h"
#include "host/superpage_touch.h"
#include "phys/limit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define EXPORT __attribute__((visibility("default")))

#define ROOM_PART 8 /* as for mappings */
#define ATTACHED_MOST 256

static struct attached {
	uintptr_t start; /* 0: free */
	size_t bytes; /* of superpages, claimed */
	struct pin *pin;
} attached[ATTACHED_MOST];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void enter(struct calm *calm)
{
	shim_fork_make_up();
	calm_begin(calm);
	pthread_mutex_lock(&lock);
}

static void leave(const struct calm *calm)
{
	pthread_mutex_unlock(&lock);
	calm_end(calm);
}

/* Where superpages can be mapped as such. */
static void *attach_aligned(int id, size_t size, int flags)
{
	/* The kernel rounds segments of hugetlb pages up, and doesn't tell. */
	size_t len = align_up(size, FRAME_SIZE), room = align_up(size, SUPERPAGE_SIZE);
	size_t span = room + 2 * SUPERPAGE_SIZE;
	char *p = shim_raw_mmap(NULL, span, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start, *va;

	if (p == MAP_FAILED)
		return (void *)-1;
	start = (char *)align_up((uintptr_t)p, SUPERPAGE_SIZE);
	/* One of 1 GiB pages must not fit: it would be mapped over what follows. */
	if (!((uintptr_t)start & (GIGAPAGE_SIZE - 1)))
		start += SUPERPAGE_SIZE;
	va = shim_raw_shmat(id, start, flags | SHM_REMAP);
	if (va != start) {
		shim_raw_munmap(p, span);
		return (void *)-1;
	}
	if (start > p)
		shim_raw_munmap(p, (size_t)(start - p));
	if (shim_raw_munmap(start + len, (size_t)(p + span - start) - len) < 0)
		shim_raw_munmap(start + room, (size_t)(p + span - start) - room);
	return va;
}

/* Superpages from va on that could be had. */
static size_t collapse(char *va, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++, va += SUPERPAGE_SIZE)
		/* Reading is enough, and leaves the content alone. */
		if (contig_superpage_advise(va, FRAME_SIZE, MADV_POPULATE_READ) ||
		    contig_superpage_advise(va, SUPERPAGE_SIZE, MADV_COLLAPSE))
			break;
	return i;
}

/* One that was made of hugetlb pages (SHM_HUGETLB): nobody tells of that, but
 * such pages take no advice for pages that can be reclaimed. */
static bool is_hugetlb(void *va)
{
	return shim_raw_madvise(va, FRAME_SIZE, MADV_COLD) < 0 && errno == EINVAL;
}

/* At once, on the stack of a program's thread. */
#define LOOK_FRAMES 128

/* The longest run in frames; a superpage when they are hidden. */
static size_t longest_run(const char *va, size_t n)
{
	uint64_t frames[LOOK_FRAMES], next = 0;
	size_t run = 0, longest = n ? SUPERPAGE_FRAMES : 0;
	int pagemap = contig_pagemap_open(0);

	if (pagemap < 0)
		return longest * FRAME_SIZE;
	for (size_t i = 0; i < n * SUPERPAGE_FRAMES; i += LOOK_FRAMES) {
		if (contig_pagemap_read(pagemap, (uintptr_t)va + i * FRAME_SIZE, LOOK_FRAMES,
					frames) < 0 ||
		    !frame_is_known(frames[0]))
			break;
		for (size_t j = 0; j < LOOK_FRAMES; j++) {
			run = run && frames[j] == next ? run + 1 : 1;
			next = frames[j] + 1;
			if (run > longest)
				longest = run;
		}
	}
	close(pagemap);
	return longest * FRAME_SIZE;
}

static struct pin *wire(void *va, size_t n)
{
	struct iovec ranges[PIN_SLOTS];
	size_t left = n * SUPERPAGE_SIZE;
	unsigned int used = 0;

	for (char *at = va; left && used < PIN_SLOTS; used++) {
		ranges[used].iov_base = at;
		ranges[used].iov_len = left < GIGAPAGE_SIZE ? left : GIGAPAGE_SIZE;
		at += ranges[used].iov_len;
		left -= ranges[used].iov_len;
	}
	return left ? NULL : contig_pin_make(ranges, used, SUPERPAGE_SIZE, false);
}

static void forget(uintptr_t start)
{
	for (size_t i = 0; i < ATTACHED_MOST; i++)
		if (attached[i].start == start) {
			contig_pin_drop(attached[i].pin);
			contig_limit_return(attached[i].bytes);
			attached[i] = (struct attached){0};
		}
}

static struct attached *free_entry(void)
{
	for (size_t i = 0; i < ATTACHED_MOST; i++)
		if (!attached[i].start)
			return &attached[i];
	return NULL;
}

/* With the entry that obstacle() found. */
static void remember(uintptr_t start, size_t bytes, struct pin *pin)
{
	/* Taken away by munmap(2), which we don't look at. */
	forget(start);
	*free_entry() = (struct attached){start, bytes, pin};
}

/* What a segment came to; loose: why it isn't wired, NULL: it is. */
struct outcome {
	size_t len, on_superpages, run;
	const char *loose;
};

/* NULL: as promised. */
static const char *shortfall(const struct outcome *o)
{
	if (o->on_superpages < o->len)
		return "shared memory: superpages end before the segment does, or can't be had";
	if (o->loose)
		return o->loose;
	if (shim_options.low || shim_options.high != UINT64_MAX || shim_options.align ||
	    shim_options.node >= 0)
		return "shared memory: lies where the kernel put it (--below, --align, --node)";
	if (o->run < o->len)
		return "shared memory: not one run of superpages, or frames are hidden";
	return NULL;
}

static void count(const struct outcome *o, const char *why)
{
	shim_count_asked(o->len);
	shim_count(SHIM_SEGMENTS, o->on_superpages);
	shim_count(SHIM_ON_SUPERPAGES, o->on_superpages);
	if (!o->loose)
		shim_count(SHIM_WIRED, o->on_superpages);
	shim_count_max(SHIM_LARGEST_RUN, o->run);
	shim_count(SHIM_BASE_PAGES, o->len - o->on_superpages);
	if (o->on_superpages < o->len || o->loose) {
		shim_count(SHIM_FALLBACKS, 1);
		shim_count(SHIM_FALLBACK_BYTES, o->loose ? o->len : o->len - o->on_superpages);
	}
	if (o->run >= o->len)
		shim_count(SHIM_LARGE_CONTIGUOUS, o->len);
	if (!o->loose && o->on_superpages >= o->len)
		shim_count(SHIM_LARGE_WIRED, o->len);
	shim_count(why ? SHIM_LARGE_BROKEN : SHIM_LARGE_KEPT, o->len);
	if (why)
		shim_reason(why, o->len);
}

/* For a strict program: attached it was, and is no more. */
static void *refuse(size_t len, const char *why)
{
	shim_count_asked(len);
	shim_count(SHIM_REFUSED, 1);
	shim_reason(why, len);
	errno = ENOMEM;
	return (void *)-1;
}

/* NULL, or why the segment is left as it is; *must: it should not be. */
static const char *obstacle(size_t len, bool *must)
{
	const char *why = shim_mapping_policy(len, false, must);

	if (len < SUPERPAGE_SIZE) {
		*must = false;
		return "shared memory: shorter than a superpage";
	}
	if (why)
		return why;
	if (len > contig_superpage_room(true) / ROOM_PART)
		return "shared memory: more than an eighth of the memory that is left";
	if (!free_entry())
		return "shared memory: too many segments at once";
	/* Counted from here on. */
	return contig_limit_claim(align_down(len, SUPERPAGE_SIZE)) ?
		       NULL : "shared memory: CONTIG_LIMIT reached";
}

static void *attach(int id, size_t size, int flags)
{
	char loose[SHIM_REASON_LEN] = "shared memory: not wired: too long for one pin";
	struct outcome outcome = {.len = align_up(size, FRAME_SIZE)};
	size_t len = outcome.len, n;
	struct pin *pin = NULL;
	struct calm calm;
	const char *why;
	bool must;
	void *va;

	enter(&calm);
	why = obstacle(len, &must);
	va = why ? (void *)-1 : attach_aligned(id, size, flags);
	if (va == (void *)-1) {
		if (!why)
			contig_limit_return(align_down(len, SUPERPAGE_SIZE));
		leave(&calm);
		va = shim_raw_shmat(id, NULL, flags);
		if (va == (void *)-1)
			return va;
		why = why ? why : "shared memory: no aligned address for it";
		if (must && shim_options.strict) {
			shim_raw_shmdt(va);
			return refuse(len, why);
		}
		shim_count(SHIM_MAPPED_LEFT, len);
		shim_reason(why, len);
		return va;
	}
	n = collapse(va, len / SUPERPAGE_SIZE);
	if (!n && is_hugetlb(va)) {
		contig_limit_return(align_down(len, SUPERPAGE_SIZE));
		leave(&calm);
		shim_count(SHIM_MAPPED_LEFT, len);
		shim_reason("shared memory: hugetlb pages, of the program's own asking", len);
		return va;
	}
	if (n)
		pin = wire(va, n);
	if (pin && contig_pin_method(pin) < PIN_PIPE) {
		snprintf(loose, sizeof(loose), "shared memory: not wired: %s", contig_pin_why(pin));
		contig_pin_drop(pin);
		pin = NULL;
	}
	contig_limit_return(align_down(len, SUPERPAGE_SIZE) - n * SUPERPAGE_SIZE);
	if (n)
		remember((uintptr_t)va, n * SUPERPAGE_SIZE, pin);
	outcome.on_superpages = n * SUPERPAGE_SIZE;
	outcome.run = longest_run(va, n);
	outcome.loose = pin ? NULL : loose;
	why = shortfall(&outcome);
	if (why && shim_options.strict) {
		shim_raw_shmdt(va);
		forget((uintptr_t)va);
	}
	leave(&calm);
	if (why && shim_options.strict)
		return refuse(len, why);
	count(&outcome, why);
	return va;
}

/* At an address given; with SHM_REMAP it may be over memory of ours. */
static void *attach_at(int id, const void *addr, int flags, size_t size)
{
	uintptr_t start = align_down((uintptr_t)addr, FRAME_SIZE);
	size_t len = align_up(size, FRAME_SIZE);
	void *va;

	if (!shim_mapping_near((void *)start, len)) {
		/* Or over a part of a malloc'ed block. */
		if (flags & SHM_REMAP)
			shim_loosen((void *)start, len);
		return shim_raw_shmat(id, addr, flags);
	}
	shim_mapping_lock();
	shim_mapping_uncover(start, len);
	va = shim_raw_shmat(id, addr, flags);
	if (va != (void *)-1)
		shim_mapping_let_go((uintptr_t)va, len, false);
	shim_mapping_unlock();
	return va;
}

EXPORT void *shmat(int id, const void *addr, int flags)
{
	struct shmid_ds segment;
	int error = errno;
	void *va;

	/* Without the right to look there is none to attach either. */
	if (!shim_options.active || shim_inside() ||
	    shim_raw_shmctl(id, IPC_STAT, &segment) < 0) {
		errno = error;
		return shim_raw_shmat(id, addr, flags);
	}
	if (addr)
		return attach_at(id, addr, flags, segment.shm_segsz);
	if (segment.shm_segsz < shim_options.threshold || (flags & (SHM_RDONLY | SHM_REMAP)))
		return shim_raw_shmat(id, addr, flags);
	va = attach(id, segment.shm_segsz, flags);
	if (va != (void *)-1)
		errno = error;
	return va;
}

EXPORT int shmdt(const void *addr)
{
	struct calm calm;
	int r, error;

	if (!shim_options.active || shim_inside())
		return shim_raw_shmdt(addr);
	/* Under the lock: nobody attaches there before the pin is forgotten. */
	enter(&calm);
	r = shim_raw_shmdt(addr);
	error = errno;
	if (!r)
		forget((uintptr_t)addr);
	leave(&calm);
	errno = error;
	return r;
}

void shim_segments_fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

void shim_segments_fork_done(bool child)
{
	for (size_t i = 0; child && i < ATTACHED_MOST; i++) {
		/* Attached in the child too; wired as long as the parent is. */
		contig_pin_forget(attached[i].pin);
		contig_limit_return(attached[i].bytes);
		attached[i] = (struct attached){0};
	}
	pthread_mutex_unlock(&lock);
}

void shim_segments_exit(void)
{
	struct calm calm;

	enter(&calm);
	for (size_t i = 0; i < ATTACHED_MOST; i++)
		if (attached[i].start)
			forget(attached[i].start);
	leave(&calm);
}
