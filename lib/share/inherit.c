/* SPDX-License-Identifier: BSD-2-Clause */
#include "share/inherit.h"

#include "phys/fork.h"

#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#define FDS_MAX 65536 /* what is above stays open in children */

/* A bit for each; no lock, so that fork(2) waits for nothing here. */
static _Atomic uint64_t marked[FDS_MAX / 64];

void contig_inherit_not(int fd)
{
	if (fd >= 0 && fd < FDS_MAX)
		atomic_fetch_or(&marked[fd / 64], UINT64_C(1) << fd % 64);
}

void contig_inherit_done(int fd)
{
	if (fd >= 0 && fd < FDS_MAX)
		atomic_fetch_and(&marked[fd / 64], ~(UINT64_C(1) << fd % 64));
}

static void child(void)
{
	for (int i = 0; i < FDS_MAX / 64; i++) {
		uint64_t bits = atomic_exchange(&marked[i], 0);

		for (; bits; bits &= bits - 1)
			close(i * 64 + __builtin_ctzll(bits));
	}
}

static void nothing(void)
{
}

static struct fork_hook hook = {.prepare = nothing, .parent = nothing, .child = child};

__attribute__((constructor)) static void add_hook(void)
{
	contig_fork_hook_add(&hook);
}
