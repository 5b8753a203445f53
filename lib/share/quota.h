/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What importers may make the exporting process hold.  Its own limits are the
 * kernel's, of descriptors (RLIMIT_NOFILE) and of mappings (vm.max_map_count);
 * one importer gets a quarter of each, so that the program, or another one, has
 * something left whatever it does.  Importers that came by a path, whom the
 * program didn't choose, have one quota together for each user, and each user
 * an equal share of the places there.
 */
#ifndef SHARE_QUOTA_H
#define SHARE_QUOTA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define QUOTA_SHARE 4 /* an importer has one part in so many */
#define PEERS_MAX 1024 /* of one vma; the default of RLIMIT_NOFILE */
#define PEERS_DESCRIPTORS 2 /* places by a path: one descriptor in so many */

struct quota {
	struct quota *next;  /* of those of users */
	uid_t uid;
	unsigned int peers;  /* connections that count here */
	uint64_t descriptors, mappings; /* that they hold */
};

/* -EDQUOT when there may be no more.  A run of pages is counted as a mapping,
 * and costs the kernel two at most: the other one is the hole behind it. */
int contig_quota_descriptor(const struct quota *quota);
int contig_quota_mapping(const struct quota *quota);

/* The quota of a user's connections, made if it's the first; NULL: no memory.
 * Each call is undone by one of _leave(). */
struct quota *contig_quota_enter(struct quota **users, uid_t uid);
void contig_quota_leave(struct quota **users, struct quota *quota);

/* Places of one of so many users who may connect. */
unsigned int contig_quota_places(size_t n_users);

#endif
