/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A second process that exports a vma and does as it is told: it reads and
 * writes at its own addresses, looks its frames up in its own pagemap and
 * counts its descriptors and mappings.
 */
#ifndef TESTS_SHARING_H
#define TESTS_SHARING_H

#include "probe.h"

#include <contig.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

struct other {
	pid_t pid;
	int control; /* ours to its commands */
	int socket;  /* the importer's end, to be given to vma_import() */
	unsigned long start;
};

struct other_setup {
	size_t size, page_size;
	int prot;
	int type;         /* SOCK_STREAM or SOCK_SEQPACKET */
	uid_t uid;        /* it becomes this user first; 0: stays */
	bool thread;      /* vma_serve_start() instead of its own loop */
	rlim_t descriptors; /* RLIMIT_NOFILE: so many more than it has; 0: as is */
	unsigned int modes; /* vma_accept_modes(); 0: all */
};

/* Made before this process uses the library. */
void other_start(struct other *other, const struct other_setup *setup);
/* Ends it, orderly, and waits. */
void other_stop(struct other *other);
/* One more connection to its vma. */
int other_socket(struct other *other);

/* What it finds at its address: 0, or the signal that reading brought. */
int other_read(struct other *other, unsigned long addr, uint64_t *value);
int other_write(struct other *other, unsigned long addr, uint64_t value);
uint64_t other_address(struct other *other, unsigned long addr); /* physical */
long other_descriptors(struct other *other);
long other_mappings(struct other *other);
/* It inserts a page of its own, zaps; -errno. */
int other_insert(struct other *other, unsigned long addr);
int other_zap(struct other *other, unsigned long addr, unsigned long size);
int other_destroy(struct other *other); /* vma_destroy() */
/* It doesn't look at its socket for so long, from now on. */
void other_stall(struct other *other, unsigned int ms);
/* mprotect() of a page there to read and write: 0 or errno. */
int other_unprotect(struct other *other, unsigned long addr);
/* It forks a child that outlives it, keeps what is mapped at addr, tells its
 * pid, and writes value there after a quarter of a second. */
pid_t other_heir(struct other *other, unsigned long addr, uint64_t value);

/* It maps as much as vm.max_map_count lets it; none of that any more. */
void other_fill(struct other *other);
void other_empty(struct other *other);
uint64_t other_quarantined(struct other *other); /* contig_quarantined() */

/* The same here. */
void fill_mappings(void);
void empty_mappings(void);
/* Here: descriptors open; mappings of memfds, and in the range exported (those
 * alone: a sanitizer makes others). */
long count_descriptors(void);
long count_mappings(void);

/* A shareable pool; fails the case when there is none. */
contig_pool_t *shareable(enum contig_share_mode mode);
/* n pages of it, one after another (2^k of them), zeroed. */
void *shareable_block(contig_pool_t *pool, size_t size);
static inline vm_page_t page_at(const void *va)
{
	return vm_page_of_address(va);
}

#endif
