/* SPDX-License-Identifier: BSD-2-Clause */
#include "nvme-transfer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS (SECTOR / sizeof(uint64_t))
#define FRAME 4096 /* of pagemap */
#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)
#define POISON 0xa5
#define STALL_MS 10000 /* no completion for so long: give up */
#define MISMATCHES_TOLD 5

volatile sig_atomic_t transfer_stopped;

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t random_below(struct transfer *t, uint64_t n)
{
	t->random += GOLDEN;
	return mix(t->random) % n;
}

static void make_sector(uint64_t words[WORDS], uint64_t sector, uint64_t seed)
{
	uint64_t a = mix(seed * GOLDEN + sector), b = mix(a) | 1;

	words[0] = sector;
	words[1] = seed;
	for (size_t i = 2; i < WORDS; i++)
		words[i] = a + i * b;
}

static bool is_poison(const unsigned char *p, size_t n)
{
	return !n || (p[0] == POISON && !memcmp(p, p + 1, n - 1));
}

static void mismatch(struct transfer *t, const struct buffer *buffer, const char *what,
		     uint64_t at)
{
	if (t->mismatches++ < MISMATCHES_TOLD)
		nvme_complain(&t->nvme, "%s at sector %" PRIu64 " (command of sectors %" PRIu64
					  " to %" PRIu64 ", memory 0x%" PRIx64 ")",
			      what, at, buffer->sector,
			      buffer->sector + buffer->length / SECTOR - 1,
			      contig_virt_to_phys(buffer->block));
}

/* What was read is what was written, and nothing around it was touched. */
static void check_data(struct transfer *t, const struct buffer *buffer)
{
	size_t end = buffer->offset + buffer->length;

	for (size_t at = 0; at < buffer->length; at += SECTOR) {
		uint64_t words[WORDS], found[2], sector = buffer->sector + at / SECTOR;
		const unsigned char *data = buffer->block + buffer->offset + at;
		char what[160];

		make_sector(words, sector, t->seed);
		if (!memcmp(words, data, SECTOR))
			continue;
		memcpy(found, data, sizeof(found));
		if (is_poison(data, SECTOR))
			snprintf(what, sizeof(what), "nothing was read");
		else if (found[0] != sector && found[1] == t->seed)
			snprintf(what, sizeof(what), "found what belongs to sector %" PRIu64,
				 found[0]);
		else
			snprintf(what, sizeof(what),
				 "found other data (begins 0x%016" PRIx64 " 0x%016" PRIx64 ")",
				 found[0], found[1]);
		mismatch(t, buffer, what, sector);
	}
	if (!is_poison(buffer->block, buffer->offset) ||
	    !is_poison(buffer->block + end, t->block_size - end))
		mismatch(t, buffer, "the device wrote around the data", buffer->sector);
}

/*
 * Is that where the kernel has it?  pagemap is read here once more, and not
 * by the library: n bytes at p are to be at physical address pa.
 */
static int check_frames(struct transfer *t, const void *p, size_t n, vm_paddr_t pa)
{
	for (size_t at = 0; at < n; at += FRAME - ((uintptr_t)p + at) % FRAME) {
		uintptr_t va = (uintptr_t)p + at;
		uint64_t entry;

		if (pread(t->pagemap, &entry, sizeof(entry),
			  (off_t)(va / FRAME * sizeof(entry))) != (ssize_t)sizeof(entry)) {
			nvme_complain(&t->nvme, "/proc/self/pagemap: %s", strerror(errno));
			return -1;
		}
		if (!(entry >> 63) ||
		    (entry & ((UINT64_C(1) << 55) - 1)) * FRAME + va % FRAME != pa + at) {
			nvme_complain(&t->nvme,
				      "the device was told 0x%" PRIx64
				      " for %p, pagemap says 0x%016" PRIx64,
				      pa + at, (void *)va, entry);
			return -1;
		}
		t->pages_checked++;
	}
	if (pa < t->lowest)
		t->lowest = pa;
	if (n && pa + n - 1 > t->highest)
		t->highest = pa + n - 1;
	return 0;
}

/* All that a command in flight tells the device about memory. */
static int check_command(struct transfer *t, const struct nvme_queue *queue,
			 const struct nvme_command *command, const struct buffer *buffer)
{
	const unsigned char *data = buffer->block + buffer->offset;
	size_t page = t->nvme.page, first = page - (command->prp1 & (page - 1));
	const uint64_t *list = &command->prp2;
	size_t entries;

	if (first > buffer->length)
		first = buffer->length;
	entries = (buffer->length - first + page - 1) / page;
	t->shapes[entries > 1 ? 2 : entries]++;
	if (check_frames(t, data, first, command->prp1) < 0)
		return -1;
	if (entries > 1) {
		list = queue->requests[command->id].list;
		if (check_frames(t, list, entries * sizeof(*list), command->prp2) < 0)
			return -1;
	}
	for (size_t i = 0; i < entries; i++) {
		size_t at = first + i * page;
		size_t n = buffer->length - at < page ? buffer->length - at : page;

		if (check_frames(t, data + at, n, list[i]) < 0)
			return -1;
	}
	return 0;
}

/* The next command of a range, into a queue that has room.  0, or -1. */
static int start(struct transfer *t, struct nvme_queue *queue, bool write)
{
	size_t block = t->nvme.block_size, blocks = t->command_max / block;
	struct nvme_command command = {
		.opcode = write ? NVME_WRITE : NVME_READ,
		.namespace = t->nvme.namespace,
	};
	struct buffer *buffer = t->buffers;
	uint64_t left = (t->end - t->next) * SECTOR / block, lba;

	while (buffer->busy)
		buffer++;
	/* Three of four as long as may be, one of any length; and of those
	 * that are short, one or two pages are not left to luck. */
	if (random_below(t, 4) == 0)
		blocks = 1 + random_below(t, random_below(t, 2)
						       ? blocks
						       : 1 + 2 * t->nvme.page / block);
	if (blocks > t->command_max / block)
		blocks = t->command_max / block;
	if (blocks > left)
		blocks = left;
	/* PRP 1 may begin at any multiple of 4 bytes. */
	buffer->offset = random_below(t, 4) ? random_below(t, t->nvme.page) & ~(size_t)3 : 0;
	buffer->length = blocks * block;
	buffer->sector = t->next;
	memset(buffer->block, POISON, t->block_size);
	for (size_t at = 0; write && at < buffer->length; at += SECTOR) {
		uint64_t words[WORDS];

		make_sector(words, buffer->sector + at / SECTOR, t->seed);
		memcpy(buffer->block + buffer->offset + at, words, SECTOR);
	}
	lba = t->next * SECTOR / block;
	command.dw10 = (uint32_t)lba;
	command.dw11 = (uint32_t)(lba >> 32);
	command.dw12 = (uint32_t)blocks - 1;
	if (nvme_queue_submit(queue, &command, buffer->block + buffer->offset, buffer->length,
			      buffer) < 0)
		return -1;
	buffer->busy = true;
	t->next += buffer->length / SECTOR;
	t->commands++;
	return check_command(t, queue, &command, buffer);
}

/* Take what is done.  Their number, or -1. */
static int finish(struct transfer *t, unsigned int index, bool write)
{
	struct nvme_done done;
	int n, taken = 0;

	while ((n = nvme_queue_poll(&t->queues[index], &done)) > 0) {
		struct buffer *buffer = done.owner;

		taken++;
		if (done.sequence < t->newest[index])
			t->overtaken++;
		else
			t->newest[index] = done.sequence;
		if (buffer)
			buffer->busy = false;
		if (done.status) {
			nvme_command_failed(&t->nvme, !buffer ? "flush"
							: write ? "write"
								: "read",
					    done.status);
			return -1;
		}
		if (buffer && !write)
			check_data(t, buffer);
	}
	return n < 0 ? -1 : taken;
}

/* Until nothing is in flight, with new commands as long as there are some. */
static int drive(struct transfer *t, bool write)
{
	uint64_t moved = nvme_now_ms();

	for (;;) {
		unsigned int in_flight = 0;

		for (unsigned int i = 0; i < t->n_queues; i++) {
			struct nvme_queue *queue = &t->queues[i];
			unsigned int before = queue->in_flight;

			while (queue->in_flight < queue->depth && t->next < t->end &&
			       !transfer_stopped)
				if (start(t, queue, write) < 0)
					return -1;
			if (queue->in_flight != before)
				nvme_queue_ring(queue);
			in_flight += queue->in_flight;
		}
		if (in_flight > t->in_flight_max)
			t->in_flight_max = in_flight;
		if (!in_flight)
			return transfer_stopped ? -1 : 0;
		for (unsigned int i = 0; i < t->n_queues; i++) {
			int n = finish(t, i, write);

			if (n < 0)
				return -1;
			if (n)
				moved = nvme_now_ms();
		}
		if (nvme_now_ms() - moved > STALL_MS) {
			nvme_complain(&t->nvme, "%u commands in flight, and none done for "
						  "%d s",
				      in_flight, STALL_MS / 1000);
			t->nvme.failed = true;
			return -1;
		}
	}
}

static int flush(struct transfer *t)
{
	struct nvme_command command = {
		.opcode = NVME_FLUSH, .namespace = t->nvme.namespace};

	if (nvme_queue_submit(&t->queues[0], &command, NULL, 0, NULL) < 0)
		return -1;
	nvme_queue_ring(&t->queues[0]);
	return drive(t, true);
}

int transfer_pass(struct transfer *t, bool write, uint64_t first, uint64_t count)
{
	t->next = first;
	t->end = first + count;
	t->commands = t->overtaken = t->in_flight_max = 0;
	memset(t->shapes, 0, sizeof(t->shapes));
	if (drive(t, write) < 0)
		return -1;
	return write ? flush(t) : 0;
}

static int check_queues(struct transfer *t)
{
	for (unsigned int i = 0; i < t->n_queues; i++) {
		const struct nvme_queue *q = &t->queues[i];

		if (check_frames(t, q->commands, q->entries * sizeof(*q->commands),
				 q->commands_pa) < 0 ||
		    check_frames(t, q->completions, q->entries * sizeof(*q->completions),
				 q->completions_pa) < 0)
			return -1;
	}
	return 0;
}

int transfer_init(struct transfer *t)
{
	t->random = t->seed;
	t->lowest = UINT64_MAX;
	for (unsigned int i = 0; i < t->n_queues; i++)
		t->n_buffers += t->queues[i].depth;
	/* Room for any offset, and one frame behind that must stay untouched. */
	t->block_size = t->command_max + t->nvme.page + FRAME;
	t->buffers = calloc(t->n_buffers, sizeof(*t->buffers));
	if (!t->buffers) {
		nvme_complain(&t->nvme, "no memory for %u buffers", t->n_buffers);
		return -1;
	}
	for (unsigned int i = 0; i < t->n_buffers; i++) {
		t->buffers[i].block = nvme_alloc(&t->nvme, t->block_size, 0);
		if (!t->buffers[i].block)
			return -1;
	}
	return check_queues(t);
}

void transfer_free(struct transfer *t)
{
	for (unsigned int i = 0; i < t->n_queues; i++)
		nvme_queue_free(&t->queues[i]);
	for (unsigned int i = 0; t->buffers && i < t->n_buffers; i++)
		contig_free(t->buffers[i].block);
	free(t->buffers);
	t->buffers = NULL;
}
