/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_STAY_ON_NODE_H
#define TESTS_STAY_ON_NODE_H

#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * On a machine of several nodes: this thread, and those it starts, run on the
 * processors of the node that it runs on now.  Memory of that is preferred, and
 * what is counted would depend on whether the scheduler moved it meanwhile.
 * *before: where it might run; empty where nothing was changed.
 */
static inline void stay_on_node(cpu_set_t *before)
{
	unsigned int node = 0;
	cpu_set_t all, here;

	CPU_ZERO(before);
	CPU_ZERO(&here);
	if (access("/sys/devices/system/node/node1", F_OK) ||
	    sched_getaffinity(0, sizeof(all), &all) || syscall(SYS_getcpu, NULL, &node, NULL))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		char path[96];

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpu%d", node, cpu);
		if (CPU_ISSET(cpu, &all) && !access(path, F_OK))
			CPU_SET(cpu, &here);
	}
	if (CPU_COUNT(&here) && !sched_setaffinity(0, sizeof(here), &here))
		*before = all;
}

#endif
