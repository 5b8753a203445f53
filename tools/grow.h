/* SPDX-License-Identifier: BSD-2-Clause */
/* Arrays that get longer one by one. */
#ifndef TOOLS_GROW_H
#define TOOLS_GROW_H

#include <stdlib.h>

/*
 * An array of n items, with room for one more: its room is always the next
 * power of two, and kept nowhere.  NULL: no memory, and the array is as before.
 */
static inline void *grow(void *array, size_t n, size_t item)
{
	if (n & (n - 1))
		return array;
	return reallocarray(array, n ? 2 * n : 1, item);
}

#endif
