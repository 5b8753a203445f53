/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A local vma that is offered to others, and its importers.  All but what the
 * vma's hooks look at is under the exporter's lock; the list of peers and what
 * each has mapped is changed under the vma's lock as well.
 */
#ifndef SHARE_EXPORTER_H
#define SHARE_EXPORTER_H

#include "base/lock.h"
#include "kpi/vma.h"
#include "share/channel.h"
#include "share/files.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PEERS_MAX 1024 /* of one vma */

/* One importer. */
struct peer {
	struct peer *next;
	struct exporter *exporter;
	struct channel channel;
	struct shared_files files;
	uint64_t *mapped;    /* a bit for each page of the vma that is its */
	bool greeted;
	bool waiting;        /* an answer is not all out: nothing is read */
	bool pending;        /* received already, and not looked at */
};

struct listener {
	int fd;              /* -1: none */
	int spare;           /* closed for a moment when descriptors run out */
	char *path;
	uint64_t device, inode; /* of path, so that only ours is removed */
	uid_t *uids;
	size_t n_uids;
};

struct exporter {
	struct exporter *next; /* of those not in use: never freed */
	struct lock lock;      /* LOCK_EXPORT */
	struct vma *vma;       /* NULL: retracted */
	int epoll;
	int kick;              /* eventfd in it: look at pending, or stop */
	unsigned int modes;    /* accepted: 1 << enum wire_mode */
	struct peer *peers;
	unsigned int n_peers;
	struct listener listener;
	struct wire_message request, reply; /* too large for a thread's stack */
	bool serving;          /* thread is to be joined */
	bool served;           /* it has ended by itself */
	atomic_bool stop;
	pthread_t thread;
};

/* The exporter of a vma, made if there is none (make), locked.  NULL with
 * *err and a reason. */
struct exporter *contig_exporter_enter(struct vm_area_struct *vma, const char *call,
				       bool make, int *err);

/* Locked.  The socket is the exporter's from here on, also on error. */
int contig_exporter_add(struct exporter *exporter, int socket);

/* Serve what a peer has sent, at most some; the requests served, or -errno:
 * the peer has to go. */
int contig_peer_serve(struct peer *peer);
/* Unmap all it has, close what it sent. */
void contig_peer_strip(struct peer *peer);

/* The vma is locked: its owner zaps the range. */
void contig_peer_zap(struct peer *peer, uint64_t first, uint64_t count);

/* Accept who is waiting, and export to them. */
void contig_listener_accept(struct exporter *exporter);
void contig_listener_close(struct listener *listener);

#endif
