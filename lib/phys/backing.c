/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/backing.h"

#include "base/page.h"
#include "base/reason.h"
#include "host/pagemap.h"
#include "phys/magazine.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/pool_record.h"
#include "phys/segment.h"
#include "phys/trim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t next_number;      /* atomic */
static uint64_t withheld_frames;  /* atomic */
/* Programs have a limit, and each batch of superpages is a file. */
#define REOPENED_MOST 64
static unsigned int reopened; /* contig_pin_lock */

struct backing_file *contig_backing_file_make(const struct contig_pool *pool, int fd,
					      uint64_t pages)
{
	struct backing_file *file = calloc(1, sizeof(*file));

	if (!file) {
		contig_reason_set("no memory for a file's record");
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	file->memfd.fd = -1;
	file->reopened.fd = -1;
	file->number = __atomic_add_fetch(&next_number, 1, __ATOMIC_RELAXED);
	file->pages = pages;
	if (pool->kind == CONTIG_POOL_SHAREABLE && contig_memfd_keep(fd, &file->memfd) < 0) {
		free(file);
		return NULL;
	}
	return file;
}

int contig_backing_file_mapped(const struct contig_pool *pool, struct backing_file *file)
{
	int err = 0;

	if (pool->kind != CONTIG_POOL_SHAREABLE || pool->mode == CONTIG_SHARE_FIXED)
		return 0;
	err = contig_memfd_seal(&file->memfd, pool->mode == CONTIG_SHARE_READONLY
						      ? MEMFD_SEALS_WRITERS
						      : MEMFD_SEALS_FIXED);
	if (!err)
		file->sealed = pool->mode == CONTIG_SHARE_READONLY;
	return err;
}

/* Under contig_pin_lock. */
static struct memfd forget_reopened(struct backing_file *file)
{
	struct memfd was = file->reopened;

	if (was.fd >= 0)
		reopened--;
	file->reopened.fd = -1;
	return was;
}

void contig_backing_file_drop(struct backing_file *file, uint64_t pages)
{
	struct memfd again = {.fd = -1};
	bool last;

	contig_lock(&contig_pin_lock);
	file->pages -= pages;
	last = !file->pages;
	if (last)
		again = forget_reopened(file);
	contig_unlock(&contig_pin_lock);
	if (!last)
		return;
	contig_memfd_close(&again);
	contig_memfd_close(&file->memfd);
	free(file);
}

void contig_backing_file_forget(struct backing_file *file)
{
	struct memfd again;

	contig_lock(&contig_pin_lock);
	again = forget_reopened(file);
	contig_unlock(&contig_pin_lock);
	contig_memfd_close(&again);
	contig_memfd_close(&file->memfd);
}

/* The file of a frame and the frame's offset in it, under contig_pin_lock. */
static struct backing_file *find(uint64_t frame, struct segment **segment, uint64_t *offset)
{
	uint64_t place = frame << FRAME_SHIFT;

	*segment = contig_physmap_segment(place);
	if (!*segment || !(*segment)->file)
		return NULL;
	for (unsigned int i = 0; i < (*segment)->n; i++) {
		uint64_t within = place - (*segment)->places[i];

		if (within < (*segment)->page_size) {
			*offset = (*segment)->indices[i] * (*segment)->page_size + within;
			return (*segment)->file;
		}
	}
	return NULL;
}

bool contig_backing_of(uint64_t frame, struct backing *out)
{
	struct backing_file *file;
	struct segment *segment;
	uint64_t offset = 0;

	memset(out, 0, sizeof(*out));
	out->fd = -1;
	out->local.fd = -1;
	contig_lock(&contig_pin_lock);
	file = find(frame, &segment, &offset);
	if (segment) {
		out->hugetlb = segment->source != CONTIG_SOURCE_THP &&
			       contig_physmap.level != CONTIG_LEVEL_SIMULATED;
		out->page_size = out->hugetlb ? segment->page_size : FRAME_SIZE;
		out->shared = segment->shared;
		out->kind = segment->pool->kind;
		out->mode = segment->pool->mode;
	}
	if (file) {
		out->fd = file->memfd.fd;
		out->local = out->fd >= 0 ? file->memfd : file->reopened;
		out->file = file->number;
		out->file_size = file->memfd.size;
		out->offset = (off_t)offset;
		out->sealed = file->sealed;
	}
	contig_unlock(&contig_pin_lock);
	return segment;
}

bool contig_backing_reopened(uint64_t frame, int fd)
{
	struct backing_file *file;
	struct segment *segment;
	struct memfd again;
	uint64_t offset;
	bool kept;

	/* A standard number is the program's to use. */
	if (fd <= STDERR_FILENO)
		return false;
	if (contig_memfd_adopt(fd, &again))
		return true; /* closed */
	contig_lock(&contig_pin_lock);
	file = find(frame, &segment, &offset);
	kept = file && !segment->inherited && file->memfd.fd < 0 && file->reopened.fd < 0 &&
	       reopened < REOPENED_MOST;
	if (kept) {
		file->reopened = again;
		reopened++;
	}
	contig_unlock(&contig_pin_lock);
	return kept;
}

void contig_backing_closed(uint64_t frame)
{
	struct backing_file *file;
	struct segment *segment;
	uint64_t offset;

	contig_lock(&contig_pin_lock);
	file = find(frame, &segment, &offset);
	/* Another thread may have found that out, and a new one, already. */
	if (file && file->reopened.fd >= 0 && contig_memfd_check(&file->reopened))
		forget_reopened(file);
	contig_unlock(&contig_pin_lock);
}

/* A copy of what tells the file, to be used without the lock: the frame is in
 * use, so the file stays. */
static struct backing_file *shareable_file(uint64_t frame, struct segment **segment,
					   uint64_t *offset)
{
	struct backing_file *file;

	contig_lock(&contig_pin_lock);
	file = find(frame, segment, offset);
	contig_unlock(&contig_pin_lock);
	if (file && (*segment)->pool->kind == CONTIG_POOL_SHAREABLE && !(*segment)->inherited)
		return file;
	contig_reason_set("the page at frame 0x%llx is not of a shareable pool of this process",
			  (unsigned long long)frame);
	return NULL;
}

int contig_backing_descriptor(uint64_t frame, bool writable)
{
	struct segment *segment;
	uint64_t offset;
	struct backing_file *file = shareable_file(frame, &segment, &offset);

	if (!file)
		return -EPERM;
	if (writable && segment->pool->mode == CONTIG_SHARE_READONLY) {
		contig_reason_set("pool %s is shared read-only", segment->pool->name);
		return -EPERM;
	}
	return contig_memfd_open(&file->memfd, writable);
}

/*
 * Whether a superpage still is the memory it was.  What was punched out left
 * our page tables, and a touch would now make something new: so look first.
 * Where frames are hidden, presence must do: what left the page tables may
 * have been punched.
 */
static int same_frames(uint64_t place)
{
	uint64_t frames[SUPERPAGE_FRAMES];
	int fd, err;

	if (contig_physmap.level == CONTIG_LEVEL_SIMULATED)
		return 0;
	fd = contig_pagemap_open(0);
	if (fd < 0)
		return fd;
	err = contig_pagemap_read(fd, (uintptr_t)place_address(place), SUPERPAGE_FRAMES, frames);
	close(fd);
	for (uint64_t i = 0; i < SUPERPAGE_FRAMES && !err; i++) {
		if (frames[i] == FRAME_HIDDEN)
			continue;
		if (frames[i] != (place >> FRAME_SHIFT) + i) {
			contig_reason_set("the frame at 0x%llx is not where it was: a peer punched it out",
					  (unsigned long long)(place + (i << FRAME_SHIFT)));
			err = -ESTALE;
		}
	}
	return err;
}

int contig_backing_seal(uint64_t frame)
{
	uint64_t place = align_down(frame << FRAME_SHIFT, SUPERPAGE_SIZE), offset;
	struct segment *segment;
	struct backing_file *file = shareable_file(frame, &segment, &offset);
	int err;

	if (!file)
		return -EPERM;
	if (segment->pool->mode == CONTIG_SHARE_REVOCABLE) {
		contig_reason_set("pool %s is revocable: its files are never sealed",
				  segment->pool->name);
		return -EPERM;
	}
	if (!file->sealed) {
		err = contig_memfd_seal(&file->memfd, MEMFD_SEALS_WRITERS);
		if (err)
			return err;
		file->sealed = true;
	}
	err = contig_memfd_whole(&file->memfd);
	if (err < 0)
		return err;
	if (!err) {
		contig_reason_set("the file of frame 0x%llx has a hole: a peer punched it",
				  (unsigned long long)frame);
		return -ESTALE;
	}
	return same_frames(place);
}

void contig_backing_withhold(uint64_t frames)
{
	__atomic_fetch_add(&withheld_frames, frames, __ATOMIC_RELAXED);
}

void contig_backing_unwithhold(uint64_t frames)
{
	__atomic_fetch_sub(&withheld_frames, frames, __ATOMIC_RELAXED);
}

uint64_t contig_quarantined_bytes(void)
{
	return __atomic_load_n(&withheld_frames, __ATOMIC_RELAXED) << FRAME_SHIFT;
}

/* Free frames of [at, end) leave the pool.  Pool lock held. */
static uint64_t withdraw_free(struct contig_pool *pool, int node, uint64_t at, uint64_t end)
{
	uint64_t start, count, taken = 0;

	while (contig_extent_next(pool->free[node], at, &start, &count) && start < end) {
		uint64_t from = start < at ? at : start;
		uint64_t to = start + count > end ? end : start + count;

		contig_extent_take(pool->free[node], from, to - from);
		taken += to - from;
		at = to;
	}
	pool_free_sub(pool, taken);
	pool->withheld_frames += taken;
	return taken;
}

uint64_t contig_backing_quarantine(uint64_t frame)
{
	uint64_t offset, taken = 0;
	struct backing_file *file;
	struct contig_pool *pool;
	struct segment *segment;

	contig_lock(&contig_pin_lock);
	file = find(frame, &segment, &offset);
	pool = file ? segment->pool : NULL;
	contig_unlock(&contig_pin_lock);
	if (!file || segment->inherited)
		return 0;
	contig_lock(&pool->lock);
	if (!file->quarantined) {
		file->quarantined = true;
		pool->quarantined = true;
		for (struct segment *s = pool->segments; s; s = s->next) {
			if (s->file != file)
				continue;
			for (unsigned int i = 0; i < s->n; i++) {
				uint64_t end = s->places[i] + s->page_size;

				for (uint64_t p = s->places[i]; p < end; p += SUPERPAGE_SIZE)
					__atomic_store_n(&place_block(p)->quarantined, true,
							 __ATOMIC_RELAXED);
				taken += withdraw_free(pool, s->node, s->places[i] >> FRAME_SHIFT,
						       end >> FRAME_SHIFT);
			}
		}
	}
	contig_unlock(&pool->lock);
	contig_backing_withhold(taken);
	/* Marked first: what is freed from now on goes to no magazine. */
	contig_magazines_drain_pool(pool);
	contig_pool_record(pool);
	return taken << FRAME_SHIFT;
}
