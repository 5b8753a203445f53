/* SPDX-License-Identifier: BSD-2-Clause */
#include "kpi/malloc_type.h"

#include "phys/magazine.h"
#include "phys/usage.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

MALLOC_DEFINE(M_DEVBUF, "devbuf", "device driver memory");
MALLOC_DEFINE(M_TEMP, "temp", "misc temporary data buffers");

/* Types beyond this many are counted as untyped. */
#define TYPES_MAX 4096

/* Copied: a type may vanish with the module that defined it. */
static struct {
	char name[32];
	unsigned char ready;
} types[TYPES_MAX] = {[LABEL_UNTYPED] = {"untyped", 1}};
static uint32_t next_label = LABEL_UNTYPED + 1;

/* Without a lock, so that fork(2) has none to care for. */
uint16_t contig_type_label_slow(struct malloc_type *type)
{
	uint32_t label, none = 0;

	if (!type)
		return LABEL_UNTYPED;
	label = __atomic_load_n(&next_label, __ATOMIC_RELAXED);
	do {
		if (label >= TYPES_MAX)
			return LABEL_UNTYPED;
	} while (!__atomic_compare_exchange_n(&next_label, &label, label + 1, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	snprintf(types[label].name, sizeof(types[label].name), "%s",
		 type->ks_shortdesc ? type->ks_shortdesc : "?");
	__atomic_store_n(&types[label].ready, 1, __ATOMIC_RELEASE);
	/* Another thread may have been first: then this label stays unused. */
	if (__atomic_compare_exchange_n(&type->ks_id, &none, label, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return (uint16_t)label;
	types[label].name[0] = '\0';
	return (uint16_t)none;
}

/* The index'th label that was ever allocated under. */
static uint32_t nth_used(unsigned int index, struct usage_total *total)
{
	uint32_t end = __atomic_load_n(&next_label, __ATOMIC_RELAXED);

	for (uint32_t label = LABEL_UNTYPED; label < end; label++) {
		if (!__atomic_load_n(&types[label].ready, __ATOMIC_ACQUIRE))
			continue;
		contig_usage_total((uint16_t)label, total);
		if (total->allocs && !index--)
			return label;
	}
	return 0;
}

int contig_type_stats_get(unsigned int index, struct contig_type_stats *out)
{
	struct usage_total total;
	uint32_t label;

	contig_magazines_fold();
	label = nth_used(index, &total);
	if (!label) {
		errno = ENOENT;
		return -1;
	}
	memset(out, 0, sizeof(*out));
	memcpy(out->name, types[label].name, sizeof(out->name));
	/* Threads fold at different moments: a free may be seen first. */
	out->inuse = total.frees > total.allocs ? 0 : total.allocs - total.frees;
	out->memuse = total.bytes < 0 ? 0 : (uint64_t)total.bytes;
	out->requests = total.allocs;
	out->highwater = total.high < 0 ? 0 : (uint64_t)total.high;
	return 0;
}
