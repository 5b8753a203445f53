/* SPDX-License-Identifier: BSD-2-Clause */
/* Putting a batch in order: sorting it, and making the kernel deal it anew. */
#include "host/superpage_stage.h"
#include "host/superpage_touch.h"

#include "base/log.h"
#include "base/reason.h"
#include "host/hugetlb.h"
#include "host/pagemap.h"

#include <errno.h>
#include <sys/mman.h>

typedef bool (*before_fn)(const struct superpage *a, const struct superpage *b);

static bool before_by_index(const struct superpage *a, const struct superpage *b)
{
	return a->index < b->index;
}

static bool before_by_frame(const struct superpage *a, const struct superpage *b)
{
	if (!a->staging != !b->staging)
		return a->staging;
	return a->frame != b->frame ? a->frame < b->frame : before_by_index(a, b);
}

static void sift_down(struct superpage *pages, size_t root, size_t n,
		      before_fn before)
{
	struct superpage moving = pages[root];
	size_t child;

	while ((child = 2 * root + 1) < n) {
		if (child + 1 < n && before(&pages[child], &pages[child + 1]))
			child++;
		if (!before(&moving, &pages[child]))
			break;
		pages[root] = pages[child];
		root = child;
	}
	pages[root] = moving;
}

/* A heap sort, because qsort(3) calls malloc for large arrays. */
static void sort(struct superpage *pages, size_t n, before_fn before)
{
	for (size_t i = n / 2; i-- > 0;)
		sift_down(pages, i, n, before);
	for (size_t last = n; last-- > 1;) {
		struct superpage largest = pages[0];

		pages[0] = pages[last];
		pages[last] = largest;
		sift_down(pages, 0, last, before);
	}
}

void contig_superpage_sort(struct superpage_batch *batch)
{
	sort(batch->pages, batch->n, before_by_frame);
}

void contig_superpage_sort_index(struct superpage_batch *batch)
{
	sort(batch->pages, batch->n, before_by_index);
}

/* Back to the pool, but the place in the staging mapping stays ours. */
static void put_back(struct superpage_batch *batch, size_t i)
{
	if (batch->request.shared)
		contig_superpage_unstage(batch, i);
	else
		contig_superpage_advise(batch->pages[i].staging,
					batch->request.page_size, MADV_DONTNEED);
}

static void lose_absent(struct superpage_batch *batch)
{
	for (size_t i = 0; i < batch->n; i++) {
		if (batch->pages[i].frame != FRAME_ABSENT)
			continue;
		if (!batch->request.shared)
			contig_superpage_unstage(batch, i);
		batch->pages[i].staging = NULL;
	}
	contig_superpage_squeeze(batch);
}

int contig_superpage_reorder(struct superpage_batch *batch)
{
	/* One thread, or the pages come in no order at all. */
	struct superpage_request request = batch->request;
	struct hugetlb_counts counts;
	size_t came;
	int err, resolved;

	if (request.kind != SUPERPAGE_HUGETLB)
		return -EINVAL;
	for (size_t i = 0; i < batch->n; i++)
		if (batch->pages[i].mapped)
			return -EINVAL;
	contig_superpage_sort(batch);
	contig_superpage_squeeze(batch);
	err = contig_hugetlb_counts(request.page_size, HUGETLB_ALL_NODES, &counts);
	/* While a node has surplus pages, what is freed on it leaves the pool. */
	if (err || counts.surplus) {
		contig_debug(TAKE, "not reordered: surplus %llu, error %d",
			     (unsigned long long)counts.surplus, err);
		contig_superpage_sort_index(batch);
		return 0;
	}
	for (size_t i = batch->n; i-- > 0;)
		put_back(batch, i);
	contig_superpage_sort_index(batch);
	request.threads = 1;
	came = contig_superpage_touch(&request, batch->pages, batch->n, &err);
	if (came < batch->n) {
		contig_reason_set("reordering %zu superpages: %zu were taken by "
				  "another process meanwhile; hold the system-wide lock",
				  batch->n, batch->n - came);
		lose_absent(batch);
		err = -ENOMEM;
	}
	resolved = contig_superpage_resolve(batch);
	return err ? err : resolved;
}
