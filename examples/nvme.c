/* SPDX-License-Identifier: BSD-2-Clause */
#include "nvme.h"

#include <errno.h>
#include <glob.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEVICES "/sys/bus/pci/devices"
#define PCI_CLASS_NVME 0x010802u

/* 3.1: registers and their fields. */
#define CAP 0x00
#define CAP_MQES(cap) ((unsigned int)((cap) & 0xffff)) /* less one */
#define CAP_TO(cap) ((unsigned int)((cap) >> 24 & 0xff)) /* half seconds */
#define CAP_DSTRD(cap) ((unsigned int)((cap) >> 32 & 0xf))
#define CAP_CSS_NVM(cap) ((cap) >> 37 & 1)
#define CAP_MPSMIN(cap) ((unsigned int)((cap) >> 48 & 0xf))
#define INTMS 0x0c
#define CC 0x14
#define CC_EN 1u
#define CC_MPS(shift) ((uint32_t)(shift) << 7)
#define CC_SHN 0xc000u
#define CC_SHN_NORMAL 0x4000u
#define CC_IOSQES_64 (6u << 16)
#define CC_IOCQES_16 (4u << 20)
#define CSTS 0x1c
#define CSTS_RDY 1u
#define CSTS_CFS 2u
#define CSTS_SHST 0xcu
#define CSTS_SHST_COMPLETE 0x8u
#define AQA 0x24
#define ASQ 0x28
#define ACQ 0x30
#define REGISTERS 0x1008 /* up to the admin queue's doorbells */

/* 5: admin commands. */
#define DELETE_SQ 0x00
#define CREATE_SQ 0x01
#define DELETE_CQ 0x04
#define CREATE_CQ 0x05
#define IDENTIFY 0x06
#define SET_FEATURES 0x09
#define IDENTIFY_NAMESPACE 0
#define IDENTIFY_CONTROLLER 1
#define IDENTIFY_SIZE 4096
#define FEATURE_QUEUES 7

#define ADMIN_DEPTH 8
#define ADMIN_MS 10000

MALLOC_DEFINE(M_NVME, "nvme", "NVMe queues and data");

void nvme_complain(const struct nvme *nvme, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "%s: %s: ", program_invocation_short_name, nvme->pci.address);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
}

uint64_t nvme_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int nvme_find(char address[PCI_ADDRESS_SIZE])
{
	glob_t found;
	int status = -1;

	if (!glob(DEVICES "/*/class", 0, NULL, &found)) {
		for (size_t i = 0; i < found.gl_pathc && status < 0; i++) {
			FILE *f = fopen(found.gl_pathv[i], "re");
			unsigned int class;

			if (!f)
				continue;
			if (fscanf(f, "%x", &class) == 1 && class == PCI_CLASS_NVME) {
				snprintf(address, PCI_ADDRESS_SIZE, "%.*s",
					 (int)strcspn(found.gl_pathv[i] + sizeof(DEVICES),
						      "/"),
					 found.gl_pathv[i] + sizeof(DEVICES));
				status = 0;
			}
			fclose(f);
		}
		globfree(&found);
	}
	if (status < 0)
		fprintf(stderr, "%s: no NVMe controller (PCI class %06x) in " DEVICES "\n",
			program_invocation_short_name, PCI_CLASS_NVME);
	return status;
}

void *nvme_alloc(const struct nvme *nvme, size_t size, vm_paddr_t boundary)
{
	const struct nvme_memory *m = &nvme->memory;
	struct contig_range_info info;
	void *p;

	if (m->node < 0)
		p = contigmalloc(size, M_NVME, M_ZERO, m->low, m->high, nvme->page, boundary);
	else
		p = contigmalloc_domainset(size, M_NVME, DOMAINSET_FIXED(m->node), M_ZERO,
					   m->low, m->high, nvme->page, boundary);
	if (!p) {
		nvme_complain(nvme, "no memory for %zu bytes: %s", size, contig_strreason());
		return NULL;
	}
	/* The device goes on with an address whether or not the frame stayed. */
	if (contig_range_check(p, size, &info) != 1 || info.wiring != CONTIG_WIRING_PINNED) {
		nvme_complain(nvme, "memory is not pinned, the kernel could move it under "
				    "the device's hands; \"contig doctor\" tells why");
		contig_free(p);
		return NULL;
	}
	return p;
}

bool nvme_broken(struct nvme *nvme)
{
	uint32_t status = pci_read32(nvme->registers, CSTS);

	if (nvme->failed)
		return true;
	if (status == UINT32_MAX)
		nvme_complain(nvme, "the controller doesn't answer any more");
	else if (status & CSTS_CFS)
		nvme_complain(nvme, "the controller reports a fatal error (CSTS 0x%x): an "
				    "address it can't reach, or a fault of its own",
			      status);
	else
		return false;
	nvme->failed = true;
	return true;
}

/* Wait until CSTS & mask is value.  0, or -1: it is not. */
static int wait_status(struct nvme *nvme, uint32_t mask, uint32_t value, unsigned int ms,
		       const char *what)
{
	uint64_t end = nvme_now_ms() + ms;
	struct timespec nap = {.tv_nsec = 100000};

	for (;;) {
		/* Read before the clock: a process may sleep for long. */
		bool late = nvme_now_ms() > end;
		uint32_t status = pci_read32(nvme->registers, CSTS);

		if (status != UINT32_MAX && (status & mask) == value)
			return 0;
		if (late || status == UINT32_MAX) {
			nvme_complain(nvme, "the controller %s within %u ms (CSTS 0x%x)", what,
				      ms, status);
			nvme->failed = true;
			return -1;
		}
		nanosleep(&nap, NULL);
	}
}

/* 7.6.1 and 3.1.5: EN may change only when RDY has followed. */
static int disable(struct nvme *nvme)
{
	uint32_t cc = pci_read32(nvme->registers, CC);

	if (cc & CC_EN && !(pci_read32(nvme->registers, CSTS) & CSTS_CFS) &&
	    wait_status(nvme, CSTS_RDY, CSTS_RDY, nvme->ready_ms, "was not ready") < 0)
		return -1;
	pci_write32(nvme->registers, CC, cc & ~(CC_EN | CC_SHN));
	return wait_status(nvme, CSTS_RDY, 0, nvme->ready_ms, "was not disabled");
}

static int enable(struct nvme *nvme)
{
	uint32_t entries = nvme->admin.entries - 1;

	/* Not before it was disabled: it may have known another program's memory. */
	if (pci_master(&nvme->pci) < 0)
		return -1;
	/* We poll: nobody would answer an interrupt. */
	pci_write32(nvme->registers, INTMS, UINT32_MAX);
	pci_write32(nvme->registers, AQA, entries << 16 | entries);
	pci_write64(nvme->registers, ASQ, nvme->admin.commands_pa);
	pci_write64(nvme->registers, ACQ, nvme->admin.completions_pa);
	pci_write32(nvme->registers, CC,
		    CC_EN | CC_MPS(__builtin_ctzl(nvme->page) - 12) | CC_IOSQES_64 |
			    CC_IOCQES_16);
	nvme->started = true;
	return wait_status(nvme, CSTS_RDY, CSTS_RDY, nvme->ready_ms, "was not enabled");
}

/* A command of the admin queue, to its end.  0, or -1. */
static int admin(struct nvme *nvme, struct nvme_command *command, const void *data,
		 size_t length, uint32_t *result, const char *what)
{
	uint64_t end = nvme_now_ms() + ADMIN_MS;
	struct nvme_done done;
	int n;

	if (nvme_queue_submit(&nvme->admin, command, data, length, NULL) < 0)
		return -1;
	nvme_queue_ring(&nvme->admin);
	while ((n = nvme_queue_poll(&nvme->admin, &done)) == 0) {
		if (nvme_now_ms() <= end)
			continue;
		nvme_complain(nvme, "%s: no answer within %d ms", what, ADMIN_MS);
		nvme->failed = true;
		return -1;
	}
	if (n < 0)
		return -1;
	if (done.status) {
		nvme_command_failed(nvme, what, done.status);
		return -1;
	}
	if (result)
		*result = done.result;
	return 0;
}

static uint32_t le32(const unsigned char *p)
{
	uint32_t value;

	memcpy(&value, p, sizeof(value));
	return value;
}

/* Text in a structure is filled up with spaces. */
static void copy_text(char *to, const unsigned char *from, size_t length)
{
	while (length && from[length - 1] == ' ')
		length--;
	memcpy(to, from, length);
	to[length] = '\0';
}

/* 5.15.2.2. */
static int look_at_controller(struct nvme *nvme, unsigned char *data)
{
	struct nvme_command command = {.opcode = IDENTIFY, .dw10 = IDENTIFY_CONTROLLER};
	/* Our own bound: a PRP list is one page. */
	size_t list_max = nvme->page / sizeof(uint64_t) * nvme->page;
	unsigned int mdts, rtd3e_ms;

	if (admin(nvme, &command, data, IDENTIFY_SIZE, NULL, "identify controller") < 0)
		return -1;
	copy_text(nvme->serial, data + 4, 20);
	copy_text(nvme->model, data + 24, 40);
	copy_text(nvme->firmware, data + 64, 8);
	mdts = data[77];
	nvme->transfer_max = list_max;
	if (mdts && mdts < 32 && nvme->page << mdts < list_max)
		nvme->transfer_max = nvme->page << mdts;
	rtd3e_ms = le32(data + 88) / 1000;
	if (rtd3e_ms > nvme->shutdown_ms)
		nvme->shutdown_ms = rtd3e_ms;
	if ((data[512] & 0xf) > 6 || data[512] >> 4 < 6 || (data[513] & 0xf) > 4 ||
	    data[513] >> 4 < 4) {
		nvme_complain(nvme, "queue entries of 64 and 16 bytes are not to its liking");
		return -1;
	}
	return 0;
}

/* 5.15.2.1. */
static int look_at_namespace(struct nvme *nvme, uint32_t namespace, unsigned char *data)
{
	struct nvme_command command = {
		.opcode = IDENTIFY, .namespace = namespace, .dw10 = IDENTIFY_NAMESPACE};
	uint32_t format;

	if (admin(nvme, &command, data, IDENTIFY_SIZE, NULL, "identify namespace") < 0)
		return -1;
	memcpy(&nvme->blocks, data, sizeof(nvme->blocks));
	format = le32(data + 128 + 4 * (size_t)((data[26] & 0xf) | (data[26] >> 1 & 0x30)));
	nvme->namespace = namespace;
	nvme->block_size = (size_t)1 << (format >> 16 & 0x3f);
	if (!nvme->blocks) {
		nvme_complain(nvme, "namespace %u is not there, or not attached", namespace);
		return -1;
	}
	if (nvme->block_size < 512 || nvme->block_size > nvme->transfer_max ||
	    format & 0xffff) {
		nvme_complain(nvme,
			      "namespace %u has blocks of %zu bytes and %u of metadata; this "
			      "driver knows none with metadata: format it without",
			      namespace, nvme->block_size, format & 0xffff);
		return -1;
	}
	return 0;
}

int nvme_open(struct nvme *nvme, const char *address, uint32_t namespace,
	      const struct nvme_memory *memory)
{
	unsigned char *data = NULL;
	uint64_t cap;

	*nvme = (struct nvme){.memory = *memory, .shutdown_ms = 5000};
	snprintf(nvme->pci.address, sizeof(nvme->pci.address), "%s", address);
	if (contig_level() != CONTIG_LEVEL_PHYSICAL) {
		nvme_complain(nvme, contig_level() == CONTIG_LEVEL_SIMULATED
					    ? "a device can't use simulated memory: unset "
					      "CONTIG_SIM"
					    : "a device needs physical addresses, which the "
					      "kernel shows to root only");
		return -1;
	}
	if (pci_open(&nvme->pci, address, 0) < 0)
		return -1;
	nvme->registers = pci_map(&nvme->pci, 0, REGISTERS);
	if (!nvme->registers)
		goto close;
	cap = pci_read64(nvme->registers, CAP);
	if (cap == UINT64_MAX || !CAP_CSS_NVM(cap)) {
		nvme_complain(nvme, "no NVMe controller for the NVM command set (CAP 0x%" PRIx64
				    ")",
			      cap);
		goto close;
	}
	nvme->page = (size_t)4096 << CAP_MPSMIN(cap);
	nvme->doorbell = (size_t)4 << CAP_DSTRD(cap);
	/* A queue has one entry more than commands in flight; MQES is less one. */
	nvme->depth_max = CAP_MQES(cap);
	/* 0 is said by controllers that are fast, and by some that aren't. */
	nvme->ready_ms = CAP_TO(cap) ? CAP_TO(cap) * 500 : 500;
	if (disable(nvme) < 0)
		goto close;
	if (nvme_queue_init(&nvme->admin, nvme, 0,
			    ADMIN_DEPTH < nvme->depth_max ? ADMIN_DEPTH : nvme->depth_max) < 0)
		goto close;
	data = nvme_alloc(nvme, IDENTIFY_SIZE, 0);
	if (!data || enable(nvme) < 0 || look_at_controller(nvme, data) < 0 ||
	    look_at_namespace(nvme, namespace, data) < 0)
		goto close;
	contig_free(data);
	return 0;
close:
	nvme_close(nvme);
	contig_free(data);
	return -1;
}

void nvme_close(struct nvme *nvme)
{
	if (nvme->started) {
		uint32_t cc = pci_read32(nvme->registers, CC) & ~CC_SHN;

		/* 7.6.2: what the device still holds in a cache is written. */
		if (!nvme->failed) {
			pci_write32(nvme->registers, CC, cc | CC_SHN_NORMAL);
			wait_status(nvme, CSTS_SHST, CSTS_SHST_COMPLETE, nvme->shutdown_ms,
				    "was not shut down");
		}
		disable(nvme);
	}
	/* Whatever came of that: without bus mastering it reaches no memory. */
	pci_close(&nvme->pci);
	nvme_queue_free(&nvme->admin);
	nvme->started = false;
}

int nvme_queues_create(struct nvme *nvme, struct nvme_queue *queues, unsigned int count,
		       unsigned int depth)
{
	struct nvme_command command = {
		.opcode = SET_FEATURES,
		.dw10 = FEATURE_QUEUES,
		.dw11 = (count - 1) << 16 | (count - 1),
	};
	uint32_t got;

	if (depth > nvme->depth_max) {
		nvme_complain(nvme, "a queue of this controller holds %u commands, not %u",
			      nvme->depth_max, depth);
		return -1;
	}
	if (admin(nvme, &command, NULL, 0, &got, "set the number of queues") < 0)
		return -1;
	nvme->queues_max = (got & 0xffff) < got >> 16 ? (got & 0xffff) + 1 : (got >> 16) + 1;
	if (count > nvme->queues_max) {
		nvme_complain(nvme, "this controller gives %u queues, not %u",
			      nvme->queues_max, count);
		return -1;
	}
	for (unsigned int i = 0; i < count; i++) {
		struct nvme_queue *queue = &queues[i];
		struct nvme_command cq = {.opcode = CREATE_CQ, .dw11 = 1},
				    sq = {.opcode = CREATE_SQ, .dw11 = (i + 1) << 16 | 1};

		if (nvme_queue_init(queue, nvme, i + 1, depth) < 0)
			return -1;
		/* Bit 0 of dw11: PRP 1 is the queue's first page, and what follows
		 * is contiguous.  It would take a list otherwise. */
		cq.dw10 = sq.dw10 = (queue->entries - 1) << 16 | queue->id;
		if (admin(nvme, &cq, queue->completions, queue->nvme->page, NULL,
			  "create completion queue") < 0 ||
		    admin(nvme, &sq, queue->commands, queue->nvme->page, NULL,
			  "create submission queue") < 0)
			return -1;
		queue->known = true;
	}
	return 0;
}

int nvme_queues_delete(struct nvme *nvme, struct nvme_queue *queues, unsigned int count)
{
	int status = 0;

	for (unsigned int i = 0; i < count && !nvme->failed; i++) {
		struct nvme_command sq = {.opcode = DELETE_SQ, .dw10 = queues[i].id},
				    cq = {.opcode = DELETE_CQ, .dw10 = queues[i].id};

		if (!queues[i].known)
			continue;
		queues[i].known = false;
		/* Commands in flight are over when the answer is there; 5.6. */
		if (admin(nvme, &sq, NULL, 0, NULL, "delete submission queue") < 0 ||
		    admin(nvme, &cq, NULL, 0, NULL, "delete completion queue") < 0)
			status = -1;
	}
	return nvme->failed ? -1 : status;
}
