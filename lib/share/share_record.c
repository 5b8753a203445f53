/* SPDX-License-Identifier: BSD-2-Clause */
#include "share/share_record.h"

#include "base/lock.h"
#include "contig/pool.h"
#include "host/board.h"
#include "kpi/vma.h"
#include "phys/fork.h"
#include "phys/magazine.h"
#include "phys/physmap.h"
#include "phys/pool_record.h"
#include "phys/segment.h"
#include "share/wire.h"

#include <stdio.h>
#include <string.h>

/* Guards which records are in use, and what is in them but for live words. */
static struct lock records_lock = LOCK_INITIALIZER(LOCK_LEAF);

static struct board *board_of(const struct share_record *record)
{
	struct board *board = board_now();

	return record->number && record->generation == contig_fork_generation ? board : NULL;
}

/* Locked.  A record to be written to for the first time. */
static void begin(struct share_record *handle, struct board *board, enum board_tables table)
{
	int i = contig_board_record(board, table);

	handle->generation = contig_fork_generation;
	handle->number = i < 0 ? 0 : (uint32_t)i + 1;
}

static void fill(struct board_record *record, void *fields, size_t size)
{
	board_write_begin(record);
	memcpy((char *)record + sizeof(*record), (char *)fields + sizeof(*record),
	       size - sizeof(*record));
	record->state = 1;
	board_write_end(record);
}

static void clear(struct board_record *record)
{
	board_write_begin(record);
	record->state = 0;
	board_write_end(record);
}

static uint32_t public_modes(unsigned int wire)
{
	return !!(wire & 1u << WIRE_READONLY) << CONTIG_SHARE_READONLY |
	       !!(wire & 1u << WIRE_FIXED) << CONTIG_SHARE_FIXED |
	       !!(wire & 1u << WIRE_REVOCABLE) << CONTIG_SHARE_REVOCABLE;
}

void contig_share_record(struct share_record *handle, const struct vma *vma,
			 enum board_direction direction, unsigned int modes, const char *path)
{
	struct board_vma now = {
		.direction = direction,
		.prot = (uint32_t)vma->area.vm_page_prot,
		.start = vma->area.vm_start,
		.size = vma->area.vm_end - vma->area.vm_start,
		.page_size = vma->area.vm_page_size,
		.modes = public_modes(modes),
	};
	struct board *board;

	if (!board_now())
		contig_records_update(); /* in a child that was forked */
	board = board_now();
	if (!board)
		return;
	snprintf(now.path, sizeof(now.path), "%s", path ? path : "");
	contig_lock(&records_lock);
	if (!board_of(handle))
		begin(handle, board, BOARD_VMAS);
	if (handle->number)
		fill(&board->vmas[handle->number - 1].record, &now, sizeof(now));
	contig_unlock(&records_lock);
}

void contig_share_record_end(struct share_record *handle)
{
	struct board *board = board_of(handle);

	if (board) {
		contig_lock(&records_lock);
		clear(&board->vmas[handle->number - 1].record);
		contig_unlock(&records_lock);
	}
	*handle = (struct share_record){0, 0};
}

void contig_share_record_peer(struct share_record *handle, const struct share_record *vma,
			      const struct channel *channel)
{
	struct board *board = board_of(vma);
	struct board_peer now = {
		.vma = vma->number - 1,
		.pid = (uint32_t)channel->pid,
		.uid = (uint32_t)channel->uid,
	};

	if (!board)
		return;
	contig_lock(&records_lock);
	if (board_of(handle))
		now.pages = board->peers[handle->number - 1].pages;
	else
		begin(handle, board, BOARD_PEERS);
	if (handle->number)
		fill(&board->peers[handle->number - 1].record, &now, sizeof(now));
	contig_unlock(&records_lock);
}

void contig_share_record_peer_end(struct share_record *handle)
{
	struct board *board = board_of(handle);

	if (board) {
		contig_lock(&records_lock);
		clear(&board->peers[handle->number - 1].record);
		contig_unlock(&records_lock);
	}
	*handle = (struct share_record){0, 0};
}

void contig_share_record_pages(const struct share_record *handle, uint64_t pages)
{
	struct board *board = board_of(handle);

	if (board)
		board_store(&board->peers[handle->number - 1].pages, pages);
}

void contig_share_record_frame(const struct share_record *handle, uint64_t frame)
{
	struct board *board = board_of(handle);
	const struct segment *segment;
	int pool;

	if (!board)
		return;
	/* The page is in use, so what it is of stays. */
	segment = contig_physmap_segment(frame << FRAME_SHIFT);
	pool = segment ? contig_pool_record_number(segment->pool) : -1;
	if (pool >= 0)
		__atomic_fetch_or(&board->vmas[handle->number - 1].pools, UINT64_C(1) << pool,
				  __ATOMIC_RELAXED);
}

static void fork_child(void)
{
	contig_lock_init(&records_lock, LOCK_LEAF);
}

static void nothing(void)
{
}

__attribute__((constructor)) static void add_hook(void)
{
	static struct fork_hook hook = {nothing, nothing, fork_child, NULL};

	contig_fork_hook_add(&hook);
}
