/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vma of another process.  One process (the exporter) reserves a range with
 * vma_create() and exports it over a Unix socket; another one (the importer),
 * which has the pages, gets a vma of its own that stands for that range: what
 * it inserts there, the exporter sees at its addresses.  See vma(7) for the
 * model and for what each side can do to the other.
 *
 * Pages must be of a shareable pool (contig_pool_attr.kind
 * CONTIG_POOL_SHAREABLE), whose mode says what is promised.
 */
#ifndef CONTIG_SHARE_H
#define CONTIG_SHARE_H

#include <contig/pool.h>
#include <contig/vm_area.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- the exporter: whose addresses they are */

/*
 * Offer a local vma over a connected Unix socket (stream or seqpacket).  The
 * socket belongs to the library from here on, also on error.  Several
 * importers may have the same vma, over a socket each.  Nothing is served
 * until vma_dispatch() or vma_serve_start().  Returns 0 or -errno.
 */
int vma_export(struct vm_area_struct *vma, int socket);

/* Readable (poll, epoll) when vma_dispatch() has something to do: requests,
 * or a peer that went. */
int vma_fd(struct vm_area_struct *vma);
/* Serve what has come, without blocking.  Returns the requests served, or
 * -EPIPE when no importer is left (pages they inserted are unmapped). */
int vma_dispatch(struct vm_area_struct *vma);
/* A thread of the library does that until vma_serve_stop() or the last
 * importer goes.  Stopped by several calls at once it is by one of them; the
 * others return -EINVAL when it has ended. */
int vma_serve_start(struct vm_area_struct *vma);
int vma_serve_stop(struct vm_area_struct *vma);

/*
 * A socket at path (mode 0600; one that a dead process left is replaced) on
 * which importers are accepted by vma_dispatch() and exported to.  uids: more
 * users than the caller's own that may connect (n_uids of them; then the mode
 * is 0666 and the kernel's peer credentials decide).  Each of these users has
 * an equal share of the places.
 */
int vma_listen(struct vm_area_struct *vma, const char *path, const uid_t *uids,
	       size_t n_uids);

/*
 * Accept pages only of pools in these modes: a mask of 1 << CONTIG_SHARE_...
 * An exporter that must not be harmed by its importers leaves
 * CONTIG_SHARE_REVOCABLE out: see vma(7).  Default: all.  For files that come
 * from now on.  0 or -EINVAL.
 */
int vma_accept_modes(struct vm_area_struct *vma, unsigned int modes);

/* --- the importer: whose pages they are */

/*
 * The vma that the other end exports; blocks until it answers, 5 s at most.
 * The socket belongs to the library from here on.  NULL with
 * errno: EPROTO (the peer doesn't speak this), ETIMEDOUT, EPIPE, ...
 * vma_destroy() unmaps what was inserted and ends the connection.
 */
struct vm_area_struct *vma_import(int socket);
/* Connect to a vma_listen() path and import; a path owned by another user
 * than uid (or (uid_t)-1: the caller or root) is EPERM. */
struct vm_area_struct *vma_connect(const char *path, uid_t uid);
/* How long a call on an imported vma waits for its peer, altogether; default
 * 5000 ms. */
int vma_timeout(struct vm_area_struct *vma, int timeout_ms);
/* true for a vma of another process; *pid (may be NULL) as the kernel gives it. */
bool vma_is_remote(const struct vm_area_struct *vma, pid_t *pid);

/* Pages whose peer went away but may still have them mapped: bytes, all
 * pools.  They are never used again until the pool is destroyed.  And what of
 * exported ranges could not be unmapped when its importer went. */
uint64_t contig_quarantined(void);

#ifdef __cplusplus
}
#endif
#endif
