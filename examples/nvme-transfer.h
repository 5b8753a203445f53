/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A range of an NVMe namespace written with a pattern, or compared with it,
 * with as many commands in flight as the queues hold, of any length and
 * beginning anywhere in a page.
 *
 * Each 512 bytes say where they belong, so that data which went to a wrong
 * address is known when it is found: 64 words, little-endian, of which
 *	word 0 is the number of the 512 bytes from the beginning of the namespace,
 *	word 1 the seed,
 *	word i is a + i * b modulo 2^64, where a = mix(seed * GOLDEN + word 0),
 *	b = mix(a) | 1, and mix is splitmix64's finalizer.
 *
 * Functions that fail have told the reason on stderr.
 */
#ifndef EXAMPLES_NVME_TRANSFER_H
#define EXAMPLES_NVME_TRANSFER_H

#include "nvme.h"

#include <signal.h>

#define SECTOR 512
#define QUEUES_MAX 16

/* Data of one command. */
struct buffer {
	unsigned char *block;
	size_t offset; /* of the data in the block */
	size_t length;
	uint64_t sector;
	bool busy;
};

struct transfer {
	struct nvme nvme;
	struct nvme_queue queues[QUEUES_MAX];
	unsigned int n_queues;
	struct buffer *buffers; /* one for each command in flight */
	unsigned int n_buffers;
	size_t command_max; /* bytes */
	size_t block_size;  /* of a buffer */
	int pagemap;	    /* a descriptor of /proc/self/pagemap */
	uint64_t seed, random;
	uint64_t next, end;	     /* sectors */
	uint64_t newest[QUEUES_MAX]; /* latest submitted of what is done */

	/* Counted in each pass. */
	uint64_t commands, overtaken, in_flight_max;
	uint64_t shapes[3]; /* of one page, of two, with a list */
	/* Over all. */
	uint64_t pages_checked, mismatches;
	vm_paddr_t lowest, highest;
};

/* No new commands once this is set. */
extern volatile sig_atomic_t transfer_stopped;

/*
 * The queues must be there, and command_max, seed and pagemap be set.  0, or
 * -1: no memory, or a queue is not where the device was told.
 */
int transfer_init(struct transfer *t);

/* When the device doesn't know the memory any more; frees the queues' too. */
void transfer_free(struct transfer *t);

/*
 * Write the pattern to sectors first to first + count - 1, and flush; or read
 * them and count mismatches.  0, or -1: trouble, or stopped.
 */
int transfer_pass(struct transfer *t, bool write, uint64_t first, uint64_t count);

#endif
