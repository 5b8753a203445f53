/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork(2) of a program on private superpages: phys/fork_plan.h says what is
 * done with them.
 *
 * Two doors lead there.  fork(), and daemon() and forkpty(), which call it, are
 * ours: here a fork is refused that could hurt, waits are waited, and all is
 * counted.  The C library's own uses of fork, if any, are seen by the handlers
 * alone, and then the kernel refuses what can't be copied.  vfork(2),
 * posix_spawn(3), system(3), popen(3) and clone(2) with CLONE_VM copy nothing
 * and come to neither.
 *
 * _Fork(3) may be called in a signal handler at any moment: no policy is
 * possible there.  The kernel copies what is pinned or fails with ENOMEM; the
 * parent's frames stay either way, and the child must not call malloc (POSIX
 * says so as well).  The same goes for fork() in a signal handler that
 * interrupted the shim itself.
 *
 * A child of a bare clone(2), or of _Fork(3), that goes on as if nothing were
 * does what it inherited allows; before it comes to the core it makes up for what
 * the handlers would have done.
 */
#ifndef PRELOAD_FORK_H
#define PRELOAD_FORK_H

#include <stdbool.h>

/* The handlers; registered by the engine before any other. */
void shim_fork_prepare(void);
void shim_fork_parent(void);
void shim_fork_child(void);

/* This process's memory is its own: it is not the child of a vfork(2), nor one
 * of a fork that no handler saw. */
bool shim_own_process(void);

/* This process is such a child, and has not made up for it. */
bool shim_fork_missed(void);
/* If so, and if it can be: it does now.  Not inside, no lock held. */
void shim_fork_make_up(void);

#endif
