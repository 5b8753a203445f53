/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/guard_process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Kernels before 6.14 get a node's number wrong by the surplus of the other
 * nodes: writing X to its file makes it X and that surplus.  So a node's number
 * is changed through the whole's, by a writer that is bound to the node; where
 * that is not to be had: write, look, correct. */
#define RESTORE_TRIES 3

/* Neither the syslock's directory nor its fallback: the parent holds those
 * while it waits for us. */
#define LOCK_DIR "/sys/kernel/mm"
#define LOCK_TRIES 150
#define LOCK_PAUSE_NS 2000000

/* The sanitizers' bookkeeping is per thread, and the thread is the parent's. */
#define GUARD_CODE __attribute__((noinline, no_sanitize("address", "undefined", "thread")))

/* System calls without errno. */
#if defined(__x86_64__)
GUARD_CODE static long sys4(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
GUARD_CODE static long sys4(long nr, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = 0; /* ppoll's fifth */

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory");
	return x0;
}
#else
/* errno of the thread that started the guard may change while it waits for
 * the guard; contig_hugetlb_guard_*() put it back. */
GUARD_CODE static long sys4(long nr, long a, long b, long c, long d)
{
	long ret = syscall(nr, a, b, c, d, 0L);

	return ret < 0 ? -errno : ret;
}
#endif

GUARD_CODE static int64_t read_number(int fd)
{
	char text[32];
	long n = sys4(SYS_pread64, fd, (long)text, sizeof(text), 0);
	int64_t value = 0;

	if (n <= 0)
		return n ? n : -EIO;
	for (long i = 0; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		value = value * 10 + (text[i] - '0');
	return value;
}

GUARD_CODE static long write_number(int fd, int64_t value)
{
	char text[32];
	int at = sizeof(text);
	long n;

	do {
		text[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	n = sys4(SYS_pwrite64, fd, (long)(text + at), (long)sizeof(text) - at, 0);
	return n < 0 ? n : 0;
}

GUARD_CODE static int64_t persistent(int nr_fd, int surplus_fd)
{
	int64_t total = read_number(nr_fd), surplus = 0, again;

	/* Two files: a surplus page that goes between the two readings would
	 * look like a persistent one, and stay. */
	for (int i = 0; i < PERSISTENT_TRIES; i++) {
		surplus = read_number(surplus_fd);
		again = read_number(nr_fd);
		if (total < 0 || surplus < 0 || again == total)
			break;
		total = again;
	}
	if (total < 0)
		return total;
	if (surplus < 0)
		return surplus;
	return total > surplus ? total - surplus : 0;
}

GUARD_CODE int64_t contig_guard_happened(const struct guard_record *r, int64_t now)
{
	int64_t change = now - r->base, most = r->want - r->base;

	if (!r->in_flight)
		return 0;
	if (most >= 0)
		return change < 0 ? 0 : change > most ? most : change;
	return change > 0 ? 0 : change < most ? most : change;
}

GUARD_CODE int64_t contig_guard_outsiders(int64_t surplus_before, int64_t surplus, int64_t free)
{
	return surplus_before < 0 || surplus <= surplus_before || free <= 0 ? 0 : surplus;
}

/* Change the whole's number by what the node lacks: the kernel looks for pages
 * where the writer may. */
GUARD_CODE static long write_bound(struct guard_pool *pool, const int *fd, int64_t change)
{
	int64_t all = persistent(fd[GUARD_ALL_NR], fd[GUARD_ALL_SURPLUS]);
	long err;

	if (all < 0)
		return all;
	err = sys4(SYS_set_mempolicy, MPOL_BIND, (long)pool->nodes,
		   GUARD_NODE_WORDS * 8 * sizeof(pool->nodes[0]) + 1, 0);
	if (err)
		return err;
	return write_number(fd[GUARD_POLICY], all + change < 0 ? 0 : all + change);
}

/* Make a pool that has now persistent pages have want.  Once that has begun, a
 * second restore would do harm. */
GUARD_CODE static int change(struct guard_pool *pool, const int *fd, int64_t now, int64_t want)
{
	int64_t ask = want;

	if (pool->node >= 0 && fd[GUARD_POLICY] >= 0 && !write_bound(pool, fd, want - now)) {
		atomic_store(&pool->restored, true);
		return 0;
	}
	for (int i = 0; i < RESTORE_TRIES; i++) {
		long err = write_number(fd[GUARD_NR], ask);

		if (err)
			return (int)err;
		atomic_store(&pool->restored, true);
		now = persistent(fd[GUARD_NR], fd[GUARD_SURPLUS]);
		if (now < 0 || now <= want || now - want > ask)
			break;
		ask -= now - want;
	}
	return 0;
}

/* Lowered to want: what was left free and surplus. */
GUARD_CODE static void take_outsiders(struct guard_pool *pool, const int *fd, int64_t want,
				      int64_t surplus_before)
{
	struct timespec ts = {0, OUTSIDERS_PAUSE_NS};
	int64_t last = INT64_MAX, n, total;

	for (int i = 0; i < OUTSIDERS_TRIES && fd[GUARD_FREE] >= 0; i++) {
		if (i >= OUTSIDERS_AT_ONCE)
			sys4(SYS_nanosleep, (long)&ts, 0, 0, 0);
		n = contig_guard_outsiders(surplus_before, read_number(fd[GUARD_SURPLUS]),
					   read_number(fd[GUARD_FREE]));
		total = read_number(fd[GUARD_NR]);
		if (!n || total < 0)
			return;
		/* Not of one moment, or somebody else has changed the number. */
		if (persistent(fd[GUARD_NR], fd[GUARD_SURPLUS]) != want)
			continue;
		if (total >= last || change(pool, fd, want, want + n) ||
		    change(pool, fd, want + n, want))
			return;
		last = total;
	}
}

GUARD_CODE int contig_guard_restore(struct guard_pool *pool, const struct guard_files *files)
{
	const struct guard_record *r = &pool->records[atomic_load(&pool->valid) & 1];
	const int *fd = files->fd;
	int64_t now = persistent(fd[GUARD_NR], fd[GUARD_SURPLUS]), want, surplus;
	int err;

	if (now < 0)
		return (int)now;
	want = now - r->ours - contig_guard_happened(r, now);
	if (want < 0)
		want = 0;
	if (want == now) {
		atomic_store(&pool->restored, true);
		return 0;
	}
	surplus = read_number(fd[GUARD_SURPLUS]);
	err = change(pool, fd, now, want);
	if (!err && want < now)
		take_outsiders(pool, fd, want, surplus);
	return err;
}

GUARD_CODE bool contig_guard_lowered(const struct guard_pool *pool)
{
	const struct guard_record *r = &pool->records[atomic_load(&pool->valid) & 1];

	return r->ours < 0 || (r->in_flight && r->want < r->base);
}

GUARD_CODE int contig_guard_lock_open(void)
{
	return (int)sys4(SYS_openat, AT_FDCWD, (long)LOCK_DIR,
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

GUARD_CODE void contig_guard_lock_take(int fd)
{
	struct timespec ts = {0, LOCK_PAUSE_NS};

	for (int i = 0; i < LOCK_TRIES; i++) {
		if (sys4(SYS_flock, fd, LOCK_EX | LOCK_NB, 0, 0) != -EAGAIN)
			return;
		sys4(SYS_nanosleep, (long)&ts, 0, 0, 0);
	}
}

GUARD_CODE static int guard_open(struct guard_pool *pool)
{
	for (int i = 0; i < GUARD_FILES; i++) {
		bool written = i == GUARD_NR || i == GUARD_POLICY;
		long fd;

		if (!pool->paths[i][0])
			continue;
		fd = sys4(SYS_openat, AT_FDCWD, (long)pool->paths[i],
			  (written ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0);
		/* Without those of the whole it goes on with the node's. */
		if (fd < 0 && i <= GUARD_SURPLUS)
			return (int)fd;
		pool->files.fd[i] = fd < 0 ? -1 : (int)fd;
	}
	return 0;
}

/* Other people's descriptors must not be held open: their readers would wait
 * for an end of file that comes only with our end. */
GUARD_CODE static void close_others(int keep1, int keep2)
{
	int low = keep1 < keep2 ? keep1 : keep2, high = keep1 < keep2 ? keep2 : keep1;
	long err = 0;

	if (low > 0)
		err |= sys4(SYS_close_range, 0, low - 1, 0, 0);
	if (high > low + 1)
		err |= sys4(SYS_close_range, low + 1, high - 1, 0, 0);
	err |= sys4(SYS_close_range, high + 1, -1, 0, 0);
	if (err)
		for (int fd = 0; fd < 65536; fd++) /* Linux before 5.9 */
			if (fd != low && fd != high)
				sys4(SYS_close, fd, 0, 0, 0);
}

GUARD_CODE static void restore_all(struct hugetlb_guard *g)
{
	unsigned int n = atomic_load(&g->published);

	for (int lowered = 0; lowered <= 1; lowered++) {
		for (unsigned int i = 0; i < n && i < GUARD_POOLS_MAX; i++) {
			struct guard_pool *pool = &g->pools[i];

			if (contig_guard_lowered(pool) == lowered)
				contig_guard_restore(pool, &pool->files);
		}
	}
}

GUARD_CODE static int guard_main(void *arg)
{
	struct hugetlb_guard *g = arg;
	int sock = g->guard_sock, pidfd = g->owner_pidfd, lock;
	bool locked = false;

	/* Signals to the parent's process group or terminal aren't for us. */
	sys4(SYS_setsid, 0, 0, 0, 0);
	close_others(sock, pidfd < 0 ? sock : pidfd);
	lock = contig_guard_lock_open();
	for (;;) {
		struct pollfd fds[2] = {{sock, POLLIN, 0}, {pidfd, POLLIN, 0}};
		struct guard_message message;
		int32_t answer = 0;
		long got = sys4(SYS_ppoll, (long)fds, 2, 0, 0);

		if (got < 0 && got != -EINTR)
			break;
		if (got <= 0)
			continue;
		if (fds[1].revents)
			break;
		got = sys4(SYS_read, sock, (long)&message, sizeof(message), 0);
		if (got != (long)sizeof(message))
			break;
		if (message.op == GUARD_OPEN && message.index < GUARD_POOLS_MAX)
			answer = guard_open(&g->pools[message.index]);
		else if (message.op == GUARD_LOCK)
			contig_guard_lock_take(lock);
		else if (message.op == GUARD_UNLOCK)
			sys4(SYS_flock, lock, LOCK_UN, 0, 0);
		locked = message.op == GUARD_LOCK;
		/* A socket without a reader: SIGPIPE is blocked. */
		sys4(SYS_write, sock, (long)&answer, sizeof(answer), 0);
	}
	if (!locked)
		contig_guard_lock_take(lock);
	restore_all(g);
	sys4(SYS_exit_group, 0, 0, 0, 0);
	return 0;
}

/*
 * clone(3) is avoided where that is easy: sanitizers intercept it, and their
 * wrapper around the child's function dies of the shared thread-local storage.
 */
#if defined(__x86_64__)
GUARD_CODE long contig_guard_clone(struct hugetlb_guard *g, void *stack_end)
{
	register long r8 __asm__("r8") = 0;
	register long r10 __asm__("r10") = 0;
	void **stack = stack_end;
	long ret;

	*--stack = g;
	*--stack = (void *)guard_main;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t" /* the outermost frame */
			 "pop %%rax\n\t"
			 "pop %%rdi\n\t"
			 "call *%%rax\n\t"
			 "ud2\n" /* it doesn't return */
			 "1:"
			 : "=a"(ret)
			 : "0"((long)SYS_clone), "D"((long)CLONE_VM), "S"(stack), "d"(0L),
			   "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}
#else
GUARD_CODE long contig_guard_clone(struct hugetlb_guard *g, void *stack_end)
{
	int pid = clone(guard_main, stack_end, CLONE_VM, g);

	return pid < 0 ? -errno : pid;
}
#endif
