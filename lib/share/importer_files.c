/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files that a peer has of us: which pages it may have, what is sent once
 * for each file, what it need not keep.
 */
#include "share/importer.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "phys/backing.h"
#include "phys/physmap.h"
#include "phys/segment.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FORGET_LEAST 16 /* files that the peer may keep for nothing */

static enum wire_mode wire_mode(enum contig_share_mode mode)
{
	switch (mode) {
	case CONTIG_SHARE_READONLY:
		return WIRE_READONLY;
	case CONTIG_SHARE_FIXED:
		return WIRE_FIXED;
	default:
		return WIRE_REVOCABLE;
	}
}

int contig_importer_allows(const struct importer *importer, uint64_t frame)
{
	const struct wire_geometry *geometry = &importer->geometry;
	struct backing backing;

	if (!contig_backing_of(frame, &backing)) {
		contig_reason_set("no memory of this library is at that page");
		return -EINVAL;
	}
	if (backing.kind != CONTIG_POOL_SHAREABLE || backing.fd < 0) {
		contig_reason_set("the page is of a pool that isn't shareable: only pages of a "
				  "CONTIG_POOL_SHAREABLE pool go to other processes");
		return -EPERM;
	}
	if (backing.mode == CONTIG_SHARE_READONLY && geometry->writable) {
		contig_reason_set("the page's pool is shared read-only, and process %d's vma is "
				  "writable: it would have to be PROT_READ",
				  (int)importer->channel.pid);
		return -EPERM;
	}
	if (!(geometry->modes & 1u << wire_mode(backing.mode))) {
		contig_reason_set("process %d doesn't accept pages of a pool in this mode of "
				  "sharing", (int)importer->channel.pid);
		return -EPERM;
	}
	if (backing.hugetlb && geometry->page_size % backing.page_size) {
		contig_reason_set("a part of a hugetlb page: it is mapped whole, in a vma of 2 MiB "
				  "pages");
		return -EINVAL;
	}
	if ((uint64_t)backing.offset % geometry->page_size) {
		contig_reason_set("a vma of 2 MiB pages takes whole superpages");
		return -EINVAL;
	}
	return 0;
}

/* A peer that got a file may keep it, and with it the right to map all of
 * it. */
static int refused(const struct importer *importer, int result, const struct backing *backing)
{
	int pid = (int)importer->channel.pid;

	switch (result) {
	case -EMFILE:
	case -ENFILE:
		contig_reason_set("process %d has no room for one more descriptor: raise its "
				  "RLIMIT_NOFILE", pid);
		return -ENOMEM;
	case -ENOMEM:
		contig_reason_set("process %d has no memory or mappings left", pid);
		return -ENOMEM;
	case -EDQUOT:
		contig_reason_set("process %d lets an importer have a quarter of its descriptors "
				  "and mappings, and this one has that: raise its RLIMIT_NOFILE or "
				  "vm.max_map_count", pid);
		return -ENOMEM;
	}
	contig_reason_set("process %d refuses file %llu (mode %d): %s", pid,
			  (unsigned long long)backing->file, (int)backing->mode,
			  strerror(-result));
	return -EPERM;
}

static int send_file(struct importer *importer, const struct backing *backing, int fd,
		     int *result)
{
	struct wire_message *request = &importer->request;

	contig_wire_begin(request, WIRE_FILE, ++importer->sequence, 1, 1);
	request->items.file = (struct wire_file){
		.file = backing->file,
		.size = backing->file_size,
		.mode = wire_mode(backing->mode),
	};
	return contig_importer_ask(importer, request, fd, result);
}

static int say_sealed(struct importer *importer, uint64_t file, int *result)
{
	struct wire_message *request = &importer->request;

	contig_wire_begin(request, WIRE_SEALED, ++importer->sequence, 1, 0);
	request->items.numbers[0].file = file;
	return contig_importer_ask(importer, request, -1, result);
}

/* Whether a file is of a pool, or (NULL) is no more. */
static bool is_past(const struct shared_file *file, const struct contig_pool *pool)
{
	const struct segment *segment = contig_physmap_segment(file->frame << FRAME_SHIFT);
	struct backing backing;

	if (!segment || !contig_backing_of(file->frame, &backing) ||
	    backing.file != file->number)
		return true;
	return pool && segment->pool == pool;
}

/* Have the peer close those that pick() says yes for, *forgotten of them. */
static int forget(struct importer *importer,
		  bool (*pick)(const struct shared_file *file, const struct contig_pool *pool),
		  const struct contig_pool *pool, size_t *forgotten)
{
	struct wire_message *request = &importer->request;
	uint32_t n;
	int err;

	*forgotten = 0;
	do {
		n = 0;
		FILES_EACH(&importer->files, file)
			if (n < WIRE_ITEMS_MAX && pick(file, pool))
				request->items.numbers[n++].file = file->number;
		if (!n)
			break;
		for (uint32_t i = 0; i < n; i++)
			contig_files_remove(&importer->files,
					    contig_files_find(&importer->files,
							      request->items.numbers[i].file));
		contig_wire_begin(request, WIRE_FORGET, ++importer->sequence, n, 0);
		err = contig_importer_request(importer, request, -1);
		if (!err)
			err = contig_importer_answer(importer, importer->sequence, n);
		if (err)
			return err;
		*forgotten += n;
	} while (n == WIRE_ITEMS_MAX);
	importer->swept = importer->files.n;
	return 0;
}

int contig_importer_forget(struct importer *importer, const struct contig_pool *pool)
{
	size_t n;

	return forget(importer, is_past, pool, &n);
}

/* Of what is fixed the peer has what it can't get a second time. */
static bool is_spare(const struct shared_file *file, const struct contig_pool *unused)
{
	(void)unused;
	return !file->used && !(file->mode == WIRE_FIXED && file->writable);
}

/* The peer has no room: it need not keep files of which nothing is mapped.  (The
 * page that is about to be is in the shadow already.) */
static int make_room(struct vma *vma, size_t *n)
{
	struct importer *importer = vma->remote;
	uint64_t index = 0, last = UINT64_MAX;
	void *entry;

	FILES_EACH(&importer->files, file)
		file->used = false;
	for (; (entry = contig_radix_next(&vma->shadow, &index)); index++) {
		uint64_t frame = page_frame(vma_entry_page(entry));
		struct shared_file *file;
		struct backing backing;

		if (frame / SUPERPAGE_FRAMES == last)
			continue;
		last = frame / SUPERPAGE_FRAMES;
		if (!contig_backing_of(frame, &backing))
			continue;
		file = contig_files_find(&importer->files, backing.file);
		if (file)
			file->used = true;
	}
	return forget(importer, is_spare, NULL, n);
}

static int send_making_room(struct vma *vma, const struct backing *backing, int fd, int *result)
{
	int err = send_file(vma->remote, backing, fd, result);
	size_t n;

	if (err || (*result != -EDQUOT && *result != -EMFILE && *result != -ENFILE))
		return err;
	err = make_room(vma, &n);
	return err || !n ? err : send_file(vma->remote, backing, fd, result);
}

int contig_importer_file(struct vma *vma, uint64_t frame, const struct backing *backing,
			 bool *is_broken)
{
	struct importer *importer = vma->remote;
	bool writable = importer->geometry.writable, fixed;
	struct shared_file *file;
	int fd, err, result;

	*is_broken = false;
	fixed = backing->mode == CONTIG_SHARE_FIXED;
	file = contig_files_find(&importer->files, backing->file);
	if (file)
		return 0;
	if (fixed && writable && backing->sealed) {
		contig_reason_set("the page's pool is fixed, and its memory was sealed for another "
				  "process: only a PROT_READ vma can have it now");
		return -EPERM;
	}
	/* Now and then: as many again as were alive the last time. */
	if (importer->files.n >= 2 * importer->swept + FORGET_LEAST) {
		err = contig_importer_forget(importer, NULL);
		if (err)
			goto broken;
	}
	/* A reader must not be able to punch out what is fixed. */
	if (fixed && !writable) {
		err = contig_backing_seal(frame);
		if (err)
			return err;
	}
	fd = contig_backing_descriptor(frame, writable);
	if (fd < 0)
		return fd;
	file = contig_files_add(&importer->files, backing->file);
	if (!file) {
		close(fd);
		contig_reason_set("no memory for one more file");
		return -ENOMEM;
	}
	/* Recorded before it travels: from then on the peer may have it. */
	file->frame = frame;
	file->mode = wire_mode(backing->mode);
	file->writable = writable;
	err = send_making_room(vma, backing, fd, &result);
	close(fd);
	if (err)
		goto broken;
	if (!result && fixed && writable) {
		err = contig_backing_seal(frame);
		if (err) /* it has a file that is what it likes: never mind it */
			goto untrusted;
		err = say_sealed(importer, backing->file, &result);
		if (err)
			goto broken;
	}
	if (!result)
		return 0;
	/* It had the descriptor, whatever it says: what is fixed stays so. */
	if (fixed && writable && contig_backing_seal(frame))
		contig_backing_quarantine(frame);
	contig_files_remove(&importer->files, contig_files_find(&importer->files, backing->file));
	return refused(importer, result, backing);
untrusted:
	contig_backing_quarantine(frame);
	contig_files_remove(&importer->files, contig_files_find(&importer->files, backing->file));
	return err == -ESTALE ? -EPERM : err;
broken:
	*is_broken = true;
	return err;
}
