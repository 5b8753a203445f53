/* SPDX-License-Identifier: BSD-2-Clause */
/* Virtual to physical and back, and what a range is made of. */
#include "contig/phys.h"

#include "base/cancel.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/maps.h"
#include "host/nodes.h"
#include "host/pagemap.h"
#include "phys/frames.h"
#include "phys/machine.h"
#include "phys/physmap.h"
#include "phys/segment.h"
#include "phys/start.h"
#include "phys/verify.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum contig_level contig_level(void)
{
	if (contig_start())
		return CONTIG_LEVEL_HIDDEN;
	return contig_machine.level;
}

/* A frame, or errno and FRAME_ABSENT. */
static uint64_t frame_or_errno(uint64_t frame, const void *va)
{
	if (frame_is_known(frame))
		return frame;
	if (frame == FRAME_HIDDEN) {
		contig_reason_set("frame of %p is hidden from this process (needs CAP_SYS_ADMIN)", va);
		errno = EPERM;
	} else {
		contig_reason_set("%p: nothing is mapped and present there", va);
		errno = EFAULT;
	}
	return FRAME_ABSENT;
}

static bool in_pool(uint64_t place)
{
	return place != UINT64_MAX &&
	       contig_direct_map.span &&
	       __atomic_load_n(&contig_physmap.present[place >> SUPERPAGE_SHIFT],
			       __ATOMIC_ACQUIRE);
}

static vm_paddr_t translate_slow(const void *va)
{
	uint64_t frame;
	NO_CANCEL;

	errno = 0;
	frame = contig_pagemap_frame(va);
	if (frame == FRAME_ABSENT && errno) {
		contig_reason_set("/proc/self/pagemap: %s", strerror(errno));
		return CONTIG_PADDR_NONE;
	}
	frame = frame_or_errno(frame, va);
	if (frame == FRAME_ABSENT)
		return CONTIG_PADDR_NONE;
	return (frame << FRAME_SHIFT) + ((uintptr_t)va & (FRAME_SIZE - 1));
}

vm_paddr_t contig_virt_to_phys(const void *va)
{
	uint64_t off = (uint64_t)((uintptr_t)va - contig_direct_map.base);

	if (__builtin_expect(off < contig_direct_map.span &&
				     __atomic_load_n(&contig_physmap.present[off >> SUPERPAGE_SHIFT],
						     __ATOMIC_RELAXED),
			     1))
		return off;
	return translate_slow(va);
}

void *contig_phys_to_virt(vm_paddr_t pa)
{
	if (contig_start() || !contig_direct_map.span || pa >= contig_direct_map.span ||
	    !in_pool(pa)) {
		contig_reason_set("contig_phys_to_virt(0x%llx): no pool of this process holds that frame",
				  (unsigned long long)pa);
		errno = contig_machine.level == CONTIG_LEVEL_HIDDEN ? EPERM : ENOENT;
		return NULL;
	}
	return place_address(pa);
}

static int open_pagemap(void)
{
	int fd = contig_pagemap_open(0);

	if (fd < 0) {
		contig_reason_set("/proc/self/pagemap: %s", strerror(-fd));
		errno = -fd;
	}
	return fd;
}

/* contig_frames_read() as errno, with the reason. */
static int frames_errno(int fd, uintptr_t va, size_t n, uint64_t *frames)
{
	int err = -contig_frames_read(fd, va, n, frames);

	if (err)
		contig_reason_set("/proc/self/pagemap: %s", strerror(err));
	return err;
}

ssize_t contig_paddr_table(const void *va, size_t len, size_t page_size, uint64_t *pa, size_t n)
{
	size_t pieces, step = page_size >> FRAME_SHIFT;
	uint64_t frames[SUPERPAGE_FRAMES];
	NO_CANCEL;
	int fd, err = 0;

	if (!is_pow2(page_size) || page_size < FRAME_SIZE || (uintptr_t)va & (page_size - 1) ||
	    !len || len & (page_size - 1)) {
		contig_reason_set("contig_paddr_table: %p and %zu must be multiples of the page size %zu, a power of two from 4096",
				  va, len, page_size);
		errno = EINVAL;
		return -1;
	}
	pieces = len / page_size;
	if (pieces > n) {
		contig_reason_set("contig_paddr_table: %zu entries needed, %zu given", pieces, n);
		errno = ENOSPC;
		return -1;
	}
	if (contig_start()) {
		errno = ENOMEM;
		return -1;
	}
	fd = open_pagemap();
	if (fd < 0)
		return -1;
	for (size_t at = 0; at < pieces * step && !err;) {
		size_t batch = pieces * step - at;

		if (batch > SUPERPAGE_FRAMES)
			batch = SUPERPAGE_FRAMES;
		err = frames_errno(fd, (uintptr_t)va + (at << FRAME_SHIFT), batch, frames);
		for (size_t i = 0; i < batch && !err; i++, at++) {
			if (frame_or_errno(frames[i], (const char *)va + (at << FRAME_SHIFT)) ==
			    FRAME_ABSENT) {
				err = errno;
			} else if (at % step == 0) {
				pa[at / step] = frames[i] << FRAME_SHIFT;
			} else if (frames[i] << FRAME_SHIFT !=
				   pa[at / step] + (at % step << FRAME_SHIFT)) {
				contig_reason_set("%p: not contiguous within %zu bytes",
						  (const void *)((const char *)va + (at << FRAME_SHIFT)),
						  page_size);
				err = EXDEV;
			}
		}
	}
	close(fd);
	if (err) {
		errno = err;
		return -1;
	}
	return (ssize_t)pieces;
}

/* The smallest kernel page among the mappings of a range that isn't ours. */
struct page_size_query {
	uintptr_t start, end;
	uint64_t smallest;
};

static int note_page_size(const struct host_mapping *m, void *arg)
{
	struct page_size_query *query = arg;
	uint64_t size = m->kernel_page;

	if (m->end <= query->start || m->start >= query->end)
		return 0;
	/* All of it by superpages that the kernel made on its own. */
	if (size == FRAME_SIZE && m->huge_bytes >= m->end - m->start)
		size = SUPERPAGE_SIZE;
	if (size && (!query->smallest || size < query->smallest))
		query->smallest = size;
	return 0;
}

static void describe_backing(const void *va, size_t len, struct contig_range_info *out)
{
	uint64_t place = address_place(va);
	struct page_size_query query = {(uintptr_t)va, (uintptr_t)va + len, 0};
	struct segment_info info;

	if (!contig_segment_describe(place, &info)) {
		contig_maps_each(0, true, note_page_size, &query);
		out->page_size = (size_t)query.smallest;
		out->node = contig_node_at(va);
		out->wiring = CONTIG_WIRING_NONE;
		return;
	}
	out->node = contig_machine.nodes[info.node];
	out->wiring = CONTIG_WIRING_PINNED;
	out->page_size = (size_t)info.page_size;
	for (uint64_t p = place; p < place + len; p = align_down(p, SUPERPAGE_SIZE) + SUPERPAGE_SIZE) {
		if (!contig_segment_describe(p, &info)) {
			out->wiring = CONTIG_WIRING_NONE;
			continue;
		}
		if (contig_machine.nodes[info.node] != out->node)
			out->node = -1;
		if (info.page_size < out->page_size)
			out->page_size = (size_t)info.page_size;
		if (info.wiring < out->wiring)
			out->wiring = info.wiring;
	}
}

/* Runs of frames, fed in order. */
struct runs {
	uint64_t next;
	size_t length;
	struct contig_range_info *out;
};

static void run_end(struct runs *runs)
{
	if (!runs->length)
		return;
	if (!runs->out->runs++)
		runs->out->contiguous = runs->length;
	if (runs->length > runs->out->longest_run)
		runs->out->longest_run = runs->length;
}

static void run_page(struct runs *runs, uint64_t frame, size_t bytes)
{
	if (runs->length && frame == runs->next) {
		runs->length += bytes;
	} else {
		run_end(runs);
		runs->length = bytes;
	}
	runs->next = frame + 1;
}

/* Frames hidden: a range within one of our superpages is still certain. */
static int check_hidden(const void *va, size_t len, struct contig_range_info *out)
{
	uint64_t place = address_place(va);
	struct segment_info info;

	if (!contig_segment_describe(place, &info) ||
	    info.page_size - (place & (info.page_size - 1)) < len)
		return -1;
	out->contiguous = out->longest_run = len;
	out->runs = 1;
	return 0;
}

int contig_range_check(const void *va, size_t len, struct contig_range_info *out)
{
	struct contig_range_info scratch;
	struct runs runs = {.length = 0};
	uint64_t frames[SUPERPAGE_FRAMES];
	uintptr_t start = (uintptr_t)va, end;
	NO_CANCEL;
	int fd, err = 0;

	if (!out)
		out = &scratch;
	memset(out, 0, sizeof(*out));
	out->first = CONTIG_PADDR_NONE;
	out->node = -1;
	runs.out = out;
	if (!len || __builtin_add_overflow(start, len, &end)) {
		contig_reason_set("contig_range_check(%p, %zu): no such range", va, len);
		errno = EINVAL;
		return -1;
	}
	out->length = len;
	out->level = contig_level();
	if (out->level == CONTIG_LEVEL_HIDDEN && !check_hidden(va, len, out)) {
		describe_backing(va, len, out);
		return 1;
	}
	fd = open_pagemap();
	if (fd < 0)
		return -1;
	for (uintptr_t page = start & ~(FRAME_SIZE - 1); page < end && !err;) {
		size_t n = (size_t)((end - page + FRAME_SIZE - 1) >> FRAME_SHIFT);

		if (n > SUPERPAGE_FRAMES)
			n = SUPERPAGE_FRAMES;
		err = frames_errno(fd, page, n, frames);
		for (size_t i = 0; i < n && !err; i++, page += FRAME_SIZE) {
			uintptr_t from = page < start ? start : page;
			uintptr_t to = page + FRAME_SIZE > end ? end : page + FRAME_SIZE;

			if (frame_or_errno(frames[i], (void *)page) == FRAME_ABSENT) {
				err = errno;
				break;
			}
			if (out->first == CONTIG_PADDR_NONE)
				out->first = (frames[i] << FRAME_SHIFT) + (start & (FRAME_SIZE - 1));
			run_page(&runs, frames[i], to - from);
		}
	}
	close(fd);
	if (err) {
		errno = err;
		return -1;
	}
	run_end(&runs);
	describe_backing(va, len, out);
	return out->runs == 1;
}

int contig_verify(void)
{
	int64_t moved;
	NO_CANCEL;

	if (contig_start()) {
		errno = ENOMEM;
		return -1;
	}
	moved = contig_verify_frames();
	if (moved < 0) {
		errno = (int)-moved;
		return -1;
	}
	return moved > INT_MAX ? INT_MAX : (int)moved;
}
