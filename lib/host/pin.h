/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wiring: making frames stay.  A pin holds up to PIN_SLOTS ranges.
 *
 * io_uring: the ranges are fixed buffers of a ring of their own (small
 * rings: registration re-scans all buffers of its ring).  The pin lives in
 * the ring's file; the SQ ring is mapped and the descriptor closed, so that
 * closefrom(3) can't drop it.  inherit = false: MADV_DONTFORK on that
 * mapping, so a child can't keep a dead parent's pages.  inherit = true: the
 * pin goes wherever the (shared) memory goes, so a daemon's child is still
 * wired when its parent has gone.
 *
 * pipe: one byte of each 4 KiB-or-larger page vmspliced into a pipe, which
 * holds a reference; needs no RLIMIT_MEMLOCK.  Dies with its descriptors:
 * contig_pin_alive() tells.  It doesn't make fork copy private memory for the
 * child: there the parent's next write moves the frame.
 *
 * Nothing here calls malloc.
 */
#ifndef HOST_PIN_H
#define HOST_PIN_H

#include "contig/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#define PIN_SLOTS 64

enum pin_method { PIN_NONE, PIN_MLOCK, PIN_PIPE, PIN_URING };

struct pin;

/*
 * Pin n ranges (each at most 1 GiB, aligned to pages of the given page_size,
 * mapped and populated) by the strongest method that works: io_uring, then a
 * pipe, then mlock, then nothing.  Never fails for want of a method: returns
 * a pin whose contig_pin_method() may be PIN_NONE (contig_reason says why
 * nothing stronger worked); NULL only with errno ENOMEM, or EINVAL for n = 0,
 * n > PIN_SLOTS and ranges that aren't whole pages.  All ranges get the same
 * method.  The caller owns the pin until contig_pin_drop() or _forget().
 * Pinning can move a frame: read frames afterwards.
 */
struct pin *contig_pin_make(const struct iovec *ranges, unsigned int n,
			    size_t page_size, bool inherit);
enum pin_method contig_pin_method(const struct pin *pin);
/* What was in the way of io_uring; "" when that is the method.  As long as the
 * pin lives. */
const char *contig_pin_why(const struct pin *pin);
bool contig_pin_alive(const struct pin *pin);
/* What the pin (still) promises for hugetlb or other memory. */
enum contig_wiring contig_pin_wiring(const struct pin *pin, bool hugetlb);
/* Unpins and frees the pin; NULL is fine.  An io_uring pin lets its frames go
 * some 15 ms later, surely within ~100 ms; a pipe and mlock at once. */
void contig_pin_drop(struct pin *pin);
/* In a forked child of a pin that was not inherited: forget it.  Closes the
 * child's copies of a pipe, which would outlive the parent's. */
void contig_pin_forget(struct pin *pin);

/*
 * Keep the descriptors of some io_uring pins that are not inherited, so that
 * they can be dropped at once: without one, frames come back some 15 ms after
 * the drop, or after the end of the process.  At most PIN_KEPT, up where the
 * pipes' are.  A program may close them: then it is as without.
 */
#define PIN_KEPT 64
void contig_pin_keep_descriptors(void);
/*
 * Just before the process ends, or calls exec: what those pins hold is
 * unpinned now.  Takes no lock and touches no record, so it may be called in a
 * signal handler and beside other threads.  Returns how many.
 */
unsigned int contig_pin_release_now(void);

/* What is possible here, for contig doctor. */
struct pin_ability {
	int uring;              /* 0, or -errno of io_uring_setup/register */
	int uring_disabled;     /* kernel.io_uring_disabled; -1 unknown */
	int pipe;               /* 0 or -errno */
	unsigned long long memlock_limit; /* RLIMIT_MEMLOCK, bytes; ~0 none */
	bool memlock_exempt;    /* CAP_IPC_LOCK */
};
void contig_pin_ability(struct pin_ability *out);

/* Not mlock where RLIMIT_MEMLOCK counts: that is for the program, which can't
 * know that we are there.  (io_uring's is another count, by user.) */
void contig_pin_leave_memlock(void);

/* Restrict methods: highest allowed, for tests and CONTIG_PIN. */
void contig_pin_allow(enum pin_method highest);

#endif
