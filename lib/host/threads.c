/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/threads.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LEAVING_TRIES 20
#define LEAVING_PAUSE_NS 200000

/* A directory's links are itself, its parent's entry and its directories. */
static bool counted_alone(void)
{
	struct stat st;

	if (stat("/proc/self/task", &st) < 0)
		return __libc_single_threaded;
	return st.st_nlink == 3;
}

bool contig_threads_alone(bool wait)
{
	static const struct timespec pause = {0, LEAVING_PAUSE_NS};

	for (int i = 0; !counted_alone(); i++) {
		if (!wait || i == LEAVING_TRIES)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* The kernel's set is 64 signals; the C library's functions leave out two. */
#define KERNEL_SET sizeof(uint64_t)
#define SIGNAL_SETXID 33 /* glibc's own */

void contig_signals_block(sigset_t *old)
{
	sigset_t all;

	memset(&all, 0xff, sizeof(all));
	/* A fault, or what seccomp traps, can't wait: blocked, it kills.  And
	 * setuid(2) of another thread waits until all have answered its signal,
	 * with a lock of the C library's held that we may want. */
	sigdelset(&all, SIGSYS);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	((unsigned char *)&all)[(SIGNAL_SETXID - 1) / 8] &=
		(unsigned char)~(1u << (SIGNAL_SETXID - 1) % 8);
	memset(old, 0, sizeof(*old));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, old, KERNEL_SET);
}

void contig_signals_restore(const sigset_t *old)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, old, NULL, KERNEL_SET);
}
