/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one importer asks of the exporter.  It may be hostile: each message was
 * checked for sense (wire.h) and each descriptor for what it is (received.h);
 * here is decided what it may do in the range: map where nobody has anything,
 * unmap what it mapped itself.
 */
#include "share/exporter.h"

#include "base/bitmap.h"
#include "base/log.h"
#include "base/page.h"
#include "host/alias.h"
#include "share/received.h"
#include "share/staging.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SERVE_MAX 64 /* messages of one peer before others have their turn */

static size_t page_size(const struct peer *peer)
{
	return peer->exporter->vma->area.vm_page_size;
}

static bool writable(const struct peer *peer)
{
	return peer->exporter->vma->area.vm_page_prot & PROT_WRITE;
}

static char *address(const struct peer *peer, uint64_t page)
{
	return (char *)vma_address(peer->exporter->vma, page);
}

static void close_file(struct shared_file *file)
{
	contig_staging_drop(file);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

/* --- unmapping */

/* Unmap what the peer has in [first, first + count), holes allowed.  The vma
 * is locked.  0, or -errno and that is still mapped. */
static int unmap_own(struct peer *peer, uint64_t first, uint64_t count)
{
	uint64_t end = first + count, at = first;

	while ((at = bitmap_next(peer->mapped, at, end, true)) < end) {
		uint64_t stop = bitmap_next(peer->mapped, at, end, false);
		int err = contig_alias_clear(address(peer, at), (stop - at) * page_size(peer));

		if (err)
			return err;
		bitmap_clear(peer->mapped, at, stop - at);
		at = stop;
	}
	return 0;
}

/* Whether somebody other than this peer has something there. */
static bool others_have(const struct peer *peer, uint64_t first, uint64_t count)
{
	const struct exporter *exporter = peer->exporter;
	uint64_t at = first;

	for (const struct peer *p = exporter->peers; p; p = p->next)
		if (p != peer && bitmap_any(p->mapped, first, count))
			return true;
	return contig_radix_next(&exporter->vma->shadow, &at) && at < first + count;
}

static int unmap_range(struct peer *peer, const struct wire_range *range)
{
	uint64_t first = range->at / page_size(peer);
	int err;

	contig_lock(&peer->exporter->vma->lock);
	err = others_have(peer, first, range->count) ? -EBUSY :
						       unmap_own(peer, first, range->count);
	contig_unlock(&peer->exporter->vma->lock);
	return err;
}

void contig_peer_zap(struct peer *peer, uint64_t first, uint64_t count)
{
	if (unmap_own(peer, first, count))
		contig_warn("pages of process %d could not be unmapped",
			    (int)peer->channel.pid);
}

void contig_peer_strip(struct peer *peer)
{
	struct vma *vma = peer->exporter->vma;

	contig_lock(&vma->lock);
	if (unmap_own(peer, 0, vma_pages(vma)))
		contig_warn("pages of a process that is gone could not be unmapped");
	contig_unlock(&vma->lock);
	FILES_EACH(&peer->files, file)
		close_file(file);
	contig_files_destroy(&peer->files);
}

/* --- files */

static int take_file(struct peer *peer, const struct wire_file *claim, int fd)
{
	struct shared_file taken = {.fd = -1}, *file;
	const char *why = "";
	int err;

	if (!(peer->exporter->modes & 1u << claim->mode)) {
		contig_debug(SHARE, "a file in a mode that is not accepted");
		return -EPERM;
	}
	if (contig_files_find(&peer->files, claim->file))
		return -EEXIST;
	err = contig_received_check(fd, claim, writable(peer), page_size(peer), &taken, &why);
	if (err) {
		contig_debug(SHARE, "a descriptor is refused: %s", why);
		return err;
	}
	if (claim->mode == WIRE_FIXED && writable(peer)) {
		err = contig_staging_make(&taken, fd);
		if (err)
			return err;
	}
	file = contig_files_add(&peer->files, claim->file);
	if (!file) {
		contig_staging_drop(&taken);
		return -ENOMEM;
	}
	taken.number = claim->file;
	taken.fd = fd;
	*file = taken;
	return 0;
}

static int new_file(struct peer *peer, const struct wire_file *claim)
{
	int fd = contig_channel_descriptor(&peer->channel), err;

	if (fd < 0)
		return fd;
	err = take_file(peer, claim, fd);
	if (err)
		close(fd);
	return err;
}

/* The owner says that it sealed: believed when seen. */
static int file_sealed(struct peer *peer, uint64_t number)
{
	struct shared_file *file = contig_files_find(&peer->files, number);
	const char *why;
	int err;

	if (!file)
		return -ENOENT;
	if (file->sealed || !file->staging)
		return -EINVAL;
	err = contig_received_sealed(file->fd, &why);
	if (err) {
		contig_debug(SHARE, "a fixed file is refused: %s", why);
		return err;
	}
	/* From here on the staging is what there is of it. */
	close(file->fd);
	file->fd = -1;
	file->sealed = true;
	return 0;
}

static int forget_file(struct peer *peer, uint64_t number)
{
	struct shared_file *file = contig_files_find(&peer->files, number);

	if (!file)
		return -ENOENT;
	close_file(file);
	contig_files_remove(&peer->files, file);
	return 0;
}

/* --- mapping */

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* A hole in hugetlb memory is known only now: with no superpage free, a touch
 * there is SIGBUS. */
static int check_present(const struct shared_file *file, void *va, size_t len)
{
	int err;

	/* A revocable file may have holes at any time; kernels before 5.14 can't
	 * say. */
	if (!file->hugetlb || file->mode == WIRE_REVOCABLE ||
	    !madvise(va, len, MADV_POPULATE_READ) || errno == EINVAL)
		return 0;
	contig_debug(SHARE, "a hugetlb file has holes: %s", strerror(errno));
	err = contig_alias_clear(va, len);
	return err ? err : -EPERM;
}

/* The vma is locked. */
static int map_run(struct peer *peer, const struct wire_run *run)
{
	struct shared_file *file = contig_files_find(&peer->files, run->file);
	uint64_t first = run->at / page_size(peer), len = run->count * page_size(peer);
	int prot = PROT_READ | (writable(peer) && !run->read_only ? PROT_WRITE : 0), err;

	if (!file)
		return -ENOENT;
	if (run->offset > file->size || len > file->size - run->offset)
		return -EINVAL;
	if (bitmap_any(peer->mapped, first, run->count) ||
	    others_have(peer, first, run->count))
		return -EBUSY;
	if (file->staging && !file->sealed)
		return -EPERM;
	if (file->staging)
		err = contig_staging_map(file, run->offset, len, prot, address(peer, first));
	else
		err = contig_alias_descriptor(address(peer, first), len, prot, file->fd,
					      (off_t)run->offset);
	if (!err)
		err = check_present(file, address(peer, first), len);
	if (!err)
		bitmap_set(peer->mapped, first, run->count);
	return err;
}

static void map_runs(struct peer *peer, const struct wire_message *request, int32_t *results)
{
	uint32_t i = 0;
	int err = 0;

	contig_lock(&peer->exporter->vma->lock);
	for (; !err && i < request->header.count; i++)
		results[i] = err = map_run(peer, &request->items.runs[i]);
	contig_unlock(&peer->exporter->vma->lock);
	for (; i < request->header.count; i++)
		results[i] = -ECANCELED; /* behind the first error */
}

/* --- messages */

static void say_geometry(const struct peer *peer, struct wire_geometry *geometry)
{
	const struct vm_area_struct *area = &peer->exporter->vma->area;

	geometry->start = area->vm_start;
	geometry->size = area->vm_end - area->vm_start;
	geometry->page_size = area->vm_page_size;
	geometry->writable = writable(peer);
	geometry->modes = peer->exporter->modes;
}

/* 0, or -errno: the peer has to go (once the answer is out). */
static int answer(struct peer *peer, const struct wire_message *request,
		  struct wire_message *reply)
{
	uint32_t count = request->header.count ? request->header.count : 1;
	int32_t *results = reply->items.results;

	contig_wire_begin(reply, WIRE_ACK, request->header.sequence, count, 0);
	switch (request->header.type) {
	case WIRE_HELLO:
		contig_wire_begin(reply, WIRE_GEOMETRY, request->header.sequence, 1, 0);
		say_geometry(peer, &reply->items.geometry);
		peer->greeted = true;
		return 0;
	case WIRE_FILE:
		results[0] = new_file(peer, &request->items.file);
		return 0;
	case WIRE_SEALED:
		results[0] = file_sealed(peer, request->items.numbers[0].file);
		return 0;
	case WIRE_MAP:
		map_runs(peer, request, results);
		return 0;
	case WIRE_UNMAP:
		for (uint32_t i = 0; i < count; i++)
			results[i] = unmap_range(peer, &request->items.ranges[i]);
		return 0;
	case WIRE_FORGET:
		for (uint32_t i = 0; i < count; i++)
			results[i] = forget_file(peer, request->items.numbers[i].file);
		return 0;
	case WIRE_BYE:
		contig_peer_strip(peer);
		results[0] = 0;
		return -EPIPE;
	}
	return -EPROTO;
}

static int serve_one(struct peer *peer)
{
	struct wire_message *request = &peer->exporter->request;
	struct wire_message *reply = &peer->exporter->reply;
	struct wire_geometry geometry;
	const char *why;
	int err = contig_channel_receive(&peer->channel, request, 0, &why);
	int last;

	if (err > 0) {
		say_geometry(peer, &geometry);
		err = contig_wire_check(request, peer->greeted ? &geometry : NULL, &why);
		if (!err && (request->header.type == WIRE_ACK ||
			     request->header.type == WIRE_GEOMETRY)) {
			why = "an answer to nothing";
			err = -EPROTO;
		}
	} else if (!err) {
		return 0;
	}
	if (err) {
		contig_debug(SHARE, "importer %d: %s", (int)peer->channel.pid,
			     err == -EPROTO ? why : strerror(-err));
		return err;
	}
	last = answer(peer, request, reply);
	err = contig_channel_queue(&peer->channel, reply);
	if (err == -EAGAIN)
		peer->waiting = true;
	else if (err)
		return err;
	return last ? last : 1;
}

int contig_peer_serve(struct peer *peer)
{
	int served = 0;

	peer->pending = false;
	if (peer->waiting) {
		int err = contig_channel_flush(&peer->channel);

		if (err)
			return err == -EAGAIN ? 0 : err;
		peer->waiting = false;
	}
	while (!peer->waiting) {
		int n;

		if (served == SERVE_MAX) {
			peer->pending = channel_holds(&peer->channel);
			break;
		}
		n = serve_one(peer);
		if (n < 0)
			return n;
		if (!n)
			break;
		served++;
	}
	return served;
}
