/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside: this thread runs the core's code (or libc's on the core's behalf).
 * What is then malloc()ed comes from an arena on base pages, which never
 * calls the core; what is then mapped by name is not ours.  Nests.
 */
#ifndef PRELOAD_INSIDE_H
#define PRELOAD_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

/* One 64-bit word, so that the fast paths look at all of it at once. */
union shim_thread {
	struct {
		uint32_t depth;
		uint32_t unbound; /* not yet given the pool's arena */
	};
	uint64_t slow; /* 0: the fast path will do */
};

extern __thread union shim_thread shim_thread __attribute__((tls_model("initial-exec")));

static inline bool shim_inside(void)
{
	return shim_thread.depth != 0;
}

static inline void shim_enter(void)
{
	shim_thread.depth++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void shim_leave(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	shim_thread.depth--;
}

#endif
