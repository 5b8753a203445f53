/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread that works for the shim: nothing interrupts or cancels it, and what
 * it allocates is the shim's own.
 */
#ifndef PRELOAD_CALM_H
#define PRELOAD_CALM_H

#include "preload/inside.h"

#include <pthread.h>
#include <signal.h>

struct calm {
	sigset_t signals;
	int cancel;
};

static inline void calm_begin(struct calm *calm)
{
	sigset_t all;

	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* a fault can't wait: blocked, it kills */
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &calm->signals);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &calm->cancel);
	shim_enter();
}

static inline void calm_end(const struct calm *calm)
{
	shim_leave();
	pthread_setcancelstate(calm->cancel, NULL);
	pthread_sigmask(SIG_SETMASK, &calm->signals, NULL);
}

#endif
