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
#include "share/holdings.h"
#include "share/quota.h"
#include "share/share_record.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One importer. */
struct peer {
	struct peer *next;
	struct exporter *exporter;
	struct channel channel;
	struct shared_files files;
	struct holder held;  /* what it has mapped; the vma's lock */
	struct quota own;    /* if it isn't one of a user's */
	struct quota *quota; /* that what it holds counts against */
	struct share_record record; /* for others to see, with the next */
	uint64_t pages;      /* mapped; the vma's lock */
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
	struct quota *users;   /* of those who came by the path */
	struct holdings holdings; /* the vma's lock, as the next */
	struct holder lost;    /* see range.h */
	uint64_t files;        /* taken, ever */
	struct share_record record; /* for others to see */
	struct listener listener;
	struct wire_message request, reply; /* too large for a thread's stack */
	bool serving;          /* thread is to be joined */
	bool joining;          /* somebody does */
	bool served;           /* it has ended by itself */
	pthread_cond_t joined;
	atomic_bool stop;
	pthread_t thread;
};

/* The exporter of a vma, made if there is none (make), locked.  NULL with
 * *err and a reason. */
struct exporter *contig_exporter_enter(struct vm_area_struct *vma, const char *call,
				       bool make, int *err);

/* Locked.  The socket is the exporter's from here on, also on error.  user:
 * whose connections share a quota; NULL: has one of its own. */
int contig_exporter_add(struct exporter *exporter, int socket, struct quota *user);
/* Locked.  Nothing of it is left. */
void contig_exporter_drop(struct exporter *exporter, struct peer *peer);
/* Others see it as it is now. */
void contig_exporter_record(struct exporter *exporter);
/* Have the loop or the thread look at what is pending, or whether to stop. */
void contig_exporter_kick(struct exporter *exporter);

/* End the thread, if there is one: 0, -EINVAL: there is none, or another call
 * ended it (that is waited for).  Locked; not while it waits. */
int contig_serve_end(struct exporter *exporter);

/* Serve what a peer has sent, at most some; the requests served, or -errno:
 * the peer has to go. */
int contig_peer_serve(struct peer *peer);
/* Unmap all it has, close what it sent.  0 or -errno: some is still mapped. */
int contig_peer_strip(struct peer *peer);

/* Accept who is waiting, and export to them. */
void contig_listener_accept(struct exporter *exporter);
void contig_listener_close(struct listener *listener);

#endif
