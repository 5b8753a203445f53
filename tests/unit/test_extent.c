/* SPDX-License-Identifier: BSD-2-Clause */
/* Free extents and the search among them, by cases; fuzz_extent does the rest. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "phys/extent_tree.h"

#include "base/page.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define GIGA (GIGAPAGE_SIZE / FRAME_SIZE)
#define REGION (UINT64_C(1) << EXTENT_REGION_SHIFT)
#define SPAN_64T (UINT64_C(1) << (46 - FRAME_SHIFT))

static struct extent_set *set;

static void set_make(uint64_t span)
{
	set = contig_extent_set_create(span);
	ck_assert_ptr_nonnull(set);
}

static void set_drop(void)
{
	contig_extent_set_destroy(set);
	set = NULL;
}

static void add(uint64_t start, uint64_t count)
{
	ck_assert_int_eq(contig_extent_cover(set, start, count), 0);
	contig_extent_free(set, start, count);
}

static uint64_t find(uint64_t count, uint64_t low, uint64_t high, uint64_t align,
		     uint64_t boundary)
{
	struct extent_request request = { count, low, high, align, boundary };

	return contig_extent_find(set, &request);
}

static uint64_t find_any(uint64_t count)
{
	return find(count, 0, UINT64_MAX, 1, 0);
}

static uint64_t find_aligned(uint64_t count, uint64_t align)
{
	return find(count, 0, UINT64_MAX, align, 0);
}

static uint64_t find_within(uint64_t count, uint64_t boundary)
{
	return find(count, 0, UINT64_MAX, 1, boundary);
}

#define assert_frames(got, expected) ck_assert_uint_eq((uint64_t)(got), (uint64_t)(expected))
#define assert_none(got) assert_frames(got, EXTENT_NONE)

static void assert_sound(void)
{
	ck_assert_ptr_null(contig_extent_check(set));
}

static void assert_next(uint64_t at, uint64_t start, uint64_t count)
{
	uint64_t got_start, got_count;

	ck_assert(contig_extent_next(set, at, &got_start, &got_count));
	assert_frames(got_start, start);
	assert_frames(got_count, count);
}

static void assert_next_none(uint64_t at)
{
	uint64_t start, count;

	ck_assert(!contig_extent_next(set, at, &start, &count));
}

START_TEST(test_empty)
{
	static const uint64_t spans[] = { 0, 1, 512, 1000, GIGA, GIGA + 1, SPAN_64T };

	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		set_make(spans[i]);
		assert_none(find_any(1));
		assert_next_none(0);
		assert_frames(contig_extent_total(set), 0);
		assert_frames(contig_extent_longest(set), 0);
		ck_assert(!contig_extent_any_free(set, 0, 1));
		ck_assert(!contig_extent_all_free(set, 0, 1));
		ck_assert(contig_extent_all_free(set, 0, 0));
		set_drop();
	}
}
END_TEST

START_TEST(test_one_frame)
{
	set_make(100);
	add(70, 1);
	assert_sound();
	assert_frames(find_any(1), 70);
	assert_frames(find_aligned(1, 2), 70);
	assert_none(find_aligned(1, 4));
	assert_none(find_any(2));
	assert_frames(find(1, 70, 71, 1, 1), 70);
	assert_none(find(1, 71, 100, 1, 0));
	assert_none(find(1, 0, 70, 1, 0));
	contig_extent_take(set, 70, 1);
	assert_none(find_any(1));
	assert_sound();
	set_drop();
}
END_TEST

/* Pieces freed on both sides of a multiple of 2^n make one run. */
START_TEST(test_coalesce)
{
	uint64_t edge = UINT64_C(1) << _i;

	set_make(2 * REGION);
	add(edge - 1, 1);
	add(edge, 1);
	assert_sound();
	assert_next(0, edge - 1, 2);
	assert_next(edge, edge - 1, 2);
	assert_next_none(edge + 1);
	assert_frames(contig_extent_longest(set), 2);
	assert_frames(find_any(2), edge - 1);
	assert_none(find_any(3));
	ck_assert(contig_extent_all_free(set, edge - 1, 2));
	ck_assert(!contig_extent_all_free(set, edge - 1, 3));
	ck_assert(contig_extent_any_free(set, 0, edge));
	ck_assert(!contig_extent_any_free(set, 0, edge - 1));
	assert_frames(find(2, edge - 1, edge + 1, 1, 0), edge - 1);
	assert_none(find(2, edge, edge + 2, 1, 0));
	/* The edge is a boundary unless the window is larger. */
	assert_none(find_within(2, edge > 1 ? edge : 2));
	if (edge > 1)
		assert_frames(find_within(2, 2 * edge), edge - 1);
	contig_extent_take(set, edge - 1, 2);
	assert_sound();
	assert_frames(contig_extent_total(set), 0);
	assert_none(find_any(1));
	set_drop();
}
END_TEST

START_TEST(test_highest_first)
{
	set_make(4 * GIGA);
	add(1000, 100);
	add(GIGA + 5, 100);
	add(3 * GIGA - 50, 100); /* across chunks */
	assert_frames(find_any(100), 3 * GIGA - 50);
	assert_frames(find_any(50), 3 * GIGA);
	assert_frames(find_any(51), 3 * GIGA - 1);
	assert_frames(find(60, 0, 3 * GIGA, 1, 0), GIGA + 45);
	assert_frames(find(60, 0, GIGA + 65, 1, 0), GIGA + 5);
	assert_frames(find(60, 0, GIGA + 64, 1, 0), 1040);
	assert_frames(find(60, 1040, GIGA + 64, 1, 0), 1040);
	assert_none(find(60, 1041, GIGA + 64, 1, 0));
	assert_sound();
	set_drop();
}
END_TEST

START_TEST(test_align)
{
	set_make(8 * GIGA);
	add(33, 62); /* 33..94: 64 is in it */
	assert_frames(find_aligned(1, 64), 64);
	assert_frames(find_aligned(31, 64), 64);
	assert_none(find_aligned(32, 64));
	assert_frames(find_aligned(32, 16), 48);
	assert_frames(find_aligned(47, 16), 48);
	assert_none(find_aligned(48, 16));
	assert_none(find_aligned(1, 128));

	add(2 * GIGA - 3, 2 * GIGA + 8); /* 2 GiB + 5 frames from 2 GiB on */
	assert_sound();
	assert_frames(find_aligned(GIGA, GIGA), 3 * GIGA);
	assert_frames(find_aligned(5, 4 * GIGA), 4 * GIGA);
	assert_none(find_aligned(6, 4 * GIGA));
	assert_frames(find_aligned(2 * GIGA, 2 * GIGA), 2 * GIGA);
	assert_frames(find_aligned(2 * GIGA + 5, GIGA), 2 * GIGA);
	assert_none(find_aligned(2 * GIGA + 6, GIGA));
	assert_none(find_aligned(1, 8 * GIGA));
	set_drop();

	set_make(8 * GIGA);
	add(0, 1);
	assert_frames(find_aligned(1, UINT64_C(1) << 63), 0);
	assert_none(find(1, 1, UINT64_MAX, UINT64_C(1) << 63, 0));
	set_drop();
}
END_TEST

START_TEST(test_boundary)
{
	set_make(8 * GIGA);
	add(9, 15); /* 60 KiB: 7 frames, then 8 from 64 KiB on */
	assert_frames(find_within(8, 16), 16);
	assert_none(find_within(9, 16));
	assert_frames(find_within(15, 32), 9);
	assert_frames(find_within(4, 4), 20);
	assert_frames(find_within(3, 4), 21);
	assert_frames(find_within(7, 8), 17);
	assert_frames(find(7, 0, 23, 1, 8), 16);
	assert_frames(find(7, 0, 22, 1, 16), 9);
	contig_extent_take(set, 9, 15);

	add(GIGA - 700, 2000);
	assert_frames(find_within(1300, GIGA), GIGA);
	assert_frames(find(700, 0, GIGA + 699, 1, GIGA), GIGA - 700);
	assert_none(find_within(1301, GIGA));
	assert_frames(find_within(1301, 2 * GIGA), GIGA - 1);
	assert_frames(find_within(1000, 1024), GIGA + 24);
	assert_sound();
	set_drop();
}
END_TEST

/* Extents for the alignment and extents for the boundary, one of 20 000 for both. */
START_TEST(test_align_and_boundary)
{
	set_make(20000 * 32 + 64);
	for (uint64_t i = 1; i < 20000; i++)
		add(i * 32 + (i % 2 ? 8 : 1), i % 2 ? 15 : 14);
	assert_sound();
	ck_assert_uint_ne(find(12, 0, UINT64_MAX, 4, 0), EXTENT_NONE);
	ck_assert_uint_ne(find(12, 0, UINT64_MAX, 1, 16), EXTENT_NONE);
	assert_none(find(12, 0, UINT64_MAX, 4, 16));
	assert_frames(find(11, 0, UINT64_MAX, 4, 16), 19998 * 32 + 4);
	add(3, 13);
	assert_frames(find(12, 0, UINT64_MAX, 4, 16), 4);
	assert_frames(find(12, 4, 16, 4, 16), 4);
	assert_none(find(12, 4, 15, 4, 16));
	assert_none(find(12, 5, 17, 4, 16));
	set_drop();
}
END_TEST

START_TEST(test_window_edges)
{
	set_make(GIGA);
	add(100, 1000);
	for (uint64_t low = 95; low < 105; low++) {
		uint64_t from = low > 100 ? low : 100;

		assert_frames(find(10, low, from + 10, 1, 0), from);
		assert_none(find(10, low, from + 9, 1, 0));
	}
	assert_frames(find(10, 0, 1105, 1, 0), 1090);
	assert_frames(find(1000, 0, UINT64_MAX, 1, 0), 100);
	assert_none(find(1, 500, 500, 1, 0));
	assert_none(find(1, 501, 500, 1, 0));
	assert_none(find(1, UINT64_MAX, UINT64_MAX, 1, 0));
	assert_none(find(UINT64_MAX, 0, UINT64_MAX, 1, 0));
	set_drop();
}
END_TEST

START_TEST(test_wrong_requests)
{
	set_make(1024);
	add(0, 1024);
	assert_none(find_any(0));
	assert_none(find_aligned(1, 0));
	assert_none(find_aligned(1, 3));
	assert_none(find_within(8, 4));
	assert_none(find_within(5, 7));
	assert_none(find_any(1025));
	assert_frames(find_any(1024), 0);
	set_drop();
}
END_TEST

START_TEST(test_cover)
{
	size_t before;

	set_make(5 * GIGA + 100);
	before = contig_extent_metadata(set);
	ck_assert_int_eq(contig_extent_cover(set, 0, 0), 0);
	ck_assert_uint_eq(contig_extent_metadata(set), before);
	ck_assert_int_eq(contig_extent_cover(set, 5 * GIGA, 101), -EINVAL);
	ck_assert_int_eq(contig_extent_cover(set, 1, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(contig_extent_cover(set, 2 * GIGA - 1, 2), 0);
	before = contig_extent_metadata(set) - before;
	ck_assert_uint_gt(before, 0);
	ck_assert_uint_le(before, 2 * GIGA * 2); /* two bytes a frame */
	before = contig_extent_metadata(set);
	ck_assert_int_eq(contig_extent_cover(set, GIGA, 2 * GIGA), 0);
	ck_assert_uint_eq(contig_extent_metadata(set), before);
	ck_assert_int_eq(contig_extent_cover(set, 5 * GIGA, 100), 0);

	/* With holes on all sides. */
	add(GIGA, 2 * GIGA);
	add(5 * GIGA, 100);
	assert_sound();
	assert_next(0, GIGA, 2 * GIGA);
	assert_next(3 * GIGA, 5 * GIGA, 100);
	assert_next_none(5 * GIGA + 100);
	assert_next_none(UINT64_MAX);
	ck_assert(!contig_extent_any_free(set, 0, GIGA));
	ck_assert(!contig_extent_any_free(set, 3 * GIGA + 7, 2 * GIGA - 7));
	ck_assert(!contig_extent_all_free(set, 4 * GIGA + 7, 1));
	ck_assert(!contig_extent_all_free(set, 5 * GIGA, 101));
	assert_frames(find_any(101), 3 * GIGA - 101);
	assert_frames(contig_extent_longest(set), 2 * GIGA);
	set_drop();
}
END_TEST

START_TEST(test_large_ranges)
{
	struct extent_request all = { 3 * GIGA, 0, UINT64_MAX, 1, 0 };

	set_make(3 * GIGA);
	add(0, 3 * GIGA);
	assert_sound();
	assert_frames(contig_extent_total(set), 3 * GIGA);
	contig_extent_take(set, 300, 2 * GIGA + 5);
	assert_sound();
	assert_frames(contig_extent_longest(set), GIGA - 305);
	assert_frames(find_any(300), 3 * GIGA - 300);
	assert_frames(find(300, 0, GIGA, 1, 0), 0);
	contig_extent_free(set, 300, 2 * GIGA + 5);
	assert_sound();
	assert_frames(contig_extent_alloc(set, &all), 0);
	assert_frames(contig_extent_total(set), 0);
	assert_frames(contig_extent_alloc(set, &all), EXTENT_NONE);
	assert_sound();
	set_drop();
}
END_TEST

/* 64 TiB, of which little is there. */
START_TEST(test_sparse_span)
{
	uint64_t last = SPAN_64T - GIGA;

	set_make(SPAN_64T);
	ck_assert_uint_le(contig_extent_metadata(set), UINT64_C(16) << 20);
	add(last, GIGA);
	add(0, 512);
	add(8 * REGION - 20, 60); /* across regions */
	assert_sound();
	assert_frames(find_any(1), SPAN_64T - 1);
	assert_frames(find_any(GIGA), last);
	assert_none(find_any(GIGA + 1));
	assert_frames(contig_extent_longest(set), GIGA);
	assert_frames(find(50, 0, last, 1, 0), 8 * REGION - 10);
	assert_frames(find(30, 0, last, 1, REGION), 8 * REGION + 10);
	assert_frames(find(30, 0, last, 1, 8 * REGION), 8 * REGION + 10);
	assert_none(find(50, 600, last, 1, 8 * REGION));
	assert_frames(find(50, 600, last, 1, 16 * REGION), 8 * REGION - 10);
	assert_frames(find(50, 0, last, 1, 8 * REGION), 462);
	assert_frames(find(18, 0, 8 * REGION + 10, 1, 4 * REGION), 8 * REGION - 18);
	assert_frames(find_aligned(40, 8 * REGION), 8 * REGION);
	assert_frames(find_aligned(41, 8 * REGION), 0);
	assert_frames(find(44, 600, last, 16, 0), 8 * REGION - 16);
	assert_next(512, 8 * REGION - 20, 60);
	assert_next(8 * REGION, 8 * REGION - 20, 60);
	assert_next(8 * REGION + 40, last, GIGA);
	assert_next_none(SPAN_64T);
	set_drop();
}
END_TEST

/* Take one frame at a time, from the top, until nothing is left. */
START_TEST(test_drain)
{
	struct extent_request one = { 1, 0, UINT64_MAX, 1, 0 };
	uint64_t expected = 2999;

	set_make(3000);
	add(0, 3000);
	for (uint64_t at = 0; at < 3000; at += 7) /* every seventh is in use */
		contig_extent_take(set, at, 1);
	for (;; expected--) {
		if (expected % 7 == 0 && expected-- == 0)
			break;
		assert_frames(contig_extent_alloc(set, &one), expected);
	}
	assert_none(contig_extent_alloc(set, &one));
	assert_sound();
	set_drop();
}
END_TEST

/* A leaf by itself against the plain definition. */
START_TEST(test_leaf_find)
{
	unsigned int seed = 1;

	for (int round = 0; round < 3000; round++) {
		struct leaf leaf = { { 0 } };
		unsigned int count = 1 + (unsigned int)rand_r(&seed) % (round % 3 ? 40 : 512);
		unsigned int align = (unsigned int)rand_r(&seed) % 9, window = 9, expected = 512;
		unsigned int from = (unsigned int)rand_r(&seed) % 512, to;

		to = from + 1 + (unsigned int)rand_r(&seed) % (512 - from);
		if (round % 2) {
			from = 0;
			to = 512;
		}
		for (unsigned int at = 0; at < 512;) {
			unsigned int stop = at + 1 + (unsigned int)rand_r(&seed) % 120;

			stop = stop < 512 ? stop : 512;
			contig_leaf_mark(&leaf, at, stop, true);
			at = stop + 1 + (unsigned int)rand_r(&seed) % 9;
		}
		if (count > 1u << align)
			window = ceil_log2(count) + (unsigned int)rand_r(&seed) % 4;
		for (unsigned int at = from; at + count <= to; at++) {
			if (at % (1u << align) || contig_leaf_first(&leaf, at, false) < at + count)
				continue;
			if (at >> window == (at + count - 1) >> window)
				expected = at;
		}
		ck_assert_uint_eq(contig_leaf_find(&leaf, from, to, count, align, window), expected);
	}
}
END_TEST

/* The validator is worth nothing if it doesn't see a fault. */
START_TEST(test_check_sees)
{
	struct summary *node;

	set_make(4 * GIGA);
	add(GIGA + 100, 300);
	assert_sound();

	extent_leaf(set, GIGA / LEAF_FRAMES)->word[0] ^= 1;
	ck_assert_ptr_nonnull(contig_extent_check(set));
	extent_leaf(set, GIGA / LEAF_FRAMES)->word[0] ^= 1;
	assert_sound();

	set->total++;
	ck_assert_ptr_nonnull(contig_extent_check(set));
	set->total--;

	for (unsigned int level = LEAF_SHIFT; level <= set->region_shift; level++) {
		node = extent_node(set, level, GIGA >> level);
		for (unsigned int i = 0; i < row_offset(level + 1) * LANES; i++) {
			node->lane[i]++;
			ck_assert_ptr_nonnull(contig_extent_check(set));
			node->lane[i]--;
			/* Each check is slow; three lanes a level will do. */
			i += row_offset(level + 1) * LANES / 3;
		}
		node->prefix ^= 1;
		ck_assert_ptr_nonnull(contig_extent_check(set));
		node->prefix ^= 1;
		node->suffix ^= 1;
		ck_assert_ptr_nonnull(contig_extent_check(set));
		node->suffix ^= 1;
	}
	assert_sound();
	set_drop();
}
END_TEST

#ifdef CONTIG_DEBUG_CHECK
START_TEST(test_debug_free_twice)
{
	set_make(1000);
	add(10, 10);
	contig_extent_free(set, 19, 5);
}
END_TEST

START_TEST(test_debug_free_uncovered)
{
	set_make(2 * GIGA);
	contig_extent_cover(set, 0, GIGA);
	contig_extent_free(set, GIGA - 1, 2);
}
END_TEST

START_TEST(test_debug_take_used)
{
	set_make(1000);
	add(10, 10);
	contig_extent_take(set, 15, 6);
}
END_TEST
#endif

static Suite *extent_suite(void)
{
	Suite *suite = suite_create("extent");
	TCase *cases = tcase_create("extent");

	tcase_set_timeout(cases, 240);
	tcase_add_test(cases, test_empty);
	tcase_add_test(cases, test_one_frame);
	tcase_add_loop_test(cases, test_coalesce, 1, EXTENT_REGION_SHIFT + 1);
	tcase_add_test(cases, test_highest_first);
	tcase_add_test(cases, test_align);
	tcase_add_test(cases, test_boundary);
	tcase_add_test(cases, test_align_and_boundary);
	tcase_add_test(cases, test_window_edges);
	tcase_add_test(cases, test_wrong_requests);
	tcase_add_test(cases, test_cover);
	tcase_add_test(cases, test_large_ranges);
	tcase_add_test(cases, test_sparse_span);
	tcase_add_test(cases, test_drain);
	tcase_add_test(cases, test_leaf_find);
	tcase_add_test(cases, test_check_sees);
	suite_add_tcase(suite, cases);

#ifdef CONTIG_DEBUG_CHECK
	cases = tcase_create("debug");
	tcase_add_test_raise_signal(cases, test_debug_free_twice, SIGABRT);
	tcase_add_test_raise_signal(cases, test_debug_free_uncovered, SIGABRT);
	tcase_add_test_raise_signal(cases, test_debug_take_used, SIGABRT);
	suite_add_tcase(suite, cases);
#endif
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(extent_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
