/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/extents.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/page.h"
#include "base/reason.h"
#include "contig/pool.h"
#include "host/threads.h"
#include "phys/attempt.h"
#include "phys/limit.h"
#include "phys/machine.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/reclaim.h"
#include "phys/start.h"
#include "phys/trim.h"
#include "preload/engine.h"
#include "preload/inside.h"
#include "preload/loosen.h"
#include "preload/options.h"
#include "preload/raw.h"
#include "preload/report.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* What a failed search cost isn't paid again within this time, nor until
 * searching is a small part of all time, unless for less than failed. */
#define DRY_NS    UINT64_C(1000000000)
#define DRY_SHARE 50
/* How often what one search brought may be taken by other threads. */
#define STOLEN_MOST 64
#define ROUNDS 3
/* Free memory is given back when there is more than twice this, and an eighth
 * of what is in use, until there is no more than once. */
#define SLACK_LEAST (UINT64_C(16) << 20)
#define SLACK_DIVISOR 8
/* A program that trims all the time takes again what it gave back, pinned and
 * zeroed anew.  Within this time of a trim the next leaves the slack, and a
 * heap of no more than twice that alone. */
#define TRIM_PAUSE_NS UINT64_C(100000000)

/* A run of several superpages is looked for among others, which must be
 * taken first; a program that only wanted memory doesn't wait for ever. */
#define SEARCH_LEAST (UINT64_C(1) << 30)
#define SEARCH_TIMES 4
/* A program that needs many such runs, where memory is in pieces, would spend
 * its time on that.  Beyond this and a share of its time, only a short look
 * is had, unless the program wants a run or nothing (strict). */
#define SEARCH_NS    UINT64_C(500000000)
#define SEARCH_SHARE 5
/* And no single search goes on after this, where each step takes long or other
 * processes are reclaiming. */
#define ONE_SEARCH_NS UINT64_C(500000000)

static struct contig_pool *pool;
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;
/* One search at a time: the others find what it brought. */
static pthread_mutex_t search_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t dry_until, dry_frames;
__thread bool shim_extents_only_held __attribute__((tls_model("initial-exec")));
static __thread char why[SHIM_REASON_LEN] __attribute__((tls_model("initial-exec")));

const char *shim_extents_why(void)
{
	return why[0] ? why : "no superpages to be had";
}

static void because(const char *text)
{
	contig_reason_once(text, why, sizeof(why));
}

static bool dry(uint64_t frames)
{
	return frames >= __atomic_load_n(&dry_frames, __ATOMIC_RELAXED) &&
	       clock_coarse_ns() < __atomic_load_n(&dry_until, __ATOMIC_RELAXED);
}

bool shim_extents_may_have(size_t bytes)
{
	return !dry((bytes + FRAME_SIZE - 1) >> FRAME_SHIFT);
}

static void went_dry(uint64_t frames, uint64_t since)
{
	uint64_t now = clock_coarse_ns(), pause = (clock_ns() - since) * DRY_SHARE;

	__atomic_store_n(&dry_frames, frames, __ATOMIC_RELAXED);
	__atomic_store_n(&dry_until, now + (pause > DRY_NS ? pause : DRY_NS), __ATOMIC_RELAXED);
}

/* The window of addresses; whether this process can keep to it. */
static bool window(struct extent_request *run)
{
	run->low = align_up(shim_options.low, FRAME_SIZE) >> FRAME_SHIFT;
	run->high = contig_physmap.frames;
	if (shim_options.high >> FRAME_SHIFT < run->high) {
		run->high = shim_options.high >> FRAME_SHIFT;
		if (contig_machine.level == CONTIG_LEVEL_HIDDEN) {
			because("physical addresses are hidden: --below can't be kept (needs CAP_SYS_ADMIN)");
			return false;
		}
	}
	return true;
}

static struct contig_pool *make_pool(void)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.name = "heap",
		.kind = CONTIG_POOL_PRIVATE,
		.fork = CONTIG_FORK_SHARE,
		.node = shim_options.node,
	};
	struct contig_pool *made;

	if (contig_start() < 0) {
		because(contig_reason_get());
		return NULL;
	}
	if (attr.node >= 0 && contig_machine_node_index(attr.node) < 0)
		attr.node = -1;
	made = contig_pool_create(&attr);
	if (!made) {
		because(contig_reason_get());
		return NULL;
	}
	/* A strict program has no use for the rest. */
	made->wired_only = shim_options.strict;
	shim_engine_own(place_address(0), contig_physmap.span);
	return made;
}

static struct contig_pool *get_pool(void)
{
	struct contig_pool *one = __atomic_load_n(&pool, __ATOMIC_ACQUIRE);

	if (one)
		return one;
	pthread_mutex_lock(&pool_lock);
	if (!pool)
		__atomic_store_n(&pool, make_pool(), __ATOMIC_RELEASE);
	one = pool;
	pthread_mutex_unlock(&pool_lock);
	return one;
}

struct contig_pool *shim_pool(void)
{
	return __atomic_load_n(&pool, __ATOMIC_ACQUIRE);
}

size_t shim_pool_held(void)
{
	return shim_pool() ? pool_held_seen(shim_pool()) : 0;
}

static uint64_t take(struct contig_pool *from, const struct frame_request *request, bool *zero)
{
	return contig_pool_take(from, request, true, zero);
}

/* Under search_lock: time spent on runs of several superpages, and since when. */
static uint64_t searched_ns, search_start;

static uint64_t search_most(uint64_t bytes, uint64_t now)
{
	uint64_t most = bytes * SEARCH_TIMES;

	if (!search_start)
		search_start = now;
	if (bytes > SUPERPAGE_SIZE && !shim_options.strict &&
	    searched_ns > SEARCH_NS + (now - search_start) / SEARCH_SHARE)
		return most;
	return most > SEARCH_LEAST ? most : SEARCH_LEAST;
}

/* Harder from pass to pass, see phys/reclaim.h. */
static uint64_t take_passes(struct contig_pool *from, const struct frame_request *request,
			    bool *zero)
{
	uint64_t frame = EXTENT_NONE;

	for (unsigned int pass = 0, stolen = 0; frame == EXTENT_NONE && pass < RECLAIM_PASSES;) {
		bool more = contig_reclaim(from, request, pass);

		frame = take(from, request, zero);
		if (!more || stolen++ == STOLEN_MOST)
			pass++;
		if (contig_attempt_late())
			break;
	}
	return frame;
}

static uint64_t take_slow(struct contig_pool *from, const struct frame_request *request,
			  bool *zero)
{
	uint64_t frame = EXTENT_NONE, since = clock_ns();
	bool long_run = request->run.count > SUPERPAGE_FRAMES;
	unsigned int rounds;

	if (contig_reclaim_blinded()) {
		because("privileges were dropped: the frames of new memory can't be seen");
		went_dry(request->run.count, since);
		return EXTENT_NONE;
	}
	contig_attempt_cap(search_most(request->run.count << FRAME_SHIFT, since),
			   shim_options.strict ? 0 : since + ONE_SEARCH_NS);
	/* A single superpage is there if memory is: the kernel failed in passing. */
	rounds = long_run ? 1 : ROUNDS;
	while (frame == EXTENT_NONE && rounds--) {
		contig_reclaim_why_clear();
		frame = take_passes(from, request, zero);
	}
	contig_attempt_cap(0, 0);
	if (long_run)
		searched_ns += clock_ns() - since;
	if (frame == EXTENT_NONE) {
		because(contig_reclaim_why());
		went_dry(request->run.count, since);
	}
	return frame;
}

/* What of [place, end) is wired; *loose: some segment that isn't. */
static uint64_t wired_bytes(uint64_t place, uint64_t end, const struct segment **loose)
{
	uint64_t wired = 0, next;

	*loose = NULL;
	for (; place < end; place = next) {
		const struct segment *segment = contig_physmap_segment(place);

		next = align_down(place, SUPERPAGE_SIZE) + SUPERPAGE_SIZE;
		if (next > end)
			next = end;
		if (segment && segment_is_wired(segment))
			wired += next - place;
		else
			*loose = segment;
	}
	return wired;
}

/* On superpages, but free to move: less than was promised. */
static void count_loose(const struct segment *loose, uint64_t bytes)
{
	char text[SHIM_REASON_LEN] = "not wired: ";
	size_t len = strlen(text);

	if (loose)
		contig_segment_why(loose, text + len, sizeof(text) - len);
	shim_count(SHIM_FALLBACKS, 1);
	shim_count(SHIM_FALLBACK_BYTES, bytes);
	shim_reason(text, bytes);
}

static void count_extent(const struct contig_pool *from, uint64_t frame, size_t bytes)
{
	const struct segment *loose;
	uint64_t place = frame << FRAME_SHIFT;
	uint64_t wired = wired_bytes(place, place + bytes, &loose);

	shim_count(SHIM_ON_SUPERPAGES, bytes);
	shim_count(SHIM_WIRED, wired);
	if (wired < bytes)
		count_loose(loose, bytes - wired);
	shim_count_max(SHIM_LARGEST_RUN, bytes);
	shim_count_max(SHIM_PEAK, contig_limit_claimed() + pool_held_seen(from));
}

static void *alloc_inside(size_t bytes, size_t align, bool *zero)
{
	struct frame_request request = {
		.run = {
			.count = (bytes + FRAME_SIZE - 1) >> FRAME_SHIFT,
			.align = align > FRAME_SIZE ? align >> FRAME_SHIFT : 1,
		},
		.node = -1,
		.use_reserve = true,
	};
	struct contig_pool *from;
	bool is_zero = false;
	uint64_t frame;

	if (!shim_pool() && dry(0))
		return NULL;
	from = get_pool();
	if (!from) {
		went_dry(0, clock_ns());
		return NULL;
	}
	if (!window(&request.run))
		return NULL;
	if (contig_machine.level != CONTIG_LEVEL_HIDDEN &&
	    !contig_machine_can_hold(&request.run, -1)) {
		because("no RAM of this machine could hold such a run");
		return NULL;
	}
	frame = take(from, &request, &is_zero);
	if (frame == EXTENT_NONE && !shim_extents_only_held && !dry(request.run.count)) {
		pthread_mutex_lock(&search_lock);
		frame = take(from, &request, &is_zero);
		if (frame == EXTENT_NONE && !dry(request.run.count))
			frame = take_slow(from, &request, &is_zero);
		pthread_mutex_unlock(&search_lock);
	}
	if (frame == EXTENT_NONE)
		return NULL;
	count_extent(from, frame, bytes);
	if (*zero && !is_zero)
		memset(frame_address(frame), 0, request.run.count << FRAME_SHIFT);
	*zero = *zero || is_zero;
	return frame_address(frame);
}

/*
 * Inside, and not interrupted: a handler that forks must find the core at
 * rest, or there is no more to be done than a bare fork (fork.h).
 */
static void begin(sigset_t *signals)
{
	contig_signals_block(signals);
	shim_enter();
}

static void end(const sigset_t *signals)
{
	shim_leave();
	contig_signals_restore(signals);
}

void *shim_extent_alloc(size_t bytes, size_t align, bool *zero)
{
	NO_CANCEL;
	sigset_t signals;
	void *p;

	if (bytes > PTRDIFF_MAX || shim_inside())
		return NULL;
	begin(&signals);
	p = alloc_inside(bytes, align, zero);
	end(&signals);
	return p;
}

void *shim_extent_grow(void *addr, size_t bytes, bool *zero)
{
	uint64_t frame = address_place(addr) >> FRAME_SHIFT;
	struct frame_request request = {
		.run = {
			.count = bytes >> FRAME_SHIFT,
			.low = frame,
			.high = frame + (bytes >> FRAME_SHIFT),
			.align = 1,
		},
		.node = -1,
		.use_reserve = true,
	};
	bool is_zero = false;
	sigset_t signals;

	if (!shim_pool() || address_place(addr) == UINT64_MAX || shim_inside())
		return NULL;
	begin(&signals);
	if (request.run.high > contig_physmap.frames ||
	    take(pool, &request, &is_zero) == EXTENT_NONE) {
		end(&signals);
		return NULL;
	}
	count_extent(pool, frame, bytes);
	if (*zero && !is_zero)
		memset(addr, 0, bytes);
	*zero = *zero || is_zero;
	end(&signals);
	return addr;
}

static uint64_t in_use(void)
{
	return __atomic_load_n(&pool->live_frames, __ATOMIC_RELAXED) << FRAME_SHIFT;
}

static void give_back(void)
{
	uint64_t slack = in_use() / SLACK_DIVISOR;

	if (slack < SLACK_LEAST)
		slack = SLACK_LEAST;
	if (pool_free_seen(pool) << FRAME_SHIFT > 2 * slack)
		contig_trim_pool(pool, slack, false);
}

/* Superpages of it may have been loosened: those are the kernel's. */
static void put_parts(char *p, size_t bytes)
{
	for (char *end = p + bytes, *next; p < end; p = next) {
		bool ours = shim_extent_ours(p);

		next = (char *)align_down((uintptr_t)p, SUPERPAGE_SIZE) + SUPERPAGE_SIZE;
		while (next < end && shim_extent_ours(next) == ours)
			next += SUPERPAGE_SIZE;
		if (next > end)
			next = end;
		if (ours)
			contig_pool_put(pool, address_place(p) >> FRAME_SHIFT,
					(size_t)(next - p) >> FRAME_SHIFT);
		else
			shim_raw_madvise(p, (size_t)(next - p), MADV_DONTNEED);
	}
}

void shim_extent_free(void *p, size_t bytes)
{
	NO_CANCEL;
	sigset_t signals;

	begin(&signals);
	if (shim_loosened)
		put_parts(p, align_up(bytes, FRAME_SIZE));
	else
		contig_pool_put(pool, address_place(p) >> FRAME_SHIFT,
				(bytes + FRAME_SIZE - 1) >> FRAME_SHIFT);
	if (!shim_extents_only_held)
		give_back();
	end(&signals);
}

static uint64_t trimmed_at; /* to the last superpage; 0 never */

static bool trimmed_lately(void)
{
	uint64_t at = __atomic_load_n(&trimmed_at, __ATOMIC_RELAXED);

	return at && clock_coarse_ns() - at < TRIM_PAUSE_NS;
}

bool shim_extents_worth_trim(void)
{
	return shim_pool() && (pool_held_seen(pool) > 2 * SLACK_LEAST || !trimmed_lately());
}

bool shim_extents_trim(void)
{
	NO_CANCEL;
	uint64_t bytes = 0, keep = trimmed_lately() ? SLACK_LEAST : 0;
	sigset_t signals;

	if (!shim_pool() || shim_inside())
		return false;
	begin(&signals);
	bytes = contig_trim_pool(pool, keep, true);
	if (!keep)
		__atomic_store_n(&trimmed_at, clock_coarse_ns(), __ATOMIC_RELAXED);
	end(&signals);
	return bytes > 0;
}

bool shim_extent_in_window(const void *p)
{
	return contig_is_started() && address_place(p) != UINT64_MAX;
}

static struct segment *segment_of(const void *p)
{
	uint64_t place;

	if (!contig_is_started())
		return NULL;
	place = address_place(p);
	return place == UINT64_MAX ? NULL : contig_physmap_segment(place);
}

bool shim_extent_ours(const void *p)
{
	struct segment *segment = segment_of(p);

	return segment && !segment->inherited && segment->pool == shim_pool();
}

bool shim_extent_wired(const void *p, size_t bytes)
{
	const struct segment *loose;
	uint64_t place = address_place(p);

	return wired_bytes(place, place + bytes, &loose) == bytes;
}

bool shim_extent_on_superpage(const void *p)
{
	struct segment *segment = segment_of(p);

	return segment && !segment->plain && segment->pool->kind == CONTIG_POOL_PRIVATE;
}

void shim_extents_fork_prepare(void)
{
	pthread_mutex_lock(&search_lock);
	pthread_mutex_lock(&pool_lock);
}

void shim_extents_fork_parent(void)
{
	pthread_mutex_unlock(&pool_lock);
	pthread_mutex_unlock(&search_lock);
}

void shim_extents_fork_child(void)
{
	pthread_mutex_init(&search_lock, NULL);
	pthread_mutex_init(&pool_lock, NULL);
	dry_until = 0;
	trimmed_at = 0;
}
