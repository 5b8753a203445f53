/* SPDX-License-Identifier: BSD-2-Clause */
#include "map_longest.h"

#include <errno.h>
#include <stdlib.h>

int map_longest_begin(struct map_longest *l, size_t most)
{
	*l = (struct map_longest){.most = most};
	if (most) {
		l->runs = calloc(most, sizeof(*l->runs));
		if (!l->runs)
			return -ENOMEM;
	}
	return 0;
}

static void swap(struct map_found *a, struct map_found *b)
{
	struct map_found c = *a;

	*a = *b;
	*b = c;
}

static void sift_down(struct map_longest *l)
{
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= l->n)
			return;
		if (child + 1 < l->n && l->runs[child + 1].pages < l->runs[child].pages)
			child++;
		if (l->runs[i].pages <= l->runs[child].pages)
			return;
		swap(&l->runs[i], &l->runs[child]);
		i = child;
	}
}

void map_longest_add(struct map_longest *l, const struct map_found *run)
{
	if (!map_longest_wants(l, run->pages))
		return;
	if (l->n == l->most) {
		l->runs[0] = *run;
		sift_down(l);
		return;
	}
	l->runs[l->n] = *run;
	for (size_t i = l->n++; i && l->runs[i].pages < l->runs[(i - 1) / 2].pages;
	     i = (i - 1) / 2)
		swap(&l->runs[i], &l->runs[(i - 1) / 2]);
}

static int compare(const void *a, const void *b)
{
	const struct map_found *x = a, *y = b;

	return x->va < y->va ? -1 : x->va > y->va;
}

void map_longest_sort(struct map_longest *l)
{
	if (l->n)
		qsort(l->runs, l->n, sizeof(*l->runs), compare);
	l->most = l->n;
}

void map_longest_end(struct map_longest *l)
{
	free(l->runs);
	*l = (struct map_longest){0};
}
