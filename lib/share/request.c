/* SPDX-License-Identifier: BSD-2-Clause */
/* The importer's side of the conversation: requests, answers, files. */
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

static int64_t deadline(const struct importer *importer)
{
	return contig_channel_now() + importer->timeout;
}

/* What is the matter with the connection, in words. */
static int broken(const struct importer *importer, int err, const char *why)
{
	int pid = (int)importer->channel.pid;

	switch (err) {
	case -EPIPE:
		contig_reason_set("process %d, which exported the vma, is gone", pid);
		return -EPIPE;
	case -ETIMEDOUT:
		contig_reason_set("process %d, which exported the vma, didn't answer within "
				  "%d ms: see vma_timeout()", pid, importer->timeout);
		return -ETIMEDOUT;
	case -EPROTO:
		contig_reason_set("process %d doesn't speak as it should: %s", pid, why);
		return -EPROTO;
	}
	contig_reason_set("socket to process %d: %s", pid, strerror(-err));
	return err;
}

static int taken_away(const struct importer *importer)
{
	contig_reason_set("process %d has taken its vma away, nothing is mapped there any more",
			  (int)importer->channel.pid);
	return -ESHUTDOWN;
}

int contig_importer_request(struct importer *importer, const struct wire_message *request,
			    int descriptor)
{
	int err = contig_channel_send(&importer->channel, request, descriptor,
				      deadline(importer));
	const char *why;

	/* It may have said BYE before it went. */
	if (err == -EPIPE &&
	    contig_channel_receive(&importer->channel, &importer->reply, 0, &why) == 1 &&
	    importer->reply.header.type == WIRE_BYE)
		return taken_away(importer);
	return err ? broken(importer, err, "") : 0;
}

static int answer(struct importer *importer, enum wire_type type, uint32_t sequence,
		  uint32_t count)
{
	struct wire_message *reply = &importer->reply;
	const struct wire_geometry *known =
		type == WIRE_GEOMETRY ? NULL : &importer->geometry;
	const char *why = "";
	int err = contig_channel_receive(&importer->channel, reply, deadline(importer), &why);

	if (err == 1)
		err = contig_wire_check(reply, known, &why);
	if (!err && reply->header.type == WIRE_BYE)
		return taken_away(importer);
	if (!err && (reply->header.type != type || reply->header.sequence != sequence ||
		     reply->header.count != count)) {
		why = "an answer to something else";
		err = -EPROTO;
	}
	return err ? broken(importer, err, why) : 0;
}

int contig_importer_answer(struct importer *importer, uint32_t sequence, uint32_t count)
{
	return answer(importer, WIRE_ACK, sequence, count);
}

int contig_importer_greet(struct importer *importer)
{
	int err;

	contig_channel_ask_who(&importer->channel, true);
	contig_wire_begin(&importer->request, WIRE_HELLO, ++importer->sequence, 0, 0);
	err = contig_importer_request(importer, &importer->request, -1);
	if (!err)
		err = answer(importer, WIRE_GEOMETRY, importer->sequence, 1);
	if (err)
		return err == -ESHUTDOWN ? -EPIPE : err;
	importer->geometry = importer->reply.items.geometry;
	/* Asked once: that process answers for the range. */
	contig_channel_ask_who(&importer->channel, false);
	return 0;
}

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
	}
	contig_reason_set("process %d refuses file %llu (mode %d): %s", pid,
			  (unsigned long long)backing->file, (int)backing->mode,
			  strerror(-result));
	return -EPERM;
}

/* One request and its answer: 0, or the connection is broken; *result. */
static int round_trip(struct importer *importer, const struct wire_message *request,
		      int descriptor, int *result)
{
	int err = contig_importer_request(importer, request, descriptor);

	if (!err)
		err = contig_importer_answer(importer, request->header.sequence, 1);
	*result = err ? err : importer->reply.items.results[0];
	return err;
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
	return round_trip(importer, request, fd, result);
}

static int say_sealed(struct importer *importer, uint64_t file, int *result)
{
	struct wire_message *request = &importer->request;

	contig_wire_begin(request, WIRE_SEALED, ++importer->sequence, 1, 0);
	request->items.numbers[0].file = file;
	return round_trip(importer, request, -1, result);
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

int contig_importer_forget(struct importer *importer, const struct contig_pool *pool)
{
	struct wire_message *request = &importer->request;
	uint32_t n;
	int err;

	do {
		n = 0;
		FILES_EACH(&importer->files, file)
			if (n < WIRE_ITEMS_MAX && is_past(file, pool))
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
	} while (n == WIRE_ITEMS_MAX);
	importer->swept = importer->files.n;
	return 0;
}

int contig_importer_file(struct importer *importer, uint64_t frame,
			 const struct backing *backing, bool *is_broken)
{
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
	err = send_file(importer, backing, fd, &result);
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
	contig_files_remove(&importer->files, file);
	return err == -ESTALE ? -EPERM : err;
broken:
	*is_broken = true;
	return err;
}
