/* SPDX-License-Identifier: BSD-2-Clause */
#include "progress.h"

#include "base/clock.h"
#include "base/size.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SILENT_NS UINT64_C(300000000) /* what is over sooner needs no bar */
#define STEP_NS UINT64_C(100000000)
#define CELLS 30

void progress_begin(struct progress *p, const char *what, uint64_t total)
{
	const char *term = getenv("TERM");

	*p = (struct progress){
		.what = what,
		.total = total,
		.started = clock_ns(),
		.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb"),
	};
}

void progress_show(struct progress *p, uint64_t done)
{
	char bar[CELLS + 1], size[24], total[24];
	uint64_t now;
	int cells;

	if (!p->terminal)
		return;
	now = clock_ns();
	if (now - p->started < SILENT_NS || now - p->shown < STEP_NS)
		return;
	p->shown = now;
	p->drawn = true;
	contig_size_print(done, size, sizeof(size));
	if (!p->total) {
		fprintf(stderr, "\r%s: %s\033[K", p->what, size);
		return;
	}
	/* What is there may have grown since it was asked for. */
	cells = done < p->total ? (int)((double)done / (double)p->total * CELLS) : CELLS;
	memset(bar, '.', CELLS);
	memset(bar, '#', (size_t)cells);
	bar[CELLS] = '\0';
	contig_size_print(p->total, total, sizeof(total));
	fprintf(stderr, "\r%s: [%s] %s of %s\033[K", p->what, bar, size, total);
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
