/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/loosen.h"

#include "base/cancel.h"
#include "base/lock.h"
#include "base/page.h"
#include "contig/pool.h"
#include "host/maps.h"
#include "host/superpage.h"
#include "host/threads.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/reclaim.h"
#include "phys/segment.h"
#include "preload/extents.h"
#include "preload/fork.h"
#include "preload/inside.h"
#include "preload/raw.h"
#include "preload/report.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif

#define READ_WRITE (PROT_READ | PROT_WRITE)

bool shim_loosened;

static bool is_hugetlb(const struct segment *segment)
{
	return segment->source != CONTIG_SOURCE_THP;
}

static bool is_tight(const struct segment *segment)
{
	return !segment->shared && !segment->plain && segment->pool->kind == CONTIG_POOL_PRIVATE;
}

/* The segment of an address of the heap, and where the superpage begins. */
static struct segment *segment_at(uintptr_t address, uint64_t *place)
{
	uint64_t at = address_place((void *)address);
	struct segment *segment = at == UINT64_MAX ? NULL : contig_physmap_segment(at);

	if (!segment || !is_tight(segment))
		return NULL;
	for (unsigned int i = 0; i < segment->n; i++)
		if (at - segment->places[i] < segment->page_size) {
			*place = segment->places[i];
			return segment;
		}
	return NULL;
}

struct protection {
	uintptr_t at;
	int prot;
};

static int note_protection(const struct host_mapping *m, void *arg)
{
	struct protection *p = arg;

	if (p->at < m->start || p->at >= m->end)
		return 0;
	p->prot = (m->read ? PROT_READ : 0) | (m->write ? PROT_WRITE : 0) |
		  (m->exec ? PROT_EXEC : 0);
	return 1;
}

/* A superpage that is being replaced. */
struct change {
	char *va, *copy;
	size_t size;
	int prot;
	int guard; /* a userfaultfd, or -1 */
	const char *why; /* if it fails */
};

/* Neither the stack nor errno: both are written to while we copy. */
static bool is_under_us(const struct change *c)
{
	return (uintptr_t)__builtin_frame_address(0) - (uintptr_t)c->va < c->size ||
	       (uintptr_t)&errno - (uintptr_t)c->va < c->size;
}

/* From here on other threads that write there wait.  False: they would not. */
static bool guard_begin(struct change *c)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM,
	};
	struct uffdio_register area = {
		.range = {(uintptr_t)c->va, c->size},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect protect = {
		.range = {(uintptr_t)c->va, c->size},
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	c->guard = -1;
	if (contig_threads_alone(false))
		return true;
	c->guard = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (c->guard < 0)
		return false;
	return !syscall(SYS_ioctl, c->guard, UFFDIO_API, &api) &&
	       !syscall(SYS_ioctl, c->guard, UFFDIO_REGISTER, &area) &&
	       !syscall(SYS_ioctl, c->guard, UFFDIO_WRITEPROTECT, &protect);
}

/* They try again, on what is there by now. */
static void guard_end(const struct change *c)
{
	if (c->guard >= 0)
		close(c->guard);
}

static bool is_zero(const char *page)
{
	return !*page && !memcmp(page, page + 1, FRAME_SIZE - 1);
}

/* No locks, no memory in between: who waits for the guard may have them. */
static int replace(void *arg)
{
	struct change *c = arg;
	int err = 0;

	if (!guard_begin(c)) {
		c->why = "heap: protection of a part: other threads can't be held (userfaultfd)";
		err = -EPERM;
	} else if (!(c->prot & PROT_READ) && shim_raw_mprotect(c->va, c->size, PROT_READ) < 0) {
		err = -errno;
	} else {
		for (size_t at = 0; at < c->size; at += FRAME_SIZE)
			if (!is_zero(c->va + at))
				memcpy(c->copy + at, c->va + at, FRAME_SIZE);
		if ((c->prot != READ_WRITE && shim_raw_mprotect(c->copy, c->size, c->prot) < 0) ||
		    shim_raw_mremap(c->copy, c->size, c->size, MREMAP_MAYMOVE | MREMAP_FIXED,
				    c->va) == MAP_FAILED) {
			err = -errno;
			shim_raw_mprotect(c->va, c->size, c->prot);
		}
	}
	guard_end(c);
	return err;
}

/* Collapsed pages can be had one by one as they are. */
static int stay(void *arg)
{
	(void)arg;
	return 0;
}

/* NULL, or why not. */
static const char *loosen_one(struct segment *segment, uint64_t place)
{
	struct change c = {
		.va = place_address(place),
		.size = segment->page_size,
		.guard = -1,
		.why = "heap: protection of a part: no memory for its content",
	};
	struct protection p = {(uintptr_t)c.va, 0};

	if (!is_hugetlb(segment))
		return contig_segment_detach(segment, place, stay, NULL) ? c.why : NULL;
	if (is_under_us(&c))
		return "heap: protection of a part: a stack is on it";
	if (contig_maps_each(0, false, note_protection, &p) != 1)
		return "heap: protection of a part: /proc/self/maps is missing";
	c.prot = p.prot;
	if (contig_superpage_room(true) < c.size)
		return c.why;
	c.copy = shim_raw_mmap(NULL, c.size, READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c.copy == MAP_FAILED)
		return c.why;
	if (!contig_segment_detach(segment, place, replace, &c))
		return NULL;
	shim_raw_munmap(c.copy, c.size);
	return c.why;
}

/* The superpage that an address lies in.  Returns where it ends. */
static uintptr_t loosen_at(uintptr_t address)
{
	struct segment *segment = contig_physmap_segment(address_place((void *)address));
	const char *why = NULL;
	uint64_t place, size = SUPERPAGE_SIZE;

	/* As most are that are protected again and again. */
	if (segment && segment->plain)
		return (address & ~(size - 1)) + size;
	contig_lock(&contig_reclaim_lock);
	segment = segment_at(address, &place);
	if (segment) {
		size = segment->page_size;
		why = loosen_one(segment, place);
	}
	contig_unlock(&contig_reclaim_lock);
	if (segment && !why) {
		shim_count(SHIM_FALLBACKS, 1);
		shim_count(SHIM_FALLBACK_BYTES, size);
		why = "heap: a part was protected: its superpage is no longer wired";
	}
	if (why)
		shim_reason(why, size);
	return (address & ~(size - 1)) + size;
}

static void loosen(uintptr_t start, uintptr_t end)
{
	NO_CANCEL;
	int error = errno;
	sigset_t signals;

	shim_fork_make_up();
	__atomic_store_n(&shim_loosened, true, __ATOMIC_RELAXED);
	contig_signals_block(&signals);
	shim_enter();
	for (uintptr_t at = start; at < end && shim_extent_in_window((void *)at);)
		at = loosen_at(at);
	shim_leave();
	contig_signals_restore(&signals);
	errno = error;
}

void shim_loosen(const void *addr, size_t len)
{
	if (len && shim_extent_in_window(addr) && !shim_inside())
		loosen((uintptr_t)addr, (uintptr_t)addr + len);
}

struct zeroing {
	uintptr_t at, end;
	int err;
};

/* A part that is mapped alike.  Pages of the kernel's can go; runs stay. */
static int zero_part(uintptr_t start, uintptr_t end, int prot)
{
	const struct segment *segment = contig_physmap_segment(address_place((void *)start));
	uintptr_t first, last;
	uint64_t size;

	if (!segment || segment->plain)
		return shim_raw_madvise((void *)start, end - start, MADV_DONTNEED);
	if (prot & PROT_WRITE) {
		memset((void *)start, 0, end - start);
		return 0;
	}
	size = is_hugetlb(segment) ? segment->page_size : FRAME_SIZE;
	first = start & ~(size - 1);
	last = (end + size - 1) & ~(size - 1);
	if (shim_raw_mprotect((void *)first, last - first, READ_WRITE) < 0)
		return -1;
	memset((void *)start, 0, end - start);
	return shim_raw_mprotect((void *)first, last - first, prot);
}

/* Superpage by superpage: each may be of another kind. */
static void zero_until(struct zeroing *z, uintptr_t end, int prot)
{
	if (end > z->end)
		end = z->end;
	while (z->at < end && !z->err) {
		uintptr_t next = (z->at & ~(SUPERPAGE_SIZE - 1)) + SUPERPAGE_SIZE;

		if (next > end)
			next = end;
		z->err = zero_part(z->at, next, prot);
		z->at = next;
	}
}

static int zero_mapping(const struct host_mapping *m, void *arg)
{
	struct zeroing *z = arg;

	if (m->end <= z->at)
		return 0;
	if (m->start > z->at)
		return 1; /* a hole: whose? */
	zero_until(z, m->end,
		   (m->read ? PROT_READ : 0) | (m->write ? PROT_WRITE : 0) |
			   (m->exec ? PROT_EXEC : 0));
	return z->err || z->at == z->end;
}

bool shim_loosen_zero(void *addr, size_t len)
{
	NO_CANCEL;
	struct zeroing z = {(uintptr_t)addr, (uintptr_t)addr + len, 0};
	int error = errno;

	if (!len || !shim_extent_in_window(addr) || !shim_extent_in_window((char *)addr + len - 1))
		return false;
	shim_enter();
	if (shim_loosened)
		contig_maps_each(0, false, zero_mapping, &z);
	else
		zero_until(&z, z.end, READ_WRITE);
	shim_leave();
	errno = error;
	return !z.err && z.at == z.end;
}
