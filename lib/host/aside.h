/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Setting private memory aside over a fork(2), so that its frames are neither
 * shared nor copied by the kernel: what is used is copied to plain memory, the
 * original is moved away by mremap(2) and left out of the child
 * (MADV_DONTFORK), the copy takes its place, and after the fork the original
 * comes back.  Page tables move, frames don't, pinned or not.
 *
 * For a process of one thread, with all signals blocked from go() to back():
 * what is written in between lands in the copy, and in the parent is lost.
 * Neither the stack nor anything the callers touch may lie in the memory.
 *
 * Nothing here calls malloc.
 */
#ifndef HOST_ASIDE_H
#define HOST_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aside_range {
	char *va;         /* where it belongs; aligned to page_size */
	size_t len;
	size_t page_size; /* mremap takes multiples of it only */
	bool leave;       /* the original is given up: the copy stays */
	char *away, *copy;
	size_t used;      /* bytes that were copied */
};

struct aside {
	struct aside_range *ranges;
	size_t n, room;
	char *spare; /* mappings to give up in need */
};

/*
 * The first stretch in use at or after from and before end: its start, and
 * *stop its end; end when there is none.  Whole frames.
 */
typedef uintptr_t (*aside_used_fn)(void *arg, const struct aside_range *range, uintptr_t from,
				   uintptr_t end, uintptr_t *stop);

/* Whether anything is mapped at that address, or a touch would have to be
 * given a page. */
bool contig_aside_present(void *va);

/* Room for that many ranges.  0/-errno. */
int contig_aside_begin(struct aside *aside, size_t most);
/* In rising order; joins the range before when it goes on.  -ENOSPC when full. */
int contig_aside_add(struct aside *aside, void *va, size_t len, size_t page_size, bool leave);
/* Copy; the originals are untouched.  0, or -errno with a reason. */
int contig_aside_copy(struct aside *aside, aside_used_fn used, void *arg);
/* The copies take the originals' places.  -errno: all is as it was. */
int contig_aside_go(struct aside *aside);
/* In the parent: the originals come back, the copies go. */
void contig_aside_back(struct aside *aside);
/* Frees what is left over; in a child too.  Harmless when nothing began. */
void contig_aside_end(struct aside *aside);

#endif
