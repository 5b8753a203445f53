/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A described machine.  CONTIG_SIM is a comma-separated list of
 *   START-END[@NODE]   RAM from START to END (exclusive), sizes as "16M"
 *   seed=N             the order in which superpages are handed out
 * for instance "1M-3G,4G-5G@0,5G-6G@1,seed=7".
 */
#include "base/lock.h"
#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "phys/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIM_MOST (UINT64_C(64) << 40) /* a reservation that still fits */

static struct lock lock = LOCK_INITIALIZER(LOCK_LEAF);
static uint64_t *order; /* places not handed out yet, next one last */
static unsigned int n_order;

static int range_compare(const void *a, const void *b)
{
	const struct machine_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int parse_range(char *word, struct machine *out)
{
	char *dash = strchr(word, '-'), *at = strchr(word, '@');
	uint64_t start, end, node = 0;
	int index;

	if (!dash)
		return -EINVAL;
	*dash = '\0';
	if (at) {
		*at = '\0';
		if (contig_size_parse(at + 1, &node) < 0 || node >= HOST_NODES_MAX)
			return -EINVAL;
	}
	if (contig_size_parse(word, &start) < 0 || contig_size_parse(dash + 1, &end) < 0 ||
	    end > SIM_MOST)
		return -EINVAL;
	start = align_up(start, SUPERPAGE_SIZE);
	end = align_down(end, SUPERPAGE_SIZE);
	if (start >= end || out->n_ranges == HOST_RAM_MAX)
		return -EINVAL;
	for (index = 0; index < out->n_nodes && out->nodes[index] != (int)node; index++) {
	}
	if (index == out->n_nodes)
		out->nodes[out->n_nodes++] = (int)node;
	out->ranges[out->n_ranges++] = (struct machine_range){start, end, index};
	if (end > out->end)
		out->end = end;
	return 0;
}

static int make_order(const struct machine *m, uint64_t seed)
{
	uint64_t n = 0, state = seed * 2 + 1;

	for (unsigned int i = 0; i < m->n_ranges; i++)
		n += (m->ranges[i].end - m->ranges[i].start) >> SUPERPAGE_SHIFT;
	order = malloc(n * sizeof(*order));
	if (!order)
		return -ENOMEM;
	n_order = 0;
	for (unsigned int i = 0; i < m->n_ranges; i++)
		for (uint64_t p = m->ranges[i].start; p < m->ranges[i].end; p += SUPERPAGE_SIZE)
			order[n_order++] = p;
	/* Shuffled, as a pool that was grown at run time is (FACTS 1). */
	for (unsigned int i = n_order - 1; i > 0; i--) {
		uint64_t swap = order[i];
		unsigned int j;

		state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		j = (unsigned int)((state >> 33) % (i + 1));
		order[i] = order[j];
		order[j] = swap;
	}
	return 0;
}

int contig_machine_parse(const char *text, struct machine *out)
{
	char *copy = strdup(text), *save = NULL;
	uint64_t seed = 1;
	int err = copy ? 0 : -ENOMEM;

	memset(out, 0, sizeof(*out));
	out->level = CONTIG_LEVEL_SIMULATED;
	for (char *word = err ? NULL : strtok_r(copy, ",", &save); word && !err;
	     word = strtok_r(NULL, ",", &save)) {
		if (!strncmp(word, "seed=", 5))
			err = contig_size_parse(word + 5, &seed);
		else
			err = parse_range(word, out);
		if (err)
			contig_reason_set("CONTIG_SIM: '%s' is not START-END[@NODE] with a whole superpage in it, nor seed=N",
					  word);
	}
	free(copy);
	if (err)
		return err;
	if (!out->n_ranges) {
		contig_reason_set("CONTIG_SIM describes no memory");
		return -EINVAL;
	}
	qsort(out->ranges, out->n_ranges, sizeof(out->ranges[0]), range_compare);
	for (unsigned int i = 1; i < out->n_ranges; i++) {
		if (out->ranges[i].start < out->ranges[i - 1].end) {
			contig_reason_set("CONTIG_SIM: ranges overlap at 0x%llx",
					  (unsigned long long)out->ranges[i].start);
			return -EINVAL;
		}
	}
	return make_order(out, seed);
}

int contig_machine_sim_node(uint64_t place)
{
	for (unsigned int i = 0; i < contig_machine.n_ranges; i++)
		if (place >= contig_machine.ranges[i].start && place < contig_machine.ranges[i].end)
			return contig_machine.ranges[i].node;
	return -1;
}

unsigned int contig_machine_sim_take(uint64_t *places, unsigned int n, int index)
{
	unsigned int got = 0;

	contig_lock(&lock);
	for (unsigned int i = n_order; i > 0 && got < n; i--) {
		uint64_t place = order[i - 1];

		if (index >= 0 && contig_machine_sim_node(place) != index)
			continue;
		places[got++] = place;
		memmove(&order[i - 1], &order[i], (n_order - i) * sizeof(*order));
		n_order--;
	}
	contig_unlock(&lock);
	return got;
}

void contig_machine_sim_return(uint64_t place)
{
	contig_lock(&lock);
	order[n_order++] = place;
	contig_unlock(&lock);
}
