/* SPDX-License-Identifier: BSD-2-Clause */
/* contig pool grow, shrink, demote, compact: one number written, and put
 * back when the kernel could not do all of it. */
#include "pool_command.h"

#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/available.h"
#include "host/buddy.h"
#include "host/syslock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int grow_locked(struct emitter *e, const struct pool_input *input,
		       const struct hugetlb_counts *before)
{
	uint64_t want = pool_persistent(before) + input->n;
	struct hugetlb_counts now;
	int error = contig_hugetlb_resize(input->size, input->node, want, NULL);

	if (!error)
		error = contig_hugetlb_counts(input->size, input->node, &now);
	if (!error && pool_persistent(&now) < want) {
		contig_hugetlb_compact(input->node);
		error = contig_hugetlb_resize(input->size, input->node, want, NULL);
		if (!error)
			error = contig_hugetlb_counts(input->size, input->node, &now);
	}
	if (error)
		return pool_failed(e, "nr_hugepages", error);
	if (pool_persistent(&now) < want) {
		uint64_t came = pool_persistent(&now) - pool_persistent(before);

		contig_hugetlb_resize(input->size, input->node, pool_persistent(before), NULL);
		contig_reason_set("the kernel found room for %" PRIu64 " of %" PRIu64
				  " pages, after compaction too; the pool is as before",
				  came, input->n);
		return pool_failed(e, "nr_hugepages", -ENOMEM);
	}
	pool_emit_change(e, input->size, before, &now);
	return 0;
}

int pool_grow(struct emitter *e, const struct pool_input *input)
{
	struct hugetlb_counts before;
	char text[24], whole[24];
	int lock, status;
	int error = contig_hugetlb_counts(input->size, input->node, &before);

	if (error)
		return pool_failed(e, "pool", error);
	if (input->dry_run) {
		pool_say_echo(e, input->size, input->node, "nr_hugepages",
			      pool_persistent(&before) + input->n, NULL);
		return 0;
	}
	/* Growing into the last of the memory would have others swapped and
	 * killed before the kernel says no. */
	if (input->n > contig_available() / input->size) {
		contig_reason_set("%" PRIu64 " pages are %s, and %s are available",
				  input->n,
				  contig_size_print(input->n * input->size, whole,
						    sizeof(whole)),
				  contig_size_print(contig_available(), text, sizeof(text)));
		return pool_failed(e, "memory", -ENOMEM);
	}
	lock = pool_lock(e);
	if (lock == -ETIMEDOUT)
		return 2;
	error = contig_hugetlb_counts(input->size, input->node, &before);
	status = error ? pool_failed(e, "pool", error) : grow_locked(e, input, &before);
	contig_syslock_drop(lock);
	return status;
}

int pool_shrink(struct emitter *e, const struct pool_input *input)
{
	struct hugetlb_counts before, now, all;
	uint64_t unpromised;
	int lock = input->dry_run ? -1 : pool_lock(e);
	int status = 2;
	int error;

	if (lock == -ETIMEDOUT)
		return 2;
	error = contig_hugetlb_counts(input->size, input->node, &before);
	if (!error)
		error = contig_hugetlb_counts(input->size, HUGETLB_ALL_NODES, &all);
	if (error) {
		status = pool_failed(e, "pool", error);
		goto unlock;
	}
	unpromised = all.free > all.reserved ? all.free - all.reserved : 0;
	if (unpromised > before.free)
		unpromised = before.free;
	/* Pages in use would not go away, but turn into surplus. */
	if (input->n > unpromised || input->n > pool_persistent(&before)) {
		contig_reason_set("%" PRIu64 " of %" PRIu64 " pages are free and promised to "
				  "nobody", unpromised, before.total);
		emitter_error(e, "pool", EBUSY, contig_reason_get(), NULL);
		status = 1;
		goto unlock;
	}
	if (input->dry_run) {
		pool_say_echo(e, input->size, input->node, "nr_hugepages",
			      pool_persistent(&before) - input->n, NULL);
		status = 0;
		goto unlock;
	}
	error = contig_hugetlb_resize(input->size, input->node,
				      pool_persistent(&before) - input->n, NULL);
	if (!error)
		error = contig_hugetlb_counts(input->size, input->node, &now);
	if (error) {
		status = pool_failed(e, "nr_hugepages", error);
		goto unlock;
	}
	pool_emit_change(e, input->size, &before, &now);
	status = 0;
unlock:
	contig_syslock_drop(lock);
	return status;
}

/* What a demotion that stopped half-way left behind. */
static void demote_undo(const struct pool_input *input, const struct hugetlb_counts *large,
			uint64_t small_size, const struct hugetlb_counts *small)
{
	contig_hugetlb_resize(small_size, input->node, pool_persistent(small), NULL);
	contig_hugetlb_resize(input->size, input->node, pool_persistent(large), NULL);
}

static int demote_locked(struct emitter *e, const struct pool_input *input,
			 uint64_t small_size)
{
	struct hugetlb_counts large, small, all, now, small_now;
	uint64_t unpromised;
	int error = contig_hugetlb_counts(input->size, input->node, &large);

	if (!error)
		error = contig_hugetlb_counts(input->size, HUGETLB_ALL_NODES, &all);
	if (!error)
		error = contig_hugetlb_counts(small_size, input->node, &small);
	if (error)
		return pool_failed(e, "pool", error);
	unpromised = all.free > all.reserved ? all.free - all.reserved : 0;
	if (unpromised > large.free)
		unpromised = large.free;
	if (input->n > unpromised) {
		contig_reason_set("%" PRIu64 " pages of 1 GiB are free and promised to nobody",
				  unpromised);
		emitter_error(e, "pool", EBUSY, contig_reason_get(),
			      "Try 'contig pool grow --size 1G N' first");
		return 1;
	}
	if (input->dry_run) {
		pool_say_echo(e, input->size, input->node, "demote", input->n, NULL);
		return 0;
	}
	error = contig_hugetlb_demote(input->size, input->node, input->n);
	if (error)
		return pool_failed(e, "demote", error);
	error = contig_hugetlb_counts(input->size, input->node, &now);
	if (!error)
		error = contig_hugetlb_counts(small_size, input->node, &small_now);
	if (error)
		return pool_failed(e, "pool", error);
	if (large.total - now.total != input->n) {
		contig_reason_set("the kernel demoted %" PRIu64 " of %" PRIu64 " pages; undone",
				  large.total - now.total, input->n);
		demote_undo(input, &large, small_size, &small);
		return pool_failed(e, "demote", -ENOMEM);
	}
	pool_emit_change(e, small_size, &small, &small_now);
	return 0;
}

int pool_demote(struct emitter *e, const struct pool_input *input)
{
	uint64_t small_size;
	int lock, status;
	int error = contig_hugetlb_demote_size(input->size, &small_size);

	if (error) {
		contig_reason_set("this kernel can't demote pages (Linux 5.16 can)");
		return pool_failed(e, "demote", error);
	}
	lock = input->dry_run ? -1 : pool_lock(e);
	if (lock == -ETIMEDOUT)
		return 2;
	status = demote_locked(e, input, small_size);
	contig_syslock_drop(lock);
	return status;
}

int pool_compact(struct emitter *e, const struct pool_input *input)
{
	uint64_t before = 0, after = 0;
	bool known;
	int error;

	if (input->dry_run) {
		char line[96];

		if (input->node == HUGETLB_ALL_NODES)
			snprintf(line, sizeof(line), "echo 1 > /proc/sys/vm/compact_memory");
		else
			snprintf(line, sizeof(line),
				 "echo 1 > /sys/devices/system/node/node%d/compact",
				 input->node);
		emitter_command(e, line, NULL);
		return 0;
	}
	known = !contig_buddy_superpages(NULL, input->node, &before);
	error = contig_hugetlb_compact(input->node);
	if (error)
		return pool_failed(e, "compact_memory", error);
	known = known && !contig_buddy_superpages(NULL, input->node, &after);
	emitter_field(e, "free_superpages_before", NULL,
		      known ? value_count(before) : value_unknown());
	emitter_field(e, "free_superpages", NULL,
		      known ? value_count(after) : value_unknown());
	if (known)
		emitter_line(e,
			     "the kernel could make %" PRIu64 " superpages before, %" PRIu64
			     " now",
			     before, after);
	return 0;
}
