/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A number of the kernel's that was read a moment ago, so that a process that
 * takes many superpages one by one doesn't read a dozen files for each.  Of
 * one process and one root directory.  Torn between threads it is still one
 * of the numbers that were read lately.
 */
#ifndef HOST_LATELY_H
#define HOST_LATELY_H

#include "host/root.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#define LATELY_NS UINT64_C(10000000)

struct lately {
	_Atomic uint64_t value, at; /* at: 0 never */
	_Atomic pid_t pid;
	_Atomic unsigned int generation;
};

static inline bool lately_within(struct lately *lately, uint64_t ns, uint64_t *out)
{
	uint64_t at = atomic_load_explicit(&lately->at, memory_order_acquire);

	if (!at || clock_coarse_ns() - at >= ns ||
	    atomic_load_explicit(&lately->pid, memory_order_relaxed) != getpid() ||
	    atomic_load_explicit(&lately->generation, memory_order_relaxed) !=
		    contig_root_generation())
		return false;
	*out = atomic_load_explicit(&lately->value, memory_order_relaxed);
	return true;
}

static inline bool lately_get(struct lately *lately, uint64_t *out)
{
	return lately_within(lately, LATELY_NS, out);
}

/* Bytes of memory: so much isn't gone so soon, and more not in longer. */
#define LATELY_PLENTY (UINT64_C(1) << 30)
#define LATELY_MUCH   (UINT64_C(8) << 30)
#define LATELY_MUCH_NS (10 * LATELY_NS)

static inline bool lately_get_memory(struct lately *lately, uint64_t *out)
{
	return lately_within(lately, LATELY_MUCH_NS, out) &&
	       (*out >= LATELY_MUCH || lately_get(lately, out));
}

static inline void lately_put(struct lately *lately, uint64_t value)
{
	atomic_store_explicit(&lately->value, value, memory_order_relaxed);
	atomic_store_explicit(&lately->generation, contig_root_generation(),
			      memory_order_relaxed);
	atomic_store_explicit(&lately->pid, getpid(), memory_order_relaxed);
	atomic_store_explicit(&lately->at, clock_coarse_ns(), memory_order_release);
}

static inline void lately_put_memory(struct lately *lately, uint64_t value)
{
	if (value >= LATELY_PLENTY)
		lately_put(lately, value);
}

#endif
