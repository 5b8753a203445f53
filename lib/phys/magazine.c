/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/magazine.h"

#include "phys/pool.h"
#include "phys/physmap.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SPINS_BEFORE_YIELD 100

__thread struct thread_cache *contig_thread_cache;
uint32_t contig_fork_generation;

static __thread bool exiting; /* the cache has been given up */
static struct thread_cache *caches;
static struct thread_cache *orphans; /* of threads that a child doesn't have */
static struct lock caches_lock = LOCK_INITIALIZER(LOCK_CACHES);
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_made;

void contig_cache_lock_slow(struct thread_cache *cache)
{
	unsigned int spins = 0;

	while (__atomic_exchange_n(&cache->locked, 1, __ATOMIC_ACQUIRE))
		if (++spins > SPINS_BEFORE_YIELD)
			sched_yield();
}

static uint64_t unlink_magazine(struct magazine *magazine, uint64_t chain)
{
	while (magazine->n) {
		uint64_t frame = magazine->frames[--magazine->n];

		page_chain_set(frame_page(frame), chain);
		chain = frame;
	}
	return chain;
}

/* One of another pool's is free for any pool then. */
static uint64_t unlink_pool(struct pool_magazine *magazine, uint64_t chain)
{
	chain = unlink_magazine(&magazine->pages, chain);
	__atomic_store_n(&magazine->pool, NULL, __ATOMIC_RELAXED);
	return chain;
}

/* Blocks unlinked from a cache, chained through their first frame's page; of
 * one pool or (NULL) of all. */
static uint64_t unlink_all(struct thread_cache *cache, const struct contig_pool *pool,
			   uint64_t chain)
{
	if (!pool || pool == &contig_default_pool) {
		for (int class = 0; class < MAGAZINE_CLASSES; class++)
			chain = unlink_magazine(&cache->magazines[class], chain);
		cache->cached = 0;
	}
	for (int i = 0; i < POOL_MAGAZINES; i++)
		if (!pool || cache->pools[i].pool == pool)
			chain = unlink_pool(&cache->pools[i], chain);
	return chain;
}

/*
 * contig_pools_lock held: a pool is destroyed by first unlisting it under this
 * lock and then draining, so nothing of it is on its way here any more when
 * its memory goes.
 */
static uint64_t put_chain(uint64_t chain)
{
	uint64_t frames = 0;

	while (chain != EXTENT_NONE) {
		struct vm_page *page = frame_page(chain);
		uint64_t frame = chain, npages = page_npages(page);

		chain = page_chain(page);
		page_state_set(page, VM_PAGE_OTHER);
		contig_pool_put(frame_block(frame)->segment->pool, frame, npages);
		frames += npages;
	}
	return frames;
}

static void fold_cache(struct thread_cache *cache)
{
	for (unsigned int label = 0; label < cache->n_usage; label++)
		if (cache->usage[label].allocs || cache->usage[label].frees)
			contig_usage_fold((uint16_t)label, &cache->usage[label]);
}

static void unlist(struct thread_cache *cache)
{
	contig_lock(&caches_lock);
	*cache->link = cache->next;
	if (cache->next)
		cache->next->link = cache->link;
	contig_unlock(&caches_lock);
}

/* Thread exit: other destructors may still free blocks after this one. */
static void thread_exit(void *arg)
{
	struct thread_cache *cache = arg;

	contig_thread_cache = NULL;
	exiting = true;
	contig_lock(&contig_pools_lock);
	unlist(cache);
	fold_cache(cache);
	put_chain(unlink_all(cache, NULL, EXTENT_NONE));
	contig_unlock(&contig_pools_lock);
	free(cache->usage);
	free(cache);
}

static void make_key(void)
{
	key_made = pthread_key_create(&key, thread_exit) == 0;
}

/* Not in the fork handler: malloc's own may still have to run. */
static void free_orphans(void)
{
	struct thread_cache *c, *next;

	contig_lock(&caches_lock);
	c = orphans;
	orphans = NULL;
	contig_unlock(&caches_lock);
	for (; c; c = next) {
		next = c->next;
		free(c->usage);
		free(c);
	}
}

struct thread_cache *contig_thread_cache_make(void)
{
	struct thread_cache *cache;

	if (__builtin_expect(!!__atomic_load_n(&orphans, __ATOMIC_RELAXED), 0))
		free_orphans();
	if (contig_thread_cache || exiting)
		return contig_thread_cache;
	pthread_once(&key_once, make_key);
	if (!key_made)
		return NULL;
	cache = aligned_alloc(64, align_up(sizeof(*cache), 64));
	if (!cache)
		return NULL;
	memset(cache, 0, sizeof(*cache));
	for (int i = 0; i < POOL_MAGAZINES; i++)
		cache->pools[i].pages.capacity = MAGAZINE_SLOTS;
	for (int class = 0; class < MAGAZINE_CLASSES; class++) {
		uint64_t npages = class < MAGAZINE_EXACT ? (uint64_t)class + 1
							 : UINT64_C(32) << (class - MAGAZINE_EXACT);
		uint64_t fit = MAGAZINE_BYTES / (npages << FRAME_SHIFT);

		cache->magazines[class].capacity =
			fit < 2 ? 2 : fit > MAGAZINE_SLOTS ? MAGAZINE_SLOTS : (unsigned int)fit;
	}
	if (pthread_setspecific(key, cache)) {
		free(cache);
		return NULL;
	}
	contig_lock(&caches_lock);
	cache->next = caches;
	cache->link = &caches;
	if (caches)
		caches->link = &cache->next;
	caches = cache;
	contig_unlock(&caches_lock);
	contig_thread_cache = cache;
	return cache;
}

bool contig_usage_room(struct thread_cache *cache, uint16_t label)
{
	unsigned int want = align_up(label + 1u, 8);
	struct usage *bigger, *old;

	if (label < cache->n_usage)
		return true;
	/* Only this thread changes the table; nobody allocates under a spin
	 * lock. */
	bigger = calloc(want, sizeof(*bigger));
	if (!bigger)
		return false;
	cache_lock(cache);
	old = cache->usage;
	if (old)
		memcpy(bigger, old, cache->n_usage * sizeof(*bigger));
	cache->usage = bigger;
	cache->n_usage = want;
	cache_unlock(cache);
	free(old);
	return true;
}

unsigned int contig_magazine_refill(uint64_t npages)
{
	/* A quarter of what a magazine may hold, and never a superpage's
	 * worth: a thread that wants one block must not drain a small pool. */
	uint64_t fit = MAGAZINE_BYTES / 4 / (npages << FRAME_SHIFT);

	if (magazine_class(npages) < 0 || fit < 2)
		return 0;
	return fit > MAGAZINE_SLOTS / 4 ? MAGAZINE_SLOTS / 4 : (unsigned int)fit;
}

bool contig_magazine_stock(struct thread_cache *cache, uint64_t frame)
{
	struct vm_page *page = frame_page(frame);
	struct magazine *magazine = &cache->magazines[magazine_class(page_npages(page))];
	bool kept;

	cache_lock(cache);
	kept = magazine_push(magazine, frame);
	if (kept)
		cache->cached += page_npages(page);
	cache_unlock(cache);
	return kept;
}

void contig_usage_count(uint16_t label, uint64_t bytes, bool alloc)
{
	struct thread_cache *cache = contig_thread_cache_make();
	struct usage one = {0};

	if (cache && contig_usage_room(cache, label)) {
		cache_lock(cache);
		if (alloc)
			usage_alloc(&cache->usage[label], label, bytes);
		else
			usage_free(&cache->usage[label], label, bytes);
		cache_unlock(cache);
		return;
	}
	if (alloc)
		usage_alloc(&one, label, bytes);
	else
		usage_free(&one, label, bytes);
	if (one.allocs || one.frees)
		contig_usage_fold(label, &one);
}

uint64_t contig_magazines_drain_pool(struct contig_pool *pool)
{
	uint64_t chain = EXTENT_NONE, frames;

	contig_lock(&contig_pools_lock);
	contig_lock(&caches_lock);
	for (struct thread_cache *c = caches; c; c = c->next) {
		cache_lock(c);
		chain = unlink_all(c, pool, chain);
		cache_unlock(c);
	}
	contig_unlock(&caches_lock);
	frames = put_chain(chain);
	contig_unlock(&contig_pools_lock);
	return frames;
}

uint64_t contig_magazines_drain(void)
{
	return contig_magazines_drain_pool(NULL);
}

void contig_magazine_drain_own(struct thread_cache *cache, struct pool_magazine *magazine)
{
	uint64_t chain;

	contig_lock(&contig_pools_lock);
	cache_lock(cache);
	chain = unlink_pool(magazine, EXTENT_NONE);
	cache_unlock(cache);
	put_chain(chain);
	contig_unlock(&contig_pools_lock);
}

/* Of one pool or (NULL) of all.  Locked. */
static uint64_t cached_in(const struct thread_cache *cache, const struct contig_pool *pool)
{
	uint64_t frames = !pool || pool == &contig_default_pool ? cache->cached : 0;

	for (int i = 0; i < POOL_MAGAZINES; i++)
		if (!pool || cache->pools[i].pool == pool)
			frames += cache->pools[i].pages.n;
	return frames;
}

uint64_t contig_magazines_cached_of(const struct contig_pool *pool)
{
	uint64_t frames = 0;

	contig_lock(&caches_lock);
	for (struct thread_cache *c = caches; c; c = c->next) {
		cache_lock(c);
		frames += cached_in(c, pool);
		cache_unlock(c);
	}
	contig_unlock(&caches_lock);
	return frames;
}

uint64_t contig_magazines_cached(void)
{
	return contig_magazines_cached_of(NULL);
}

void contig_magazines_fold(void)
{
	contig_lock(&caches_lock);
	for (struct thread_cache *c = caches; c; c = c->next) {
		cache_lock(c);
		fold_cache(c);
		cache_unlock(c);
	}
	contig_unlock(&caches_lock);
}

void contig_magazines_fork_prepare(void)
{
	contig_lock(&caches_lock);
	/* Many locks of one rank: only here, and in list order. */
	contig_lock_enter(LOCK_CACHE);
	for (struct thread_cache *c = caches; c; c = c->next)
		if (__atomic_exchange_n(&c->locked, 1, __ATOMIC_ACQUIRE))
			contig_cache_lock_slow(c);
}

static void forget_zero_in(const struct magazine *magazine)
{
	for (unsigned int i = 0; i < magazine->n; i++)
		frame_page(magazine->frames[i])->flags &= (uint8_t)~VM_PAGE_ZERO;
}

/* A child can write what lies in a cache as well. */
static void forget_zero(const struct thread_cache *cache)
{
	for (int class = 0; class < MAGAZINE_CLASSES; class++)
		forget_zero_in(&cache->magazines[class]);
	for (int i = 0; i < POOL_MAGAZINES; i++)
		forget_zero_in(&cache->pools[i].pages);
}

void contig_magazines_fork_parent(void)
{
	for (struct thread_cache *c = caches; c; c = c->next) {
		forget_zero(c);
		__atomic_store_n(&c->locked, 0, __ATOMIC_RELEASE);
	}
	contig_lock_leave(LOCK_CACHE);
	contig_unlock(&caches_lock);
}

void contig_magazines_fork_child(void)
{
	struct thread_cache *c = caches, *next;

	/* Cached blocks are the parent's; counts stay, for the child's view of
	 * its own blocks.  Other threads' caches have no thread any more. */
	caches = NULL;
	for (; c; c = next) {
		next = c->next;
		unlink_all(c, NULL, EXTENT_NONE);
		if (c == contig_thread_cache) {
			caches = c;
			c->next = NULL;
			c->link = &caches;
			c->locked = 0;
			continue;
		}
		fold_cache(c);
		c->next = orphans;
		orphans = c;
	}
	contig_lock_leave(LOCK_CACHE);
	contig_unlock(&caches_lock);
}
