/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that knows nothing of the library, in all the ways programs fork
 * and end.  Usage: victim_fork SCENE MIB.  It allocates MIB MiB, looks where
 * they lie by its own reading of pagemap, and is happy (exit 0) if that is so
 * still when all is done, and if nobody's memory was touched by anybody else.
 * 3: something is wrong, and said so on stderr; 4: no block was contiguous;
 * 5: fork failed with ENOMEM and all was well otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define SMALL 300
#define WRONG 3
#define SCATTERED 4
#define REFUSED 5

extern char **environ;

/* Blocks of a MiB, so that each is one run wherever superpages are; what is
 * known of them lies in memory of its own. */
#define BIG_MOST 2048
#define BIG ((size_t)1 << 20)
#define BIG_PAGES (BIG / PAGE)
static char **big;
static size_t n_big;
static uint64_t *frames; /* of each block's pages, when it was made */
static char *small[SMALL];
static FILE *file;
static int pagemap = -1;

__attribute__((noreturn, format(printf, 1, 2))) static void wrong(const char *format, ...)
{
	char line[256];
	va_list ap;
	int len;

	va_start(ap, format);
	len = vsnprintf(line, sizeof(line) - 1, format, ap);
	va_end(ap);
	line[len++] = '\n';
	if (write(2, "victim: ", 8) < 0 || write(2, line, (size_t)len) < 0)
		_exit(WRONG + 64);
	_exit(WRONG);
}

#define check(condition, ...)               \
	do {                                \
		if (!(condition))           \
			wrong(__VA_ARGS__); \
	} while (0)

static uint64_t frame_of(const void *p)
{
	uint64_t entry = 0;
	ssize_t n = pread(pagemap, &entry, sizeof(entry), (off_t)((uintptr_t)p / PAGE * 8));

	if (n != sizeof(entry)) {
		pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		n = pread(pagemap, &entry, sizeof(entry), (off_t)((uintptr_t)p / PAGE * 8));
		check(n == sizeof(entry), "pagemap: %s", strerror(errno));
	}
	return entry & ((UINT64_C(1) << 55) - 1);
}

/* In a child pagemap must be its own. */
static void reopen(void)
{
	close(pagemap);
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

static void stamp(unsigned char with)
{
	for (size_t i = 0; i < n_big; i++)
		memset(big[i], with, BIG);
	for (int i = 0; i < SMALL; i++)
		memset(small[i], with + i, 1 + (size_t)i * 7);
}

static void has(unsigned char with, const char *who)
{
	for (size_t i = 0; i < n_big; i++) {
		/* All the same, and the first one right: fast also in emulation. */
		if ((unsigned char)big[i][0] == with && !memcmp(big[i], big[i] + 1, BIG - 1))
			continue;
		for (size_t j = 0; j < BIG; j++)
			check((unsigned char)big[i][j] == with,
			      "%s: byte %zu of block %zu is %d, not %d", who, j, i,
			      (unsigned char)big[i][j], with);
	}
	for (int i = 0; i < SMALL; i++)
		for (size_t j = 0; j < 1 + (size_t)i * 7; j++)
			check((unsigned char)small[i][j] == (unsigned char)(with + i),
			      "%s: small block %d", who, i);
}

static void *table(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

static void set_up(size_t mib)
{
	check(mib <= BIG_MOST, "too much");
	n_big = mib;
	big = table(n_big * sizeof(*big) + 1);
	frames = table(n_big * BIG_PAGES * sizeof(*frames) + 1);
	for (size_t i = 0; i < n_big; i++) {
		big[i] = malloc(BIG);
		check(big[i], "malloc: %s", strerror(errno));
	}
	for (int i = 0; i < SMALL; i++)
		small[i] = malloc(1 + (size_t)i * 7);
	stamp(1);
	file = fopen("/dev/null", "w");
	check(file, "fopen: %s", strerror(errno));
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < n_big * BIG_PAGES; i++) {
		frames[i] = frame_of(big[i / BIG_PAGES] + i % BIG_PAGES * PAGE);
		check(frames[i], "frames are hidden");
		if (frames[i] == frames[i / BIG_PAGES * BIG_PAGES] + i % BIG_PAGES)
			continue;
		fprintf(stderr, "victim: %zu pages of block %zu of %zu are contiguous\n",
			i % BIG_PAGES, i / BIG_PAGES, n_big);
		_exit(SCATTERED);
	}
}

/* Nothing moved, even now that it is written. */
static void unmoved(void)
{
	stamp(9);
	has(9, "parent");
	for (size_t i = 0; i < n_big; i++) {
		uint64_t now[BIG_PAGES];

		/* Which opens pagemap anew where that is needed. */
		check(frame_of(big[i]) == frames[i * BIG_PAGES], "block %zu moved", i);
		check(pread(pagemap, now, sizeof(now), (off_t)((uintptr_t)big[i] / PAGE * 8)) ==
			      (ssize_t)sizeof(now),
		      "pagemap: %s", strerror(errno));
		for (size_t j = 0; j < BIG_PAGES; j++)
			check((now[j] & ((UINT64_C(1) << 55) - 1)) == frames[i * BIG_PAGES + j],
			      "frame of page %zu of block %zu moved", j, i);
	}
	stamp(1);
}

/* What programs do with their memory. */
static void use_memory(unsigned int seed)
{
	char *block[40] = {NULL};

	for (int i = 0; i < 400; i++) {
		unsigned int at = (seed = seed * 1103515245 + 12345) >> 16 & 31;
		size_t size = (seed >> 8) % (i % 7 ? 3000 : 300000) + 1;

		block[at] = realloc(block[at], size);
		check(block[at], "realloc: %s", strerror(errno));
		block[at][0] = block[at][size - 1] = (char)at;
	}
	for (int i = 0; i < 40; i++)
		free(block[i]);
	check(fprintf(file, "text %u\n", seed) > 0 && !fflush(file), "stdio");
}

/* Inherited blocks, as a child uses them: written, moved, freed. */
static void use_inherited(unsigned char with)
{
	reopen();
	has(with, "child");
	stamp(5);
	use_memory((unsigned int)getpid());
	small[7] = realloc(small[7], 100000);
	check(small[7] && (unsigned char)small[7][49] == 5 + 7, "realloc");
	for (int i = 0; i < SMALL; i += 2) {
		free(small[i]);
		small[i] = malloc(1 + (size_t)i * 7);
	}
	stamp(6);
	has(6, "child");
}

static void reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		check(errno == EINTR, "waitpid: %s", strerror(errno));
	check(!status, "child: status 0x%x", (unsigned int)status);
}

static pid_t must_fork(void)
{
	pid_t pid = fork();

	if (pid < 0 && errno == ENOMEM) {
		has(1, "parent");
		unmoved();
		_exit(REFUSED);
	}
	check(pid >= 0, "fork: %s", strerror(errno));
	return pid;
}

/* --- scenes ------------------------------------------------------------- */

static void plain(void)
{
	for (int i = 0; i < 3; i++) {
		pid_t pid = must_fork();

		if (!pid) {
			use_inherited(1);
			free(big[0]);
			exit(0);
		}
		reap(pid);
		unmoved();
		use_memory(7);
	}
}

/* A child that forks again, and outlives its parent. */
static void generations(void)
{
	int fds[2];
	char word;
	pid_t pid;

	check(!pipe(fds), "pipe");
	pid = must_fork();
	if (!pid) {
		use_inherited(1);
		pid = fork();
		check(pid >= 0, "fork in a child: %s", strerror(errno));
		if (!pid) {
			usleep(30000);
			use_inherited(6);
			pid = fork();
			check(pid >= 0, "fork in a grandchild: %s", strerror(errno));
			if (!pid) {
				has(6, "great-grandchild");
				_exit(0);
			}
			reap(pid);
			check(write(fds[1], "k", 1) == 1, "write");
			exit(0);
		}
		_exit(0);
	}
	reap(pid);
	close(fds[1]);
	check(read(fds[0], &word, 1) == 1, "the grandchild failed");
	unmoved();
}

static volatile int stop;

static void *busy(void *arg)
{
	while (!stop)
		use_memory((unsigned int)(uintptr_t)arg);
	return NULL;
}

static void threads(void)
{
	pthread_t thread[2];

	for (uintptr_t i = 0; i < 2; i++)
		check(!pthread_create(&thread[i], NULL, busy, (void *)(i + 1)), "thread");
	for (int i = 0; i < 10; i++) {
		pid_t pid = must_fork();

		if (!pid) {
			use_inherited(1);
			_exit(0);
		}
		reap(pid);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	unmoved();
}

/* As threads, but the parent's frames may move. */
static void threads_cow(void)
{
	pthread_t thread;

	check(!pthread_create(&thread, NULL, busy, (void *)1), "thread");
	for (int i = 0; i < 3; i++) {
		pid_t pid = must_fork();

		if (!pid) {
			use_inherited(1);
			_exit(0);
		}
		stamp(9);
		reap(pid);
		has(9, "parent");
		stamp(1);
	}
	stop = 1;
	pthread_join(thread, NULL);
}

static void storm(void)
{
	const char *scale = getenv("CONTIG_TEST_SCALE"); /* percent */
	int n = scale && atoi(scale) < 34 ? 12 : 36;
	pid_t pid[6] = {0};

	for (int i = 0; i < n; i++) {
		pid_t *slot = &pid[i % 6];
		int status;

		if (*slot) {
			check(waitpid(*slot, &status, 0) == *slot, "waitpid");
			check(!status || status == SIGKILL, "status 0x%x", (unsigned int)status);
		}
		*slot = must_fork();
		if (!*slot) {
			use_inherited(1);
			if (i % 3 == 0)
				kill(getpid(), SIGKILL);
			_exit(0);
		}
	}
	while (wait(NULL) > 0)
		;
	unmoved();
}

static void closes_all(void)
{
	pid_t pid;

	close_range(3, ~0U, 0);
	unmoved();
	pid = must_fork();
	if (!pid) {
		close_range(3, ~0U, 0);
		pagemap = -1;
		file = fopen("/dev/null", "w");
		use_inherited(1);
		_exit(0);
	}
	reap(pid);
	/* Others may have these numbers now. */
	for (int i = 0; i < 1000; i++)
		check(open("/dev/null", O_RDONLY) >= 0, "open");
	unmoved();
}

static void daemonised(void)
{
	int fds[2];
	char word;
	pid_t pid;

	check(!pipe(fds), "pipe");
	pid = must_fork();
	if (!pid) {
		check(!daemon(0, 1), "daemon: %s", strerror(errno));
		use_inherited(1);
		usleep(50000);
		has(6, "daemon");
		check(write(fds[1], "k", 1) == 1, "write");
		exit(0);
	}
	reap(pid);
	close(fds[1]);
	check(read(fds[0], &word, 1) == 1, "the daemon failed");
	unmoved();
	/* And this very process, which has the memory. */
	pid = must_fork();
	if (!pid)
		_exit(0);
	reap(pid);
	check(!daemon(1, 1), "daemon: %s", strerror(errno));
	use_inherited(1);
}

static void on_terminal(void)
{
	char text[64] = "";
	int terminal;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	check(pid >= 0, "forkpty: %s", strerror(errno));
	if (!pid) {
		use_inherited(1);
		check(isatty(0) && isatty(1), "no terminal");
		printf("hello\n");
		exit(0);
	}
	check(read(terminal, text, sizeof(text) - 1) > 0 && !strncmp(text, "hello", 5),
	      "read \"%s\"", text);
	reap(pid);
	unmoved();
}

/* Nothing is copied by these, however little memory there is. */
static void copyless(void)
{
	char *arguments[] = {(char *)"true", NULL};
	char line[32] = "";
	FILE *pipe_end;
	pid_t pid;

	check(!posix_spawnp(&pid, "true", NULL, NULL, arguments, environ), "posix_spawn");
	reap(pid);
	check(!system("exit 0"), "system");
	pipe_end = popen("echo hi", "r");
	check(pipe_end && fgets(line, sizeof(line), pipe_end) && !strcmp(line, "hi\n"),
	      "popen");
	pclose(pipe_end);
	for (int i = 0; i < 20; i++) {
		pid = vfork();
		if (!pid) {
			if (i % 3 == 0)
				execlp("true", "true", (char *)NULL);
			if (i % 3 == 1)
				execv("/nonexistent", arguments);
			_exit(0);
		}
		reap(pid);
		unmoved();
	}
}

static void executes(void)
{
	pid_t pid = must_fork();
	char path[64];
	int fd;

	if (!pid) {
		char *arguments[] = {(char *)"true", NULL};

		check(execv("/nonexistent", arguments) < 0 && errno == ENOENT, "execv");
		check(execlp("no-such-program", "x", (char *)NULL) < 0, "execlp");
		check(execve("/dev/null", arguments, environ) < 0 && errno == EACCES, "execve");
		use_inherited(1);
		execlp("sh", "sh", "-c", "test $0 = a && test $1 = b", "a", "b", (char *)NULL);
		_exit(9);
	}
	reap(pid);
	pid = must_fork();
	if (!pid) {
		execle("/bin/sh", "sh", "-c", "test \"$V\" = 3", (char *)NULL,
		       (char *[]){(char *)"V=3", NULL});
		_exit(9);
	}
	reap(pid);
	unmoved();
	/* One that fails after all: what was let go is held again. */
	fd = memfd_create("no program", 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check(write(fd, "no program", 10) == 10 && !fchmod(fd, 0755), "memfd");
	check(execl(path, path, (char *)NULL) < 0 && errno == ENOEXEC, "exec: %s",
	      strerror(errno));
	unmoved();
	pid = must_fork();
	if (!pid)
		_exit(0);
	reap(pid);
	unmoved();
}

static int forks_wanted = 40;
static volatile int children, failures;
/* Every so many's child returns from the handler; 0: none does. */
static int goes_on;
static volatile int went_on;

static void fork_in_handler(int signal)
{
	/* The next one long enough after, whatever fork takes. */
	static const struct itimerval once = {{0, 0}, {0, 2000}};
	pid_t pid = fork();
	int status;

	(void)signal;
	if (!pid && goes_on && children % goes_on == 0) {
		went_on = 1;
		return;
	}
	if (!pid)
		_exit(0);
	if (children < forks_wanted)
		setitimer(ITIMER_REAL, &once, NULL);
	if (pid > 0 && waitpid(pid, &status, 0) == pid)
		failures += status != 0;
	else
		failures++;
	children++;
}

static void forks_in_handlers(void)
{
	struct sigaction action = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
	struct itimerval once = {{0, 0}, {0, 2000}}, never = {{0, 0}, {0, 0}};

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &once, NULL);
	for (unsigned int i = 0; children < forks_wanted && !went_on; i++) {
		char *p = malloc(200000 + i % 50 * 40000);

		check(p, "malloc");
		p[0] = 1;
		use_memory(i);
		free(p);
	}
	if (went_on) {
		use_inherited(1);
		_exit(0);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	check(!failures, "%d forks failed", failures);
	unmoved();
}

/* Children go on where their parent was interrupted, in the allocator mostly. */
static void signals(void)
{
	goes_on = 8;
	forks_in_handlers();
}

/* While other threads are in the allocator, too: such children may do no more
 * than exit. */
static void signals_beside(void)
{
	pthread_t thread[2];
	sigset_t alarm;

	forks_wanted = 20;
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	for (uintptr_t i = 0; i < 2; i++)
		check(!pthread_create(&thread[i], NULL, busy, (void *)(i + 1)), "thread");
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	forks_in_handlers();
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

static char *at_fork;

static void handler(void)
{
	free(at_fork);
	at_fork = malloc(100000);
	check(at_fork, "malloc in a handler");
	memset(at_fork, 3, 100000);
}

/* What handlers write must be there afterwards. */
static void handlers(void)
{
	pthread_atfork(handler, handler, handler);
	for (int i = 0; i < 5; i++) {
		pid_t pid;

		at_fork = malloc(10);
		pid = must_fork();
		check(at_fork[0] == 3 && at_fork[99999] == 3, "a handler's memory");
		if (!pid) {
			use_inherited(1);
			_exit(0);
		}
		reap(pid);
	}
	unmoved();
}

static void bare(void)
{
	pid_t pid = _Fork();

	if (pid < 0 && errno == ENOMEM) {
		unmoved();
		_exit(REFUSED);
	}
	if (!pid)
		_exit(big[0][0] == 1 && big[n_big - 1][BIG - 1] == 1 ? 0 : 1);
	reap(pid);
	unmoved();
}

/* As those do who make containers: a child that no handler saw goes on. */
static void cloned(void)
{
	size_t len = 6 << 20, more = 20 << 20;
	char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *block;
	pid_t pid, grandchild;

	check(map != MAP_FAILED, "mmap");
	memset(map, 4, len);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0 && errno == ENOMEM) {
		unmoved();
		_exit(REFUSED);
	}
	check(pid >= 0, "clone: %s", strerror(errno));
	if (!pid) {
		use_inherited(1);
		block = malloc(more);
		check(block, "malloc");
		memset(block, 2, more);
		check(!mprotect(map, PAGE, PROT_READ) && map[0] == 4, "mprotect");
		munmap(map + len / 2, len / 2);
		map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		check(map != MAP_FAILED, "mmap");
		memset(map, 3, len);
		stamp(1);
		grandchild = fork();
		check(grandchild >= 0, "fork: %s", strerror(errno));
		if (!grandchild) {
			use_inherited(1);
			check(block[more - 1] == 2 && map[len - 1] == 3, "grandchild");
			exit(0);
		}
		reap(grandchild);
		has(1, "clone");
		free(big[0]);
		malloc_trim(0);
		exit(0);
	}
	memset(map, 5, len);
	reap(pid);
	check(map[0] == 5 && map[len - 1] == 5, "mapping");
	unmoved();
	use_memory(7);
	munmap(map, len);
}

static void *wait_for_ever(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* As daemons do: where neither /proc nor /sys is to be seen any more. */
static void rooted(void)
{
	pthread_t thread;
	pid_t pid;

	check(!chroot("/usr") && !chdir("/"), "chroot: %s", strerror(errno));
	for (int i = 0; i < 2; i++) {
		pid = must_fork();
		if (!pid) {
			has(1, "child");
			stamp(5);
			use_memory(3);
			has(5, "child");
			_exit(0);
		}
		stamp(9);
		reap(pid);
		has(9, "parent");
		stamp(1);
		if (!i)
			check(!pthread_create(&thread, NULL, wait_for_ever, NULL), "thread");
	}
}

static void mapped(void)
{
	size_t len = 6 << 20;
	char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t first;
	pid_t pid;

	check(map != MAP_FAILED, "mmap");
	memset(map, 4, len);
	first = frame_of(map);
	pid = must_fork();
	if (!pid) {
		for (size_t i = 0; i < len; i++)
			check(map[i] == 4, "mapping");
		memset(map, 8, len);
		munmap(map + len / 2, len / 2);
		use_inherited(1);
		_exit(0);
	}
	memset(map, 5, len);
	reap(pid);
	for (size_t i = 0; i < len; i++)
		check(map[i] == 5, "mapping");
	check(frame_of(map) == first, "the mapping moved");
	unmoved();
}

static void *on_little(void *arg)
{
	char *block = malloc(BIG), *map;
	pid_t pid;

	(void)arg;
	check(block, "malloc: %s", strerror(errno));
	memset(block, 1, BIG);
	map = mmap(NULL, 4 * BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(map != MAP_FAILED, "mmap: %s", strerror(errno));
	memset(map, 2, 4 * BIG);
	block = realloc(block, 6 * BIG);
	check(block && block[0] == 1 && block[BIG - 1] == 1, "realloc");
	pid = must_fork();
	if (!pid) {
		free(block);
		munmap(map, 4 * BIG);
		block = malloc(3 * BIG);
		memset(block, 3, 3 * BIG);
		_exit(0);
	}
	reap(pid);
	check(map[0] == 2 && block[0] == 1, "what was written is gone");
	check(!munmap(map, 4 * BIG), "munmap: %s", strerror(errno));
	free(block);
	return NULL;
}

/* Threads with as little stack as may be; the first is also the one that needs
 * superpages first (with no blocks made before). */
static void small_stacks(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	check(!pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN), "stack size");
	for (int i = 0; i < 3; i++) {
		check(!pthread_create(&thread, &attr, on_little, NULL), "thread");
		pthread_join(thread, NULL);
	}
}

/* The ways to end, for the program that comes after. */
static void ends(void)
{
	check(!fclose(file), "fclose");
}

static void ends_at_once(void)
{
	_exit(0);
}

static void ends_quickly(void)
{
	quick_exit(0);
}

static void ends_by_exec(void)
{
	execlp("true", "true", (char *)NULL);
	wrong("execlp: %s", strerror(errno));
}

static void *bystander(void *arg)
{
	for (size_t i = 0;; i = (i + 64) % BIG)
		((volatile char *)arg)[i] = 1;
	return NULL;
}

static void ends_beside(void)
{
	pthread_t thread;

	check(!pthread_create(&thread, NULL, bystander, big[0]), "thread");
	usleep(1000);
	exit(0);
}

/* What a sandbox that knows nothing of the shim doesn't expect of a program.
 * Who has the right to may go without no_new_privs, by prctl(2); libraries
 * filter by seccomp(2). */
static void be_filtered(bool by_prctl)
{
	static const unsigned int unexpected[] = {SYS_getpid, SYS_io_uring_register, SYS_munmap};
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, unexpected[0], 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, unexpected[1], 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, unexpected[2], 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	if (by_prctl && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return;
	check(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl: %s", strerror(errno));
	check(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), "seccomp: %s",
	      strerror(errno));
}

static void ends_filtered(void)
{
	be_filtered(false);
	_exit(0);
}

static void ends_filtered_quickly(void)
{
	be_filtered(true);
	quick_exit(0);
}

static void ends_filtered_slowly(void)
{
	be_filtered(true);
	exit(0);
}

static const struct {
	const char *name;
	void (*play)(void);
} scenes[] = {
	{"plain", plain},
	{"generations", generations},
	{"threads", threads},
	{"threads_cow", threads_cow},
	{"storm", storm},
	{"closes_all", closes_all},
	{"daemonised", daemonised},
	{"on_terminal", on_terminal},
	{"copyless", copyless},
	{"executes", executes},
	{"signals", signals},
	{"signals_beside", signals_beside},
	{"handlers", handlers},
	{"bare", bare},
	{"cloned", cloned},
	{"rooted", rooted},
	{"mapped", mapped},
	{"small_stacks", small_stacks},
	{"ends", ends},
	{"ends_at_once", ends_at_once},
	{"ends_quickly", ends_quickly},
	{"ends_by_exec", ends_by_exec},
	{"ends_beside", ends_beside},
	{"ends_filtered", ends_filtered},
	{"ends_filtered_quickly", ends_filtered_quickly},
	{"ends_filtered_slowly", ends_filtered_slowly},
};

int main(int argc, char **argv)
{
	check(argc == 3, "usage: victim_fork SCENE MIB");
	set_up(strtoul(argv[2], NULL, 10));
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		if (strcmp(scenes[i].name, argv[1]))
			continue;
		scenes[i].play();
		return 0;
	}
	wrong("no scene %s", argv[1]);
}
