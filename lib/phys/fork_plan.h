/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a fork(2) does with private pools.  Their frames stay where they are,
 * and nobody is ever killed by a copy that can't be made:
 *
 *   pinned   the kernel copies for the child inside fork.  Hugetlb pages, as
 *            long as as many are free; collapsed ones when nothing better is
 *            possible (the parent's are then mapped page by page).
 *   swapped  what is used is copied to plain memory, which takes the
 *            superpages' place for the fork (host/aside.h).  One thread only.
 *   cow      collapsed pages are unpinned: either side's next write moves its
 *            frames, so that the pool lets go of them.  Only if allowed, or
 *            where they were never pinned.
 *   refused  none of these.  Who calls fork itself should ask first; a fork
 *            that happens all the same fails in the kernel, or, where pages
 *            aren't pinned, shares them.
 *
 * Superpages with nothing in use are left out of the child.  A child's copies
 * of hugetlb pages become plain memory, or are pinned, when it forks in turn.
 */
#ifndef PHYS_FORK_PLAN_H
#define PHYS_FORK_PLAN_H

#include <stdbool.h>
#include <stdint.h>

enum contig_fork_way {
	CONTIG_FORK_BARE, /* nothing private */
	CONTIG_FORK_PINNED,
	CONTIG_FORK_SWAPPED,
	CONTIG_FORK_COW,
	CONTIG_FORK_REFUSED
};

/* Whether cow is allowed.  Not while another thread forks. */
void contig_fork_allow_cow(bool allow);

/*
 * What a fork would do now; a reason if it is refused.  besides: bytes that
 * the kernel has to copy for others.  wait: pages of a process that just
 * ended, and a thread that was just joined, are waited for.
 */
enum contig_fork_way contig_fork_ask(uint64_t besides, bool wait);

/* What the last fork of this thread did: in parent and child, when the
 * handlers are through. */
enum contig_fork_way contig_fork_done(void);

/* In a child: bytes of its parent's private pools that it got. */
uint64_t contig_fork_inherited(void);

/* Pins of private pools were given up (contig_pin_release_now()) for an exec
 * that failed: make them anew.  What moved meanwhile is let go of by its pool:
 * no address is told of it any more. */
void contig_fork_pin_again(void);

/* The next fork of this thread swaps if it can: the kernel had fewer
 * superpages than it said. */
void contig_fork_prefer_swap(bool prefer);

/* --- for fork.c, all locks held */
void contig_fork_leave(void);  /* prepare */
void contig_fork_left(void);   /* in its place, in a child that nobody expected */
void contig_fork_return(void); /* parent */
void contig_fork_arrive(void); /* child; pools still are the parent's */
/* In the child: whether the superpage at a place came along. */
bool contig_fork_came(uint64_t place);

#endif
