/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small NVMe driver in user space: one controller, its queues, PRP lists
 * and data in memory of contigmalloc(), completions polled.  What the device
 * is told are physical addresses; registers come through sysfs (pci.h).
 * Little-endian machines only.  Section numbers are those of the NVM Express
 * Base Specification 1.4.
 *
 * Functions that fail have told the reason on stderr.  One thread at a time.
 */
#ifndef EXAMPLES_NVME_H
#define EXAMPLES_NVME_H

#include "pci.h"

#include <contig.h>
#include <stdbool.h>
#include <stdint.h>

enum nvme_opcode {
	NVME_FLUSH = 0,
	NVME_WRITE = 1,
	NVME_READ = 2,
};

/* A submission queue entry; 4.2. */
struct nvme_command {
	uint8_t opcode;
	uint8_t flags; /* 0: PRPs, not SGLs */
	uint16_t id;
	uint32_t namespace;
	uint64_t reserved;
	uint64_t metadata;
	uint64_t prp1;
	uint64_t prp2;
	uint32_t dw10, dw11, dw12, dw13, dw14, dw15;
};

/* A completion queue entry; 4.6. */
struct nvme_completion {
	uint32_t result;
	uint32_t reserved;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t id;
	uint16_t status; /* bit 0: the phase */
};

/* Where memory for the device may lie. */
struct nvme_memory {
	int node;             /* -1: any */
	vm_paddr_t low, high; /* as contigmalloc() takes them */
};

/* A command in flight. */
struct nvme_request {
	bool busy;
	void *owner;
	uint64_t sequence;
	uint64_t *list; /* a page of PRPs of its own */
	vm_paddr_t list_pa;
};

struct nvme;

/* A submission queue and the completion queue that goes with it. */
struct nvme_queue {
	struct nvme *nvme;
	unsigned int id;
	unsigned int depth;   /* commands in flight at most */
	unsigned int entries; /* depth + 1: a queue that is full looks empty */
	struct nvme_command *commands;
	struct nvme_completion *completions;
	vm_paddr_t commands_pa, completions_pa;
	struct nvme_request *requests; /* by command identifier */
	unsigned int tail, head, phase;
	unsigned int in_flight;
	uint64_t submitted;
	unsigned int empty_polls;
	bool known; /* to the device, as an I/O queue */
};

/* What nvme_queue_poll() took from the completion queue. */
struct nvme_done {
	void *owner;
	uint64_t sequence; /* 0, 1, ... as submitted */
	uint32_t result;
	uint16_t status; /* 0: success; see nvme_status_name() */
};

struct nvme {
	struct pci_device pci;
	void *registers;
	struct nvme_memory memory;
	struct nvme_queue admin;
	size_t page;         /* the controller's, from 4 KiB */
	size_t doorbell;     /* bytes from one to the next */
	size_t transfer_max; /* bytes a command */
	unsigned int depth_max;
	unsigned int queues_max; /* I/O queue pairs */
	unsigned int ready_ms;	 /* to be enabled or disabled */
	unsigned int shutdown_ms;
	bool started, failed;
	char model[41], serial[21], firmware[9];
	uint32_t namespace;
	uint64_t blocks;   /* of the namespace */
	size_t block_size; /* bytes */
};

/*
 * The address of the first PCI device that says it is an NVMe controller: good
 * enough to read from.
 * 0, or -1.
 */
int nvme_find(char address[PCI_ADDRESS_SIZE]);

/*
 * Take the controller at address, reset and enable it, and look at it and at
 * one of its namespaces.  0, or -1 with nothing kept.
 */
int nvme_open(struct nvme *nvme, const char *address, uint32_t namespace,
	      const struct nvme_memory *memory);

/*
 * Shut the controller down, disable it and turn DMA off.  Its I/O queues and
 * whatever memory the device knew may be freed only then.
 */
void nvme_close(struct nvme *nvme);

/*
 * I/O queue pairs 1 to count, as one step: a controller is asked for their
 * number once.  0, or -1 with nothing that nvme_queue_free() needn't free.
 * The array must begin zeroed.
 */
int nvme_queues_create(struct nvme *nvme, struct nvme_queue *queues, unsigned int count,
		       unsigned int depth);

/*
 * The device forgets the queues, those that it knows; what is in flight is
 * aborted.  0, or -1.
 */
int nvme_queues_delete(struct nvme *nvme, struct nvme_queue *queues, unsigned int count);

/*
 * Memory where the device may have it: pinned, contiguous, from the
 * beginning of a page of the controller, zeroed.  NULL on failure.
 */
void *nvme_alloc(const struct nvme *nvme, size_t size, vm_paddr_t boundary);

/* nvme-queue.c */

/* Memory of a queue, which the device doesn't know yet.  0, or -1. */
int nvme_queue_init(struct nvme_queue *queue, struct nvme *nvme, unsigned int id,
		    unsigned int depth);

/* Not while the device knows it. */
void nvme_queue_free(struct nvme_queue *queue);

/*
 * Put a command into the queue, with length bytes of data, which lie in one
 * block of nvme_alloc(), from a multiple of 4 bytes on; none if length is 0.
 * Fills in the command's identifier and PRPs.  The device looks at it after
 * nvme_queue_ring().  0, or -1: the queue is full, or the data is not memory
 * for a device.
 */
int nvme_queue_submit(struct nvme_queue *queue, struct nvme_command *command,
		      const void *data, size_t length, void *owner);
void nvme_queue_ring(struct nvme_queue *queue);

/* 1: something is done; 0: nothing is; -1: the controller is broken. */
int nvme_queue_poll(struct nvme_queue *queue, struct nvme_done *done);

/* Say that a command ended with a status other than 0. */
void nvme_command_failed(const struct nvme *nvme, const char *what, uint16_t status);

/* Milliseconds of a clock that is never set back. */
uint64_t nvme_now_ms(void);

__attribute__((format(printf, 2, 3))) void nvme_complain(const struct nvme *nvme,
							 const char *format, ...);

/* True when the controller says it is broken or doesn't answer; tells it once. */
bool nvme_broken(struct nvme *nvme);

#endif
