/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/extent_summary.h"

/* A window narrower than the node lies in one half of it or in the other. */
static bool row_merge(lanes *to, const lanes *left, const lanes *right, unsigned int vectors)
{
	lanes changed = { 0 };

	for (unsigned int v = 0; v < vectors; v++)
		changed |= lanes_store(&to[v], lanes_max(left[v], right[v]));
	return lanes_any(changed);
}

/*
 * The node's own row: a run is in one half, or it is the left half's suffix
 * (less what precedes its first aligned frame: the middle is aligned, so that
 * is rounding its length down) with the right half's prefix.
 */
static bool own_row_merge(unsigned int level, struct summary *summary,
			  const struct summary *left, const struct summary *right)
{
	int32_t half = (int32_t)1 << (level - 1);
	unsigned int whole = (level - 1) / LANES, rest = (level - 1) % LANES;
	lanes *to = summary_row(summary, level);
	const lanes *l = summary_row(left, level - 1), *r = summary_row(right, level - 1);
	lanes suffix = lanes_splat(left->suffix), prefix = lanes_splat(right->prefix);
	lanes x, changed = { 0 };
	int32_t top;

	for (unsigned int v = 0; v < whole; v++) {
		x = (suffix & lanes_round[v]) + prefix;
		x = lanes_max(x, lanes_max(l[v], r[v]));
		changed |= lanes_store(&to[v], x);
	}

	/*
	 * The last lane, level - 1, is one more than the halves' rows have: a
	 * run so aligned starts at the first frame or at the middle.
	 */
	top = right->prefix + (left->suffix == half ? half : 0);
	if (top < left->prefix)
		top = left->prefix;
	if (rest) {
		x = (suffix & lanes_round[whole]) + prefix;
		x = lanes_max(x, lanes_max(l[whole], r[whole])) & lanes_below(rest);
	} else {
		x = lanes_splat(0);
	}
	x |= lanes_splat(top) & lanes_below(rest + 1) & ~lanes_below(rest);
	return lanes_any(changed | lanes_store(&to[whole], x));
}

static bool ends_store(struct summary *summary, int32_t prefix, int32_t suffix)
{
	bool changed = prefix != summary->prefix || suffix != summary->suffix;

	summary->prefix = prefix;
	summary->suffix = suffix;
	return changed;
}

row_set contig_summary_merge(unsigned int level, struct summary *summary,
			     const struct summary *left, const struct summary *right,
			     row_set changed)
{
	int32_t half = (int32_t)1 << (level - 1);
	row_set result = 0;
	bool own;

	for (row_set rest = changed; rest; rest &= rest - 1) {
		unsigned int k = (unsigned int)__builtin_ctz(rest);

		if (row_merge(summary_row(summary, k), summary_row(left, k),
			      summary_row(right, k), ROW_VECTORS(k)))
			result |= (row_set)1 << k;
	}
	if (!(changed >> (level - 1) & 1))
		return result;

	own = own_row_merge(level, summary, left, right);
	own |= ends_store(summary,
			  left->prefix == half ? half + right->prefix : left->prefix,
			  right->suffix == half ? half + left->suffix : right->suffix);
	return result | (row_set)own << level;
}

row_set contig_summary_fill(unsigned int level, struct summary *summary, bool free)
{
	int32_t size = free ? (int32_t)1 << level : 0;
	row_set result = 0;

	for (unsigned int k = 1; k <= level; k++) {
		lanes *to = summary_row(summary, k);
		lanes x = lanes_splat(free ? (int32_t)1 << k : 0), changed = { 0 };

		for (unsigned int v = 0; v < k / LANES; v++)
			changed |= lanes_store(&to[v], x);
		if (k % LANES)
			changed |= lanes_store(&to[k / LANES], x & lanes_below(k % LANES));
		result |= (row_set)lanes_any(changed) << k;
	}
	return result | (row_set)ends_store(summary, size, size) << level;
}
