/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parent's side of the guard: making it, telling it what will change
 * before it changes, stopping it.  guard_process.h says how it works.
 */
#include "host/hugetlb.h"

#include "base/log.h"
#include "base/reason.h"
#include "host/guard_process.h"
#include "host/nodes.h"
#include "host/root.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

_Static_assert(GUARD_NODE_WORDS * 8 * sizeof(unsigned long) == HOST_NODE_LIMIT, "a node mask");

#ifndef __WCLONE
#define __WCLONE 0x80000000
#endif

#define STACK_SIZE (64 * 1024)
#define STACK_GAP 4096 /* PROT_NONE below the stack */
/* How long a healthy guard may take to answer: it opens files, and waits a
 * third of a second for a lock. */
#define ANSWER_MS 10000

/* Have the guard do something and wait for its answer. */
static int ask_guard(struct hugetlb_guard *g, enum guard_op op, uint32_t index)
{
	struct guard_message message = {op, index};
	struct pollfd pfd = {g->sock, POLLIN, 0};
	int32_t answer;
	ssize_t n;

	do
		n = send(g->sock, &message, sizeof(message), MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(message))
		goto dead;
	do
		n = poll(&pfd, 1, ANSWER_MS);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		goto dead;
	do
		n = recv(g->sock, &answer, sizeof(answer), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(answer))
		goto dead;
	return answer;
dead:
	/* A late answer must not be taken for the next one's. */
	shutdown(g->sock, SHUT_RDWR);
	contig_reason_set("the guard process that would set the pool back is gone");
	return -ESRCH;
}

static void guard_unmap(struct hugetlb_guard *g)
{
	munmap(g, g->map_len);
}

struct hugetlb_guard *contig_hugetlb_guard_start(void)
{
	size_t head = (sizeof(struct hugetlb_guard) + 4095) & ~(size_t)4095;
	size_t len = head + STACK_GAP + STACK_SIZE;
	uint64_t all_signals = ~UINT64_C(0), old_signals;
	struct hugetlb_guard *g;
	int pair[2], err;
	char *map;

	map = mmap(NULL, len, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (map == MAP_FAILED)
		return NULL;
	/* Below the stack; without it an overflow would hit the records. */
	mprotect(map + head, STACK_GAP, PROT_NONE);
	g = (struct hugetlb_guard *)(void *)map;
	g->map_len = len;
	g->owner = getpid();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		err = errno;
		goto unmap;
	}
	g->sock = pair[0];
	g->guard_sock = pair[1];
	g->owner_pidfd = (int)syscall(SYS_pidfd_open, g->owner, 0);
	/*
	 * The kernel's call: glibc's would leave its two internal signals
	 * open, and their handlers use thread-local storage.
	 */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, &old_signals, 8);
	g->pid = (pid_t)contig_guard_clone(g, map + len);
	err = g->pid < 0 ? -g->pid : 0;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &old_signals, NULL, 8);
	close(g->guard_sock);
	if (g->owner_pidfd >= 0)
		close(g->owner_pidfd);
	if (err) {
		contig_reason_set("no guard process: %s", strerror(err));
		goto close_socket;
	}
	/* Descriptors closed, session its own: only now may work begin. */
	err = -ask_guard(g, GUARD_HELLO, 0);
	if (err) {
		contig_hugetlb_guard_stop(g);
		errno = err;
		return NULL;
	}
	contig_debug(HOST, "guard process %d", (int)g->pid);
	return g;
close_socket:
	close(g->sock);
unmap:
	guard_unmap(g);
	errno = err;
	return NULL;
}

static const char *const file_names[GUARD_FILES] = {
	[GUARD_NR] = "nr_hugepages",
	[GUARD_SURPLUS] = "surplus_hugepages",
	[GUARD_FREE] = "free_hugepages",
	[GUARD_ALL_NR] = "nr_hugepages",
	[GUARD_ALL_SURPLUS] = "surplus_hugepages",
	[GUARD_POLICY] = "nr_hugepages_mempolicy",
};

/* The pool's record under guard, made and opened at first use. */
static int guarded_pool(struct hugetlb_guard *g, uint64_t size, int node, struct guard_pool **out)
{
	struct guard_pool *pool;
	int err;

	for (unsigned int i = 0; i < g->n_pools; i++) {
		pool = &g->pools[i];
		if (pool->size != size)
			continue;
		if (pool->node == node) {
			*out = pool;
			return 0;
		}
		/* A node's pages are part of the global number: both would
		 * count the same change. */
		if (pool->node == HUGETLB_ALL_NODES || node == HUGETLB_ALL_NODES) {
			contig_reason_set("a pool is guarded either per node or as a whole");
			return -EINVAL;
		}
	}
	if (g->n_pools == GUARD_POOLS_MAX)
		return -E2BIG;
	pool = &g->pools[g->n_pools];
	memset(pool, 0, sizeof(*pool));
	pool->size = size;
	pool->node = node;
	for (int i = 0; i < GUARD_FILES; i++) {
		bool all = i >= GUARD_ALL_NR;

		pool->files.fd[i] = -1;
		if (!all || node != HUGETLB_ALL_NODES)
			contig_hugetlb_file(pool->paths[i], sizeof(pool->paths[i]), size,
					    all ? HUGETLB_ALL_NODES : node, file_names[i]);
	}
	contig_node_mask(node, pool->nodes);
	err = ask_guard(g, GUARD_OPEN, g->n_pools);
	if (err) {
		if (err == -EROFS)
			contig_reason_set("%s is read-only here (a container?): set it on the host",
					  pool->paths[GUARD_NR]);
		else if (err == -EACCES || err == -EPERM)
			contig_reason_set("%s: writing it needs root", pool->paths[GUARD_NR]);
		else if (err != -ESRCH)
			contig_reason_set("%s: %s", pool->paths[GUARD_NR], strerror(-err));
		return err;
	}
	atomic_store(&g->published, ++g->n_pools);
	*out = pool;
	return 0;
}

static int persistent_now(uint64_t size, int node, int64_t *out)
{
	struct hugetlb_counts counts, again;
	int err = contig_hugetlb_counts(size, node, &counts);

	/* As in the guard: the counters of one moment. */
	for (int i = 0; !err && i < PERSISTENT_TRIES; i++) {
		err = contig_hugetlb_counts(size, node, &again);
		if (again.total == counts.total && again.surplus == counts.surplus)
			break;
		counts = again;
	}
	if (!err && (counts.total > INT64_MAX || counts.surplus > INT64_MAX))
		err = -ERANGE;
	if (!err)
		*out = counts.total > counts.surplus ?
			       (int64_t)(counts.total - counts.surplus) : 0;
	return err;
}

static void flip(struct guard_pool *pool, const struct guard_record *next)
{
	unsigned int free_slot = !(atomic_load(&pool->valid) & 1);

	pool->records[free_slot] = *next;
	atomic_store(&pool->valid, free_slot);
}

static const struct guard_record *current(const struct guard_pool *pool)
{
	return &pool->records[atomic_load(&pool->valid) & 1];
}

/* Told before it happens: the guard then copes with any part of it. */
static void change_begin(struct guard_pool *pool, int64_t base, int64_t want)
{
	flip(pool, &(struct guard_record){.ours = current(pool)->ours, .base = base,
				    .want = want, .in_flight = true});
}

static void change_end(struct guard_pool *pool)
{
	struct guard_record next = {.ours = current(pool)->ours};
	int64_t now;

	/* Unreadable now: leave it in flight, the guard will look again. */
	if (persistent_now(pool->size, pool->node, &now))
		return;
	next.ours += contig_guard_happened(current(pool), now);
	flip(pool, &next);
}

int contig_hugetlb_guard_raise(struct hugetlb_guard *g, uint64_t size, int node,
			       uint64_t total, uint64_t *got)
{
	struct hugetlb_counts counts;
	struct guard_pool *pool;
	int64_t base;
	int err;

	if (!contig_root_is_real()) {
		contig_reason_set("a captured tree is never written");
		return -EROFS;
	}
	if (total > INT64_MAX)
		return -EINVAL;
	err = guarded_pool(g, size, node, &pool);
	if (err)
		return err;
	err = ask_guard(g, GUARD_LOCK, 0);
	if (err)
		return err;
	err = contig_hugetlb_counts(size, node, &counts);
	if (err)
		goto unlock;
	if (total <= counts.total) {
		if (got)
			*got = counts.total;
		goto unlock;
	}
	err = persistent_now(size, node, &base);
	if (err)
		goto unlock;
	change_begin(pool, base, (int64_t)total);
	err = contig_hugetlb_resize(size, node, total, got);
	change_end(pool);
unlock:
	ask_guard(g, GUARD_UNLOCK, 0);
	return err;
}

int contig_hugetlb_guard_demote(struct hugetlb_guard *g, uint64_t size, int node, uint64_t n)
{
	struct guard_pool *large, *small;
	int64_t large_base, small_base;
	uint64_t small_size;
	int err;

	if (!contig_root_is_real()) {
		contig_reason_set("a captured tree is never written");
		return -EROFS;
	}
	err = contig_hugetlb_demote_size(size, &small_size);
	if (!err && n > (uint64_t)INT64_MAX / (size / small_size))
		err = -EINVAL;
	if (!err)
		err = guarded_pool(g, size, node, &large);
	if (!err)
		err = guarded_pool(g, small_size, node, &small);
	if (!err)
		err = ask_guard(g, GUARD_LOCK, 0);
	if (err)
		return err;
	err = persistent_now(size, node, &large_base);
	if (!err)
		err = persistent_now(small_size, node, &small_base);
	if (err)
		goto unlock;
	change_begin(large, large_base, large_base > (int64_t)n ? large_base - (int64_t)n : 0);
	change_begin(small, small_base, small_base + (int64_t)(n * (size / small_size)));
	err = contig_hugetlb_demote(size, node, n);
	change_end(large);
	change_end(small);
unlock:
	ask_guard(g, GUARD_UNLOCK, 0);
	return err;
}

static int restore_pool(struct guard_pool *pool)
{
	struct guard_files files;
	struct node_policy policy;
	int err = contig_node_policy_save(&policy);
	bool saved = !err;

	for (int i = 0; i < GUARD_FILES; i++) {
		bool written = i == GUARD_NR || i == GUARD_POLICY;

		files.fd[i] = pool->paths[i][0] && (saved || i != GUARD_POLICY) ?
				      contig_root_open(pool->paths[i],
						       written ? O_RDWR : O_RDONLY) : -1;
	}
	err = files.fd[GUARD_NR] < 0	  ? files.fd[GUARD_NR] :
	      files.fd[GUARD_SURPLUS] < 0 ? files.fd[GUARD_SURPLUS] :
					    contig_guard_restore(pool, &files);
	if (saved)
		contig_node_policy_restore(&policy);
	for (int i = 0; i < GUARD_FILES; i++)
		if (files.fd[i] >= 0)
			close(files.fd[i]);
	if (err) {
		contig_reason_set("%s is not set back: %s", pool->paths[GUARD_NR], strerror(-err));
		contig_warn("%s is not set back: %s", pool->paths[GUARD_NR], strerror(-err));
	}
	return err;
}

/* What the guard didn't get to: somebody killed it. */
static int restore_ourselves(struct hugetlb_guard *g)
{
	int lock = -1, result = 0;

	for (int lowered = 0; lowered <= 1; lowered++) {
		for (unsigned int i = 0; i < g->n_pools; i++) {
			struct guard_pool *pool = &g->pools[i];
			int err;

			if (atomic_load(&pool->restored) ||
			    contig_guard_lowered(pool) != lowered)
				continue;
			if (lock < 0) {
				lock = contig_guard_lock_open();
				contig_guard_lock_take(lock);
			}
			err = restore_pool(pool);
			if (err)
				result = err;
		}
	}
	if (lock >= 0)
		close(lock);
	return result;
}

int contig_hugetlb_guard_stop(struct hugetlb_guard *g)
{
	int saved = errno, err = 0;
	pid_t pid;

	if (!g)
		return 0;
	if (g->owner == getpid()) {
		/* Not close alone: a copy in a forked child would keep it up. */
		shutdown(g->sock, SHUT_RDWR);
		/*
		 * ECHILD: the program reaped it (__WALL).  Either way it has
		 * ended, and its stack may go.
		 */
		do
			pid = waitpid(g->pid, NULL, __WCLONE);
		while (pid < 0 && errno == EINTR);
		err = restore_ourselves(g);
	}
	close(g->sock);
	guard_unmap(g);
	errno = saved;
	return err;
}
