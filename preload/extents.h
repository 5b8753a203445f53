/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs of the shim's private pool: superpages of this process, pinned, each
 * at direct map + physical address.  What is next to each other in address is
 * next to each other in memory, so any part of a run is a run, and runs that
 * touch are one.  Any thread, any time after start; never from a signal
 * handler.  The callers go through shim_enter() by themselves: no need to.
 */
#ifndef PRELOAD_EXTENTS_H
#define PRELOAD_EXTENTS_H

#include <stdbool.h>
#include <stddef.h>

struct contig_pool;

/*
 * One wired contiguous run.  bytes: rounded up to 4 KiB; align: a power of
 * two, at least 4 KiB is given.  *zero true: the run must be zeroed; on
 * return it tells whether it is.  NULL: none to be had, see
 * shim_extents_why(); counted as a fallback by the caller.  Not to be called inside.
 */
void *shim_extent_alloc(size_t bytes, size_t align, bool *zero);
/* Any 4 KiB-aligned part of one, or of several that touch; what is in the
 * window and not ours any more goes to the kernel. */
void shim_extent_free(void *p, size_t bytes);

/* More, right behind memory that is ours: addr, or NULL. */
void *shim_extent_grow(void *addr, size_t bytes, bool *zero);

/* Why the last shim_extent_alloc() of this thread failed; never "". */
const char *shim_extents_why(void);
/* false: asking for so much failed a moment ago. */
bool shim_extents_may_have(size_t bytes);
/* While set, by this thread: what the pool doesn't hold fails, and nothing is
 * given back. */
extern __thread bool shim_extents_only_held __attribute__((tls_model("initial-exec")));
/* All whole free superpages go back to the kernel, of a program that trims all
 * the time but some; whether there were any. */
bool shim_extents_trim(void);
/* false: so little that it can wait until some time after the last trim. */
bool shim_extents_worth_trim(void);

/* In this process's private pool now (not in a parent's). */
bool shim_extent_ours(const void *p);
/* All of a run that is ours: pinned, to the last superpage. */
bool shim_extent_wired(const void *p, size_t bytes);
/* On a superpage of a pool, in a forked child perhaps its parent's. */
bool shim_extent_on_superpage(const void *p);
/* An address that only the pool may unmap. */
bool shim_extent_in_window(const void *p);

/* NULL before first need. */
struct contig_pool *shim_pool(void);
/* Bytes of superpages in it. */
size_t shim_pool_held(void);

/* Around fork(2), outside the core's handlers. */
void shim_extents_fork_prepare(void);
void shim_extents_fork_parent(void);
void shim_extents_fork_child(void);

#endif
