/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bare addresses: reserved, with nothing there and no memory charged for
 * them; a touch is SIGSEGV.
 */
#ifndef HOST_BARE_H
#define HOST_BARE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#define BARE_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* Somewhere; NULL with errno. */
static inline void *bare_reserve(size_t len)
{
	void *va = mmap(NULL, len, PROT_NONE, BARE_FLAGS, -1, 0);

	return va == MAP_FAILED ? NULL : va;
}

/* In the place of what is mapped there, in one step.  0, or -errno: -ENOMEM is
 * vm.max_map_count, and everything is as it was. */
static inline int bare_again(void *va, size_t len)
{
	return mmap(va, len, PROT_NONE, BARE_FLAGS | MAP_FIXED, -1, 0) == MAP_FAILED ? -errno : 0;
}

/* Where nothing is mapped at all; false: something is, or -ENOMEM. */
static inline bool bare_fill(void *va, size_t len)
{
	return mmap(va, len, PROT_NONE, BARE_FLAGS | MAP_FIXED_NOREPLACE, -1, 0) == va;
}

#endif
