/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver in user space: it owns contiguous buffers, and a device would be
 * given their physical addresses.  Clients map a buffer when they ask for it,
 * and lose it when the driver revokes: then their touch is SIGSEGV, which this
 * client survives and reports.  It never reads what comes after it.
 *
 *	driver-client
 *
 * Driver and client are parent and child here; through vma_listen() and
 * vma_connect() they could be strangers.
 */
#include <contig.h>

#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE_SIZE 4096ul
#define BUFFERS 4u
#define BUFFER_PAGES 16ul
#define BUFFER_SIZE (BUFFER_PAGES * PAGE_SIZE)

/* What the two say to each other besides: their own affair. */
enum word { WANT, MAPPED, REVOKED };
struct message {
	enum word word;
	unsigned int buffer;
};

static int say(int socket, enum word word, unsigned int buffer)
{
	struct message m = {word, buffer};

	return send(socket, &m, sizeof(m), MSG_NOSIGNAL) == sizeof(m) ? 0 : -1;
}

/* --- the client: addresses, and no memory */

static sigjmp_buf lost;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	siglongjmp(lost, 1);
}

/* The first number in a buffer; false: it isn't there (any more). */
static bool look(const uint64_t *buffer, uint64_t *value)
{
	if (sigsetjmp(lost, 1))
		return false;
	*value = *(const volatile uint64_t *)buffer;
	return true;
}

/* Hear the driver's next word, serving the vma meanwhile. */
static int hear(struct vm_area_struct *vma, int talk, struct message *m)
{
	for (;;) {
		struct pollfd wait[2] = {{talk, POLLIN, 0}, {vma_fd(vma), POLLIN, 0}};

		if (poll(wait, 2, 10000) <= 0)
			return -1;
		if (wait[1].revents)
			vma_dispatch(vma);
		if (wait[0].revents)
			return recv(talk, m, sizeof(*m), 0) == sizeof(*m) ? 0 : -1;
	}
}

static int client(int socket, int talk)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	struct vm_area_struct *vma = vma_create(BUFFERS * BUFFER_SIZE, PAGE_SIZE,
						PROT_READ | PROT_WRITE);
	struct message m;
	uint64_t value;

	sigaction(SIGSEGV, &action, NULL);
	if (!vma || vma_export(vma, socket)) {
		fprintf(stderr, "client: %s\n", contig_strreason());
		return 1;
	}
	for (unsigned int i = 0; i < BUFFERS; i++) {
		uint64_t *buffer = (uint64_t *)(vma->vm_start + i * BUFFER_SIZE);

		if (look(buffer, &value)) {
			fprintf(stderr, "client: buffer %u is there and wasn't asked for\n", i);
			return 1;
		}
		if (say(talk, WANT, i) || hear(vma, talk, &m) || m.word != MAPPED)
			return 1;
		if (!look(buffer, &value))
			return 1;
		printf("client: buffer %u holds %" PRIu64 "\n", i, value);
		buffer[1] = value + 1; /* the driver, and a device, see this */
	}
	fflush(stdout);
	/* The driver takes one back, when it likes. */
	if (hear(vma, talk, &m) || m.word != REVOKED)
		return 1;
	for (unsigned int i = 0; i < BUFFERS; i++) {
		bool there = look((uint64_t *)(vma->vm_start + i * BUFFER_SIZE), &value);

		printf("client: buffer %u is %s\n", i, there ? "there" : "revoked (SIGSEGV)");
		if (there == (i == m.buffer))
			return 1;
	}
	fflush(stdout);
	vma_destroy(vma);
	return 0;
}

/* --- the driver: memory */

struct driver {
	contig_pool_t *pool;
	vm_object_t object; /* buffer i is at index i * BUFFER_PAGES */
	vm_page_t buffer[BUFFERS];
};

static int make_buffers(struct driver *d)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.name = "buffers",
		.kind = CONTIG_POOL_SHAREABLE,
		.node = -1,
		.mode = CONTIG_SHARE_REVOCABLE,
	};

	d->pool = contig_pool_create(&attr);
	d->object = d->pool ? contig_object_allocate(d->pool, BUFFERS * BUFFER_PAGES) : NULL;
	if (!d->object)
		return -1;
	for (unsigned int i = 0; i < BUFFERS; i++) {
		int req = VM_ALLOC_NORMAL | VM_ALLOC_ZERO | VM_ALLOC_NOBUSY | VM_ALLOC_WIRED;

		VM_OBJECT_WLOCK(d->object);
		d->buffer[i] = vm_page_alloc_contig(d->object, i * BUFFER_PAGES, req, BUFFER_PAGES,
						    0, UINT64_MAX, BUFFER_SIZE, 0,
						    VM_MEMATTR_DEFAULT);
		VM_OBJECT_WUNLOCK(d->object);
		if (!d->buffer[i]) {
			/* Never sleeps: make room, then once more. */
			if (!vm_page_reclaim_contig(req, BUFFER_PAGES, 0, UINT64_MAX,
						    BUFFER_SIZE, 0) &&
			    vm_wait(d->object))
				return -1;
			i--;
			continue;
		}
		*(uint64_t *)vm_page_address(d->buffer[i]) = 100 * i;
		printf("driver: buffer %u at physical 0x%" PRIx64 "\n", i,
		       (uint64_t)VM_PAGE_TO_PHYS(d->buffer[i]));
	}
	fflush(stdout);
	return 0;
}

static int map_buffer(struct driver *d, struct vm_area_struct *vma, unsigned int i)
{
	vm_page_t pages[BUFFER_PAGES];
	unsigned long left = BUFFER_PAGES;

	for (unsigned long p = 0; p < BUFFER_PAGES; p++)
		pages[p] = d->buffer[i] + p;
	return vm_insert_pages(vma, vma->vm_start + i * BUFFER_SIZE, pages, &left);
}

static void free_buffers(struct driver *d)
{
	VM_OBJECT_WLOCK(d->object);
	for (unsigned int i = 0; i < BUFFERS; i++)
		for (unsigned long p = 0; d->buffer[i] && p < BUFFER_PAGES; p++)
			vm_page_unwire_noq(d->buffer[i] + p);
	VM_OBJECT_WUNLOCK(d->object);
	vm_object_deallocate(d->object);
	contig_pool_destroy(d->pool);
}

static int driver(int socket, int talk)
{
	struct driver d = {NULL, NULL, {NULL}};
	struct vm_area_struct *vma;
	struct message m;

	if (make_buffers(&d)) {
		fprintf(stderr, "driver: %s\n", contig_strreason());
		return 1;
	}
	vma = vma_import(socket);
	if (!vma) {
		fprintf(stderr, "driver: %s\n", contig_strreason());
		return 1;
	}
	for (unsigned int served = 0; served < BUFFERS; served++) {
		if (recv(talk, &m, sizeof(m), 0) != sizeof(m) || m.word != WANT ||
		    m.buffer >= BUFFERS)
			return 1;
		if (map_buffer(&d, vma, m.buffer)) {
			fprintf(stderr, "driver: %s\n", contig_strreason());
			return 1;
		}
		say(talk, MAPPED, m.buffer);
	}
	/* From every client at once, wherever it has it. */
	if (unmap_mapping_range(d.object, 2 * BUFFER_SIZE, BUFFER_SIZE, 1)) {
		fprintf(stderr, "driver: %s\n", contig_strreason());
		return 1;
	}
	printf("driver: buffer 2 revoked; the client left %" PRIu64 " in it\n",
	       ((uint64_t *)vm_page_address(d.buffer[2]))[1]);
	fflush(stdout);
	say(talk, REVOKED, 2);
	/* It still has the others, and looks at them. */
	if (recv(talk, &m, sizeof(m), 0) != 0)
		return 1;
	vma_destroy(vma);
	free_buffers(&d);
	return 0;
}

int main(void)
{
	int vma[2], talk[2], status, failed;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, vma) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk)) {
		perror("socketpair");
		return 1;
	}
	child = fork(); /* before the library is used: each has its own */
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (!child) {
		close(vma[0]);
		close(talk[0]);
		_exit(client(vma[1], talk[1]));
	}
	close(vma[1]);
	close(talk[1]);
	failed = driver(vma[0], talk[0]);
	if (waitpid(child, &status, 0) != child || status)
		failed = 1;
	return failed;
}
