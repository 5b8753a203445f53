/* SPDX-License-Identifier: BSD-2-Clause */
#include "lab_victim.h"

#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_S 60
#define WORK_MS 2000

const char *const kind_names[KINDS] = {
    "default pool, hugetlb",   "private pool, hugetlb", "default pool, collapsed",
    "private pool, collapsed", "own hugetlb pages",     "own 4 KiB pages"};
const char *const hold_names[HOLDS] = {"io_uring", "pipe", "mlock", "none"};

static struct {
	enum kind kind;
	enum hold hold;
	char *ranges[RANGES];
	uint64_t frames[RANGES * RANGE_PAGES];
	int refused;
	char problem[200];
} self;

void run_on_node(int node)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (int cpu = 0; cpu < 64; cpu++) {
		char path[96];

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpu%d",
			 node, cpu);
		if (!access(path, F_OK))
			CPU_SET(cpu, &cpus);
	}
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

static int problem(const char *what, const char *why)
{
	snprintf(self.problem, sizeof(self.problem), "%s: %s", what, why);
	return -1;
}

/* --- memory ----------------------------------------------------------------- */

static int take_from_library(void)
{
	bool private = is_private(self.kind);
	struct contig_pool_attr attr = {
	    .struct_size = sizeof(attr),
	    .kind = private ? CONTIG_POOL_PRIVATE : CONTIG_POOL_DEFAULT,
	    .node = 0,
	};
	contig_pool_t *pool = NULL;

	if (private) {
		pool = contig_pool_create(&attr);
		if (!pool)
			return problem("contig_pool_create", contig_strreason());
	}
	for (int i = 0; i < RANGES; i++) {
		self.ranges[i] = contig_pool_malloc(pool, SUPERPAGE, M_DEVBUF, M_WAITOK,
						    0, ~(vm_paddr_t)0, SUPERPAGE, 0);
		if (!self.ranges[i])
			return problem("contigmalloc", contig_strreason());
	}
	return 0;
}

static int own_pin(void)
{
	struct io_uring_params params = {0};
	struct iovec ranges[RANGES];
	int fd;

	for (int i = 0; i < RANGES; i++)
		ranges[i] = (struct iovec){self.ranges[i], SUPERPAGE};
	fd = (int)syscall(SYS_io_uring_setup, 1, &params);
	if (fd < 0)
		return problem("io_uring", strerror(errno));
	self.refused =
	    !!syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, ranges, RANGES);
	return 0;
}

/* One byte of each page, or of each superpage. */
static int own_pipe(size_t step)
{
	for (int i = 0; i < RANGES; i++) {
		for (size_t at = 0, in_pipe = 0; at < SUPERPAGE; at += step) {
			static int fds[2];
			struct iovec byte = {self.ranges[i] + at, 1};

			if (!in_pipe &&
			    (pipe(fds) || fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) < 0))
				return problem("pipe", strerror(errno));
			if (vmsplice(fds[1], &byte, 1, SPLICE_F_NONBLOCK) != 1)
				return problem("vmsplice", strerror(errno));
			in_pipe = (in_pipe + 1) % 256;
		}
	}
	return 0;
}

static int take_own(void)
{
	bool huge = self.kind == KIND_OWN_2M;
	size_t len = RANGES * SUPERPAGE;
	char *va = mmap(NULL, len, PROT_READ | PROT_WRITE,
			huge ? MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB
			     : MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	if (va == MAP_FAILED)
		return problem("mmap", strerror(errno));
	if (!huge)
		madvise(va, len, MADV_NOHUGEPAGE);
	if (madvise(va, len, MADV_POPULATE_WRITE))
		return problem("populating", strerror(errno));
	for (int i = 0; i < RANGES; i++)
		self.ranges[i] = va + (size_t)i * SUPERPAGE;
	switch (self.hold) {
	case HOLD_URING:
		return own_pin();
	case HOLD_PIPE:
		return own_pipe(huge ? SUPERPAGE : PAGE);
	case HOLD_MLOCK:
		return mlock(va, len) ? problem("mlock", strerror(errno)) : 0;
	default:
		return 0;
	}
}

/* Every second page is the same everywhere, as KSM likes it; the others are
 * like no other. */
static uint64_t word_of(unsigned int page, unsigned int word)
{
	return page % 2 ? ((uint64_t)getpid() << 32 | page << 9 | word)
			: 0x5a5a5a5a5a5a5a5au;
}

/* Parents and children write alike: in shared memory nothing changes. */
static void fill(pid_t as)
{
	for (unsigned int page = 0; page < RANGES * RANGE_PAGES; page++) {
		volatile uint64_t *p =
		    (volatile uint64_t *)(void *)(self.ranges[page / RANGE_PAGES] +
						  page % RANGE_PAGES * PAGE);

		if (as != getpid()) {
			/* A child: what is there, once more. */
			p[0] = p[0];
			continue;
		}
		for (unsigned int word = 0; word < PAGE / 8; word += 8)
			p[word] = word_of(page, word);
	}
}

static unsigned int count_damaged(void)
{
	unsigned int damaged = 0;

	for (unsigned int page = 0; page < RANGES * RANGE_PAGES; page++) {
		uint64_t *p = (uint64_t *)(void *)(self.ranges[page / RANGE_PAGES] +
						   page % RANGE_PAGES * PAGE);
		unsigned int word = 0;

		while (word < PAGE / 8 && p[word] == word_of(page, word))
			word += 8;
		damaged += word < PAGE / 8;
	}
	return damaged;
}

/* --- reports ----------------------------------------------------------------- */

static char *page_address(unsigned int page)
{
	return self.ranges[page / RANGE_PAGES] + page % RANGE_PAGES * PAGE;
}

/* Frames of all pages, ADDRESS_ABSENT for those that aren't there. */
static void read_frames(uint64_t *out)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	for (unsigned int i = 0; i < RANGES; i++) {
		uint64_t *entries = out + i * RANGE_PAGES;

		if (pread(fd, entries, RANGE_PAGES * 8,
			  (off_t)((uintptr_t)self.ranges[i] / PAGE * 8)) !=
		    RANGE_PAGES * 8)
			problem("pagemap", strerror(errno));
		for (unsigned int n = 0; n < RANGE_PAGES; n++)
			entries[n] = entries[n] >> 63
					 ? (entries[n] & ((UINT64_C(1) << 55) - 1)) * PAGE
					 : ADDRESS_ABSENT;
	}
	close(fd);
}

static void ask_library(struct report *r, const uint64_t *frames)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};

	r->wiring = CONTIG_WIRING_PINNED;
	for (int i = 0; i < RANGES; i++) {
		struct contig_range_info info;

		if (contig_range_check(self.ranges[i], SUPERPAGE, &info) < 0) {
			problem("contig_range_check", contig_strreason());
			return;
		}
		if ((int)info.wiring < r->wiring)
			r->wiring = (int)info.wiring;
	}
	for (unsigned int page = 0; page < RANGES * RANGE_PAGES; page++) {
		const char *va = page_address(page) + page % PAGE;
		uint64_t pa = frames[page] + page % PAGE;

		r->mistaken += frames[page] == self.frames[page] &&
			       (contig_virt_to_phys(va) != pa ||
				contig_virt_to_phys_inline(va) != pa ||
				contig_phys_to_virt(pa) != va);
	}
	r->verified = contig_verify();
	contig_stats_get(&stats);
	r->exact = stats.held == RANGES * SUPERPAGE;
}

static void report(struct report *r)
{
	static uint64_t frames[RANGES * RANGE_PAGES];

	memset(r, 0, sizeof(*r));
	r->wiring = -1;
	r->pages = RANGES * RANGE_PAGES;
	r->refused = self.refused;
	if (*self.problem)
		goto out;
	read_frames(frames);
	for (unsigned int page = 0; page < r->pages; page++)
		r->absent += frames[page] == ADDRESS_ABSENT;
	/* Touches all of it. */
	r->damaged = count_damaged();
	read_frames(frames);
	for (unsigned int page = 0; page < r->pages; page++)
		r->moved += frames[page] != self.frames[page];
	if (is_library(self.kind))
		ask_library(r, frames);
	for (int i = 0; i < RANGES; i++) {
		r->ranges[i] = self.ranges[i];
		r->frames[i] = self.frames[i * RANGE_PAGES];
	}
out:
	memcpy(r->problem, self.problem, sizeof(r->problem));
}

/* --- orders -------------------------------------------------------------------- */

static void bind_all(int mode)
{
	unsigned long nodes = 2;

	/* Failure is what a pin is for: the frames tell. */
	for (int i = 0; i < RANGES; i++)
		syscall(SYS_mbind, self.ranges[i], SUPERPAGE, mode, mode ? &nodes : NULL,
			mode ? 8 * sizeof(nodes) : 0,
			mode ? MPOL_MF_MOVE_ALL | MPOL_MF_STRICT : 0);
}

static void advise_all(int advice)
{
	for (int i = 0; i < RANGES; i++)
		madvise(self.ranges[i], SUPERPAGE, advice);
}

/* Children that exit, that write, that stay while the parent writes. */
static void fork_storm(void)
{
	pid_t parent = getpid(), children[3];
	int status;

	for (int i = 0; i < 3; i++) {
		children[i] = fork();
		if (children[i] < 0) {
			problem("fork", strerror(errno));
			return;
		}
		if (!children[i]) {
			if (i)
				fill(parent);
			if (i == 2)
				pause();
			_exit(0);
		}
	}
	fill(parent);
	kill(children[2], SIGKILL);
	for (int i = 0; i < 3; i++) {
		waitpid(children[i], &status, 0);
		if (i < 2 && status)
			problem("a child", WIFSIGNALED(status)
					       ? strsignal(WTERMSIG(status))
					       : "exit");
	}
	fill(parent);
}

static void work(void)
{
	double end = probe_ms() + WORK_MS;

	run_on_node(1);
	while (probe_ms() < end)
		for (unsigned int page = 0; page < RANGES * RANGE_PAGES; page++)
			*(volatile char *)page_address(page) = *page_address(page);
	run_on_node(0);
}

static void obey(enum order order)
{
	switch (order) {
	case ORDER_MBIND:
		bind_all(MPOL_BIND);
		break;
	case ORDER_UNBIND:
		bind_all(MPOL_DEFAULT);
		break;
	case ORDER_PAGEOUT:
		advise_all(MADV_PAGEOUT);
		break;
	case ORDER_FORK:
		fork_storm();
		break;
	case ORDER_MERGEABLE:
		advise_all(MADV_MERGEABLE);
		break;
	case ORDER_WORK:
		work();
		break;
	case ORDER_REPORT:
		break;
	}
}

__attribute__((noreturn)) static void be_victim(int channel, enum kind kind,
						enum hold hold)
{
	enum order order;
	struct report r;

	self.kind = kind;
	self.hold = hold;
	/* The library hasn't been used yet: it reads these at first use. */
	setenv("CONTIG_PIN", hold_names[hold], 1);
	setenv("CONTIG_NODE", "0", 1);
	setenv("CONTIG_SOURCES",
	       kind == KIND_DEFAULT_2M || kind == KIND_PRIVATE_2M ? "2m" : "thp", 1);
	/* When the test dies, so do we. */
	alarm(PATIENCE_S * 10);
	run_on_node(0);
	if (!(is_library(kind) ? take_from_library() : take_own())) {
		fill(getpid());
		read_frames(self.frames);
	}
	report(&r);
	while (send(channel, &r, sizeof(r), 0) == sizeof(r) &&
	       recv(channel, &order, sizeof(order), 0) == sizeof(order)) {
		if (!*self.problem)
			obey(order);
		/* What was ordered may be all that is wanted for now. */
		if (order == ORDER_REPORT || *self.problem)
			report(&r);
	}
	_exit(0);
}

/* --- the test's side --------------------------------------------------------- */

int victim_start(struct victim *v, enum kind kind, enum hold hold)
{
	struct timeval patience = {PATIENCE_S, 0};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	v->pid = fork();
	if (!v->pid) {
		probe_write_text(VICTIMS "/cgroup.procs", "0");
		be_victim(pair[1], kind, hold);
	}
	close(pair[1]);
	v->fd = pair[0];
	setsockopt(v->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return v->pid < 0 ? -1 : 0;
}

int victim_send(const struct victim *v, enum order order)
{
	return send(v->fd, &order, sizeof(order), MSG_NOSIGNAL) == sizeof(order) ? 0 : -1;
}

int victim_receive(const struct victim *v, struct report *out)
{
	int status;

	if (recv(v->fd, out, sizeof(*out), 0) == sizeof(*out))
		return *out->problem ? -1 : 0;
	if (waitpid(v->pid, &status, WNOHANG) == v->pid && WIFSIGNALED(status))
		snprintf(out->problem, sizeof(out->problem), "killed: %s",
			 strsignal(WTERMSIG(status)));
	else
		snprintf(out->problem, sizeof(out->problem), "no answer");
	return -1;
}

void victim_end(struct victim *v)
{
	if (v->pid > 0) {
		kill(v->pid, SIGKILL);
		waitpid(v->pid, NULL, 0);
		close(v->fd);
	}
	v->pid = 0;
}
