/* SPDX-License-Identifier: BSD-2-Clause */
/* The window of our mappings: its areas, and which pages are still ours. */
#include "preload/mappings.h"

#include "preload/calm.h"
#include "preload/extents.h"
#include "preload/fork.h"
#include "preload/inside.h"
#include "preload/mapping_area.h"
#include "preload/options.h"
#include "preload/raw.h"
#include "preload/report.h"
#include "preload/segments.h"

#include "base/clock.h"
#include "base/page.h"
#include "base/reason.h"
#include "contig/pool.h"
#include "host/pin.h"
#include "host/superpage.h"
#include "phys/limit.h"
#include "phys/settings.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Address space for mappings: 256 GiB, low enough that the kernel, which
 * fills its own from the top, doesn't come there by itself. */
#define SLOTS (UINT32_C(1) << 17)
#define WINDOW_LOWEST (UINT64_C(3) << 39)  /* 1.5 TiB */
#define WINDOW_CHOICES 8u                  /* 256 GiB apart */
#define WINDOW_BYTES (SLOTS * SUPERPAGE_SIZE)
/* Tables become writable for so many slots at a time: 1 GiB, some 300 KiB. */
#define COVER_SLOTS UINT32_C(512)

/* A mapping is eager up to this size (CONTIG_RUN_MAP_LIMIT), and up to this
 * part of the memory that could be had; all together never take more than they
 * leave.  So mappings that are made and not used do no harm. */
#define ROOM_PART 8

/* After a failure nothing is tried for a second. */
#define REST_NS UINT64_C(1000000000)

enum page_state {
	PAGE_NONE,   /* not ours */
	PAGE_PLAIN,  /* as we made it */
	PAGE_CHANGED /* protected, advised or locked by the program */
};

/* Kept in the element of its first slot. */
struct area {
	uint32_t slots, next, previous; /* list of all; 0 ends it (index + 1) */
	uint32_t pinned_slots;
	uint32_t live_slots;
	size_t live; /* pages */
	uintptr_t cut; /* up to here it was handed out */
	struct pin *pin;
	bool wired, contiguous;
};

static struct table {
	uint8_t *page;        /* enum page_state, by page of the window */
	uint32_t *head;       /* by slot: first slot of its area + 1; 0 free */
	uint16_t *slot_live;  /* by slot: pages */
	struct area *area;    /* by slot */
	uint32_t covered;     /* up to this slot the tables can be written */
	uint32_t cursor;      /* where to look for free slots */
	uint32_t first;       /* list; index + 1 */
	uint32_t current;     /* the area whose rest new ones are cut from; index + 1 */
	uint32_t growing;     /* the area whose rest its last mapping may take */
	size_t held, live, pinned; /* bytes */
	uint64_t failed_at;
	bool closed, set_up, impossible;
} table;

struct shim_window shim_window;

/* One area is made at a time (it takes milliseconds), and not during a fork;
 * the table's lock is held for microseconds only.  making comes first. */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static __thread struct calm lock_calm __attribute__((tls_model("initial-exec")));

void shim_mapping_lock(void)
{
	struct calm calm;

	shim_fork_make_up();
	calm_begin(&calm);
	pthread_mutex_lock(&lock);
	lock_calm = calm;
}

void shim_mapping_unlock(void)
{
	struct calm calm = lock_calm;

	pthread_mutex_unlock(&lock);
	calm_end(&calm);
}

static uintptr_t slot_address(uint32_t slot)
{
	return shim_window.start + (uintptr_t)slot * SUPERPAGE_SIZE;
}

static size_t page_of(uintptr_t address)
{
	return (address - shim_window.start) >> FRAME_SHIFT;
}

static uint32_t area_slot(const struct area *area)
{
	return (uint32_t)(area - table.area);
}

static uintptr_t area_end(const struct area *area)
{
	return slot_address(area_slot(area) + area->slots);
}

/* The area that an address of the window lies in, or NULL. */
static struct area *area_at(uintptr_t address)
{
	uint32_t head = table.head[(address - shim_window.start) >> SUPERPAGE_SHIFT];

	return head ? &table.area[head - 1] : NULL;
}

static struct area *current_area(void)
{
	return table.current ? &table.area[table.current - 1] : NULL;
}

static struct area *growing_area(void)
{
	return table.growing ? &table.area[table.growing - 1] : NULL;
}

static size_t rest_of(const struct area *area)
{
	return area ? area_end(area) - area->cut : 0;
}

/* One mapping for all tables: untouched parts cost nothing, nor do they count
 * (RLIMIT_DATA, overcommit) until they can be written. */
static bool tables_make(void)
{
	size_t pages = (size_t)SLOTS * SUPERPAGE_FRAMES;
	size_t bytes = pages + SLOTS * (sizeof(*table.head) + sizeof(*table.slot_live) +
					sizeof(*table.area));
	char *p = shim_raw_mmap(NULL, bytes, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	/* After mlockall(MCL_FUTURE) all of it would be filled. */
	syscall(SYS_munlock, p, bytes);
	if (shim_raw_mprotect(p, bytes, PROT_READ) < 0) {
		shim_raw_munmap(p, bytes);
		return false;
	}
	/* In falling order of alignment. */
	table.area = (struct area *)(void *)p;
	p += SLOTS * sizeof(*table.area);
	table.head = (uint32_t *)(void *)p;
	p += SLOTS * sizeof(*table.head);
	table.slot_live = (uint16_t *)(void *)p;
	p += SLOTS * sizeof(*table.slot_live);
	table.page = (uint8_t *)p;
	return true;
}

static bool make_writable(void *array, size_t element, uint32_t first, uint32_t end)
{
	uintptr_t from = align_down((uintptr_t)array + first * element, FRAME_SIZE);
	uintptr_t to = align_up((uintptr_t)array + end * element, FRAME_SIZE);

	return !shim_raw_mprotect((void *)from, to - from, PROT_READ | PROT_WRITE);
}

/* The tables of the slots before end, and of some more, can be written. */
static bool tables_cover(uint32_t end)
{
	uint32_t first = table.covered;

	if (end <= first)
		return true;
	end = (uint32_t)align_up(end, COVER_SLOTS); /* SLOTS is a multiple */
	if (!make_writable(table.area, sizeof(*table.area), first, end) ||
	    !make_writable(table.head, sizeof(*table.head), first, end) ||
	    !make_writable(table.slot_live, sizeof(*table.slot_live), first, end) ||
	    !make_writable(table.page, SUPERPAGE_FRAMES, first, end))
		return false;
	table.covered = end;
	return true;
}

/* A place for the window where nothing is now: by chance, as the kernel does. */
static uintptr_t window_choose(void)
{
	const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);
	unsigned int chance = random ? (unsigned int)random[5] << 8 | random[9] : 0;

	for (unsigned int i = 0; i < WINDOW_CHOICES; i++) {
		uintptr_t start = WINDOW_LOWEST + (chance + i) % WINDOW_CHOICES * WINDOW_BYTES;
		void *p = shim_raw_mmap((void *)start, WINDOW_BYTES, PROT_NONE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
						MAP_FIXED_NOREPLACE, -1, 0);

		if (p == MAP_FAILED)
			continue;
		shim_raw_munmap(p, WINDOW_BYTES);
		if ((uintptr_t)p == start)
			return start;
	}
	return 0;
}

/* With making held. */
static bool set_up(void)
{
	uintptr_t start;

	if (table.set_up)
		return !table.impossible;
	table.set_up = true;
	start = tables_make() ? window_choose() : 0;
	table.impossible = !start;
	table.cursor = 1; /* 0 is for "none" */
	shim_window.start = start;
	__atomic_store_n(&shim_window.span, start ? WINDOW_BYTES : 0, __ATOMIC_RELEASE);
	return start;
}

static bool has_source(void)
{
	unsigned int sources = contig_settings.config.sources;

	return !sources || (sources & CONTIG_SOURCE_THP);
}

const char *shim_mapping_policy(size_t len, bool at_once, bool *must)
{
	*must = false;
	if (!at_once && len > shim_options.map_limit)
		return "mappings: longer than CONTIG_RUN_MAP_LIMIT: not taken before use";
	*must = true;
	if (!has_source())
		return "mappings: CONTIG_SOURCES is without thp";
	return NULL;
}

/* The reservation of n free slots in a row; with the lock held.  0: none. */
static uint32_t slots_reserve(uint32_t n)
{
	uint32_t slot = table.cursor;

	for (uint32_t tried = 0; tried < SLOTS;) {
		uint32_t length = 0;
		void *va;

		if (slot + n > SLOTS) {
			tried += SLOTS - slot;
			slot = 1;
		}
		while (length < n && !table.head[slot + length])
			length++;
		if (length < n) {
			slot += length + 1;
			tried += length + 1;
			continue;
		}
		va = shim_raw_mmap((void *)slot_address(slot), n * SUPERPAGE_SIZE, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
					   MAP_FIXED_NOREPLACE, -1, 0);
		if ((uintptr_t)va == slot_address(slot)) {
			if (!tables_cover(slot + n)) {
				shim_raw_munmap(va, n * SUPERPAGE_SIZE);
				return 0;
			}
			table.cursor = slot + n < SLOTS ? slot + n : 1;
			return slot;
		}
		if (va != MAP_FAILED) /* before Linux 4.17 it was a hint */
			shim_raw_munmap(va, n * SUPERPAGE_SIZE);
		else if (errno != EEXIST)
			return 0;
		/* Something of the program's is there. */
		slot++;
		tried++;
	}
	return 0;
}

static void list_add(struct area *area)
{
	uint32_t self = area_slot(area) + 1;

	area->previous = 0;
	area->next = table.first;
	if (table.first)
		table.area[table.first - 1].previous = self;
	table.first = self;
}

static void list_remove(struct area *area)
{
	if (area->previous)
		table.area[area->previous - 1].next = area->next;
	else
		table.first = area->next;
	if (area->next)
		table.area[area->next - 1].previous = area->previous;
}

static void unpin(struct area *area)
{
	contig_pin_drop(area->pin);
	area->pin = NULL;
	table.pinned -= area->pinned_slots * SUPERPAGE_SIZE;
	area->pinned_slots = 0;
	area->wired = false;
}

/* The program has nothing in it any more, and nobody will cut from it. */
static void area_drop(struct area *area)
{
	uint32_t slot = area_slot(area);

	unpin(area);
	list_remove(area);
	table.held -= area->slots * SUPERPAGE_SIZE;
	contig_limit_return(area->slots * SUPERPAGE_SIZE);
	memset(&table.head[slot], 0, area->slots * sizeof(*table.head));
	memset(&table.slot_live[slot], 0, area->slots * sizeof(*table.slot_live));
	memset(area, 0, sizeof(*area));
}

static void rest_used_up(const struct area *area)
{
	uint32_t self = area_slot(area) + 1;

	if (table.current == self)
		table.current = 0;
	if (table.growing == self)
		table.growing = 0;
}

/* What was not cut goes back; its frames with the pin. */
static void rest_drop(struct area *area)
{
	if (rest_of(area))
		shim_raw_munmap((void *)area->cut, rest_of(area));
	area->cut = area_end(area);
	rest_used_up(area);
	if (!area->live)
		area_drop(area);
}

static void mark_live(struct area *area, uintptr_t start, size_t len)
{
	memset(&table.page[page_of(start)], PAGE_PLAIN, len >> FRAME_SHIFT);
	for (uintptr_t at = start; at < start + len;) {
		uint32_t slot = (uint32_t)((at - shim_window.start) >> SUPERPAGE_SHIFT);
		uintptr_t end = slot_address(slot + 1);

		if (end > start + len)
			end = start + len;
		if (!table.slot_live[slot])
			area->live_slots++;
		table.slot_live[slot] = (uint16_t)(table.slot_live[slot] +
						   ((end - at) >> FRAME_SHIFT));
		at = end;
	}
	area->live += len >> FRAME_SHIFT;
	table.live += len;
	shim_count_max(SHIM_PEAK, contig_limit_claimed() + shim_pool_held());
}

static uintptr_t aligned_cut(const struct area *area)
{
	uint64_t align = shim_options.align;

	if (align > SUPERPAGE_SIZE) /* only an area's own start */
		align = area->cut == slot_address(area_slot(area)) ? FRAME_SIZE : 0;
	if (!align)
		return shim_options.align ? area_end(area) : area->cut;
	return align_up(area->cut, align);
}

static void count_run(const struct area *area, size_t len)
{
	shim_count(SHIM_MAPPED, len);
	shim_count(SHIM_ON_SUPERPAGES, len);
	if (area->wired) {
		shim_count(SHIM_WIRED, len);
		shim_count(SHIM_LARGE_WIRED, len);
	} else {
		shim_count(SHIM_FALLBACKS, 1);
		shim_count(SHIM_FALLBACK_BYTES, len);
	}
	if (area->contiguous) {
		shim_count_max(SHIM_LARGEST_RUN, len);
		shim_count(SHIM_LARGE_CONTIGUOUS, len);
	}
	shim_count(area->wired && area->contiguous ? SHIM_LARGE_KEPT : SHIM_LARGE_BROKEN, len);
}

static void *cut(struct area *area, size_t len)
{
	uintptr_t start = aligned_cut(area);

	area->cut = start + len;
	mark_live(area, start, len);
	count_run(area, len);
	if (!rest_of(area))
		rest_used_up(area);
	return (void *)start;
}

static bool can_cut(const struct area *area, size_t len)
{
	uintptr_t start;

	/* What is not as promised is better tried anew. */
	if (!area || !area->contiguous)
		return false;
	start = aligned_cut(area);
	return start < area_end(area) && area_end(area) - start >= len;
}

/* Slots of a new area for a mapping of len bytes.  Not more for small ones:
 * one superpage is a run for certain, and costs little when hardly used. */
static uint32_t slots_for(size_t len)
{
	return (uint32_t)((len + SUPERPAGE_SIZE - 1) >> SUPERPAGE_SHIFT);
}

/* NULL, or what forbids so much more. */
static const char *obstacle(size_t bytes)
{
	uint64_t room;

	if (table.failed_at && clock_coarse_ns() - table.failed_at < REST_NS)
		return "mappings: no superpages a moment ago";
	room = contig_superpage_room_lately();
	if (bytes > SUPERPAGE_SIZE && bytes > room / ROOM_PART)
		return "mappings: more than an eighth of the memory that is left";
	if (table.held + bytes > room)
		return "mappings: half of the memory that could be had is taken";
	/* Counted from here on. */
	return contig_limit_claim(bytes) ? NULL : "mappings: CONTIG_LIMIT reached";
}

/* A new area of n slots, with the lock held on return as before; NULL with
 * *why.  Not linked with current yet. */
static struct area *area_make(uint32_t n, const char **why)
{
	const struct mapping_wish wish = {
		.low = shim_options.low,
		.high = shim_options.high ? shim_options.high : UINT64_MAX,
		.align = shim_options.align,
		.node = shim_options.node,
	};
	struct mapping_run run;
	struct area *area;
	uint32_t slot;
	int err;

	*why = obstacle(n * SUPERPAGE_SIZE);
	if (*why)
		return NULL;
	slot = slots_reserve(n);
	if (!slot) {
		*why = "mappings: no address space (RLIMIT_AS, RLIMIT_DATA)";
		contig_limit_return(n * SUPERPAGE_SIZE);
		return NULL;
	}
	for (uint32_t i = 0; i < n; i++)
		table.head[slot + i] = slot + 1;
	pthread_mutex_unlock(&lock);
	err = shim_mapping_run_make((void *)slot_address(slot), n, &wish, &run);
	pthread_mutex_lock(&lock);
	if (err) {
		*why = contig_reason_get();
		contig_limit_return(n * SUPERPAGE_SIZE);
		table.failed_at = clock_coarse_ns();
		shim_raw_munmap((void *)slot_address(slot), n * SUPERPAGE_SIZE);
		memset(&table.head[slot], 0, n * sizeof(*table.head));
		return NULL;
	}
	table.failed_at = 0;
	if (run.why) {
		shim_reason(run.why, n * SUPERPAGE_SIZE);
		*why = run.why;
	}
	area = &table.area[slot];
	*area = (struct area){
		.slots = n,
		.cut = slot_address(slot),
		.pin = run.pin,
		.pinned_slots = n,
		.wired = run.wiring == CONTIG_WIRING_PINNED,
		.contiguous = run.contiguous,
	};
	table.held += n * SUPERPAGE_SIZE;
	table.pinned += n * SUPERPAGE_SIZE;
	list_add(area);
	return area;
}

/* The longer rest of two stays. */
static void keep_rest(struct area *area)
{
	struct area *current = current_area();

	if (area == current || !rest_of(area))
		return;
	if (area->contiguous && rest_of(area) > rest_of(current)) {
		if (current)
			rest_drop(current);
		table.current = area_slot(area) + 1;
	} else {
		rest_drop(area);
	}
}

static void keep_growing(struct area *area)
{
	if (growing_area())
		rest_drop(growing_area());
	if (rest_of(area))
		table.growing = area_slot(area) + 1;
}

static void *alloc(size_t len, size_t slack, const char **why)
{
	struct area *area;
	struct calm calm;
	void *va = NULL;
	int error = errno;

	*why = NULL;
	shim_fork_make_up();
	calm_begin(&calm);
	pthread_mutex_lock(&making);
	if (table.closed || !set_up()) {
		*why = table.closed ? "mappings: the program is exiting" :
				      "mappings: no address space (RLIMIT_AS, RLIMIT_DATA)";
		goto out;
	}
	pthread_mutex_lock(&lock);
	area = slack ? NULL : current_area();
	if (!can_cut(area, len)) {
		area = area_make(slots_for(len + slack), why);
		if (!area && slack)
			area = area_make(slots_for(len), why);
	}
	/* One that isn't as it should be is still better than base pages, except
	 * where those must not be. */
	if (area && shim_options.strict && !(area->contiguous && area->wired)) {
		rest_drop(area);
		area = NULL;
	}
	if (area) {
		va = cut(area, len);
		if (slack)
			keep_growing(area);
		else
			keep_rest(area);
	}
	pthread_mutex_unlock(&lock);
out:
	pthread_mutex_unlock(&making);
	calm_end(&calm);
	errno = error;
	return va;
}

void *shim_mapping_alloc(size_t len, const char **why)
{
	return alloc(len, 0, why);
}

void *shim_mapping_alloc_growing(size_t len, const char **why)
{
	return alloc(len, align_up(len / 2, FRAME_SIZE), why);
}

/* The part of [start, start + len) in the window, where areas can be. */
static bool clip(uintptr_t *start, size_t *len)
{
	uintptr_t end = *start + *len, window_end = shim_window.start + shim_window.span;

	if (!shim_window.span || end < *start || *start >= window_end ||
	    end <= shim_window.start)
		return false;
	if (*start < shim_window.start)
		*start = shim_window.start;
	*len = (end < window_end ? end : window_end) - *start;
	return true;
}

bool shim_mapping_is_ours(uintptr_t start, size_t len, bool plain)
{
	uintptr_t at = start;
	size_t n = len, first;

	if (!len || !clip(&at, &n) || at != start || n != len)
		return false;
	first = page_of(start);
	for (size_t i = 0; i < len >> FRAME_SHIFT; i++)
		if (plain ? table.page[first + i] != PAGE_PLAIN : !table.page[first + i])
			return false;
	return true;
}

void shim_mapping_uncover(uintptr_t start, size_t len)
{
	struct area *rests[] = {current_area(), growing_area()};
	int error = errno;

	for (size_t i = 0; i < 2; i++)
		if (rests[i] && start < area_end(rests[i]) && rests[i]->cut < start + len)
			rest_drop(rests[i]);
	errno = error;
}

/*
 * The pin of an area that has become sparse holds frames that nobody uses:
 * pin what is left, then let go of all.  At every halving: a few times in an
 * area's life.
 */
static void repin(struct area *area)
{
	struct iovec ranges[PIN_SLOTS];
	uintptr_t start = slot_address(area_slot(area));
	size_t pages = (size_t)area->slots << (SUPERPAGE_SHIFT - FRAME_SHIFT);
	const uint8_t *state = &table.page[page_of(start)];
	struct pin *pin;
	unsigned int n = 0;

	for (size_t i = 0; i < pages;) {
		size_t first = i;

		if (state[i] != PAGE_PLAIN) {
			/* Perhaps not writable: can't be pinned any more. */
			if (state[i++] == PAGE_CHANGED)
				return;
			continue;
		}
		while (i < pages && state[i] == PAGE_PLAIN && i - first < GIGAPAGE_SIZE / FRAME_SIZE)
			i++;
		if (n == PIN_SLOTS)
			return;
		ranges[n].iov_base = (void *)(start + first * FRAME_SIZE);
		ranges[n++].iov_len = (i - first) * FRAME_SIZE;
	}
	pin = contig_pin_make(ranges, n, FRAME_SIZE, false);
	if (!pin)
		return;
	if (contig_pin_method(pin) < contig_pin_method(area->pin)) {
		contig_pin_drop(pin);
		return;
	}
	contig_pin_drop(area->pin);
	area->pin = pin;
	table.pinned -= (area->pinned_slots - area->live_slots) * SUPERPAGE_SIZE;
	area->pinned_slots = area->live_slots;
}

static void let_go_slot(struct area *area, uint32_t slot, uintptr_t start, uintptr_t end)
{
	uint8_t *state = &table.page[page_of(start)];
	size_t n = (end - start) >> FRAME_SHIFT, gone = 0;

	for (size_t i = 0; i < n; i++)
		gone += state[i] != PAGE_NONE;
	if (!gone)
		return;
	memset(state, PAGE_NONE, n);
	table.slot_live[slot] = (uint16_t)(table.slot_live[slot] - gone);
	if (!table.slot_live[slot])
		area->live_slots--;
	area->live -= gone;
	table.live -= gone << FRAME_SHIFT;
}

/* Some of an area's pages went: what else can go? */
static void settle(struct area *area)
{
	if (!area->live && !rest_of(area))
		area_drop(area);
	else if (area->pin && !rest_of(area) && area->pinned_slots > 1 &&
		 area->live_slots <= area->pinned_slots / 2)
		repin(area);
}

void shim_mapping_let_go(uintptr_t start, size_t len, bool unmapped)
{
	struct area *touched = NULL;
	size_t before = table.live;
	int error = errno; /* of the call that this comes after */

	if (!clip(&start, &len))
		return;
	for (uintptr_t at = start, end; at < start + len; at = end) {
		uint32_t slot = (uint32_t)((at - shim_window.start) >> SUPERPAGE_SHIFT);
		struct area *area = area_at(at);

		end = slot_address(slot + 1);
		if (end > start + len)
			end = start + len;
		if (area != touched && touched)
			settle(touched);
		touched = area;
		/* One that is just being made has no pages yet. */
		if (area && area->slots)
			let_go_slot(area, slot, at, end);
		else
			touched = NULL;
	}
	if (touched)
		settle(touched);
	if (!unmapped && before > table.live)
		shim_count(SHIM_MAPPED_ASIDE, before - table.live);
	errno = error;
}

void shim_mapping_change(uintptr_t start, size_t len)
{
	size_t first;

	if (!clip(&start, &len))
		return;
	first = page_of(start);
	for (size_t i = 0; i < len >> FRAME_SHIFT; i++)
		if (table.page[first + i])
			table.page[first + i] = PAGE_CHANGED;
}

void shim_mapping_change_all(void)
{
	for (uint32_t i = table.first; i; i = table.area[i - 1].next) {
		uintptr_t start = slot_address(i - 1);

		shim_mapping_change(start, table.area[i - 1].cut - start);
	}
}

bool shim_mapping_extend(uintptr_t start, size_t len, size_t new_len)
{
	struct area *area;

	if (!shim_mapping_is_ours(start, len, true))
		return false;
	area = area_at(start);
	if (area->cut != start + len || rest_of(area) < new_len - len)
		return false;
	area->cut += new_len - len;
	mark_live(area, start + len, new_len - len);
	count_run(area, new_len - len);
	if (area->contiguous)
		shim_count_max(SHIM_LARGEST_RUN, new_len);
	if (!rest_of(area))
		rest_used_up(area);
	return true;
}

size_t shim_mappings_pinned(void)
{
	return __atomic_load_n(&table.pinned, __ATOMIC_RELAXED);
}

void shim_mappings_held(size_t *held, size_t *live)
{
	*held = __atomic_load_n(&table.held, __ATOMIC_RELAXED);
	*live = __atomic_load_n(&table.live, __ATOMIC_RELAXED);
}

static void unpin_all(void)
{
	/* No more of them: what is cut from the rest would not be wired. */
	if (current_area())
		rest_drop(current_area());
	if (growing_area())
		rest_drop(growing_area());
	for (uint32_t i = table.first; i; i = table.area[i - 1].next)
		unpin(&table.area[i - 1]);
}

void shim_mappings_unpin(void)
{
	struct calm calm;

	calm_begin(&calm);
	pthread_mutex_lock(&making);
	pthread_mutex_lock(&lock);
	unpin_all();
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&making);
	calm_end(&calm);
}

static struct calm fork_calm;

void shim_mappings_fork_prepare(void)
{
	struct calm calm;

	calm_begin(&calm);
	pthread_mutex_lock(&making);
	pthread_mutex_lock(&lock);
	fork_calm = calm;
	shim_segments_fork_prepare();
}

static void fork_release(bool child)
{
	struct calm calm = fork_calm;

	shim_segments_fork_done(child);
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&making);
	calm_end(&calm);
}

/* A pipe's reference doesn't make the kernel copy for the child: whoever writes
 * first gets another frame. */
static void forked_over(struct area *area)
{
	if (!area->wired || contig_pin_method(area->pin) == PIN_URING)
		return;
	shim_reason("mappings: fork loosened what was pinned without io_uring",
		    area->live << FRAME_SHIFT);
	area->wired = area->contiguous = false;
}

void shim_mappings_fork_parent(void)
{
	for (uint32_t i = table.first; i; i = table.area[i - 1].next)
		forked_over(&table.area[i - 1]);
	fork_release(false);
}

void shim_mappings_fork_child(void)
{
	shim_count(SHIM_INHERITED, table.live);
	contig_limit_return(table.held);
	for (uint32_t i = table.first, next; i; i = next) {
		struct area *area = &table.area[i - 1];
		uintptr_t start = slot_address(i - 1);

		next = area->next;
		/* The pin is the parent's. */
		contig_pin_forget(area->pin);
		if (rest_of(area))
			shim_raw_munmap((void *)area->cut, rest_of(area));
		memset(&table.page[page_of(start)], PAGE_NONE, 
		       (area->cut - start) >> FRAME_SHIFT);
		memset(&table.head[i - 1], 0, area->slots * sizeof(*table.head));
		memset(&table.slot_live[i - 1], 0, area->slots * sizeof(*table.slot_live));
		memset(area, 0, sizeof(*area));
	}
	table.first = table.current = table.growing = 0;
	table.held = table.live = table.pinned = 0;
	fork_release(true);
}

void shim_mappings_exit(void)
{
	struct calm calm;

	calm_begin(&calm);
	pthread_mutex_lock(&making);
	pthread_mutex_lock(&lock);
	table.closed = true;
	unpin_all();
	pthread_mutex_unlock(&lock);
	pthread_mutex_unlock(&making);
	shim_segments_exit();
	calm_end(&calm);
}
