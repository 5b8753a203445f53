/* SPDX-License-Identifier: BSD-2-Clause */
#include "hugepool.h"

#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define SETTLE_MS 1000
#define FRAME_MASK ((UINT64_C(1) << 55) - 1) /* proc(5), pagemap */
#define PRESENT (UINT64_C(1) << 63)

static pid_t guard;
static int guard_pipe = -1;

static long long pool_read(const char *file)
{
	char path[128];
	long long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), POOL "%s", file);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (fscanf(f, "%lld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

/* What was asked for, without the surplus that comes and goes by itself. */
static long long pool_size(void)
{
	return pool_read("nr_hugepages") - pool_read("surplus_hugepages");
}

static bool pool_set(long long pages)
{
	int fd = open(POOL "nr_hugepages", O_WRONLY | O_CLOEXEC);
	char text[32];
	int len = snprintf(text, sizeof(text), "%lld", pages);
	bool ok = fd >= 0 && write(fd, text, (size_t)len) == len;

	if (fd >= 0)
		close(fd);
	return ok;
}

size_t hugepool_free(void)
{
	long long pages = pool_read("free_hugepages"), reserved = pool_read("resv_hugepages");

	return pages > reserved ? (size_t)(pages - reserved) : 0;
}

void hugepool_settle(size_t pages)
{
	for (int ms = 0; ms < SETTLE_MS && hugepool_free() < pages; ms++)
		usleep(1000);
}

static void guard_stop(void)
{
	close(guard_pipe);
	waitpid(guard, NULL, 0);
}

/*
 * A child that outlives us, kill -9 included, and takes back what we added.
 * It takes back the difference instead of writing the old number: others may
 * have changed it meanwhile.
 */
static bool guard_start(long long added)
{
	int ends[2];

	if (pipe(ends))
		return false;
	guard = fork();
	if (guard < 0)
		return false;
	if (!guard) {
		long long told;
		ssize_t n;

		close(ends[1]);
		setsid();
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		while ((n = read(ends[0], &told, sizeof(told))) != 0)
			if (n == sizeof(told))
				added = told;
		if (added > 0)
			pool_set(pool_size() - added);
		_exit(0);
	}
	close(ends[0]);
	guard_pipe = ends[1];
	fcntl(guard_pipe, F_SETFD, FD_CLOEXEC);
	atexit(guard_stop);
	return true;
}

bool hugepool_need(size_t pages)
{
	long long before = pool_size(), missing, added;

	if (before >= (long long)pages)
		hugepool_settle(pages);
	missing = (long long)pages - (long long)hugepool_free();
	if (missing <= 0)
		return true;
	/* The guard first: it must know what to take back before there is any. */
	if (before >= 0 && guard_pipe < 0 && guard_start(missing)) {
		pool_set(before + missing);
		added = pool_size() - before;
		if (write(guard_pipe, &added, sizeof(added)) != sizeof(added))
			die("the process that restores the pool is gone");
	}
	if (hugepool_free() >= pages)
		return true;
	row_note("left out: needs %zu free pages of 2 MiB (as root: echo %lld >" POOL
		 "nr_hugepages)",
		 pages, before + missing);
	return false;
}

void frames_read(const void *va, size_t step, size_t n, uint64_t *frames)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("/proc/self/pagemap: %s", strerror(errno));
	for (size_t i = 0; i < n; i++) {
		uintptr_t at = (uintptr_t)va + i * step;
		uint64_t entry;

		if (pread(fd, &entry, sizeof(entry), (off_t)(at / 4096 * sizeof(entry))) !=
			    (ssize_t)sizeof(entry) ||
		    !(entry & PRESENT))
			die("pagemap: nothing at %p", (void *)at);
		frames[i] = entry & FRAME_MASK;
		if (!frames[i])
			die("pagemap: frames are hidden (needs CAP_SYS_ADMIN)");
	}
	close(fd);
}
