/* SPDX-License-Identifier: BSD-2-Clause */
/* The importer's interface: see <contig/share.h>. */
#include "contig/share.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "phys/backing.h"
#include "phys/start.h"
#include "share/importer.h"
#include "share/range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* --- the peer is gone */

static void quarantine(uint64_t frame)
{
	uint64_t bytes = contig_backing_quarantine(frame);

	if (bytes)
		contig_debug(SHARE, "%llu bytes are quarantined", (unsigned long long)bytes);
}

/* The frame of a page may be anybody's with a whole file of neighbours: each
 * file once is enough. */
static void quarantine_all(struct vma *vma, const struct importer *importer)
{
	uint64_t index = 0, last_file = 0;
	void *entry;

	for (; (entry = contig_radix_next(&vma->shadow, &index)); index++) {
		uint64_t frame = page_frame(vma_entry_page(entry));
		struct backing backing;

		if (!contig_backing_of(frame, &backing) || backing.file == last_file)
			continue;
		last_file = backing.file;
		quarantine(frame);
	}
	/* Fixed files stay mapped on the other side whatever is in the range. */
	FILES_EACH(&importer->files, file) {
		struct backing backing;

		if (file->mode == WIRE_FIXED && file->writable &&
		    contig_backing_of(file->frame, &backing) && backing.file == file->number)
			quarantine(file->frame);
	}
}

/*
 * Nothing more can be asked of the peer.  orderly: it said that nothing is
 * mapped any more.  Quarantined before they are let go of, so that nobody
 * gets the pages.
 */
static int give_up(struct vma *vma, int err, bool orderly)
{
	struct importer *importer = vma->remote;

	contig_share_record_peer_end(&importer->peer);
	contig_share_record_end(&importer->record);
	contig_channel_close(&importer->channel);
	if (!orderly)
		quarantine_all(vma, importer);
	vma->dead = true;
	contig_vma_forget(vma, vma->area.vm_start, vma->area.vm_end - vma->area.vm_start);
	contig_files_destroy(&importer->files);
	return err == -ESHUTDOWN ? -EPIPE : err;
}

/* --- vma_ops */

static void remote_begin(struct vma *vma)
{
	struct importer *importer = vma->remote;

	importer->deadline = contig_channel_now() + importer->timeout;
}

static int map_result(const struct importer *importer, int result)
{
	int pid = (int)importer->channel.pid;

	switch (result) {
	case -EBUSY:
		contig_reason_set("process %d has something mapped there already", pid);
		return -EBUSY;
	case -ENOMEM:
		contig_reason_set("process %d has no memory or mappings left (vm.max_map_count)",
				  pid);
		return -ENOMEM;
	case -EDQUOT:
		contig_reason_set("process %d lets an importer have a quarter of its "
				  "vm.max_map_count, and this one has that", pid);
		return -ENOMEM;
	}
	contig_reason_set("process %d: mmap: %s", pid, strerror(-result));
	return result == -EINVAL ? -EINVAL : -EPERM;
}

/* For others to see. */
static void note_mapped(struct importer *importer, const struct vma_run *run)
{
	contig_share_record_frame(&importer->record, run->frame);
	contig_share_record_pages(&importer->peer, importer->pages += run->count);
}

/* Up to WIRE_ITEMS_MAX runs, in one message. */
static int map_batch(struct vma *vma, const struct vma_run *runs, uint32_t n, size_t *done)
{
	struct importer *importer = vma->remote;
	struct wire_message *request = &importer->request;
	uint32_t sendable;
	int err = 0, failed = 0;

	/* Files first: they use the same buffer. */
	for (sendable = 0; sendable < n; sendable++) {
		bool broken;

		failed = contig_importer_file(vma, runs[sendable].frame,
					      &runs[sendable].backing, &broken);
		if (failed && broken)
			return give_up(vma, failed, failed == -ESHUTDOWN);
		if (failed)
			break;
	}
	if (!sendable)
		return failed;
	contig_wire_begin(request, WIRE_MAP, ++importer->sequence, sendable, 0);
	for (uint32_t i = 0; i < sendable; i++) {
		const struct backing *backing = &runs[i].backing;

		request->items.runs[i] = (struct wire_run){
			.file = backing->file,
			.offset = (uint64_t)backing->offset,
			.at = runs[i].addr - vma->area.vm_start,
			.count = (uint32_t)runs[i].count,
			.read_only = !(runs[i].prot & PROT_WRITE) && importer->geometry.writable,
		};
	}
	err = contig_importer_request(importer, request, -1);
	if (!err)
		err = contig_importer_answer(importer, request->header.sequence, sendable);
	if (err)
		return give_up(vma, err, err == -ESHUTDOWN);
	for (uint32_t i = 0; i < sendable; i++) {
		if (importer->reply.items.results[i])
			return map_result(importer, importer->reply.items.results[i]);
		++*done;
		note_mapped(importer, &runs[i]);
	}
	return failed;
}

static int remote_map(struct vma *vma, const struct vma_run *runs, size_t n, size_t *done)
{
	int err = 0;

	*done = 0;
	while (!err && *done < n) {
		size_t left = n - *done;

		err = map_batch(vma, runs + *done,
				(uint32_t)(left < WIRE_ITEMS_MAX ? left : WIRE_ITEMS_MAX), done);
	}
	return err;
}

/* One message; *done: ranges that are unmapped, the first of them. */
static int unmap_batch(struct vma *vma, const struct vma_run *ranges, uint32_t n, size_t *done)
{
	struct importer *importer = vma->remote;
	struct wire_message *request = &importer->request;
	int err;

	contig_wire_begin(request, WIRE_UNMAP, ++importer->sequence, n, 0);
	for (uint32_t i = 0; i < n; i++)
		request->items.ranges[i] = (struct wire_range){
			.at = ranges[i].addr - vma->area.vm_start,
			.count = ranges[i].count,
		};
	err = contig_importer_request(importer, request, -1);
	if (!err)
		err = contig_importer_answer(importer, request->header.sequence, n);
	for (uint32_t i = 0; !err && i < n; i++) {
		int result = importer->reply.items.results[i];

		if (result == -ENOMEM || result == -EDQUOT) /* as here, at the limit */
			return map_result(importer, result);
		if (!result) {
			++*done;
			importer->pages -= ranges[i].count;
			contig_share_record_pages(&importer->peer, importer->pages);
			continue;
		}
		/* It has them still: nothing that it says later is worth more. */
		contig_reason_set("process %d didn't unmap: %s", (int)importer->channel.pid,
				  strerror(-result));
		err = -EPROTO;
	}
	return err ? give_up(vma, err, err == -ESHUTDOWN) : 0;
}

static int remote_unmap(struct vma *vma, const struct vma_run *ranges, size_t n, size_t *done)
{
	int err = 0;

	*done = 0;
	while (!err && *done < n) {
		size_t left = n - *done;

		err = unmap_batch(vma, ranges + *done,
				  (uint32_t)(left < WIRE_ITEMS_MAX ? left : WIRE_ITEMS_MAX), done);
	}
	return err;
}

static int remote_allows(struct vma *vma, const struct vm_page *page)
{
	return contig_importer_allows(vma->remote, page_frame(page));
}

static void remote_destroy(struct vma *vma)
{
	struct importer *importer = vma->remote;
	int err, result;

	if (!vma->dead) {
		contig_wire_begin(&importer->request, WIRE_BYE, ++importer->sequence, 0, 0);
		err = contig_importer_ask(importer, &importer->request, -1, &result);
		give_up(vma, err, !result || err == -ESHUTDOWN);
	}
	vma->remote = NULL;
	free(importer);
}

static void remote_forget_pool(struct vma *vma, const struct contig_pool *pool)
{
	struct importer *importer = vma->remote;
	int err = contig_importer_forget(importer, pool);

	if (err)
		give_up(vma, err, err == -ESHUTDOWN);
}

const struct vma_ops contig_vma_remote_ops = {
	.begin = remote_begin,
	.map = remote_map,
	.unmap = remote_unmap,
	.allows = remote_allows,
	.destroy = remote_destroy,
	.forget_pool = remote_forget_pool,
};

/* --- the calls */

struct vm_area_struct *contig_importer_import(int socket, int64_t deadline)
{
	struct importer *importer = calloc(1, sizeof(*importer));
	struct vma *vma = NULL;
	int err = -ENOMEM;

	if (!importer) {
		contig_reason_set("vma_import: no memory");
		if (socket >= 0)
			close(socket);
		goto out;
	}
	importer->timeout = PEER_TIMEOUT_MS;
	importer->deadline = deadline;
	err = contig_channel_open(&importer->channel, socket);
	if (!err)
		err = contig_importer_greet(importer);
	if (!err) {
		const struct wire_geometry *g = &importer->geometry;

		vma = contig_vma_new(g->start, g->size, g->page_size,
				     PROT_READ | (g->writable ? PROT_WRITE : 0),
				     &contig_vma_remote_ops, importer);
		err = vma ? 0 : -ENOMEM;
	}
	if (!err) {
		contig_share_record(&importer->record, vma, BOARD_IMPORTED,
				    importer->geometry.modes, NULL);
		contig_share_record_peer(&importer->peer, &importer->record, &importer->channel);
	}
	if (err) {
		contig_channel_close(&importer->channel);
		free(importer);
	}
out:
	if (err)
		errno = -err;
	return vma ? &vma->area : NULL;
}

struct vm_area_struct *vma_import(int socket)
{
	NO_CANCEL;

	contig_reason_clear();
	if (contig_start()) {
		if (socket >= 0)
			close(socket);
		errno = ENOMEM;
		return NULL;
	}
	return contig_importer_import(socket, contig_channel_now() + PEER_TIMEOUT_MS);
}

int vma_timeout(struct vm_area_struct *area, int timeout_ms)
{
	struct vma *vma = (struct vma *)area;
	int err = contig_vma_enter(vma, "vma_timeout");

	if (err)
		return err;
	if (vma->ops != &contig_vma_remote_ops || timeout_ms < 1) {
		contig_reason_set(vma->ops != &contig_vma_remote_ops ?
					  "vma_timeout: not a vma of another process" :
					  "vma_timeout: milliseconds, at least 1");
		err = -EINVAL;
	} else {
		((struct importer *)vma->remote)->timeout = timeout_ms;
	}
	contig_vma_leave(vma);
	return err;
}

bool vma_is_remote(const struct vm_area_struct *area, pid_t *pid)
{
	const struct vma *vma = (const struct vma *)area;

	if (!vma || vma->ops != &contig_vma_remote_ops)
		return false;
	if (pid)
		*pid = vma->remote ? ((const struct importer *)vma->remote)->channel.pid : 0;
	return true;
}

uint64_t contig_quarantined(void)
{
	return contig_quarantined_bytes() + contig_range_lost();
}
