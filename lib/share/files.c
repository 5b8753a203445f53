/* SPDX-License-Identifier: BSD-2-Clause */
#include "share/files.h"

#include <stdlib.h>

#define SLOTS_LEAST 16

/* Numbers are the peer's choice: mixed, so that it can't line them up by
 * accident; on purpose it can, and then only its own requests are slow. */
static size_t slot_of(const struct shared_files *files, uint64_t number)
{
	number *= UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(number >> 32) & (files->n_slots - 1);
}

struct shared_file *contig_files_find(const struct shared_files *files, uint64_t number)
{
	if (!files->n_slots || !number)
		return NULL;
	for (size_t i = slot_of(files, number);; i = (i + 1) & (files->n_slots - 1)) {
		if (files->slots[i].number == number)
			return &files->slots[i];
		if (!files->slots[i].number)
			return NULL;
	}
}

static struct shared_file *place(struct shared_files *files, uint64_t number)
{
	size_t i = slot_of(files, number);

	while (files->slots[i].number)
		i = (i + 1) & (files->n_slots - 1);
	return &files->slots[i];
}

static bool grow(struct shared_files *files)
{
	struct shared_files bigger = {NULL, files->n_slots ? 2 * files->n_slots : SLOTS_LEAST,
				      files->n};

	bigger.slots = calloc(bigger.n_slots, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	FILES_EACH(files, file)
		*place(&bigger, file->number) = *file;
	free(files->slots);
	*files = bigger;
	return true;
}

struct shared_file *contig_files_add(struct shared_files *files, uint64_t number)
{
	struct shared_file *file;

	if (4 * (files->n + 1) > 3 * files->n_slots && !grow(files))
		return NULL;
	file = place(files, number);
	*file = (struct shared_file){.number = number, .fd = -1};
	files->n++;
	return file;
}

/* Those behind it that were displaced by it move up. */
void contig_files_remove(struct shared_files *files, struct shared_file *file)
{
	size_t mask = files->n_slots - 1, hole = (size_t)(file - files->slots);

	files->n--;
	for (size_t i = (hole + 1) & mask; files->slots[i].number; i = (i + 1) & mask) {
		size_t home = slot_of(files, files->slots[i].number);

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			files->slots[hole] = files->slots[i];
			hole = i;
		}
	}
	files->slots[hole] = (struct shared_file){.fd = -1};
}

void contig_files_destroy(struct shared_files *files)
{
	free(files->slots);
	*files = (struct shared_files){NULL, 0, 0};
}
