/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sparse array of pointers by a 64-bit index.  Memory grows with the
 * entries, not with the span.  Writers exclude each other (the caller's
 * lock); readers take no lock: a lookup that races with a writer gives the
 * entry before or after the change, never one of another index or array.
 *
 * Nodes have 64 slots.  A node's memory is reused for nodes of its own level
 * only and never unmapped, so that a reader who lost a race reads nodes in
 * any case; the array's sequence number, which changes before a node that was
 * in it is reused, tells that it did.
 */
#ifndef BASE_RADIX_H
#define BASE_RADIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RADIX_SHIFT 6
#define RADIX_SLOTS 64u
#define RADIX_LEVELS 11 /* 64 bits */

struct radix_node {
	struct radix_node *next; /* of a list of nodes not in use */
	unsigned int level;      /* 0: slots are entries; never changes */
	uint64_t used;           /* bit per slot; writers and walks only */
	void *slots[RADIX_SLOTS];
};

/* All zero: empty. */
struct radix {
	struct radix_node *root; /* NULL, or a leaf without entries: empty */
	uint64_t entries;
	uint64_t sequence;       /* nodes that left, ever */
	/* One node of each level at hand, so that an entry that comes and goes
	 * costs no list's lock. */
	struct radix_node *spare[RADIX_LEVELS];
};

static inline unsigned int radix_slot(uint64_t index, unsigned int level)
{
	return (unsigned int)(index >> (level * RADIX_SHIFT)) & (RADIX_SLOTS - 1);
}

/* Whether a root of this level reaches the index. */
static inline bool radix_reaches(unsigned int level, uint64_t index)
{
	return level >= RADIX_LEVELS - 1 || !(index >> ((level + 1) * RADIX_SHIFT));
}

/* NULL: no entry. */
static inline void *radix_lookup(const struct radix *radix, uint64_t index)
{
	uint64_t before = __atomic_load_n(&radix->sequence, __ATOMIC_ACQUIRE), after;
	void *at;

	for (;; before = after) {
		struct radix_node *root = __atomic_load_n(&radix->root, __ATOMIC_ACQUIRE);

		at = root;
		if (root && !radix_reaches(root->level, index))
			at = NULL;
		for (unsigned int level = root ? root->level + 1 : 0; at && level > 0; level--)
			at = __atomic_load_n(&((struct radix_node *)at)
						      ->slots[radix_slot(index, level - 1)],
					     __ATOMIC_ACQUIRE);
		/* The slots' loads are acquiring: this one comes after them. */
		after = __atomic_load_n(&radix->sequence, __ATOMIC_ACQUIRE);
		if (__builtin_expect(before == after, 1))
			return at;
	}
}

/* 0, -ENOMEM, -EEXIST, or -EINVAL for NULL. */
int contig_radix_insert(struct radix *radix, uint64_t index, void *entry);
/* n entries from index on, stride bytes apart, up to the first that is there
 * already or has no memory.  How many. */
uint64_t contig_radix_insert_run(struct radix *radix, uint64_t index, uint64_t n, void *first,
				 size_t stride);
void *contig_radix_remove(struct radix *radix, uint64_t index); /* or NULL */
/* First entry at or behind *index, which becomes its; NULL: none.  Not beside
 * a writer. */
void *contig_radix_next(const struct radix *radix, uint64_t *index);
/* Last entry at or before *index. */
void *contig_radix_prev(const struct radix *radix, uint64_t *index);
/* Empty it; its nodes become others'.  Late readers do no harm. */
void contig_radix_destroy(struct radix *radix);
/* NULL, or what is wrong. */
const char *contig_radix_check(const struct radix *radix);

/* Nodes ever made, bytes. */
uint64_t contig_radix_memory(void);

/* fork(2): hold the lists of nodes. */
void contig_radix_fork_prepare(void);
void contig_radix_fork_done(void);

#endif
