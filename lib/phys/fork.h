/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork(2).  The parent keeps its pools; what was mapped is from now on never
 * trimmed and never believed zero, since a child may write it.  The child
 * keeps the default pool's memory in view but allocates only from memory it
 * takes itself.  A child made by a bare clone(2) is not seen: it must not
 * call the library, but for contig_fork_missed().
 */
#ifndef PHYS_FORK_H
#define PHYS_FORK_H

/*
 * What layers above have to do at a fork: hooks' prepare() runs before ours,
 * the last one added first, so they may take locks of lower rank; parent() and
 * child() run after ours; NULL: nothing to do then.  Added at load, by
 * constructors; never removed.
 */
struct fork_hook {
	void (*prepare)(void);
	void (*parent)(void);
	void (*child)(void);
	struct fork_hook *next;
};
void contig_fork_hook_add(struct fork_hook *hook);

/* In a child of a bare clone(2) that goes on with the library all the same, and
 * only there: in place of what would have come before the fork; child's handlers
 * come next.  Other threads of the parent must not have been at work in it. */
void contig_fork_missed(void);

/* Register the handlers, once, at load.  0/-errno. */
int contig_fork_init(void);

#endif
