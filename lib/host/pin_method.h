/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to pin*.c: what each method implements. */
#ifndef HOST_PIN_METHOD_H
#define HOST_PIN_METHOD_H

#include "host/pin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The mapping of a ring's submission queue: as long as it lives, so does the
 * ring and with it the pin. */
struct pin_uring {
	void *ring;
	size_t len;
	int kept; /* slot of its descriptor, see contig_pin_keep_descriptors(); -1 */
	uint32_t self; /* whose it is (host/self.h); 0: the children's too */
};

/* 0/-errno with nothing kept. */
int contig_pin_uring_make(struct pin_uring *uring, const struct iovec *ranges,
			  unsigned int n, bool inherit);
void contig_pin_uring_drop(struct pin_uring *uring);
/* In a child that did not get the mapping: its copy of the descriptor. */
void contig_pin_uring_forget(struct pin_uring *uring);

/* 512 pages a GiB, 256 pages a pipe: enough for 8 GiB of 2 MiB pages. */
#define PIN_PIPES 16

struct pin_pipe {
	unsigned int n;
	struct pin_pipe_end {
		int fd; /* the reading end; the other is closed */
		dev_t dev;
		ino_t ino;
	} ends[PIN_PIPES];
};

int contig_pin_pipe_make(struct pin_pipe *pipes, const struct iovec *ranges,
			 unsigned int n, size_t page_size);
/*
 * Descriptors are moved up, out of the way of programs that expect the lowest
 * numbers or close some.  fd itself where that can't be.
 */
int contig_pin_move_up(int fd);
bool contig_pin_pipe_alive(const struct pin_pipe *pipes);
/* Closes what is still ours; never a descriptor the program put there. */
void contig_pin_pipe_drop(struct pin_pipe *pipes);

#endif
