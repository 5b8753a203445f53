/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one importer asks of the exporter.  It may be hostile: each message was
 * checked for sense (wire.h) and each descriptor for what it is (received.h),
 * what it may hold is limited (quota.h), and what it may do in the range is
 * decided there (range.h).
 */
#include "share/exporter.h"

#include "base/log.h"
#include "share/range.h"
#include "share/received.h"
#include "share/staging.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of one peer, before others have their turn.  An item is a mapping made or
 * taken, some microseconds: a turn is some milliseconds. */
#define SERVE_MESSAGES 64
#define SERVE_ITEMS 2048

static bool writable(const struct peer *peer)
{
	return peer->exporter->vma->area.vm_page_prot & PROT_WRITE;
}

static uint64_t page_size(const struct peer *peer)
{
	return peer->exporter->vma->area.vm_page_size;
}

/* --- files */

/* What a file makes this process hold; the vma's lock is for who unmaps. */
static int charge(struct peer *peer, bool staging)
{
	struct quota *quota = peer->quota;
	int err = contig_quota_descriptor(quota);

	contig_lock(&peer->exporter->vma->lock);
	if (!err && staging)
		err = contig_quota_mapping(quota);
	if (!err) {
		quota->descriptors++;
		quota->mappings += staging;
	}
	contig_unlock(&peer->exporter->vma->lock);
	return err;
}

static void discharge(struct peer *peer, bool descriptor, bool staging)
{
	contig_lock(&peer->exporter->vma->lock);
	peer->quota->descriptors -= descriptor;
	peer->quota->mappings -= staging;
	contig_unlock(&peer->exporter->vma->lock);
}

static void close_file(struct peer *peer, struct shared_file *file)
{
	discharge(peer, file->fd >= 0, file->staging);
	contig_staging_drop(file);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int contig_peer_strip(struct peer *peer)
{
	struct vma *vma = peer->exporter->vma;
	int err;

	contig_lock(&vma->lock);
	err = contig_range_strip(peer);
	contig_unlock(&vma->lock);
	FILES_EACH(&peer->files, file)
		close_file(peer, file);
	contig_files_destroy(&peer->files);
	return err;
}

static int record_file(struct peer *peer, const struct wire_file *claim, int fd,
		       struct shared_file *taken)
{
	struct shared_file *file;
	int err;

	if (claim->mode == WIRE_FIXED && writable(peer)) {
		err = contig_staging_make(taken, fd);
		if (err)
			return err;
	}
	file = contig_files_add(&peer->files, claim->file);
	if (!file) {
		contig_staging_drop(taken);
		return -ENOMEM;
	}
	taken->number = claim->file;
	taken->serial = ++peer->exporter->files;
	taken->fd = fd;
	*file = *taken;
	return 0;
}

static int take_file(struct peer *peer, const struct wire_file *claim, int fd)
{
	bool staging = claim->mode == WIRE_FIXED && writable(peer);
	struct shared_file taken = {.fd = -1};
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
	err = charge(peer, staging);
	if (err)
		return err;
	err = record_file(peer, claim, fd, &taken);
	if (err)
		discharge(peer, true, staging);
	return err;
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
	discharge(peer, true, false);
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
	close_file(peer, file);
	contig_files_remove(&peer->files, file);
	return 0;
}

/* --- mapping */

/* Behind the first error nothing is done. */
static void each_item(struct peer *peer, const struct wire_message *request, int32_t *results)
{
	bool map = request->header.type == WIRE_MAP;
	uint32_t i = 0;
	int err = 0;

	contig_lock(&peer->exporter->vma->lock);
	for (; !err && i < request->header.count; i++)
		results[i] = err = map ? contig_range_map(peer, &request->items.runs[i]) :
					 contig_range_unmap(peer, &request->items.ranges[i]);
	contig_unlock(&peer->exporter->vma->lock);
	for (; i < request->header.count; i++)
		results[i] = -ECANCELED;
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
		contig_channel_ask_who(&peer->channel, false);
		contig_share_record_peer(&peer->record, &peer->exporter->record, &peer->channel);
		return 0;
	case WIRE_FILE:
		results[0] = new_file(peer, &request->items.file);
		return 0;
	case WIRE_SEALED:
		results[0] = file_sealed(peer, request->items.numbers[0].file);
		return 0;
	case WIRE_MAP:
	case WIRE_UNMAP:
		each_item(peer, request, results);
		return 0;
	case WIRE_FORGET:
		for (uint32_t i = 0; i < count; i++)
			results[i] = forget_file(peer, request->items.numbers[i].file);
		return 0;
	case WIRE_BYE:
		results[0] = contig_peer_strip(peer);
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
	uint32_t items = 0;

	peer->pending = false;
	if (peer->waiting) {
		int err = contig_channel_flush(&peer->channel);

		if (err)
			return err == -EAGAIN ? 0 : err;
		peer->waiting = false;
	}
	while (!peer->waiting) {
		int n;

		if (served == SERVE_MESSAGES || items >= SERVE_ITEMS) {
			peer->pending = channel_holds(&peer->channel);
			break;
		}
		n = serve_one(peer);
		if (n < 0)
			return n;
		if (!n)
			break;
		served++;
		items += peer->exporter->request.header.count;
	}
	return served;
}
