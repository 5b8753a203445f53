/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/limit.h"

#include "phys/pool.h"
#include "phys/settings.h"

static uint64_t claimed, expected; /* bytes; atomic */

static int add_held(struct contig_pool *pool, void *arg)
{
	*(uint64_t *)arg += contig_pool_held(pool);
	return 0;
}

/* Pools last: what has just come in may count twice, never not at all. */
static uint64_t held(void)
{
	uint64_t bytes = __atomic_load_n(&claimed, __ATOMIC_SEQ_CST) +
			 __atomic_load_n(&expected, __ATOMIC_SEQ_CST);

	contig_pool_each(add_held, &bytes);
	return bytes;
}

uint64_t contig_limit_room(void)
{
	uint64_t limit = contig_settings.config.limit, now;

	if (!limit)
		return UINT64_MAX;
	now = held();
	return limit > now ? limit - now : 0;
}

/* Added first, then looked at: of two at once both may fail, never none. */
static bool add(uint64_t *to, uint64_t bytes)
{
	uint64_t limit = contig_settings.config.limit;

	__atomic_fetch_add(to, bytes, __ATOMIC_SEQ_CST);
	if (!limit || held() <= limit)
		return true;
	__atomic_fetch_sub(to, bytes, __ATOMIC_SEQ_CST);
	return false;
}

bool contig_limit_claim(uint64_t bytes)
{
	return add(&claimed, bytes);
}

void contig_limit_return(uint64_t bytes)
{
	__atomic_fetch_sub(&claimed, bytes, __ATOMIC_SEQ_CST);
}

uint64_t contig_limit_claimed(void)
{
	return __atomic_load_n(&claimed, __ATOMIC_RELAXED);
}

bool contig_limit_expect(uint64_t bytes)
{
	return add(&expected, bytes);
}

void contig_limit_came(uint64_t bytes)
{
	__atomic_fetch_sub(&expected, bytes, __ATOMIC_SEQ_CST);
}

void contig_limit_fork_child(void)
{
	expected = 0;
}
