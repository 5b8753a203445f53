/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's edu device: it copies bytes between memory and a buffer of its own.
 * Functions that fail have told the reason on stderr.
 */
#ifndef EXAMPLES_EDU_H
#define EXAMPLES_EDU_H

#include <stdint.h>

#include "pci.h"

#define EDU_VENDOR 0x1234
#define EDU_DEVICE 0x11e8

/* The device's own address of its buffer. */
#define EDU_BUFFER 0x40000
/* QEMU 7 takes the last of its buffer's 4096 bytes for the first one beyond. */
#define EDU_BUFFER_SIZE 4095

enum edu_direction { EDU_FROM_MEMORY, EDU_TO_MEMORY };

struct edu {
	struct pci_device pci;
	void *registers;
};

/*
 * Take the device at address, as pci_open() does; when it is idle, it may do DMA.
 * 0, or -1.
 */
int edu_open(struct edu *edu, const char *address, unsigned int flags);

/* As pci_close(): it knows no memory afterwards. */
void edu_close(struct edu *edu);

/*
 * Have count bytes copied.  One of source and destination is a bus address,
 * the other one lies in the device's buffer.
 */
void edu_start(const struct edu *edu, uint64_t source, uint64_t destination,
	       uint64_t count, enum edu_direction direction);

/* Wait until they are copied.  0, or -1 after some seconds. */
int edu_wait(const struct edu *edu);

#endif
