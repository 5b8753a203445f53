/* SPDX-License-Identifier: BSD-2-Clause */
/* contig phys against one raw read of the kpageflags of all RAM. */
#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REPETITIONS 11
#define TARGET 1.2
#define PIECE (512 * 1024)
#define RANGES_MAX 512

extern char **environ;

static struct {
	uint64_t first, end; /* frames */
} ram[RANGES_MAX];
static unsigned int n_ram;

static void ram_read(void)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), start, end;
	FILE *in = fopen("/proc/iomem", "re");
	char line[256];

	if (!in)
		die("/proc/iomem: %s", strerror(errno));
	while (n_ram < RANGES_MAX && fgets(line, sizeof(line), in))
		if (line[0] != ' ' && strstr(line, "System RAM") &&
		    sscanf(line, "%lx-%lx", &start, &end) == 2) {
			ram[n_ram].first = start / page;
			ram[n_ram++].end = (end + 1) / page;
		}
	fclose(in);
}

static double raw(void)
{
	static uint64_t flags[PIECE / sizeof(uint64_t)];
	uint64_t start = now_ns();
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("/proc/kpageflags: %s", strerror(errno));
	for (unsigned int i = 0; i < n_ram; i++)
		for (uint64_t at = ram[i].first; at < ram[i].end;) {
			uint64_t n = ram[i].end - at;
			ssize_t got;

			if (n > PIECE / sizeof(uint64_t))
				n = PIECE / sizeof(uint64_t);
			got = pread(fd, flags, n * sizeof(uint64_t),
				    (off_t)(at * sizeof(uint64_t)));
			if (got <= 0)
				break;
			keep(flags);
			at += (uint64_t)got / sizeof(uint64_t);
		}
	close(fd);
	return (double)(now_ns() - start) / 1e6;
}

static double ours(const char *tool)
{
	char *argv[] = {(char *)(uintptr_t)tool, (char *)"phys", NULL};
	posix_spawn_file_actions_t actions;
	uint64_t start = now_ns();
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, tool, &actions, NULL, argv, environ))
		die("%s: %s", tool, strerror(errno));
	posix_spawn_file_actions_destroy(&actions);
	if (waitpid(pid, &status, 0) < 0 || status)
		die("%s phys: failed", tool);
	return (double)(now_ns() - start) / 1e6;
}

int main(int argc, char **argv)
{
	struct measure flags = {0}, all = {0};
	const char *tool = getenv("CONTIG_TOOL");

	measure_options(argc, argv);
	if (!tool)
		tool = "tools/contig"; /* from the top of the build */
	ram_read();
	raw();
	for (unsigned int i = 0; i < repetitions(REPETITIONS); i++) {
		measure_add(&flags, raw());
		measure_add(&all, ours(tool));
	}
	table_title("physical memory, all of this machine's RAM");
	row_plain("  contig phys, the whole command", "ms", &all);
	row_peer("  one raw read of kpageflags", "ms", &flags, &all);
	row_ratio("  contig phys / raw read", measure_median(&all) / measure_median(&flags),
		  measure_min(&all) / measure_min(&flags), TARGET, false);
	return 0;
}
