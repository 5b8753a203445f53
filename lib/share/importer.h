/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vma of another process, as this one has it.  Guarded by the vma's lock,
 * which is held while the peer is waited for.
 */
#ifndef SHARE_IMPORTER_H
#define SHARE_IMPORTER_H

#include "kpi/vma.h"
#include "phys/backing.h"
#include "share/channel.h"
#include "share/files.h"
#include "share/share_record.h"

#include <stdint.h>

#define PEER_TIMEOUT_MS 5000

struct importer {
	struct channel channel;
	struct wire_geometry geometry;
	struct shared_files files; /* that the peer has; frame tells which */
	uint32_t sequence;         /* of the last request */
	size_t swept;              /* files left after the last look for dead ones */
	int timeout;               /* ms */
	struct share_record record, peer; /* for others to see, with the next */
	uint64_t pages;            /* that the peer has mapped of ours */
	int64_t deadline;          /* of the call under way, all of it */
	struct wire_message request, reply; /* too large for a thread's stack */
};

/* The vma that the other end of a socket exports; the socket is the library's
 * from here on.  NULL with errno. */
struct vm_area_struct *contig_importer_import(int socket, int64_t deadline);

/* Ask the peer what it exports.  0, or -errno with a reason. */
int contig_importer_greet(struct importer *importer);

/*
 * Send a request with a descriptor (or -1); its answer is awaited by
 * contig_importer_answer(), in the order of the requests.  0 or -errno with a
 * reason: the connection is of no use any more.  -ESHUTDOWN: the peer ended it
 * orderly, nothing is mapped there.
 */
int contig_importer_request(struct importer *importer, const struct wire_message *request,
			    int descriptor);
/* The answer to request number sequence, with count results. */
int contig_importer_answer(struct importer *importer, uint32_t sequence, uint32_t count);

/* A request and its answer, of one result: 0, or the connection is broken. */
int contig_importer_ask(struct importer *importer, const struct wire_message *request,
			int descriptor, int *result);

/* Make sure that the peer has the file of frame, backing's (fixed mode: sealed).  0;
 * -EPERM and the like: it can't have it; *broken: the connection is. */
int contig_importer_file(struct vma *vma, uint64_t frame, const struct backing *backing,
			 bool *broken);

/*
 * Have the peer close the files of a pool, or (NULL) those that are no more:
 * it would keep their memory.  0 or the connection is broken.
 */
int contig_importer_forget(struct importer *importer, const struct contig_pool *pool);

/* -EPERM, -EINVAL: a page at frame can't be mapped there, and why. */
int contig_importer_allows(const struct importer *importer, uint64_t frame);

extern const struct vma_ops contig_vma_remote_ops;

#endif
