/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recompute everything that the extent tree says, in another way than it is
 * kept: leaves run by run from the definition, nodes lane by lane.
 */
#include "phys/extent_tree.h"

#include <string.h>

struct expected {
	int32_t prefix, suffix;
	int32_t row[EXTENT_REGION_SHIFT + 1][EXTENT_REGION_SHIFT];
};

static void longer(int32_t *longest, int32_t length)
{
	if (*longest < length)
		*longest = length;
}

static bool leaf_bit(const struct leaf *leaf, unsigned int at)
{
	return leaf->word[at / WORD_BITS] >> at % WORD_BITS & 1;
}

/* A free run within one window. */
static void run_expect(int32_t row[], unsigned int k, unsigned int start, unsigned int end)
{
	for (unsigned int a = 0; a < k; a++) {
		unsigned int first = (start + (1u << a) - 1) & ~((1u << a) - 1);

		if (first < end)
			longer(&row[a], (int32_t)(end - first));
	}
}

static void leaf_expect(const struct leaf *leaf, struct expected *expected)
{
	memset(expected, 0, sizeof(*expected));
	while (expected->prefix < (int32_t)LEAF_FRAMES &&
	       leaf_bit(leaf, (unsigned int)expected->prefix))
		expected->prefix++;
	while (expected->suffix < (int32_t)LEAF_FRAMES &&
	       leaf_bit(leaf, LEAF_FRAMES - 1 - (unsigned int)expected->suffix))
		expected->suffix++;
	for (unsigned int k = 1; k <= LEAF_SHIFT; k++) {
		unsigned int window = 1u << k, start = 0;

		for (unsigned int at = 0; at < LEAF_FRAMES; at++) {
			if (at % window == 0)
				start = at;
			if (!leaf_bit(leaf, at))
				start = at + 1;
			else if ((at + 1) % window == 0 || !leaf_bit(leaf, at + 1))
				run_expect(expected->row[k], k, start, at + 1);
		}
	}
}

static void node_expect(unsigned int level, const struct summary *left,
			const struct summary *right, struct expected *expected)
{
	int32_t half = (int32_t)1 << (level - 1), *own = expected->row[level];

	memset(expected, 0, sizeof(*expected));
	expected->prefix = left->prefix + (left->prefix == half ? right->prefix : 0);
	expected->suffix = right->suffix + (right->suffix == half ? left->suffix : 0);
	for (unsigned int k = 1; k < level; k++) {
		for (unsigned int a = 0; a < k; a++) {
			longer(&expected->row[k][a], summary_lane(left, k, a));
			longer(&expected->row[k][a], summary_lane(right, k, a));
		}
	}
	memcpy(own, expected->row[level - 1], (level - 1) * sizeof(*own));
	longer(&own[level - 1], left->prefix);
	for (unsigned int a = 0; a < level; a++)
		longer(&own[a], (left->suffix >> a << a) + right->prefix);
}

static const char *summary_check(unsigned int level, const struct summary *summary,
				 const struct expected *expected)
{
	if (summary->prefix != expected->prefix)
		return "a prefix is wrong";
	if (summary->suffix != expected->suffix)
		return "a suffix is wrong";
	for (unsigned int k = 1; k <= level; k++) {
		for (unsigned int a = 0; a < ROW_VECTORS(k) * LANES; a++) {
			if (summary_lane(summary, k, a) != (a < k ? expected->row[k][a] : 0))
				return k == level ? "a node's own row is wrong" :
						    "a row of smaller windows is wrong";
		}
	}
	return NULL;
}

static const char *leaves_check(const struct extent_set *set, uint64_t chunk, uint64_t *total)
{
	for (uint64_t i = chunk * CHUNK_LEAVES; i < (chunk + 1) * CHUNK_LEAVES; i++) {
		const struct leaf *leaf = extent_leaf(set, i);
		struct expected expected;
		const char *wrong;

		for (unsigned int w = 0; w < LEAF_WORDS; w++)
			*total += (uint64_t)__builtin_popcountll(leaf->word[w]);
		for (unsigned int at = 0; at < LEAF_FRAMES; at++) {
			if (leaf_bit(leaf, at) && (i << LEAF_SHIFT) + at >= set->span)
				return "a frame outside the span is free";
		}
		leaf_expect(leaf, &expected);
		wrong = summary_check(LEAF_SHIFT, extent_summary(set, LEAF_SHIFT, i), &expected);
		if (wrong)
			return wrong;
	}
	return NULL;
}

const char *contig_extent_check(const struct extent_set *set)
{
	uint64_t frames = set->regions << set->region_shift, total = 0;
	const char *wrong;

	for (uint64_t i = 0; i < frames / CHUNK_FRAMES; i++) {
		if (!set->chunk[i])
			continue;
		wrong = leaves_check(set, i, &total);
		if (wrong)
			return wrong;
		for (unsigned int level = EXTENT_CHUNK_SHIFT + 1; level <= set->region_shift; level++) {
			if (!set->above[level][i >> (level - EXTENT_CHUNK_SHIFT)])
				return "a covered chunk has no node above it";
		}
	}
	if (total != set->total)
		return "the number of free frames is wrong";

	for (unsigned int level = LEAF_SHIFT + 1; level <= set->region_shift; level++) {
		for (uint64_t i = 0; i < frames >> level; i++) {
			struct expected expected;

			if (!extent_node(set, level, i))
				continue;
			node_expect(level, extent_summary(set, level - 1, 2 * i),
				    extent_summary(set, level - 1, 2 * i + 1), &expected);
			wrong = summary_check(level, extent_summary(set, level, i), &expected);
			if (wrong)
				return wrong;
		}
	}
	return NULL;
}
