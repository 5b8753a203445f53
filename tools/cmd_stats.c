/* SPDX-License-Identifier: BSD-2-Clause */
/* contig stats: counters and pools of processes, from their boards. */
#include "command.h"
#include "options.h"
#include "screen.h"
#include "stats.h"

#include "host/root.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	OPTION_PROMETHEUS = OPTION_FIRST
};

static const struct argp_option option_table[] = {
	{"prometheus", OPTION_PROMETHEUS, NULL, 0,
	 "Print the text format that Prometheus reads", 0},
	OPTIONS_OUTPUT,
	OPTIONS_HELP,
	{0},
};

struct stats_input {
	struct emitter_options output;
	const char *what; /* PID or name; NULL: all */
	bool prometheus;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct stats_input *input = state->input;

	switch (key) {
	case OPTION_PROMETHEUS:
		input->prometheus = true;
		return 0;
	case ARGP_KEY_ARG:
		if (input->what)
			usage_error(state, arg, "one process at a time");
		if (!*arg)
			usage_error(state, "process", "the name is empty");
		input->what = arg;
		return 0;
	case ARGP_KEY_END:
		if (input->prometheus && input->output.json)
			usage_error(state, "--prometheus", "not together with --json");
		return 0;
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "[PID|NAME]",
	"Show the counters and pools of a process that uses libcontig, without "
	"disturbing it.  Without an argument: of all processes.\v"
	"Exit status: 0 shown, 1 no process uses libcontig, 2 trouble.",
	NULL, NULL, NULL};

const struct stats_counter stats_counters[N_COUNTERS] = {
#define X(name, text)                                                       \
	[COUNTER_##name] = {#name, text,                                    \
			    COUNTER_##name == COUNTER_held ||               \
				    COUNTER_##name == COUNTER_allocated ||  \
				    COUNTER_##name == COUNTER_free ||       \
				    COUNTER_##name == COUNTER_pinned ||     \
				    COUNTER_##name == COUNTER_unwired ||    \
				    COUNTER_##name == COUNTER_failures,     \
			    (COUNTER_##name >= COUNTER_superpages_2m &&     \
			     COUNTER_##name <= COUNTER_returned) ? VALUE_COUNT : VALUE_BYTES, \
			    COUNTER_##name >= COUNTER_requests &&           \
				    COUNTER_##name <= COUNTER_returned},
	CONTIG_STATS_COUNTERS(X)
#undef X
};

static void set(struct subject *s, enum counter counter, uint64_t value)
{
	s->values[counter] = value;
	s->known[counter] = true;
}

static void sum_pool(struct subject *s, const struct board_pool *pool)
{
	s->values[COUNTER_held] += pool->held;
	s->values[COUNTER_allocated] += pool->live;
	s->values[COUNTER_free] += pool->free;
	if (pool->longest > s->values[COUNTER_largest_free])
		s->values[COUNTER_largest_free] = pool->longest;
	s->values[COUNTER_pinned] += pool->pinned;
	s->values[COUNTER_resident] += pool->resident;
	s->values[COUNTER_unwired] += pool->unwired;
	s->values[COUNTER_superpages_2m] += pool->superpages_2m;
	s->values[COUNTER_superpages_1g] += pool->superpages_1g;
	s->values[COUNTER_superpages_thp] += pool->superpages_thp;
}

static void sum(struct subject *s)
{
	uint64_t value;

	for (enum counter c = COUNTER_held; c <= COUNTER_superpages_thp; c++)
		set(s, c, 0);
	for (size_t i = 0; i < s->board.n_pools; i++)
		if (s->board.pools[i].record.state)
			sum_pool(s, &s->board.pools[i]);
	s->known[COUNTER_cached] = false;
	for (enum counter c = 0; c < N_COUNTERS; c++)
		if (board_counter(&s->board, stats_counters[c].name, &value))
			set(s, c, value);
	/* Cached blocks count as live in their pool. */
	s->values[COUNTER_allocated] -= s->values[COUNTER_cached] < s->values[COUNTER_allocated] ?
						s->values[COUNTER_cached] :
						s->values[COUNTER_allocated];
}

/* --- tables */

enum {
	COLUMN_pid,
	COLUMN_command,
	COLUMN_level,
	COLUMN_library,
	COLUMN_age,
	COLUMN_counters,
	N_COLUMNS = COLUMN_counters + N_COUNTERS
};

static struct column columns[N_COLUMNS] = {
	[COLUMN_pid] = {"pid", "PID", COLUMN_RIGHT},
	[COLUMN_command] = {"command", "COMMAND", COLUMN_LEFT},
	[COLUMN_level] = {"level", "LEVEL", COLUMN_EXTRA},
	[COLUMN_library] = {"library", "LIBRARY", COLUMN_EXTRA},
	[COLUMN_age] = {"age_ns", "AGE", COLUMN_EXTRA},
};

static const struct column pool_columns[] = {
	{"pid", "PID", COLUMN_RIGHT},
	{"pool", "POOL", COLUMN_LEFT},
	{"kind", "KIND", COLUMN_LEFT},
	{"held", "HELD", COLUMN_RIGHT},
	{"live", "IN-USE", COLUMN_RIGHT},
	{"free", "FREE", COLUMN_RIGHT},
	{"longest", "LONGEST", COLUMN_RIGHT},
	{"pinned", "PINNED", COLUMN_RIGHT},
	{"resident", "RESIDENT", COLUMN_EXTRA},
	{"unwired", "UNWIRED", COLUMN_EXTRA},
	{"quarantined", "QUARANTINED", COLUMN_EXTRA},
	{"node", "NODE", COLUMN_EXTRA},
	{"limit", "LIMIT", COLUMN_EXTRA},
};

#define N_POOL_COLUMNS (sizeof(pool_columns) / sizeof(pool_columns[0]))

#define ROOMY 84	 /* columns of a screen that all of a process fits */
#define ONE_WIDTH 10	 /* "1023 MiB" and the gap before it */
#define POOL_WIDTH 70	 /* of all but the name, at most */
/* Left out on a screen that is too narrow, in this order. */
static const unsigned char pool_spare[] = {6, 5};

static char headings[N_COUNTERS][24];

static void make_columns(void)
{
	for (enum counter c = 0; c < N_COUNTERS; c++) {
		const char *from = c == COUNTER_allocated ? "in-use" : stats_counters[c].name;
		size_t i;

		for (i = 0; from[i] && i < sizeof(headings[c]) - 1; i++)
			headings[c][i] = from[i] == '_' ? '-' : (char)toupper(from[i]);
		columns[COLUMN_counters + c] = (struct column){
			stats_counters[c].name, headings[c],
			stats_counters[c].shown ? COLUMN_RIGHT : COLUMN_EXTRA};
	}
}

static const char *name_of(const char *const *names, size_t n, uint32_t i)
{
	return i < n ? names[i] : "unknown";
}

const char *stats_kind_name(uint32_t kind)
{
	static const char *const names[] = {"default", "private", "shareable"};

	return name_of(names, 3, kind);
}

static const char *level_name(uint32_t level)
{
	static const char *const names[] = {"physical", "hidden", "simulated"};

	return name_of(names, 3, level);
}

static struct value counter_value(const struct subject *s, enum counter c)
{
	if (!s->known[c])
		return value_unknown();
	return stats_counters[c].kind == VALUE_BYTES ? value_bytes(s->values[c]) :
						 value_count(s->values[c]);
}

/* How old is what threads last folded. */
static struct value age(const struct subject *s)
{
	struct timespec ts;
	uint64_t now;

	if (clock_gettime(CLOCK_BOOTTIME, &ts) < 0)
		return value_unknown();
	now = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	/* In a time namespace of its own its clock is another. */
	return s->board.header.folded && s->board.header.folded <= now ?
		       value_nanoseconds(now - s->board.header.folded) :
		       value_unknown();
}

static void print_processes(struct stats *stats)
{
	/* Every name and size fits beside the longest PID; pools have it too. */
	if (screen_get()->columns < ROOMY)
		columns[COLUMN_counters + COUNTER_pinned].place = COLUMN_EXTRA;
	emitter_table_begin(stats->e, "processes", columns, N_COLUMNS, true);
	for (size_t i = 0; i < stats->n; i++) {
		const struct subject *s = &stats->subjects[i];
		struct value values[N_COLUMNS] = {
			[COLUMN_pid] = value_count((uint64_t)s->process.pid),
			[COLUMN_command] = value_text(s->process.name),
			[COLUMN_level] = value_text(level_name(s->board.header.level)),
			[COLUMN_library] = value_text(s->board.header.library),
			[COLUMN_age] = age(s),
		};

		for (enum counter c = 0; c < N_COUNTERS; c++)
			values[COLUMN_counters + c] = counter_value(s, c);
		emitter_row(stats->e, values);
	}
	emitter_table_end(stats->e);
}

/* The columns of pools that fit beside the longest of their names. */
static void fit_pools(const struct stats *stats, struct column *fitting)
{
	int name = 0, width;

	memcpy(fitting, pool_columns, sizeof(pool_columns));
	for (size_t i = 0; i < stats->n; i++)
		for (size_t j = 0; j < stats->subjects[i].board.n_pools; j++) {
			int len = (int)strlen(stats->subjects[i].board.pools[j].name);

			if (len > name)
				name = len;
		}
	width = POOL_WIDTH + name;
	for (size_t i = 0; i < sizeof(pool_spare) && width > screen_get()->columns; i++) {
		fitting[pool_spare[i]].place = COLUMN_EXTRA;
		width -= ONE_WIDTH;
	}
}

static void print_pools(struct stats *stats)
{
	struct column fitting[N_POOL_COLUMNS];

	fit_pools(stats, fitting);
	emitter_line(stats->e, "%s", "");
	emitter_table_begin(stats->e, "pools", fitting, N_POOL_COLUMNS, false);
	for (size_t i = 0; i < stats->n; i++) {
		const struct subject *s = &stats->subjects[i];

		for (size_t j = 0; j < s->board.n_pools; j++) {
			const struct board_pool *p = &s->board.pools[j];

			if (!p->record.state)
				continue;
			emitter_row(stats->e,
				    (const struct value[N_POOL_COLUMNS]){
					    value_count((uint64_t)s->process.pid),
					    value_text(p->name),
					    value_text(stats_kind_name(p->kind)),
					    value_bytes(p->held),
					    value_bytes(p->live),
					    value_bytes(p->free),
					    value_bytes(p->longest),
					    value_bytes(p->pinned),
					    value_bytes(p->resident),
					    value_bytes(p->unwired),
					    value_bytes(p->quarantined),
					    p->node < 0 ? value_null("any") :
							  value_count((uint64_t)p->node),
					    p->limit ? value_bytes(p->limit) :
						       value_null("none"),
				    });
		}
	}
	emitter_table_end(stats->e);
}

/* --- gathering */

static int add_subject(struct stats *stats, const struct process *process, bool one)
{
	struct subject *s = &stats->subjects[stats->n];
	char reason[256], object[32];
	enum board_error error = board_read(process->pid, &s->board, reason, sizeof(reason));

	if (!error) {
		s->process = *process;
		sum(s);
		stats->n++;
		return 0;
	}
	stats->forbidden += error == BOARD_FORBIDDEN;
	stats->invalid += error == BOARD_INVALID;
	if (!one)
		return 0;
	snprintf(object, sizeof(object), "process %d", (int)process->pid);
	emitter_error(stats->e, object, 0, reason,
		      error == BOARD_FORBIDDEN ? "Try it with sudo" : NULL);
	return STATUS_TROUBLE;
}

static int gather(struct stats *stats, const char *what)
{
	struct process *list;
	ssize_t n = process_list(what, &list);
	int status = 0;

	if (n < 0) {
		emitter_error(stats->e, "/proc", (int)-n, strerror((int)-n), NULL);
		return STATUS_TROUBLE;
	}
	stats->subjects = calloc(n ? (size_t)n : 1, sizeof(*stats->subjects));
	for (ssize_t i = 0; i < n && stats->subjects && !status; i++)
		status = add_subject(stats, &list[i], what && n == 1);
	free(list);
	if (status || stats->n || !what)
		return status;
	emitter_error(stats->e, what, 0,
		      !n ? "no such process" :
		      stats->forbidden ? "not permitted" : "no such process uses libcontig",
		      !n ? "Try 'contig stats --help'" :
		      stats->forbidden ? "Try it with sudo" : NULL);
	return STATUS_TROUBLE;
}

static char *column_names(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fputs("no such column (", out);
	for (size_t i = 0; i < N_COLUMNS; i++)
		fprintf(out, "%s%s", i ? ", " : "", columns[i].key);
	fputc(')', out);
	return fclose(out) ? NULL : text;
}

/* Beside a list of columns that a script may read: on standard error. */
static void say_left_out(const struct stats *stats, bool list)
{
	char text[128];

	if (stats->forbidden) {
		snprintf(text, sizeof(text), "%zu process%s may not be looked at%s",
			 stats->forbidden, stats->forbidden == 1 ? "" : "es",
			 geteuid() ? ": try it with sudo" : "");
		if (list)
			fprintf(stderr, "contig stats: %s\n", text);
		else
			emitter_line(stats->e, "%s", text);
	}
	if (stats->invalid) {
		snprintf(text, sizeof(text), "%zu process%s statistics that make no sense",
			 stats->invalid, stats->invalid == 1 ? " has" : "es have");
		if (list)
			fprintf(stderr, "contig stats: %s\n", text);
		else
			emitter_line(stats->e, "%s", text);
	}
}

int cmd_stats(int argc, char **argv)
{
	struct stats_input input = {0};
	struct stats stats = {0};
	int status;
	char *bad;

	options_parse(&argp, 0, argc, argv, &input);
	make_columns();
	stats.e = emitter_create("stats", &input.output);
	bad = emitter_bad_column(stats.e, columns, N_COLUMNS);
	if (bad) {
		char *names = column_names();

		emitter_error(stats.e, bad, 0, names ? names : "no such column",
			      "Try 'contig stats --help'");
		free(names);
		free(bad);
		return emitter_finish(stats.e, STATUS_TROUBLE);
	}
	if (!contig_root_is_real()) {
		emitter_error(stats.e, "--sysroot", 0,
			      "a captured tree has no processes to look at",
			      "Try 'contig stats --help'");
		return emitter_finish(stats.e, STATUS_TROUBLE);
	}
	status = gather(&stats, input.what);
	if (!status && input.prometheus) {
		stats_prometheus(&stats);
	} else if (!status) {
		if (stats.n || input.output.json)
			print_processes(&stats);
		/* Who names columns of processes wants nothing else. */
		if (input.output.json || (stats.n && !input.output.columns))
			print_pools(&stats);
		if (!stats.n)
			emitter_line(stats.e, "No process uses libcontig");
		emitter_field(stats.e, "not_permitted", NULL, value_count(stats.forbidden));
		emitter_field(stats.e, "invalid", NULL, value_count(stats.invalid));
		if (!input.output.json)
			say_left_out(&stats, input.output.columns);
	}
	if (!status)
		status = stats.n ? STATUS_YES : STATUS_NO;
	for (size_t i = 0; i < stats.n; i++)
		board_free(&stats.subjects[i].board);
	free(stats.subjects);
	return emitter_finish(stats.e, status);
}
