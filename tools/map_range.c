/* SPDX-License-Identifier: BSD-2-Clause */
#include "map_range.h"

#include "base/page.h"
#include "host/maps.h"

#include <errno.h>

#define BATCH 4096

/* What is wrong with physical bytes [start, start + len); *good: how many
 * bytes keep the limits before one breaks them. */
static enum map_break break_of(uint64_t start, uint64_t len, const struct map_limits *limits,
			       uint64_t *good)
{
	uint64_t least = len;
	enum map_break why = BREAK_NONE;

	*good = 0;
	if (start & (limits->alignment - 1))
		return BREAK_ALIGNMENT;
	if (start < limits->low)
		return BREAK_LOW;
	if (start >= limits->high)
		return BREAK_HIGH;
	if (limits->high - start < least) {
		least = limits->high - start;
		why = BREAK_HIGH;
	}
	if (limits->boundary) {
		uint64_t left = limits->boundary - (start & (limits->boundary - 1));

		if (left < least) {
			least = left;
			why = BREAK_BOUNDARY;
		}
	}
	*good = least;
	return why;
}

/* How the first page that ends the run looks. */
static enum map_break page_break(uint64_t entry)
{
	if (entry & ENTRY_PRESENT)
		return BREAK_FRAMES;
	return entry_is_swapped(entry) ? BREAK_SWAPPED : BREAK_ABSENT;
}

struct huge {
	uint64_t start, end;
};

static void huge_region(const struct map_region *region, void *arg)
{
	struct huge *huge = arg;

	/* A superpage of zeros is nobody's. */
	*huge = (struct huge){region->start,
			      region->categories & SCAN_ZERO ? region->start : region->end};
}

struct smaps_page {
	uint64_t address, size;
	bool throughout; /* superpages map all of the mapping */
};

static int find_size(const struct host_mapping *m, void *arg)
{
	struct smaps_page *page = arg;

	if (page->address < m->start || page->address >= m->end)
		return 0;
	page->size = m->kernel_page;
	page->throughout = m->huge_bytes == m->end - m->start;
	return 1;
}

/* The kernel's page size of the mapping; 0: unknown, or, where only smaps can
 * tell, not in superpages throughout. */
static uint64_t size_from_smaps(const struct target *p, uint64_t address, bool proven)
{
	struct smaps_page page = {.address = address};

	contig_maps_each(p->pid, true, find_size, &page);
	return proven || page.throughout ? page.size : 0;
}

/*
 * Frames are hidden, but a superpage is one run, and lies in physical memory
 * as it lies in virtual memory.  The size of the one that holds the whole
 * range, or 0.
 */
static uint64_t superpage_of(const struct map_source *s, const struct target *p,
			     uint64_t address, uint64_t len)
{
	uint64_t first = align_down(address, s->page), size;
	uint64_t end = align_up(address + len, s->page);
	struct huge huge = {0, 0};

	if (s->scan) {
		if (map_source_scan(s, first, end, SCAN_HUGE, SCAN_HUGE | SCAN_ZERO, huge_region,
				    &huge) ||
		    huge.start > first || huge.end < end)
			return 0;
		size = map_source_page_size(s, address);
		if (!size)
			size = size_from_smaps(p, address, true);
	} else {
		size = size_from_smaps(p, address, false);
	}
	if (!size)
		return 0;
	if (size <= s->page)
		size = p->huge_size;
	return align_down(address, size) == align_down(address + len - 1, size) ? size : 0;
}

static void judge_hidden(const struct map_source *s, const struct target *p,
			 uint64_t address, uint64_t len, const struct map_limits *limits,
			 struct map_range *out)
{
	struct map_limits low_bits = *limits;
	enum map_break why;

	out->superpage = superpage_of(s, p, address, len);
	out->why = BREAK_UNKNOWN;
	if (!out->superpage || limits->low || limits->high != UINT64_MAX ||
	    limits->alignment > out->superpage)
		return;
	/* Within it the low bits of both addresses agree. */
	if (low_bits.boundary >= out->superpage)
		low_bits.boundary = 0;
	why = break_of(address & (out->superpage - 1), len, &low_bits, &out->bytes);
	out->why = why;
}

int map_range_check(const struct map_source *s, const struct target *p, uint64_t address,
		    uint64_t len, const struct map_limits *limits, struct map_range *out)
{
	uint64_t entries[BATCH], at = align_down(address, s->page), expect = 0;
	uint64_t in_page = address - at, end = address + len, run = 0;
	uint64_t zeros = map_source_zero_huge(s, p->huge_size), huge = p->huge_size >> s->shift;

	*out = (struct map_range){.start = UINT64_MAX, .next = UINT64_MAX};
	while (at < end && !out->why) {
		uint64_t left = (end - 1 - at) / s->page + 1;
		size_t n = left < BATCH ? left : BATCH;
		ssize_t got = map_source_read(s, at, n, entries);

		if (got < 0)
			return (int)got;
		if (got < (ssize_t)n && !map_source_alive(s))
			return -ESRCH;
		for (size_t i = 0; i < n && !out->why; i++, at += s->page) {
			uint64_t frame = entries[i] & ENTRY_FRAME;

			if (entries[i] & ENTRY_PRESENT && !frame) {
				/* Frame 0 is never a process's: withheld. */
				judge_hidden(s, p, address, len, limits, out);
				return 0;
			}
			if (entries[i] & ENTRY_PRESENT &&
			    (frame == s->zero_frame || (frame >= zeros && frame - zeros < huge))) {
				out->why = BREAK_ZERO;
				break;
			}
			if (!(entries[i] & ENTRY_PRESENT) || (expect && frame != expect)) {
				out->why = page_break(entries[i]);
				if (entries[i] & ENTRY_PRESENT)
					out->next = frame << s->shift;
				break;
			}
			if (!expect)
				out->start = (frame << s->shift) + in_page;
			expect = frame + 1;
			run += s->page;
		}
	}
	run = run > in_page ? run - in_page : 0;
	out->bytes = run < len ? run : len;
	if (out->start != UINT64_MAX) {
		uint64_t good;
		enum map_break why = break_of(out->start, out->bytes, limits, &good);

		/* Where both break at one byte, the frames are the cause. */
		if (why && good < out->bytes) {
			out->why = why;
			out->bytes = good;
			out->next = out->start + good;
		}
	}
	return 0;
}
