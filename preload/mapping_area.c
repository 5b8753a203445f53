/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Superpages for mappings: taken as a batch, sorted, and the best run put in
 * place.  Collapsed memory only: its parts can be unmapped and protected one
 * by one, which hugetlb pages can't.
 */
#include "preload/mapping_area.h"

#include "preload/report.h"

#include "base/clock.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/buddy.h"
#include "host/pagemap.h"
#include "host/pin.h"
#include "host/superpage.h"

#include <errno.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

/* A search for a run takes this many times as much each time, up to so many
 * superpages more than the run has, besides some that lie alone, and for no
 * longer than this. */
#define SEARCH_STEP 4
#define SEARCH_MOST 62
#define SEARCH_ALONE 256
#define SEARCH_NS UINT64_C(50000000)
#define IN_VAIN_NS UINT64_C(10000000000)

static bool is_next(const struct superpage *pages, size_t i)
{
	if (pages[i].frame == FRAME_HIDDEN)
		return pages[i].index == pages[i - 1].index + 1;
	return pages[i].frame == pages[i - 1].frame + SUPERPAGE_FRAMES;
}

static bool fits(const struct superpage *page, const struct mapping_wish *wish, size_t first)
{
	uint64_t start = page->frame << FRAME_SHIFT;

	if (page->frame == FRAME_HIDDEN)
		return !wish->low && wish->high == UINT64_MAX && wish->align <= SUPERPAGE_SIZE;
	return start >= wish->low && wish->high >= SUPERPAGE_SIZE &&
	       start <= wish->high - SUPERPAGE_SIZE &&
	       (first || !wish->align || !(start & (wish->align - 1)));
}

/* The first of n pages one after another (frames are sorted); n_pages: none. */
static size_t find_run(const struct superpage *pages, size_t n_pages, size_t n,
		       const struct mapping_wish *wish)
{
	size_t start = 0, length = 0;

	for (size_t i = 0; i < n_pages; i++) {
		if (length && is_next(pages, i) && fits(&pages[i], wish, 1)) {
			length++;
		} else {
			start = i;
			length = fits(&pages[i], wish, 0);
		}
		if (length == n)
			return start;
	}
	return n_pages;
}

/*
 * Any n that meet the wish, at the front.  Where there is no run, order of
 * frames is worth nothing, but that of the staging mapping makes it one
 * mapping again.  False: fewer.
 */
static bool gather(struct superpage *pages, size_t n_pages, size_t n,
		   const struct mapping_wish *wish)
{
	size_t found = 0;

	for (size_t i = 1; i < n_pages; i++) {
		struct superpage moving = pages[i];
		size_t at = i;

		for (; at && pages[at - 1].index > moving.index; at--)
			pages[at] = pages[at - 1];
		pages[at] = moving;
	}
	for (size_t i = 0; i < n_pages && found < n; i++) {
		struct superpage moving = pages[i];

		if (!fits(&moving, wish, 1))
			continue;
		pages[i] = pages[found];
		pages[found++] = moving;
	}
	return found == n;
}

/* At least n, and more until a time; sorted. */
static int take(size_t n, size_t more, const struct mapping_wish *wish, uint64_t until,
		struct superpage_batch *batch)
{
	const struct superpage_request request = {
		.kind = SUPERPAGE_COLLAPSED,
		.page_size = SUPERPAGE_SIZE,
		.count = n + more,
		.node = wish->node,
		.threads = 1,
		.nowait = true,
		.until = until,
	};
	int err = contig_superpage_take(&request, batch);

	if (!err && batch->n < n) {
		contig_superpage_drop(batch);
		contig_reason_set("collapsed superpages: no free run of 2 MiB; compact or free memory");
		err = -ENOMEM;
	}
	if (!err)
		contig_superpage_sort(batch);
	return err;
}

/*
 * Where memory is fragmented the search ends without a run, after some
 * milliseconds.  What was not found a moment ago isn't looked for again.
 */
static struct {
	uint64_t at; /* when it failed, 0 never */
	size_t n;
} in_vain;

static bool is_in_vain(size_t n)
{
	return n == 1 ||
	       (in_vain.at && n >= in_vain.n && clock_coarse_ns() - in_vain.at < IN_VAIN_NS);
}

/* The kernel hands out neighbours only by chance, and superpages that lie alone
 * first: of more pages more are neighbours, so more and more are taken.  0 with
 * a run at *first, or -ENOMEM. */
static int search(size_t n, const struct mapping_wish *wish, struct superpage_batch *batch,
		  size_t *first)
{
	uint64_t until = clock_ns() + SEARCH_NS, alone = contig_buddy_lone_superpages(wish->node);
	size_t most = SEARCH_MOST + (alone < SEARCH_ALONE ? (size_t)alone : SEARCH_ALONE);

	for (size_t more = n * (SEARCH_STEP - 1);; more = (n + more) * SEARCH_STEP - n) {
		bool last = more >= most;

		if (take(n, last ? most : more, wish, until, batch))
			return -ENOMEM;
		*first = find_run(batch->pages, batch->n, n, wish);
		if (*first < batch->n)
			return 0;
		contig_superpage_drop(batch);
		if (last || clock_ns() >= until)
			return -ENOMEM;
	}
}

/* A batch with a run of n at *first, or with n pages at all (*first = 0). */
static int choose(size_t n, const struct mapping_wish *wish, struct superpage_batch *batch,
		  size_t *first)
{
	int err = take(n, 0, wish, 0, batch);

	if (err)
		return err;
	*first = find_run(batch->pages, batch->n, n, wish);
	if (*first < batch->n)
		return 0;
	if (!is_in_vain(n)) {
		contig_superpage_drop(batch);
		if (!search(n, wish, batch, first))
			return 0;
		in_vain.at = clock_coarse_ns();
		in_vain.n = n;
		err = take(n, 0, wish, 0, batch);
		if (err)
			return err;
	}
	*first = 0;
	if (gather(batch->pages, batch->n, n, wish))
		return 0;
	contig_superpage_drop(batch);
	contig_reason_set("collapsed superpages: none at the physical addresses asked for");
	return -ENOMEM;
}

/* At once, on the stack of a program's thread. */
#define LOOK_FRAMES 128

/* 1 contiguous from *frame on, 0 not, -1 hidden. */
static int look(const void *va, size_t n, uint64_t *frame)
{
	uint64_t frames[LOOK_FRAMES];
	int pagemap = contig_pagemap_open(0), result = 1;

	*frame = FRAME_HIDDEN;
	if (pagemap < 0)
		return -1;
	for (size_t i = 0; i < n * SUPERPAGE_FRAMES && result == 1; i += LOOK_FRAMES) {
		if (contig_pagemap_read(pagemap, (uintptr_t)va + i * FRAME_SIZE, LOOK_FRAMES,
					frames) < 0 ||
		    frames[0] == FRAME_HIDDEN) {
			result = -1;
			break;
		}
		if (!i)
			*frame = frames[0];
		for (size_t j = 0; j < LOOK_FRAMES && result == 1; j++)
			if (!frame_is_known(frames[j]) || frames[j] != *frame + i + j)
				result = 0;
	}
	close(pagemap);
	return result;
}

static void wire(void *va, struct mapping_run *run)
{
	struct iovec ranges[PIN_SLOTS];
	size_t left = run->n * SUPERPAGE_SIZE;
	unsigned int n = 0;
	char *at = va;

	while (left && n < PIN_SLOTS) {
		ranges[n].iov_base = at;
		ranges[n].iov_len = left < GIGAPAGE_SIZE ? left : GIGAPAGE_SIZE;
		at += ranges[n].iov_len;
		left -= ranges[n++].iov_len;
	}
	run->pin = left ? NULL : contig_pin_make(ranges, n, SUPERPAGE_SIZE, false);
	run->wiring = run->pin ? contig_pin_wiring(run->pin, false) : CONTIG_WIRING_NONE;
}

/* As long as the thread makes no other. */
static const char *why_loose(const struct pin *pin)
{
	static __thread char text[SHIM_REASON_LEN] __attribute__((tls_model("initial-exec")));

	snprintf(text, sizeof(text), "mappings: not wired: %s",
		 pin ? contig_pin_why(pin) : "too long for one pin, or no memory for it");
	return text;
}

int shim_mapping_run_make(void *va, size_t n, const struct mapping_wish *wish,
			  struct mapping_run *out)
{
	struct superpage_batch batch;
	size_t first;
	int err = choose(n, wish, &batch, &first), seen;

	*out = (struct mapping_run){.n = n};
	if (err)
		return err;
	err = contig_superpage_map(&batch, first, n, va);
	contig_superpage_drop(&batch);
	if (err)
		return err;
	wire(va, out);
	/* Pinning can have moved them: looked at afterwards. */
	seen = look(va, n, &out->first);
	out->contiguous = seen == 1 || (seen < 0 && n == 1);
	/* Neighbours, but elsewhere: not what was asked for. */
	if (seen == 1 && wish->align && (out->first << FRAME_SHIFT) & (wish->align - 1))
		out->contiguous = false;
	if (out->wiring != CONTIG_WIRING_PINNED)
		out->why = why_loose(out->pin);
	else if (!out->contiguous)
		out->why = seen < 0 ? "mappings: frames are hidden: a run longer than 2 MiB can't be proved" :
			   seen ? "mappings: no superpages so aligned were found (--align)" :
				  "mappings: no run of superpages as long as that";
	return 0;
}
