/* SPDX-License-Identifier: BSD-2-Clause */
/* Queue pairs of an NVMe controller, and the lists of pages of their commands. */
#include "nvme.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DOORBELLS 0x1000 /* 3.1.24 */

_Static_assert(sizeof(struct nvme_command) == 64, "an entry's size is fixed");
_Static_assert(sizeof(struct nvme_completion) == 16, "an entry's size is fixed");

/* 4.6.1.2: by status code type, status code. */
static const struct {
	unsigned int type, code;
	const char *name;
} status_names[] = {
	{0, 0x01, "invalid command opcode"},
	{0, 0x02, "invalid field in command"},
	{0, 0x03, "command identifier conflict"},
	{0, 0x04, "data transfer error"},
	{0, 0x05, "aborted: power loss"},
	{0, 0x06, "internal error"},
	{0, 0x07, "abort requested"},
	{0, 0x08, "aborted: submission queue deleted"},
	{0, 0x0b, "invalid namespace or format"},
	{0, 0x0c, "command sequence error"},
	{0, 0x13, "invalid PRP offset"},
	{0, 0x15, "operation denied"},
	{0, 0x1c, "sanitize failed"},
	{0, 0x1d, "sanitize in progress"},
	{0, 0x20, "namespace is write protected"},
	{0, 0x80, "LBA out of range"},
	{0, 0x81, "capacity exceeded"},
	{0, 0x82, "namespace not ready"},
	{0, 0x83, "reservation conflict"},
	{0, 0x84, "format in progress"},
	{1, 0x00, "completion queue invalid"},
	{1, 0x01, "invalid queue identifier"},
	{1, 0x02, "invalid queue size"},
	{1, 0x0c, "invalid queue deletion"},
	{1, 0x80, "conflicting attributes"},
	{1, 0x82, "attempted write to read only range"},
	{2, 0x80, "write fault"},
	{2, 0x81, "unrecovered read error"},
	{2, 0x82, "end-to-end guard check error"},
	{2, 0x85, "compare failure"},
	{2, 0x86, "access denied"},
	{2, 0x87, "deallocated or unwritten block"},
};

void nvme_command_failed(const struct nvme *nvme, const char *what, uint16_t status)
{
	unsigned int code = status >> 1 & 0xff, type = status >> 9 & 7;
	const char *name = "see the specification, or the maker's for type 7";

	for (size_t i = 0; i < sizeof(status_names) / sizeof(status_names[0]); i++)
		if (status_names[i].type == type && status_names[i].code == code)
			name = status_names[i].name;
	nvme_complain(nvme, "%s failed: status type %u, code 0x%02x (%s)%s", what, type, code,
		      name, status & 0x8000 ? "; no use trying again" : "");
}

/* 3.1.24 and 3.1.25. */
static size_t doorbell(const struct nvme_queue *queue, unsigned int completion)
{
	return DOORBELLS + (2 * queue->id + completion) * queue->nvme->doorbell;
}

int nvme_queue_init(struct nvme_queue *queue, struct nvme *nvme, unsigned int id,
		    unsigned int depth)
{
	*queue = (struct nvme_queue){
		.nvme = nvme, .id = id, .depth = depth, .entries = depth + 1, .phase = 1};
	if (doorbell(queue, 1) + sizeof(uint32_t) > nvme->pci.bars[0].size) {
		nvme_complain(nvme, "queue %u has no doorbell in %zu bytes of registers", id,
			      nvme->pci.bars[0].size);
		return -1;
	}
	queue->requests = calloc(depth, sizeof(*queue->requests));
	if (!queue->requests) {
		nvme_complain(nvme, "no memory for %u requests", depth);
		goto fail;
	}
	queue->commands = nvme_alloc(nvme, queue->entries * sizeof(*queue->commands), 0);
	if (!queue->commands)
		goto fail;
	queue->completions = nvme_alloc(nvme, queue->entries * sizeof(*queue->completions), 0);
	if (!queue->completions)
		goto fail;
	queue->commands_pa = contig_virt_to_phys(queue->commands);
	queue->completions_pa = contig_virt_to_phys(queue->completions);
	for (unsigned int i = 0; i < depth; i++) {
		struct nvme_request *request = &queue->requests[i];

		/* The device takes what comes after a page of PRPs for no PRP of
		 * ours: a list lies between two multiples of the page. */
		request->list = nvme_alloc(nvme, nvme->page, nvme->page);
		if (!request->list)
			goto fail;
		request->list_pa = contig_virt_to_phys(request->list);
	}
	return 0;
fail:
	nvme_queue_free(queue);
	return -1;
}

void nvme_queue_free(struct nvme_queue *queue)
{
	for (unsigned int i = 0; queue->requests && i < queue->depth; i++)
		contig_free(queue->requests[i].list);
	free(queue->requests);
	contig_free(queue->completions);
	contig_free(queue->commands);
	*queue = (struct nvme_queue){0};
}

/*
 * 4.3: the first page may begin anywhere; then whole pages.  PRP 2 is the
 * second page, or where there are more, the address of the list of them.
 * Each page is looked up: the block's being contiguous is not made use of,
 * and memory put together from pieces would do as well.
 */
static int fill_prps(struct nvme_queue *queue, struct nvme_request *request,
		     struct nvme_command *command, const char *data, size_t length)
{
	size_t page = queue->nvme->page, first;
	unsigned int n = 0;

	command->prp1 = command->prp2 = 0;
	if (!length)
		return 0;
	command->prp1 = contig_virt_to_phys_inline(data);
	first = page - (command->prp1 & (page - 1));
	if (command->prp1 == CONTIG_PADDR_NONE)
		goto no_address;
	for (size_t at = first; at < length; at += page) {
		if (n == page / sizeof(*request->list)) {
			nvme_complain(queue->nvme, "%zu bytes are too long for one command",
				      length);
			return -1;
		}
		request->list[n] = contig_virt_to_phys_inline(data + at);
		if (request->list[n++] == CONTIG_PADDR_NONE)
			goto no_address;
	}
	if (n)
		command->prp2 = n == 1 ? request->list[0] : request->list_pa;
	return 0;

no_address:
	nvme_complain(queue->nvme, "data at %p has no physical address: %s",
		      (const void *)data, contig_strreason());
	return -1;
}

int nvme_queue_submit(struct nvme_queue *queue, struct nvme_command *command,
		      const void *data, size_t length, void *owner)
{
	struct nvme_request *request = NULL;

	/* Commands end in any order: what is free is looked for. */
	for (unsigned int i = 0; i < queue->depth && !request; i++) {
		unsigned int id = (unsigned int)((queue->submitted + i) % queue->depth);

		if (queue->requests[id].busy)
			continue;
		request = &queue->requests[id];
		command->id = (uint16_t)id;
	}
	if (!request) {
		nvme_complain(queue->nvme, "queue %u is full: %u commands in flight",
			      queue->id, queue->depth);
		return -1;
	}
	if (fill_prps(queue, request, command, data, length) < 0)
		return -1;
	request->busy = true;
	request->owner = owner;
	request->sequence = queue->submitted++;
	queue->in_flight++;
	queue->commands[queue->tail] = *command;
	queue->tail = (queue->tail + 1) % queue->entries;
	return 0;
}

void nvme_queue_ring(struct nvme_queue *queue)
{
	pci_write32(queue->nvme->registers, doorbell(queue, 0), queue->tail);
}

int nvme_queue_poll(struct nvme_queue *queue, struct nvme_done *done)
{
	struct nvme_completion *completion = &queue->completions[queue->head];
	struct nvme_request *request;
	uint16_t status, id;

	/* The device writes the entry with the status last, and turns the phase
	 * over at each round; nothing else says that an entry is new. */
	status = __atomic_load_n(&completion->status, __ATOMIC_ACQUIRE);
	if ((status & 1) != queue->phase) {
		/* A register takes a microsecond to read: now and then only. */
		if (++queue->empty_polls % 1024)
			return 0;
		return nvme_broken(queue->nvme) ? -1 : 0;
	}
	id = completion->id;
	if (id >= queue->depth || !queue->requests[id].busy ||
	    completion->sq_id != queue->id) {
		nvme_complain(queue->nvme,
			      "queue %u completed command %u of queue %u, which is not in "
			      "flight; its memory is not what the device has, or the device "
			      "is broken",
			      queue->id, id, completion->sq_id);
		queue->nvme->failed = true;
		return -1;
	}
	request = &queue->requests[id];
	*done = (struct nvme_done){
		.owner = request->owner,
		.sequence = request->sequence,
		.result = completion->result,
		.status = status & 0xfffe,
	};
	request->busy = false;
	queue->in_flight--;
	if (++queue->head == queue->entries) {
		queue->head = 0;
		queue->phase ^= 1;
	}
	pci_write32(queue->nvme->registers, doorbell(queue, 1), queue->head);
	return 1;
}
