/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/radix.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * Nodes not in use, by level.  A bare mutex: callers hold locks of any rank,
 * and nothing is taken under it.
 */
static pthread_mutex_t lists_lock = PTHREAD_MUTEX_INITIALIZER;
static struct radix_node *lists[RADIX_LEVELS];
static uint64_t nodes_made;

void contig_radix_fork_prepare(void)
{
	pthread_mutex_lock(&lists_lock);
}

void contig_radix_fork_done(void)
{
	pthread_mutex_unlock(&lists_lock);
}

uint64_t contig_radix_memory(void)
{
	return __atomic_load_n(&nodes_made, __ATOMIC_RELAXED) * sizeof(struct radix_node);
}

/* The one place where nodes get memory; they never give it back. */
static struct radix_node *node_make(unsigned int level)
{
	struct radix_node *node = calloc(1, sizeof(*node));

	if (node) {
		node->level = level;
		__atomic_fetch_add(&nodes_made, 1, __ATOMIC_RELAXED);
	}
	return node;
}

/* A node without entries. */
static struct radix_node *node_get(struct radix *radix, unsigned int level)
{
	struct radix_node *node = radix->spare[level];

	if (node) {
		radix->spare[level] = NULL;
		return node;
	}
	pthread_mutex_lock(&lists_lock);
	node = lists[level];
	if (node)
		lists[level] = node->next;
	pthread_mutex_unlock(&lists_lock);
	return node ? node : node_make(level);
}

static void node_put(struct radix *radix, struct radix_node *node)
{
	if (!radix->spare[node->level]) {
		radix->spare[node->level] = node;
		return;
	}
	pthread_mutex_lock(&lists_lock);
	node->next = lists[node->level];
	lists[node->level] = node;
	pthread_mutex_unlock(&lists_lock);
}

static void slot_set(struct radix_node *node, unsigned int slot, void *value)
{
	if (value)
		node->used |= UINT64_C(1) << slot;
	else
		node->used &= ~(UINT64_C(1) << slot);
	__atomic_store_n(&node->slots[slot], value, __ATOMIC_RELEASE);
}

/* A node that no slot leads to any more.  Readers who are in it learn from
 * the sequence, before anything else can be in it: slots are stored with
 * release, so none is seen before it. */
static void node_retire(struct radix *radix, struct radix_node *node)
{
	__atomic_store_n(&radix->sequence, radix->sequence + 1, __ATOMIC_RELEASE);
	for (uint64_t used = node->used; used; used &= used - 1)
		slot_set(node, (unsigned int)__builtin_ctzll(used), NULL);
	node_put(radix, node);
}

static unsigned int level_for(uint64_t index)
{
	unsigned int level = 0;

	while (!radix_reaches(level, index))
		level++;
	return level;
}

/* A chain of new nodes from this level down to the entry. */
static struct radix_node *branch_make(struct radix *radix, unsigned int level, uint64_t index,
				      void *entry)
{
	void *below = entry;

	for (unsigned int l = 0; l <= level; l++) {
		struct radix_node *node = node_get(radix, l);

		if (!node) {
			while (l > 0) {
				struct radix_node *made = below;

				l--;
				below = made->slots[radix_slot(index, l)];
				slot_set(made, radix_slot(index, l), NULL);
				node_put(radix, made);
			}
			return NULL;
		}
		slot_set(node, radix_slot(index, l), below);
		below = node;
	}
	return below;
}

static void root_set(struct radix *radix, struct radix_node *root)
{
	__atomic_store_n(&radix->root, root, __ATOMIC_RELEASE);
}

/* The root no larger than its entries need: a lone first child takes over. */
static void root_shrink(struct radix *radix)
{
	while (radix->root && radix->root->level && radix->root->used == 1) {
		struct radix_node *old = radix->root;

		root_set(radix, old->slots[0]);
		node_retire(radix, old);
	}
}

/* The root large enough for the index. */
static int root_grow(struct radix *radix, uint64_t index)
{
	while (!radix_reaches(radix->root->level, index)) {
		struct radix_node *root = node_get(radix, radix->root->level + 1);

		if (!root) {
			root_shrink(radix);
			return -ENOMEM;
		}
		slot_set(root, 0, radix->root);
		root_set(radix, root);
	}
	return 0;
}

int contig_radix_insert(struct radix *radix, uint64_t index, void *entry)
{
	struct radix_node *node, *branch;
	unsigned int slot, level;

	if (!entry)
		return -EINVAL;
	/* An empty leaf is kept: a single entry may come and go often. */
	if (radix->root && !radix->entries && !radix_reaches(0, index)) {
		node = radix->root;
		root_set(radix, NULL);
		node_retire(radix, node);
	}
	if (!radix->root) {
		branch = branch_make(radix, level_for(index), index, entry);
		if (!branch)
			return -ENOMEM;
		root_set(radix, branch);
		radix->entries++;
		return 0;
	}
	if (root_grow(radix, index) < 0)
		return -ENOMEM;
	for (node = radix->root, level = node->level;; level--) {
		slot = radix_slot(index, level);
		if (!level || !node->slots[slot])
			break;
		node = node->slots[slot];
	}
	if (!level) {
		if (node->slots[slot])
			return -EEXIST;
		slot_set(node, slot, entry);
	} else {
		branch = branch_make(radix, level - 1, index, entry);
		if (!branch) {
			root_shrink(radix);
			return -ENOMEM;
		}
		slot_set(node, slot, branch);
	}
	radix->entries++;
	return 0;
}

/* The leaf of an index that has an entry. */
static struct radix_node *leaf_of(const struct radix *radix, uint64_t index)
{
	struct radix_node *node = radix->root;

	while (node->level)
		node = node->slots[radix_slot(index, node->level)];
	return node;
}

uint64_t contig_radix_insert_run(struct radix *radix, uint64_t index, uint64_t n, void *first,
				 size_t stride)
{
	uint64_t done = 0;

	while (done < n) {
		struct radix_node *leaf;
		unsigned int slot;

		if (contig_radix_insert(radix, index + done, (char *)first + done * stride))
			break;
		leaf = leaf_of(radix, index + done);
		slot = radix_slot(index + done, 0);
		for (done++; done < n && ++slot < RADIX_SLOTS && !leaf->slots[slot]; done++) {
			slot_set(leaf, slot, (char *)first + done * stride);
			radix->entries++;
		}
	}
	return done;
}

void *contig_radix_remove(struct radix *radix, uint64_t index)
{
	struct radix_node *path[RADIX_LEVELS], *node = radix->root;
	unsigned int top, level;
	void *entry;

	if (!node || !radix_reaches(node->level, index))
		return NULL;
	top = node->level;
	for (level = top;; level--) {
		path[level] = node;
		if (!level)
			break;
		node = node->slots[radix_slot(index, level)];
		if (!node)
			return NULL;
	}
	entry = node->slots[radix_slot(index, 0)];
	if (!entry)
		return NULL;
	radix->entries--;
	if (!top) {
		slot_set(path[0], radix_slot(index, 0), NULL);
		return entry;
	}
	for (level = 0; level <= top; level++) {
		slot_set(path[level], radix_slot(index, level), NULL);
		if (path[level]->used)
			break;
	}
	/* Those below the break are empty, and out of reach. */
	if (level > top)
		root_set(radix, NULL);
	while (level > 0)
		node_retire(radix, path[--level]);
	root_shrink(radix);
	return entry;
}

void *contig_radix_next(const struct radix *radix, uint64_t *index)
{
	const struct radix_node *path[RADIX_LEVELS], *node = radix->root;
	uint64_t at = *index, left;
	unsigned int level, slot;

	if (!node || !radix_reaches(node->level, at))
		return NULL;
	for (level = node->level;;) {
		path[level] = node;
		left = node->used >> radix_slot(at, level);
		if (left) {
			unsigned int ahead = (unsigned int)__builtin_ctzll(left);

			if (ahead) {
				at = (at >> (level * RADIX_SHIFT)) + ahead;
				at <<= level * RADIX_SHIFT;
			}
			slot = radix_slot(at, level);
			if (!level) {
				*index = at;
				return node->slots[slot];
			}
			node = node->slots[slot];
			level--;
			continue;
		}
		/* Nothing more in this node: on with the next slot above. */
		do {
			if (level == radix->root->level)
				return NULL;
			level++;
			slot = radix_slot(at, level);
		} while (slot == RADIX_SLOTS - 1);
		at = ((at >> (level * RADIX_SHIFT)) + 1) << (level * RADIX_SHIFT);
		if (!at)
			return NULL; /* the topmost level has 16 slots */
		node = path[level];
	}
}

void *contig_radix_prev(const struct radix *radix, uint64_t *index)
{
	const struct radix_node *path[RADIX_LEVELS], *node = radix->root;
	uint64_t at = *index, left;
	unsigned int level, slot;

	if (!node)
		return NULL;
	if (!radix_reaches(node->level, at))
		at = (UINT64_C(1) << ((node->level + 1) * RADIX_SHIFT)) - 1;
	for (level = node->level;;) {
		path[level] = node;
		slot = radix_slot(at, level);
		left = node->used << (RADIX_SLOTS - 1 - slot);
		if (left) {
			unsigned int back = (unsigned int)__builtin_clzll(left);

			if (back) {
				/* The last index of that slot. */
				at = (at >> (level * RADIX_SHIFT)) - back + 1;
				at = (at << (level * RADIX_SHIFT)) - 1;
			}
			slot -= back;
			if (!level) {
				*index = at;
				return node->slots[slot];
			}
			node = node->slots[slot];
			level--;
			continue;
		}
		do {
			if (level == radix->root->level)
				return NULL;
			level++;
			slot = radix_slot(at, level);
		} while (!slot);
		at = ((at >> (level * RADIX_SHIFT)) << (level * RADIX_SHIFT)) - 1;
		node = path[level];
	}
}

static void subtree_retire(struct radix *radix, struct radix_node *node)
{
	if (node->level)
		for (uint64_t used = node->used; used; used &= used - 1)
			subtree_retire(radix, node->slots[__builtin_ctzll(used)]);
	node_retire(radix, node);
}

void contig_radix_destroy(struct radix *radix)
{
	struct radix_node *root = radix->root;

	root_set(radix, NULL);
	if (root)
		subtree_retire(radix, root);
	radix->entries = 0;
	pthread_mutex_lock(&lists_lock);
	for (unsigned int level = 0; level < RADIX_LEVELS; level++) {
		struct radix_node *node = radix->spare[level];

		if (!node)
			continue;
		radix->spare[level] = NULL;
		node->next = lists[level];
		lists[level] = node;
	}
	pthread_mutex_unlock(&lists_lock);
}

static const char *check_node(const struct radix_node *node, unsigned int level, bool lone,
			      uint64_t *entries)
{
	const char *wrong = NULL;

	if (node->level != level)
		return "a node's level is not that of its place";
	if (!node->used && !lone)
		return "a node is empty";
	for (unsigned int slot = 0; slot < RADIX_SLOTS && !wrong; slot++) {
		bool used = node->used >> slot & 1;

		if (used != !!node->slots[slot])
			return "a node's bits differ from its slots";
		if (used && level)
			wrong = check_node(node->slots[slot], level - 1, false, entries);
		else if (used)
			(*entries)++;
	}
	return wrong;
}

const char *contig_radix_check(const struct radix *radix)
{
	uint64_t entries = 0;
	const char *wrong = NULL;

	if (radix->root)
		wrong = check_node(radix->root, radix->root->level, !radix->root->level, &entries);
	if (!wrong && radix->root && radix->root->level && radix->root->used == 1)
		wrong = "the root is larger than it must be";
	if (!wrong && entries != radix->entries)
		wrong = "the count of entries is wrong";
	for (unsigned int level = 0; level < RADIX_LEVELS && !wrong; level++) {
		const struct radix_node *spare = radix->spare[level];

		if (spare && (spare->level != level || spare->used))
			wrong = "a spare node is in use or of another level";
	}
	return wrong;
}
