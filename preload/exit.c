/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a process, or of its program.  Pinned memory comes back some 15
 * ms after the process that had it (FACTS 15), too late for the next program of
 * a pipeline, so it is unpinned before.  The memory itself stays: other
 * threads, and exit handlers, go on writing there.
 *
 * _exit() may be called in a signal handler, with any lock held: nothing here
 * takes one but the destructor.  quick_exit() runs handlers of the program's,
 * so ours is one of them, the first registered and so the last to run.
 */
#include "preload/exit.h"

#include "host/pin.h"
#include "preload/engine.h"
#include "preload/fork.h"
#include "preload/inside.h"
#include "preload/mappings.h"
#include "preload/options.h"
#include "preload/raw.h"
#include "preload/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A seccomp filter of the program's may kill it for a call it doesn't expect,
 * and ours at its end are such: then the kernel unpins, a little later.  Before
 * a filter comes no_new_privs, by prctl(2) as a rule. */
static bool filtered;

int prctl(int option, ...)
{
	unsigned long arg[4];
	va_list ap;

	va_start(ap, option);
	for (int i = 0; i < 4; i++)
		arg[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if (option == PR_SET_NO_NEW_PRIVS || option == PR_SET_SECCOMP)
		filtered = true;
	return (int)syscall(SYS_prctl, option, arg[0], arg[1], arg[2], arg[3]);
}

unsigned int shim_exit_unpin(void)
{
	int saved = errno;
	unsigned int n = 0;

	if (!shim_options.active)
		return 0;
	/* A child of vfork(2) has its parent's pins before it, and a bare copy of a
	 * process what its parent will count. */
	if (filtered) {
		shim_engine_count_flush();
	} else if (shim_own_process()) {
		shim_engine_count_flush();
		n = contig_pin_release_now();
	}
	errno = saved;
	return n;
}

/* The process ends, in whichever way.  True: it is one that tells of itself. */
static bool tell_end(void)
{
	bool own = shim_options.active && !filtered && shim_own_process();

	if (own)
		shim_report_exit();
	shim_exit_unpin();
	return own;
}

static void leave(int status)
{
	tell_end();
	shim_raw_exit_group(status);
}

void _exit(int status)
{
	leave(status);
	__builtin_unreachable();
}

void _Exit(int status)
{
	leave(status);
	__builtin_unreachable();
}

static void at_quick_exit_handler(void)
{
	tell_end();
}

__attribute__((constructor)) static void at_start(void)
{
	shim_options_read();
	if (!shim_options.active)
		return;
	at_quick_exit(at_quick_exit_handler);
}

__attribute__((destructor)) static void at_end(void)
{
	/* Called in a signal handler, exit() may have interrupted anything. */
	if (tell_end() && !shim_inside())
		shim_mappings_exit();
}
