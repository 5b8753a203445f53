/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/segment.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/bare.h"
#include "host/pagemap.h"
#include "phys/backing.h"
#include "phys/counters.h"
#include "phys/extent.h"
#include "phys/machine.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/pool_record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A batch whose pages would need more mappings than this is reordered first:
 * a sixteenth of vm.max_map_count's default, so a few such batches still
 * leave the program its own. */
#define MAPPINGS_BEFORE_REORDER 4096

struct lock contig_pin_lock = LOCK_INITIALIZER(LOCK_LEAF);

/* The pin goes where the memory goes: a child that shares the memory stays
 * wired when its parent dies, which is how programs daemonise. */
static bool inherited_pin(const struct contig_pool *pool)
{
	return pool_fork_shares(pool);
}

/* A pin over mapped superpages of a segment. */
static struct pin *make_pin(const struct segment *segment, const uint64_t *places, unsigned int n)
{
	struct iovec ranges[PIN_SLOTS];

	for (unsigned int i = 0; i < n; i++) {
		ranges[i].iov_base = place_address(places[i]);
		ranges[i].iov_len = segment->page_size;
	}
	return contig_pin_make(ranges, n, segment->page_size, inherited_pin(segment->pool));
}

/* A pipe's reference does not stop copy-on-write after a fork. */
static bool holds_private(const struct pin *pin)
{
	return pin && contig_pin_method(pin) == PIN_URING;
}

/* Under contig_pin_lock, or of a segment that nobody knows yet. */
static void set_pin(struct segment *segment, struct pin *pin)
{
	segment->pin = pin;
	__atomic_store_n(&segment->wired, !segment->shared && holds_private(pin),
			 __ATOMIC_RELAXED);
}

static void replace_pin(struct segment *segment, struct pin *new)
{
	struct pin *old;

	contig_lock(&contig_pin_lock);
	old = segment->pin;
	set_pin(segment, new);
	contig_unlock(&contig_pin_lock);
	/* Locks don't nest: undoing the old ones would undo the new ones.  What
	 * leaves is unlocked as it goes. */
	if (old && new && contig_pin_method(old) == PIN_MLOCK)
		contig_pin_forget(old);
	else if (old)
		contig_pin_drop(old);
}

static int page_compare(const void *a, const void *b)
{
	const struct superpage *x = a, *y = b;

	return x->frame < y->frame ? -1 : x->frame > y->frame;
}

/* Move the pages that were not given back to the front, ascending. */
static size_t keep_front(struct superpage_batch *batch)
{
	size_t n = 0;

	for (size_t i = 0; i < batch->n; i++)
		if (batch->pages[i].staging)
			batch->pages[n++] = batch->pages[i];
	batch->n = n;
	qsort(batch->pages, n, sizeof(batch->pages[0]), page_compare);
	return n;
}

static size_t mappings_needed(const struct superpage_batch *batch)
{
	size_t n = 1;

	for (size_t i = 1; i < batch->n; i++)
		n += batch->pages[i].index != batch->pages[i - 1].index + 1;
	return n;
}

/* A group of pages on their way to become a segment. */
struct group {
	struct segment *segment;
	size_t first, n;
};

/* Pin pages[first...] that share a node, as many as a pin takes. */
static int make_group(struct contig_pool *pool, struct superpage_batch *batch, size_t first,
		      enum contig_source source, struct group *group)
{
	struct iovec ranges[PIN_SLOTS];
	struct segment *segment = calloc(1, sizeof(*segment));
	unsigned int n = 0;

	if (!segment)
		return -ENOMEM;
	segment->pool = pool;
	segment->source = source;
	segment->page_size = batch->request.page_size;
	segment->shared = batch->request.shared;
	segment->node = contig_machine_node_at(batch->pages[first].staging);
	while (first + n < batch->n && n < PIN_SLOTS &&
	       contig_machine_node_at(batch->pages[first + n].staging) == segment->node) {
		ranges[n].iov_base = batch->pages[first + n].staging;
		ranges[n].iov_len = segment->page_size;
		n++;
	}
	set_pin(segment, contig_pin_make(ranges, n, segment->page_size, inherited_pin(pool)));
	if (!segment->pin) {
		free(segment);
		return -ENOMEM;
	}
	if (pool->wired_only && !segment->wired) {
		contig_reason_set("it can't be wired: %s", contig_pin_why(segment->pin));
		contig_pin_drop(segment->pin);
		free(segment);
		return -EPERM;
	}
	group->segment = segment;
	group->first = first;
	group->n = n;
	return 0;
}

/* Where a page goes: its physical address, or a made-up place. */
static uint64_t page_place(const struct superpage *page, uint64_t page_size)
{
	if (page->frame == FRAME_HIDDEN && contig_physmap.level != CONTIG_LEVEL_HIDDEN) {
		contig_reason_set("frames are hidden from this process (privileges dropped)");
		return EXTENT_NONE;
	}
	if (page->frame == FRAME_HIDDEN) {
		uint64_t place = contig_physmap_invent(page_size);

		if (place == EXTENT_NONE)
			contig_reason_set("direct map: no place left for a superpage");
		return place;
	}
	return page->frame << FRAME_SHIFT;
}

/* Room for a superpage at place: records made, nothing mapped there. */
static int place_ready(uint64_t place, uint64_t page_size)
{
	int err = contig_physmap_cover(place, page_size);

	/* A forked child may still map private memory where its parent had it. */
	for (uint64_t p = place; !err && p < place + page_size; p += SUPERPAGE_SIZE)
		if (contig_physmap_segment(p))
			err = -EBUSY;
	return err;
}

/* A child gets nothing of an isolated pool: a promise, so failure counts. */
static int isolate(const struct contig_pool *pool, void *va, size_t len)
{
	if (pool->fork != CONTIG_FORK_ISOLATE || !madvise(va, len, MADV_DONTFORK))
		return 0;
	contig_reason_set("MADV_DONTFORK: %s", strerror(errno));
	return -errno;
}

/* Made-up places go back when what they were made for didn't come. */
static void forget_place(uint64_t place, uint64_t page_size)
{
	if (contig_physmap.level == CONTIG_LEVEL_HIDDEN && place != EXTENT_NONE)
		contig_physmap_forget(place, page_size);
}

static int map_run(struct contig_pool *pool, struct superpage_batch *batch, size_t first,
		   size_t count, uint64_t place)
{
	size_t len = count * batch->request.page_size;
	int err = contig_superpage_map(batch, first, count, place_address(place));

	if (err)
		return err;
	err = isolate(pool, place_address(place), len);
	if (err)
		bare_again(place_address(place), len);
	return err;
}

/* Map pages of a group at their places, run by run.  How many came in. */
static unsigned int map_group(struct contig_pool *pool, struct superpage_batch *batch,
			      struct group *group)
{
	struct segment *segment = group->segment;
	struct superpage *pages = &batch->pages[group->first];
	uint64_t size = segment->page_size, step = size >> FRAME_SHIFT;

	qsort(pages, group->n, sizeof(*pages), page_compare);
	for (size_t i = 0; i < group->n;) {
		uint64_t place = page_place(&pages[i], size);
		size_t run = 1;

		while (pages[i].frame != FRAME_HIDDEN && i + run < group->n &&
		       pages[i + run].frame == pages[i].frame + run * step)
			run++;
		if (place == EXTENT_NONE || place_ready(place, run * size) < 0 ||
		    map_run(pool, batch, group->first + i, run, place) < 0) {
			contig_debug(TAKE, "%zu superpages not mapped: %s", run,
				     contig_reason_get());
			forget_place(place, size);
			for (size_t j = run; j > 0; j--)
				contig_superpage_give_back(batch, group->first + i + j - 1);
			i += run;
			continue;
		}
		for (size_t j = 0; j < run; j++) {
			segment->indices[segment->n] = (uint32_t)pages[i + j].index;
			segment->places[segment->n++] = place + j * size;
		}
		i += run;
	}
	return segment->n;
}

/* mlock holds a mapping, not frames: what was locked was the staging one. */
static void lock_again(struct segment *segment)
{
	struct pin *pin;

	if (contig_pin_method(segment->pin) != PIN_MLOCK)
		return;
	pin = make_pin(segment, segment->places, segment->n);
	if (!pin)
		return;
	/* Not dropped: others may live at the staging addresses by then. */
	contig_pin_forget(segment->pin);
	set_pin(segment, pin);
}

/* Hand a mapped segment to its pool. */
static size_t publish(struct contig_pool *pool, struct segment *segment, bool usable)
{
	if (usable && !contig_pool_add(pool, segment))
		return segment->n;
	for (unsigned int i = segment->n; i > 0; i--) {
		contig_superpage_release(place_address(segment->places[i - 1]),
					 segment->page_size, 1,
					 segment->shared && !(segment->file && segment->file->sealed));
		forget_place(segment->places[i - 1], segment->page_size);
	}
	return 0;
}

/* The file of a batch of which pages superpages were mapped, with all that
 * its mode seals at once; those that were not mapped are gone already, for
 * nothing can be punched out of a sealed file. */
static struct backing_file *make_file(struct contig_pool *pool, struct superpage_batch *batch,
				      uint64_t pages, bool *usable)
{
	struct backing_file *file;
	int fd = -1;

	if (pool->kind == CONTIG_POOL_SHAREABLE) {
		for (size_t i = batch->n; i > 0; i--)
			contig_superpage_give_back(batch, i - 1);
		fd = batch->fd;
		batch->fd = -1;
	}
	file = contig_backing_file_make(pool, fd, pages);
	*usable = file && !contig_backing_file_mapped(pool, file);
	return file;
}

static uint64_t count_mapped(const struct group *groups, size_t n)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < n; i++)
		pages += groups[i].segment->n;
	return pages;
}

size_t contig_segments_install(struct contig_pool *pool, struct superpage_batch *batch,
			       enum contig_source source)
{
	struct group *groups = NULL;
	size_t n_groups = 0, installed = 0;
	struct backing_file *file = NULL;
	bool usable = true;

	if (!keep_front(batch))
		goto drop;
	if (batch->request.kind == SUPERPAGE_HUGETLB && batch->request.shared &&
	    mappings_needed(batch) > MAPPINGS_BEFORE_REORDER)
		contig_superpage_reorder(batch);
	groups = calloc(batch->n, sizeof(*groups));
	if (!groups)
		goto drop;
	for (size_t at = 0; at < batch->n; at += groups[n_groups++].n)
		if (make_group(pool, batch, at, source, &groups[n_groups]) < 0)
			break;
	/* Pinning may have moved a frame (FACTS 12): only now do they count. */
	if (contig_superpage_resolve(batch) < 0) {
		contig_warn("frames could not be read after pinning: %s", contig_reason_get());
		for (size_t i = 0; i < n_groups; i++) {
			contig_pin_drop(groups[i].segment->pin);
			free(groups[i].segment);
		}
		goto drop;
	}
	for (size_t i = 0; i < n_groups; i++)
		map_group(pool, batch, &groups[i]);
	if (batch->request.shared && count_mapped(groups, n_groups))
		file = make_file(pool, batch, count_mapped(groups, n_groups), &usable);
	for (size_t i = 0; i < n_groups; i++) {
		struct segment *segment = groups[i].segment;
		unsigned int n;

		segment->file = file;
		n = 0;
		if (segment->n) {
			lock_again(segment);
			n = (unsigned int)publish(pool, segment, usable);
		}
		installed += n;
		if (!n) {
			if (file && segment->n)
				contig_backing_file_drop(file, segment->n);
			contig_pin_drop(segment->pin);
			free(segment);
		} else if (n < groups[i].n) {
			/* The pin holds pages that did not come in. */
			struct pin *pin = make_pin(segment, segment->places, n);

			if (pin)
				replace_pin(segment, pin);
		}
	}
drop:
	free(groups);
	contig_superpage_drop(batch);
	contig_counter_add(&contig_counters.taken, installed);
	contig_pool_record(pool);
	return installed;
}

/* A described superpage, made of ordinary memory. */
static struct backing_file *map_simulated(const struct contig_pool *pool, void *va)
{
	int flags = MAP_SHARED | MAP_FIXED, fd = -1;
	struct backing_file *file;

	if (pool->kind == CONTIG_POOL_SHAREABLE) {
		fd = contig_memfd_make(SUPERPAGE_SIZE);
		if (fd < 0)
			return NULL;
	} else {
		flags |= MAP_ANONYMOUS;
	}
	if (mmap(va, SUPERPAGE_SIZE, PROT_READ | PROT_WRITE, flags, fd, 0) == MAP_FAILED) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	/* A hole has no page to share, and a sealed file may have none. */
	if (fd >= 0 && contig_superpage_populate(va, SUPERPAGE_SIZE) < 0) {
		close(fd);
		bare_again(va, SUPERPAGE_SIZE);
		return NULL;
	}
	file = contig_backing_file_make(pool, fd, 1);
	if (file && contig_backing_file_mapped(pool, file) < 0) {
		contig_backing_file_drop(file, 1);
		file = NULL;
	}
	if (!file)
		bare_again(va, SUPERPAGE_SIZE);
	return file;
}

size_t contig_segments_simulate(struct contig_pool *pool, const uint64_t *places, size_t n)
{
	size_t installed = 0;

	for (size_t i = 0; i < n; i++) {
		struct segment *segment = calloc(1, sizeof(*segment));
		void *va = place_address(places[i]);
		struct backing_file *file = NULL;

		if (segment && !place_ready(places[i], SUPERPAGE_SIZE))
			file = map_simulated(pool, va);
		if (file && isolate(pool, va, SUPERPAGE_SIZE) < 0) {
			bare_again(va, SUPERPAGE_SIZE);
			contig_backing_file_drop(file, 1);
			file = NULL;
		}
		if (!file) {
			free(segment);
			contig_machine_sim_return(places[i]);
			continue;
		}
		segment->pool = pool;
		segment->source = CONTIG_SOURCE_2M;
		segment->page_size = SUPERPAGE_SIZE;
		segment->shared = true;
		segment->node = contig_machine_sim_node(places[i]);
		segment->n = 1;
		segment->places[0] = places[i];
		segment->file = file;
		installed += publish(pool, segment, true);
	}
	contig_counter_add(&contig_counters.taken, installed);
	contig_pool_record(pool);
	return installed;
}

static void unmap_place(struct segment *segment, uint64_t place)
{
	/* Punching would take it from a forked child too (FACTS 21). */
	bool punch = segment->shared && !place_block(place)->keep &&
		     !(segment->file && segment->file->sealed);

	contig_physmap_withdraw(place, segment->page_size);
	if (contig_physmap.level == CONTIG_LEVEL_SIMULATED) {
		bare_again(place_address(place), SUPERPAGE_SIZE);
		contig_machine_sim_return(place);
		return;
	}
	if (contig_superpage_release(place_address(place), segment->page_size, 1,
				     punch) < 0)
		contig_warn("superpage at 0x%llx could not be given back: %s",
			    (unsigned long long)place, contig_reason_get());
	if (contig_physmap.level == CONTIG_LEVEL_HIDDEN)
		contig_physmap_forget(place, segment->page_size);
}

static void unlink_segment(struct segment *segment)
{
	contig_lock(&segment->pool->lock);
	for (struct segment **p = &segment->pool->segments; *p; p = &(*p)->next) {
		if (*p == segment) {
			*p = segment->next;
			break;
		}
	}
	contig_unlock(&segment->pool->lock);
}

/* A pin for those that stay, no weaker than the one they have. */
static bool repin(struct segment *segment, const uint64_t *places, unsigned int n)
{
	bool hugetlb = segment->source != CONTIG_SOURCE_THP;
	struct pin *new = make_pin(segment, places, n);

	if (!new)
		return false;
	if (contig_pin_wiring(new, hugetlb) < contig_segment_wiring(segment)) {
		contig_pin_drop(new);
		return false;
	}
	replace_pin(segment, new);
	return true;
}

size_t contig_segment_release(struct segment *segment, segment_claim_fn claim,
			      segment_unclaim_fn unclaim, void *arg)
{
	uint64_t gone[PIN_SLOTS], stay[PIN_SLOTS];
	uint32_t indices[PIN_SLOTS]; /* of those that stay */
	unsigned int n_gone = 0, n_stay = 0;

	for (unsigned int i = 0; i < segment->n; i++) {
		if (claim(segment, segment->places[i], arg)) {
			gone[n_gone++] = segment->places[i];
		} else {
			indices[n_stay] = segment->indices[i];
			stay[n_stay++] = segment->places[i];
		}
	}
	if (!n_gone)
		return 0;
	/* Unpin first: a pinned frame outlives its file by some 50 ms. */
	if (segment->pin && n_stay && !repin(segment, stay, n_stay)) {
		contig_debug(PIN, "segment kept whole: its rest can't be pinned anew");
		for (unsigned int i = 0; i < n_gone; i++)
			unclaim(segment, gone[i], arg);
		return 0;
	}
	if (!n_stay)
		replace_pin(segment, NULL);
	contig_lock(&segment->pool->lock);
	contig_lock(&contig_pin_lock); /* contig_backing_of() looks */
	memcpy(segment->places, stay, n_stay * sizeof(stay[0]));
	memcpy(segment->indices, indices, n_stay * sizeof(indices[0]));
	segment->n = n_stay;
	contig_unlock(&contig_pin_lock);
	pool_held_set(segment->pool, segment->pool->held - n_gone * segment->page_size);
	contig_unlock(&segment->pool->lock);
	/* Descending, so that the kernel hands them out ascending (FACTS 2). */
	for (unsigned int i = n_gone; i > 0; i--)
		unmap_place(segment, gone[i - 1]);
	if (segment->file)
		contig_backing_file_drop(segment->file, n_gone);
	contig_counter_add(&contig_counters.returned, n_gone);
	if (!n_stay) {
		unlink_segment(segment);
		/* Whoever found it before the withdrawal is done with it. */
		contig_lock(&contig_pin_lock);
		contig_unlock(&contig_pin_lock);
		free(segment);
	}
	return n_gone;
}

/* The pool's free frames in a superpage are taken out.  How many. */
static uint64_t take_free(struct contig_pool *pool, int node, uint64_t at, uint64_t end)
{
	uint64_t start, count, taken = 0;

	while (contig_extent_next(pool->free[node], at, &start, &count) && start < end) {
		if (start < at) {
			count -= at - start;
			start = at;
		}
		if (start + count > end)
			count = end - start;
		contig_extent_take(pool->free[node], start, count);
		taken += count;
		at = start + count;
	}
	return taken;
}

/* With the pool's lock and contig_pin_lock. */
static void leave(struct segment *segment, struct segment *alone, uint64_t place)
{
	unsigned int at = 0;

	while (segment->places[at] != place)
		at++;
	*alone = (struct segment){
		.next = segment->pool->segments,
		.pool = segment->pool,
		.source = segment->source,
		.page_size = segment->page_size,
		.inherited = true,
		.plain = true,
		.node = segment->node,
		.n = 1,
		.places = {place},
	};
	segment->n--;
	memmove(&segment->places[at], &segment->places[at + 1],
		(segment->n - at) * sizeof(segment->places[0]));
	memmove(&segment->indices[at], &segment->indices[at + 1],
		(segment->n - at) * sizeof(segment->indices[0]));
	segment->pool->segments = alone;
	contig_physmap_hide(place, segment->page_size);
	for (uint64_t p = place; p < place + segment->page_size; p += SUPERPAGE_SIZE)
		__atomic_store_n(&place_block(p)->segment, alone, __ATOMIC_RELEASE);
}

int contig_segment_detach(struct segment *segment, uint64_t place, int (*swap)(void *arg),
			  void *arg)
{
	struct segment *alone = calloc(1, sizeof(*alone));
	uint64_t frame = place >> FRAME_SHIFT, count = segment->page_size >> FRAME_SHIFT, taken;
	struct contig_pool *pool = segment->pool;
	int err;

	if (!alone)
		return -ENOMEM;
	contig_lock(&pool->lock);
	err = swap(arg);
	if (!err && !segment->inherited) {
		taken = take_free(pool, segment->node, frame, frame + count);
		pool_free_sub(pool, taken);
		pool->live_frames -= count - taken;
		pool_held_set(pool, pool->held - segment->page_size);
	}
	if (!err) {
		contig_lock(&contig_pin_lock);
		leave(segment, alone, place);
		contig_unlock(&contig_pin_lock);
	}
	contig_unlock(&pool->lock);
	if (err) {
		free(alone);
		return err;
	}
	/* If not, the frames of what left stay pinned as long as the rest. */
	if (segment->pin && segment->n)
		repin(segment, segment->places, segment->n);
	if (!segment->n) {
		replace_pin(segment, NULL);
		unlink_segment(segment);
		/* As in contig_segment_release(). */
		contig_lock(&contig_pin_lock);
		contig_unlock(&contig_pin_lock);
		free(segment);
	}
	contig_pool_record(pool);
	return 0;
}

struct pin *contig_segment_pin(const struct segment *segment)
{
	struct pin *pin = make_pin(segment, segment->places, segment->n);

	if (pin && contig_pin_method(pin) != PIN_URING) {
		contig_pin_drop(pin);
		return NULL;
	}
	return pin;
}

void contig_segment_pin_again(struct segment *segment)
{
	struct pin *pin = make_pin(segment, segment->places, segment->n);

	if (pin)
		replace_pin(segment, pin);
}

static enum contig_wiring wiring_locked(const struct segment *segment)
{
	bool hugetlb = segment->source != CONTIG_SOURCE_THP;

	if (!segment->pin)
		return CONTIG_WIRING_NONE;
	if (!segment->shared && contig_pin_method(segment->pin) == PIN_PIPE)
		return hugetlb ? CONTIG_WIRING_RESIDENT : CONTIG_WIRING_NONE;
	/* A child doesn't inherit memory locks. */
	if (segment->inherited && contig_pin_method(segment->pin) == PIN_MLOCK)
		return hugetlb ? CONTIG_WIRING_RESIDENT : CONTIG_WIRING_NONE;
	return contig_pin_wiring(segment->pin, hugetlb);
}

void contig_segment_unpin(struct segment *segment)
{
	contig_pin_drop(segment->pin);
	set_pin(segment, NULL);
}

void contig_segment_why(const struct segment *segment, char *buf, size_t len)
{
	const char *why = "unpinned at a fork";

	contig_lock(&contig_pin_lock);
	if (segment->pin && *contig_pin_why(segment->pin))
		why = contig_pin_why(segment->pin);
	snprintf(buf, len, "%s", why);
	contig_unlock(&contig_pin_lock);
}

enum contig_wiring contig_segment_wiring(const struct segment *segment)
{
	enum contig_wiring wiring;

	contig_lock(&contig_pin_lock);
	wiring = wiring_locked(segment);
	contig_unlock(&contig_pin_lock);
	return wiring;
}

bool contig_segment_describe(uint64_t place, struct segment_info *out)
{
	const struct segment *segment;

	contig_lock(&contig_pin_lock);
	segment = contig_physmap_segment(place);
	if (segment) {
		out->page_size = segment->page_size;
		out->node = segment->node;
		out->wiring = wiring_locked(segment);
	}
	contig_unlock(&contig_pin_lock);
	return segment;
}
