/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a frame's bytes lie in a file: what it takes to map it once more,
 * here or in another process.
 *
 * Superpages that were taken together are one file.  A shareable pool keeps
 * its files' descriptors: mode 0400, sealed against shrinking and growing.
 *   REVOCABLE  up to BACKING_FILE_PAGES superpages a file; F_SEAL_SEAL
 *   READONLY   a superpage a file; F_SEAL_FUTURE_WRITE and F_SEAL_SEAL as
 *              soon as it is mapped here
 *   FIXED      a superpage a file; the same two by contig_backing_seal()
 * From a file sealed against writing nothing can be punched out: its memory
 * goes back when it is unmapped, unpinned and closed here, and no peer has it
 * any more.  One superpage a file, so that each goes back by itself.
 */
#ifndef PHYS_BACKING_H
#define PHYS_BACKING_H

#include "contig/pool.h"
#include "host/memfd.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BACKING_FILE_PAGES 64

struct contig_pool;
struct segment;

/* A file, of one pool; guarded by contig_pin_lock.  Goes with the last of its
 * superpages. */
struct backing_file {
	struct memfd memfd;  /* fd -1: not kept */
	struct memfd reopened; /* see contig_backing_reopened(); fd -1: not */
	uint64_t number;     /* never used again in this process */
	uint64_t pages;      /* superpages of it in segments */
	bool sealed;         /* against writing: no punching */
	bool quarantined;
};

struct backing {
	int fd;             /* -1: no descriptor is kept (not a shareable pool);
			     * the library's, valid while the frame is in use,
			     * to be used at once, see contig_memfd_check() */
	struct memfd local; /* what this process may map the file by; fd -1: none
			     * is at hand, or no such file */
	uint64_t file;      /* number of the file, unique in this process */
	off_t offset;       /* of the frame, bytes */
	uint64_t file_size; /* bytes; 0 when no descriptor is kept */
	uint64_t page_size; /* of the file: 4 KiB granularity if collapsed */
	bool hugetlb;       /* mapped in whole superpages only */
	bool shared;        /* false: private memory, never mapped twice */
	bool sealed;        /* nobody new can write */
	enum contig_pool_kind kind;
	enum contig_share_mode mode;
};

/* false: no memory of ours is at that frame. */
bool contig_backing_of(uint64_t frame, struct backing *out);

/*
 * A descriptor for the file of a pool that keeps none, found by other means:
 * the library's from now on, to be told as local.  It never leaves this
 * process.  true: kept, until the file goes; false: there are enough, or one
 * is kept already, and the caller closes it.
 */
bool contig_backing_reopened(uint64_t frame, int fd);
/* local isn't what it was: never mind it any more. */
void contig_backing_closed(uint64_t frame);

/* A descriptor for another process, to be closed by the caller: O_RDONLY
 * unless writable.  -errno with a reason: -EPERM not shareable, or sealed;
 * -EBADF the program closed ours. */
int contig_backing_descriptor(uint64_t frame, bool writable);

/* FIXED mode: no new writable mapping of the file from now on, and no hole in
 * it; then its frames are read again.  0, or -errno (-ESTALE: a frame is not
 * where it was). */
int contig_backing_seal(uint64_t frame);

/* The whole file of this frame is never used again (a peer may still have it
 * mapped): live pages stay with their users, free ones leave the pool, now
 * and when they are freed.  Returns bytes newly quarantined; not counted yet
 * are those in use or in threads' caches. */
uint64_t contig_backing_quarantine(uint64_t frame);
uint64_t contig_quarantined_bytes(void);

/* --- for segments */

/* A file of which pages superpages were mapped; takes fd over (-1: none
 * kept).  NULL with a reason (fd is closed). */
struct backing_file *contig_backing_file_make(const struct contig_pool *pool, int fd,
					      uint64_t pages);
/* All of it is mapped: what its mode seals at once.  0/-errno. */
int contig_backing_file_mapped(const struct contig_pool *pool, struct backing_file *file);
/* pages superpages fewer; closes and frees it with the last one. */
void contig_backing_file_drop(struct backing_file *file, uint64_t pages);
/* In a forked child: the descriptor is the parent's business. */
void contig_backing_file_forget(struct backing_file *file);

/* Pool lock held: frames of a quarantined file that came free. */
void contig_backing_withhold(uint64_t frames);
void contig_backing_unwithhold(uint64_t frames);

#endif
