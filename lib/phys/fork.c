/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/fork.h"

#include "base/log.h"
#include "base/page.h"
#include "base/radix.h"
#include "host/bare.h"
#include "phys/backing.h"
#include "phys/fork_plan.h"
#include "phys/limit.h"
#include "phys/magazine.h"
#include "phys/memmap.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/pool_record.h"
#include "phys/reclaim.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

static struct fork_hook *hooks;

void contig_fork_hook_add(struct fork_hook *hook)
{
	hook->next = hooks;
	hooks = hook;
}

static bool stays_mapped(const struct contig_pool *pool)
{
	return pool->fork == CONTIG_FORK_SHARE;
}

/* Everything is at rest: no reclaim half done, no block between two lists. */
static void come_to_rest(void)
{
	for (struct fork_hook *hook = hooks; hook; hook = hook->next)
		if (hook->prepare)
			hook->prepare();
	contig_lock(&contig_reclaim_lock);
	contig_lock(&contig_pools_lock);
	contig_lock_enter(LOCK_POOL);
	for (struct contig_pool *p = contig_pools; p; p = p->next)
		pthread_mutex_lock(&p->lock.mutex);
	contig_magazines_fork_prepare();
	contig_lock(&contig_pin_lock);
	contig_radix_fork_prepare();
}

static void prepare(void)
{
	come_to_rest();
	contig_fork_leave();
}

void contig_fork_missed(void)
{
	come_to_rest();
	contig_fork_left();
}

static void release(void)
{
	for (struct contig_pool *p = contig_pools; p; p = p->next)
		pthread_mutex_unlock(&p->lock.mutex);
	contig_lock_leave(LOCK_POOL);
	contig_unlock(&contig_pools_lock);
	contig_unlock(&contig_reclaim_lock);
}

/* A child that shares the memory can write any of it, at any time. */
static void mark_shared(struct contig_pool *pool)
{
	for (struct segment *s = pool->segments; s; s = s->next) {
		for (unsigned int i = 0; i < s->n; i++) {
			uint64_t end = s->places[i] + s->page_size;

			for (uint64_t p = s->places[i]; p < end; p += SUPERPAGE_SIZE) {
				struct block *block = place_block(p);

				block->keep = true;
				for (size_t w = 0; w < SUPERPAGE_FRAMES / 64; w++)
					__atomic_store_n(&block->dirty[w], UINT64_MAX,
							 __ATOMIC_RELAXED);
			}
		}
	}
}

static void parent(void)
{
	contig_fork_return();
	contig_radix_fork_done();
	contig_unlock(&contig_pin_lock);
	contig_magazines_fork_parent();
	for (struct contig_pool *p = contig_pools; p; p = p->next)
		if (pool_fork_shares(p))
			mark_shared(p);
	release();
	for (struct fork_hook *hook = hooks; hook; hook = hook->next)
		if (hook->parent)
			hook->parent();
}

/* The hole that MADV_DONTFORK left must not fill with something else. */
static void fill_hole(uint64_t place, uint64_t bytes)
{
	if (bare_again(place_address(place), bytes))
		contig_debug(FORK, "hole at 0x%llx could not be reserved",
			     (unsigned long long)place);
}

/* Whether the child has the memory at all. */
static bool came_along(const struct contig_pool *pool, uint64_t place)
{
	return stays_mapped(pool) &&
	       (pool->kind != CONTIG_POOL_PRIVATE || contig_fork_came(place));
}

/* The segment's places that came along; others are gone. */
static unsigned int keep_places(struct contig_pool *pool, struct segment *s)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < s->n; i++) {
		if (!came_along(pool, s->places[i])) {
			contig_physmap_withdraw(s->places[i], s->page_size);
			fill_hole(s->places[i], s->page_size);
			continue;
		}
		/* Copies of its own, in frames of their own. */
		if (pool->kind == CONTIG_POOL_PRIVATE)
			contig_physmap_hide(s->places[i], s->page_size);
		s->indices[n] = s->indices[i];
		s->places[n++] = s->places[i];
	}
	return n;
}

static void inherit(struct contig_pool *pool)
{
	struct segment **link = &pool->segments, *s;

	while ((s = *link)) {
		if (s->pin && !pool_fork_shares(pool)) {
			contig_pin_forget(s->pin);
			s->pin = NULL;
		}
		if (s->inherited) {
			link = &s->next;
			continue;
		}
		pool_held_set(pool, pool->held - s->n * s->page_size);
		if (s->file)
			contig_backing_file_forget(s->file);
		s->n = keep_places(pool, s);
		s->inherited = true;
		if (!s->n) {
			*link = s->next;
			continue; /* the record is the parent's; a few bytes */
		}
		link = &s->next;
	}
	for (int node = 0; node < HOST_NODES_MAX; node++) {
		contig_extent_set_destroy(pool->free[node]);
		pool->free[node] = NULL;
	}
	pool_free_sub(pool, pool->free_frames);
	pool->withheld_frames = 0;
	pool->live_frames = 0;
}

static void child(void)
{
	contig_fork_arrive();
	contig_radix_fork_done();
	contig_unlock(&contig_pin_lock);
	contig_fork_generation++;
	contig_records_fork_child();
	contig_magazines_fork_child();
	contig_limit_fork_child();
	for (struct contig_pool *p = contig_pools; p; p = p->next)
		inherit(p);
	release();
	for (struct fork_hook *hook = hooks; hook; hook = hook->next)
		if (hook->child)
			hook->child();
}

int contig_fork_init(void)
{
	return -pthread_atfork(prepare, parent, child);
}
