/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory files whose descriptors are kept, because other processes get them.
 * A program may close any descriptor (closefrom(3)) and open its own under
 * the number: a kept one is used only while it still is the file it was.
 */
#ifndef HOST_MEMFD_H
#define HOST_MEMFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct memfd {
	int fd; /* -1: none */
	dev_t dev;
	ino_t ino;
	uint64_t size; /* bytes */
};

/* A sealable memory file of this size, or -errno with a reason. */
int contig_memfd_make(uint64_t size);

/*
 * Keep fd, a sealable memory file of ours: its number becomes 3 or more, its
 * mode 0400, and it can neither shrink nor grow from now on.  0/-errno with a
 * reason; on error fd is closed.
 */
int contig_memfd_keep(int fd, struct memfd *out);

/* The same for a file of whatever mode and seals, which it keeps. */
int contig_memfd_adopt(int fd, struct memfd *out);

/* Whether the number still is this file: 0, or -EBADF with a reason. */
int contig_memfd_check(const struct memfd *file);

enum memfd_seals {
	MEMFD_SEALS_FIXED,  /* no seal can be added any more */
	MEMFD_SEALS_WRITERS /* the same, and nobody new can write or punch */
};
int contig_memfd_seal(const struct memfd *file, enum memfd_seals seals);

/* Another descriptor of it, close-on-exec and 3 or more; read-only, or as
 * the library's own.  -errno with a reason. */
int contig_memfd_open(const struct memfd *file, bool writable);

/* Whether every page of it has memory.  1, 0, -errno. */
int contig_memfd_whole(const struct memfd *file);

/* Close it, if it still is this file. */
void contig_memfd_close(struct memfd *file);

#endif
