/* SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include "hugepool.h"
#include "probe.h"
#include "stay_on_node.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define EXIT_SKIP 77
#define EXIT_LEFT_OUT 76
#define NOBODY 65534
#define CASE_MS 60000
#define CASE_SLOW_MS 240000
#define SANITIZER_SLOWDOWN 6
#define CHILD_MS 120000
#define STRAY_MS 10000

static const struct test_case *all_cases;
static size_t n_all_cases;

bool under_sanitizer(void)
{
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	return true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
	return true;
#else
	return false;
#endif
#else
	return false;
#endif
}

/* How many times as long a case may take: on an emulated machine that shares
 * its processors with another, more than here. */
static double patience(void)
{
	const char *times = getenv("CONTIG_TEST_PATIENCE");

	return times && atoi(times) > 1 ? atoi(times) : 1;
}

static void print_line(const char *prefix, const char *format, va_list ap)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s", prefix);
	ssize_t done;

	vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, ap);
	n = (int)strlen(line);
	line[n++] = '\n';
	done = write(STDOUT_FILENO, line, (size_t)n);
	(void)done;
}

void fail_at(const char *file, int line, const char *format, ...)
{
	char where[256];
	const char *base = strrchr(file, '/');
	va_list ap;

	snprintf(where, sizeof(where), "    %s:%d: ", base ? base + 1 : file, line);
	va_start(ap, format);
	print_line(where, format, ap);
	va_end(ap);
	_exit(1);
}

void require_failed(const char *file, int line, const char *condition, const char *format,
		    ...)
{
	char where[256];
	const char *base = strrchr(file, '/');
	va_list ap;

	snprintf(where, sizeof(where), "    %s:%d: not (%s): ", base ? base + 1 : file,
		 line, condition);
	va_start(ap, format);
	print_line(where, format, ap);
	va_end(ap);
	_exit(1);
}

void skip(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	print_line("    skipped: ", format, ap);
	va_end(ap);
	_exit(EXIT_SKIP);
}

void leave_out(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	print_line("    left out: ", format, ap);
	va_end(ap);
	_exit(EXIT_LEFT_OUT);
}

void note(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	print_line("    ", format, ap);
	va_end(ap);
}

uint64_t test_seed(void)
{
	const char *text = getenv("CONTIG_TEST_SEED");

	return text ? strtoull(text, NULL, 0) : 1;
}

unsigned long test_scaled(unsigned long n, unsigned long least)
{
	const char *text = getenv("CONTIG_TEST_SCALE");

	if (text)
		n = n * strtoul(text, NULL, 10) / 100;
	return n < least ? least : n;
}

bool become_nobody(void)
{
	if (!geteuid() &&
	    (syscall(SYS_setgroups, 0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	     setresuid(NOBODY, NOBODY, NOBODY)))
		return false;
	return !prctl(PR_SET_DUMPABLE, 1);
}

unsigned int lines(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void read_status(int status, struct outcome *out)
{
	out->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static bool wait_until(pid_t child, double end, struct outcome *out)
{
	int status;

	for (;;) {
		pid_t got = waitpid(child, &status, WNOHANG);

		if (got == child) {
			read_status(status, out);
			return true;
		}
		if (got < 0 && errno != EINTR) {
			out->status = -1;
			return true;
		}
		if (probe_ms() > end)
			break;
		probe_sleep_ms(1);
	}
	out->timed_out = true;
	return false;
}

struct outcome reap(pid_t child)
{
	struct outcome out = {.status = -1};

	if (!wait_until(child, probe_ms() + CHILD_MS, &out)) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return out;
}

static void no_core(void)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
}

struct outcome run_child(void (*fn)(void *arg), void *arg)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		no_core();
		fn(arg);
		_exit(0);
	}
	return reap(child);
}

struct gather {
	int fd;
	char *to;
	size_t size, used;
};

static bool gather_some(struct gather *from)
{
	char rest[4096];
	ssize_t n = from->used + 1 < from->size ? read(from->fd, from->to + from->used,
						       from->size - 1 - from->used)
						: read(from->fd, rest, sizeof(rest));

	if (n <= 0)
		return false;
	if (from->used + 1 < from->size)
		from->used += (size_t)n;
	from->to[from->used] = '\0';
	return true;
}

void collect_child(void (*fn)(void *arg), void *arg, struct outcome *out)
{
	int out_pipe[2], err_pipe[2];
	struct gather gathers[2];
	double end = probe_ms() + CHILD_MS;
	pid_t child;

	memset(out, 0, sizeof(*out));
	fflush(NULL);
	if (pipe2(out_pipe, O_CLOEXEC) || pipe2(err_pipe, O_CLOEXEC))
		fail("pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		no_core();
		dup2(out_pipe[1], STDOUT_FILENO);
		dup2(err_pipe[1], STDERR_FILENO);
		close(out_pipe[0]);
		close(err_pipe[0]);
		close(out_pipe[1]);
		close(err_pipe[1]);
		fn(arg);
		exit(0);
	}
	close(out_pipe[1]);
	close(err_pipe[1]);
	gathers[0] = (struct gather){out_pipe[0], out->out, sizeof(out->out), 0};
	gathers[1] = (struct gather){err_pipe[0], out->err, sizeof(out->err), 0};
	for (int open_pipes = 2; open_pipes;) {
		struct pollfd wait[2] = {{gathers[0].fd, POLLIN, 0},
					 {gathers[1].fd, POLLIN, 0}};

		/* A process left behind may keep the pipes open. */
		if (poll(wait, 2, 200) == 0 &&
		    (probe_ms() > end || !waitpid(child, NULL, WNOHANG))) {
			if (probe_ms() > end)
				break;
			continue;
		}
		for (int i = 0; i < 2; i++) {
			if (gathers[i].fd >= 0 && wait[i].revents &&
			    !gather_some(&gathers[i])) {
				close(gathers[i].fd);
				gathers[i].fd = -1;
				open_pipes--;
			}
		}
	}
	for (int i = 0; i < 2; i++)
		if (gathers[i].fd >= 0)
			close(gathers[i].fd);
	if (!wait_until(child, end, out)) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
}

struct self_call {
	const char *helper;
	const char *const *environment;
};

static void exec_self(void *arg)
{
	const struct self_call *call = arg;

	for (const char *const *e = call->environment; e && *e; e++) {
		char name[64];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(*e, "="), *e);
		setenv(name, *e + strcspn(*e, "=") + 1, 1);
	}
	execl("/proc/self/exe", "self", "--helper", call->helper, (char *)NULL);
	fprintf(stderr, "exec: %s\n", strerror(errno));
	_exit(127);
}

void run_self(const char *helper, const char *const *environment, struct outcome *out)
{
	struct self_call call = {helper, environment};

	collect_child(exec_self, &call, out);
}

static void set_environment(const char *text)
{
	char copy[512], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", text ? text : "");
	for (char *word = strtok_r(copy, " ", &save); word;
	     word = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(word, '=');

		*equals = '\0';
		setenv(word, equals + 1, 1);
	}
}

static cpu_set_t everywhere;

void run_anywhere(void)
{
	if (CPU_COUNT(&everywhere))
		sched_setaffinity(0, sizeof(everywhere), &everywhere);
}

static void run_in_child(const struct test_case *one, int err_fd)
{
	setpgid(0, 0);
	stay_on_node(&everywhere);
	if (err_fd >= 0) {
		dup2(err_fd, STDERR_FILENO);
		close(err_fd);
	}
	no_core();
	set_environment(one->environment);
	one->run();
	fflush(NULL);
	_exit(0);
}

/* Children that are neither dead nor the guardian; kill: end them. */
static unsigned int strays(bool end)
{
	char path[64], text[1024];
	unsigned int n = 0;
	ssize_t len;
	int fd;

	while (waitpid(-1, NULL, WNOHANG) > 0) {
	}
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (len <= 0)
		return 0;
	text[len] = '\0';
	for (char *at = text;;) {
		char *next;
		pid_t pid = (pid_t)strtol(at, &next, 10);

		if (next == at)
			break;
		at = next;
		if (pid == hugepool_guardian())
			continue;
		n++;
		if (end)
			kill(pid, SIGKILL);
	}
	return n;
}

static bool leaves_nobody(void)
{
	double end = probe_ms() + STRAY_MS;
	unsigned int n;

	/* A guard of the library's lives a moment longer than its owner. */
	while ((n = strays(false)) && probe_ms() < end)
		probe_sleep_ms(5);
	if (!n)
		return true;
	strays(true);
	probe_sleep_ms(20);
	strays(false);
	return false;
}

/* Who can't change the pool is content with more. */
static bool pool_fits(long pages)
{
	if (!hugepool_may_change())
		return hugepool_usable(POOL_2M) == pages ||
		       (pages && hugepool_usable(POOL_2M) > pages);
	return hugepool_set_usable(POOL_2M, pages);
}

static bool unfit(const struct test_case *one, const char **why)
{
	static char text[96];

	*why = NULL;
	if (one->flags & CASE_ROOT && geteuid())
		*why = "needs root";
	else if (one->flags & CASE_SEES && !probe_sees())
		*why = "needs to see frames (CAP_SYS_ADMIN)";
	else if (one->flags & CASE_NO_SANITIZER && under_sanitizer())
		*why = "not under a sanitizer";
	else if (one->pool != POOL_ANY && !pool_fits(one->pool) &&
		 !(one->flags & CASE_MAY_TRY)) {
		snprintf(text, sizeof(text), "needs %ld free superpages, has %ld (%s)",
			 one->pool, hugepool_usable(POOL_2M),
			 hugepool_may_change() ? "the kernel has no more"
					       : "root could change it");
		*why = text;
	}
	return *why;
}

/* What a case wrote to stderr matters only when it failed: its last lines. */
static void show_errors(int fd)
{
	char text[4096];
	off_t size = lseek(fd, 0, SEEK_END);
	ssize_t n =
	    pread(fd, text, sizeof(text) - 1,
		  size > (off_t)sizeof(text) - 1 ? size - (off_t)sizeof(text) + 1 : 0);

	if (n > 0) {
		text[n] = '\0';
		printf("      stderr:\n%s", text);
	}
}

/* Where a case hangs: what its threads do, and what of that is in the kernel. */
static void show_hanging(pid_t child)
{
	char path[64], text[1024];
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", child);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		static const char *const files[] = {"comm", "syscall", "stack"};

		if (entry->d_name[0] == '.')
			continue;
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
			int fd;
			ssize_t n;

			snprintf(path, sizeof(path), "/proc/%d/task/%.16s/%s", child,
				 entry->d_name, files[i]);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
			if (n > 0)
				printf("      thread %s, %s: %.*s", entry->d_name, files[i], (int)n,
				       text);
			if (fd >= 0)
				close(fd);
		}
	}
	if (tasks)
		closedir(tasks);
}

/* 0 passed, 1 failed, EXIT_SKIP, EXIT_LEFT_OUT. */
static int run_one(const struct test_case *one)
{
	struct pool_state before[POOLS];
	double start = probe_ms(),
	       limit = one->flags & CASE_SLOW ? CASE_SLOW_MS : CASE_MS;
	struct outcome out = {.status = -1};
	const char *why;
	bool clean = true;
	int err_fd;
	pid_t child;

	if (unfit(one, &why)) {
		printf("skip  %s: %s\n", one->name, why);
		return EXIT_SKIP;
	}
	if (under_sanitizer())
		limit *= SANITIZER_SLOWDOWN;
	limit *= patience();
	for (int pool = 0; pool < POOLS; pool++)
		hugepool_read(pool, &before[pool]);
	fflush(NULL);
	err_fd = memfd_create("stderr", MFD_CLOEXEC);
	child = fork();
	if (child < 0) {
		perror("fork");
		return 1;
	}
	if (!child)
		run_in_child(one, err_fd);
	if (!wait_until(child, start + limit, &out)) {
		printf("      %s: still running after %.0f s; ended\n", one->name,
		       limit / 1e3);
		show_hanging(child);
		kill(-child, SIGKILL);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	kill(-child, out.status ? SIGKILL : 0);
	if (!leaves_nobody()) {
		printf("      %s: left a process behind\n", one->name);
		clean = false;
	}
	if (one->flags & CASE_ATTACKS && hugepool_may_change()) {
		/* Superpages that were free in a block of memory went with it;
		 * others are still on their way back. */
		long usable = before[POOL_2M].free - before[POOL_2M].reserved;

		if (!hugepool_usable_becomes(POOL_2M, usable))
			hugepool_set_usable(POOL_2M, usable);
	}
	for (int pool = 0; pool < POOLS; pool++) {
		if (before[pool].nr >= 0 && !hugepool_becomes(pool, &before[pool])) {
			printf("      %s: left the superpage pools changed\n", one->name);
			clean = false;
		}
	}
	if (out.signal)
		printf("      %s: killed by signal %d (%s)\n", one->name, out.signal,
		       strsignal(out.signal));
	if (out.status && out.status != EXIT_SKIP && out.status != EXIT_LEFT_OUT && err_fd >= 0)
		show_errors(err_fd);
	if (err_fd >= 0)
		close(err_fd);
	if (out.status == EXIT_SKIP && clean) {
		printf("skip  %s\n", one->name);
		return EXIT_SKIP;
	}
	if (out.status == EXIT_LEFT_OUT && clean) {
		printf("lack  %s\n", one->name);
		return EXIT_LEFT_OUT;
	}
	printf("%s  %s (%.0f ms)\n", !out.status && clean ? "ok  " : "FAIL", one->name,
	       probe_ms() - start);
	return out.status || !clean;
}

static bool wanted(const struct test_case *one, int argc, char **argv)
{
	if (one->flags & CASE_HELPER)
		return false;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], one->name))
			return true;
	return argc < 2;
}

static int help_out(const char *name)
{
	for (size_t i = 0; i < n_all_cases; i++) {
		if (!strcmp(all_cases[i].name, name)) {
			all_cases[i].run();
			return 0;
		}
	}
	return 99;
}

int run_cases(const struct test_case *cases, size_t n, int argc, char **argv)
{
	unsigned int passed = 0, failed = 0, skipped = 0, left_out = 0;

	all_cases = cases;
	n_all_cases = n;
	if (argc == 3 && !strcmp(argv[1], "--helper"))
		return help_out(argv[2]);
	setvbuf(stdout, NULL, _IOLBF, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	hugepool_open();
	for (size_t i = 0; i < n; i++) {
		if (!wanted(&cases[i], argc, argv))
			continue;
		switch (run_one(&cases[i])) {
		case 0:
			passed++;
			break;
		case EXIT_SKIP:
			skipped++;
			break;
		case EXIT_LEFT_OUT:
			left_out++;
			break;
		default:
			failed++;
		}
	}
	if (!hugepool_restore())
		failed++;
	printf("%u passed, %u failed, %u skipped", passed, failed, skipped);
	if (left_out)
		printf(", %u left out for want of memory", left_out);
	printf("\n");
	if (failed || !(passed + skipped + left_out) ||
	    (skipped && getenv("CONTIG_TEST_NOSKIP") &&
	     strcmp(getenv("CONTIG_TEST_NOSKIP"), "0")))
		return 1;
	return skipped ? EXIT_SKIP : 0;
}
