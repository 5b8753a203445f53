/* SPDX-License-Identifier: BSD-2-Clause */
/* A batch from request to drop: take, resolve, give back. */
#include "host/superpage.h"
#include "host/superpage_stage.h"
#include "host/superpage_touch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/hugetlb.h"
#include "host/lately.h"
#include "host/pagemap.h"
#include "host/topology.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Pinned pages of a process that exited were seen up to 54 ms late. */
#define LATE_WAIT_NS UINT64_C(100000000)
#define LATE_STEP_NS 2000000
/* How long a pool that stayed empty is believed empty without waiting. */
#define LATE_BELIEF_NS UINT64_C(1000000000)

static int check_request(const struct superpage_request *request)
{
	const char *wrong = NULL;

	if (request->page_size != SUPERPAGE_SIZE &&
	    (request->page_size != GIGAPAGE_SIZE ||
	     request->kind == SUPERPAGE_COLLAPSED))
		wrong = "page size";
	else if (!request->count ||
		 request->count > (UINT64_C(1) << 47) / request->page_size)
		wrong = "count";
	else if (request->node < -1 || request->node >= HOST_NODES_MAX)
		wrong = "node";
	if (!wrong)
		return 0;
	contig_reason_set("superpage request: impossible %s (page size %llu, count %zu, node %d)",
			  wrong, (unsigned long long)request->page_size,
			  request->count, request->node);
	return -EINVAL;
}

struct pool_view {
	struct hugetlb_counts all;
	uint64_t usable; /* free, and promised to nobody */
	uint64_t extra;  /* surplus pages that may be made */
};

static int look_at_pool(const struct superpage_request *request,
			struct pool_view *out)
{
	int err = contig_hugetlb_counts(request->page_size, HUGETLB_ALL_NODES,
					&out->all);

	if (err)
		return err;
	out->extra = 0;
	out->usable = out->all.free > out->all.reserved ?
			      out->all.free - out->all.reserved : 0;
	if (request->node >= 0) {
		struct hugetlb_counts here;

		err = contig_hugetlb_counts(request->page_size, request->node,
					    &here);
		if (err)
			return err;
		if (out->usable > here.free)
			out->usable = here.free;
	}
	if (request->surplus && out->all.overcommit > out->all.surplus) {
		uint64_t room = contig_superpage_room(false) / request->page_size;

		out->extra = out->all.overcommit - out->all.surplus;
		if (out->extra > room)
			out->extra = room;
	}
	return 0;
}

/* Fewer than the caller can use, and some that others may be bringing back. */
static bool is_late(const struct superpage_request *request, const struct pool_view *view)
{
	uint64_t enough = request->enough ? request->enough : 1;

	return view->usable + view->extra < enough && view->all.total > view->usable;
}

/* Poll a pool whose pages may be on their way back. */
static int wait_for_late(const struct superpage_request *request,
			 struct pool_view *view)
{
	/* When a wait was last in vain, by page size; 0: never. */
	static _Atomic uint64_t in_vain[2];
	_Atomic uint64_t *vain = &in_vain[request->page_size == GIGAPAGE_SIZE];
	const struct timespec step = {0, LATE_STEP_NS};
	uint64_t start = clock_ns(), last = atomic_load(vain);
	int err;

	if (last && start - last < LATE_BELIEF_NS)
		return 0;
	do {
		nanosleep(&step, NULL);
		err = look_at_pool(request, view);
		if (err || !is_late(request, view))
			return err;
	} while (clock_ns() - start < LATE_WAIT_NS);
	atomic_store(vain, clock_ns());
	return 0;
}

static void pool_reason(const struct superpage_request *request,
			const struct pool_view *view, uint64_t cgroup)
{
	char size[32], node[32] = "";

	contig_size_print(request->page_size, size, sizeof(size));
	if (request->node >= 0)
		snprintf(node, sizeof(node), " on node %d", request->node);
	if (!cgroup)
		contig_reason_set("%s hugetlb pages: this process's hugetlb cgroup allows no more; raise its limit",
				  size);
	else
		contig_reason_set("%s hugetlb pages%s: none free (pool of %llu, %llu free, %llu reserved); raise nr_hugepages%s",
				  size, node, (unsigned long long)view->all.total,
				  (unsigned long long)view->all.free,
				  (unsigned long long)view->all.reserved,
				  request->surplus ? " or nr_overcommit_hugepages" :
						     "");
}

/* No limit, the rule, is believed for some milliseconds. */
static uint64_t cgroup_room(uint64_t page_size)
{
	static struct lately unlimited[2];
	struct lately *lately = &unlimited[page_size == GIGAPAGE_SIZE];
	uint64_t room;

	if (lately_get(lately, &room))
		return room;
	room = contig_hugetlb_cgroup_room(page_size);
	if (room == UINT64_MAX)
		lately_put(lately, room);
	return room;
}

/* How many hugetlb pages may be asked for.  0/-errno with a reason. */
static int bound_hugetlb(struct superpage_request *request)
{
	struct pool_view view;
	uint64_t cgroup, most;
	int err = look_at_pool(request, &view);

	if (!err && !request->nowait && is_late(request, &view))
		err = wait_for_late(request, &view);
	if (err) {
		char size[32];

		contig_size_print(request->page_size, size, sizeof(size));
		contig_reason_set("%s hugetlb pages: the kernel has no such pool%s",
				  size, request->node < 0 ? "" : " on that node");
		return err == -ENOENT ? -EINVAL : err;
	}
	most = view.usable + view.extra;
	cgroup = cgroup_room(request->page_size);
	if (most > cgroup)
		most = cgroup;
	if (!most) {
		pool_reason(request, &view, cgroup);
		return -ENOMEM;
	}
	if (request->count > most)
		request->count = most;
	return 0;
}

static int bound_collapsed(struct superpage_request *request)
{
	uint64_t most = contig_superpage_room_lately() / SUPERPAGE_SIZE;

	if (!most) {
		contig_reason_set("collapsed superpages: machine or memory cgroup has nothing to spare; free memory or raise the limit");
		return -ENOMEM;
	}
	if (request->count > most)
		request->count = most;
	return 0;
}

static int touch_reason(const struct superpage_request *request, int err)
{
	char size[32];
	const char *why = strerror(-err);

	contig_size_print(request->page_size, size, sizeof(size));
	if (request->kind == SUPERPAGE_COLLAPSED) {
		if (err == -EBUSY)
			why = "the memory cgroup's limit is reached; raise it";
		else if (err == -ENOMEM)
			why = "no free run of 2 MiB; compact or free memory";
		else if (err == -EINVAL)
			why = "not possible here (before Linux 6.1, no CONFIG_TRANSPARENT_HUGEPAGE, PR_SET_THP_DISABLE or shmem_enabled=deny)";
		contig_reason_set("collapsed superpages: %s", why);
		return err == -EBUSY || err == -EAGAIN ? -ENOMEM : err;
	}
	if (err == -EFAULT || err == -ENOMEM) {
		why = "gone before they were touched, or a limit (cgroup, cpuset) forbids them";
		err = -ENOMEM;
	} else if (err == -EINVAL) {
		why = "MADV_POPULATE_WRITE is missing (before Linux 5.14)";
	}
	contig_reason_set("%s hugetlb pages: %s", size, why);
	return err;
}

/* Collapsing prefers the bound node but falls back to others. */
static bool is_on_node(const struct superpage_batch *batch, uint64_t frame)
{
	int node;

	if (batch->request.node < 0 || !frame_is_known(frame))
		return true;
	node = contig_topology_node_of(frame);
	return node < 0 || node == batch->request.node;
}

/* Few enough for any stack. */
#define FRAMES_AT_ONCE 128

/* Whether pages[i] is one superpage; sets its frame. */
static int resolve_one(struct superpage_batch *batch, size_t i, int pagemap)
{
	struct superpage *page = &batch->pages[i];
	bool collapsed = batch->request.kind == SUPERPAGE_COLLAPSED;
	uint64_t frames[FRAMES_AT_ONCE];
	int err = contig_pagemap_read(pagemap, (uintptr_t)page->staging, 1, frames);

	if (err)
		return err;
	page->frame = frames[0];
	if (frames[0] == FRAME_HIDDEN)
		return collapsed &&
		       contig_pagemap_is_huge(page->staging, SUPERPAGE_SIZE) == 0 ?
			       -EIO : 0;
	if (!frame_is_known(frames[0]) ||
	    frames[0] % (batch->request.page_size / FRAME_SIZE))
		return -EIO;
	for (size_t at = 0; collapsed && at < SUPERPAGE_FRAMES; at += FRAMES_AT_ONCE) {
		err = contig_pagemap_read(pagemap, (uintptr_t)page->staging + at * FRAME_SIZE,
					  FRAMES_AT_ONCE, frames);
		if (err)
			return err;
		for (size_t j = 0; j < FRAMES_AT_ONCE; j++)
			if (frames[j] != page->frame + at + j)
				return -EIO;
	}
	return 0;
}

/*
 * Not even presence can be read.  A hugetlb page is a superpage by
 * construction, a collapsed one by the word of MADV_COLLAPSE.
 */
static int hide_all(struct superpage_batch *batch)
{
	for (size_t i = 0; i < batch->n; i++)
		batch->pages[i].frame = FRAME_HIDDEN;
	return 0;
}

/* With drop, pages that are none are given back; else they are an error. */
static int resolve(struct superpage_batch *batch, bool drop)
{
	int pagemap = contig_pagemap_open(0), result = 0;

	/* A process that isn't dumpable: pagemap belongs to root. */
	if (pagemap == -EACCES || pagemap == -EPERM)
		return hide_all(batch);
	if (pagemap < 0) {
		contig_reason_set("/proc/self/pagemap: %s; mount /proc",
				  strerror(-pagemap));
		return pagemap;
	}
	for (size_t i = 0; i < batch->n; i++) {
		struct superpage *page = &batch->pages[i];
		int err;

		if (!page->staging)
			continue;
		err = resolve_one(batch, i, pagemap);
		if (!err && drop && !is_on_node(batch, page->frame))
			err = -EIO;
		if (!err)
			continue;
		contig_debug(TAKE, "index %llu is no superpage: %s",
			     (unsigned long long)page->index, strerror(-err));
		contig_reason_set("superpage at index %llu: %s",
				  (unsigned long long)page->index,
				  err == -EIO ? "not one superpage (any more), or on another node" :
						strerror(-err));
		result = err;
		if (drop) {
			contig_superpage_unstage(batch, i);
			page->staging = NULL;
		}
	}
	close(pagemap);
	return result;
}

int contig_superpage_resolve(struct superpage_batch *batch)
{
	return resolve(batch, false);
}

/* Lay out the array; private places that stay empty are unmapped, so that a
 * private batch owns exactly its pages' addresses. */
static size_t fill(struct superpage_batch *batch, int *error)
{
	size_t came;

	batch->n = batch->request.count;
	for (size_t i = 0; i < batch->n; i++) {
		batch->pages[i].index = i;
		batch->pages[i].staging = (char *)batch->staging +
					  i * batch->request.page_size;
	}
	came = contig_superpage_touch(&batch->request, batch->pages, batch->n,
				      error);
	contig_superpage_unadvise(batch);
	for (size_t i = 0; i < batch->n; i++) {
		if (batch->pages[i].frame != FRAME_ABSENT)
			continue;
		if (!batch->request.shared)
			contig_superpage_unstage(batch, i);
		batch->pages[i].staging = NULL;
	}
	contig_superpage_squeeze(batch);
	return came;
}

int contig_superpage_take(const struct superpage_request *request,
			  struct superpage_batch *batch)
{
	int err;

	memset(batch, 0, sizeof(*batch));
	batch->fd = -1;
	batch->request = *request;
	err = check_request(request);
	if (!err)
		err = request->kind == SUPERPAGE_HUGETLB ?
			      bound_hugetlb(&batch->request) :
			      bound_collapsed(&batch->request);
	if (err)
		return err;
	err = contig_superpage_array(batch, batch->request.count);
	if (err)
		return err;
	err = contig_superpage_stage(batch);
	if (err)
		goto drop;
	if (!fill(batch, &err)) {
		err = touch_reason(&batch->request, err ? err : -ENOMEM);
		goto drop;
	}
	err = resolve(batch, true);
	contig_superpage_squeeze(batch);
	if (batch->n)
		return 0;
	if (err == -EIO)
		err = -ENOMEM;
drop:
	contig_superpage_drop(batch);
	return err;
}

void contig_superpage_give_back(struct superpage_batch *batch, size_t i)
{
	struct superpage *page = &batch->pages[i];

	if (!page->staging || page->mapped)
		return;
	contig_superpage_unstage(batch, i);
	page->staging = NULL;
}

void contig_superpage_drop(struct superpage_batch *batch)
{
	for (size_t i = batch->n; i-- > 0;)
		contig_superpage_give_back(batch, i);
	/* Private pages are gone one by one: their neighbourhood may be
	 * somebody else's by now. */
	if (batch->request.shared && batch->staging)
		munmap(batch->staging, batch->staging_len);
	if (batch->fd >= 0)
		close(batch->fd);
	if (batch->pages)
		munmap(batch->pages, batch->pages_len);
	memset(batch, 0, sizeof(*batch));
	batch->fd = -1;
}
