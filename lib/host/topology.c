/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/topology.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/root.h"
#include "host/zones.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct span {
	uint64_t start, end; /* bytes */
};

struct builder {
	struct host_topology *t;
	struct span spans[HOST_RAM_MAX]; /* memory, node not yet known */
	unsigned int n_spans;
	uint64_t cuts[2 * HOST_ZONES_MAX];
	unsigned int n_cuts;
	uint64_t block; /* bytes of a memory block; 0 unknown */
	bool no_blocks; /* too many pieces: leave overlaps unknown */
};

static _Atomic(const struct host_topology *) cached;
static atomic_uint cached_generation;
static pthread_mutex_t refresh_mutex = PTHREAD_MUTEX_INITIALIZER;

/* ---- memory without nodes ---- */

static int compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void join_spans(struct builder *b)
{
	unsigned int n = 0;

	qsort(b->spans, b->n_spans, sizeof(b->spans[0]), compare_spans);
	for (unsigned int i = 0; i < b->n_spans; i++) {
		struct span *s = &b->spans[i];

		if (n && s->start <= b->spans[n - 1].end) {
			if (s->end > b->spans[n - 1].end)
				b->spans[n - 1].end = s->end;
		} else {
			b->spans[n++] = *s;
		}
	}
	b->n_spans = n;
}

/*
 * "00100000-bfffffff : System RAM"; memory that came later has a driver in
 * brackets, "System RAM (kmem)", and may be a child of the device it is on.
 * 1: addresses are shown and spans filled; 0: hidden or no such file.
 */
static int read_iomem(struct builder *b)
{
	struct root_lines lines;
	int err = contig_root_lines_open(&lines, "/proc/iomem");
	char *line;

	if (err)
		return 0;
	b->n_spans = 0;
	while (!err && (line = contig_root_lines_next(&lines))) {
		char *p = line + strspn(line, " ");
		uint64_t start, end;

		if (!strstr(p, " : System RAM"))
			continue;
		if (contig_root_number(&p, 16, &start) || *p++ != '-' ||
		    contig_root_number(&p, 16, &end) ||
		    strncmp(p, " : System RAM", 13) || (p[13] && p[13] != ' ')) {
			err = -EINVAL;
			break;
		}
		if (!end)
			continue; /* hidden from this reader */
		if (end < start || end >= ZONES_FRAME_LIMIT << FRAME_SHIFT) {
			err = -EINVAL;
			break;
		}
		start = align_up(start, FRAME_SIZE);
		end = align_down(end + 1, FRAME_SIZE);
		if (start >= end)
			continue;
		if (b->n_spans == HOST_RAM_MAX)
			err = -E2BIG;
		else
			b->spans[b->n_spans++] = (struct span){start, end};
	}
	if (!err)
		err = lines.error;
	contig_root_lines_close(&lines);
	if (err) {
		contig_reason_set("/proc/iomem: not as the kernel writes it");
		return err;
	}
	join_spans(b);
	return b->n_spans > 0;
}

static void spans_from_zones(struct builder *b)
{
	b->n_spans = 0;
	for (unsigned int i = 0; i < b->t->n_zones; i++) {
		const struct host_zone *z = &b->t->zones[i];

		b->spans[b->n_spans++] = (struct span){
			z->start_frame << FRAME_SHIFT,
			(z->start_frame + z->spanned) << FRAME_SHIFT,
		};
	}
	join_spans(b);
}

/* ---- which node ---- */

/* One per node of the zones that cover this address; how many (at most max
 * are stored). */
static int nodes_over(const struct host_topology *t, uint64_t addr, int *nodes, int max)
{
	uint64_t frame = addr >> FRAME_SHIFT;
	int n = 0;

	for (unsigned int i = 0; i < t->n_zones; i++) {
		const struct host_zone *z = &t->zones[i];
		bool known = false;

		if (frame < z->start_frame || frame - z->start_frame >= z->spanned)
			continue;
		for (int j = 0; j < n && j < max; j++)
			known |= nodes[j] == z->node;
		if (known)
			continue;
		if (n < max)
			nodes[n] = z->node;
		n++;
	}
	return n < max ? n : max;
}

/* The node whose directory links this memory block; -1 when none does, or
 * more than one (a block that is shared between nodes). */
static int node_of_block(uint64_t block, const int *nodes, int n)
{
	int found = -1;

	for (int i = 0; i < n; i++) {
		char path[96];
		int fd;

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/memory%" PRIu64,
			 nodes[i], block);
		fd = contig_root_open(path, O_PATH | O_NOFOLLOW);
		if (fd < 0)
			continue;
		close(fd);
		if (found >= 0)
			return -1;
		found = nodes[i];
	}
	return found;
}

static int add_ram(struct host_topology *t, uint64_t start, uint64_t end, int node)
{
	struct host_ram *last = t->n_ram ? &t->ram[t->n_ram - 1] : NULL;

	if (last && last->end == start && last->node == node) {
		last->end = end;
		return 0;
	}
	if (t->n_ram == HOST_RAM_MAX)
		return -E2BIG;
	t->ram[t->n_ram++] = (struct host_ram){start, end, node};
	return 0;
}

/* A piece inside which the covering zones don't change. */
static int add_piece(struct builder *b, uint64_t start, uint64_t end)
{
	int nodes[HOST_NODES_MAX];
	int n = nodes_over(b->t, start, nodes, HOST_NODES_MAX);
	int err = 0;

	if (n < 2)
		return add_ram(b->t, start, end, n ? nodes[0] : -1);
	if (!b->block || b->no_blocks)
		return add_ram(b->t, start, end, -1);
	while (!err && start < end) {
		uint64_t stop = (start / b->block + 1) * b->block;

		if (stop > end)
			stop = end;
		err = add_ram(b->t, start, stop, node_of_block(start / b->block, nodes, n));
		start = stop;
	}
	return err;
}

static int cut_spans(struct builder *b)
{
	int err = 0;

	b->t->n_ram = 0;
	for (unsigned int i = 0; i < b->n_spans; i++) {
		uint64_t start = b->spans[i].start, end = b->spans[i].end;

		for (unsigned int c = 0; !err && c < b->n_cuts; c++) {
			uint64_t cut = b->cuts[c];

			if (cut <= start || cut >= end)
				continue;
			err = add_piece(b, start, cut);
			start = cut;
		}
		if (!err)
			err = add_piece(b, start, end);
		if (err)
			return err;
	}
	return 0;
}

/* "8000000": the one hexadecimal number without 0x in sysfs. */
static uint64_t read_block_size(void)
{
	char text[32], *p = text;
	uint64_t size;

	if (contig_root_read("/sys/devices/system/memory/block_size_bytes", text,
			     sizeof(text)) <= 0 ||
	    contig_root_number(&p, 16, &size) || *p || !is_pow2(size) || size < FRAME_SIZE)
		return 0;
	return size;
}

static int build_ram(struct builder *b)
{
	struct host_topology *t = b->t;
	int shown = read_iomem(b), err;

	if (shown < 0)
		return shown;
	t->ram_exact = shown;
	if (!shown)
		spans_from_zones(b);
	b->n_cuts = 0;
	t->end = b->spans[b->n_spans - 1].end;
	for (unsigned int i = 0; i < t->n_zones; i++) {
		const struct host_zone *z = &t->zones[i];
		uint64_t end = (z->start_frame + z->spanned) << FRAME_SHIFT;

		b->cuts[b->n_cuts++] = z->start_frame << FRAME_SHIFT;
		b->cuts[b->n_cuts++] = end;
		if (end > t->end)
			t->end = end;
	}
	qsort(b->cuts, b->n_cuts, sizeof(b->cuts[0]), compare_numbers);
	b->block = read_block_size();
	b->no_blocks = false;
	err = cut_spans(b);
	if (err == -E2BIG) {
		contig_debug(HOST, "nodes interleave too finely: no node for memory that two zones span");
		b->no_blocks = true;
		err = cut_spans(b);
	}
	if (err == -E2BIG)
		contig_reason_set("/proc/iomem: more than %d ranges of memory", HOST_RAM_MAX);
	return err;
}

/* ---- the cache ---- */

static void *get_pages(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* mmap, not malloc: we may be inside the program's malloc. */
static int refresh_locked(void)
{
	struct host_topology *t = get_pages(sizeof(*t));
	struct builder *b = get_pages(sizeof(*b));
	int err = -ENOMEM;

	if (t && b) {
		b->t = t;
		err = contig_zones_read(t);
		if (!err)
			err = build_ram(b);
	}
	if (b)
		munmap(b, sizeof(*b));
	if (err) {
		if (t)
			munmap(t, sizeof(*t));
		return err;
	}
	/* The old one is leaked: somebody may still look at it. */
	cached_generation = contig_root_generation();
	atomic_store(&cached, t);
	return 0;
}

int contig_topology_refresh(void)
{
	int err;

	pthread_mutex_lock(&refresh_mutex);
	err = refresh_locked();
	pthread_mutex_unlock(&refresh_mutex);
	return err;
}

static bool fresh(const struct host_topology *t)
{
	return t && cached_generation == contig_root_generation();
}

const struct host_topology *contig_topology(void)
{
	const struct host_topology *t = atomic_load(&cached);
	int err = 0;

	if (fresh(t))
		return t;
	pthread_mutex_lock(&refresh_mutex);
	t = atomic_load(&cached);
	if (!fresh(t)) {
		err = refresh_locked();
		t = err ? NULL : atomic_load(&cached);
	}
	pthread_mutex_unlock(&refresh_mutex);
	if (err)
		errno = -err;
	return t;
}

int contig_topology_node_of(uint64_t frame)
{
	const struct host_topology *t = contig_topology();
	unsigned int low = 0, high;
	int nodes[2];

	if (!t || frame >= ZONES_FRAME_LIMIT)
		return -1;
	high = t->n_ram;
	while (low < high) {
		unsigned int mid = low + (high - low) / 2;
		const struct host_ram *r = &t->ram[mid];

		if (frame << FRAME_SHIFT < r->start)
			high = mid;
		else if (frame << FRAME_SHIFT >= r->end)
			low = mid + 1;
		else
			return r->node;
	}
	/* Not RAM by iomem (a device's frame), but perhaps inside a span. */
	return nodes_over(t, frame << FRAME_SHIFT, nodes, 2) == 1 ? nodes[0] : -1;
}
