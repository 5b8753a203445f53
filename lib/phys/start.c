/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/start.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/reason.h"
#include "phys/counters.h"
#include "phys/fork.h"
#include "phys/machine.h"
#include "phys/magazine.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/pool_record.h"
#include "phys/reclaim.h"
#include "phys/settings.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

bool contig_started;

static pthread_once_t settings_once = PTHREAD_ONCE_INIT;
static pthread_once_t start_once = PTHREAD_ONCE_INIT;
static int start_error;
static char start_reason[256];

/* With the reclaim lock held, so that a fork by another thread waits. */
static int start(void)
{
	struct contig_config *config = &contig_settings.config;
	int err = contig_machine_init(contig_settings.simulate);

	if (err)
		return err;
	if (config->node >= 0 && contig_machine_node_index(config->node) < 0) {
		contig_warn("CONTIG_NODE=%d: no memory on that node; ignored", config->node);
		config->node = -1;
	}
	err = contig_physmap_init(contig_machine.end, contig_machine.level);
	if (err)
		return err;
	if (contig_machine.level != CONTIG_LEVEL_HIDDEN)
		contig_machine_clip(contig_physmap.span);
	contig_pool_setup(&contig_default_pool, "default");
	contig_default_pool.kind = CONTIG_POOL_DEFAULT;
	contig_default_pool.fork = config->fork;
	contig_pool_list_add(&contig_default_pool);
	contig_records_update();
	return 0;
}

static void start_body(void)
{
	pthread_once(&settings_once, contig_settings_from_environment);
	contig_lock(&contig_reclaim_lock);
	/* In a child that was forked just before the once was over. */
	if (contig_is_started()) {
		contig_unlock(&contig_reclaim_lock);
		return;
	}
	start_error = start();
	if (!start_error)
		__atomic_store_n(&contig_started, true, __ATOMIC_RELEASE);
	contig_unlock(&contig_reclaim_lock);
	if (start_error) {
		snprintf(start_reason, sizeof(start_reason), "%s", contig_reason_get());
		return;
	}
	if (contig_settings.config.reserve &&
	    contig_reclaim_reserve(&contig_default_pool,
				   (contig_settings.config.reserve >> FRAME_SHIFT) +
					   POOL_RESERVE_FRAMES) < 0)
		contig_warn("CONTIG_RESERVE: only %llu of %llu MiB could be taken",
			    (unsigned long long)(contig_pool_held(&contig_default_pool) >> 20),
			    (unsigned long long)(contig_settings.config.reserve >> 20));
}

int contig_start_slow(void)
{
	NO_CANCEL;

	pthread_once(&start_once, start_body);
	if (start_error)
		contig_reason_set("%s", start_reason);
	return start_error;
}

int contig_start_settings(void)
{
	pthread_once(&settings_once, contig_settings_from_environment);
	if (__atomic_load_n(&contig_started, __ATOMIC_ACQUIRE))
		return -EBUSY;
	return 0;
}

/*
 * The fork handlers at load, not at first use: a fork while another thread is
 * just starting the library must find it at rest, and find them once.
 * CONTIG_RESERVE is for programs that only ever use M_NOWAIT: their memory
 * must be there before main().  Any other program pays no more than this.
 */
__attribute__((constructor)) static void at_load(void)
{
	if (contig_fork_init() < 0)
		contig_warn("pthread_atfork: no memory; a forked child must not call the library");
	if (secure_getenv("CONTIG_RESERVE"))
		contig_start();
}
