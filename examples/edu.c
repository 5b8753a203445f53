/* SPDX-License-Identifier: BSD-2-Clause */
#include "edu.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

/* QEMU's docs/specs/edu.txt. */
#define REGISTERS (1u << 20)
#define IDENTITY 0x00
#define LIVENESS 0x04
#define DMA_SOURCE 0x80
#define DMA_DESTINATION 0x88
#define DMA_COUNT 0x90
#define DMA_COMMAND 0x98
#define DMA_START 0x1u
#define DMA_TO_MEMORY 0x2u

/* The low half of the identity; the high one is a version. */
#define IDENTITY_EDU 0x00ed
#define LIVENESS_PROBE 0x12345678u

#define WAIT_SECONDS 10 /* for what takes a tenth of one */

static void complain(const struct edu *edu, const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, edu->pci.address,
		what);
}

int edu_open(struct edu *edu, const char *address, unsigned int flags)
{
	if (pci_open(&edu->pci, address, flags) < 0)
		return -1;
	edu->registers = pci_map(&edu->pci, 0, REGISTERS);
	if (!edu->registers)
		goto close_device;
	pci_write32(edu->registers, LIVENESS, LIVENESS_PROBE);
	if ((pci_read32(edu->registers, IDENTITY) & 0xffff) != IDENTITY_EDU ||
	    pci_read32(edu->registers, LIVENESS) != ~LIVENESS_PROBE) {
		complain(edu, "registers that are no edu device's");
		goto close_device;
	}
	/* What a program before us that was killed had left it to do. */
	if (edu_wait(edu) < 0 || pci_master(&edu->pci) < 0)
		goto close_device;
	return 0;
close_device:
	pci_close(&edu->pci);
	return -1;
}

void edu_close(struct edu *edu)
{
	pci_close(&edu->pci);
}

void edu_start(const struct edu *edu, uint64_t source, uint64_t destination,
	       uint64_t count, enum edu_direction direction)
{
	pci_write64(edu->registers, DMA_SOURCE, source);
	pci_write64(edu->registers, DMA_DESTINATION, destination);
	pci_write64(edu->registers, DMA_COUNT, count);
	pci_write32(edu->registers, DMA_COMMAND,
		    DMA_START | (direction == EDU_TO_MEMORY ? DMA_TO_MEMORY : 0));
}

int edu_wait(const struct edu *edu)
{
	const struct timespec nap = {.tv_nsec = 1000000};
	struct timespec now;
	time_t end;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec + WAIT_SECONDS;
	while (pci_read32(edu->registers, DMA_COMMAND) & DMA_START) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end) {
			complain(edu, "the device doesn't come to an end");
			return -1;
		}
		nanosleep(&nap, NULL);
	}
	return 0;
}
