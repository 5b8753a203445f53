/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine: jemalloc's archive with renamed symbols, private to the shim,
 * with four arenas.
 *   metadata arena (0)  on base pages, from the kernel: what the core and
 *                       jemalloc itself need, what is asked for before start,
 *                       and the small requests of a program that hardly
 *                       allocates (SHIM_STARTER_BYTES): such a one takes no
 *                       superpage at all
 *   pool arena          its extents are runs of the private pool (extents.h)
 *   spare arena         on base pages: what the pool could not give
 *   vast arena          of that, blocks that are mapped one by one
 * A thread is bound to the pool arena at its first request after that, and
 * caches from then on what comes from there; free() takes either.
 *
 * jemalloc calls extent hooks with none of its locks held, so the core's
 * locks come after none of its own; the core calls the metadata arena with its
 * locks held, and that one calls the kernel only.  At a fork, therefore, the
 * core comes to rest first, then jemalloc.
 */
#ifndef PRELOAD_ENGINE_H
#define PRELOAD_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHIM_STARTER_BYTES (512u << 10)

/* Which GiB of the address space the engine's memory lies in: one byte each,
 * so that free() knows a foreign pointer by one load. */
#define SHIM_OWNED_GIGAS (1u << 17)
extern unsigned char shim_owned[SHIM_OWNED_GIGAS];

static inline bool shim_engine_owns(const void *p)
{
	uintptr_t giga = (uintptr_t)p >> 30;

	return giga < SHIM_OWNED_GIGAS && shim_owned[giga];
}

void shim_engine_own(const void *p, size_t bytes);

/* Every request that the fast paths in family.c leave; align 0: none asked
 * for.  errno ENOMEM with NULL. */
void *shim_engine_alloc(size_t size, size_t align, bool zero);
/* p is ours and not NULL, size not 0. */
void *shim_engine_realloc(void *p, size_t size);
void shim_engine_free(void *p);

/* Base pages from the kernel, away from where it puts other mappings, and
 * counted as owned.  MAP_FAILED. */
void *shim_engine_mmap(void *addr, size_t length, int prot, int flags, int fd, long offset);
int shim_engine_munmap(void *addr, size_t length);

/* Give unused memory back: to the pool, and from there to the kernel. */
bool shim_engine_trim(void);

/* The shim does its work in this process (else libc's malloc does). */
bool shim_engine_active(void);
/* Called by the constructor: from here on the program's environment stands. */
void shim_engine_start(void);

/*
 * fork(2).  The engine registers fork.h's handlers at the first request of all,
 * so that they run last before a fork and first after it: they call these.
 * The child goes on with what it inherited until it asks for as much as a
 * starter, or for a run; then it gets a pool arena of its own.  One whose parent
 * forked in a signal handler that interrupted the engine, while other threads
 * were at work in it, goes on with libc's malloc (meta.h).
 */
void shim_engine_fork_prepare(void);
void shim_engine_fork_missed(void); /* in its place, see fork.h */
void shim_engine_fork_parent(void);
void shim_engine_fork_child(void);

/* What this thread has counted goes to the report; in any state. */
void shim_engine_count_flush(void);

#endif
