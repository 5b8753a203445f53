/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The threat table of vma(7), row by row: what a peer tries, and what comes of
 * it.  Peers here don't use the library: they speak its protocol by hand, with
 * the numbers of the protocol written down once more below, and keep what a
 * well-behaved peer would close.
 */
#include "harness.h"
#include "sharing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define NOBODY 65534
#define BOTH (PROT_READ | PROT_WRITE)
#define MAGIC UINT64_C(0x1122334455667788)
#define RANGE UINT64_C(0x7e0000000000) /* that a false exporter claims */
#define RANGE_PAGES 512

/* --- the protocol, by hand */

enum { HELLO = 1, GEOMETRY, FILE_, SEALED, MAP, UNMAP, FORGET, BYE, ACK };

struct header {
	uint32_t magic;
	uint16_t version, type;
	uint32_t sequence, length, count, descriptors;
};

struct packet {
	struct header header;
	unsigned char body[1 << 16];
};

static struct packet packet;

/* Bytes received, 0 at the end; a descriptor in *fd or -1. */
static ssize_t hear(int socket, int *fd)
{
	char room[CMSG_SPACE(sizeof(int) * 4)];
	struct iovec data = {&packet, sizeof(packet)};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room,
			   .msg_controllen = sizeof(room)};
	struct pollfd wait = {socket, POLLIN, 0};
	ssize_t n;

	if (poll(&wait, 1, 10000) != 1)
		return -1;
	n = recvmsg(socket, &m, 0);
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_type == SCM_RIGHTS && fd)
			memcpy(fd, CMSG_DATA(c), sizeof(int));
	return n < 0 ? 0 : n;
}

static int say_bytes(int socket, const void *bytes, size_t n, const int *fds, unsigned int n_fds)
{
	char room[CMSG_SPACE(sizeof(int) * 64)] = {0};
	struct iovec data = {(void *)(uintptr_t)bytes, n};
	struct msghdr m = {.msg_iov = &data, .msg_iovlen = 1};

	if (n_fds) {
		struct cmsghdr *c;

		m.msg_control = room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	return sendmsg(socket, &m, MSG_NOSIGNAL) == (ssize_t)n ? 0 : -errno;
}

static int say(int socket, unsigned int type, uint32_t sequence, uint32_t count, const void *body,
	       size_t length, int fd)
{
	struct packet out;

	out.header = (struct header){0x67746e63, 1, (uint16_t)type, sequence, (uint32_t)length,
				     count, fd >= 0};
	memcpy(out.body, body, length);
	return say_bytes(socket, &out, sizeof(out.header) + length, &fd, fd >= 0);
}

/* --- a false exporter: it answers as a true one would, and maps nothing but
 * what its attack wants */

static sigjmp_buf fault;

static void on_fault(int number)
{
	siglongjmp(fault, number);
}

/* What the attacker has, and what it found. */
struct loot {
	int fd;                  /* as it was sent */
	char *view;              /* of the whole file, mapped when it came */
	size_t size;
	bool reopened, wrote, mapped_writable, made_writable, punched, removed, sealed,
		truncated, chmodded;
};

static struct loot *found; /* shared with the attacker */

static void try_descriptor(struct loot *a, int fd)
{
	char *p;

	if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)a->size))
		a->punched = true;
	if (!ftruncate(fd, 0))
		a->truncated = true;
	if (pwrite(fd, "!", 1, 100) == 1)
		a->wrote = true;
	if (!fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) || !fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL))
		a->sealed = true;
	p = mmap(NULL, a->size, BOTH, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return;
	a->mapped_writable = true;
	if (!sigsetjmp(fault, 1))
		*(volatile uint64_t *)p = 0xbad;
	munmap(p, a->size);
}

/* All at once, so that a test tells them apart by what is left. */
static void attack(struct loot *a)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", a->fd);
	if (!mprotect(a->view, PAGE, BOTH)) {
		a->made_writable = true;
		if (!madvise(a->view + a->size - PAGE, PAGE, MADV_REMOVE))
			a->removed = true;
	}
	try_descriptor(a, a->fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		if (!fchmod(a->fd, 0600)) /* x is sealed: MFD_NOEXEC_SEAL */
			a->chmodded = true;
		fd = open(path, O_RDWR | O_CLOEXEC);
	}
	if (fd < 0)
		return;
	a->reopened = true;
	try_descriptor(a, fd);
	close(fd);
}

/* What it does at once, before its owner can seal. */
static void (*when_sent)(struct loot *a);

/* Answer requests until so many maps were. */
static void pretend(int socket, bool writable, int maps, struct loot *a)
{
	uint64_t geometry[4] = {RANGE, RANGE_PAGES * PAGE, PAGE, (uint64_t)14 << 32 | writable};
	int32_t results[1024] = {0};

	while (maps) {
		int fd = -1;
		struct header request;

		if (hear(socket, &fd) < (ssize_t)sizeof(struct header))
			_exit(70);
		request = packet.header;
		if (request.type == HELLO) {
			say(socket, GEOMETRY, request.sequence, 1, geometry, sizeof(geometry), -1);
			continue;
		}
		if (request.type == FILE_) {
			memcpy(&a->size, packet.body + 8, sizeof(a->size));
			a->fd = fd;
			a->view = mmap(NULL, a->size, writable ? BOTH : PROT_READ, MAP_SHARED, fd,
				       0);
			if (a->view == MAP_FAILED)
				_exit(71);
			if (when_sent)
				when_sent(a);
		}
		maps -= request.type == MAP;
		say(socket, ACK, request.sequence, request.count ? request.count : 1, results,
		    4 * (request.count ? request.count : 1), -1);
	}
}

static bool become(uid_t uid)
{
	return !uid || (!syscall(SYS_setgroups, 0, NULL) && !setresgid(uid, uid, uid) &&
			!setresuid(uid, uid, uid) && !prctl(PR_SET_DUMPABLE, 1));
}

static int go[2]; /* the attacker waits for a byte */

static pid_t start_attacker(int *socket, bool writable, int maps, uid_t uid,
			    void (*then)(struct loot *a))
{
	struct sigaction action = {.sa_handler = on_fault};
	int pair[2];
	pid_t child;

	if (!found)
		found = mmap(NULL, sizeof(*found), BOTH, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) || pipe(go))
		fail("socketpair");
	child = fork();
	if (!child) {
		char byte;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		close(go[1]);
		sigaction(SIGSEGV, &action, NULL);
		sigaction(SIGBUS, &action, NULL);
		if (!become(uid))
			_exit(72);
		pretend(pair[1], writable, maps, found);
		if (read(go[0], &byte, 1) != 1)
			_exit(73);
		then(found);
		_exit(0);
	}
	close(pair[1]);
	close(go[0]);
	*socket = pair[0];
	return child;
}

static int insert(struct vm_area_struct *vma, unsigned long page, const void *block)
{
	return vm_insert_page(vma, vma->vm_start + page * PAGE, page_at(block));
}

/* Share one superpage with an attacker and see what is left of it. */
struct aftermath {
	bool alive, same, moved; /* no fault; the bytes; the frame */
};

static struct aftermath suffer(enum contig_share_mode mode, bool writable, uid_t uid)
{
	struct aftermath after = {false, true, false};
	struct sigaction action = {.sa_handler = on_fault};
	struct vm_area_struct *vma;
	volatile uint64_t *block;
	uint64_t before[2];
	size_t words = SUPERPAGE / sizeof(*block);
	pid_t child;
	int socket;

	child = start_attacker(&socket, writable, 1, uid, attack);
	block = shareable_block(shareable(mode), SUPERPAGE);
	for (size_t i = 0; i < words; i++)
		block[i] = MAGIC + i;
	before[0] = probe_address((void *)(uintptr_t)block);
	before[1] = probe_address((void *)((uintptr_t)block + SUPERPAGE - PAGE));
	vma = vma_import(socket);
	require(vma, "vma_import: %s", contig_strreason());
	require(!insert(vma, 3, (void *)(uintptr_t)block), "%s", contig_strreason());
	require(write(go[1], "", 1) == 1, "the attacker is gone");
	require(!reap(child).status, "the attacker failed");
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	if (!sigsetjmp(fault, 1)) {
		for (size_t i = 0; i < words; i++)
			if (block[i] != MAGIC + i)
				after.same = false;
		block[0] = 1;
		after.alive = true;
	}
	if (probe_sees())
		after.moved = probe_address((void *)(uintptr_t)block) != before[0] ||
			      probe_address((void *)((uintptr_t)block + SUPERPAGE - PAGE)) !=
				      before[1];
	note("reopened %d wrote %d mapped writable %d made writable %d punched %d removed %d "
	     "sealed %d truncated %d chmod %d; alive %d same %d moved %d",
	     found->reopened, found->wrote, found->mapped_writable, found->made_writable,
	     found->punched, found->removed, found->sealed, found->truncated, found->chmodded,
	     after.alive, after.same, after.moved);
	/* It died without a word: whatever mode, its pages rest. */
	vma_destroy(vma);
	require(after.alive && contig_quarantined() == 0, "live pages aren't counted yet");
	contigfree((void *)(uintptr_t)block, SUPERPAGE, M_TEMP);
	require(contig_quarantined() >= SUPERPAGE, "not quarantined");
	return after;
}

/* In every mode: no shrinking, no further seal. */
#define never()                                                                        \
	do {                                                                           \
		require(!found->truncated, "it truncated the file");                   \
		require(!found->sealed, "it added a seal");                            \
	} while (0)
/* Sealed modes: what the owner reads is what it wrote. */
#define untouched(after)                                                               \
	do {                                                                           \
		never();                                                               \
		require((after).alive && (after).same && !(after).moved,               \
			"content or frame changed");                                   \
		require(!found->wrote && !found->punched && !found->removed &&         \
				!found->mapped_writable, "it wrote, or punched");      \
	} while (0)

static void readonly_same_user(void)
{
	struct aftermath after = suffer(CONTIG_SHARE_READONLY, false, 0);

	untouched(after);
	require(!found->made_writable, "mprotect");
	/* The same user is no boundary, root none at all: the file opens.  It is
	 * the seal that holds. */
	require(found->reopened, "not even reopened: the table can say more");
}

static void readonly_other_user(void)
{
	struct aftermath after = suffer(CONTIG_SHARE_READONLY, false, NOBODY);

	untouched(after);
	require(!found->reopened && !found->chmodded, "another user reopened it");
}

static void fixed_same_user(void)
{
	struct aftermath after = suffer(CONTIG_SHARE_FIXED, true, 0);

	never();
	/* It may write, through what it mapped before the seal: no more. */
	require(after.alive && !after.moved && after.same, "content or frame changed");
	require(found->made_writable && !found->punched && !found->removed &&
			!found->mapped_writable, "punched, or mapped anew");
}

static void fixed_other_user(void)
{
	struct aftermath after = suffer(CONTIG_SHARE_FIXED, true, NOBODY);

	never();
	require(after.alive && !after.moved && after.same, "content or frame changed");
	require(!found->punched && !found->removed && !found->mapped_writable,
		"punched, or mapped anew");
}

static void fixed_reader(void)
{
	struct aftermath after = suffer(CONTIG_SHARE_FIXED, false, 0);

	untouched(after);
}

static void revocable_same_user(void)
{
	struct aftermath after = suffer(CONTIG_SHARE_REVOCABLE, true, 0);

	never();
	require(after.alive, "the owner faulted"); /* a touch gives it a new page */
	require(!after.same && found->punched && found->removed && found->mapped_writable,
		"it could not destroy the content: the table can say more");
}

static void revocable_reader_same_user(void)
{
	struct aftermath after = suffer(CONTIG_SHARE_REVOCABLE, false, 0);

	never();
	require(after.alive, "the owner faulted");
	require(found->reopened && found->punched, "the table can say more");
}

static void revocable_reader_other_user(void)
{
	struct aftermath after = suffer(CONTIG_SHARE_REVOCABLE, false, NOBODY);

	never();
	require(!found->reopened && !found->chmodded && !found->punched && !found->wrote &&
			!found->mapped_writable && !found->made_writable,
		"another user's read-only descriptor");
	require(after.alive && after.same && !after.moved, "content or frame changed");
}

/* A page of each superpage: what was there is lost; the frame of a pinned one
 * stays, for a device. */
#define HOLE 5

static void punch_pages(struct loot *a)
{
	a->punched = true;
	for (size_t at = HOLE * PAGE; at < a->size; at += SUPERPAGE)
		if (fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, PAGE))
			a->punched = false;
}

static void revocable_small_hole(void)
{
	struct contig_range_info range;
	struct vm_area_struct *vma;
	uint64_t before;
	pid_t child;
	char *block;
	int socket;

	child = start_attacker(&socket, true, 1, 0, punch_pages);
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), SUPERPAGE);
	memset(block, 1, SUPERPAGE);
	before = probe_address(block + HOLE * PAGE);
	vma = vma_import(socket);
	require(vma && !insert(vma, 0, block), "%s", contig_strreason());
	require(contig_range_check(block, SUPERPAGE, &range) >= 0, "contig_range_check");
	require(write(go[1], "", 1) == 1 && !reap(child).status, "the attacker failed");
	require(found->punched, "not punched: this tests nothing");
	for (size_t i = 0; i < SUPERPAGE; i += 64)
		require(block[i] == (i / PAGE != HOLE), "byte %zu is %d", i, block[i]);
	note("wiring %d, frame 0x%llx, was 0x%llx", (int)range.wiring,
	     (unsigned long long)probe_address(block + HOLE * PAGE), (unsigned long long)before);
	if (range.wiring >= CONTIG_WIRING_PINNED && probe_sees())
		require(probe_address(block + HOLE * PAGE) == before, "a pinned frame moved");
	vma_destroy(vma);
}

/* Fixed mode, in the moment before the seal. */
static void punch_early(struct loot *a)
{
	if (!fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)a->size))
		a->punched = true;
}

/* The same, and something else in its place: no hole is left to be seen. */
static void replace_early(struct loot *a)
{
	punch_early(a);
	memset(a->view, 0x66, a->size);
}

static void before_seal(void (*what)(struct loot *a))
{
	struct vm_area_struct *vma;
	pid_t child;
	char *block;
	int socket;

	when_sent = what;
	child = start_attacker(&socket, true, 1, 0, attack);
	block = shareable_block(shareable(CONTIG_SHARE_FIXED), SUPERPAGE);
	memset(block, 1, SUPERPAGE);
	vma = vma_import(socket);
	require(vma, "%s", contig_strreason());
	require(insert(vma, 0, block) == -EPERM, "a file that was punched was shared: %s",
		contig_strreason());
	require(found->punched, "not punched: this tests nothing");
	note("%s", contig_strreason());
	contigfree(block, SUPERPAGE, M_TEMP);
	require(contig_quarantined() >= SUPERPAGE, "not quarantined");
	kill(child, SIGKILL);
	vma_destroy(vma);
}

static void fixed_punched_before_seal(void)
{
	before_seal(punch_early);
}

static void fixed_replaced_before_seal(void)
{
	before_seal(replace_early);
}

/* --- the grandchild that keeps a mapping */

static void leave_heir(struct loot *a)
{
	pid_t child = fork();

	if (child) {
		memcpy(&a->size, &child, sizeof(child));
		return;
	}
	usleep(200000);
	if (!sigsetjmp(fault, 1)) {
		*(volatile uint64_t *)a->view = 0xdead;
		a->wrote = true;
	}
	usleep(100000);
	_exit(0);
}

static void grandchild(enum contig_share_mode mode)
{
	contig_pool_t *pool;
	struct vm_area_struct *vma;
	char *block, *taken[2048];
	size_t n;
	pid_t child, heir;
	int socket, tries;

	child = start_attacker(&socket, true, 1, 0, leave_heir);
	pool = shareable(mode);
	block = shareable_block(pool, PAGE);
	vma = vma_import(socket);
	require(!insert(vma, 0, block), "%s", contig_strreason());
	require(write(go[1], "", 1) == 1, "gone");
	/* Not reap(): the subreaper gets the grandchild as well. */
	require(waitpid(child, NULL, 0) == child, "wait");
	memcpy(&heir, &found->size, sizeof(heir));
	/* The socket is at its end; the page goes back to its pool... */
	require(zap_vma_ptes(vma, vma->vm_start, PAGE) == -EPIPE, "the peer is gone");
	contigfree(block, PAGE, M_TEMP);
	vma_destroy(vma);
	require(contig_quarantined() >= PAGE, "not quarantined");
	/* ...and is given to nobody. */
	for (n = 0; n < 2048; n++) {
		taken[n] = contig_pool_malloc(pool, PAGE, M_TEMP, M_ZERO, 0, UINT64_MAX, 1, 0);
		if (!taken[n])
			break;
		require(taken[n] != block, "the page is in use again");
	}
	require(n, "no page left: %s", contig_strreason());
	for (tries = 0; !found->wrote && tries < 20000; tries++)
		usleep(1000);
	require(found->wrote, "the grandchild could not even write");
	for (size_t i = 0; i < n; i++)
		require(!*(uint64_t *)taken[i], "a dead peer's child wrote into a page in use");
	kill(heir, SIGKILL);
}

static void grandchild_revocable(void)
{
	grandchild(CONTIG_SHARE_REVOCABLE);
}

static void grandchild_fixed(void)
{
	grandchild(CONTIG_SHARE_FIXED);
}

/* --- false exporters: what they say must not hang or confuse the importer */

struct lie {
	const char *name;
	int when;   /* in the answer to HELLO, FILE_, MAP, UNMAP */
	int kind;
	int error;  /* expected */
};

enum { GARBAGE, LATE_GARBAGE, TRUNCATED, OVERSIZED, WRONG_SEQUENCE, WRONG_COUNT, UNASKED_FD,
       MANY_FDS, EMPTY, DRIP, SILENCE, HANGUP, POSITIVE_RESULT, REFUSAL, SLOWNESS };

static void lie_now(int socket, const struct header *request, int kind)
{
	struct header answer = {0x67746e63, 1, ACK, request->sequence, 4, 1, 0};
	unsigned char bytes[1 << 16] = {0};
	int fds[8];
	uint32_t count = request->count ? request->count : 1;

	answer.count = count;
	answer.length = 4 * count;
	for (int i = 0; i < 8; i++)
		fds[i] = open("/dev/null", O_RDONLY);
	memcpy(bytes, &answer, sizeof(answer));
	switch (kind) {
	case GARBAGE:
		memset(bytes, 0x5a, sizeof(bytes));
		say_bytes(socket, bytes, 300, NULL, 0);
		break;
	case LATE_GARBAGE:
		say_bytes(socket, "\x5a", 1, NULL, 0);
		break;
	case TRUNCATED:
		say_bytes(socket, bytes, sizeof(answer) + 2, NULL, 0);
		shutdown(socket, SHUT_WR);
		break;
	case OVERSIZED:
		say_bytes(socket, bytes, sizeof(bytes), NULL, 0);
		break;
	case WRONG_SEQUENCE:
		((struct header *)bytes)->sequence++;
		say_bytes(socket, bytes, sizeof(answer) + answer.length, NULL, 0);
		break;
	case WRONG_COUNT:
		((struct header *)bytes)->count++;
		((struct header *)bytes)->length += 4;
		say_bytes(socket, bytes, sizeof(answer) + answer.length + 4, NULL, 0);
		break;
	case UNASKED_FD:
		say_bytes(socket, bytes, sizeof(answer) + answer.length, fds, 1);
		break;
	case MANY_FDS:
		say_bytes(socket, bytes, sizeof(answer) + answer.length, fds, 8);
		break;
	case EMPTY:
		say_bytes(socket, "", 0, NULL, 0);
		break;
	case DRIP:
		for (size_t i = 0; i < sizeof(answer); i++) {
			say_bytes(socket, bytes + i, 1, NULL, 0);
			usleep(50000);
		}
		break;
	case HANGUP:
		_exit(0);
	case POSITIVE_RESULT:
		bytes[sizeof(answer)] = 1;
		say_bytes(socket, bytes, sizeof(answer) + answer.length, NULL, 0);
		break;
	case REFUSAL:
		memset(bytes + sizeof(answer), 0xff, 4 * count); /* -EPERM */
		say_bytes(socket, bytes, sizeof(answer) + answer.length, NULL, 0);
		break;
	}
	pause();
}

#define SLOW_MS 600
#define SLOW_TIMEOUT_MS 1600 /* two answers are in time, together; four are not */
#define SLOW_ANSWERS 4

static pid_t start_liar(int *ours, int type, int when, int kind)
{
	uint64_t geometry[4] = {RANGE, RANGE_PAGES * PAGE, PAGE, (uint64_t)14 << 32 | 1};
	int32_t results[1024] = {0};
	int pair[2];
	pid_t child;

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair))
		fail("socketpair");
	child = fork();
	if (child) {
		close(pair[1]);
		*ours = pair[0];
		return child;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(pair[0]);
	for (;;) {
		struct header request;

		/* In a stream requests could come glued; ours don't. */
		if (hear(pair[1], NULL) < (ssize_t)sizeof(struct header))
			_exit(0);
		request = packet.header;
		if (request.type == when && kind == SLOWNESS)
			usleep(SLOW_MS * 1000);
		else if (request.type == when)
			lie_now(pair[1], &request, kind);
		if (request.type == HELLO)
			say(pair[1], GEOMETRY, request.sequence, 1, geometry, sizeof(geometry), -1);
		else
			say(pair[1], ACK, request.sequence, request.count ? request.count : 1,
			    results, 4 * (request.count ? request.count : 1), -1);
	}
}

#define SHORT_MS 300
#define LONG_MS 4000

static void one_lie(contig_pool_t *pool, int type, const struct lie *lie)
{
	bool waits = lie->error == ETIMEDOUT;
	char *block = shareable_block(pool, PAGE);
	long fds = count_descriptors();
	struct vm_area_struct *vma;
	int socket, err = 0;
	double start;
	pid_t child = start_liar(&socket, type, lie->when, lie->kind);

	start = probe_ms();
	vma = vma_import(socket);
	if (lie->when == HELLO) {
		require(!vma && errno == lie->error, "%s: %s (%s)", lie->name, strerror(errno),
			contig_strreason());
	} else {
		require(vma, "%s: %s", lie->name, contig_strreason());
		/* Who answers at all must be in time on a busy machine too. */
		vma_timeout(vma, waits && lie->when != UNMAP ? SHORT_MS : LONG_MS);
		err = insert(vma, 1, block);
		if (lie->when == UNMAP) {
			require(!err, "%s: %s", lie->name, contig_strreason());
			vma_timeout(vma, waits ? SHORT_MS : LONG_MS);
			err = zap_vma_ptes(vma, vma->vm_start, 4 * PAGE);
		}
		require(err == -lie->error, "%s: %d, wanted %d (%s)", lie->name, err,
			-lie->error, contig_strreason());
	}
	require(*contig_strreason(), "%s: no reason", lie->name);
	/* The greeting has five seconds. */
	require(probe_ms() - start < (lie->when == HELLO ? 9000 : LONG_MS - 500),
		"%s: took %.0f ms", lie->name, probe_ms() - start);
	vma_destroy(vma);
	require(count_descriptors() == fds, "%s: %ld descriptors before, %ld now", lie->name, fds,
		count_descriptors());
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void liars(int type)
{
	bool stream = type == SOCK_STREAM;
	const struct lie lies[] = {
		{"garbage for a greeting", HELLO, GARBAGE, EPROTO},
		{"an answer of the wrong kind", HELLO, REFUSAL, EPROTO},
		{"hangs up at the greeting", HELLO, HANGUP, EPIPE},
		{"an end for a greeting", HELLO, EMPTY, stream ? ETIMEDOUT : EPIPE},
		{"garbage for a file", FILE_, GARBAGE, EPROTO},
		{"refuses a file", FILE_, REFUSAL, EPERM},
		{"hangs up at a file", FILE_, HANGUP, EPIPE},
		{"garbage", MAP, GARBAGE, EPROTO},
		{"one byte", MAP, LATE_GARBAGE, stream ? ETIMEDOUT : EPROTO},
		{"truncated", MAP, TRUNCATED, stream ? EPIPE : EPROTO},
		{"oversized", MAP, OVERSIZED, stream ? 0 : EPROTO},
		{"another's answer", MAP, WRONG_SEQUENCE, EPROTO},
		{"an answer too many", MAP, WRONG_COUNT, EPROTO},
		{"a descriptor for nothing", MAP, UNASKED_FD, EPROTO},
		{"eight descriptors", MAP, MANY_FDS, EPROTO},
		{"drip", MAP, DRIP, stream ? ETIMEDOUT : EPROTO},
		{"silence", MAP, SILENCE, ETIMEDOUT},
		{"hangs up", MAP, HANGUP, EPIPE},
		{"a result that is none", MAP, POSITIVE_RESULT, EPROTO},
		{"refuses to map", MAP, REFUSAL, EPERM},
		{"refuses to unmap", UNMAP, REFUSAL, EPROTO},
		{"hangs up at unmapping", UNMAP, HANGUP, EPIPE},
		{"silent at unmapping", UNMAP, SILENCE, ETIMEDOUT},
	};
	contig_pool_t *pool = shareable(CONTIG_SHARE_REVOCABLE);

	contigfree(shareable_block(pool, PAGE), PAGE, M_TEMP); /* has its descriptor */
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		/* What is quarantined is gone: a new pool for each. */
		contig_pool_t *own = shareable(CONTIG_SHARE_REVOCABLE);

		if (lies[i].error) {
			contigfree(shareable_block(own, PAGE), PAGE, M_TEMP);
			one_lie(own, type, &lies[i]);
		}
	}
}

static void liars_seqpacket(void)
{
	liars(SOCK_SEQPACKET);
}

static void liars_stream(void)
{
	liars(SOCK_STREAM);
}

/*
 * Each answer is in time, and there are many: a call waits as long as was said,
 * whatever it takes.
 */
static void slow_answers(int when)
{
	struct vm_area_struct *vma;
	char *block[SLOW_ANSWERS];
	vm_page_t pages[SLOW_ANSWERS];
	unsigned long left = SLOW_ANSWERS;
	int socket, err;
	pid_t child = start_liar(&socket, SOCK_SEQPACKET, when, SLOWNESS);

	for (int i = 0; i < SLOW_ANSWERS; i++) { /* a file each */
		block[i] = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), PAGE);
		pages[i] = page_at(block[i]);
	}
	vma = vma_import(socket);
	require(vma && !vma_timeout(vma, SLOW_TIMEOUT_MS), "%s", contig_strreason());
	if (when == FILE_) {
		err = vm_insert_pages(vma, vma->vm_start, pages, &left);
	} else {
		/* Of an object whose pages are all over the place: a message for each
		 * 64 of them. */
		for (unsigned long i = 0; i < RANGE_PAGES; i += 2)
			require(!insert(vma, i, block[0]), "%s", contig_strreason());
		err = zap_vma_ptes(vma, vma->vm_start, RANGE_PAGES * PAGE);
	}
	require(err == -ETIMEDOUT, "%d, %lu left (%s)", err, left, contig_strreason());
	require(strstr(contig_strreason(), "1600 ms"), "%s", contig_strreason());
	vma_destroy(vma);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void slow_files(void)
{
	slow_answers(FILE_);
}

static void slow_unmapping(void)
{
	slow_answers(UNMAP);
}

/* --- false importers: the exporter goes on serving the others, and is left
 * with nothing */

struct file_claim {
	uint64_t file, size;
	uint32_t mode, zero;
};

struct run {
	uint64_t file, offset, at;
	uint32_t count, read_only;
};

struct bad_file {
	const char *name;
	int fd;
	uint64_t size;
	uint32_t mode;
	int result; /* expected */
};

static int memfd(unsigned int seals, bool filled)
{
	static const char zeros[4 * PAGE];
	int fd = memfd_create("bad", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, 4 * PAGE) ||
	    (filled && pwrite(fd, zeros, sizeof(zeros), 0) != sizeof(zeros)) ||
	    (seals && fcntl(fd, F_ADD_SEALS, seals)))
		fail("memfd: %s", strerror(errno));
	return fd;
}

/* All its memory is where nobody can map it; as many blocks as a whole one. */
static int beyond_its_end(unsigned int seals)
{
	int fd = memfd(0, false);

	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 4 * PAGE, 4 * PAGE) ||
	    fcntl(fd, F_ADD_SEALS, seals))
		fail("memfd: %s", strerror(errno));
	return fd;
}

/* The first result of a request; fails the case unless it is answered. */
static int ask(int socket, unsigned int type, uint32_t count, const void *body, size_t length,
	       int fd)
{
	static uint32_t sequence;
	int32_t result;
	int err = say(socket, type, ++sequence, count, body, length, fd);

	require(!err, "request %u: %s", type, strerror(-err));
	require(hear(socket, NULL) >= (ssize_t)sizeof(struct header) + 4, "request %u: no answer",
		type);
	if (packet.header.type == GEOMETRY)
		return 0;
	memcpy(&result, packet.body, sizeof(result));
	return result;
}

static void false_files(void)
{
	struct other_setup setup = {.size = 64 * PAGE, .page_size = PAGE, .prot = BOTH,
				    .type = SOCK_SEQPACKET};
	const unsigned int steady = F_SEAL_SHRINK | F_SEAL_GROW;
	struct other other;
	char path[64];
	long fds, maps;
	uint64_t value;
	int reader;

	other_start(&other, &setup);
	fds = other_descriptors(&other);
	maps = other_mappings(&other);
	reader = memfd(steady, true);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", reader);
	reader = open(path, O_RDONLY);
	{
		const struct bad_file files[] = {
			{"a device", open("/dev/null", O_RDWR), PAGE, 3, -EINVAL},
			{"a directory", open("/tmp", O_RDONLY | O_DIRECTORY), PAGE, 3, -EPERM},
			{"an ordinary file", open("/tmp", O_TMPFILE | O_RDWR, 0600), PAGE, 3, 0},
			{"a socket", socket(AF_UNIX, SOCK_STREAM, 0), PAGE, 3, -EINVAL},
			{"an O_PATH", open("/dev/null", O_PATH), PAGE, 3, -EBADF},
			{"not sealed", memfd(0, true), 4 * PAGE, 3, -EPERM},
			{"may grow", memfd(F_SEAL_SHRINK, true), 4 * PAGE, 3, -EPERM},
			{"may shrink", memfd(F_SEAL_GROW, true), 4 * PAGE, 3, -EPERM},
			{"of another size", memfd(steady, true), 8 * PAGE, 3, -EINVAL},
			{"read-only descriptor", reader, 4 * PAGE, 3, -EPERM},
			{"read-only, not sealed so", memfd(steady, true), 4 * PAGE, 1, -EPERM},
			{"read-only, with holes", memfd(steady | F_SEAL_FUTURE_WRITE, false),
			 4 * PAGE, 1, -EPERM},
			{"fixed, with holes", memfd(steady, false), 4 * PAGE, 2, -EPERM},
			{"read-only, memory beyond its end",
			 beyond_its_end(steady | F_SEAL_FUTURE_WRITE), 4 * PAGE, 1, -EPERM},
			{"fixed, memory beyond its end", beyond_its_end(steady), 4 * PAGE, 2,
			 -EPERM},
		};

		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
			struct file_claim claim = {i + 1, files[i].size, files[i].mode, 0};
			struct run run = {i + 1, 0, 0, 1, 0};
			int result;

			if (!i)
				ask(other.socket, HELLO, 0, "", 0, -1);
			result = ask(other.socket, FILE_, 1, &claim, sizeof(claim), files[i].fd);
			require(files[i].result ? result == files[i].result : result < 0,
				"%s: %d", files[i].name, result);
			require(ask(other.socket, MAP, 1, &run, sizeof(run), -1) == -ENOENT,
				"%s: mapped", files[i].name);
			close(files[i].fd);
		}
	}
	/* A good one; beyond its end; over somebody; twice the number. */
	{
		int good = memfd(steady, true);
		struct file_claim claim = {100, 4 * PAGE, 3, 0}, fixed = {101, 4 * PAGE, 2, 0};
		struct run run = {100, 2 * PAGE, 0, 3, 0};
		uint64_t number = 101;
		int result;

		require(!ask(other.socket, FILE_, 1, &claim, sizeof(claim), good), "refused");
		require(ask(other.socket, FILE_, 1, &claim, sizeof(claim), good) == -EEXIST,
			"one number, two files");
		require(ask(other.socket, MAP, 1, &run, sizeof(run), -1) == -EINVAL,
			"mapped beyond the end: SIGBUS");
		run.offset = (uint64_t)INT64_MAX + 1 - 4 * PAGE;
		run.count = 2;
		require(ask(other.socket, MAP, 1, &run, sizeof(run), -1) == -EINVAL, "overflow");
		run.offset = 0;
		require(!ask(other.socket, MAP, 1, &run, sizeof(run), -1), "refused");
		require(ask(other.socket, MAP, 1, &run, sizeof(run), -1) == -EBUSY, "twice");
		require(!other_read(&other, other.start + PAGE, &value), "fault");
		/* Fixed: nothing before the seal is seen. */
		result = ask(other.socket, FILE_, 1, &fixed, sizeof(fixed), good);
		require(!result, "refused: %d", result);
		run = (struct run){101, 0, 8 * PAGE, 1, 0};
		require(ask(other.socket, MAP, 1, &run, sizeof(run), -1) == -EPERM, "not sealed");
		require(ask(other.socket, SEALED, 1, &number, sizeof(number), -1) == -EPERM,
			"believed a seal that isn't there");
		fcntl(good, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
		require(!ask(other.socket, SEALED, 1, &number, sizeof(number), -1), "refused");
		require(!ask(other.socket, MAP, 1, &run, sizeof(run), -1), "refused");
		require(!other_write(&other, other.start + 8 * PAGE, 1), "fault");
		close(good);
	}
	close(other.socket);
	for (int i = 0; i < 1000 && other_read(&other, other.start, &value) != SIGSEGV; i++)
		usleep(20000);
	require(other_read(&other, other.start, &value) == SIGSEGV, "still mapped");
	require(other_descriptors(&other) == fds - 1 && other_mappings(&other) <= maps + 1,
		"%ld descriptors before, %ld now; %ld mappings, %ld", fds,
		other_descriptors(&other), maps, other_mappings(&other));
	other_stop(&other);
}

/* An exporter that accepts sealed modes only can't be given another. */
static void sealed_only(void)
{
	struct other_setup setup = {.size = 64 * PAGE, .page_size = PAGE, .prot = BOTH,
				    .type = SOCK_STREAM, .modes = 1u << CONTIG_SHARE_FIXED};
	struct file_claim claim = {1, 4 * PAGE, 3, 0};
	struct vm_area_struct *vma;
	struct other other;
	char *block;
	int first;

	other_start(&other, &setup);
	first = other_socket(&other);
	ask(first, HELLO, 0, "", 0, -1);
	require(ask(first, FILE_, 1, &claim, sizeof(claim),
		    memfd(F_SEAL_SHRINK | F_SEAL_GROW, true)) == -EPERM, "a revocable file was accepted");
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), PAGE);
	vma = vma_import(other.socket);
	require(insert(vma, 0, block) == -EPERM, "accepted");
	block = shareable_block(shareable(CONTIG_SHARE_FIXED), PAGE);
	require(!insert(vma, 0, block), "%s", contig_strreason());
	vma_destroy(vma);
	close(first);
	other_stop(&other);
}

/* Bytes at random, messages out of order, descriptors without end. */
static void false_requests(void)
{
	struct other_setup setup = {.size = 64 * PAGE, .page_size = PAGE, .prot = BOTH,
				    .type = SOCK_STREAM};
	uint64_t state = test_seed(), value;
	struct vm_area_struct *vma;
	struct other other;
	long fds, maps;
	char *block;
	int good;

	other_start(&other, &setup);
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), PAGE);
	vma = vma_import(other.socket);
	require(!insert(vma, 5, block), "%s", contig_strreason());
	good = memfd(F_SEAL_SHRINK | F_SEAL_GROW, true);
	fds = other_descriptors(&other);
	maps = other_mappings(&other);
	for (int i = 0; i < 300; i++) {
		int socket = other_socket(&other), fd[8];
		unsigned char bytes[600];
		uint64_t range[2] = {5 * PAGE, 1};
		struct file_claim claim = {1, 4 * PAGE, 3, 0};

		for (size_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (unsigned char)probe_random(&state);
		for (int k = 0; k < 8; k++)
			fd[k] = good;
		switch (i % 10) {
		case 0:
			say_bytes(socket, bytes, 1 + (size_t)i, NULL, 0);
			break;
		case 1: /* no greeting */
			say(socket, UNMAP, 1, 1, range, sizeof(range), -1);
			break;
		case 2: /* another's page */
			ask(socket, HELLO, 0, "", 0, -1);
			require(!ask(socket, UNMAP, 1, range, sizeof(range), -1) &&
					!other_read(&other, vma->vm_start + 5 * PAGE, &value),
				"an importer unmapped another's page");
			break;
		case 3:
			say(socket, HELLO, 1, 0, "", 0, -1);
			say_bytes(socket, bytes, 600, fd, 8);
			break;
		case 4: /* descriptors, and no message */
			for (int k = 0; k < 20; k++)
				say_bytes(socket, "c", 1, fd, 1);
			break;
		case 5: /* announces a descriptor, sends none */
			ask(socket, HELLO, 0, "", 0, -1);
			{
				struct packet out;

				out.header = (struct header){0x67746e63, 1, FILE_, 2, sizeof(claim),
							     1, 1};
				memcpy(out.body, &claim, sizeof(claim));
				say_bytes(socket, &out, sizeof(out.header) + sizeof(claim), NULL, 0);
				require(!hear(socket, NULL),
					"a descriptor that isn't there was believed");
			}
			break;
		case 6: /* half a message, and waits */
			say_bytes(socket, "\x63\x6e\x74\x67\x01\x00", 6, NULL, 0);
			break;
		case 7: /* greets twice */
			ask(socket, HELLO, 0, "", 0, -1);
			say(socket, HELLO, 1, 0, "", 0, -1);
			break;
		case 8: /* never reads its answers */
			for (int k = 0; k < 3000; k++) {
				struct header h = {0x67746e63, 1, HELLO, 1, 0, 0, 0};

				if (k)
					h = (struct header){0x67746e63, 1, UNMAP, 2, 16, 1, 0};
				memcpy(bytes, &h, sizeof(h));
				memcpy(bytes + sizeof(h), range, sizeof(range));
				if (send(socket, bytes, sizeof(h) + (k ? 16 : 0),
					 MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
					break;
			}
			break;
		case 9: /* an answer */
			ask(socket, HELLO, 0, "", 0, -1);
			say(socket, ACK, 1, 1, bytes, 4, -1);
			break;
		}
		/* The good one is served all the while. */
		require(!insert(vma, 6, block), "attack %d: %s", i % 10, contig_strreason());
		require(!zap_vma_ptes(vma, vma->vm_start + 6 * PAGE, PAGE), "attack %d: %s", i % 10,
			contig_strreason());
		close(socket);
	}
	for (int i = 0; i < 500 && (other_descriptors(&other) != fds ||
				    other_mappings(&other) != maps); i++)
		usleep(20000);
	require(!other_read(&other, vma->vm_start + 5 * PAGE, &value), "our page is gone");
	require(other_descriptors(&other) == fds && other_mappings(&other) == maps,
		"%ld descriptors before, %ld now; %ld mappings, %ld", fds,
		other_descriptors(&other), maps, other_mappings(&other));
	vma_destroy(vma);
	other_stop(&other);
}

/* More at once than one peer is served in its turn, messages or what is in
 * them: none is left lying. */
static void at_once(uint32_t messages, uint32_t ranges)
{
	struct other_setup setup = {.size = 64 * PAGE, .page_size = PAGE, .prot = BOTH,
				    .type = SOCK_STREAM};
	size_t each = sizeof(struct header) + ranges * 2 * sizeof(uint64_t);
	ssize_t got = 0, want = (ssize_t)(messages * (sizeof(struct header) + 4 * ranges));
	unsigned char *requests = calloc(messages, each);
	struct other other;

	other_start(&other, &setup);
	ask(other.socket, HELLO, 0, "", 0, -1);
	for (uint32_t i = 0; i < messages; i++) {
		struct header header = {0x67746e63, 1, UNMAP, i + 1, 16 * ranges, ranges, 0};
		const uint64_t range[2] = {0, 64};

		memcpy(requests + i * each, &header, sizeof(header));
		for (uint32_t k = 0; k < ranges; k++)
			memcpy(requests + i * each + sizeof(header) + k * sizeof(range), range,
			       sizeof(range));
	}
	require(!say_bytes(other.socket, requests, messages * each, NULL, 0), "send");
	while (got < want) {
		struct pollfd wait = {other.socket, POLLIN, 0};
		ssize_t n = poll(&wait, 1, 2000) == 1 ?
				    recv(other.socket, &packet, sizeof(packet), 0) : 0;

		require(n > 0, "%zd of %zd bytes of answers came", got, want);
		got += n;
	}
	free(requests);
	other_stop(&other);
}

static void many_requests(void)
{
	at_once(200, 1);
	at_once(5, 1024);
}

/* --- who may connect */

static char path[64];

static void connect_as_nobody(void *arg)
{
	struct vm_area_struct *vma;

	if (!become(NOBODY))
		_exit(9);
	vma = vma_connect(path, *(uid_t *)arg);
	_exit(vma ? 0 : errno);
}

static void users(void)
{
	struct vm_area_struct *vma = vma_create(64 * PAGE, PAGE, BOTH);
	uid_t nobody = NOBODY, root = 0, any = (uid_t)-1;
	struct outcome out;
	struct stat st;

	snprintf(path, sizeof(path), "/tmp/test_share.%d", (int)getpid());
	unlink(path);
	require(!vma_listen(vma, path, NULL, 0) && !vma_serve_start(vma), "%s",
		contig_strreason());
	out = run_child(connect_as_nobody, &any);
	require(out.status == EACCES, "status %d: the file's mode", out.status);
	/* The mode is not what decides. */
	chmod(path, 0777);
	out = run_child(connect_as_nobody, &any);
	require(out.status == EPIPE, "status %d: the list", out.status);
	vma_destroy(vma);
	vma = vma_create(64 * PAGE, PAGE, BOTH);
	require(!vma_listen(vma, path, &nobody, 1) && !vma_serve_start(vma), "%s",
		contig_strreason());
	require(!stat(path, &st) && (st.st_mode & 0777) == 0666, "mode %o", st.st_mode);
	out = run_child(connect_as_nobody, &any);
	require(!out.status, "status %d: in the list", out.status);
	out = run_child(connect_as_nobody, &root);
	require(!out.status, "status %d: root listens", out.status);
	out = run_child(connect_as_nobody, &nobody);
	require(out.status == EPERM, "status %d: root listens, nobody was expected", out.status);
	vma_destroy(vma);
}

static const struct test_case cases[] = {
	{"readonly_same_user", readonly_same_user, POOL_ANY, 0, NULL},
	{"readonly_other_user", readonly_other_user, POOL_ANY, CASE_ROOT, NULL},
	{"fixed_same_user", fixed_same_user, POOL_ANY, 0, NULL},
	{"fixed_other_user", fixed_other_user, POOL_ANY, CASE_ROOT, NULL},
	{"fixed_reader", fixed_reader, POOL_ANY, 0, NULL},
	{"fixed_punched_before_seal", fixed_punched_before_seal, POOL_ANY, 0, NULL},
	{"fixed_replaced_before_seal", fixed_replaced_before_seal, POOL_ANY, CASE_SEES, NULL},
	{"revocable_same_user", revocable_same_user, POOL_ANY, 0, NULL},
	{"revocable_reader_same_user", revocable_reader_same_user, POOL_ANY, 0, NULL},
	{"revocable_reader_other_user", revocable_reader_other_user, POOL_ANY, CASE_ROOT, NULL},
	{"revocable_small_hole", revocable_small_hole, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
	{"grandchild_revocable", grandchild_revocable, POOL_ANY, 0, NULL},
	{"grandchild_fixed", grandchild_fixed, POOL_ANY, 0, NULL},
	{"liars_seqpacket", liars_seqpacket, POOL_ANY, 0, NULL},
	{"liars_stream", liars_stream, POOL_ANY, 0, NULL},
	{"slow_files", slow_files, POOL_ANY, 0, NULL},
	{"slow_unmapping", slow_unmapping, POOL_ANY, 0, NULL},
	{"false_files", false_files, POOL_ANY, 0, NULL},
	{"sealed_only", sealed_only, POOL_ANY, 0, NULL},
	{"false_requests", false_requests, POOL_ANY, 0, NULL},
	{"many_requests", many_requests, POOL_ANY, 0, NULL},
	{"users", users, POOL_ANY, CASE_ROOT, NULL},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
