/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/fork_plan.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/aside.h"
#include "host/available.h"
#include "host/hugetlb.h"
#include "host/pagemap.h"
#include "host/superpage.h"
#include "host/threads.h"
#include "phys/extent.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/reclaim.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Pages of a process that ended come back some 50 ms later (FACTS 15). */
#define LATE_TRIES 20
#define LATE_PAUSE_NS 5000000
/* A ring that is dropped lets go of its frames after a grace period. */
#define UNPIN_NS 40000000
/* Read at once, on the stack of a program's thread. */
#define FRAMES_AT_ONCE 128

enum { SIZE_2M, SIZE_1G, SIZES };

/* What there is of private memory, in bytes. */
struct survey {
	uint64_t hugetlb[SIZES][HOST_NODES_MAX]; /* in use, by node's index */
	uint64_t loose;     /* of these own and not pinned */
	uint64_t inherited; /* of these the parent's copies, not pinned */
	uint64_t collapsed; /* in use */
	uint64_t unwired;   /* of these not pinned */
	uint64_t used;      /* frames in use */
	size_t superpages;  /* in use */
};

static struct plan {
	enum contig_fork_way way;
	bool swap_hugetlb, swap_collapsed, cow, blocked;
	struct aside aside;
	sigset_t signals;
} plan; /* under the locks of a fork */

static bool cow_allowed;
static pid_t owner; /* of the memory: not one that merely runs in it */
static __thread enum contig_fork_way done;
static __thread bool swap_preferred;

void contig_fork_allow_cow(bool allow)
{
	cow_allowed = allow;
}

enum contig_fork_way contig_fork_done(void)
{
	return done;
}

void contig_fork_prefer_swap(bool prefer)
{
	swap_preferred = prefer;
}

__attribute__((constructor)) static void note_owner(void)
{
	owner = getpid();
}

static bool is_private(const struct contig_pool *pool)
{
	return pool->kind == CONTIG_POOL_PRIVATE && pool->fork == CONTIG_FORK_SHARE;
}

static bool is_hugetlb(const struct segment *segment)
{
	return segment->source != CONTIG_SOURCE_THP;
}

static bool is_pinned(const struct segment *segment)
{
	/* A pipe's reference does not make the kernel copy at a fork. */
	return segment->pin && contig_pin_method(segment->pin) == PIN_URING;
}

/* Of an own superpage: whether anything lies in it. */
static bool in_use(const struct segment *segment, uint64_t place)
{
	return !contig_extent_all_free(segment->pool->free[segment->node], place >> FRAME_SHIFT,
				       segment->page_size >> FRAME_SHIFT);
}

/* Inherited: all of it counts, since nobody knows what is used. */
static uint64_t count_in_use(const struct segment *segment)
{
	uint64_t n = 0;

	if (segment->inherited)
		return segment->n;
	for (unsigned int i = 0; i < segment->n; i++)
		n += in_use(segment, segment->places[i]);
	return n;
}

static void survey_segment(struct survey *survey, const struct segment *segment)
{
	uint64_t n = count_in_use(segment), bytes = n * segment->page_size;

	survey->superpages += n;
	if (is_hugetlb(segment)) {
		survey->hugetlb[segment->page_size == SUPERPAGE_SIZE ? SIZE_2M : SIZE_1G]
			       [segment->node] += bytes;
		if (!is_pinned(segment))
			*(segment->inherited ? &survey->inherited : &survey->loose) += bytes;
	} else {
		survey->collapsed += bytes;
		if (!is_pinned(segment))
			survey->unwired += bytes;
	}
	if (segment->inherited)
		survey->used += bytes;
}

static bool concerns(const struct segment *segment)
{
	return !segment->plain && (is_hugetlb(segment) || !segment->inherited);
}

/* The pool's lock and contig_pin_lock are held. */
static void survey_pool(struct survey *survey, const struct contig_pool *pool)
{
	if (!is_private(pool))
		return;
	for (const struct segment *s = pool->segments; s; s = s->next)
		if (concerns(s))
			survey_segment(survey, s);
	survey->used += pool->held - (pool->free_frames << FRAME_SHIFT);
}

/* Whether the kernel has a free superpage for each. */
static bool has_free(const struct survey *survey, bool surplus)
{
	static const uint64_t sizes[SIZES] = {SUPERPAGE_SIZE, GIGAPAGE_SIZE};

	for (int s = 0; s < SIZES; s++) {
		struct hugetlb_counts counts;
		uint64_t need = 0, usable;

		for (int i = 0; i < contig_machine.n_nodes; i++)
			need += survey->hugetlb[s][i] / sizes[s];
		if (!need)
			continue;
		/* Not to be seen (chroot(2)): then the kernel has to tell. */
		if (contig_hugetlb_counts(sizes[s], HUGETLB_ALL_NODES, &counts) < 0)
			return true;
		usable = counts.free > counts.reserved ? counts.free - counts.reserved : 0;
		if (surplus && counts.overcommit > counts.surplus)
			usable += counts.overcommit - counts.surplus;
		if (usable < need || contig_hugetlb_cgroup_room(sizes[s]) < need)
			return false;
		/* Superpages are bound to their node, and copies with them. */
		for (int i = 0; !surplus && contig_machine.n_nodes > 1 && i < contig_machine.n_nodes; i++)
			if (survey->hugetlb[s][i] &&
			    (contig_hugetlb_counts(sizes[s], contig_machine.nodes[i], &counts) < 0 ||
			     counts.free < survey->hugetlb[s][i] / sizes[s]))
				return false;
	}
	return true;
}

static uint64_t hugetlb_bytes(const struct survey *survey)
{
	uint64_t bytes = 0;

	for (int s = 0; s < SIZES; s++)
		for (int i = 0; i < HOST_NODES_MAX; i++)
			bytes += survey->hugetlb[s][i];
	return bytes;
}

/* What a fork is asked to bear with, besides the pools. */
struct terms {
	uint64_t besides; /* bytes copied for others */
	bool wait;
};

/* Bytes that copies may take.  Some ten system calls. */
static uint64_t spare_room(const struct terms *terms)
{
	uint64_t room = contig_superpage_room(true), available;

	if (!room && contig_meminfo("MemAvailable", &available) < 0)
		return UINT64_MAX;
	return room > terms->besides ? room - terms->besides : 0;
}

/* Not on a stack in the pool, nor in a child of vfork(2). */
static bool can_swap(const struct survey *survey, const struct terms *terms)
{
	uint64_t place = address_place(__builtin_frame_address(0));
	const struct segment *segment = contig_physmap_segment(place);

	if (segment && segment->pool->kind == CONTIG_POOL_PRIVATE)
		return false;
	return getpid() == owner && contig_threads_alone(terms->wait) &&
	       survey->used <= spare_room(terms);
}

static enum contig_fork_way refuse(const char *why)
{
	contig_reason_set("fork: %s", why);
	return CONTIG_FORK_REFUSED;
}

static enum contig_fork_way decide_hugetlb(const struct survey *survey,
					   const struct terms *terms, struct plan *out)
{
	bool sticks = !survey->loose && !survey->inherited;

	if (sticks && !swap_preferred && has_free(survey, false))
		return CONTIG_FORK_PINNED;
	if (can_swap(survey, terms)) {
		out->swap_hugetlb = true;
		return CONTIG_FORK_SWAPPED;
	}
	if (survey->loose)
		return refuse("superpages can't be pinned here, and a copy-on-write might kill");
	if (has_free(survey, true))
		return CONTIG_FORK_PINNED;
	return refuse("too few free superpages for the child's copy, and they can't be set aside (threads, memory)");
}

static enum contig_fork_way decide_collapsed(const struct survey *survey,
					     const struct terms *terms, struct plan *out)
{
	if (can_swap(survey, terms)) {
		out->swap_collapsed = true;
		return CONTIG_FORK_SWAPPED;
	}
	if (!survey->unwired && survey->collapsed <= spare_room(terms))
		return CONTIG_FORK_PINNED;
	if (survey->unwired == survey->collapsed || cow_allowed) {
		out->cow = true;
		return CONTIG_FORK_COW;
	}
	return refuse("too little memory for the child's copy");
}

static enum contig_fork_way decide(const struct survey *survey, const struct terms *terms,
				   struct plan *out)
{
	enum contig_fork_way way = CONTIG_FORK_BARE, other;

	out->swap_hugetlb = out->swap_collapsed = out->cow = false;
	if (terms->besides && !spare_room(terms))
		return refuse("too little memory for the child's copy");
	if (hugetlb_bytes(survey))
		way = decide_hugetlb(survey, terms, out);
	if (survey->collapsed && way != CONTIG_FORK_REFUSED) {
		other = decide_collapsed(survey, terms, out);
		if (other > way)
			way = other;
	}
	return way;
}

enum contig_fork_way contig_fork_ask(uint64_t besides, bool wait)
{
	static const struct timespec pause = {0, LATE_PAUSE_NS};
	enum contig_fork_way way;

	for (int i = 0;; i++) {
		struct terms terms = {.besides = besides, .wait = wait && !i};
		struct survey survey;
		struct plan unused;

		memset(&survey, 0, sizeof(survey));
		contig_lock(&contig_pools_lock);
		for (struct contig_pool *p = contig_pools; p; p = p->next) {
			contig_lock(&p->lock);
			contig_lock(&contig_pin_lock);
			survey_pool(&survey, p);
			contig_unlock(&contig_pin_lock);
			contig_unlock(&p->lock);
		}
		contig_unlock(&contig_pools_lock);
		way = decide(&survey, &terms, &unused);
		if (way != CONTIG_FORK_REFUSED || !wait || i == LATE_TRIES)
			return way;
		nanosleep(&pause, NULL);
	}
}

/* --- the fork itself ---------------------------------------------------- */

/* fn for each run of superpages of private pools that are, or aren't, in use;
 * those of a run are of one segment. */
typedef void (*run_fn)(struct segment *segment, uint64_t place, uint64_t bytes);

static void each_run(bool wanted, run_fn fn)
{
	for (struct contig_pool *p = contig_pools; p; p = p->next) {
		if (!is_private(p))
			continue;
		for (struct segment *s = p->segments; s; s = s->next) {
			if (!concerns(s))
				continue;
			for (unsigned int i = 0, run; i < s->n; i += run) {
				bool used = s->inherited || in_use(s, s->places[i]);

				for (run = 1; i + run < s->n &&
					      s->places[i + run] == s->places[i] + run * s->page_size &&
					      (s->inherited || in_use(s, s->places[i + run])) == used;)
					run++;
				if (used == wanted)
					fn(s, s->places[i], run * s->page_size);
			}
		}
	}
}

static void leave_out(struct segment *segment, uint64_t place, uint64_t bytes)
{
	(void)segment;
	if (madvise(place_address(place), bytes, MADV_DONTFORK) < 0)
		contig_debug(FORK, "unused superpages are copied: %s", strerror(errno));
}

static void take_in(struct segment *segment, uint64_t place, uint64_t bytes)
{
	(void)segment;
	madvise(place_address(place), bytes, MADV_DOFORK);
}

static bool is_swapped(const struct segment *segment)
{
	return is_hugetlb(segment) ? plan.swap_hugetlb : plan.swap_collapsed;
}

static void add_swapped(struct segment *segment, uint64_t place, uint64_t bytes)
{
	if (is_swapped(segment))
		contig_aside_add(&plan.aside, place_address(place), bytes, segment->page_size,
				 segment->inherited);
}

/* What of a superpage is used: all but the pool's free frames. */
static uintptr_t next_used(void *arg, const struct aside_range *range, uintptr_t from,
			   uintptr_t end, uintptr_t *stop)
{
	(void)arg;
	while (from < end) {
		uint64_t place = address_place((void *)from), start, count;
		const struct segment *s = place_block(place)->segment;
		uintptr_t limit = align_down(from, range->page_size) + range->page_size;

		*stop = limit;
		if (s->inherited && !contig_aside_present((void *)from)) {
			from = limit;
			continue;
		}
		if (s->inherited ||
		    !contig_extent_next(s->pool->free[s->node], place >> FRAME_SHIFT, &start, &count) ||
		    frame_address(start) >= (void *)limit)
			return from;
		if ((uintptr_t)frame_address(start) > from) {
			*stop = (uintptr_t)frame_address(start);
			return from;
		}
		from = (uintptr_t)frame_address(start + count);
		if (from > limit)
			from = limit;
	}
	return end;
}

/* What was given up is plain memory from now on. */
static void mark_plain(struct segment *segment, uint64_t place, uint64_t bytes)
{
	(void)place;
	(void)bytes;
	if (segment->inherited && is_swapped(segment))
		segment->plain = true;
}

static int swap(const struct survey *survey)
{
	int err = contig_aside_begin(&plan.aside, survey->superpages);

	if (err)
		return err;
	each_run(true, add_swapped);
	err = contig_aside_copy(&plan.aside, next_used, NULL);
	if (!err) {
		contig_signals_block(&plan.signals);
		plan.blocked = true;
		err = contig_aside_go(&plan.aside);
	}
	if (!err) {
		each_run(true, mark_plain);
		return 0;
	}
	contig_debug(FORK, "not set aside: %s", contig_reason_get());
	if (plan.blocked)
		contig_signals_restore(&plan.signals);
	plan.blocked = false;
	contig_aside_end(&plan.aside);
	plan.swap_hugetlb = plan.swap_collapsed = false;
	return err;
}

/* A child's copies, pinned so that they are copied once more. */
static void pin_inherited(struct segment *segment, uint64_t place, uint64_t bytes)
{
	(void)place;
	(void)bytes;
	if (segment->inherited && !segment->pin)
		segment->pin = contig_segment_pin(segment);
}

static void unpin_collapsed(struct segment *segment, uint64_t place, uint64_t bytes)
{
	(void)place;
	(void)bytes;
	if (is_hugetlb(segment) || !segment->pin)
		return;
	contig_segment_unpin(segment);
}

void contig_fork_leave(void)
{
	static const struct timespec unpin = {0, UNPIN_NS};
	const struct terms terms = {0};
	struct survey survey;

	memset(&survey, 0, sizeof(survey));
	for (struct contig_pool *p = contig_pools; p; p = p->next)
		survey_pool(&survey, p);
	if (!survey.superpages) {
		/* Nothing to decide, and no system call for it. */
		plan.way = CONTIG_FORK_BARE;
		plan.swap_hugetlb = plan.swap_collapsed = plan.cow = false;
	} else {
		plan.way = decide(&survey, &terms, &plan);
	}
	each_run(false, leave_out);
	if ((plan.swap_hugetlb || plan.swap_collapsed) && swap(&survey) < 0)
		plan.way = CONTIG_FORK_PINNED; /* let the kernel try */
	if (survey.inherited && !plan.swap_hugetlb)
		each_run(true, pin_inherited);
	if (plan.cow) {
		each_run(true, unpin_collapsed);
		if (survey.unwired < survey.collapsed)
			nanosleep(&unpin, NULL);
	}
	contig_debug(FORK, "way %d, %zu superpages in use", (int)plan.way, survey.superpages);
}

/* All came along: what was pinned copied, the rest shared until it is written. */
void contig_fork_left(void)
{
	memset(&plan, 0, sizeof(plan));
	plan.way = CONTIG_FORK_PINNED;
}

static void let_signals(void)
{
	if (plan.blocked)
		contig_signals_restore(&plan.signals);
	plan.blocked = false;
}

/* Its frames are shared with a child and will move, or have moved: it is what a
 * child's copies are.  What is free in it is lost to the pool. */
static void let_go(struct contig_pool *pool, struct segment *segment)
{
	uint64_t start, count, taken = 0;

	for (unsigned int i = 0; i < segment->n; i++) {
		uint64_t at = segment->places[i] >> FRAME_SHIFT;
		uint64_t end = at + (segment->page_size >> FRAME_SHIFT);

		while (contig_extent_next(pool->free[segment->node], at, &start, &count) &&
		       start < end) {
			if (start < at) {
				count -= at - start;
				start = at;
			}
			if (start + count > end)
				count = end - start;
			contig_extent_take(pool->free[segment->node], start, count);
			taken += count;
			at = start + count;
		}
		contig_physmap_hide(segment->places[i], segment->page_size);
	}
	pool_free_sub(pool, taken);
	pool->live_frames -= (segment->n * segment->page_size >> FRAME_SHIFT) - taken;
	pool_held_set(pool, pool->held - segment->n * segment->page_size);
	segment->inherited = true;
	segment->plain = !is_hugetlb(segment);
}

static void let_go_collapsed(void)
{
	for (struct contig_pool *p = contig_pools; p; p = p->next)
		for (struct segment *s = p->segments; is_private(p) && s; s = s->next)
			if (!is_hugetlb(s) && !s->inherited)
				let_go(p, s);
}

void contig_fork_return(void)
{
	if (plan.swap_hugetlb || plan.swap_collapsed) {
		contig_aside_back(&plan.aside);
		contig_aside_end(&plan.aside);
	}
	each_run(false, take_in);
	if (plan.cow)
		let_go_collapsed();
	done = plan.way;
	let_signals();
}

void contig_fork_arrive(void)
{
	owner = getpid();
	if (plan.swap_hugetlb || plan.swap_collapsed)
		contig_aside_end(&plan.aside);
	for (struct contig_pool *p = contig_pools; p; p = p->next)
		for (struct segment *s = p->segments; is_private(p) && s; s = s->next)
			if (!is_hugetlb(s) || is_swapped(s))
				s->plain = true;
	done = plan.way;
	let_signals();
}

uint64_t contig_fork_inherited(void)
{
	uint64_t bytes = 0;

	contig_lock(&contig_pools_lock);
	for (struct contig_pool *p = contig_pools; p; p = p->next) {
		contig_lock(&p->lock);
		for (struct segment *s = p->segments; is_private(p) && s; s = s->next)
			if (s->inherited)
				bytes += s->n * s->page_size;
		contig_unlock(&p->lock);
	}
	contig_unlock(&contig_pools_lock);
	return bytes;
}

/* Whether all frames of a superpage still are where its place says. */
static bool stayed(const struct segment *segment, uint64_t place, int pagemap)
{
	uint64_t frames[FRAMES_AT_ONCE];
	size_t n = is_hugetlb(segment) ? 1 : SUPERPAGE_FRAMES;

	for (size_t i = 0; i < n; i += FRAMES_AT_ONCE) {
		size_t some = n < FRAMES_AT_ONCE ? n : FRAMES_AT_ONCE;

		if (contig_pagemap_read(pagemap, (uintptr_t)place_address(place) + i * FRAME_SIZE,
					some, frames) < 0)
			return false;
		for (size_t j = 0; j < some; j++)
			if (frames[j] != (place >> FRAME_SHIFT) + i + j)
				return false;
	}
	return true;
}

static bool all_stayed(const struct segment *segment, int pagemap)
{
	for (unsigned int i = 0; i < segment->n; i++)
		if (!stayed(segment, segment->places[i], pagemap))
			return false;
	return true;
}

void contig_fork_pin_again(void)
{
	bool known = contig_physmap.level == CONTIG_LEVEL_PHYSICAL;
	int pagemap = known ? contig_pagemap_open(0) : -1;

	/* Segments come and go only under this lock. */
	contig_lock(&contig_reclaim_lock);
	contig_lock(&contig_pools_lock);
	for (struct contig_pool *p = contig_pools; p; p = p->next)
		for (struct segment *s = p->segments; is_private(p) && s; s = s->next)
			if (!s->inherited && is_pinned(s)) {
				contig_segment_pin_again(s);
				if (!known || all_stayed(s, pagemap))
					continue;
				contig_debug(FORK, "frames moved while unpinned");
				contig_lock(&p->lock);
				let_go(p, s);
				contig_unlock(&p->lock);
			}
	contig_unlock(&contig_pools_lock);
	contig_unlock(&contig_reclaim_lock);
	if (pagemap >= 0)
		close(pagemap);
}

bool contig_fork_came(uint64_t place)
{
	const struct segment *segment = place_block(place)->segment;

	return segment->inherited || in_use(segment, place);
}
