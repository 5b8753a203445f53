/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a process's memory is made of: its mappings, and for each the pages,
 * runs, page sizes and nodes behind it.  A run is memory whose frames follow
 * each other as its addresses do.
 *
 * Pages are counted as they stream by.  What is kept is a record for each
 * mapping and a few tables of fixed size, however large the process.
 */
#ifndef TOOLS_MAP_H
#define TOOLS_MAP_H

#include "emitter.h"
#include "map_longest.h"
#include "map_node.h"
#include "map_source.h"
#include "map_strip.h"
#include "target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All in base pages. */
struct map_tally {
	uint64_t present;    /* zero and hidden ones included */
	uint64_t zero;	     /* the kernel's page of zeros, read and never written */
	uint64_t swapped, hidden;
	uint64_t runs, in_runs, longest;
	uint64_t superpages; /* base pages that superpages map */
};

enum map_page_size {
	PAGES_BASE,    /* base pages throughout, as far as present */
	PAGES_ASK,     /* superpages are possible: still to be asked */
	PAGES_SUPER,   /* superpages: tally.superpages of superpage_size */
	PAGES_UNKNOWN
};

struct map_vma {
	uint64_t start, end, offset;
	char permissions[5];
	const char *name;    /* of the map's; "" anonymous */
	struct map_tally t;
	bool joins;	     /* its first run goes on from the mapping before, of this name */
	uint64_t longest_joined; /* of runs through mappings of this name that end here */
	enum map_page_size sizes;
	uint64_t superpage_size;
	uint64_t *node_pages; /* by index of map_nodes; NULL until one is known */
	bool missed;	     /* could not be read */
	bool empty;	     /* known to have no pages */
};

/* A run that is still growing, of a mapping or of several that adjoin. */
struct map_run {
	uint64_t va, frame, pages;
};

#define MAP_SIZES 24

struct map_size {
	uint64_t size, pages; /* bytes; base pages mapped by pages of this size */
};

struct map {
	const struct target *process;
	struct map_source source;
	struct map_vma *vmas;
	size_t n;
	void *names;	     /* of map_vmas.c */
	struct map_tally total; /* runs go on through adjoining mappings */
	struct map_size sizes[MAP_SIZES];
	unsigned int n_sizes;
	uint64_t size_unknown; /* base pages */
	struct map_size folios[MAP_SIZES];
	unsigned int n_folios;
	int folio_error;
	struct map_nodes nodes;
	uint64_t node_pages[MAP_NODES + 1];
	struct map_longest longest;
	struct map_strip strip;
	size_t missed, changed; /* mappings */
	bool ended;	     /* the process, or its memory by execve */
	bool hidden;
	int sizes_error;     /* why page sizes are unknown, -errno */
	uint64_t ns;	     /* that reading took */
};

struct map_options {
	const char *pattern; /* of names, NULL: all */
	bool by_address;
	uint64_t address;
	bool no_page_sizes, folios, progress;
	size_t longest;	     /* runs to keep */
};

/* Read the mappings that the options select.  0/-errno; out is empty then. */
int map_vmas_read(struct map *out, const struct target *p,
		  const struct map_options *options);
/* Compare with the mappings as they are now: out->changed. */
void map_vmas_compare(struct map *m, const struct map_options *options);
/* Index of the mapping that starts there; m->n: none does. */
size_t map_vmas_find(const struct map *m, uint64_t start);
/* Without PAGEMAP_SCAN holes have to be read, 0.6 s a terabyte: find large
 * mappings that are nothing else, from smaps. */
void map_vmas_find_empty(struct map *m);
void map_vmas_free(struct map *m);

/* Read everything.  0/-errno, with the object that failed. */
int map_read(struct map *m, const struct target *p, const struct map_options *options,
	     const char **object);
void map_free(struct map *m);

/* Names of the main table's columns, for a message; and the table itself. */
extern const char map_column_names[];
char *map_bad_column(const struct emitter *e);
void map_emit_table(struct emitter *e, const struct map *m, bool summary);
char *map_short_size(uint64_t size, char *buf, size_t len); /* "4K", "512M" */
/* table_only: nothing else, for a program. */
void map_emit(struct emitter *e, const struct map *m, bool summary, bool table_only);
/* Why something is unknown, was missed, or has changed; lines for people. */
void map_emit_notes(struct emitter *e, const struct map *m, bool folios);

/* m->strip on a terminal, or in a file when path is given.  0/-errno. */
int map_picture(struct map *m, const char *path, const char *title);

void map_size_add(struct map_size *sizes, unsigned int *n, uint64_t size, uint64_t pages);

#endif
