/* SPDX-License-Identifier: BSD-2-Clause */
#include "ram.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUPERPAGE (UINT64_C(2) << 20)
#define GIGAPAGE (UINT64_C(1) << 30)
#define RANGES_MAX 256

struct range {
	uint64_t start, end;
};

struct ram {
	size_t n;
	struct range ranges[RANGES_MAX]; /* whole superpages, ascending */
	uint64_t end;
};

static void add(struct ram *ram, uint64_t start, uint64_t end)
{
	if (end > ram->end)
		ram->end = end;
	start = (start + SUPERPAGE - 1) / SUPERPAGE * SUPERPAGE;
	end = end / SUPERPAGE * SUPERPAGE;
	if (start >= end || ram->n == RANGES_MAX)
		return;
	if (ram->n && ram->ranges[ram->n - 1].end == start)
		ram->ranges[ram->n - 1].end = end;
	else
		ram->ranges[ram->n++] = (struct range){start, end};
}

/* Lines "00100000-bfffffff : System RAM"; all zero to the unprivileged. */
static void read_iomem(struct ram *ram)
{
	FILE *in = fopen("/proc/iomem", "re");
	uint64_t start, last;
	char line[256];

	if (!in)
		return;
	while (fgets(line, sizeof(line), in))
		if (line[0] != ' ' && strstr(line, ": System RAM") &&
		    sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &last) == 2 && last)
			add(ram, start, last + 1);
	fclose(in);
}

struct zone {
	uint64_t spanned, managed, start, protection;
};

/* A zone of which the kernel reserves more than there is against requests
 * that could be served from above never gives user memory: lowmem_reserve,
 * in practice zone DMA. */
static bool zone_is_reserved(const struct zone *zone)
{
	return zone->protection >= zone->managed;
}

static uint64_t largest(const char *list)
{
	uint64_t most = 0, n;
	char *end;

	while (*list) {
		n = strtoull(list, &end, 10);
		if (end == list) {
			list++;
			continue;
		}
		most = n > most ? n : most;
		list = end;
	}
	return most;
}

/* fn sees every populated zone. */
static void each_zone(void (*fn)(const struct zone *zone, struct ram *ram), struct ram *ram)
{
	FILE *in = fopen("/proc/zoneinfo", "re");
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct zone zone = {0};
	char line[512], *at;

	if (!in)
		return;
	while (fgets(line, sizeof(line), in)) {
		if (!strncmp(line, "Node ", 5)) {
			zone = (struct zone){0};
		} else if (sscanf(line, " spanned %" SCNu64, &zone.spanned) == 1 ||
			   sscanf(line, " managed %" SCNu64, &zone.managed) == 1) {
			continue;
		} else if ((at = strstr(line, "protection: ("))) {
			zone.protection = largest(at);
		} else if (sscanf(line, " start_pfn: %" SCNu64, &zone.start) == 1 &&
			   zone.managed) {
			zone.start *= page;
			zone.spanned *= page;
			fn(&zone, ram);
		}
	}
	fclose(in);
}

static void add_zone(const struct zone *zone, struct ram *ram)
{
	add(ram, zone->start, zone->start + zone->spanned);
}

static void cut_reserved(const struct zone *zone, struct ram *ram)
{
	uint64_t start = zone->start, end = zone->start + zone->spanned;

	if (!zone_is_reserved(zone))
		return;
	/* A superpage that is partly in such a zone doesn't exist: zones begin
	 * and end at multiples of 2 MiB, save for the very first one. */
	for (size_t i = 0; i < ram->n; i++) {
		struct range *range = &ram->ranges[i];

		if (range->start >= start && range->start < end)
			range->start = range->end < end ? range->end : end;
	}
}

static const struct ram *ram_get(void)
{
	static struct ram ram;

	if (!ram.end) {
		read_iomem(&ram);
		if (!ram.end)
			each_zone(add_zone, &ram);
		each_zone(cut_reserved, &ram);
	}
	return &ram;
}

static uint64_t round_page(uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

/* The lowest place in [start, end) that alignment and boundary allow. */
static bool fits(uint64_t start, uint64_t end, uint64_t size, uint64_t alignment,
		 uint64_t boundary)
{
	/* Twice at most: after the step over a boundary no other is crossed. */
	for (int i = 0; i < 3; i++) {
		uint64_t rest = start % alignment;

		if (rest && __builtin_add_overflow(start, alignment - rest, &start))
			return false;
		if (start > end || end - start < size)
			return false;
		if (!boundary || start / boundary == (start + size - 1) / boundary)
			return true;
		start = (start / boundary + 1) * boundary;
	}
	return false;
}

const char *ram_impossible(const struct frames_constraint *want)
{
	const struct ram *ram = ram_get();
	uint64_t size = round_page(want->size), page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t alignment = want->alignment > page ? want->alignment : page;
	bool window = false;

	if (want->boundary && want->boundary < size)
		return "the boundary is smaller than the block";
	if (want->low >= want->high)
		return "low is not below high";
	if (want->high - want->low < size)
		return "the window is smaller than the block";
	for (size_t i = 0; i < ram->n; i++) {
		uint64_t start = ram->ranges[i].start, end = ram->ranges[i].end;

		if (start < want->low)
			start = want->low;
		if (end > want->high)
			end = want->high;
		window |= start < end;
		if (start < end && fits(start, end, size, alignment, want->boundary))
			return NULL;
	}
	return window ? "no piece of RAM in the window is large enough"
		      : "the window holds no superpage of RAM for user memory";
}

bool ram_any_superpage_does(const struct frames_constraint *want)
{
	uint64_t size = round_page(want->size);

	return want->high >= ram_get()->end && !want->low && size <= SUPERPAGE &&
	       want->alignment <= SUPERPAGE && (!want->boundary || want->boundary >= size);
}

bool ram_made_to_order(const struct frames_constraint *want)
{
	const struct ram *ram = ram_get();

	for (size_t i = 0; i < ram->n; i++) {
		uint64_t start = ram->ranges[i].start, end = ram->ranges[i].end;

		if (start < want->low)
			start = want->low;
		if (end > want->high)
			end = want->high;
		if (start < end && fits(start, end, GIGAPAGE, GIGAPAGE, 0))
			return true;
	}
	return false;
}
