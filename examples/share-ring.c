/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ring of packets between two processes: one producer, one consumer, no
 * copying, no system call per packet.  The producer owns the memory; the
 * consumer only reserves addresses and exports them, and the producer inserts
 * its pages there.  A device given a packet's physical address would see the
 * same bytes as both.
 *
 *	share-ring [packets]
 *
 * The two are parent and child here.  Unrelated processes meet at a path, with
 * vma_listen() and vma_connect() in place of the socketpair.
 */
#include <contig.h>

#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE_SIZE 4096ul
#define SLOT_SIZE 2048ul /* of a packet, its length included */
#define SLOTS 1024u      /* a power of two */
#define PACKETS 2000000u
#define PACKET_BYTES 60 /* the smallest Ethernet frame */
#define RING_PAGES (1 + SLOTS * SLOT_SIZE / PAGE_SIZE)
#define SPINS 64 /* before the other one gets the CPU */

/* The first page.  Each index has a cache line of its own and one writer. */
struct control {
	_Alignas(64) _Atomic uint32_t head; /* packets put in, ever */
	_Alignas(64) _Atomic uint32_t tail; /* packets taken out, ever */
};

struct packet {
	uint32_t length;
	unsigned char bytes[SLOT_SIZE - sizeof(uint32_t)];
};

struct ring {
	struct control *control;
	struct packet *slots; /* behind it */
};

static struct ring ring_at(void *memory)
{
	return (struct ring){memory, (struct packet *)((char *)memory + PAGE_SIZE)};
}

static void wait_a_little(unsigned int *spins)
{
	if (++*spins % SPINS == 0)
		sched_yield();
}

/* --- the consumer: the addresses are its */

static uint64_t take_all(struct ring *ring, uint32_t packets)
{
	uint32_t tail = 0;
	uint64_t sum = 0;
	unsigned int spins = 0;

	while (tail != packets) {
		uint32_t head = atomic_load_explicit(&ring->control->head, memory_order_acquire);

		if (head == tail)
			wait_a_little(&spins);
		for (; tail != head; tail++) {
			const struct packet *p = &ring->slots[tail % SLOTS];
			uint32_t number;

			memcpy(&number, p->bytes, sizeof(number));
			if (number != tail || p->length != PACKET_BYTES) {
				fprintf(stderr, "packet %" PRIu32 " came as %" PRIu32 "\n", tail,
					number);
				return 0;
			}
			sum += number;
		}
		atomic_store_explicit(&ring->control->tail, tail, memory_order_release);
	}
	return sum;
}

/* Wait for a request and serve it; negative: no producer is left. */
static int serve(struct vm_area_struct *vma)
{
	struct pollfd ready = {vma_fd(vma), POLLIN, 0};

	poll(&ready, 1, -1);
	return vma_dispatch(vma);
}

static int consume(int socket, uint32_t packets)
{
	struct vm_area_struct *vma = vma_create(RING_PAGES * PAGE_SIZE, PAGE_SIZE,
						PROT_READ | PROT_WRITE);
	unsigned char there = 0;
	struct ring ring;

	if (!vma || vma_export(vma, socket)) {
		fprintf(stderr, "share-ring: consumer: %s\n", contig_strreason());
		return 1;
	}
	/* Until the last page is there: touching one that isn't is SIGSEGV. */
	do {
		if (serve(vma) < 0) {
			fprintf(stderr, "share-ring: the producer is gone\n");
			return 1;
		}
	} while (mincore((void *)(vma->vm_end - PAGE_SIZE), PAGE_SIZE, &there) || !(there & 1));
	ring = ring_at((void *)vma->vm_start);
	if (!take_all(&ring, packets))
		return 1;
	/* The producer says goodbye; its pages leave our range. */
	while (serve(vma) >= 0) {
	}
	vma_destroy(vma);
	return 0;
}

/* --- the producer: the pages are its */

static void put_all(struct ring *ring, uint32_t packets)
{
	uint32_t head = 0, tail = 0;
	unsigned int spins = 0;

	while (head != packets) {
		struct packet *p = &ring->slots[head % SLOTS];

		while (head - tail == SLOTS) {
			tail = atomic_load_explicit(&ring->control->tail, memory_order_acquire);
			if (head - tail == SLOTS)
				wait_a_little(&spins);
		}
		p->length = PACKET_BYTES;
		memcpy(p->bytes, &head, sizeof(head));
		memset(p->bytes + sizeof(head), 0x5a, PACKET_BYTES - sizeof(head));
		atomic_store_explicit(&ring->control->head, ++head, memory_order_release);
	}
	while (atomic_load_explicit(&ring->control->tail, memory_order_acquire) != head)
		wait_a_little(&spins);
}

static int produce(int socket, uint32_t packets)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.name = "ring",
		.kind = CONTIG_POOL_SHAREABLE, /* else it stays in this process */
		.node = -1,
		.mode = CONTIG_SHARE_REVOCABLE, /* the consumer writes tail */
	};
	contig_pool_t *pool = contig_pool_create(&attr);
	void *memory = pool ? contig_pool_malloc(pool, RING_PAGES * PAGE_SIZE, M_DEVBUF, M_ZERO, 0,
						 UINT64_MAX, PAGE_SIZE, 0) : NULL;
	struct vm_area_struct *vma = memory ? vma_import(socket) : NULL;
	vm_page_t pages[RING_PAGES];
	unsigned long left = RING_PAGES;
	struct timespec start, end;
	struct ring ring;
	double seconds;

	if (!vma) {
		fprintf(stderr, "share-ring: producer: %s\n", contig_strreason());
		return 1;
	}
	for (unsigned long i = 0; i < RING_PAGES; i++)
		pages[i] = vm_page_of_address((char *)memory + i * PAGE_SIZE);
	/* One message, and one mmap(2) on the other side. */
	if (vm_insert_pages(vma, vma->vm_start, pages, &left)) {
		fprintf(stderr, "share-ring: %lu pages not inserted: %s\n", left,
			contig_strreason());
		return 1;
	}
	ring = ring_at(memory);
	clock_gettime(CLOCK_MONOTONIC, &start);
	put_all(&ring, packets);
	clock_gettime(CLOCK_MONOTONIC, &end);
	seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
	printf("%" PRIu32 " packets in %.3f s: %.2f million messages/s\n", packets, seconds,
	       packets / seconds / 1e6);
	vma_destroy(vma);
	contigfree(memory, RING_PAGES * PAGE_SIZE, M_DEVBUF);
	contig_pool_destroy(pool);
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t packets = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 0) : PACKETS;
	int sockets[2], status, failed;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets)) {
		perror("socketpair");
		return 1;
	}
	/* Before the library is used: each process has its own. */
	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (!child) {
		close(sockets[0]);
		_exit(consume(sockets[1], packets));
	}
	close(sockets[1]);
	failed = produce(sockets[0], packets);
	if (waitpid(child, &status, 0) != child || status)
		failed = 1;
	return failed;
}
