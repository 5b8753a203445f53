/* SPDX-License-Identifier: BSD-2-Clause */
/* Malloc types: a number (the usage label) for each, found or given. */
#ifndef KPI_MALLOC_TYPE_H
#define KPI_MALLOC_TYPE_H

#include "contig/contigmalloc.h"

#include <stdint.h>

/* Label of untyped memory (type NULL, or more types than there are labels). */
#define LABEL_UNTYPED 1

uint16_t contig_type_label_slow(struct malloc_type *type);

static inline uint16_t type_label(struct malloc_type *type)
{
	unsigned int id = type ? __atomic_load_n(&type->ks_id, __ATOMIC_ACQUIRE) : 0;

	return id ? (uint16_t)id : contig_type_label_slow(type);
}

#endif
