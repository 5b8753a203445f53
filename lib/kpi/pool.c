/* SPDX-License-Identifier: BSD-2-Clause */
/* Pools, reserve and trim, settings, reasons and the panic handler. */
#include "contig/pool.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/page.h"
#include "base/panic.h"
#include "kpi/blinded.h"
#include "kpi/misuse.h"
#include "kpi/struct_size.h"
#include "kpi/vma.h"
#include "base/reason.h"
#include "phys/magazine.h"
#include "phys/pool.h"
#include "phys/pool_record.h"
#include "phys/reclaim.h"
#include "phys/settings.h"
#include "phys/start.h"
#include "phys/trim.h"

#include <errno.h>
#include <stdlib.h>

static int invalid(const char *why)
{
	contig_reason_set("contig_pool_create: %s", why);
	errno = EINVAL;
	return -1;
}

static int attr_check(const struct contig_pool_attr *attr)
{
	if ((unsigned int)attr->kind > CONTIG_POOL_SHAREABLE)
		return invalid("kind is not one of CONTIG_POOL_*");
	if ((unsigned int)attr->fork > CONTIG_FORK_ISOLATE)
		return invalid("fork is not one of CONTIG_FORK_*");
	if (attr->sources & ~(unsigned int)CONTIG_SOURCE_ALL)
		return invalid("sources is not a mask of CONTIG_SOURCE_*");
	if (attr->node != -1 && contig_machine_node_index(attr->node) < 0)
		return invalid("node has no memory on this machine");
	if (attr->kind == CONTIG_POOL_PRIVATE && contig_machine.level == CONTIG_LEVEL_SIMULATED)
		return invalid("simulated memory is never private");
	if ((unsigned int)attr->mode > CONTIG_SHARE_FIXED)
		return invalid("mode is not one of CONTIG_SHARE_*");
	if (attr->mode && attr->kind != CONTIG_POOL_SHAREABLE)
		return invalid("mode is of CONTIG_POOL_SHAREABLE only");
	/* A peer that is to keep its mapping duplicates it by mremap(2). */
	if (attr->mode == CONTIG_SHARE_FIXED && attr->sources & ~(unsigned int)CONTIG_SOURCE_THP)
		return invalid("sources of a pool of mode CONTIG_SHARE_FIXED are collapsed memory (CONTIG_SOURCE_THP) only");
	return 0;
}

contig_pool_t *contig_pool_create(const struct contig_pool_attr *attr)
{
	struct contig_pool_attr own = {.struct_size = sizeof(own), .node = -1};
	struct contig_pool *pool;
	NO_CANCEL;
	int err = contig_start();

	if (err) {
		errno = ENOMEM;
		return NULL;
	}
	if (contig_struct_copy(&own, sizeof(own), attr, attr->struct_size) < 0) {
		invalid("struct_size is not that of a struct contig_pool_attr");
		return NULL;
	}
	attr = &own;
	if (attr_check(attr) < 0)
		return NULL;
	pool = malloc(sizeof(*pool));
	if (!pool)
		return NULL;
	contig_pool_setup(pool, attr->name ? attr->name : "unnamed");
	pool->kind = attr->kind;
	pool->fork = attr->fork;
	pool->mode = attr->mode;
	pool->sources = attr->sources;
	pool->limit = attr->limit;
	pool->node = attr->node < 0 ? -1 : contig_machine_node_index(attr->node);
	contig_pool_list_add(pool);
	contig_pool_record(pool);
	contig_debug(POOL, "pool %s made", pool->name);
	return pool;
}

void contig_pool_destroy(contig_pool_t *pool)
{
	uint64_t used;
	NO_CANCEL;

	if (!pool)
		return;
	if (pool == &contig_default_pool) {
		misuse("contig_pool_destroy: the default pool can't be destroyed");
		return;
	}
	/* What vanishes must not stay mapped elsewhere: a touch there would be
	 * SIGBUS, or put new memory into a dead file. */
	contig_vmas_unmap_pool(pool);
	used = contig_trim_destroy(pool);
	if (used)
		contig_warn("contig_pool_destroy(%s): %llu KiB were still allocated", pool->name,
			    (unsigned long long)(used << FRAME_SHIFT >> 10));
	contig_debug(POOL, "pool %s destroyed", pool->name);
	/* Segments that this process inherited point to their pool. */
	if (!pool->segments)
		free(pool);
}

int contig_reserve(size_t bytes)
{
	uint64_t frames = (bytes >> FRAME_SHIFT) + !!(bytes & (FRAME_SIZE - 1));
	NO_CANCEL;
	int err = contig_start();

	contig_reclaim_why_clear();
	if (!err)
		err = contig_reclaim_reserve(&contig_default_pool, frames + POOL_RESERVE_FRAMES);
	if (err == -EPERM) {
		contig_reason_set("contig_reserve(%zu): %s", bytes, BLINDED);
		errno = EPERM;
		return -1;
	}
	if (err) {
		contig_reason_set("contig_reserve(%zu): %s", bytes,
				  *contig_reclaim_why() ? contig_reclaim_why()
							: "the kernel has fewer superpages to give; try 'contig pool grow'");
		errno = ENOMEM;
		return -1;
	}
	contig_reason_clear();
	return 0;
}

size_t contig_trim(void)
{
	NO_CANCEL;

	return contig_is_started() ? (size_t)contig_trim_pools() : 0;
}

void contig_config_get(struct contig_config *out)
{
	size_t size = out->struct_size;

	contig_start_settings();
	if (size < sizeof(size) || size > STRUCT_SIZE_MAX) {
		misuse("contig_config_get(%p): struct_size is %zu; set it to sizeof(struct contig_config)",
		       (void *)out, size);
		return;
	}
	contig_struct_give(out, size, &contig_settings.config, sizeof(contig_settings.config));
}

int contig_configure(const struct contig_config *config)
{
	struct contig_config own;
	int err = contig_start_settings();

	if (err) {
		contig_reason_set("contig_configure: the library is in use already; call it first");
		errno = -err;
		return -1;
	}
	own = contig_settings.config;
	if (contig_struct_copy(&own, sizeof(own), config, config->struct_size) < 0) {
		contig_reason_set("contig_configure: struct_size %zu is not that of a struct contig_config this library knows",
				  config->struct_size);
		errno = EINVAL;
		return -1;
	}
	own.struct_size = sizeof(own);
	err = contig_settings_check(&own);
	if (err) {
		errno = -err;
		return -1;
	}
	contig_settings.config = own;
	contig_panic_errno_set(own.panic_errno);
	return 0;
}

const char *contig_strreason(void)
{
	return contig_reason_get();
}

contig_panic_handler contig_set_panic_handler(contig_panic_handler handler)
{
	return contig_panic_handler_swap(handler);
}
