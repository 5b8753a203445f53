/* SPDX-License-Identifier: BSD-2-Clause */
#include "share/quota.h"

#include "host/root.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#define NOFILE_DEFAULT 1024    /* INR_OPEN_CUR, include/uapi/linux/fs.h */
#define MAPPINGS_DEFAULT 65530 /* DEFAULT_MAX_MAP_COUNT, include/linux/mm.h */

static uint64_t descriptors_max(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) ? NOFILE_DEFAULT : limit.rlim_cur;
}

/* Read once for each root: it's asked for with every run. */
static uint64_t mappings_max(void)
{
	static uint64_t known; /* the generation, and what was read then */
	uint64_t was = __atomic_load_n(&known, __ATOMIC_RELAXED), most;
	unsigned int generation = contig_root_generation() + 1;

	if (was >> 32 == generation)
		return was & UINT32_MAX;
	if (contig_root_read_u64("/proc/sys/vm/max_map_count", &most))
		most = MAPPINGS_DEFAULT;
	if (most > UINT32_MAX)
		most = UINT32_MAX;
	__atomic_store_n(&known, (uint64_t)generation << 32 | most, __ATOMIC_RELAXED);
	return most;
}

/* A part of them, and never none. */
static uint64_t part(uint64_t all, uint64_t parts)
{
	return all > parts ? all / parts : 1;
}

int contig_quota_descriptor(const struct quota *quota)
{
	return quota->descriptors < part(descriptors_max(), QUOTA_SHARE) ? 0 : -EDQUOT;
}

int contig_quota_mapping(const struct quota *quota)
{
	return quota->mappings < part(mappings_max(), QUOTA_SHARE) ? 0 : -EDQUOT;
}

struct quota *contig_quota_enter(struct quota **users, uid_t uid)
{
	struct quota *quota = *users;

	while (quota && quota->uid != uid)
		quota = quota->next;
	if (!quota) {
		quota = calloc(1, sizeof(*quota));
		if (!quota)
			return NULL;
		quota->uid = uid;
		quota->next = *users;
		*users = quota;
	}
	quota->peers++;
	return quota;
}

void contig_quota_leave(struct quota **users, struct quota *quota)
{
	if (--quota->peers)
		return;
	while (*users != quota)
		users = &(*users)->next;
	*users = quota->next;
	free(quota);
}

unsigned int contig_quota_places(size_t n_users)
{
	uint64_t places = part(descriptors_max(), PEERS_DESCRIPTORS);

	return (unsigned int)part(places < PEERS_MAX ? places : PEERS_MAX, n_users);
}
