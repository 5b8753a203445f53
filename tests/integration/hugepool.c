/* SPDX-License-Identifier: BSD-2-Clause */
#include "hugepool.h"

#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 10000 /* spent only by what fails */
#define GROWTH_MS 3000 /* by who has too little memory */

static const char *const directories[POOLS] = {
    "/sys/kernel/mm/hugepages/hugepages-2048kB",
    "/sys/kernel/mm/hugepages/hugepages-1048576kB",
};

/* Shared with the guardian. */
static struct record {
	pid_t owner, guardian;
	bool changed[POOLS], changed_overcommit[POOLS];
	struct pool_state before[POOLS];
	long offline; /* block of memory that was taken offline; -1 */
} * record;

long hugepool_value(int pool, const char *file)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directories[pool], file);
	return probe_number(path);
}

static int set(int pool, const char *file, long value)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", directories[pool], file);
	return probe_write(path, value);
}

void hugepool_read(int pool, struct pool_state *out)
{
	out->nr = hugepool_value(pool, "nr_hugepages");
	out->overcommit = hugepool_value(pool, "nr_overcommit_hugepages");
	out->surplus = hugepool_value(pool, "surplus_hugepages");
	out->free = hugepool_value(pool, "free_hugepages");
	out->reserved = hugepool_value(pool, "resv_hugepages");
}

long hugepool_usable(int pool)
{
	struct pool_state now;

	hugepool_read(pool, &now);
	return now.free < 0 ? 0 : now.free - now.reserved;
}

bool hugepool_may_change(void)
{
	return !access("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", W_OK);
}

static void put_back(void)
{
	char path[96];

	if (record->offline >= 0) {
		snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%ld/state",
			 record->offline);
		if (!probe_write_text(path, "online"))
			record->offline = -1;
	}
	for (int pool = 0; pool < POOLS; pool++) {
		const struct pool_state *before = &record->before[pool];

		if (record->changed_overcommit[pool])
			set(pool, "nr_overcommit_hugepages", before->overcommit);
		/* What is in use becomes surplus and goes with its user. */
		if (record->changed[pool])
			set(pool, "nr_hugepages", before->nr - before->surplus);
	}
}

bool hugepool_restore(void)
{
	bool same = true;

	if (!record || record->owner != getpid())
		return true;
	put_back();
	for (int pool = 0; pool < POOLS; pool++) {
		const struct pool_state *before = &record->before[pool];
		struct pool_state now;

		if (!record->changed[pool] && !record->changed_overcommit[pool])
			continue;
		for (double end = probe_ms() + PATIENCE_MS;; probe_sleep_ms(5)) {
			hugepool_read(pool, &now);
			/* Somebody else's surplus comes and goes. */
			if (now.nr - now.surplus == before->nr - before->surplus &&
			    now.overcommit == before->overcommit)
				break;
			if (probe_ms() > end) {
				fprintf(stderr,
					"hugepool: nr %ld, surplus %ld, overcommit %ld; "
					"before the test %ld, %ld and %ld\n",
					now.nr, now.surplus, now.overcommit, before->nr,
					before->surplus, before->overcommit);
				same = false;
				break;
			}
		}
		record->changed[pool] = record->changed_overcommit[pool] = false;
	}
	return same;
}

static void guard(int owner)
{
	struct pollfd wait = {owner, POLLIN, 0};

	setsid();
	for (int s = 1; s < 32; s++)
		if (s != SIGKILL && s != SIGSTOP)
			signal(s, SIG_IGN);
	if (owner > 0)
		syscall(SYS_close_range, 0, owner - 1, 0);
	syscall(SYS_close_range, owner + 1, ~0u, 0);
	while (poll(&wait, 1, -1) < 0) {
	}
	put_back();
	_exit(0);
}

static void at_exit(void)
{
	if (!record || record->owner != getpid())
		return;
	hugepool_restore();
	if (record->guardian > 0) {
		kill(record->guardian, SIGKILL);
		waitpid(record->guardian, NULL, 0);
	}
}

void hugepool_open(void)
{
	int owner;
	pid_t child;

	record = mmap(NULL, sizeof(*record), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (record == MAP_FAILED) {
		perror("hugepool");
		exit(99);
	}
	record->owner = getpid();
	record->offline = -1;
	for (int pool = 0; pool < POOLS; pool++)
		hugepool_read(pool, &record->before[pool]);
	atexit(at_exit);
	if (!hugepool_may_change())
		return;
	owner = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (owner < 0)
		return; /* before Linux 5.3: at exit only */
	fflush(NULL);
	child = fork();
	if (!child)
		guard(owner);
	record->guardian = child;
	close(owner);
	/* What somebody allowed beyond a pool would be no end of it. */
	for (int pool = 0; pool < POOLS; pool++)
		if (record->before[pool].overcommit > 0)
			hugepool_set_overcommit(pool, 0);
}

pid_t hugepool_guardian(void)
{
	return record ? record->guardian : 0;
}

bool hugepool_set_usable(int pool, long pages)
{
	struct pool_state now;
	double end = probe_ms() + GROWTH_MS;
	unsigned int tries = 0;

	if (hugepool_usable(pool) == pages)
		return true;
	if (!hugepool_may_change())
		return false;
	record->changed[pool] = true;
	/* Pages of processes that just ended may still be on their way. */
	do {
		hugepool_read(pool, &now);
		if (now.free - now.reserved == pages)
			return true;
		set(pool, "nr_hugepages",
		    now.nr - now.surplus + pages - (now.free - now.reserved));
		if (hugepool_usable(pool) == pages)
			return true;
		/* Free memory may be in pieces. */
		if (hugepool_usable(pool) < pages && !tries++)
			probe_write("/proc/sys/vm/compact_memory", 1);
		probe_sleep_ms(20);
	} while (probe_ms() < end);
	return false;
}

bool hugepool_add_run(void)
{
	long giga = hugepool_value(POOL_1G, "nr_hugepages");
	long before = hugepool_value(POOL_2M, "nr_hugepages");

	if (giga < 0 || !hugepool_may_change())
		return false;
	record->changed[POOL_1G] = record->changed[POOL_2M] = true;
	set(POOL_1G, "nr_hugepages", giga + 1);
	/* Else it would be one of those that were there. */
	if (hugepool_value(POOL_1G, "nr_hugepages") == giga + 1)
		set(POOL_1G, "demote", 1);
	set(POOL_1G, "nr_hugepages", giga);
	return hugepool_value(POOL_2M, "nr_hugepages") == before + 512;
}

bool hugepool_set_overcommit(int pool, long pages)
{
	if (hugepool_value(pool, "nr_overcommit_hugepages") == pages)
		return true;
	if (!hugepool_may_change())
		return false;
	record->changed_overcommit[pool] = true;
	return !set(pool, "nr_overcommit_hugepages", pages);
}

bool hugepool_becomes(int pool, const struct pool_state *want)
{
	struct pool_state now;

	for (double end = probe_ms() + PATIENCE_MS;; probe_sleep_ms(2)) {
		hugepool_read(pool, &now);
		if (now.nr == want->nr && now.overcommit == want->overcommit &&
		    now.surplus == want->surplus && now.free == want->free &&
		    now.reserved == want->reserved)
			return true;
		if (probe_ms() > end)
			break;
	}
	fprintf(stderr,
		"hugepool: nr %ld overcommit %ld surplus %ld free %ld reserved %ld; "
		"expected %ld %ld %ld %ld %ld\n",
		now.nr, now.overcommit, now.surplus, now.free, now.reserved, want->nr,
		want->overcommit, want->surplus, want->free, want->reserved);
	return false;
}

bool hugepool_usable_becomes(int pool, long pages)
{
	for (double end = probe_ms() + PATIENCE_MS; probe_ms() < end; probe_sleep_ms(2))
		if (hugepool_usable(pool) == pages)
			return true;
	return hugepool_usable(pool) == pages;
}

int memory_block_set(long block, const char *state)
{
	char path[96];
	int err;

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%ld/state", block);
	if (!strcmp(state, "offline"))
		record->offline = block;
	err = probe_write_text(path, state);
	/* Left alone when it failed, or back again. */
	if (!strcmp(state, "offline") == !!err)
		record->offline = -1;
	return err;
}
