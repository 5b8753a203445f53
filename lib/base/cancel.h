/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pthread_cancel(3) would strike inside the system calls that the slow paths
 * make with locks held and superpages half taken.  NO_CANCEL, first in a
 * public function, puts it off until that returns.
 */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <pthread.h>

static inline int contig_cancel_off(void)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return old;
}

static inline void contig_cancel_restore(const int *old)
{
	pthread_setcancelstate(*old, NULL);
}

#define NO_CANCEL                                                        \
	__attribute__((cleanup(contig_cancel_restore), unused)) const int \
		contig_cancel_old = contig_cancel_off()

#endif
