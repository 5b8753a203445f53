/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/pool_record.h"

#include "base/page.h"
#include "host/board.h"
#include "phys/counters.h"
#include "phys/machine.h"
#include "phys/magazine.h"
#include "phys/memmap.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/segment.h"

#include <string.h>

static void add_segment(struct board_pool *out, const struct segment *s)
{
	uint64_t bytes = s->n * s->page_size;

	switch (contig_segment_wiring(s)) {
	case CONTIG_WIRING_PINNED:
		out->pinned += bytes;
		break;
	case CONTIG_WIRING_RESIDENT:
		out->resident += bytes;
		break;
	default:
		out->unwired += bytes;
	}
	switch (s->source) {
	case CONTIG_SOURCE_1G:
		out->superpages_1g += s->n;
		break;
	case CONTIG_SOURCE_THP:
		out->superpages_thp += s->n;
		break;
	default:
		out->superpages_2m += s->n;
	}
}

void contig_pool_describe(const struct contig_pool *pool, struct board_pool *out)
{
	memset(out, 0, sizeof(*out));
	out->record.state = 1;
	memcpy(out->name, pool->name, sizeof(out->name));
	out->kind = pool->kind;
	out->fork = pool->fork;
	out->mode = pool->mode;
	out->sources = contig_pool_sources(pool);
	out->node = pool->node < 0 ? -1 : contig_machine.nodes[pool->node];
	out->limit = pool->limit;
	for (int node = 0; node < HOST_NODES_MAX; node++) {
		uint64_t longest = pool->free[node] ? contig_extent_longest(pool->free[node]) : 0;

		if (longest << FRAME_SHIFT > out->longest)
			out->longest = longest << FRAME_SHIFT;
	}
	for (const struct segment *s = pool->segments; s; s = s->next)
		if (!s->inherited)
			add_segment(out, s);
	out->held = pool->held;
	out->quarantined = pool->withheld_frames << FRAME_SHIFT;
	out->free = pool->free_frames << FRAME_SHIFT;
	out->live = pool->live_frames << FRAME_SHIFT;
}

uint64_t contig_pool_metadata(const struct contig_pool *pool)
{
	uint64_t bytes = 0;

	for (int node = 0; node < HOST_NODES_MAX; node++)
		if (pool->free[node])
			bytes += contig_extent_metadata(pool->free[node]);
	for (const struct segment *s = pool->segments; s; s = s->next)
		if (!s->inherited)
			bytes += sizeof(*s);
	return bytes;
}

/* All but the sequence, which stays odd meanwhile. */
static void put(struct board_pool *record, const struct board_pool *now)
{
	board_write_begin(&record->record);
	record->record.state = now->record.state;
	memcpy((char *)record + sizeof(record->record), (const char *)now + sizeof(now->record),
	       sizeof(*record) - sizeof(record->record));
	board_write_end(&record->record);
}

static void write_record(struct contig_pool *pool)
{
	struct board_pool now;

	contig_lock(&pool->lock);
	contig_pool_describe(pool, &now);
	put(pool->record, &now);
	contig_unlock(&pool->lock);
}

static void show_counters(struct board *board)
{
	const uint64_t *counters = (const uint64_t *)&contig_counters;
	uint64_t metadata = contig_physmap_metadata();

	contig_magazines_fold();
	for (unsigned int i = 0; i < sizeof(contig_counters) / sizeof(*counters); i++)
		board_store(&board->counters[i].value, contig_counter_read(&counters[i]));
	board_store(&board->counters[BOARD_COUNTER_cached].value,
		    contig_magazines_cached() << FRAME_SHIFT);
	for (struct contig_pool *p = contig_pools; p; p = p->next) {
		contig_lock(&p->lock);
		metadata += contig_pool_metadata(p) +
			    (p->held >> FRAME_SHIFT) * sizeof(struct vm_page);
		contig_unlock(&p->lock);
	}
	board_store(&board->counters[BOARD_COUNTER_metadata].value, metadata);
	board_store(&board->header.folded, contig_board_clock());
}

/* contig_pools_lock is held: it guards the table of pools, and fork(2) waits
 * for it. */
static void update_all(void)
{
	struct board *board = contig_board_now ? contig_board_now :
						 contig_board_make(contig_machine.level);

	if (!board)
		return;
	for (struct contig_pool *p = contig_pools; p; p = p->next) {
		if (!p->record) {
			int i = contig_board_record(board, BOARD_POOLS);

			if (i < 0)
				continue;
			contig_lock(&p->lock);
			__atomic_store_n(&p->record, &board->pools[i], __ATOMIC_RELAXED);
			contig_unlock(&p->lock);
		}
		write_record(p);
	}
	show_counters(board);
	contig_board_show(board);
}

void contig_records_update(void)
{
	contig_lock(&contig_pools_lock);
	update_all();
	contig_unlock(&contig_pools_lock);
}

void contig_pool_record(struct contig_pool *pool)
{
	contig_lock(&contig_pools_lock);
	if (pool->record) {
		write_record(pool);
		show_counters(contig_board_now);
	} else {
		update_all();
	}
	contig_unlock(&contig_pools_lock);
}

void contig_pool_record_end(struct contig_pool *pool)
{
	static const struct board_pool none;
	struct board_pool *record;

	contig_lock(&contig_pools_lock);
	contig_lock(&pool->lock);
	record = pool->record;
	__atomic_store_n(&pool->record, NULL, __ATOMIC_RELAXED);
	contig_unlock(&pool->lock);
	if (record)
		put(record, &none);
	contig_unlock(&contig_pools_lock);
}

int contig_pool_record_number(const struct contig_pool *pool)
{
	const struct board_pool *record = __atomic_load_n(&pool->record, __ATOMIC_RELAXED);

	return record ? (int)(record - contig_board_now->pools) : -1;
}

void contig_records_fork_child(void)
{
	contig_board_forget();
	for (struct contig_pool *p = contig_pools; p; p = p->next)
		p->record = NULL;
}
