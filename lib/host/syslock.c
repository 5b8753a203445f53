/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/syslock.h"

#include "base/clock.h"
#include "base/reason.h"
#include "host/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* First and longest pause between two tries.  A blocking flock could only be
 * ended by a signal, and signals belong to the program. */
#define PAUSE_MIN_NS 500000
#define PAUSE_MAX_NS 10000000

static int open_lock(void)
{
	static const char *const places[] = {
		"/sys/kernel/mm/hugepages/hugepages-2048kB",
		"/sys/kernel/mm/hugepages",
	};
	int fd = -ENOENT;

	for (int i = 0; i < 2; i++) {
		fd = contig_root_open(places[i], O_RDONLY | O_DIRECTORY);
		if (fd != -ENOENT)
			break;
	}
	return fd;
}

int contig_syslock_take(int timeout_ms)
{
	int64_t end = (int64_t)clock_ns() + (int64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000;
	int64_t pause_ns = PAUSE_MIN_NS;
	int fd = open_lock();

	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int err = errno;
		int64_t left = end - (int64_t)clock_ns();

		if (err != EWOULDBLOCK && err != EINTR) {
			close(fd);
			return -err;
		}
		if (left <= 0) {
			close(fd);
			contig_reason_set("another process has been reclaiming superpages for %d ms (lock on /sys/kernel/mm/hugepages)",
					  timeout_ms);
			return -ETIMEDOUT;
		}
		struct timespec ts = {0, (long)(pause_ns < left ? pause_ns : left)};

		nanosleep(&ts, NULL);
		pause_ns = pause_ns * 2 < PAUSE_MAX_NS ? pause_ns * 2 : PAUSE_MAX_NS;
	}
	return fd;
}

void contig_syslock_drop(int lock)
{
	if (lock < 0)
		return;
	/* Not close alone: a child forked meanwhile shares the open file. */
	flock(lock, LOCK_UN);
	close(lock);
}
