/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys_zones.h"

#include "base/page.h"
#include "host/root.h"
#include "grow.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNDECIDED HOST_ZONES_MAX

struct finder {
	const struct host_topology *t;
	uint64_t page;
	uint64_t block; /* frames of a memory block; 0 unknown */
	bool ask_all;	/* blocks tell what is offline inside one zone, too */
	uint64_t assigned[HOST_ZONES_MAX]; /* frames */
	struct phys_pieces *out;
};

static bool set_has(const struct phys_zone_set *set, unsigned int zone)
{
	return set->bits[zone / 64] >> zone % 64 & 1;
}

static void set_put(struct phys_zone_set *set, unsigned int zone)
{
	set->bits[zone / 64] |= UINT64_C(1) << zone % 64;
}

static unsigned int set_count(const struct phys_zone_set *set)
{
	unsigned int n = 0;

	for (size_t i = 0; i < HOST_ZONES_MAX / 64; i++)
		n += (unsigned int)__builtin_popcountll(set->bits[i]);
	return n;
}

static bool set_same(const struct phys_zone_set *a, const struct phys_zone_set *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Down to what other has, too, unless nothing would be left. */
static void set_cut(struct phys_zone_set *set, const struct phys_zone_set *other)
{
	struct phys_zone_set both;

	for (size_t i = 0; i < HOST_ZONES_MAX / 64; i++)
		both.bits[i] = set->bits[i] & other->bits[i];
	if (set_count(&both))
		*set = both;
}

static int piece_add(struct finder *f, uint64_t first, uint64_t end,
		     const struct phys_zone_set *set)
{
	struct phys_pieces *p = f->out;
	struct phys_piece *last = p->n ? &p->pieces[p->n - 1] : NULL, *larger;
	unsigned int zone = UNDECIDED;

	if (set_count(set) == 1) {
		for (zone = 0; !set_has(set, zone);)
			zone++;
		f->assigned[zone] += end - first;
	}
	if (last && last->end == first && set_same(&last->may_be, set)) {
		last->end = end;
		return 0;
	}
	larger = grow(p->pieces, p->n, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	p->pieces = larger;
	larger[p->n++] = (struct phys_piece){
		.first = first, .end = end, .zone = zone, .may_be = *set};
	return 0;
}

/* ---- what may be where ---- */

static struct phys_zone_set set_by_spans(const struct host_topology *t, uint64_t frame)
{
	struct phys_zone_set set = {{0}};

	for (unsigned int i = 0; i < t->n_zones; i++)
		if (frame >= t->zones[i].start_frame &&
		    frame - t->zones[i].start_frame < t->zones[i].spanned)
			set_put(&set, i);
	return set;
}

/* Zones of this set whose node links the block. */
static struct phys_zone_set set_by_node(const struct host_topology *t, uint64_t block,
					const struct phys_zone_set *of)
{
	struct phys_zone_set set = {{0}};

	for (unsigned int i = 0; i < t->n_zones; i++) {
		char path[96];
		int fd;

		if (!set_has(of, i))
			continue;
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/memory%" PRIu64,
			 t->zones[i].node, block);
		fd = contig_root_open(path, O_PATH | O_NOFOLLOW);
		if (fd < 0)
			continue;
		close(fd);
		set_put(&set, i);
	}
	return set;
}

static struct phys_zone_set set_by_name(const struct host_topology *t, const char *name)
{
	struct phys_zone_set set = {{0}};

	for (unsigned int i = 0; i < t->n_zones; i++)
		if (!strcmp(t->zones[i].name, name))
			set_put(&set, i);
	return set;
}

/* A file of a memory block.  false: not there. */
static bool block_file(uint64_t block, const char *file, char *text, size_t len)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%" PRIu64 "/%s", block,
		 file);
	return contig_root_read(path, text, len) > 0;
}

static int block_add(struct finder *f, uint64_t first, uint64_t end, struct phys_zone_set set)
{
	uint64_t block = first / f->block;
	struct phys_zone_set other;
	char text[64];

	/* Plugged, but not given to the kernel: no zone's. */
	if (block_file(block, "state", text, sizeof(text)) && !strcmp(text, "offline"))
		return 0;
	if (set_count(&set) > 1) {
		other = set_by_node(f->t, block, &set);
		set_cut(&set, &other);
	}
	/* "Normal"; "none" where several zones meet in the block. */
	if (set_count(&set) > 1 && block_file(block, "valid_zones", text, sizeof(text))) {
		other = set_by_name(f->t, text);
		set_cut(&set, &other);
	}
	return piece_add(f, first, end, &set);
}

/* Frames over which the same zones span. */
static int same_add(struct finder *f, uint64_t first, uint64_t end)
{
	struct phys_zone_set spans = set_by_spans(f->t, first);
	unsigned int n = set_count(&spans);
	int error = 0;

	if (!n)
		return 0; /* kept from the kernel: mem=, a partial page */
	if (!f->block || (n == 1 && !f->ask_all))
		return piece_add(f, first, end, &spans);
	while (first < end && !error) {
		uint64_t stop = (first / f->block + 1) * f->block;

		if (stop > end)
			stop = end;
		error = block_add(f, first, stop, spans);
		first = stop;
	}
	return error;
}

/* The next frame after first at which a zone begins or ends; at most end. */
static uint64_t next_cut(const struct host_topology *t, uint64_t first, uint64_t end)
{
	for (unsigned int i = 0; i < t->n_zones; i++) {
		uint64_t start = t->zones[i].start_frame, stop = start + t->zones[i].spanned;

		if (start > first && start < end)
			end = start;
		if (stop > first && stop < end)
			end = stop;
	}
	return end;
}

static int range_add(struct finder *f, uint64_t first, uint64_t end)
{
	int error = 0;

	while (first < end && !error) {
		uint64_t stop = next_cut(f->t, first, end);

		error = same_add(f, first, stop);
		first = stop;
	}
	return error;
}

/* ---- all of it ---- */

static int ram_add(struct finder *f)
{
	uint64_t at = 0, end = 0;
	int error = 0;

	f->out->n = 0;
	memset(f->assigned, 0, sizeof(f->assigned));
	for (unsigned int i = 0; i < f->t->n_ram && f->t->ram_exact && !error; i++)
		error = range_add(f, (f->t->ram[i].start + f->page - 1) / f->page,
				  f->t->ram[i].end / f->page);
	if (f->t->ram_exact)
		return error;
	/* The topology takes frames for 4 KiB where it has only spans. */
	for (unsigned int i = 0; i < f->t->n_zones; i++)
		if (f->t->zones[i].start_frame + f->t->zones[i].spanned > end)
			end = f->t->zones[i].start_frame + f->t->zones[i].spanned;
	for (; at < end && !error; at = next_cut(f->t, at, end))
		error = range_add(f, at, next_cut(f->t, at, end));
	return error;
}

static uint64_t room(const struct finder *f, unsigned int zone)
{
	uint64_t present = f->t->zones[zone].present;

	return present > f->assigned[zone] ? present - f->assigned[zone] : 0;
}

/* The only zone of the piece that still has room for all of it, else
 * UNDECIDED; and the one that has most. */
static unsigned int only_one(const struct finder *f, const struct phys_piece *p,
			     unsigned int *roomiest)
{
	unsigned int found = UNDECIDED, n = 0;

	*roomiest = UNDECIDED;
	for (unsigned int i = 0; i < f->t->n_zones; i++) {
		if (!set_has(&p->may_be, i))
			continue;
		if (*roomiest == UNDECIDED || room(f, i) > room(f, *roomiest))
			*roomiest = i;
		if (room(f, i) >= p->end - p->first) {
			found = i;
			n++;
		}
	}
	/* Holes make counts of frames useless. */
	return n == 1 && f->t->ram_exact ? found : UNDECIDED;
}

/* Each that is decided leaves less room to others, which may decide them. */
static void decide(struct finder *f)
{
	for (bool again = true; again;) {
		struct phys_piece *guess = NULL;
		unsigned int roomiest, guessed = 0;

		again = false;
		for (size_t i = 0; i < f->out->n; i++) {
			struct phys_piece *p = &f->out->pieces[i];

			if (p->zone != UNDECIDED)
				continue;
			p->zone = only_one(f, p, &roomiest);
			if (p->zone != UNDECIDED) {
				f->assigned[p->zone] += p->end - p->first;
				again = true;
			} else if (!guess) {
				guess = p;
				guessed = roomiest;
			}
		}
		if (again || !guess)
			continue;
		guess->zone = guessed;
		guess->guessed = true;
		f->assigned[guessed] += guess->end - guess->first;
		again = true;
	}
}

static uint64_t block_frames(uint64_t page)
{
	char text[32], *at = text;
	uint64_t bytes;

	/* The one hexadecimal number of sysfs without 0x. */
	if (contig_root_read("/sys/devices/system/memory/block_size_bytes", text,
			     sizeof(text)) <= 0 ||
	    contig_root_number(&at, 16, &bytes) || *at || bytes < page)
		return 0;
	return bytes / page;
}

int phys_pieces_find(const struct host_topology *topology, uint64_t page,
		     struct phys_pieces *out)
{
	struct finder f = {.t = topology, .page = page, .out = out};
	bool more = false;
	int error;

	*out = (struct phys_pieces){.n = 0};
	f.block = block_frames(page);
	error = ram_add(&f);
	for (unsigned int i = 0; i < topology->n_zones && topology->ram_exact; i++)
		more |= f.assigned[i] > topology->zones[i].present;
	if (!error && more && f.block) {
		f.ask_all = true;
		error = ram_add(&f);
	}
	if (error)
		phys_pieces_free(out);
	else
		decide(&f);
	return error;
}

void phys_pieces_free(struct phys_pieces *pieces)
{
	free(pieces->pieces);
	*pieces = (struct phys_pieces){.n = 0};
}
