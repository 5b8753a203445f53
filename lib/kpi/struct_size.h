/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Structures that programs compiled against an older or a newer header hand
 * in: their first field is their size.  Fields are only ever appended.
 */
#ifndef KPI_STRUCT_SIZE_H
#define KPI_STRUCT_SIZE_H

#include <stddef.h>
#include <string.h>

#define STRUCT_SIZE_MAX 4096 /* more is a size that was never set */

/*
 * What the caller gave, over our defaults.  A longer structure is of a newer
 * header: what we don't know of it must be zero.  A shorter one than that of
 * release 1.0 (so far: ours) never existed.  0 or -1.
 */
static inline int contig_struct_copy(void *ours, size_t our_size, const void *theirs,
				     size_t their_size)
{
	const unsigned char *bytes = theirs;

	if (their_size < our_size || their_size > STRUCT_SIZE_MAX)
		return -1;
	for (size_t i = our_size; i < their_size; i++)
		if (bytes[i])
			return -1;
	memcpy(ours, theirs, their_size < our_size ? their_size : our_size);
	return 0;
}

/* Ours, as far as the caller's structure reaches; the rest of it zero. */
static inline void contig_struct_give(void *theirs, size_t their_size, const void *ours,
				      size_t our_size)
{
	memset(theirs, 0, their_size);
	memcpy(theirs, ours, their_size < our_size ? their_size : our_size);
	*(size_t *)theirs = their_size;
}

#endif
