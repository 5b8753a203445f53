/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whose the superpages are.  Each process counts its hugetlb memory, which
 * costs nothing to read; transparent superpages, and where all of them lie, are
 * known only by walking the page tables of every process.
 */
#ifndef TOOLS_PHYS_OWNERS_H
#define TOOLS_PHYS_OWNERS_H

#include "emitter.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct phys_owner {
	pid_t pid;
	char name[32];
	uint64_t hugetlb; /* bytes, as all of these */
	uint64_t hugetlb_private, hugetlb_shared, thp, shmem; /* 0 unless walked */
};

/* What a process has mapped in a superpage's place. */
struct phys_place {
	uint64_t frame;	    /* the first of the place */
	unsigned int owner; /* index */
};

struct phys_owners {
	bool walked;
	size_t n, denied; /* denied: processes that may not be looked at */
	struct phys_owner *owners; /* who has most first */
	size_t n_places;
	struct phys_place *places; /* by frame; none before Linux 6.7 */
};

/* walk: page tables, too.  0/-errno; to be freed even so. */
int phys_owners_read(struct phys_owners *owners, bool walk);
/* Fill places; page and superpage in bytes.  0/-errno. */
int phys_owners_find_places(struct phys_owners *owners, uint64_t page, uint64_t superpage);
void phys_owners_free(struct phys_owners *owners);

/* The table "owners", of those that have most unless walked; lines about what
 * could not be read. */
void phys_owners_emit(struct emitter *e, const struct phys_owners *owners);

/* "redis-server (123) 40, ...": who has how many superpages in [first, end);
 * NULL: nobody, or it isn't known. */
const char *phys_owners_text(const struct phys_owners *owners, uint64_t first, uint64_t end,
			     char *text, size_t len);

#endif
