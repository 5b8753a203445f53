/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that is given rights as it starts, or isn't: tells whether the
 * kernel thinks so, whether the shim is in it and serves it, and does some
 * work whose result must always be the same.  Knows nothing of libcontig.
 */
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static int is_shim(struct dl_phdr_info *info, size_t size, void *found)
{
	(void)size;
	if (strstr(info->dlpi_name, "libcontig-preload.so"))
		*(bool *)found = true;
	return 0;
}

/* KiB, of all fields that begin so. */
static long status_kib(const char *const *fields)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kib = 0;

	while (f && fgets(line, sizeof(line), f))
		for (const char *const *field = fields; *field; field++)
			if (!strncmp(line, *field, strlen(*field)))
				kib += strtol(line + strlen(*field), NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

static uint64_t digest(uint64_t so_far, const unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len; i += 61)
		so_far = so_far * UINT64_C(1099511628211) + p[i];
	return so_far;
}

static uint64_t work(void)
{
	static unsigned char *block[64];
	uint64_t sum = 7;
	unsigned char *map;

	for (unsigned int i = 0; i < 64; i++) {
		size_t size = (size_t)(i % 9 + 1) * 20000;

		block[i] = i % 3 ? malloc(size) : calloc(1, size);
		if (!block[i])
			return 1;
		if (i % 3)
			memset(block[i], (int)i, size);
		block[i] = realloc(block[i], size + 5000);
		if (!block[i])
			return 2;
		sum = digest(sum, block[i], size);
	}
	map = mmap(NULL, 3 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return 3;
	memset(map, 5, 3 * MIB);
	if (madvise(map + MIB, MIB, MADV_DONTNEED) || munmap(map + 2 * MIB, MIB) ||
	    mprotect(map, 4096, PROT_READ))
		return 4;
	sum = digest(sum, map, 2 * MIB);
	for (unsigned int i = 0; i < 64; i += 2)
		free(block[i]);
	return sum;
}

/* The same in a child. */
static uint64_t work_forked(void)
{
	uint64_t sum = 0;
	int fds[2];
	pid_t pid;

	if (pipe(fds))
		return 1;
	pid = fork();
	if (!pid) {
		sum = work();
		_exit(write(fds[1], &sum, sizeof(sum)) != sizeof(sum));
	}
	if (pid < 0 || read(fds[0], &sum, sizeof(sum)) != sizeof(sum))
		return 2;
	waitpid(pid, NULL, 0);
	return sum;
}

int main(void)
{
	static const char *const held[] = {"VmPin:", "HugetlbPages:", "VmLck:", NULL};
	const char *passed = getenv("LD_PRELOAD");
	bool there = false;
	void *p = malloc(3 * MIB);
	uint64_t sum = work(), forked = work_forked();

	dl_iterate_phdr(is_shim, &there);
	/* The next size of this malloc, whoever's it is. */
	printf("secure %d, shim %d, usable %zu, held %ld, passed on %d\n", !!getauxval(AT_SECURE),
	       there, malloc_usable_size(p), status_kib(held), passed && *passed);
	printf("work %016llx, forked %016llx\n", (unsigned long long)sum,
	       (unsigned long long)forked);
	free(p);
	return 3;
}
