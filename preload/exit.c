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
#include <stdlib.h>
#include <unistd.h>

unsigned int shim_exit_unpin(void)
{
	int saved = errno;
	unsigned int n = 0;

	/* A child of vfork(2) has its parent's pins before it. */
	if (shim_options.active && shim_own_process())
		n = contig_pin_release_now();
	errno = saved;
	return n;
}

static void leave(int status)
{
	if (shim_options.active && shim_own_process())
		shim_report_exit();
	shim_exit_unpin();
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
	if (shim_own_process())
		shim_report_exit();
	shim_exit_unpin();
}

__attribute__((constructor)) static void at_start(void)
{
	shim_options_read();
	if (!shim_options.active)
		return;
	contig_pin_keep_descriptors();
	at_quick_exit(at_quick_exit_handler);
}

__attribute__((destructor)) static void at_end(void)
{
	if (!shim_options.active || !shim_own_process())
		return;
	shim_report_exit();
	shim_exit_unpin();
	/* Called in a signal handler, exit() may have interrupted anything. */
	if (!shim_inside())
		shim_mappings_exit();
}
