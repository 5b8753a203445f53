/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files of one connection by their number, on either side: what was sent
 * once and is referred to by number from then on.
 */
#ifndef SHARE_FILES_H
#define SHARE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shared_file {
	uint64_t number;    /* 0: a free slot */
	uint64_t size;      /* bytes */
	unsigned int mode;  /* enum wire_mode */
	bool hugetlb;
	bool sealed;        /* fixed mode: its seal is told, or verified */
	/* The exporter's. */
	int fd;             /* -1: closed, the staging does for it */
	char *staging;      /* fixed mode: all of it, mapped out of sight */
	uint64_t serial;    /* numbers come again, this doesn't */
	/* The importer's. */
	uint64_t frame;     /* of the file: the page it was first sent for */
	bool writable;      /* sent so */
	bool used;          /* pages of it are mapped; for a moment only */
};

struct shared_files {
	struct shared_file *slots; /* a power of two of them, open addressing */
	size_t n_slots, n;
};

/* Or NULL.  The pointer is good until the next insertion or removal. */
struct shared_file *contig_files_find(const struct shared_files *files, uint64_t number);
/* A new one, zeroed but for its number (fd -1); NULL: no memory.  The number
 * is neither 0 nor there. */
struct shared_file *contig_files_add(struct shared_files *files, uint64_t number);
void contig_files_remove(struct shared_files *files, struct shared_file *file);
void contig_files_destroy(struct shared_files *files);

#define FILES_EACH(files, file)                                          \
	for (struct shared_file *file = (files)->slots;                  \
	     file && file < (files)->slots + (files)->n_slots; file++)   \
		if (file->number)

#endif
