/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/engine_hooks.h"

#include "base/page.h"
#include "contig/pool.h"
#include "phys/settings.h"
#include "preload/engine.h"
#include "preload/extents.h"
#include "preload/fork.h"
#include "preload/inside.h"
#include "preload/loosen.h"
#include "preload/options.h"
#include "preload/raw.h"
#include "preload/report.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>

unsigned int shim_engine_pool_arena, shim_engine_spare_arena, shim_engine_vast_arena;

/*
 * Base pages are asked for far from where the kernel puts other mappings and
 * programs their fixed ones, so that what lies in a GiB of the engine's is
 * the engine's.  A hint only: nothing is reserved, nothing replaced.
 */
#define NEST_START ((uintptr_t)0x0a0000000000)
#define NEST_END   ((uintptr_t)0x500000000000)

static uintptr_t nest = NEST_START;

static void *nest_next(size_t length)
{
	uintptr_t old = __atomic_load_n(&nest, __ATOMIC_RELAXED), start;

	do {
		/* jemalloc wants its own blocks so aligned. */
		start = length >= SUPERPAGE_SIZE ? align_up(old, SUPERPAGE_SIZE) : old;
		if (start > NEST_END || length > NEST_END - start)
			start = NEST_START;
	} while (!__atomic_compare_exchange_n(&nest, &old, start + align_up(length, FRAME_SIZE),
					      true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return (void *)start;
}

static void *nest_mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)
{
	void *p;

	if (length > PTRDIFF_MAX) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	p = shim_raw_mmap(addr ? addr : nest_next(length), length, prot, flags, fd, offset);
	if (p != MAP_FAILED)
		shim_engine_own(p, length);
	return p;
}

/*
 * What jemalloc maps by itself: its bookkeeping, and the metadata arena with
 * the first small allocations of a program.
 */
static uint64_t own_bytes;

void *shim_engine_mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)
{
	void *p = nest_mmap(addr, length, prot, flags, fd, offset);

	if (p != MAP_FAILED)
		shim_count_max(SHIM_METADATA,
			       __atomic_add_fetch(&own_bytes, length, __ATOMIC_RELAXED));
	return p;
}

int shim_engine_munmap(void *addr, size_t length)
{
	int r = shim_raw_munmap(addr, length);

	if (!r)
		__atomic_sub_fetch(&own_bytes, length, __ATOMIC_RELAXED);
	return r;
}

static void *base_pages(size_t size, size_t align, bool *zero)
{
	size_t extra = align > FRAME_SIZE ? align - FRAME_SIZE : 0, head;
	char *p;

	if (size > PTRDIFF_MAX - extra)
		return NULL;
	/* Not MAP_NORESERVE: what the kernel finds too much, it refuses. */
	p = nest_mmap(NULL, size + extra, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	head = -(uintptr_t)p & (align - 1);
	if (head)
		shim_raw_munmap(p, head);
	if (extra > head)
		shim_raw_munmap(p + head + size, extra - head);
	*zero = true;
	return p + head;
}

/* Not what was promised; superpages all the same, if the kernel pleases. */
static void *fall_back(size_t size, size_t align, bool *zero)
{
	bool large = size >= SUPERPAGE_SIZE;
	void *p = base_pages(size, large && align < SUPERPAGE_SIZE ? SUPERPAGE_SIZE : align, zero);

	if (!p)
		return NULL;
	/* Not where superpages have a limit. */
	if (large && !contig_settings.config.limit)
		shim_raw_madvise(p, size, MADV_HUGEPAGE);
	shim_count(SHIM_FALLBACKS, 1);
	shim_count(SHIM_FALLBACK_BYTES, size);
	shim_count(SHIM_BASE_PAGES, size);
	shim_reason(shim_extents_why(), size);
	return p;
}

static void *hook_alloc(struct je_hooks *hooks, void *new_addr, size_t size, size_t align,
			bool *zero, bool *commit, unsigned int arena)
{
	int saved = errno;
	void *p = NULL;

	(void)hooks;
	if (arena == shim_engine_pool_arena) {
		if (shim_fork_missed())
			return NULL; /* the caller makes up for it, and asks again */
		p = new_addr ? shim_extent_grow(new_addr, size, zero)
			     : shim_extent_alloc(size, align, zero);
	} else if (!new_addr) {
		/* Else of an arena that a fork left behind. */
		p = arena == shim_engine_spare_arena || arena == shim_engine_vast_arena ?
			    fall_back(size, align, zero) : base_pages(size, align, zero);
	}
	if (p) {
		*commit = true;
		errno = saved;
	}
	return p;
}

/* What a forked child is done with of its parent's memory: whole superpages
 * go to the kernel, the addresses stay the direct map's. */
static void let_go(void *addr, size_t size)
{
	uintptr_t start = align_up((uintptr_t)addr, SUPERPAGE_SIZE);
	uintptr_t end = align_down((uintptr_t)addr + size, SUPERPAGE_SIZE);

	if (start < end)
		shim_raw_madvise((void *)start, end - start, MADV_DONTNEED);
}

static bool hook_dalloc(struct je_hooks *hooks, void *addr, size_t size, bool committed,
			unsigned int arena)
{
	int saved = errno;
	bool kept = false;

	(void)hooks, (void)committed, (void)arena;
	if (!shim_extent_in_window(addr)) {
		kept = shim_raw_munmap(addr, size) < 0;
	} else if (shim_fork_missed()) {
		kept = true;
	} else if (!shim_extent_ours(addr) &&
		   (!shim_loosened || arena != shim_engine_pool_arena)) {
		let_go(addr, size);
		kept = true;
	} else if (shim_inside()) {
		kept = true; /* this thread may hold the core's locks */
	} else {
		shim_extent_free(addr, size);
	}
	errno = saved;
	return kept;
}

static void hook_destroy(struct je_hooks *hooks, void *addr, size_t size, bool committed,
			 unsigned int arena)
{
	hook_dalloc(hooks, addr, size, committed, arena);
}

static bool hook_split(struct je_hooks *hooks, void *addr, size_t size, size_t size_a,
		       size_t size_b, bool committed, unsigned int arena)
{
	(void)hooks, (void)addr, (void)size, (void)size_a, (void)size_b;
	(void)committed, (void)arena;
	return false;
}

/* Neighbours in address are neighbours in memory: in the pool.  Not base
 * pages with the pool's, nor what is this process's with what it inherited. */
static bool hook_merge(struct je_hooks *hooks, void *addr_a, size_t size_a, void *addr_b,
		       size_t size_b, bool committed, unsigned int arena)
{
	(void)hooks, (void)size_a, (void)size_b, (void)committed, (void)arena;
	return shim_extent_ours(addr_a) != shim_extent_ours(addr_b) ||
	       shim_extent_in_window(addr_a) != shim_extent_in_window(addr_b);
}

struct je_hooks shim_engine_hooks = {
	.alloc = hook_alloc,
	.dalloc = hook_dalloc,
	.destroy = hook_destroy,
	.split = hook_split,
	.merge = hook_merge,
};

/* The user's MALLOC_CONF and /etc/malloc.conf are not the shim's. */
char *shim_engine_no_text(const char *name)
{
	(void)name;
	return NULL;
}

ssize_t shim_engine_no_link(const char *path, char *text, size_t len)
{
	(void)path, (void)text, (void)len;
	errno = ENOENT;
	return -1;
}

/* Wanted for threads of its own, of which there are none. */
void *shim_engine_no_symbol(void *handle, const char *name)
{
	(void)handle, (void)name;
	return NULL;
}

void *shim_engine_no_break(intptr_t by)
{
	(void)by;
	errno = ENOMEM;
	return (void *)-1;
}

int shim_engine_no_exit(void (*fn)(void))
{
	(void)fn;
	return 0;
}

/* Heap profiles are never made: neither libm nor an unwinder is needed. */
double shim_engine_no_exp(double x)
{
	return x;
}

double shim_engine_no_log(double x)
{
	return x;
}

double shim_engine_no_round(double x)
{
	return x;
}

int shim_engine_no_backtrace(void *fn, void *arg)
{
	(void)fn, (void)arg;
	return 5; /* _URC_END_OF_STACK */
}

uintptr_t shim_engine_no_address(void *context)
{
	(void)context;
	return 0;
}
