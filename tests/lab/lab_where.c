/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that knows nothing of libcontig: takes memory in all the usual
 * ways and asks the kernel, move_pages(2), on which node each page lies.
 * Usage: lab_where NODE.  Exit 0: all on that node; 1: not all, and says what
 * isn't; 2: memory was refused.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define MOST (16 * MIB / PAGE) /* pages looked at in one go */

static int wanted, elsewhere;

static void *some(void *p)
{
	if (p && p != MAP_FAILED)
		return p;
	puts("memory was refused");
	exit(2);
}

static void look(const char *what, char *p, size_t size)
{
	static void *page[MOST];
	static int node[MOST];
	char *first = (char *)((size_t)p / PAGE * PAGE);
	size_t pages = 0, there = 0;

	memset(p, 1, size);
	for (char *at = first; at < p + size; at += PAGE)
		page[pages++] = at;
	if (syscall(SYS_move_pages, 0, pages, page, NULL, node, 0))
		perror("move_pages");
	for (size_t i = 0; i < pages; i++)
		there += node[i] == wanted;
	if (there == pages)
		return;
	printf("%s of %zu bytes: %zu of %zu pages are on node %d\n", what, size, there, pages,
	       wanted);
	elsewhere = 1;
}

static void *in_thread(void *arg)
{
	for (size_t size = 64 * KIB; size <= MIB; size *= 2) {
		char *p = some(malloc(size));

		look("a thread's block", p, size);
		free(p);
	}
	return arg;
}

static char *map(size_t size)
{
	return some(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

int main(int argc, char **argv)
{
	enum { SMALL = 20000 };
	static char *small[SMALL];
	char *p = NULL, *aligned = NULL;
	pthread_t thread;

	if (argc != 2)
		return 3;
	wanted = atoi(argv[1]);
	for (size_t size = 64 * KIB; size <= 8 * MIB; size = size * 7 / 4) {
		p = some(realloc(p, size));
		look("a growing block", p, size);
		look("a block", some(malloc(size)), size);
		look("a block of zeros", some(calloc(1, size)), size);
	}
	if (posix_memalign((void **)&aligned, PAGE, 3 * PAGE))
		some(NULL);
	look("an aligned block", aligned, 3 * PAGE);
	for (size_t i = 0; i < SMALL; i++)
		small[i] = some(malloc(100));
	/* The first half MiB is not promised anything. */
	for (size_t i = SMALL / 2; i < SMALL; i += 10)
		look("a small block", small[i], 100);
	for (size_t size = 64 * KIB; size <= 8 * MIB; size *= 2)
		look("a mapping", map(size), size);
	p = map(128 * KIB);
	p = some(mremap(p, 128 * KIB, 3 * MIB, MREMAP_MAYMOVE));
	look("a grown mapping", p, 3 * MIB);
	if (pthread_create(&thread, NULL, in_thread, NULL) || pthread_join(thread, NULL))
		return 3;
	return elsewhere;
}
