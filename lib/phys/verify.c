/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/verify.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/pagemap.h"
#include "phys/frames.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/reclaim.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct audit {
	int fd, err;
	int64_t moved;
};

static int audit_superpage(struct audit *audit, uint64_t place)
{
	uint64_t frames[SUPERPAGE_FRAMES];
	int64_t moved = 0;
	int err = contig_frames_read(audit->fd, (uintptr_t)place_address(place),
				      SUPERPAGE_FRAMES, frames);

	if (err) {
		contig_reason_set("/proc/self/pagemap: %s", strerror(-err));
		return err;
	}
	for (uint64_t i = 0; i < SUPERPAGE_FRAMES; i++) {
		if (frames[i] == FRAME_HIDDEN) {
			contig_reason_set("frames are hidden from this process (privileges dropped)");
			return -EPERM;
		}
		moved += frames[i] != (place >> FRAME_SHIFT) + i;
	}
	if (moved)
		contig_debug(POOL, "%lld frames of the superpage at 0x%llx moved",
			     (long long)moved, (unsigned long long)place);
	audit->moved += moved;
	return 0;
}

static int audit_pool(struct contig_pool *pool, void *arg)
{
	struct audit *audit = arg;

	for (struct segment *s = pool->segments; s; s = s->next) {
		/* A child's copies are not where its parent's originals are. */
		if (s->inherited && !s->shared)
			continue;
		for (unsigned int i = 0; i < s->n; i++)
			for (uint64_t p = s->places[i]; p < s->places[i] + s->page_size;
			     p += SUPERPAGE_SIZE) {
				audit->err = audit_superpage(audit, p);
				if (audit->err)
					return audit->err;
			}
	}
	return 0;
}

int64_t contig_verify_frames(void)
{
	struct audit audit = {.err = 0};

	if (contig_physmap.level == CONTIG_LEVEL_SIMULATED)
		return 0;
	if (contig_physmap.level == CONTIG_LEVEL_HIDDEN) {
		contig_reason_set("frames are hidden from this process (CAP_SYS_ADMIN)");
		return -EPERM;
	}
	audit.fd = contig_pagemap_open(0);
	if (audit.fd < 0) {
		contig_reason_set("/proc/self/pagemap: %s", strerror(-audit.fd));
		return audit.fd;
	}
	/* Segments come and go only under this lock. */
	contig_lock(&contig_reclaim_lock);
	contig_pool_each(audit_pool, &audit);
	contig_unlock(&contig_reclaim_lock);
	close(audit.fd);
	return audit.err ? audit.err : audit.moved;
}
