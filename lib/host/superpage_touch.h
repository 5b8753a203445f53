/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to superpage*.c: the first touch of a staging mapping, in parallel
 * and without dying of it.
 */
#ifndef HOST_SUPERPAGE_TOUCH_H
#define HOST_SUPERPAGE_TOUCH_H

#include "host/superpage.h"

/*
 * Make superpages of the n places pages[i].staging, one system call each, so
 * that what came is known exactly.  Pages that came have frame FRAME_HIDDEN
 * afterwards, the others FRAME_ABSENT (and hold no memory).  Stops at the
 * first error that the next page would meet too.  Returns how many came;
 * *error is 0 or the first -errno.
 */
size_t contig_superpage_touch(const struct superpage_request *request,
			      struct superpage *pages, size_t n, int *error);

/* Threads that touching n pages is worth (contig_superpage_touch's choice). */
unsigned int contig_superpage_threads(const struct superpage_request *request,
				      size_t n);

/* madvise() that sleeps over EAGAIN and EINTR a few times.  0/-errno. */
int contig_superpage_advise(void *va, size_t len, int advice);

#endif
