/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab_ways.h"

#include "harness.h"
#include "lab_node.h"
#include "probe.h"

#include <stdio.h>

static const char *const way_names[] = {
    "CONTIG_NODE", "contig_config.node", "a pool's node",    "a private pool's node",
    "a fixed set", "a preferred set",    "the caller's node"};

bool way_is_strict(enum way way)
{
	return way == WAY_POOL || way == WAY_PRIVATE || way == WAY_FIXED;
}

void asked_prepare(struct asked *a)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr), .name = "bound"};
	struct contig_config config = {.struct_size = sizeof(config)};
	char number[12];

	snprintf(number, sizeof(number), "%d", a->node);
	setenv("CONTIG_SOURCES", a->sources, 1);
	setenv("CONTIG_GROW", a->grow, 1);
	if (a->way == WAY_ENVIRONMENT)
		setenv("CONTIG_NODE", number, 1);
	/* Elsewhere, so that nothing comes out right by chance. */
	run_on(a->way == WAY_PLAIN ? a->node : !a->node);
	if (a->way == WAY_CONFIG) {
		contig_config_get(&config);
		config.node = a->node;
		require(!contig_configure(&config), "%s", contig_strreason());
	}
	if (a->way == WAY_POOL || a->way == WAY_PRIVATE) {
		attr.kind =
		    a->way == WAY_POOL ? CONTIG_POOL_DEFAULT : CONTIG_POOL_PRIVATE;
		attr.node = a->node;
		a->pool = contig_pool_create(&attr);
		require(a->pool, "%s", contig_strreason());
	}
}

void *asked_malloc(const struct asked *a, size_t size)
{
	const struct domainset *set;

	switch (a->way) {
	case WAY_POOL:
	case WAY_PRIVATE:
		return contig_pool_malloc(a->pool, size, M_DEVBUF, 0, 0, ANY, 0, 0);
	case WAY_FIXED:
	case WAY_PREF:
		set = a->way == WAY_FIXED ? DOMAINSET_FIXED(a->node)
					  : DOMAINSET_PREF(a->node);
		require(set, "node %d: %s", a->node, contig_strreason());
		return contigmalloc_domainset(size, M_DEVBUF, set, 0, 0, ANY, 0, 0);
	default:
		return contigmalloc(size, M_DEVBUF, 0, 0, ANY, 0, 0);
	}
}

const char *asked_describe(const struct asked *a)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s = %d, sources %s, growth %s", way_names[a->way],
		 a->node, a->sources, a->grow);
	return text;
}

void asked_each(void (*fn)(void *arg), const char *sources, const char *grow,
		unsigned int ways)
{
	for (unsigned int way = 0; way < WAYS; way++) {
		for (int node = 0; node < NODES && ways >> way & 1; node++) {
			struct asked a = {(enum way)way, node, sources, grow, NULL};
			struct outcome out = run_child(fn, &a);

			require(!out.status && !out.signal && !out.timed_out,
				"%s: status %d, signal %d%s", asked_describe(&a),
				out.status, out.signal,
				out.timed_out ? ", ended after a minute" : "");
		}
	}
}

void asked_keeps(void *arg)
{
	/* 6 MiB is more than one superpage. */
	static const size_t sizes[] = {PAGE, 3 * PAGE, SUPERPAGE,
				       PAGE, 6 * MIB,  300 * 1024};
	struct asked *a = arg;
	void *blocks[6];

	asked_prepare(a);
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < 6; i++) {
			blocks[i] = asked_malloc(a, sizes[i]);
			require(blocks[i], "%s: %s", asked_describe(a),
				contig_strreason());
			lies_on(blocks[i], sizes[i], a->node, asked_describe(a));
		}
		for (size_t i = 0; i < 6; i++)
			contig_free(blocks[i]);
	}
	require(!contig_verify(), "frames moved");
}
