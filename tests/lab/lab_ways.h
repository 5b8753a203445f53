/* SPDX-License-Identifier: BSD-2-Clause */
/* The ways to ask for a node, tried one after another. */
#ifndef TESTS_LAB_WAYS_H
#define TESTS_LAB_WAYS_H

#include <contig.h>
#include <stdbool.h>
#include <stddef.h>

enum way {
	WAY_ENVIRONMENT,
	WAY_CONFIG,
	WAY_POOL,
	WAY_PRIVATE,
	WAY_FIXED,
	WAY_PREF,
	WAY_PLAIN
};
#define WAYS 7
#define WAYS_ALL 0x7fu
#define WAYS_FEW (1u << WAY_PRIVATE | 1u << WAY_FIXED | 1u << WAY_PREF | 1u << WAY_PLAIN)

/* Whether no other node will do. */
bool way_is_strict(enum way way);

struct asked {
	enum way way;
	int node;
	const char *sources, *grow;
	contig_pool_t *pool;
};

/* In a child that hasn't used the library yet: settings, pool, processor. */
void asked_prepare(struct asked *a);
void *asked_malloc(const struct asked *a, size_t size);
const char *asked_describe(const struct asked *a);

/* Run fn with a struct asked for each of the ways and nodes, in a process of
 * its own each. */
void asked_each(void (*fn)(void *arg), const char *sources, const char *grow,
		unsigned int ways);

/* One such fn: blocks of several sizes lie where they were asked for. */
void asked_keeps(void *arg);

#endif
