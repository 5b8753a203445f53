/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which process a command is about: a number, a name as pgrep -x takes it, or
 * "self"; on this machine or in a captured tree.
 */
#ifndef TOOLS_TARGET_H
#define TOOLS_TARGET_H

#include "emitter.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define TARGET_NAME_MAX 64 /* the kernel cuts a name to 15 characters */

struct target {
	pid_t pid;          /* 0: /proc/self */
	char name[TARGET_NAME_MAX];
	uint64_t started;   /* clock ticks since boot; tells a reused number */
	uint64_t page_size; /* base page of its machine */
	uint64_t huge_size; /* what a page middle directory entry maps there */
	uint64_t least_huge; /* smallest superpage of any kind there */
};

/* 0, or the exit status once the error has been told. */
int target_find(struct emitter *e, const char *word, struct target *out);

/* Bytes that are resident or swapped out, hugetlb included: what there is to
 * read.  0 when it can't be known. */
uint64_t target_resident(const struct target *p);

/* Whether the number still means the process that was found. */
bool target_is_same(const struct target *p);

/* For a message: "process 12 (name)". */
char *target_text(const struct target *p, char *buf, size_t len);

#endif
