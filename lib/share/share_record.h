/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What others see of vmas that are shared: records in the board
 * (base/board.h).  As of pools, these do nothing without a board, and a handle
 * that a forked child inherits means nothing there.
 */
#ifndef SHARE_SHARE_RECORD_H
#define SHARE_SHARE_RECORD_H

#include "base/board.h"
#include "share/channel.h"

#include <stdint.h>

struct vma;

/* Zeroed: none. */
struct share_record {
	uint32_t generation; /* of forks: whose board */
	uint32_t number;     /* from 1 */
};

/* Begin, or write anew.  modes: a mask of 1 << enum wire_mode; path may be
 * NULL. */
void contig_share_record(struct share_record *record, const struct vma *vma,
			 enum board_direction direction, unsigned int modes, const char *path);
/* Also its peers'. */
void contig_share_record_end(struct share_record *record);

/* Somebody at the other end of a vma. */
void contig_share_record_peer(struct share_record *peer, const struct share_record *vma,
			      const struct channel *channel);
void contig_share_record_peer_end(struct share_record *peer);
/* It has so many pages mapped, or we have them mapped there.  Called by one at
 * a time. */
void contig_share_record_pages(const struct share_record *peer, uint64_t pages);

/* An imported vma got the page at a frame, of whatever pool. */
void contig_share_record_frame(const struct share_record *vma, uint64_t frame);

#endif
