/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process whose memory has a known layout, for the tests of "contig map":
 *
 *	layout PART...
 *
 * makes each part, prints "PART START LENGTH" (or "PART none: why"), then
 * "ready", and waits for its input to end.  Parts:
 *
 *	small=N		N base pages, each touched, no superpages
 *	sparse=N	N base pages of which every other one is touched
 *	thp=N		N superpages, collapsed
 *	hugetlb=N	N superpages of the pool
 *	many=N		N mappings of one superpage of the pool each, of one file
 *	zero=N		N base pages that were only read
 *	hugezero=N	N superpages that were only read, and one that was written
 *	none=N		N bytes of PROT_NONE (1T may be written)
 *	hole=N		N bytes of which the first page is touched
 *	swapped=N	N base pages, written and swapped out
 *	churn		a thread that maps and unmaps until the end
 *	exec=N		after N ms another program; exit=N: the end
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define SUPERPAGE (2ul << 20)

static size_t page;

static void say(const char *part, const void *p, size_t len)
{
	printf("%s 0x%lx %zu\n", part, (unsigned long)p, len);
}

static void none(const char *part)
{
	printf("%s none: %s\n", part, strerror(errno));
}

/* Memory that no neighbour merges with: a page of PROT_NONE on both sides. */
static char *map_alone(size_t len, size_t align)
{
	size_t span = len + align + 2 * page;
	char *p = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	p = (char *)(((uintptr_t)p + page + align - 1) / align * align);
	return mprotect(p, len, PROT_READ | PROT_WRITE) ? NULL : p;
}

static void make_small(const char *part, size_t n, size_t step)
{
	char *p = map_alone(n * page, page);

	if (!p || madvise(p, n * page, MADV_NOHUGEPAGE)) {
		none(part);
		return;
	}
	for (size_t i = 0; i < n; i += step)
		p[i * page] = 1;
	say(part, p, n * page);
}

static void make_thp(size_t n)
{
	char *p = map_alone(n * SUPERPAGE, SUPERPAGE);

	for (size_t i = 0; p && i < n * SUPERPAGE; i += page)
		p[i] = 1;
	if (!p || madvise(p, n * SUPERPAGE, MADV_COLLAPSE))
		none("thp");
	else
		say("thp", p, n * SUPERPAGE);
}

static void make_hugetlb(size_t n)
{
	char *p = mmap(NULL, n * SUPERPAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << 26), -1, 0);

	if (p == MAP_FAILED) {
		none("hugetlb");
		return;
	}
	for (size_t i = 0; i < n; i++)
		p[i * SUPERPAGE] = 1;
	say("hugetlb", p, n * SUPERPAGE);
}

static void make_many(size_t n)
{
	int fd = memfd_create("layout", MFD_CLOEXEC | MFD_HUGETLB | (21u << 26));
	char *p = map_alone(n * SUPERPAGE, SUPERPAGE);

	if (fd < 0 || !p || ftruncate(fd, (off_t)(n * SUPERPAGE))) {
		none("many");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		char *at = p + i * SUPERPAGE;

		if (mmap(at, SUPERPAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 (off_t)(i * SUPERPAGE)) == MAP_FAILED) {
			none("many");
			return;
		}
		*at = 1;
	}
	say("many", p, n * SUPERPAGE);
}

static void make_zero(size_t n)
{
	volatile char *p = (volatile char *)map_alone(n * page, page);

	if (!p || madvise((void *)(uintptr_t)p, n * page, MADV_NOHUGEPAGE)) {
		none("zero");
		return;
	}
	for (size_t i = 0; i < n; i++)
		(void)p[i * page];
	say("zero", (const void *)(uintptr_t)p, n * page);
}

static void make_hugezero(size_t n)
{
	char *p = map_alone((n + 1) * SUPERPAGE, SUPERPAGE);

	if (!p || madvise(p, (n + 1) * SUPERPAGE, MADV_HUGEPAGE)) {
		none("hugezero");
		return;
	}
	for (size_t i = 0; i < n; i++)
		(void)*(volatile char *)(p + i * SUPERPAGE);
	p[n * SUPERPAGE] = 1;
	say("hugezero", p, (n + 1) * SUPERPAGE);
}

static void make_swapped(size_t n)
{
	char *p = map_alone(n * page, page);

	if (!p || madvise(p, n * page, MADV_NOHUGEPAGE)) {
		none("swapped");
		return;
	}
	for (size_t i = 0; i < n; i++)
		memset(p + i * page, (int)(i % 255 + 1), page);
	if (madvise(p, n * page, MADV_PAGEOUT))
		none("swapped");
	else
		say("swapped", p, n * page);
}

static void make_none(const char *part, const char *size, int protection)
{
	char *end;
	size_t len = strtoull(size, &end, 0);
	void *p;

	for (const char *unit = "KMGT"; *end && *unit; unit++) {
		len *= 1024;
		if (*unit == *end)
			break;
	}
	p = mmap(NULL, len, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED) {
		none(part);
		return;
	}
	if (protection != PROT_NONE)
		*(char *)p = 1;
	say(part, p, len);
}

static void *churn(void *arg)
{
	for (;;) {
		char *p = mmap(NULL, 64 * page, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			continue;
		for (size_t i = 0; i < 64; i++)
			p[i * page] = 1;
		munmap(p, 64 * page);
	}
	return arg;
}

static void *leave(void *arg)
{
	const char *word = arg;
	long ms = atol(strchr(word, '=') + 1);
	struct timespec wait = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&wait, NULL);
	if (word[1] == 'x' && word[2] == 'e')
		execl("/bin/cat", "cat", (char *)NULL); /* until its input ends */
	_exit(0);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char byte;

	page = (size_t)sysconf(_SC_PAGESIZE);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 1; i < argc; i++) {
		const char *value = strchr(argv[i], '=');
		size_t n = value ? strtoul(++value, NULL, 0) : 0;
		size_t len = value ? (size_t)(value - argv[i]) - 1 : strlen(argv[i]);

		if (!strncmp(argv[i], "small", len))
			make_small("small", n, 1);
		else if (!strncmp(argv[i], "sparse", len))
			make_small("sparse", n, 2);
		else if (!strncmp(argv[i], "thp", len))
			make_thp(n);
		else if (!strncmp(argv[i], "hugetlb", len))
			make_hugetlb(n);
		else if (!strncmp(argv[i], "many", len))
			make_many(n);
		else if (!strncmp(argv[i], "zero", len))
			make_zero(n);
		else if (!strncmp(argv[i], "hugezero", len))
			make_hugezero(n);
		else if (!strncmp(argv[i], "none", len))
			make_none("none", value, PROT_NONE);
		else if (!strncmp(argv[i], "hole", len))
			make_none("hole", value, PROT_READ | PROT_WRITE);
		else if (!strncmp(argv[i], "swapped", len))
			make_swapped(n);
		else if (!strncmp(argv[i], "churn", len))
			pthread_create(&thread, NULL, churn, NULL);
		else if (!strncmp(argv[i], "exec", len) || !strncmp(argv[i], "exit", len))
			pthread_create(&thread, NULL, leave, argv[i]);
		else
			return 2;
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
