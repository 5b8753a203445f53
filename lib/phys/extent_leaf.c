/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/extent_leaf.h"

#include <string.h>

#define WORD_SHIFT 6
#define BYTE_SHIFT 3

/* Bits at the multiples of 2^n. */
static const uint64_t every[WORD_SHIFT + 1] = {
	UINT64_MAX,
	0x5555555555555555, 0x1111111111111111, 0x0101010101010101,
	0x0001000100010001, 0x0000000100000001, 0x0000000000000001,
};

static inline int32_t at_most(int x, unsigned int limit)
{
	return x < (int)limit ? x : (int32_t)limit;
}

void contig_leaf_mark(struct leaf *leaf, unsigned int from, unsigned int to, bool free)
{
	unsigned int stop;

	for (unsigned int at = from; at < to; at = stop) {
		unsigned int i = at / WORD_BITS;
		uint64_t mask;

		stop = (i + 1) * WORD_BITS < to ? (i + 1) * WORD_BITS : to;
		mask = word_mask(at % WORD_BITS, (stop - 1) % WORD_BITS + 1);
		if (free)
			leaf->word[i] |= mask;
		else
			leaf->word[i] &= ~mask;
	}
}

unsigned int contig_leaf_first(const struct leaf *leaf, unsigned int from, bool free)
{
	uint64_t flip = free ? 0 : UINT64_MAX, word;
	unsigned int i = from / WORD_BITS;

	if (from >= LEAF_FRAMES)
		return LEAF_FRAMES;
	word = (leaf->word[i] ^ flip) & (UINT64_MAX << from % WORD_BITS);
	while (!word) {
		if (++i == LEAF_WORDS)
			return LEAF_FRAMES;
		word = leaf->word[i] ^ flip;
	}
	return i * WORD_BITS + (unsigned int)__builtin_ctzll(word);
}

unsigned int contig_leaf_free_before(const struct leaf *leaf, unsigned int to)
{
	for (unsigned int at = to; at;) {
		unsigned int i = (at - 1) / WORD_BITS;
		uint64_t used = ~leaf->word[i] & word_mask(0, at - i * WORD_BITS);

		if (used)
			return to - (i * WORD_BITS + WORD_BITS -
				     (unsigned int)__builtin_clzll(used));
		at = i * WORD_BITS;
	}
	return to;
}

/*
 * The longest runs, by level, that cross the middle of a node of that level or
 * start at its first frame.  Row k is the maximum over levels up to k.
 */
struct crossing {
	lanes run[LEAF_SHIFT + 1][ROW_VECTORS(LEAF_SHIFT)];
	int32_t first[LEAF_SHIFT + 1]; /* from the node's first frame, within its left half */
};

/* One more node: suffix and prefix meet at its middle. */
static inline void crossing_add(struct crossing *crossing, unsigned int level,
				int32_t suffix, int32_t prefix, int32_t first)
{
	for (unsigned int v = 0; v < ROW_VECTORS(level); v++)
		crossing->run[level][v] =
			lanes_max(crossing->run[level][v],
				  (lanes_splat(suffix) & lanes_round[v]) + lanes_splat(prefix));
	if (crossing->first[level] < first)
		crossing->first[level] = first;
}

/* The nodes of one level in a word that isn't all ones. */
static inline void crossing_add_level(struct crossing *crossing, unsigned int level,
				      uint64_t word)
{
	unsigned int half = 1u << (level - 1);

	for (unsigned int middle = half; middle < WORD_BITS; middle += 2 * half) {
		int suffix = __builtin_clzll(~(word << (WORD_BITS - middle)));
		int prefix = __builtin_ctzll(~(word >> middle));
		int first = __builtin_ctzll(~(word >> (middle - half)));

		crossing_add(crossing, level, at_most(suffix, half), at_most(prefix, half),
			     at_most(first, half));
	}
}

/* Written out, so that each is compiled for its level. */
static void crossing_add_word(struct crossing *crossing, uint64_t word)
{
	crossing_add_level(crossing, 4, word);
	crossing_add_level(crossing, 5, word);
	crossing_add_level(crossing, 6, word);
}

/*
 * Rows 1 to 3, the windows within a byte, for all bytes at once.  starts[c] has
 * the starts of c + 1 free frames within a word, of all words together: windows
 * are at the same places in all of them.  A run that fits is found at each
 * length up to its own, so the number of lengths found is the longest.
 */
static void byte_rows(const uint64_t starts[8], lanes row[BYTE_SHIFT + 1])
{
	/* Where a run of c + 1 frames may start in a byte: rows 3 (lanes 0-2), 2 (0-1), 1. */
	static const uint8_t allowed[8][6] = {
		{ 0xff, 0x55, 0x11, 0xff, 0x55, 0xff },
		{ 0x7f, 0x55, 0x11, 0x77, 0x55, 0x55 },
		{ 0x3f, 0x15, 0x11, 0x33, 0x11, 0 },
		{ 0x1f, 0x15, 0x11, 0x11, 0x11, 0 },
		{ 0x0f, 0x05, 0x01, 0, 0, 0 },
		{ 0x07, 0x05, 0x01, 0, 0, 0 },
		{ 0x03, 0x01, 0x01, 0, 0, 0 },
		{ 0x01, 0x01, 0x01, 0, 0, 0 },
	};
	int32_t longest[6] = { 0 };

	for (unsigned int c = 0; c < 8; c++) {
		uint64_t byte = starts[c] | starts[c] >> 32;

		byte |= byte >> 16;
		byte |= byte >> 8;
		for (unsigned int i = 0; i < 6; i++)
			longest[i] += (byte & allowed[c][i]) != 0;
	}
	row[1] = (lanes){ longest[5] };
	row[2] = (lanes){ longest[3], longest[4] };
	row[3] = (lanes){ longest[0], longest[1], longest[2] };
}

/* The nodes of more than a word, and the leaf's two ends. */
static void crossing_add_words(struct crossing *crossing, const struct leaf *leaf,
			       int32_t *prefix, int32_t *suffix)
{
	int32_t head[LEAF_WORDS], tail[LEAF_WORDS];

	for (unsigned int i = 0; i < LEAF_WORDS; i++) {
		uint64_t used = ~leaf->word[i];

		head[i] = used ? __builtin_ctzll(used) : (int32_t)WORD_BITS;
		tail[i] = used ? __builtin_clzll(used) : (int32_t)WORD_BITS;
	}
	for (unsigned int level = WORD_SHIFT + 1; level <= LEAF_SHIFT; level++) {
		int32_t half = (int32_t)1 << (level - 1);

		for (unsigned int i = 0; i < LEAF_FRAMES >> level; i++) {
			int32_t left = head[2 * i], right = tail[2 * i + 1];

			crossing_add(crossing, level, tail[2 * i], head[2 * i + 1], left);
			head[i] = left == half ? half + head[2 * i + 1] : left;
			tail[i] = right == half ? half + tail[2 * i] : right;
		}
	}
	*prefix = head[0];
	*suffix = tail[0];
}

row_set contig_leaf_summarise(const struct leaf *leaf, struct summary *summary)
{
	struct crossing crossing;
	uint64_t starts[8] = { 0 }, all = UINT64_MAX, any = 0;
	lanes row[BYTE_SHIFT + 1], longest[ROW_VECTORS(LEAF_SHIFT)];
	row_set result = 0;
	int32_t prefix, suffix;

	for (unsigned int i = 0; i < LEAF_WORDS; i++) {
		all &= leaf->word[i];
		any |= leaf->word[i];
	}
	if (!any || all == UINT64_MAX)
		return contig_summary_fill(LEAF_SHIFT, summary, any);

	memset(&crossing, 0, sizeof(crossing));
	for (unsigned int i = 0; i < LEAF_WORDS; i++) {
		uint64_t word = leaf->word[i], run = word;

		if (!word)
			continue;
		starts[0] |= word;
		for (unsigned int c = 1; c < 8; c++) {
			run &= word >> c;
			starts[c] |= run;
		}
		if (word != UINT64_MAX) {
			crossing_add_word(&crossing, word);
			continue;
		}
		for (unsigned int k = BYTE_SHIFT + 1; k <= WORD_SHIFT; k++)
			crossing_add(&crossing, k, (int32_t)1 << (k - 1), (int32_t)1 << (k - 1),
				     (int32_t)1 << (k - 1));
	}
	byte_rows(starts, row);
	crossing_add_words(&crossing, leaf, &prefix, &suffix);

	for (unsigned int k = 1; k <= BYTE_SHIFT; k++)
		result |= (row_set)lanes_any(lanes_store(summary_row(summary, k), row[k])) << k;
	memset(longest, 0, sizeof(longest));
	longest[0] = row[BYTE_SHIFT];
	for (unsigned int k = BYTE_SHIFT + 1; k <= LEAF_SHIFT; k++) {
		lanes *to = summary_row(summary, k);
		lanes changed = { 0 };

		for (unsigned int v = 0; v < ROW_VECTORS(k); v++) {
			unsigned int below = k - v * LANES < LANES ? k - v * LANES : LANES;
			lanes x = crossing.run[k][v] & lanes_below(below);

			if (v == (k - 1) / LANES) {
				lanes last = lanes_below(below) & ~lanes_below(below - 1);

				x = lanes_max(x, lanes_splat(crossing.first[k]) & last);
			}
			longest[v] = lanes_max(longest[v], x);
			changed |= lanes_store(&to[v], longest[v]);
		}
		result |= (row_set)lanes_any(changed) << k;
	}
	if (summary->prefix != prefix || summary->suffix != suffix)
		result |= (row_set)1 << LEAF_SHIFT;
	summary->prefix = prefix;
	summary->suffix = suffix;
	return result;
}

/* Keep the starts of runs that are also followed by a run step frames further on. */
static void starts_extend(uint64_t word[LEAF_WORDS], unsigned int step)
{
	unsigned int words = step / WORD_BITS, bits = step % WORD_BITS;

	for (unsigned int i = 0; i < LEAF_WORDS; i++) {
		uint64_t low = i + words < LEAF_WORDS ? word[i + words] : 0;
		uint64_t high = i + words + 1 < LEAF_WORDS ? word[i + words + 1] : 0;

		word[i] &= bits ? low >> bits | high << (WORD_BITS - bits) : low;
	}
}

/* The starts in word i from which count frames stay within their window. */
static uint64_t starts_in_window(unsigned int i, unsigned int count, unsigned int window_shift)
{
	unsigned int window, at;

	if (window_shift >= LEAF_SHIFT)
		return UINT64_MAX;
	window = 1u << window_shift;
	at = i * WORD_BITS % window;
	if (at + count > window)
		return 0;
	if (window_shift < WORD_SHIFT)
		return every[window_shift] * word_mask(0, window - count + 1);
	at = window - count + 1 - at;
	return word_mask(0, at < WORD_BITS ? at : WORD_BITS);
}

static uint64_t starts_aligned(unsigned int i, unsigned int align_shift)
{
	if (align_shift <= WORD_SHIFT)
		return every[align_shift];
	return i * WORD_BITS % (1u << align_shift) ? 0 : 1;
}

unsigned int contig_leaf_find(const struct leaf *leaf, unsigned int from, unsigned int to,
			      unsigned int count, unsigned int align_shift,
			      unsigned int window_shift)
{
	uint64_t word[LEAF_WORDS];
	unsigned int have, step;

	for (unsigned int i = 0; i < LEAF_WORDS; i++) {
		unsigned int start = i * WORD_BITS;
		unsigned int low = from > start ? from - start : 0;
		unsigned int high = to < start + WORD_BITS ? to - start : WORD_BITS;

		word[i] = to > start && low < high ? leaf->word[i] & word_mask(low, high) : 0;
	}
	for (have = 1; have < count; have += step) {
		step = have < count - have ? have : count - have;
		starts_extend(word, step);
	}
	for (unsigned int i = LEAF_WORDS; i-- > 0;) {
		uint64_t starts = word[i];

		if (!starts)
			continue;
		starts &= starts_in_window(i, count, window_shift) & starts_aligned(i, align_shift);
		if (starts)
			return i * WORD_BITS + WORD_BITS - 1 - (unsigned int)__builtin_clzll(starts);
	}
	return LEAF_FRAMES;
}
