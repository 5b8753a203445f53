/* SPDX-License-Identifier: BSD-2-Clause */
/* Vmas of other processes: one memory on both sides, and nothing left behind. */
#include "harness.h"
#include "sharing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define PAGES 512
#define MAGIC UINT64_C(0x1122334455667788)
#define BOTH (PROT_READ | PROT_WRITE)

static const struct other_setup plain = {
	.size = 4 * PAGES * PAGE,
	.page_size = PAGE,
	.prot = BOTH,
	.type = SOCK_SEQPACKET,
};

static struct vm_area_struct *import(struct other *other)
{
	struct vm_area_struct *vma = vma_import(other->socket);

	require(vma, "vma_import: %s (%s)", strerror(errno), contig_strreason());
	return vma;
}

#define ok(call)                                                                       \
	do {                                                                           \
		int ok_err = (call);                                                   \
									               \
		require(!ok_err, "%s: %s", strerror(-ok_err), contig_strreason());     \
	} while (0)
#define fails(call, error)                                                             \
	do {                                                                           \
		int fails_err = (call);                                                \
									               \
		require(fails_err == -(error), "%d, wanted %d (%s)", fails_err, -(error), \
			contig_strreason());                                           \
		require(*contig_strreason(), "no reason");                             \
	} while (0)

/* The same frame here and there, and bytes go both ways. */
static void hold_against(struct other *other, unsigned long there, void *here, uint64_t salt)
{
	uint64_t value;

	*(volatile uint64_t *)here = MAGIC ^ salt;
	require(!other_read(other, there, &value), "a fault at 0x%lx", there);
	require(value == (MAGIC ^ salt), "read 0x%llx there", (unsigned long long)value);
	if (probe_sees())
		require(other_address(other, there) == probe_address(here),
			"frames 0x%llx there, 0x%llx here",
			(unsigned long long)other_address(other, there),
			(unsigned long long)probe_address(here));
	if (other_write(other, there, ~salt))
		return;
	require(*(volatile uint64_t *)here == ~salt, "what was written there is not here");
}

static void same_frames(int type, bool thread)
{
	struct other_setup setup = plain;
	struct vm_area_struct *vma;
	struct other other;
	uint64_t value;
	pid_t pid = 0;
	char *block;

	setup.type = type;
	setup.thread = thread;
	other_start(&other, &setup);
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), 64 * PAGE);
	vma = import(&other);
	require(vma->vm_start == other.start && vma->vm_end - vma->vm_start == setup.size &&
			vma->vm_page_size == PAGE && vma->vm_page_prot == BOTH,
		"another vma than theirs");
	require(vma_is_remote(vma, &pid) && pid == other.pid, "pid %d, theirs is %d", (int)pid,
		(int)other.pid);
	for (unsigned long i = 0; i < 64; i++) {
		/* Backwards, so that no two are neighbours. */
		unsigned long there = vma->vm_start + (100 - i) * PAGE;

		ok(vm_insert_page(vma, there, page_at(block + i * PAGE)));
		hold_against(&other, there, block + i * PAGE, i);
	}
	/* The one page twice. */
	ok(vm_insert_page(vma, vma->vm_start + 500 * PAGE, page_at(block)));
	hold_against(&other, vma->vm_start + 500 * PAGE, block, 7);
	fails(vm_insert_page(vma, vma->vm_start + 500 * PAGE, page_at(block)), EBUSY);
	fails(vm_insert_page(vma, vma->vm_end, page_at(block)), EFAULT);
	fails(vm_insert_page(vma, vma->vm_start + 1, page_at(block)), EINVAL);
	ok(zap_vma_ptes(vma, vma->vm_start, vma->vm_end - vma->vm_start));
	require(other_read(&other, vma->vm_start + 500 * PAGE, &value) == SIGSEGV,
		"still mapped after the zap");
	vma_destroy(vma);
	require(!contig_quarantined(), "an orderly end quarantined");
	other_stop(&other);
}

static void frames_seqpacket(void)
{
	same_frames(SOCK_SEQPACKET, false);
}

static void frames_stream(void)
{
	same_frames(SOCK_STREAM, false);
}

static void frames_thread(void)
{
	same_frames(SOCK_SEQPACKET, true);
}

/* --- batches: a relay between both counts messages */

struct relay {
	int importer, exporter;
	atomic_uint requests, answers, descriptors;
};

static bool pass(int from, int to, atomic_uint *count, atomic_uint *descriptors)
{
	static char bytes[1 << 17];
	char room[256];
	struct iovec data = {bytes, sizeof(bytes)};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room,
			   .msg_controllen = sizeof(room)};
	ssize_t n = recvmsg(from, &m, 0);
	int fd = -1;

	if (n <= 0)
		return false;
	if (CMSG_FIRSTHDR(&m)) {
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
		++*descriptors;
	}
	data.iov_len = (size_t)n;
	++*count; /* before anybody can go on and look at it */
	sendmsg(to, &m, 0);
	if (fd >= 0)
		close(fd);
	return true;
}

static void *run_relay(void *arg)
{
	struct relay *relay = arg;

	for (;;) {
		struct pollfd wait[2] = {{relay->importer, POLLIN, 0},
					 {relay->exporter, POLLIN, 0}};

		poll(wait, 2, -1);
		if (wait[0].revents && !pass(relay->importer, relay->exporter, &relay->requests,
					     &relay->descriptors))
			break;
		if (wait[1].revents && !pass(relay->exporter, relay->importer, &relay->answers,
					     &relay->descriptors))
			break;
	}
	close(relay->exporter);
	close(relay->importer);
	return NULL;
}

static void batches(void)
{
	struct vm_area_struct *vma;
	struct other other;
	static struct relay relay;
	vm_page_t pages[PAGES];
	unsigned long left;
	pthread_t thread;
	int pair[2];
	long before;
	char *block;

	other_start(&other, &plain);
	before = other_mappings(&other);
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), PAGES * PAGE);
	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
	relay.importer = pair[1];
	relay.exporter = other.socket;
	other.socket = pair[0];
	pthread_create(&thread, NULL, run_relay, &relay);
	vma = import(&other);
	for (int i = 0; i < PAGES; i++)
		pages[i] = page_at(block + (size_t)i * PAGE);
	/* The file's descriptor comes with the first page. */
	ok(vm_insert_page(vma, vma->vm_start + 3 * PAGES * PAGE, pages[0]));
	require(relay.descriptors == 1, "%u descriptors", relay.descriptors);
	relay.requests = 0;
	relay.answers = 0;
	left = PAGES;
	ok(vm_insert_pages(vma, vma->vm_start, pages, &left));
	require(relay.requests == 1 && relay.answers == 1 && !left,
		"512 neighbours took %u messages, %u answers", relay.requests, relay.answers);
	require(other_mappings(&other) <= before + 4, "not one mapping: %ld before, %ld now",
		before, other_mappings(&other));
	for (size_t i = 0; i < PAGES; i += 37)
		hold_against(&other, vma->vm_start + i * PAGE, block + i * PAGE, i);
	/* Scattered: still one message. */
	for (int i = 0; i < PAGES; i++)
		pages[i] = page_at(block + (size_t)((i * 37) % PAGES) * PAGE);
	relay.requests = 0;
	relay.answers = 0;
	left = PAGES;
	ok(vm_insert_pages(vma, vma->vm_start + PAGES * PAGE, pages, &left));
	require(relay.requests == 1 && relay.answers == 1,
		"512 scattered took %u messages, %u answers", relay.requests, relay.answers);
	for (size_t i = 0; i < PAGES; i += 5)
		hold_against(&other, vma->vm_start + (PAGES + i) * PAGE,
			     block + i * 37 % PAGES * PAGE, i);
	relay.requests = 0;
	ok(zap_vma_ptes(vma, vma->vm_start, 4 * PAGES * PAGE));
	require(relay.requests == 1, "the zap took %u messages", relay.requests);
	require(relay.descriptors == 1, "a descriptor travelled twice");
	require(other_mappings(&other) <= before + 1, "%ld mappings before, %ld now", before,
		other_mappings(&other));
	/* Partly occupied: what was mapped stays, the rest is told. */
	ok(vm_insert_page(vma, vma->vm_start + 10 * PAGE, pages[0]));
	left = 20;
	fails(vm_insert_pages(vma, vma->vm_start, pages, &left), EBUSY);
	require(left == 10, "%lu pages not mapped", left);
	vma_destroy(vma);
	pthread_join(thread, NULL);
	other_stop(&other);
}

/* --- modes */

static void modes(void)
{
	contig_pool_t *revocable, *readonly, *fixed;
	struct vm_area_struct *vma, *reader;
	struct other_setup setup = plain;
	struct other writer, other;
	char *r, *w, *f;
	uint64_t value;
	void *own;

	other_start(&writer, &plain);
	setup.prot = PROT_READ;
	other_start(&other, &setup);
	revocable = shareable(CONTIG_SHARE_REVOCABLE);
	readonly = shareable(CONTIG_SHARE_READONLY);
	fixed = shareable(CONTIG_SHARE_FIXED);
	r = shareable_block(revocable, PAGE);
	w = shareable_block(readonly, PAGE);
	f = shareable_block(fixed, 4 * PAGE);
	own = contigmalloc(PAGE, M_TEMP, M_ZERO, 0, UINT64_MAX, 1, 0);
	vma = import(&writer);
	reader = import(&other);

	/* Private matters stay here. */
	fails(vm_insert_page(vma, vma->vm_start, page_at(own)), EPERM);
	fails(vm_insert_page(reader, reader->vm_start, page_at(own)), EPERM);
	/* Read-only memory goes to readers. */
	fails(vm_insert_page(vma, vma->vm_start, page_at(w)), EPERM);
	ok(vm_insert_page(reader, reader->vm_start, page_at(w)));
	hold_against(&other, reader->vm_start, w, 1);
	require(other_write(&other, reader->vm_start, 1) == SIGSEGV, "a reader wrote");
	require(other_unprotect(&other, reader->vm_start) == EACCES, "a reader made it writable");
	ok(vm_insert_page(reader, reader->vm_start + PAGE, page_at(r)));
	require(other_write(&other, reader->vm_start + PAGE, 1) == SIGSEGV, "a reader wrote");
	ok(vm_insert_page(vma, vma->vm_start + PAGE, page_at(r)));
	hold_against(&writer, vma->vm_start + PAGE, r, 2);
	/* Fixed: the first writer maps, seals; again after the seal; others read. */
	ok(vm_insert_page(vma, vma->vm_start + 4 * PAGE, page_at(f)));
	hold_against(&writer, vma->vm_start + 4 * PAGE, f, 3);
	ok(vm_insert_page(vma, vma->vm_start + 6 * PAGE, page_at(f + 2 * PAGE)));
	hold_against(&writer, vma->vm_start + 6 * PAGE, f + 2 * PAGE, 4);
	ok(zap_vma_ptes(vma, vma->vm_start + 4 * PAGE, PAGE));
	require(other_read(&writer, vma->vm_start + 4 * PAGE, &value) == SIGSEGV, "zap");
	ok(vm_insert_page(vma, vma->vm_start + 4 * PAGE, page_at(f + PAGE)));
	hold_against(&writer, vma->vm_start + 4 * PAGE, f + PAGE, 5);
	require(!other_write(&writer, vma->vm_start + 4 * PAGE, 1), "a writer can't write");
	ok(vm_insert_page(reader, reader->vm_start + 4 * PAGE, page_at(f)));
	hold_against(&other, reader->vm_start + 4 * PAGE, f, 6);
	vma_destroy(vma);
	writer.socket = other_socket(&writer);
	vma = import(&writer);
	fails(vm_insert_page(vma, vma->vm_start + 4 * PAGE, page_at(f)), EPERM);
	/* And that was about the page, not the connection. */
	ok(vm_insert_page(vma, vma->vm_start + PAGE, page_at(r)));
	vma_destroy(vma);
	vma_destroy(reader);
	require(!contig_quarantined(), "an orderly end quarantined");
	other_stop(&writer);
	other_stop(&other);
}

/* --- who may do what in the range */

static void occupancy(void)
{
	struct vm_area_struct *first, *second;
	struct other other;
	uint64_t value;
	char *block;

	other_start(&other, &plain);
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), 4 * PAGE);
	first = import(&other);
	other.socket = other_socket(&other);
	second = import(&other);
	ok(vm_insert_page(first, first->vm_start, page_at(block)));
	fails(vm_insert_page(second, second->vm_start, page_at(block + PAGE)), EBUSY);
	hold_against(&other, first->vm_start, block, 1);
	/* There nothing of the second is: nothing happens. */
	ok(zap_vma_ptes(second, second->vm_start, 4 * PAGE));
	hold_against(&other, first->vm_start, block, 2);
	/* The owner of the range: what peers have is taken, what it has too. */
	require(other_insert(&other, first->vm_start) == -EBUSY, "its insert over ours");
	require(!other_insert(&other, first->vm_start + PAGE), "its insert");
	fails(vm_insert_page(first, first->vm_start + PAGE, page_at(block)), EBUSY);
	require(!other_zap(&other, first->vm_start, 2 * PAGE), "its zap");
	require(other_read(&other, first->vm_start, &value) == SIGSEGV, "its zap left ours");
	ok(vm_insert_page(second, second->vm_start, page_at(block + PAGE)));
	hold_against(&other, second->vm_start, block + PAGE, 3);
	/* What we believe to have there is the second's now, and stays; ours is
	 * unmapped already.  Nobody has done anything wrong. */
	ok(vm_insert_page(first, first->vm_start + 2 * PAGE, page_at(block + 2 * PAGE)));
	ok(zap_vma_ptes(first, first->vm_start, 4 * PAGE));
	hold_against(&other, second->vm_start, block + PAGE, 4);
	require(other_read(&other, first->vm_start + 2 * PAGE, &value) == SIGSEGV,
		"the zap left what is behind another's page");
	fails(vm_insert_page(first, first->vm_start, page_at(block)), EBUSY);
	ok(vm_insert_page(first, first->vm_start + PAGE, page_at(block)));
	hold_against(&other, first->vm_start + PAGE, block, 5);
	vma_destroy(first);
	hold_against(&other, second->vm_start, block + PAGE, 6);
	vma_destroy(second);
	contigfree(block, 4 * PAGE, M_TEMP);
	require(!contig_quarantined(), "an orderly end quarantined");
	other_stop(&other);
}

/* --- ends of all kinds */

static void exporter_destroys(void)
{
	struct vm_area_struct *vma;
	struct other other;
	uint64_t value;
	char *block;

	other_start(&other, &plain);
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), 4 * PAGE);
	vma = import(&other);
	ok(vm_insert_page(vma, vma->vm_start, page_at(block)));
	other_destroy(&other);
	require(other_read(&other, vma->vm_start, &value) == SIGSEGV, "still mapped");
	fails(vm_insert_page(vma, vma->vm_start + PAGE, page_at(block)), EPIPE);
	fails(vm_insert_page(vma, vma->vm_start + PAGE, page_at(block)), EPIPE);
	contigfree(block, 4 * PAGE, M_TEMP);
	require(!contig_quarantined(), "it said that it unmapped");
	vma_destroy(vma);
}

static void importer_goes(void)
{
	struct other other;
	long descriptors, mappings;
	uint64_t value;

	other_start(&other, &plain);
	descriptors = other_descriptors(&other);
	mappings = other_mappings(&other);
	for (int i = 0; i < 6; i++) {
		int way = i % 3, pipes[2];
		unsigned long start = other.start;
		pid_t child;

		if (i)
			other.socket = other_socket(&other);
		if (pipe(pipes))
			fail("pipe");
		child = fork();
		if (!child) {
			struct vm_area_struct *vma = import(&other);
			contig_pool_t *pool =
				shareable(i < 3 ? CONTIG_SHARE_REVOCABLE : CONTIG_SHARE_FIXED);
			char *block = shareable_block(pool, 16 * PAGE);

			for (unsigned long p = 0; p < 16; p += 2)
				ok(vm_insert_page(vma, start + p * PAGE,
						  page_at(block + p * PAGE)));
			if (write(pipes[1], "", 1) != 1)
				_exit(1);
			if (way == 1)
				pause();
			if (way == 2)
				vma_destroy(vma);
			_exit(0);
		}
		close(pipes[1]);
		close(other.socket);
		require(read(pipes[0], &value, 1) == 1, "the importer failed");
		close(pipes[0]);
		if (way == 1)
			kill(child, SIGKILL);
		reap(child);
		for (unsigned long p = 0; p < 16; p++) {
			double end = probe_ms() + 20000;

			while (other_read(&other, start + p * PAGE, &value) != SIGSEGV)
				require(probe_ms() < end, "way %d: page %lu stays mapped", way, p);
		}
		require(other_mappings(&other) <= mappings + 1,
			"way %d: %ld mappings before, %ld now", way, mappings,
			other_mappings(&other));
		/* One connection fewer than at the beginning. */
		require(other_descriptors(&other) == descriptors - 1,
			"way %d: %ld descriptors before, %ld now", way, descriptors,
			other_descriptors(&other));
	}
	other_stop(&other);
}

static void exporter_killed(void)
{
	contig_pool_t *pool;
	struct vm_area_struct *vma;
	struct other other;
	char *block;
	double start;
	long fds;

	other_start(&other, &plain);
	pool = shareable(CONTIG_SHARE_REVOCABLE);
	block = shareable_block(pool, 4 * PAGE);
	fds = count_descriptors();
	vma = import(&other);
	ok(vm_insert_page(vma, vma->vm_start, page_at(block)));
	kill(other.pid, SIGKILL);
	reap(other.pid);
	start = probe_ms();
	fails(vm_insert_page(vma, vma->vm_start + PAGE, page_at(block)), EPIPE);
	fails(zap_vma_ptes(vma, vma->vm_start, PAGE), EPIPE);
	/* Noticed, not waited for. */
	require(probe_ms() - start < 4500, "took %.0f ms", probe_ms() - start);
	*block = 1; /* ours still */
	vma_destroy(vma);
	require(count_descriptors() == fds - 1, "%ld descriptors before, %ld now", fds,
		count_descriptors());
	contigfree(block, 4 * PAGE, M_TEMP);
	require(contig_quarantined() >= 4 * PAGE, "%llu bytes quarantined",
		(unsigned long long)contig_quarantined());
	/* And none of the file's pages ever again. */
	for (int i = 0; i < 600; i++) {
		char *p = contig_pool_malloc(pool, PAGE, M_TEMP, 0, 0, UINT64_MAX, 1, 0);

		if (!p)
			break;
		require(p < block || p >= block + 4 * PAGE, "a quarantined page came back");
	}
}

/* Of a fixed pool the other process has all of a file mapped, out of sight,
 * whatever is in the range. */
static void exporter_killed_fixed(void)
{
	struct vm_area_struct *vma;
	struct other other;
	char *block, *another;
	uint64_t before;

	other_start(&other, &plain);
	block = shareable_block(shareable(CONTIG_SHARE_FIXED), 4 * PAGE);
	another = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), PAGE);
	vma = import(&other);
	ok(vm_insert_page(vma, vma->vm_start, page_at(block)));
	ok(zap_vma_ptes(vma, vma->vm_start, PAGE));
	kill(other.pid, SIGKILL);
	reap(other.pid);
	fails(vm_insert_page(vma, vma->vm_start, page_at(another)), EPIPE);
	before = contig_quarantined(); /* what was free in both files */
	contigfree(block, 4 * PAGE, M_TEMP);
	require(contig_quarantined() - before == 4 * PAGE, "not quarantined");
	vma_destroy(vma);
}

#define STALL_MS 4000

static void exporter_stalls(void)
{
	struct vm_area_struct *vma;
	struct other other;
	char *block;
	double start;

	other_start(&other, &plain);
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), 4 * PAGE);
	vma = import(&other);
	ok(vm_insert_page(vma, vma->vm_start, page_at(block)));
	ok(vma_timeout(vma, 300));
	other_stall(&other, STALL_MS);
	start = probe_ms();
	fails(vm_insert_page(vma, vma->vm_start + PAGE, page_at(block)), ETIMEDOUT);
	require(probe_ms() - start >= 290 && probe_ms() - start < STALL_MS / 2, "took %.0f ms",
		probe_ms() - start);
	fails(vm_insert_page(vma, vma->vm_start + PAGE, page_at(block)), EPIPE);
	vma_destroy(vma);
	require(probe_ms() - start < STALL_MS * 2 / 3, "destroying waited");
	contigfree(block, 4 * PAGE, M_TEMP);
	require(contig_quarantined(), "nothing is quarantined");
	other_stop(&other);
}

/* A forked child of the importer doesn't keep the connection. */
static void importer_forks(void)
{
	struct vm_area_struct *vma;
	struct other other;
	uint64_t value;
	char *block, byte;
	int stay[2];
	pid_t child;
	double end;

	other_start(&other, &plain);
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), PAGE);
	require(!pipe(stay), "pipe"); /* the grandchild stays until we close it */
	child = fork();
	if (!child) {
		pid_t grandchild;

		vma = import(&other);
		block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), PAGE);
		ok(vm_insert_page(vma, vma->vm_start, page_at(block)));
		grandchild = fork();
		if (!grandchild) {
			fails(vm_insert_page(vma, vma->vm_start, page_at(block)), EPERM);
			close(stay[1]);
			_exit(read(stay[0], &byte, 1) == 1);
		}
		_exit(0);
	}
	close(other.socket);
	reap(child);
	end = probe_ms() + 20000;
	while (other_read(&other, other.start, &value) != SIGSEGV)
		require(probe_ms() < end, "the grandchild keeps the connection open");
	close(stay[1]);
	other_stop(&other);
}

static void few_descriptors(void)
{
	struct other_setup setup = plain;
	struct vm_area_struct *vma;
	struct other other;
	double start;
	char *block;

	setup.descriptors = 0;
	setup.thread = true;
	other_start(&other, &plain);
	other_stop(&other);
	setup.descriptors = 1; /* takes the number that it has as the limit */
	setup.thread = false;
	other_start(&other, &setup);
	block = shareable_block(shareable(CONTIG_SHARE_FIXED), 4 * PAGE);
	vma = import(&other);
	start = probe_ms();
	ok(vm_insert_page(vma, vma->vm_start, page_at(block)));
	vma_destroy(vma);
	other_stop(&other);
	setup.descriptors = (rlim_t)-1; /* none */
	other_start(&other, &setup);
	vma = import(&other);
	start = probe_ms();
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), 4 * PAGE);
	fails(vm_insert_page(vma, vma->vm_start, page_at(block)), ENOMEM);
	require(strstr(contig_strreason(), "RLIMIT_NOFILE"), "%s", contig_strreason());
	require(probe_ms() - start < 4500, "took %.0f ms", probe_ms() - start);
	/* The connection is as good as before. */
	fails(vm_insert_page(vma, vma->vm_start, page_at(block)), ENOMEM);
	vma_destroy(vma);
	other_stop(&other);
}

/* --- by name */

static char path[64];

static void helper_listen(void)
{
	struct vm_area_struct *vma = vma_create(64 * PAGE, PAGE, BOTH);
	int err;

	alarm(60);
	err = vma ? vma_listen(vma, getenv("SHARE_PATH"), NULL, 0) : -ENOMEM;
	if (err) {
		printf("%s: %s\n", strerror(-err), contig_strreason());
		_exit(3);
	}
	/* Until the importer has written what ends us. */
	for (;;) {
		struct pollfd ready = {vma_fd(vma), POLLIN, 0};
		unsigned char vec;

		poll(&ready, 1, 1);
		vma_dispatch(vma);
		if (!mincore((void *)vma->vm_start, PAGE, &vec) && vec &&
		    *(volatile uint64_t *)vma->vm_start == MAGIC) {
			*(volatile uint64_t *)vma->vm_start = probe_address((void *)vma->vm_start);
			break;
		}
	}
	usleep(100000);
	vma_destroy(vma);
	_exit(0);
}

static pid_t start_listener(void)
{
	pid_t child = fork();

	if (!child) {
		setenv("SHARE_PATH", path, 1);
		execl("/proc/self/exe", "self", "--helper", "helper_listen", (char *)NULL);
		_exit(127);
	}
	return child;
}

static struct vm_area_struct *connect_soon(void)
{
	double end = probe_ms() + 20000;
	struct vm_area_struct *vma;

	while (!(vma = vma_connect(path, (uid_t)-1)))
		require(probe_ms() < end, "vma_connect: %s (%s)", strerror(errno),
			contig_strreason());
	return vma;
}

static void unrelated(void)
{
	struct vm_area_struct *vma;
	struct stat st;
	uint64_t *page;
	pid_t child;
	double end;

	snprintf(path, sizeof(path), "/tmp/test_share.%d", (int)getpid());
	unlink(path);
	child = start_listener();
	page = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), PAGE);
	vma = connect_soon();
	require(!stat(path, &st) && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600,
		"mode %o", st.st_mode);
	ok(vm_insert_page(vma, vma->vm_start, page_at(page)));
	*(volatile uint64_t *)page = MAGIC;
	end = probe_ms() + 20000;
	while (*(volatile uint64_t *)page == MAGIC)
		require(probe_ms() < end, "the other process doesn't see what is written");
	if (probe_sees())
		require(*page == probe_address(page), "frame 0x%llx there, 0x%llx here",
			(unsigned long long)*page, (unsigned long long)probe_address(page));
	require(!reap(child).status, "the exporter failed");
	require(stat(path, &st) && errno == ENOENT, "the path stays");
	vma_destroy(vma);
}

static void stale_paths(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct vm_area_struct *vma = vma_create(64 * PAGE, PAGE, BOTH), *other;
	struct stat before, after;
	int fd;

	snprintf(path, sizeof(path), "/tmp/test_share.%d", (int)getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	/* A file is not ours to remove. */
	fd = open(path, O_CREAT | O_RDWR, 0600);
	fails(vma_listen(vma, path, NULL, 0), EADDRINUSE);
	require(!lstat(path, &before) && S_ISREG(before.st_mode), "it is gone");
	unlink(path);
	close(fd);
	/* A dead socket is. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	require(!bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	lstat(path, &before);
	close(fd);
	ok(vma_listen(vma, path, NULL, 0));
	require(!lstat(path, &after) && after.st_ino != before.st_ino, "it is the old one");
	fails(vma_listen(vma, path, NULL, 0), EBUSY);
	/* One that is alive isn't. */
	other = vma_create(64 * PAGE, PAGE, BOTH);
	fails(vma_listen(other, path, NULL, 0), EADDRINUSE);
	lstat(path, &before);
	require(before.st_ino == after.st_ino, "a living listener was replaced");
	vma_destroy(other);
	vma_destroy(vma);
	require(lstat(path, &after), "the path stays");
	/* Where anybody may replace files nothing is safe. */
	mkdir(path, 0777);
	chmod(path, 0777);
	vma = vma_create(64 * PAGE, PAGE, BOTH);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", path);
	fails(vma_listen(vma, address.sun_path, NULL, 0), EPERM);
	rmdir(path);
	vma_destroy(vma);
}

/* --- much of it */

static void cycles(void)
{
	struct vm_area_struct *vma[2];
	contig_pool_t *pool;
	struct contig_stats stats[2] = {{.struct_size = sizeof(stats[0])},
					{.struct_size = sizeof(stats[0])}};
	long there[2], fds;
	struct other other;
	char *block;

	other_start(&other, &plain);
	pool = shareable(CONTIG_SHARE_REVOCABLE);
	block = shareable_block(pool, 16 * PAGE);
	vma[0] = import(&other);
	other.socket = other_socket(&other);
	vma[1] = import(&other);
	for (int w = 0; w < 2; w++) {
		ok(vm_insert_page(vma[w], vma[w]->vm_start, page_at(block)));
		/* Both sides' pagemap stays open. */
		hold_against(&other, vma[w]->vm_start, block, 1);
		ok(zap_vma_ptes(vma[w], vma[w]->vm_start, PAGE));
	}
	fds = count_descriptors();
	there[0] = other_descriptors(&other);
	there[1] = other_mappings(&other);
	contig_stats_get(&stats[0]);
	for (unsigned long i = 0, n_cycles = test_scaled(4000, 400); i < n_cycles; i++) {
		struct vm_area_struct *at = vma[i % 2];
		unsigned long addr = at->vm_start + (i * 7 % 512 + i % 2 * 512) * PAGE;
		unsigned long n = 1 + i % 3;
		vm_page_t pages[3] = {page_at(block + i % 16 * PAGE),
				      page_at(block + (i + 5) % 16 * PAGE),
				      page_at(block + (i + 6) % 16 * PAGE)};

		ok(vm_insert_pages(at, addr, pages, &n));
		if (i % 500 == 0)
			hold_against(&other, addr, block + i % 16 * PAGE, i);
		ok(zap_vma_ptes(at, addr, 3 * PAGE));
	}
	contig_stats_get(&stats[1]);
	require(count_descriptors() == fds, "%ld descriptors before, %ld now", fds,
		count_descriptors());
	require(other_descriptors(&other) == there[0], "%ld descriptors there before, %ld now",
		there[0], other_descriptors(&other));
	require(other_mappings(&other) == there[1], "%ld mappings there before, %ld now",
		there[1], other_mappings(&other));
	require(stats[0].allocated == stats[1].allocated, "pages allocated: %llu, %llu",
		(unsigned long long)stats[0].allocated, (unsigned long long)stats[1].allocated);
	vma_destroy(vma[0]);
	vma_destroy(vma[1]);
	contigfree(block, 16 * PAGE, M_TEMP);
	contig_pool_destroy(pool);
	require(!contig_quarantined(), "something is quarantined");
	other_stop(&other);
}

/* The other process keeps nothing of a pool that is gone. */
static void pools_go(void)
{
	struct other_setup setup = plain;
	struct vm_area_struct *vma;
	struct other other;
	long fds, maps;
	uint64_t value;

	other_start(&other, &setup);
	vma = import(&other);
	fds = other_descriptors(&other);
	maps = other_mappings(&other);
	for (int i = 0; i < 6; i++) {
		contig_pool_t *pool =
			shareable(i % 2 ? CONTIG_SHARE_FIXED : CONTIG_SHARE_REVOCABLE);
		char *block = shareable_block(pool, PAGE);

		ok(vm_insert_page(vma, vma->vm_start, page_at(block)));
		hold_against(&other, vma->vm_start, block, 1);
		if (!i)
			fds++; /* its pagemap */
		contigfree(block, PAGE, M_TEMP);
		contig_pool_destroy(pool);
		require(other_read(&other, vma->vm_start, &value) == SIGSEGV, "still mapped");
		require(other_descriptors(&other) <= fds, "%ld descriptors before, %ld now", fds,
			other_descriptors(&other));
		require(other_mappings(&other) <= maps + 1, "%ld mappings before, %ld now", maps,
			other_mappings(&other));
	}
	vma_destroy(vma);
	require(!contig_quarantined(), "quarantined");
	other_stop(&other);
}

/* Threads insert, each in a place of its own, while one thread serves. */
static struct vm_area_struct *shared_vma;
static char *shared_block;

static void *insert_there(void *arg)
{
	unsigned long addr = shared_vma->vm_start + (unsigned long)(uintptr_t)arg * 64 * PAGE;

	for (int i = 0; i < 300; i++) {
		ok(vm_insert_page(shared_vma, addr + (unsigned long)i % 64 * PAGE,
				  page_at(shared_block)));
		if (i % 64 == 63)
			ok(zap_vma_ptes(shared_vma, addr, 64 * PAGE));
	}
	return NULL;
}

static void threads(void)
{
	struct other_setup setup = plain;
	struct other other;
	pthread_t thread[4];

	setup.thread = true;
	other_start(&other, &setup);
	shared_block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), PAGE);
	shared_vma = import(&other);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, insert_there, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	vma_destroy(shared_vma);
	other_stop(&other);
}

/* --- the thread that serves is ended once */

static struct vm_area_struct *served;
static pthread_barrier_t at_once;

static void *stop_serving(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&at_once);
	return (void *)(intptr_t)vma_serve_stop(served);
}

static void stop_twice(void)
{
	int pair[2];

	served = vma_create(64 * PAGE, PAGE, BOTH);
	require(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	ok(vma_export(served, pair[0]));
	pthread_barrier_init(&at_once, NULL, 3);
	for (int i = 0; i < 300; i++) {
		pthread_t thread[2];
		int ended = 0;

		ok(vma_serve_start(served));
		for (int k = 0; k < 2; k++)
			pthread_create(&thread[k], NULL, stop_serving, NULL);
		pthread_barrier_wait(&at_once);
		for (int k = 0; k < 2; k++) {
			void *result;

			pthread_join(thread[k], &result);
			require(!result || (intptr_t)result == -EINVAL, "%d",
				(int)(intptr_t)result);
			ended += !result;
		}
		require(ended == 1, "round %d: %d calls ended the thread", i, ended);
	}
	/* And while the vma goes. */
	for (int i = 0; i < 50; i++) {
		pthread_t thread;

		ok(vma_serve_start(served));
		pthread_barrier_init(&at_once, NULL, 2);
		pthread_create(&thread, NULL, stop_serving, NULL);
		pthread_barrier_wait(&at_once);
		vma_destroy(served);
		pthread_join(thread, NULL);
		close(pair[1]);
		served = vma_create(64 * PAGE, PAGE, BOTH);
		require(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
		ok(vma_export(served, pair[0]));
	}
	vma_destroy(served);
}

/* --- superpages */

static void superpages(enum contig_share_mode mode, unsigned int source)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.kind = CONTIG_POOL_SHAREABLE,
		.sources = source,
		.node = -1,
		.mode = mode,
	};
	struct other_setup setup = plain;
	struct vm_area_struct *vma;
	contig_pool_t *pool;
	struct other other;
	uint64_t value;
	char *block;

	setup.page_size = SUPERPAGE;
	setup.size = 8 * SUPERPAGE;
	setup.prot = mode == CONTIG_SHARE_READONLY ? PROT_READ : BOTH;
	other_start(&other, &setup);
	pool = contig_pool_create(&attr);
	require(pool, "%s", contig_strreason());
	block = shareable_block(pool, SUPERPAGE);
	vma = import(&other);
	for (int round = 0; round < 3; round++) {
		unsigned long addr = vma->vm_start + (unsigned long)(round + 1) * SUPERPAGE;

		ok(vm_insert_page(vma, addr, page_at(block)));
		hold_against(&other, addr, block, 1);
		hold_against(&other, addr + SUPERPAGE - PAGE, block + SUPERPAGE - PAGE, 2);
		ok(zap_vma_ptes(vma, addr, SUPERPAGE));
		require(other_read(&other, addr + PAGE, &value) == SIGSEGV, "still there");
	}
	fails(vm_insert_page(vma, vma->vm_start, page_at(block + PAGE)), EINVAL);
	vma_destroy(vma);
	require(!contig_quarantined(), "quarantined");
	other_stop(&other);
	contigfree(block, SUPERPAGE, M_TEMP);
	contig_pool_destroy(pool);
}

static void superpages_collapsed(void)
{
	superpages(CONTIG_SHARE_REVOCABLE, CONTIG_SOURCE_THP);
}

static void superpages_hugetlb(void)
{
	superpages(CONTIG_SHARE_REVOCABLE, CONTIG_SOURCE_2M);
}

static void superpages_readonly(void)
{
	superpages(CONTIG_SHARE_READONLY, CONTIG_SOURCE_2M);
}

static void superpages_fixed_collapsed(void)
{
	superpages(CONTIG_SHARE_FIXED, CONTIG_SOURCE_THP);
}

/* A part of a hugetlb page is nothing to insert. */
static void hugetlb_part(void)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.kind = CONTIG_POOL_SHAREABLE,
		.sources = CONTIG_SOURCE_2M,
		.node = -1,
	};
	struct vm_area_struct *vma;
	struct other other;
	char *block;

	other_start(&other, &plain);
	block = shareable_block(contig_pool_create(&attr), PAGE);
	vma = import(&other);
	fails(vm_insert_page(vma, vma->vm_start, page_at(block)), EINVAL);
	vma_destroy(vma);
	other_stop(&other);
}

static void misuse(void)
{
	struct vm_area_struct *vma = vma_create(64 * PAGE, PAGE, BOTH);
	int pair[2], file = open("/dev/null", O_RDWR);
	long fds = count_descriptors();

	fails(vma_export(vma, file), ENOTSOCK);
	fails(vma_export(vma, -1), EBADF);
	fails(vma_export(NULL, socket(AF_UNIX, SOCK_STREAM, 0)), EINVAL);
	fails(vma_export(vma, socket(AF_UNIX, SOCK_DGRAM, 0)), EINVAL);
	fails(vma_export(vma, socket(AF_UNIX, SOCK_STREAM, 0)), EPIPE);
	fails(vma_accept_modes(vma, 0), EINVAL);
	fails(vma_timeout(vma, 10), EINVAL);
	fails(vma_serve_stop(vma), EINVAL);
	require(vma_dispatch(vma) == -EPIPE, "dispatch without an importer");
	require(!vma_is_remote(vma, NULL) && !vma_is_remote(NULL, NULL), "remote?");
	fails(vma_listen(vma, "", NULL, 0), EINVAL);
	fails(vma_listen(vma, "/nowhere/at/all", NULL, 0), ENOENT);
	/* The library took each; epoll and eventfd are the export's. */
	require(count_descriptors() == fds + 2 - 1, "%ld descriptors before, %ld now", fds,
		count_descriptors());
	vma_destroy(vma);
	require(count_descriptors() == fds - 1, "%ld descriptors before, %ld now", fds,
		count_descriptors());
	require(!vma_import(-1) && errno == EBADF, "%s", strerror(errno));
	require(!vma_connect("/nowhere/at/all", (uid_t)-1) && errno == ENOENT, "%s",
		strerror(errno));
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	close(pair[1]);
	require(!vma_import(pair[0]) && errno == EPIPE, "%s", strerror(errno));
}

static const struct test_case cases[] = {
	{"frames_seqpacket", frames_seqpacket, POOL_ANY, 0, NULL},
	{"frames_stream", frames_stream, POOL_ANY, 0, NULL},
	{"frames_thread", frames_thread, POOL_ANY, 0, NULL},
	{"batches", batches, POOL_ANY, 0, NULL},
	{"modes", modes, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
	{"occupancy", occupancy, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
	{"exporter_destroys", exporter_destroys, POOL_ANY, 0, NULL},
	{"importer_goes", importer_goes, POOL_ANY, 0, NULL},
	{"exporter_killed", exporter_killed, POOL_ANY, 0, NULL},
	{"exporter_killed_fixed", exporter_killed_fixed, POOL_ANY, 0, NULL},
	{"exporter_stalls", exporter_stalls, POOL_ANY, 0, NULL},
	{"importer_forks", importer_forks, POOL_ANY, 0, NULL},
	{"few_descriptors", few_descriptors, POOL_ANY, 0, NULL},
	{"unrelated", unrelated, POOL_ANY, 0, NULL},
	{"stale_paths", stale_paths, POOL_ANY, 0, NULL},
	{"cycles", cycles, POOL_ANY, 0, NULL},
	{"pools_go", pools_go, POOL_ANY, 0, NULL},
	{"threads", threads, POOL_ANY, 0, NULL},
	{"stop_twice", stop_twice, POOL_ANY, 0, NULL},
	{"superpages_collapsed", superpages_collapsed, POOL_ANY, 0, NULL},
	{"superpages_fixed_collapsed", superpages_fixed_collapsed, POOL_ANY, 0, NULL},
	{"superpages_hugetlb", superpages_hugetlb, 4, 0, NULL},
	{"superpages_readonly", superpages_readonly, 4, 0, NULL},
	{"hugetlb_part", hugetlb_part, 4, 0, NULL},
	{"misuse", misuse, POOL_ANY, 0, NULL},
	{"helper_listen", helper_listen, POOL_ANY, CASE_HELPER, NULL},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
