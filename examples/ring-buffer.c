/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a network driver allocates: a ring of descriptors that the device
 * reads by physical address, and a buffer for each packet.  The device takes
 * 32-bit addresses if it can have them; it would go without.  No device is
 * touched: a few lines of C play it, and they know nothing but physical
 * addresses.
 *
 * Without privilege, on a machine that exists only in words:
 *	CONTIG_SIM=1M-3G,4G-6G ./ring-buffer
 */
#include <contig.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DESCRIPTORS 256
#define BUFFER_SIZE 2048
#define SLAB_SIZE 65536 /* buffers come in slabs: a block is whole pages */
#define SLABS (DESCRIPTORS * BUFFER_SIZE / SLAB_SIZE)
#define BELOW_4G (UINT64_C(1) << 32)
#define ANYWHERE UINT64_MAX

#define STATUS_DONE 1u

struct descriptor {
	uint64_t addr; /* physical, of the packet's buffer */
	uint16_t length;
	uint16_t status;
	uint32_t reserved;
};

struct ring {
	struct descriptor *descriptors;
	vm_paddr_t descriptors_pa; /* for the device's base register */
	unsigned char *slabs[SLABS];
};

MALLOC_DEFINE(M_RING, "ring", "descriptor ring");
MALLOC_DEFINE(M_PACKET, "packet", "packet buffers");

/* Below 4 GiB if possible, and no multiple of 64 KiB inside. */
static void *dma_alloc(size_t size, struct malloc_type *type)
{
	static bool low_failed; /* what failed once takes as long again */
	void *p = NULL;

	if (!low_failed)
		p = contigmalloc(size, type, M_ZERO, 0, BELOW_4G, 4096, 65536);
	if (!p && !low_failed) {
		fprintf(stderr, "ring-buffer: nothing below 4 GiB, going on above: %s\n",
			contig_strreason());
		low_failed = true;
	}
	if (!p)
		p = contigmalloc(size, type, M_ZERO, 0, ANYWHERE, 4096, 65536);
	if (!p)
		fprintf(stderr, "ring-buffer: no memory: %s\n", contig_strreason());
	return p;
}

static void ring_free(struct ring *ring)
{
	for (int i = 0; i < SLABS; i++)
		contigfree(ring->slabs[i], SLAB_SIZE, M_PACKET);
	contigfree(ring->descriptors, DESCRIPTORS * sizeof(struct descriptor), M_RING);
}

/* 0, or -1 with nothing kept. */
static int ring_make(struct ring *ring)
{
	memset(ring, 0, sizeof(*ring));
	ring->descriptors = dma_alloc(DESCRIPTORS * sizeof(struct descriptor), M_RING);
	if (!ring->descriptors)
		return -1;
	ring->descriptors_pa = contig_virt_to_phys(ring->descriptors);
	if (ring->descriptors_pa == CONTIG_PADDR_NONE) {
		fprintf(stderr, "ring-buffer: a device needs physical addresses: %s\n",
			contig_strreason());
		goto fail;
	}
	for (int i = 0; i < SLABS; i++) {
		ring->slabs[i] = dma_alloc(SLAB_SIZE, M_PACKET);
		if (!ring->slabs[i])
			goto fail;
	}
	for (int i = 0; i < DESCRIPTORS; i++) {
		size_t at = (size_t)i * BUFFER_SIZE;

		ring->descriptors[i].addr = contig_virt_to_phys_inline(
			ring->slabs[at / SLAB_SIZE] + at % SLAB_SIZE);
		ring->descriptors[i].length = BUFFER_SIZE;
	}
	return 0;
fail:
	ring_free(ring);
	return -1;
}

/* The device: walks the ring and writes a packet to each address in it. */
static void device_receive(vm_paddr_t ring_pa, int packets)
{
	for (int i = 0; i < packets; i++) {
		struct descriptor *d =
			contig_phys_to_virt(ring_pa + (size_t)i * sizeof(*d));
		char *buffer = contig_phys_to_virt(d->addr);

		d->length = (uint16_t)snprintf(buffer, d->length, "packet %d", i);
		d->status = STATUS_DONE;
	}
}

static int print_ring(const struct ring *ring)
{
	static const char *const wiring[] = {"none", "resident", "pinned"};
	struct contig_range_info info;

	if (contig_range_check(ring->descriptors, DESCRIPTORS * sizeof(struct descriptor),
			       &info) != 1) {
		fprintf(stderr, "ring-buffer: the ring is not contiguous: %s\n",
			contig_strreason());
		return -1;
	}
	printf("ring     %p  physical 0x%010" PRIx64 "  node %d  wiring %s\n",
	       (void *)ring->descriptors, info.first, info.node, wiring[info.wiring]);
	for (int i = 0; i < SLABS; i++)
		printf("slab %2d  %p  physical 0x%010" PRIx64 "  %s\n", i, (void *)ring->slabs[i],
		       contig_virt_to_phys(ring->slabs[i]),
		       contig_virt_to_phys(ring->slabs[i]) < BELOW_4G ? "below 4 GiB" : "");
	if (contig_level() == CONTIG_LEVEL_SIMULATED)
		printf("These addresses are simulated.\n");
	return 0;
}

int main(void)
{
	struct ring ring;
	int received = 0, status = 1;

	if (ring_make(&ring) < 0)
		return 1;
	if (print_ring(&ring) < 0)
		goto out;
	device_receive(ring.descriptors_pa, DESCRIPTORS);
	for (int i = 0; i < DESCRIPTORS; i++) {
		const struct descriptor *d = &ring.descriptors[i];
		size_t at = (size_t)i * BUFFER_SIZE;
		char expected[32];

		snprintf(expected, sizeof(expected), "packet %d", i);
		received += d->status == STATUS_DONE &&
			    !memcmp(ring.slabs[at / SLAB_SIZE] + at % SLAB_SIZE, expected,
				    d->length);
	}
	printf("%d of %d packets received\n", received, DESCRIPTORS);
	if (received == DESCRIPTORS)
		status = 0;
out:
	ring_free(&ring);
	return status;
}
