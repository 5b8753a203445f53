/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What fragmentation costs, and what gets over it: a child fills memory with
 * ordinary pages and gives all but one in each superpage's place back; each way
 * to superpages is tried before and meanwhile.  All memory is the kernel's again
 * when the child is gone; it dies with us, and it is the one that the kernel
 * kills should memory run out.
 */
#include "bench.h"
#include "bench_runs.h"
#include "bench_take.h"
#include "command.h"

#include "base/page.h"
#include "base/size.h"
#include "host/available.h"
#include "host/buddy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Never taken from the machine: a sixteenth of what is available, but this. */
#define MARGIN_LEAST (UINT64_C(256) << 20)
#define MARGIN_SHARE 16

static const enum bench_way ways[] = {WAY_GROWN, WAY_DEMOTED, WAY_THP, WAY_COLLAPSED,
				      WAY_COMPACTED};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

static const struct column columns[] = {
	{"source", "SOURCE", COLUMN_LEFT},
	{"taken_before", "BEFORE", COLUMN_RIGHT},
	{"longest_before", "LONGEST", COLUMN_RIGHT},
	{"time_before_ns", "TIME", COLUMN_RIGHT},
	{"taken", "FRAGMENTED", COLUMN_RIGHT},
	{"longest", "LONGEST", COLUMN_RIGHT},
	{"time_ns", "TIME", COLUMN_RIGHT},
	{"why", "NOTE", COLUMN_BELOW},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct result {
	uint64_t taken, longest, nanoseconds;
	char why[160];
};

static void attempt(struct bench *b, enum bench_way way, bool plotted, struct result *r)
{
	const char *name = bench_way_name(way);
	struct bench_taken t;
	struct bench_runs runs;

	bench_say(b, name);
	if (bench_take(way, b->size, &t)) {
		bench_runs_of(t.frames, t.n, t.page, true, &runs);
		r->taken = runs.bytes;
		r->longest = runs.longest;
		r->nanoseconds = t.nanoseconds;
		if (plotted)
			bench_runs_plot(b, BENCH_PLOT_FRAGMENT_RUNS, name, &runs);
	}
	snprintf(r->why, sizeof(r->why), "%s", t.why);
	free(t.frames);
}

/* A bit for each superpage's place of physical memory. */
struct places {
	uint8_t *bits;
	size_t len; /* bytes */
};

/* Whether nobody was there before; false too when there is no memory. */
static bool places_take(struct places *p, uint64_t place)
{
	uint8_t bit = (uint8_t)(1u << place % 8);

	if (place / 8 >= p->len) {
		size_t len = 2 * (place / 8 + 1);
		uint8_t *bits = realloc(p->bits, len);

		if (!bits)
			return false;
		memset(bits + p->len, 0, len - p->len);
		*p = (struct places){bits, len};
	}
	if (p->bits[place / 8] & bit)
		return false;
	p->bits[place / 8] |= bit;
	return true;
}

/* One frame of each superpage's place that they lie in stays. */
static uint64_t punch(char *va, uint64_t bytes)
{
	struct places places = {0};
	uint64_t kept = 0;

	for (uint64_t at = 0; at < bytes; at += SUPERPAGE_SIZE) {
		uint64_t len = bytes - at < SUPERPAGE_SIZE ? bytes - at : SUPERPAGE_SIZE;
		size_t n;
		uint64_t *frames = bench_memory_frames(va + at, len, FRAME_SIZE, &n);

		if (!frames)
			break;
		for (size_t i = 0, from = 0; i <= n; i++) {
			bool stays = i < n &&
				     places_take(&places, frames[i] / SUPERPAGE_FRAMES);

			if (!stays && i < n)
				continue;
			if (i > from)
				madvise(va + at + from * FRAME_SIZE, (i - from) * FRAME_SIZE,
					MADV_DONTNEED);
			from = i + 1;
			kept += stays;
		}
		free(frames);
	}
	free(places.bits);
	return kept;
}

/* What the child tells when memory is as it should be. */
struct filled {
	uint64_t bytes, kept;
	int error; /* errno; 0: done */
};

/* Others may want memory meanwhile: look each time so much was taken. */
#define LOOK (UINT64_C(64) << 20)

static void fill(uint64_t bytes, uint64_t margin, struct filled *out)
{
	char *va = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (va == MAP_FAILED) {
		out->error = errno;
		return;
	}
	madvise(va, bytes, MADV_NOHUGEPAGE);
	for (uint64_t at = 0; at < bytes; at += LOOK) {
		uint64_t len = bytes - at < LOOK ? bytes - at : LOOK;

		if (contig_available() < margin + len) {
			bytes = at;
			break;
		}
		for (uint64_t page = at; page < at + len; page += FRAME_SIZE)
			((volatile char *)va)[page] = 1;
	}
	out->bytes = bytes;
	out->kept = punch(va, bytes);
	if (!out->kept)
		out->error = bytes ? EPERM : ENOMEM;
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		errno = 0; /* the next best victim, then */
	close(fd);
}

static __attribute__((noreturn)) void child_run(uint64_t bytes, uint64_t margin, int tell,
						int hold)
{
	struct filled filled = {0};
	char c;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	write_text("/proc/self/oom_score_adj", "1000");
	fill(bytes, margin, &filled);
	if (write(tell, &filled, sizeof(filled)) != sizeof(filled))
		_exit(1);
	/* Until our parent closes its end. */
	while (read(hold, &c, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

struct child {
	pid_t pid;
	int hold;
};

static void child_end(struct child *child)
{
	if (child->hold >= 0)
		close(child->hold);
	if (child->pid > 0)
		while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
			;
}

static void child_fill(uint64_t bytes, uint64_t margin, struct child *child,
		       struct filled *filled)
{
	int tell[2] = {-1, -1}, hold[2] = {-1, -1};

	*child = (struct child){-1, -1};
	memset(filled, 0, sizeof(*filled));
	if (!pipe2(tell, O_CLOEXEC) && !pipe2(hold, O_CLOEXEC))
		child->pid = fork();
	if (!child->pid) {
		close(hold[1]);
		child_run(bytes, margin, tell[1], hold[0]);
	}
	filled->error = errno;
	close(tell[1]);
	close(hold[0]);
	child->hold = hold[1];
	if (child->pid > 0 && read(tell[0], filled, sizeof(*filled)) != sizeof(*filled))
		filled->error = ENOMEM; /* killed: memory ran out */
	close(tell[0]);
}

static struct value had_any(const struct result *r, struct value value)
{
	return r->taken ? value : value_unknown();
}

static void row(struct bench *b, size_t i, const struct result *before,
		const struct result *after)
{
	const char *name = bench_way_name(ways[i]);
	struct plot_series *had = bench_series(b, BENCH_PLOT_FRAGMENT, name),
			   *took = bench_series(b, BENCH_PLOT_FRAGMENT_TIME, name);
	double all = (double)b->size / 100;

	plot_point(had, (double)after->taken / all, 0);
	plot_point(had, (double)before->taken / all, 0);
	if (after->nanoseconds)
		plot_point(took, (double)after->nanoseconds, 0);
	if (after->nanoseconds && before->nanoseconds)
		plot_point(took, (double)before->nanoseconds, 0);
	emitter_row(b->e, (const struct value[N_COLUMNS]){
				  value_text(name), value_bytes(before->taken),
				  had_any(before, value_bytes(before->longest)),
				  had_any(before, value_nanoseconds(before->nanoseconds)),
				  value_bytes(after->taken),
				  had_any(after, value_bytes(after->longest)),
				  had_any(after, value_nanoseconds(after->nanoseconds)),
				  value_text(after->why[0]    ? after->why
					     : before->why[0] ? before->why
							      : NULL)});
}

static void plots_prepare(struct bench *b, const char *fragmented)
{
	struct plot *had = &b->plots[BENCH_PLOT_FRAGMENT],
		    *runs = &b->plots[BENCH_PLOT_FRAGMENT_RUNS],
		    *took = &b->plots[BENCH_PLOT_FRAGMENT_TIME];
	char size[24];

	contig_size_print(b->size, size, sizeof(size));
	snprintf(had->title, sizeof(had->title), "What is had of %s, %s fragmented", size,
		 fragmented);
	had->x_title = "share of what was asked for";
	had->x_unit = PLOT_PERCENT;
	had->dot = "fragmented";
	had->ring = "before";
	snprintf(runs->title, sizeof(runs->title), "Runs in it, sorted by frame");
	runs->x_title = "length of a physically contiguous run, at least";
	runs->y_title = "share of the memory";
	runs->x_unit = PLOT_BYTES;
	runs->y_unit = PLOT_PERCENT;
	snprintf(took->title, sizeof(took->title), "Time that it takes");
	took->x_title = "time";
	took->x_unit = PLOT_NANOSECONDS;
	took->dot = "fragmented";
	took->ring = "before";
}

int bench_fragment(struct bench *b)
{
	uint64_t room = contig_available(), margin = room / MARGIN_SHARE, bytes;
	uint64_t whole = 0, left = 0, again = 0;
	struct result before[WAYS] = {0}, after[WAYS] = {0};
	struct filled filled;
	struct child child;
	char text[24];

	if (margin < MARGIN_LEAST)
		margin = MARGIN_LEAST;
	if (room < margin + 4 * b->size) {
		emitter_error(b->e, "memory", ENOMEM,
			      "too little is available to fragment it on purpose",
			      "Try a smaller --size");
		return STATUS_NO;
	}
	for (size_t i = 0; i < WAYS; i++)
		attempt(b, ways[i], false, &before[i]);
	bytes = contig_available();
	bytes = bytes > margin ? align_down(bytes - margin, SUPERPAGE_SIZE) : 0;
	if (bytes > b->fill)
		bytes = align_down(b->fill, SUPERPAGE_SIZE);
	bench_say(b, "fragmenting");
	contig_buddy_superpages(NULL, -1, &whole);
	child_fill(bytes, margin, &child, &filled);
	if (filled.error) {
		child_end(&child);
		emitter_error(b->e, "memory", filled.error,
			      filled.error == EPERM ? BENCH_HIDDEN : strerror(filled.error),
			      filled.error == EPERM ? "Try it with sudo" : NULL);
		return filled.error == ENOMEM ? STATUS_NO : STATUS_TROUBLE;
	}
	contig_buddy_superpages(NULL, -1, &left);
	plots_prepare(b, contig_size_print(filled.bytes, text, sizeof(text)));
	for (size_t i = 0; i < WAYS; i++)
		attempt(b, ways[i], true, &after[i]);
	child_end(&child);
	contig_buddy_superpages(NULL, -1, &again);
	emitter_line(b->e,
		     "fragment: %s filled, then one page kept in each of %zu superpages' places; "
		     "the kernel had %zu free superpages before, %zu then, %zu afterwards",
		     text, (size_t)filled.kept, (size_t)whole, (size_t)left, (size_t)again);
	emitter_field(b->e, "fragmented_bytes", NULL, value_bytes(filled.bytes));
	emitter_field(b->e, "superpages_free_before", NULL, value_count(whole));
	emitter_field(b->e, "superpages_free_fragmented", NULL, value_count(left));
	emitter_field(b->e, "superpages_free_after", NULL, value_count(again));
	emitter_table_begin(b->e, "fragment", columns, N_COLUMNS, false);
	for (size_t i = 0; i < WAYS; i++)
		row(b, i, &before[i], &after[i]);
	emitter_table_end(b->e);
	bench_say(b, NULL);
	return STATUS_YES;
}
