/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/growth.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/hugetlb.h"
#include "host/pageflags.h"
#include "phys/machine.h"
#include "phys/reach.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GIGA_FRAMES (GIGAPAGE_SIZE >> FRAME_SHIFT)
#define GIGAS_MAX 65536 /* 64 TiB */

struct growth {
	struct hugetlb_guard *guard;
	uint64_t grown;  /* bytes added by all steps so far */
	bool compacted;
	bool denied;     /* why says what forbids all growth */
	unsigned char *before; /* per GiB: a 1 GiB page was there */
	char why[128];
};

static const char *const way_names[GROWTH_WAYS] = {
	"grown 2M pool", "1G pages demoted", "grown 1G pool",
};

const char *contig_growth_name(enum growth_way way)
{
	return way_names[way];
}

enum contig_source contig_growth_source(enum growth_way way)
{
	return way == GROWTH_1G ? CONTIG_SOURCE_1G : CONTIG_SOURCE_2M;
}

const char *contig_growth_why(const struct growth *growth)
{
	return growth->why[0] ? growth->why : "no memory of that kind";
}

bool contig_growth_denied(const struct growth *growth)
{
	return growth->denied;
}

struct growth *contig_growth_start(void)
{
	struct growth *growth = calloc(1, sizeof(*growth));

	if (!growth)
		return NULL;
	growth->guard = contig_hugetlb_guard_start();
	if (!growth->guard) {
		contig_reason_set("no guard process: %s", strerror(errno));
		free(growth);
		return NULL;
	}
	return growth;
}

static int kernel_node(const struct frame_request *request)
{
	return request->node >= 0 && request->strict ? contig_machine.nodes[request->node]
						     : HUGETLB_ALL_NODES;
}

/* The last obstacle counts, unless one before it forbids all growth: with a
 * read-only /sys it doesn't matter where whole GiB lie. */
__attribute__((format(printf, 2, 3))) static void because(struct growth *growth,
							   const char *format, ...)
{
	va_list ap;

	if (growth->denied)
		return;
	va_start(ap, format);
	vsnprintf(growth->why, sizeof(growth->why), format, ap);
	va_end(ap);
}

/* Make the pool larger by up to pages; how many the kernel gave. */
static uint64_t raise_pool(struct growth *growth, uint64_t size, int node, uint64_t pages)
{
	struct hugetlb_counts counts;
	uint64_t got = 0;
	int err = contig_hugetlb_counts(size, node, &counts);

	if (!err)
		err = contig_hugetlb_guard_raise(growth->guard, size, node,
						 counts.total + pages, &got);
	if (err) {
		because(growth, "%s", contig_reason_get());
		growth->denied = err == -EROFS || err == -EACCES || err == -EPERM;
		return 0;
	}
	if (got <= counts.total) {
		because(growth, "the kernel has no %llu MiB page left to give",
			(unsigned long long)(size >> 20));
		return 0;
	}
	contig_debug(RECLAIM, "%llu MiB pool raised by %llu for a moment",
		     (unsigned long long)(size >> 20), (unsigned long long)(got - counts.total));
	return got - counts.total;
}

/* Doubling from what the request needs, until most is held. */
static bool grow_2m(struct growth *growth, const struct frame_request *request, uint64_t most)
{
	int node = kernel_node(request);
	uint64_t pages = (request->run.count + SUPERPAGE_FRAMES - 1) / SUPERPAGE_FRAMES;

	if (!growth->grown && !contig_reach_zones(request, most)) {
		because(growth, "the kernel gives memory above the window first");
		return false;
	}
	if (!growth->compacted) {
		contig_hugetlb_compact(node);
		growth->compacted = true;
	}
	if (growth->grown)
		pages = growth->grown >> SUPERPAGE_SHIFT;
	if (growth->grown + (pages << SUPERPAGE_SHIFT) > most)
		pages = growth->grown < most ? (most - growth->grown) >> SUPERPAGE_SHIFT : 0;
	if (!pages)
		return false;
	pages = raise_pool(growth, SUPERPAGE_SIZE, node, pages);
	growth->grown += pages << SUPERPAGE_SHIFT;
	return pages > 0;
}

static bool has_giga(void)
{
	uint64_t sizes[16];
	int n = contig_hugetlb_sizes(sizes, 16);

	for (int i = 0; i < n; i++)
		if (sizes[i] == GIGAPAGE_SIZE)
			return true;
	return false;
}

static uint64_t n_gigas(void)
{
	uint64_t n = contig_machine.end >> GIGAPAGE_SHIFT;

	return n < GIGAS_MAX ? n : GIGAS_MAX;
}

/* Where 1 GiB pages lie now.  0, or -errno where kpageflags can't be read. */
static int note_gigas(struct growth *growth)
{
	int fd = contig_pageflags_open(), yes = fd;

	if (fd < 0)
		return fd;
	if (!growth->before)
		growth->before = calloc(n_gigas() + 1, 1);
	for (uint64_t i = 0; growth->before && i < n_gigas() && yes >= 0; i++) {
		yes = contig_pageflags_is_hugetlb(fd, i * GIGA_FRAMES, GIGAPAGE_SIZE);
		growth->before[i] = yes > 0;
	}
	close(fd);
	return !growth->before ? -ENOMEM : yes < 0 ? yes : 0;
}

/* Whether a 1 GiB page that was not there before can hold the run.  Without
 * kpageflags nobody can tell but by trying: true. */
static bool new_giga_fits(struct growth *growth, const struct frame_request *request)
{
	int fd = growth->before ? contig_pageflags_open() : -1;
	bool fits = false;

	if (fd < 0)
		return true;
	for (uint64_t i = 0; i < n_gigas() && !fits; i++)
		fits = !growth->before[i] &&
		       contig_pageflags_is_hugetlb(fd, i * GIGA_FRAMES, GIGAPAGE_SIZE) > 0 &&
		       contig_reach_in_giga(request, i * GIGA_FRAMES);
	close(fd);
	return fits;
}

/* Raise the pool of 1 GiB pages until a new one lies well: the pages that
 * don't are neither demoted nor zeroed.  The last one raised is the first on
 * the kernel's list, so it is the one that a demotion takes. */
static bool raise_until_fits(struct growth *growth, const struct frame_request *request,
			     uint64_t most, int node)
{
	while (growth->grown + GIGAPAGE_SIZE <= most) {
		if (note_gigas(growth) < 0) {
			free(growth->before);
			growth->before = NULL;
		}
		if (!raise_pool(growth, GIGAPAGE_SIZE, node, 1))
			return false;
		growth->grown += GIGAPAGE_SIZE;
		if (new_giga_fits(growth, request))
			return true;
		because(growth, "%llu GiB of 1 GiB pages, none in the window",
			 (unsigned long long)(growth->grown >> GIGAPAGE_SHIFT));
	}
	if (!growth->grown)
		because(growth, "a 1 GiB page is beyond the budget");
	return false;
}

static bool grow_1g(struct growth *growth, const struct frame_request *request, uint64_t most,
		    bool demote)
{
	int node = kernel_node(request);
	int err;

	if (!has_giga()) {
		because(growth, "no 1 GiB pages on this machine");
		return false;
	}
	/* What a demoted page can't hold is for the way that keeps it whole;
	 * that one also serves where 2 MiB pages may not be used. */
	if (demote && request->run.count > GIGA_FRAMES)
		return false;
	if (!contig_reach_giga(request)) {
		because(growth, "no whole GiB of RAM lies in the window");
		return false;
	}
	if (!raise_until_fits(growth, request, most, node))
		return false;
	if (!demote)
		return true;
	err = contig_hugetlb_guard_demote(growth->guard, GIGAPAGE_SIZE, node, 1);
	if (err)
		because(growth, "demotion: %s", strerror(-err));
	return !err;
}

bool contig_growth_step(struct growth *growth, enum growth_way way,
			const struct frame_request *request, uint64_t most)
{
	if (way == GROWTH_2M)
		return grow_2m(growth, request, most);
	return grow_1g(growth, request, most, way == GROWTH_DEMOTE);
}

void contig_growth_stop(struct growth *growth)
{
	contig_hugetlb_guard_stop(growth->guard);
	free(growth->before);
	free(growth);
}
