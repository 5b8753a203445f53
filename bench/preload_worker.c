/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What bench_preload runs under each allocator: a program of malloc alone,
 * linked with nothing of ours.  Prints one number.
 *
 *	preload_worker chase MIB           ns a step through a random cycle
 *	preload_worker pairs BYTES N       ns a malloc + free, N threads, by thread
 *	preload_worker fork MIB            ms of fork() with so large a heap
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEPS	    4000000u
#define LINE	    256 /* apart: what no neighbour brings into the cache */
#define THREADS_MAX 8
#define LIVE	    32 /* blocks of a thread at a time */
#define FORKS	    5
#define BLOCK	    (4ul << 20)

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *must(void *p)
{
	if (!p) {
		perror("preload_worker");
		exit(1);
	}
	return p;
}

static char **blocks;

static void *place(uint32_t line)
{
	size_t at = (size_t)line * LINE;

	return blocks[at / BLOCK] + at % BLOCK;
}

/* Each line holds the address of the next: one cycle through all (Sattolo). */
static void chase(size_t bytes)
{
	size_t n = bytes / LINE;
	uint32_t *order = must(malloc(n * sizeof(*order)));
	uint64_t state = 88172645463325252u, start;
	void **at;

	blocks = must(calloc(bytes / BLOCK, sizeof(*blocks)));
	for (size_t i = 0; i < bytes / BLOCK; i++)
		blocks[i] = must(malloc(BLOCK));
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = n - 1; i; i--) {
		size_t j = random_next(&state) % i;
		uint32_t swap = order[i];

		order[i] = order[j];
		order[j] = swap;
	}
	for (size_t i = 0; i < n; i++)
		*(void **)place(order[i]) = place(order[(i + 1) % n]);
	free(order);
	at = place(0);
	for (size_t i = 0; i < STEPS / 10; i++)
		at = *at;
	start = now_ns();
	for (size_t i = 0; i < STEPS; i++)
		at = *at;
	printf("%.3f\n", (double)(now_ns() - start) / STEPS + (at ? 0 : 1));
}

struct pairs {
	pthread_t thread;
	size_t bytes, count;
	int cpu;
	double ns;
};

static pthread_barrier_t all_ready;

static void pairs_of(const struct pairs *p, size_t count)
{
	void *live[LIVE] = {NULL};

	for (size_t i = 0; i < count; i++) {
		void **slot = &live[i % LIVE];

		free(*slot);
		*slot = must(malloc(p->bytes));
		*(volatile char *)*slot = 1;
	}
	for (int i = 0; i < LIVE; i++)
		free(live[i]);
}

static void *pairs_thread(void *arg)
{
	struct pairs *p = arg;
	cpu_set_t set;
	uint64_t start;

	CPU_ZERO(&set);
	CPU_SET((unsigned int)p->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	pairs_of(p, p->count / 10);
	pthread_barrier_wait(&all_ready);
	start = now_ns();
	pairs_of(p, p->count);
	p->ns = (double)(now_ns() - start) / (double)p->count;
	return NULL;
}

static void pairs(size_t bytes, int n)
{
	struct pairs p[THREADS_MAX] = {0};
	double sum = 0;
	cpu_set_t set;
	int cpu = -1;

	if (n < 1 || n > THREADS_MAX)
		exit(1);
	sched_getaffinity(0, sizeof(set), &set);
	pthread_barrier_init(&all_ready, NULL, (unsigned int)n);
	for (int i = 0; i < n; i++) {
		do
			cpu = (cpu + 1) % CPU_SETSIZE;
		while (!CPU_ISSET((unsigned int)cpu, &set));
		p[i].bytes = bytes;
		p[i].count = bytes > 4096 ? 1000000 : 10000000;
		p[i].cpu = cpu;
		if (pthread_create(&p[i].thread, NULL, pairs_thread, &p[i]))
			exit(1);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(p[i].thread, NULL);
		sum += p[i].ns;
	}
	printf("%.3f\n", sum / n);
}

static void forks(size_t bytes)
{
	double least = 1e18;

	for (size_t at = 0; at < bytes; at += BLOCK)
		memset(must(malloc(BLOCK)), 1, BLOCK);
	for (int i = 0; i < FORKS; i++) {
		uint64_t start = now_ns();
		pid_t pid = fork();
		double ms = (double)(now_ns() - start) / 1e6;

		if (pid < 0) {
			perror("fork");
			exit(1);
		}
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
		if (ms < least)
			least = ms;
		/* The child's superpages come back late. */
		usleep(100000);
	}
	printf("%.3f\n", least);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "chase"))
		chase(strtoul(argv[2], NULL, 0) << 20);
	else if (argc == 3 && !strcmp(argv[1], "fork"))
		forks(strtoul(argv[2], NULL, 0) << 20);
	else if (argc == 4 && !strcmp(argv[1], "pairs"))
		pairs(strtoul(argv[2], NULL, 0), atoi(argv[3]));
	else
		return 2;
	return 0;
}
