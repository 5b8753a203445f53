/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guard process.  fork(2) would copy the page tables of the pools, and
 * their pinned pages with them (FACTS 18), so the guard is made with CLONE_VM
 * alone: it shares the memory and nothing else.  That has a price, and all
 * code that runs in the guard obeys it: the thread-local storage (errno, the
 * sanitizers' state) is the parent's, any lock may be held by a thread that
 * no longer exists.  So: system calls by hand, no libc.
 *
 * What to undo lives in the shared memory, which outlives the parent as long
 * as the guard does.  Each pool's record is replaced as a whole by flipping
 * an index, so it is right at every instant at which the parent may die.
 *
 * The parent's end is seen twice: as end of file on a socket (also after
 * exec) and through a pidfd, because a child that was forked by a bare
 * clone(2) would keep the socket open.
 *
 * Two guards whose parents died together would both read, subtract and write;
 * and a raise by a process that has just got the dead one's syslock would
 * count the dead one's pages as its own.  So guards lock each other out for
 * as long as a change or its undoing takes.  It is the guard that holds this
 * lock, also while its parent makes a change, so that it still has it when
 * the parent dies in the middle.  Any user can take such a lock and sit on
 * it, therefore nobody waits for long.
 *
 * nr_hugepages counts persistent and surplus pages when read and sets the
 * persistent ones when written.  All arithmetic here is in persistent pages;
 * writing back what was read would turn other people's surplus pages into
 * persistent ones.
 */
#ifndef HOST_GUARD_PROCESS_H
#define HOST_GUARD_PROCESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define GUARD_POOLS_MAX 128
#define GUARD_NODE_WORDS (1024 / (8 * sizeof(unsigned long)))

/* What the parent asks of the guard; each is answered by 0 or -errno. */
enum guard_op {
	GUARD_HELLO,
	GUARD_OPEN,   /* the files of pool index */
	GUARD_LOCK,   /* keep other guards from changing pools */
	GUARD_UNLOCK
};

struct guard_message {
	uint32_t op, index;
};

/* How often total and surplus are read until they belong together. */
#define PERSISTENT_TRIES 64

/* One consistent state of a pool, in persistent pages. */
struct guard_record {
	int64_t ours;       /* net change by this guard that is complete */
	int64_t base, want; /* a change in flight: before, and at most after */
	bool in_flight;
};

/* A pool's files.  Of a node's pool also those of the whole, and the one that
 * obeys the writer's memory policy; -1: there is none. */
enum guard_file { GUARD_NR, GUARD_SURPLUS, GUARD_FREE, GUARD_ALL_NR, GUARD_ALL_SURPLUS,
		  GUARD_POLICY, GUARD_FILES };

struct guard_files {
	int fd[GUARD_FILES];
};

struct guard_pool {
	uint64_t size;
	int node;
	unsigned long nodes[GUARD_NODE_WORDS]; /* the node, as set_mempolicy(2) wants it */
	char paths[GUARD_FILES][144];
	struct guard_files files; /* the guard's descriptors */
	struct guard_record records[2];
	atomic_uint valid; /* which record holds */
	atomic_bool restored;
};

struct hugetlb_guard {
	pid_t owner, pid;
	int sock;                      /* the parent's end */
	int guard_sock, owner_pidfd;   /* the guard's, before it closes ours */
	size_t map_len;
	unsigned int n_pools;          /* the parent's count */
	atomic_uint published;         /* pools that the guard may look at */
	struct guard_pool pools[GUARD_POOLS_MAX];
};

/* How much of a change in flight has happened, seeing that the pool now has
 * this many: no more than was wanted, and not in the other direction. */
int64_t contig_guard_happened(const struct guard_record *r, int64_t now);

/*
 * Lowering a pool, the kernel lets go of its lock between freeing what is free
 * and declaring the rest surplus.  What is freed in between is both, and stays
 * for ever: a surplus page goes when it is freed, and these are free.  Where
 * more are surplus than before, and some are free, the pool is raised by all
 * that are surplus (by fewer the kernel frees none, as long as so many are in
 * use) and lowered again, until that brings nothing, OUTSIDERS_TRIES times at
 * most.  How far to raise; 0: there is no such page.  While pages are being
 * freed the numbers don't fit together: from OUTSIDERS_AT_ONCE on there is a
 * pause before each try.
 */
#define OUTSIDERS_TRIES 64
#define OUTSIDERS_AT_ONCE 8
#define OUTSIDERS_PAUSE_NS 1000000
int64_t contig_guard_outsiders(int64_t surplus_before, int64_t surplus, int64_t free);

/* The lock between guards: open it, take it or give up waiting, drop it with
 * close(2).  fd/-errno. */
int contig_guard_lock_open(void);
void contig_guard_lock_take(int fd);

/* Take a pool's changes back through these descriptors.  0/-errno.  Of a
 * node's pool, the calling thread's memory policy is left changed. */
int contig_guard_restore(struct guard_pool *pool, const struct guard_files *files);

/* Whether taking this pool's changes back makes it larger again: such pools
 * come last, the memory must be there. */
bool contig_guard_lowered(const struct guard_pool *pool);

/* Make the guard, on the stack that ends at stack_end (aligned to 16).  Its
 * process number or -errno.  All signals must be blocked. */
long contig_guard_clone(struct hugetlb_guard *g, void *stack_end);

#endif
