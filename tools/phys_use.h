/* SPDX-License-Identifier: BSD-2-Clause */
/* What a frame of the machine's memory is used for, from /proc/kpageflags. */
#ifndef TOOLS_PHYS_USE_H
#define TOOLS_PHYS_USE_H

#include "draw.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * X(NAME, "key", fill, movable, "what it is").  movable: the kernel can move
 * it elsewhere when it compacts, as far as the flags tell.
 */
#define PHYS_USES(X)                                                                     \
	X(FREE, "free", DRAW_FREE, true, "free, in the kernel's buddy lists")            \
	X(HUGETLB, "hugetlb", DRAW_HUGETLB, true, "superpages of the hugetlb pools")     \
	X(THP, "thp", DRAW_THP, true, "transparent superpages, large folios")                          \
	X(ANON, "anonymous", DRAW_ANON, true, "memory of processes")                     \
	X(CACHE, "cache", DRAW_CACHE, true, "page cache, shared memory, tmpfs")          \
	X(SLAB, "slab", DRAW_SLAB, false, "the kernel's small objects")                  \
	X(TABLES, "page-tables", DRAW_KERNEL, false, "page tables")                      \
	X(KERNEL, "kernel", DRAW_KERNEL, false, "kernel, drivers, per-CPU lists")        \
	X(BLANK, "blank", DRAW_BLANK, false,                                             \
	  "whole superpages without a flag: not handed out yet, or a driver's")          \
	X(RESERVED, "reserved", DRAW_RESERVED, false, "set aside at boot, or not there") \
	X(LOST, "lost", DRAW_RESERVED, false, "poisoned, or taken by a balloon")

enum phys_use {
#define X(NAME, key, fill, movable, text) USE_##NAME,
	PHYS_USES(X)
#undef X
	PHYS_USES_N
};

const char *phys_use_key(enum phys_use use);
const char *phys_use_text(enum phys_use use);
enum draw_fill phys_use_fill(enum phys_use use);
bool phys_use_movable(enum phys_use use);

/*
 * The use of one frame, USE_BLANK when no flag is set: of a whole superpage
 * that is to be taken so, of single frames it means USE_KERNEL.  Kernels
 * differ in what the tails of a compound page tell, so that a tail is what its
 * head was: head carries that from frame to frame; begin with USE_KERNEL.
 */
enum phys_use phys_use_of(uint64_t flags, enum phys_use *head);

#endif
