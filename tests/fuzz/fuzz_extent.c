/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The extent set against a plain bitmap that is searched frame by frame.
 *
 *	fuzz_extent [seed] [operations]
 *
 * The sources are included with small chunks and regions, so that a few
 * thousand frames reach every level.  With FUZZ_EXTENT_LINKED the library's own
 * geometry is used instead.  With FUZZ_LIBFUZZER there is no main(), and the
 * input makes the choices.
 */
#ifdef FUZZ_EXTENT_LINKED
#include "phys/extent_tree.h"
#else
#define EXTENT_CHUNK_SHIFT 10
#define EXTENT_REGION_SHIFT 12
#define CONTIG_DEBUG_CHECK 1
#include "phys/extent.c"
#include "phys/extent_check.c"
#include "phys/extent_find.c"
#include "phys/extent_leaf.c"
#include "phys/extent_summary.c"
#endif

#include "base/page.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef FUZZ_EXTENT_LINKED
#define SPAN_MAX (3 * CHUNK_FRAMES + 12345)
#define DEFAULT_OPERATIONS 150000
#else
#define SPAN_MAX UINT64_C(20000)
#define DEFAULT_OPERATIONS 2000000
#endif
#define ROUND_OPERATIONS 4000
#define CHECK_INTERVAL 500

/* Where choices come from: a generator, or bytes given from outside. */
struct source {
	uint64_t state;
	const uint8_t *data;
	size_t size;
};

static uint64_t source_next(struct source *source)
{
	uint64_t x;

	if (source->data) {
		x = 0;
		for (int i = 0; i < 3 && source->size; i++, source->size--)
			x = x << 8 | *source->data++;
		return x;
	}
	x = source->state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t below(struct source *source, uint64_t n)
{
	return source_next(source) % n;
}

struct model {
	uint64_t span, total;
	uint64_t *word; /* a set bit for a free frame */
	bool *covered;  /* by chunk */
};

static struct model model;
static struct extent_set *set;
static char what[256];

static _Noreturn void fail(const char *why)
{
	fprintf(stderr, "fuzz_extent: %s, span %" PRIu64 ": %s\n", what, model.span, why);
	abort();
}

/* The first frame at or after this one that is free, or isn't; span if none. */
static uint64_t model_first(uint64_t frame, bool free)
{
	while (frame < model.span) {
		uint64_t word = model.word[frame / 64] ^ (free ? 0 : UINT64_MAX);

		word >>= frame % 64;
		if (word) {
			frame += (uint64_t)__builtin_ctzll(word);
			break;
		}
		frame = (frame / 64 + 1) * 64;
	}
	return frame < model.span ? frame : model.span;
}

/* The end of the last frame before this one that is free, or isn't; 0 if none. */
static uint64_t model_last(uint64_t frame, bool free)
{
	while (frame) {
		uint64_t word = model.word[(frame - 1) / 64] ^ (free ? 0 : UINT64_MAX);

		word <<= 63 - (frame - 1) % 64;
		if (word)
			return frame - (uint64_t)__builtin_clzll(word);
		frame = (frame - 1) / 64 * 64;
	}
	return 0;
}

static void model_mark(uint64_t start, uint64_t count, bool free)
{
	for (uint64_t i = start; i < start + count;) {
		if (i % 64 == 0 && start + count - i >= 64) {
			model.word[i / 64] = free ? UINT64_MAX : 0;
			i += 64;
			continue;
		}
		model.word[i / 64] ^= UINT64_C(1) << i % 64;
		i++;
	}
	model.total += free ? count : -count;
}

static bool model_covered(uint64_t frame)
{
	return model.covered[frame / CHUNK_FRAMES];
}

static bool model_place(const struct extent_request *request, uint64_t start, uint64_t end,
			uint64_t *place)
{
	uint64_t at;

	start = start < request->low ? request->low : start;
	end = end > request->high ? request->high : end;
	if (end < start || end - start < request->count)
		return false;
	at = (end - request->count) / request->align * request->align;
	for (;; at -= request->align) {
		if (at < start)
			return false;
		if (!request->boundary ||
		    at / request->boundary == (at + request->count - 1) / request->boundary)
			break;
		if (at < request->align)
			return false;
	}
	*place = at;
	return true;
}

static uint64_t model_find(const struct extent_request *request)
{
	uint64_t end = model.span, place;

	while ((end = model_last(end, true)) != 0) {
		uint64_t start = model_last(end, false);

		if (model_place(request, start, end, &place))
			return place;
		if (start <= request->low)
			break;
		end = start;
	}
	return EXTENT_NONE;
}

static uint64_t pick_count(struct source *source)
{
	switch (below(source, 8)) {
	case 0:
		return 1 + below(source, model.span);
	case 1:
		return UINT64_C(1) << below(source, floor_log2(model.span) + 1);
	case 2:
	case 3:
		return 1 + below(source, 700);
	case 4:
		return 1 + below(source, 64);
	default:
		return 1 + below(source, 16);
	}
}

static void pick_request(struct source *source, struct extent_request *request)
{
	uint64_t low, high;

	request->count = pick_count(source);
	request->align = 1;
	request->boundary = 0;
	request->low = 0;
	request->high = below(source, 2) ? model.span : UINT64_MAX;
	if (below(source, 2))
		request->align = UINT64_C(1) << below(source, below(source, 4) ? 7 : 16);
	if (below(source, 2)) {
		request->boundary = UINT64_C(1) << ceil_log2(request->count);
		request->boundary <<= below(source, below(source, 2) ? 3 : 12);
	}
	if (below(source, 2))
		return;
	low = below(source, model.span);
	high = below(source, model.span + 1);
	if (below(source, 4) == 0)
		high = low + request->count + below(source, 5);
	request->low = low < high ? low : high;
	request->high = low < high ? high : low;
}

static uint64_t find_compare(const struct extent_request *request)
{
	uint64_t expected = model_find(request), got;

	snprintf(what, sizeof(what), "find count %" PRIu64 " in [%" PRIu64 ", %" PRIu64
		 ") align %" PRIu64 " boundary %" PRIu64 " expected %" PRIu64, request->count,
		 request->low, request->high, request->align, request->boundary, expected);
	got = contig_extent_find(set, request);
	if (got != expected) {
		snprintf(what + strlen(what), sizeof(what) - strlen(what), " got %" PRIu64, got);
		fail("differs");
	}
	return expected;
}

static void range_free(uint64_t start, uint64_t count)
{
	snprintf(what, sizeof(what), "free %" PRIu64 " + %" PRIu64, start, count);
	contig_extent_free(set, start, count);
	model_mark(start, count, true);
}

static void range_take(uint64_t start, uint64_t count)
{
	snprintf(what, sizeof(what), "take %" PRIu64 " + %" PRIu64, start, count);
	contig_extent_take(set, start, count);
	model_mark(start, count, false);
}

/* Turn all of [start, end) that can be, run by run. */
static void stretch_turn(uint64_t start, uint64_t end, bool free)
{
	while (start < end) {
		uint64_t first = model_first(start, !free), stop;

		if (first >= end)
			break;
		stop = model_first(first, free);
		stop = stop < end ? stop : end;
		start = stop;
		for (uint64_t at = first; at < stop; at++) {
			/* Not covered: up to the next chunk. */
			if (free && !model_covered(at)) {
				if (at > first)
					range_free(first, at - first);
				at |= CHUNK_FRAMES - 1;
				first = at + 1;
			}
		}
		if (first >= stop)
			continue;
		if (free)
			range_free(first, stop - first);
		else
			range_take(first, stop - first);
	}
}

/* Like the heaps that break searches: equal extents at equal distances. */
static void pattern_make(struct source *source)
{
	uint64_t stride = UINT64_C(2) << below(source, 8), length = 1 + below(source, stride);
	uint64_t offset = below(source, stride), start = below(source, model.span);
	uint64_t end = start + 50 * stride;

	end = end < model.span ? end : model.span;
	stretch_turn(start, end, false);
	for (uint64_t at = start - start % stride + offset; at < end; at += stride)
		stretch_turn(at, at + length < end ? at + length : end, true);
}

static void queries_compare(struct source *source)
{
	uint64_t start = below(source, model.span), count = pick_count(source);
	uint64_t used, free_at, got_start = 0, got_count = 0, longest = 0;
	bool got;

	used = model_first(start, false);
	free_at = model_first(start, true);
	snprintf(what, sizeof(what), "queries at %" PRIu64 " + %" PRIu64, start, count);
	if (contig_extent_all_free(set, start, count) != (used - start >= count))
		fail("all_free differs");
	if (contig_extent_any_free(set, start, count) !=
	    (free_at < model.span && free_at - start < count))
		fail("any_free differs");
	got = contig_extent_next(set, start, &got_start, &got_count);
	if (got != (free_at < model.span))
		fail("next differs");
	if (got && (got_start != model_last(free_at, false) ||
		    got_start + got_count != model_first(free_at, false)))
		fail("next's run differs");
	if (contig_extent_total(set) != model.total)
		fail("total differs");
	if (below(source, 16))
		return;
	for (uint64_t at = 0; (at = model_first(at, true)) < model.span;) {
		uint64_t end = model_first(at, false);

		longest = end - at > longest ? end - at : longest;
		at = end;
	}
	if (contig_extent_longest(set) != longest)
		fail("longest differs");
}

static void set_check(void)
{
	const char *wrong = contig_extent_check(set);

	if (wrong)
		fail(wrong);
}

static void cover_some(struct source *source)
{
	uint64_t start = below(source, model.span), count = 1 + below(source, model.span - start);

	if (below(source, 2))
		count = 1;
	if (contig_extent_cover(set, start, count))
		fail("cover failed");
	for (uint64_t i = start / CHUNK_FRAMES; i <= (start + count - 1) / CHUNK_FRAMES; i++)
		model.covered[i] = true;
}

static void operation(struct source *source)
{
	struct extent_request request;
	uint64_t start = below(source, model.span), count, end, found;

	switch (below(source, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		pick_request(source, &request);
		find_compare(&request);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		pick_request(source, &request);
		found = find_compare(&request);
		if (found == EXTENT_NONE)
			break;
		if (contig_extent_alloc(set, &request) != found)
			fail("alloc isn't find");
		model_mark(found, request.count, false);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		/* What can be freed from here on, or what can be taken. */
		count = pick_count(source);
		end = start + (count < model.span - start ? count : model.span - start);
		stretch_turn(start, end, below(source, 4) != 0);
		break;
	case 12:
		if (below(source, 4) == 0)
			pattern_make(source);
		break;
	case 13:
		if (below(source, 64) == 0)
			cover_some(source);
		else if (below(source, 64) == 0)
			stretch_turn(0, model.span, below(source, 2));
		break;
	default:
		queries_compare(source);
	}
}

static void round_begin(struct source *source)
{
	uint64_t span = 1 + below(source, below(source, 8) ? SPAN_MAX : 700);

	memset(&model, 0, sizeof(model));
	model.span = span;
	model.word = calloc(span / 64 + 1, sizeof(*model.word));
	model.covered = calloc(span / CHUNK_FRAMES + 1, sizeof(*model.covered));
	set = contig_extent_set_create(span);
	if (!model.word || !model.covered || !set)
		fail("no memory");
	cover_some(source);
	if (below(source, 2))
		cover_some(source);
}

static void round_end(void)
{
	set_check();
	contig_extent_set_destroy(set);
	free(model.word);
	free(model.covered);
}

#ifdef FUZZ_LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = { .data = data, .size = size };

	round_begin(&source);
	while (source.size)
		operation(&source);
	round_end();
	return 0;
}
#else
int main(int argc, char **argv)
{
	struct source source = { 0 };
	uint64_t operations = DEFAULT_OPERATIONS;

	source.state = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	if (argc > 2)
		operations = strtoull(argv[2], NULL, 0);
	printf("fuzz_extent: seed %" PRIu64 ", %" PRIu64 " operations\n", source.state, operations);
	fflush(stdout);
	for (uint64_t i = 0; i < operations; i++) {
		if (i % ROUND_OPERATIONS == 0)
			round_begin(&source);
		operation(&source);
		if (i % CHECK_INTERVAL == 0)
			set_check();
		if (i % ROUND_OPERATIONS == ROUND_OPERATIONS - 1 || i == operations - 1)
			round_end();
	}
	return 0;
}
#endif
