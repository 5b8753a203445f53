/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What "contig map" of a process costs, against just reading its pagemap: a
 * child has 8 GiB in base pages, or half of what is available.  The whole
 * command is timed, from fork to its end, and beside it the time that it says
 * reading took.  Then 1 TiB of PROT_NONE, which must cost nothing.
 *
 *	bench_map [-q] [CONTIG]	-q: fewer repetitions
 */
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define REPETITIONS 25u
#define WANTED (8ul << 30)
#define HOLE (1ul << 40)
#define PAGE 4096ul
#define BATCH_BYTES (128ul << 10)

static const char *tool;

struct subject {
	pid_t pid;
	unsigned long start, len; /* its memory in base pages */
};

static unsigned long available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long kilobytes = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f) &&
	       sscanf(line, "MemAvailable: %lu kB", &kilobytes) != 1)
		;
	if (f)
		fclose(f);
	return kilobytes << 10;
}

/* len 0: none; hole: 1 TiB of PROT_NONE. */
static struct subject make(unsigned long len, bool hole)
{
	struct subject s = {.len = len};
	unsigned long start;
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	s.pid = fork();
	if (!s.pid) {
		char *p = NULL;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (hole && mmap(NULL, HOLE, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
			_exit(1);
		if (len) {
			p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0);
			if (p == MAP_FAILED || madvise(p, len, MADV_NOHUGEPAGE) ||
			    madvise(p, len, MADV_POPULATE_WRITE))
				_exit(1);
		}
		start = (unsigned long)p;
		if (write(pipes[1], &start, sizeof(start)) != sizeof(start))
			_exit(1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	if (read(pipes[0], &s.start, sizeof(s.start)) != sizeof(s.start))
		die("no memory for the process to look at");
	close(pipes[0]);
	return s;
}

static void end(const struct subject *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
}

/* Just reading. */
static double raw(const struct subject *s)
{
	static char buffer[BATCH_BYTES];
	char path[64];
	uint64_t start = now_ns();
	off_t at = (off_t)(s->start / PAGE * 8), to = at + (off_t)(s->len / PAGE * 8);
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)s->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	while (at < to) {
		size_t left = (size_t)(to - at);
		ssize_t got = pread(fd, buffer, left < sizeof(buffer) ? left : sizeof(buffer), at);

		if (got <= 0)
			die("%s: %s", path, strerror(errno));
		at += got;
	}
	close(fd);
	return (double)(now_ns() - start) / 1e6;
}

/* The whole command; *inside: what it says reading took, ms. */
static double map(const struct subject *s, bool sizes, double *inside)
{
	uint64_t start = now_ns();
	char pid[16], *line = NULL;
	int pipes[2], status;
	size_t room = 0;
	double all;
	pid_t child;
	FILE *out;

	snprintf(pid, sizeof(pid), "%d", (int)s->pid);
	if (pipe2(pipes, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	child = fork();
	if (!child) {
		dup2(pipes[1], STDOUT_FILENO);
		if (sizes)
			execl(tool, tool, "map", pid, "--json", (char *)NULL);
		else
			execl(tool, tool, "map", pid, "--json", "--no-page-sizes", (char *)NULL);
		_exit(127);
	}
	close(pipes[1]);
	out = fdopen(pipes[0], "r");
	*inside = 0;
	while (out && getline(&line, &room, out) > 0) {
		char *at = strstr(line, "\"time_ns\": ");

		if (at)
			*inside = strtod(at + strlen("\"time_ns\": "), NULL) / 1e6;
	}
	waitpid(child, &status, 0);
	all = (double)(now_ns() - start) / 1e6;
	free(line);
	fclose(out);
	if (status || *inside <= 0)
		die("%s map %s: status %d", tool, pid, status);
	return all;
}

static void ratio(const char *name, const struct measure *a, const struct measure *b,
		  double target)
{
	row_ratio(name, measure_median(a) / measure_median(b), measure_min(a) / measure_min(b),
		  target, false);
}

static void dense(void)
{
	static struct measure bare, plain, sized, plain_inside, sized_inside;
	unsigned long len = available() / 2 < WANTED ? available() / 2 / PAGE * PAGE : WANTED;
	struct subject s = make(len, false);
	char title[96];

	for (unsigned int i = 0; i <= repetitions(REPETITIONS); i++) {
		double in_plain, in_sized;
		double one = raw(&s), two = map(&s, false, &in_plain);
		double three = map(&s, true, &in_sized);

		if (!i)
			continue; /* warm now */
		measure_add(&bare, one);
		measure_add(&plain, two);
		measure_add(&sized, three);
		measure_add(&plain_inside, in_plain);
		measure_add(&sized_inside, in_sized);
	}
	end(&s);
	snprintf(title, sizeof(title), "contig map of %.1f GiB in base pages%s",
		 (double)len / (1ul << 30), len < WANTED ? " (memory is short)" : "");
	table_title(title);
	row_plain("reading its pagemap, one thread, 128 KiB each", "ms", &bare);
	row_plain("contig map --no-page-sizes, the whole command", "ms", &plain);
	row_plain("  of which reading", "ms", &plain_inside);
	row_plain("contig map, the whole command", "ms", &sized);
	row_plain("  of which reading", "ms", &sized_inside);
	ratio("without page sizes / reading", &plain, &bare, 1.15);
	ratio("with page sizes / reading", &sized, &bare, 1.5);
}

static void holes(void)
{
	static struct measure without, with, in_without, in_with, more;
	struct subject small = make(0, false), large = make(0, true);

	for (unsigned int i = 0; i <= repetitions(REPETITIONS); i++) {
		double a, b, one = map(&small, true, &a), two = map(&large, true, &b);

		if (!i)
			continue;
		measure_add(&without, one);
		measure_add(&with, two);
		measure_add(&in_without, a);
		measure_add(&in_with, b);
		measure_add(&more, two > one ? two - one : 0);
	}
	end(&small);
	end(&large);
	table_title("contig map of a small process, and with 1 TiB of PROT_NONE");
	row_plain("small, the whole command", "ms", &without);
	row_plain("  of which reading", "ms", &in_without);
	row_plain("with 1 TiB of PROT_NONE, the whole command", "ms", &with);
	row_target("  of which reading", "ms", &in_with, 1);
	row_target("the difference of the whole commands", "ms", &more, 1);
}

int main(int argc, char **argv)
{
	char beside[4096];

	measure_options(argc, argv);
	tool = argc > 1 && argv[argc - 1][0] != '-' ? argv[argc - 1] : NULL;
	if (!tool) {
		ssize_t n = readlink("/proc/self/exe", beside, sizeof(beside) - 32);
		char *slash;

		if (n < 0)
			die("/proc/self/exe: %s", strerror(errno));
		beside[n] = '\0';
		slash = strstr(beside, "/bench/");
		if (!slash)
			die("which contig? (bench_map CONTIG)");
		strcpy(slash, "/tools/contig");
		tool = beside;
	}
	dense();
	holes();
	return 0;
}
