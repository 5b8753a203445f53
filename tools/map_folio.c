/* SPDX-License-Identifier: BSD-2-Clause */
#include "map_folio.h"

#include "base/page.h"
#include "host/pageflags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Documentation/admin-guide/mm/pagemap.rst */
#define FLAG_HEAD (UINT64_C(1) << 15)
#define FLAG_TAIL (UINT64_C(1) << 16)

#define WINDOW 4096 /* frames read at a time, at most */
#define AROUND 64   /* where the rest of a folio is looked for */
#define FOLIO_MOST (UINT64_C(1) << 24) /* frames; flags that make no sense */

struct map_folios {
	struct map *m;
	int fd;
	uint64_t start, n; /* of the window */
	uint64_t flags[WINDOW];
};

int map_folios_create(struct map *m, struct map_folios **out)
{
	struct map_folios *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->m = m;
	f->fd = contig_pageflags_open();
	if (f->fd < 0) {
		int error = f->fd;

		free(f);
		return error;
	}
	*out = f;
	return 0;
}

void map_folios_destroy(struct map_folios *f)
{
	if (f)
		close(f->fd);
	free(f);
}

/* Flags cost 60 ns a frame: no more than these are read. */
static void read_window(struct map_folios *f, uint64_t start, uint64_t n)
{
	ssize_t got;

	f->start = start;
	f->n = n < WINDOW ? n : WINDOW;
	got = pread(f->fd, f->flags, f->n * sizeof(f->flags[0]),
		    (off_t)(start * sizeof(f->flags[0])));
	if (got < 0)
		got = 0;
	memset((char *)f->flags + got, 0, f->n * sizeof(f->flags[0]) - (size_t)got);
}

static uint64_t flags_of(struct map_folios *f, uint64_t frame)
{
	if (frame < f->start) /* going down to a head */
		read_window(f, frame < AROUND ? 0 : frame - AROUND + 1, AROUND);
	else if (frame - f->start >= f->n)
		read_window(f, frame, AROUND);
	return f->flags[frame - f->start];
}

/* The folio of a frame: where it begins, and how many frames it has. */
static uint64_t folio_of(struct map_folios *f, uint64_t frame, uint64_t *head)
{
	uint64_t n = 1;

	*head = frame;
	if (!(flags_of(f, frame) & (FLAG_HEAD | FLAG_TAIL)))
		return 1;
	while (*head && frame - *head < FOLIO_MOST && flags_of(f, *head) & FLAG_TAIL)
		--*head;
	while (n < FOLIO_MOST && flags_of(f, *head + n) & FLAG_TAIL)
		n++;
	return n;
}

void map_folios_run(struct map_folios *f, uint64_t frame, uint64_t pages)
{
	uint64_t end = frame + pages;

	while (frame < end) {
		uint64_t head, n, to;

		if (frame < f->start || frame - f->start >= f->n)
			read_window(f, frame, end - frame);
		n = folio_of(f, frame, &head);
		/* It may have been split meanwhile. */
		to = head + n > frame ? head + n : frame + 1;
		if (to > end)
			to = end;
		map_size_add(f->m->folios, &f->m->n_folios, n * f->m->source.page, to - frame);
		frame = to;
	}
}
