/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A machine of several nodes as a test sees it, without the library, and ways
 * to empty a node.
 */
#ifndef TESTS_LAB_NODE_H
#define TESTS_LAB_NODE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NODES 2
#define MOST 512 /* superpages of a node's pool */
#define ANY (~(vm_paddr_t)0)

/* By move_pages(2), and by the memory blocks that /sys lists. */
int node_by_kernel(const void *va);
int node_by_block(uint64_t pa);

/* A field of a node's pool of 2 MiB pages. */
long pool_of(int node, const char *field);
void run_on(int node);
long bind_range(void *va, size_t len, int mode, int node);

/* Everything of a node's pool that is free; -1 for both nodes. */
void eat_pools(int node);
/* Ordinary memory of a node until nobody can collapse a superpage there. */
void eat_memory(int node);
/* A child that eats and then waits; it is the first that a lack of memory
 * would kill, and let_go() fails when it was. */
pid_t hold(void (*eat)(int node), int node);
void let_go(pid_t child);

/* That a block lies on its node as a whole, and that the library knows. */
void lies_on(void *va, size_t len, int node, const char *what);

#endif
