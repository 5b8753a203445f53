/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Anonymous private mappings of the program, on contiguous superpages.
 *
 * They are ordinary anonymous memory of the kernel's, at addresses that the
 * kernel would not choose by itself (the window): collapsed superpages, put
 * next to each other in the order of their frames, and pinned.  So whatever
 * the program does to a mapping afterwards (unmap or protect a page of it, map
 * something over a part, move it, fork) the kernel does, with the kernel's own
 * meaning, and calls that we never see do no harm.  We only keep count of
 * which pages are still as we made them, to unpin what is not needed any more.
 * A page that the program let go of is never ours again, nor handed out again.
 *
 * The memory is taken when it is mapped, not when it is touched: only then is
 * it one run.  Hence the limits, see shim_mapping_policy().
 *
 * An area is a run of superpages with one pin.  Mappings are cut from it from
 * its start to its end; what is not yet cut is its rest.  Two areas at
 * most have one: what new mappings are cut from, and what one grows into.
 *
 * The functions below are for a program's threads in the overrides; none may
 * be called when shim_inside().
 */
#ifndef PRELOAD_MAPPINGS_H
#define PRELOAD_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pin;

/* Where our mappings lie; span 0: nowhere yet.  Never changes once set. */
struct shim_window {
	uintptr_t start;
	size_t span;
};

extern struct shim_window shim_window;

/* Whether [addr, addr + len) might touch a mapping of ours: all that calls on
 * other memory pay. */
static inline bool shim_mapping_near(const void *addr, size_t len)
{
	uintptr_t at = (uintptr_t)addr;

	return at - shim_window.start < shim_window.span ||
	       (at < shim_window.start && len > shim_window.start - at && shim_window.span);
}

/*
 * Whether len bytes are to be taken now: NULL, or why not (a text for the
 * report).  at_once: the program wants them all now (MAP_POPULATE).  *must:
 * they were promised (--strict then lets the call fail).
 */
const char *shim_mapping_policy(size_t len, bool at_once, bool *must);

/*
 * len bytes (a multiple of 4 KiB), zero, readable and writable.  NULL with a
 * reason in *why.  Counts what came of it.
 */
void *shim_mapping_alloc(size_t len, const char **why);

/* Between these no other thread changes our mappings and no signal handler
 * runs; shim_inside() holds. */
void shim_mapping_lock(void);
void shim_mapping_unlock(void);

/* All with the lock held; start and len are multiples of 4 KiB. */

/* Every page of the range is ours; plain: and has never been changed in
 * protection or by advice. */
bool shim_mapping_is_ours(uintptr_t start, size_t len, bool plain);
/* Before a call on the range: what the program doesn't know to be mapped is
 * unmapped where the range touches it. */
void shim_mapping_uncover(uintptr_t start, size_t len);
/* After it: pages are not ours any more.  unmapped: by munmap, as all are in
 * the end; else the program went on with other memory there, which is told. */
void shim_mapping_let_go(uintptr_t start, size_t len, bool unmapped);
/* Or: still ours, but not plain. */
void shim_mapping_change(uintptr_t start, size_t len);
void shim_mapping_change_all(void);
/* Grow a plain mapping where it is.  Bytes beyond its end come from the rest. */
bool shim_mapping_extend(uintptr_t start, size_t len, size_t new_len);

/* Without the lock. */

/* A new mapping of len bytes in the hope that it grows: slack is kept behind. */
void *shim_mapping_alloc_growing(size_t len, const char **why);

/* fork(): bytes that are pinned, which the kernel copies for the child. */
size_t shim_mappings_pinned(void);
/* Give the pins up: frames may move from now on (fork "cow"). */
void shim_mappings_unpin(void);
/* Around fork(): before, then one of the others.  The child's mappings are
 * copies: ordinary memory from there on. */
void shim_mappings_fork_prepare(void);
void shim_mappings_fork_parent(void);
void shim_mappings_fork_child(void);

/* At exit: pins are dropped, so that the memory is free at once when the
 * process is gone.  Nothing is made any more. */
void shim_mappings_exit(void);

/* For tests and statistics: bytes of superpages held, and of mappings in them. */
void shim_mappings_held(size_t *held, size_t *live);

#endif
