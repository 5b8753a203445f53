/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process that holds memory of one kind, kept in place in one way, while
 * others try to move it; and what it sees of that by its own reading of
 * pagemap.
 */
#ifndef TESTS_LAB_VICTIM_H
#define TESTS_LAB_VICTIM_H

#include "probe.h"

#include <stdint.h>
#include <sys/types.h>

/* The first four are the library's. */
enum kind {
	KIND_DEFAULT_2M,
	KIND_PRIVATE_2M,
	KIND_DEFAULT_THP,
	KIND_PRIVATE_THP,
	KIND_OWN_2M,
	KIND_OWN_4K,
	KINDS
};
enum hold { HOLD_URING, HOLD_PIPE, HOLD_MLOCK, HOLD_NONE, HOLDS };

extern const char *const kind_names[KINDS], *const hold_names[HOLDS];

static inline int is_library(enum kind kind)
{
	return kind <= KIND_PRIVATE_THP;
}

static inline int is_private(enum kind kind)
{
	return kind == KIND_PRIVATE_2M || kind == KIND_PRIVATE_THP || kind == KIND_OWN_4K;
}

#define RANGES 2
#define RANGE_PAGES (SUPERPAGE / PAGE)

enum order {
	ORDER_REPORT,
	ORDER_MBIND,     /* its own memory, to node 1 */
	ORDER_UNBIND,    /* the policy, not the memory */
	ORDER_PAGEOUT,   /* its own memory */
	ORDER_FORK,      /* a storm of children */
	ORDER_MERGEABLE, /* for KSM */
	ORDER_WORK,      /* touch everything from node 1 for a while */
};

struct report {
	char problem[200];       /* "": none; the victim can't go on */
	int wiring;              /* told by the library; -1: not the library's */
	int exact;               /* the library holds our frames and no other */
	int refused;             /* not the library's, and the kernel refused to pin */
	unsigned int pages;      /* of 4 KiB */
	unsigned int absent;     /* not in memory when looked at, untouched */
	unsigned int moved;      /* in another frame than at first */
	unsigned int damaged;    /* pages with other content than written */
	unsigned int mistaken;   /* unmoved ones whose translation is wrong */
	int verified;            /* contig_verify() */
	uint64_t frames[RANGES]; /* first address of each range, at first */
	void *ranges[RANGES];
};

struct victim {
	pid_t pid;
	int fd;
	struct report first;
};

/* The control group that victims join, where there is one. */
#define VICTIMS "/sys/fs/cgroup/contig-victims"

/* Start one: it reports at first, and after each order. */
int victim_start(struct victim *v, enum kind kind, enum hold hold);
int victim_send(const struct victim *v, enum order order);
int victim_receive(const struct victim *v, struct report *out);
void victim_end(struct victim *v);

void run_on_node(int node);

#endif
