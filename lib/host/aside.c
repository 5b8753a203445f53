/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/aside.h"

#include "base/page.h"
#include "base/panic.h"
#include "base/reason.h"
#include "host/alias.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_HUGEPAGE
#define MADV_HUGEPAGE 14
#endif

/*
 * mremap(2) wants a few mappings below vm.max_map_count, also when it only
 * undoes what went before.  These are given up then; protections alternate so
 * that each is a mapping of its own.
 */
#define SPARES 16

/* Of a copy this full, and fuller, superpages are asked for: faster to fill,
 * and to fork. */
#define FULL_PART 4 /* three of four parts */

bool contig_aside_present(void *va)
{
	unsigned char present = 0;

	return !mincore(va, FRAME_SIZE, &present) && present & 1;
}

int contig_aside_begin(struct aside *aside, size_t most)
{
	size_t len = align_up(most * sizeof(*aside->ranges) + 1, FRAME_SIZE);
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(aside, 0, sizeof(*aside));
	if (p == MAP_FAILED)
		return -errno;
	aside->ranges = p;
	aside->room = most;
	return 0;
}

int contig_aside_add(struct aside *aside, void *va, size_t len, size_t page_size, bool leave)
{
	struct aside_range *last = aside->n ? &aside->ranges[aside->n - 1] : NULL;

	if (last && last->va + last->len == va && last->page_size == page_size &&
	    last->leave == leave) {
		last->len += len;
		return 0;
	}
	if (aside->n == aside->room)
		return -ENOSPC;
	aside->ranges[aside->n++] = (struct aside_range){
		.va = va, .len = len, .page_size = page_size, .leave = leave};
	return 0;
}

static void make_spare(struct aside *aside)
{
	char *p = mmap(NULL, SPARES * FRAME_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	for (size_t i = 0; i < SPARES; i += 2)
		mprotect(p + i * FRAME_SIZE, FRAME_SIZE, PROT_READ);
	aside->spare = p;
}

static void drop_spare(struct aside *aside)
{
	if (aside->spare)
		munmap(aside->spare, SPARES * FRAME_SIZE);
	aside->spare = NULL;
}

static bool is_zero(const char *page)
{
	const uint64_t *p = (const uint64_t *)(const void *)page;

	for (size_t i = 0; i < FRAME_SIZE / sizeof(*p); i += 8)
		if (p[i] | p[i + 1] | p[i + 2] | p[i + 3] | p[i + 4] | p[i + 5] | p[i + 6] |
		    p[i + 7])
			return false;
	return true;
}

/* What was never written need not be: the copy is of zeros. */
static void copy_stretch(const struct aside_range *range, uintptr_t start, uintptr_t end)
{
	for (; start < end; start += FRAME_SIZE) {
		const char *from = (const char *)start;

		if (!is_zero(from))
			memcpy(range->copy + (from - range->va), from, FRAME_SIZE);
	}
}

static size_t count_used(struct aside_range *range, aside_used_fn used, void *arg)
{
	uintptr_t at = (uintptr_t)range->va, end = at + range->len, stop;
	size_t bytes = 0;

	while ((at = used(arg, range, at, end, &stop)) < end) {
		bytes += stop - at;
		at = stop;
	}
	return bytes;
}

static int copy_range(struct aside_range *range, aside_used_fn used, void *arg)
{
	uintptr_t at = (uintptr_t)range->va, end = at + range->len, stop;

	range->used = count_used(range, used, arg);
	range->away = contig_alias_reserve(range->len, range->page_size);
	if (!range->away)
		return -ENOMEM;
	range->copy = contig_alias_reserve(range->len, SUPERPAGE_SIZE);
	if (!range->copy || mprotect(range->copy, range->len, PROT_READ | PROT_WRITE) < 0)
		return -ENOMEM;
	if (range->used >= range->len - range->len / FULL_PART)
		madvise(range->copy, range->len, MADV_HUGEPAGE);
	while ((at = used(arg, range, at, end, &stop)) < end) {
		copy_stretch(range, at, stop);
		at = stop;
	}
	return 0;
}

int contig_aside_copy(struct aside *aside, aside_used_fn used, void *arg)
{
	int err = 0;

	for (size_t i = 0; i < aside->n && !err; i++)
		err = copy_range(&aside->ranges[i], used, arg);
	if (err)
		contig_reason_set("no address space or mappings for a copy (ulimit -v, vm.max_map_count)");
	else
		make_spare(aside);
	return err;
}

/*
 * All of [from, from + len) to to, whatever mappings it consists of: older
 * kernels move one at a time, and hugetlb ones never merge.  Returns bytes
 * moved, fewer than len with errno.
 */
static size_t move(char *from, char *to, size_t len, size_t page_size)
{
	size_t half, moved;

	if (mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED)
		return len;
	if (len <= page_size || (errno != EFAULT && errno != EINVAL))
		return 0;
	half = align_up(len / 2, page_size);
	moved = move(from, to, half, page_size);
	if (moved < half)
		return moved;
	return half + move(from + half, to + half, len - half, page_size);
}

/* What can't be moved back is lost, and with it the program. */
static void must_move(struct aside *aside, char *from, char *to, size_t len, size_t page_size)
{
	size_t moved = move(from, to, len, page_size);

	if (moved < len) {
		drop_spare(aside);
		moved += move(from + moved, to + moved, len - moved, page_size);
	}
	if (moved == len)
		return;
	contig_panic("fork: memory at %p could not be put back: %s", (void *)to, strerror(errno));
	abort();
}

static int go_range(struct aside *aside, struct aside_range *range)
{
	size_t moved = move(range->va, range->away, range->len, range->page_size);
	int err = -errno;

	if (moved < range->len) {
		must_move(aside, range->away, range->va, moved, range->page_size);
		return err;
	}
	if (!range->leave && madvise(range->away, range->len, MADV_DONTFORK) < 0) {
		err = -errno;
		must_move(aside, range->away, range->va, range->len, range->page_size);
		return err;
	}
	must_move(aside, range->copy, range->va, range->len, FRAME_SIZE);
	range->copy = NULL;
	if (range->leave) {
		munmap(range->away, range->len);
		range->away = NULL;
	}
	return 0;
}

static void back_range(struct aside *aside, struct aside_range *range)
{
	/* This also unmaps the copy. */
	must_move(aside, range->away, range->va, range->len, range->page_size);
	madvise(range->va, range->len, MADV_DOFORK);
	range->away = NULL;
}

int contig_aside_go(struct aside *aside)
{
	for (size_t i = 0; i < aside->n; i++) {
		int err = go_range(aside, &aside->ranges[i]);

		if (!err)
			continue;
		contig_reason_set("memory could not be set aside: %s",
				  err == -ENOMEM ? "too many mappings; raise vm.max_map_count"
						 : strerror(-err));
		while (i-- > 0)
			if (!aside->ranges[i].leave)
				back_range(aside, &aside->ranges[i]);
		return err;
	}
	return 0;
}

void contig_aside_back(struct aside *aside)
{
	for (size_t i = 0; i < aside->n; i++)
		if (!aside->ranges[i].leave)
			back_range(aside, &aside->ranges[i]);
}

void contig_aside_end(struct aside *aside)
{
	if (!aside->ranges)
		return;
	for (size_t i = 0; i < aside->n; i++) {
		if (aside->ranges[i].away)
			munmap(aside->ranges[i].away, aside->ranges[i].len);
		if (aside->ranges[i].copy)
			munmap(aside->ranges[i].copy, aside->ranges[i].len);
	}
	drop_spare(aside);
	munmap(aside->ranges, align_up(aside->room * sizeof(*aside->ranges) + 1, FRAME_SIZE));
	memset(aside, 0, sizeof(*aside));
}
