/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The peers of DPDK, in a program of their own: it takes superpages and maps
 * memory as it likes, which must not disturb ours.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include "measure.h"

#define PEERS_MAX 12

struct peer {
	char name[64];
	char unit[8];
	struct measure times;
};

struct peers {
	unsigned int n;
	struct peer peer[PEERS_MAX];
};

/*
 * Run bench/peer_dpdk with these arguments and add its samples to those of
 * the same name.  False when it isn't built or failed; why is on stdout once.
 */
bool peers_run(struct peers *peers, const char *arguments);

/* The one whose name begins so; NULL. */
const struct peer *peers_find(const struct peers *peers, const char *name);

#endif
