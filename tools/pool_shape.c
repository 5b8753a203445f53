/* SPDX-License-Identifier: BSD-2-Clause */
#include "pool_shape.h"

#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/available.h"
#include "host/syslock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_SHOWN 10

uint64_t pool_shape_budget(uint64_t page_size)
{
	return contig_available() / 2 / page_size;
}

int pool_shape_keep(struct hugetlb_guard **guard, struct pool_hold *hold, const bool *keep,
		       const struct pool_input *input, const struct hugetlb_counts *before)
{
	uint64_t want = pool_persistent(before) + input->n;
	struct hugetlb_counts now;
	int error;

	for (size_t i = hold->batch.n; i-- > 0;)
		if (!keep[i])
			contig_superpage_give_back(&hold->batch, i);
	error = contig_hugetlb_guard_stop(*guard);
	*guard = NULL;
	if (!error)
		error = contig_hugetlb_resize(input->size, input->node, want, NULL);
	if (!error)
		error = contig_hugetlb_counts(input->size, input->node, &now);
	if (!error && pool_persistent(&now) != want) {
		contig_hugetlb_resize(input->size, input->node, pool_persistent(before), NULL);
		contig_reason_set("the pool was changed by somebody else meanwhile; it is as "
				  "before");
		error = -EAGAIN;
	}
	return error;
}

void pool_shape_emit(struct emitter *e, const struct pool_hold *hold, const bool *keep)
{
	struct pool_hold kept = {.batch = hold->batch};
	uint64_t size = hold->batch.request.page_size;
	size_t n = 0;

	kept.batch.pages = calloc(hold->batch.n, sizeof(*kept.batch.pages));
	kept.runs = calloc(hold->batch.n, sizeof(*kept.runs));
	if (!kept.batch.pages || !kept.runs)
		goto out;
	for (size_t i = 0; i < hold->batch.n; i++) {
		if (!keep[i])
			continue;
		kept.batch.pages[n] = hold->batch.pages[i];
		if (n && pool_hold_adjacent(&kept.batch.pages[n - 1], &kept.batch.pages[n], size))
			kept.runs[kept.n_runs - 1].n++;
		else
			kept.runs[kept.n_runs++] = (struct pool_run){n, 1};
		n++;
	}
	kept.batch.n = n;
	pool_hold_emit(e, "kept", &kept, RUNS_SHOWN);
out:
	free(kept.batch.pages);
	free(kept.runs);
}

int pool_shape(struct emitter *e, const struct pool_input *input, pool_shape_dry dry,
	       pool_shape_locked locked)
{
	struct hugetlb_counts before;
	char text[24], available[24];
	int lock, status;
	int error = contig_hugetlb_counts(input->size, input->node, &before);

	if (error)
		return pool_failed(e, "pool", error);
	if (input->dry_run)
		return dry(e, input, &before);
	if (input->n > pool_shape_budget(input->size)) {
		contig_reason_set("%" PRIu64 " pages are %s; at most half of the %s that are "
				  "available is taken",
				  input->n,
				  contig_size_print(input->n * input->size, text,
						    sizeof(text)),
				  contig_size_print(contig_available(), available,
						    sizeof(available)));
		return pool_failed(e, "memory", -ENOMEM);
	}
	lock = pool_lock(e);
	if (lock == -ETIMEDOUT)
		return 2;
	status = locked(e, input);
	contig_syslock_drop(lock);
	return status;
}
