/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/pieces.h"

#include "host/maps.h"
#include "preload/raw.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define ANON_NAME_LEN 128 /* "[anon:" and 80 bytes at most */

/* The kernel's mappings of a range: n of them, ending at end[]. */
struct pieces {
	uintptr_t start, stop;
	size_t n, room;
	uintptr_t *end; /* NULL: counted only */
	/* While they are looked at. */
	uintptr_t seen;
	bool read, write, exec;
	char name[ANON_NAME_LEN];
};

/* Whether the kernel would have made one mapping of both, but for what it
 * remembers of their pages. */
static bool is_alike(struct pieces *p, const struct host_mapping *m)
{
	if (m->shared || m->inode || m->dev_major || m->dev_minor ||
	    strnlen(m->name, ANON_NAME_LEN) == ANON_NAME_LEN)
		return false;
	if (p->n)
		return p->read == m->read && p->write == m->write && p->exec == m->exec &&
		       !strcmp(p->name, m->name);
	p->read = m->read;
	p->write = m->write;
	p->exec = m->exec;
	memcpy(p->name, m->name, strlen(m->name) + 1);
	return true;
}

static int look(const struct host_mapping *m, void *arg)
{
	struct pieces *p = arg;

	if (m->end <= p->start)
		return 0;
	if (m->start > p->seen || !is_alike(p, m))
		return -EFAULT;
	p->seen = m->end < p->stop ? m->end : p->stop;
	if (p->end) {
		if (p->n == p->room)
			return -EFAULT;
		p->end[p->n] = p->seen;
	}
	p->n++;
	return p->seen == p->stop;
}

static bool examine(struct pieces *p)
{
	p->n = 0;
	p->seen = p->start;
	return contig_maps_each(0, false, look, p) == 1;
}

static void pieces_forget(struct pieces *p)
{
	int error = errno;

	shim_raw_munmap(p->end, p->room * sizeof(*p->end));
	errno = error;
}

/* False with errno, EFAULT: not as a program would have made it by one call. */
static bool pieces_find(struct pieces *p, const char *old, size_t len)
{
	void *list;

	*p = (struct pieces){.start = (uintptr_t)old, .stop = (uintptr_t)old + len};
	if (len && examine(p)) {
		p->room = p->n;
		list = shim_raw_mmap(NULL, p->room * sizeof(*p->end), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (list == MAP_FAILED)
			return false;
		p->end = list;
		if (examine(p) && p->n == p->room)
			return true;
		pieces_forget(p);
	}
	errno = EFAULT;
	return false;
}

/* Where the last one begins. */
static char *last_of(const struct pieces *p)
{
	return (char *)(p->n > 1 ? p->end[p->n - 2] : p->start);
}

/* One after another, the last one with its new size.  False: back as it was. */
static bool move_all(const struct pieces *p, size_t new_len, int flags, char *to)
{
	char *start = (char *)p->start, *at = start;
	size_t i, n;
	int error;

	for (i = 0; i < p->n; i++, at += n) {
		n = (size_t)((char *)p->end[i] - at);
		if (shim_raw_mremap(at, n, i + 1 < p->n ? n : new_len - (size_t)(at - start),
				    flags | MREMAP_MAYMOVE | MREMAP_FIXED,
				    to + (at - start)) == MAP_FAILED)
			break;
	}
	if (i == p->n)
		return true;
	error = errno;
	while (i--) {
		at = (char *)(i ? p->end[i - 1] : p->start);
		n = (size_t)((char *)p->end[i] - at);
		shim_raw_mremap(to + (at - start), n, n, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	}
	errno = error;
	return false;
}

/* The place: what the program has there goes, as it would. */
static void *reserve(void *new_addr, size_t new_len, int flags)
{
	return shim_raw_mmap(new_addr, new_len, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
				     (flags & MREMAP_FIXED ? MAP_FIXED : 0),
			     -1, 0);
}

static void *move(const struct pieces *p, size_t old_len, size_t new_len, int flags,
		  void *new_addr)
{
	void *to = reserve(new_addr, new_len, flags);
	int error;

	if (to == MAP_FAILED)
		return to;
	if (!move_all(p, new_len, flags, to)) {
		error = errno;
		shim_raw_munmap(to, new_len);
		errno = error;
		return MAP_FAILED;
	}
	if (new_len < old_len)
		shim_raw_munmap((char *)p->start + new_len, old_len - new_len);
	return to;
}

/* In place if that can be; else MAP_FAILED. */
static void *stretch(const struct pieces *p, size_t more)
{
	char *last = last_of(p);
	size_t n = (size_t)((char *)p->stop - last);

	return shim_raw_mremap(last, n, n + more, 0, NULL) == last ? (void *)p->start :
								     MAP_FAILED;
}

void *shim_pieces_remap(void *old, size_t old_len, size_t new_len, int flags,
			void *new_addr)
{
	bool stays = !(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP));
	void *va = MAP_FAILED;
	struct pieces p;

	/* What is to be cut off may be gone: kernels before Linux 6.17 begin with that. */
	if (!pieces_find(&p, old, old_len < new_len ? old_len : new_len))
		return MAP_FAILED;
	if (stays && new_len <= old_len) {
		if (new_len == old_len ||
		    !shim_raw_munmap((char *)old + new_len, old_len - new_len))
			va = old;
	} else {
		if (stays)
			va = stretch(&p, new_len - old_len);
		if (va == MAP_FAILED && (flags & MREMAP_MAYMOVE))
			va = move(&p, old_len, new_len, flags, new_addr);
	}
	pieces_forget(&p);
	return va;
}
