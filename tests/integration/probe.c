/* SPDX-License-Identifier: BSD-2-Clause */
#include "probe.h"

#include "hugepool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES 512

/* A descriptor shows the process that opened it: one a process, and one a
 * thread so that there is nothing to lock. */
static __thread int pagemap_fd = -1;
static __thread pid_t opener;

void probe_forget(void)
{
	pagemap_fd = -1;
}

static int pagemap(void)
{
	/* A program under test may have closed it (closefrom). */
	if (pagemap_fd < 0 || opener != getpid() || fcntl(pagemap_fd, F_GETFD) < 0) {
		pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		opener = getpid();
	}
	return pagemap_fd;
}

static uint64_t decode(uint64_t entry)
{
	if (!(entry >> 63))
		return ADDRESS_ABSENT;
	entry &= (UINT64_C(1) << 55) - 1;
	return entry ? entry * PAGE : ADDRESS_HIDDEN;
}

uint64_t probe_address(const void *va)
{
	uint64_t entry, address;

	if (pread(pagemap(), &entry, sizeof(entry), (off_t)((uintptr_t)va / PAGE * 8)) !=
	    sizeof(entry))
		return ADDRESS_ABSENT;
	address = decode(entry);
	return address >= ADDRESS_HIDDEN ? address : address + (uintptr_t)va % PAGE;
}

bool probe_sees(void)
{
	volatile char here = 1;

	return probe_address((const void *)&here) < ADDRESS_HIDDEN && here;
}

int probe_run(const void *va, size_t len, uint64_t *first)
{
	uint64_t entries[ENTRIES], expected = 0;
	size_t pages = ((uintptr_t)va % PAGE + len + PAGE - 1) / PAGE;

	for (size_t at = 0; at < pages;) {
		size_t n = pages - at < ENTRIES ? pages - at : ENTRIES;
		off_t offset = (off_t)(((uintptr_t)va / PAGE + at) * 8);

		if (pread(pagemap(), entries, n * 8, offset) != (ssize_t)(n * 8))
			return -2;
		for (size_t i = 0; i < n; i++, at++) {
			uint64_t address = decode(entries[i]);

			if (address >= ADDRESS_HIDDEN)
				return -2;
			if (!at) {
				*first = address + (uintptr_t)va % PAGE;
				expected = address;
			}
			if (address != expected)
				return -1;
			expected += PAGE;
		}
	}
	return 0;
}

long probe_number(const char *path)
{
	long value = -1;
	FILE *f = fopen(path, "re");

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

int probe_write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

int probe_write(const char *path, long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld\n", value);
	return probe_write_text(path, text);
}

static long field_of(const char *path, const char *field)
{
	size_t len = strlen(field);
	char line[256];
	long value = -1;
	FILE *f = fopen(path, "re");

	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, len) && line[len] == ':')
			value = strtol(line + len + 1, NULL, 10);
	fclose(f);
	return value;
}

long probe_meminfo(const char *field)
{
	return field_of("/proc/meminfo", field);
}

long probe_status(const char *field)
{
	return field_of("/proc/self/status", field);
}

size_t probe_ram(struct probe_range *out, size_t most)
{
	char line[256];
	size_t n = 0;
	FILE *f = fopen("/proc/iomem", "re");

	if (!f)
		return 0;
	while (n < most && fgets(line, sizeof(line), f)) {
		uint64_t start, last;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " : System RAM", &start, &last) ==
			2 &&
		    strstr(line, "System RAM") && last)
			out[n++] = (struct probe_range){start, last + 1};
	}
	fclose(f);
	return n;
}

uint64_t probe_top(void)
{
	uint64_t spanned = 0, start, top = 0;
	char line[256];
	FILE *f = fopen("/proc/zoneinfo", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, " spanned %" SCNu64, &spanned) == 1)
			continue;
		if (sscanf(line, " start_pfn: %" SCNu64, &start) == 1 && spanned &&
		    (start + spanned) * PAGE > top)
			top = (start + spanned) * PAGE;
	}
	if (f)
		fclose(f);
	return top;
}

double probe_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

void probe_sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

uint64_t probe_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static long block_bytes(void)
{
	char text[32] = "";
	int fd =
	    open("/sys/devices/system/memory/block_size_bytes", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? strtol(text, NULL, 16) : -1;
}

bool probe_can_attack(void)
{
	return block_bytes() > 0 &&
	       !access("/sys/devices/system/memory/memory1/state", W_OK);
}

static void on_alarm(int signal_number)
{
	(void)signal_number;
}

enum attack probe_attack(uint64_t address, long ms)
{
	struct sigaction action = {.sa_handler = on_alarm}, before;
	/* Again and again: one alarm could come before the write. */
	struct itimerval soon = {{0, 50000}, {ms / 1000, ms % 1000 * 1000}},
			 never = {{0, 0}, {0, 0}};
	long block = (long)(address / (uint64_t)block_bytes());
	int err;

	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &soon, NULL);
	err = memory_block_set(block, "offline");
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	if (err == -EINTR)
		return ATTACK_HELD;
	if (err)
		return ATTACK_UNTOLD;
	err = memory_block_set(block, "online");
	if (err) {
		fprintf(stderr, "memory block %ld doesn't come back: %s\n", block,
			strerror(-err));
		abort();
	}
	return ATTACK_MOVED;
}
