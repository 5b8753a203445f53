/* SPDX-License-Identifier: BSD-2-Clause */
/* contig replay: try contigmalloc calls of real drivers, check every answer. */
#include "blocks.h"
#include "base/clock.h"
#include "command.h"
#include "frames.h"
#include "host/available.h"
#include "options.h"
#include "ram.h"
#include "tuple.h"

#include <contig.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZE_DEFAULT (64 * 1024)
#define SUPERPAGE (UINT64_C(2) << 20)

enum {
	OPTION_ORDER = OPTION_FIRST,
	OPTION_GROW,
	OPTION_KEEP,
	OPTION_EXPECT
};

static const struct argp_option option_table[] = {
	{"size", 's', "SIZE", 0, "What a size \"S\" stands for (64K)", 0},
	{"order", OPTION_ORDER, "N", 0, "What \"order\" stands for (0)", 0},
	{"grow", OPTION_GROW, "HOW", 0,
	 "Let pools grow: never, overcommit or system (CONTIG_GROW)", 0},
	{"keep", OPTION_KEEP, NULL, 0, "Keep all blocks until the end", 0},
	{"expect-refused", OPTION_EXPECT, "IDS", 0,
	 "These may be refused, comma-separated", 0},
	OPTIONS_OUTPUT,
	OPTIONS_HELP,
	{0},
};

struct replay_input {
	struct emitter_options output;
	struct tuple_symbols symbols;
	const char *file, *expected;
	int grow; /* -1: not given */
	bool keep;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct replay_input *input = state->input;

	switch (key) {
	case 's':
		input->symbols.size = options_size(state, "--size", arg);
		if (!input->symbols.size || input->symbols.size > INT64_MAX)
			usage_error(state, "--size", "'%s' can't be allocated", arg);
		return 0;
	case OPTION_ORDER:
		input->symbols.order = (unsigned int)options_number(state, "--order", arg, 0, 40);
		return 0;
	case OPTION_GROW:
		input->grow = (int)options_grow(state, arg);
		return 0;
	case OPTION_KEEP:
		input->keep = true;
		return 0;
	case OPTION_EXPECT:
		input->expected = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (input->file)
			usage_error(state, arg, "one file at a time");
		input->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!input->file)
			usage_error(state, "file", "missing");
		return 0;
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "FILE",
	"Make the contigmalloc calls that FILE lists ('-': standard input), and check "
	"every block against /proc/self/pagemap.\v"
	"Exit status 0: every call was met, or was refused for a true reason.",
	NULL, NULL, NULL};

/* What became of a call; contig-replay(1), "OUTCOMES". */
enum outcome {
	MET,
	IMPOSSIBLE,   /* this machine's RAM could never */
	EXPECTED,     /* --expect-refused */
	NO_PRIVILEGE, /* addresses are limited and hidden */
	NO_MEMORY,    /* true as far as can be told from outside */
	UNMET,	      /* refused, and the machine could have */
	WRONG,	      /* a block that breaks its constraints */
	N_OUTCOMES
};

static const struct {
	const char *name;
	enum paint paint;
	bool good;
} outcomes[N_OUTCOMES] = {
	[MET] = {"met", PAINT_GOOD, true},
	[IMPOSSIBLE] = {"impossible", PAINT_DIM, true},
	[EXPECTED] = {"expected", PAINT_DIM, true},
	[NO_PRIVILEGE] = {"no-privilege", PAINT_WARN, true},
	[NO_MEMORY] = {"no-memory", PAINT_WARN, true},
	[UNMET] = {"unmet", PAINT_BAD, false},
	[WRONG] = {"wrong", PAINT_BAD, false},
};

struct result {
	enum outcome outcome;
	void *va;
	struct frames frames;
	uint64_t ns, reclaims;
	int error;	    /* of a refusal */
	char reason[512];   /* the library's */
	const char *judged; /* the tool's */
};

static bool is_listed(const char *list, const char *id)
{
	size_t len = strlen(id);

	while (list && *list) {
		size_t word = strcspn(list, ",");

		if (word == len && !strncmp(list, id, len))
			return true;
		list += word;
		list += *list == ',';
	}
	return false;
}

static bool frames_are_hidden(void)
{
	char here = 1;
	struct frames frames;
	bool hidden;

	if (frames_read(&here, 1, &frames))
		return true;
	hidden = !frames.visible;
	frames_free(&frames);
	return hidden;
}

/* By --grow or by the environment. */
static bool may_grow(void)
{
	struct contig_config config = {.struct_size = sizeof(config)};

	contig_config_get(&config);
	return config.grow == CONTIG_GROW_SYSTEM;
}

/* Whether a refusal was right, by what the tool itself can see. */
static void judge_refusal(struct result *result, const struct tuple *tuple,
			  const struct replay_input *input)
{
	const char *impossible = ram_impossible(&tuple->want);
	uint64_t available = 0;

	contig_meminfo("MemAvailable", &available);
	if (contig_level() == CONTIG_LEVEL_SIMULATED) {
		result->outcome = result->error == ENOMEM ? NO_MEMORY : IMPOSSIBLE;
		result->judged = "not at all: a described machine (CONTIG_SIM)";
	} else if (impossible) {
		result->outcome = IMPOSSIBLE;
		result->judged = impossible;
	} else if (is_listed(input->expected, tuple->id)) {
		result->outcome = EXPECTED;
		result->judged = "listed as refused";
	} else if (result->error == EPERM && frames_are_hidden()) {
		result->outcome = NO_PRIVILEGE;
		result->judged = "pagemap hides addresses from this process";
	} else if (result->error != ENOMEM) {
		result->outcome = UNMET;
		result->judged = "RAM of this machine could meet it";
	} else if (available < tuple->want.size + SUPERPAGE) {
		result->outcome = NO_MEMORY;
		result->judged = "less memory is available";
	} else if (may_grow() && !geteuid() &&
		   ram_made_to_order(&tuple->want)) {
		result->outcome = UNMET;
		result->judged = "memory is available, and the pools may grow";
	} else if (ram_any_superpage_does(&tuple->want)) {
		result->outcome = UNMET;
		result->judged = "memory is available, and any superpage would do";
	} else if (!ram_made_to_order(&tuple->want)) {
		result->outcome = NO_MEMORY;
		result->judged = "the window holds no whole GiB of RAM, from which "
				 "superpages can be made to order";
	} else {
		result->outcome = NO_MEMORY;
		result->judged = "nothing at hand, and the pools may not grow";
	}
}

static uint64_t reclaims_now(void)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};

	contig_stats_get(&stats);
	return stats.reclaims;
}

static bool is_zero(const unsigned char *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

static void check_block(struct result *result, const struct tuple *tuple)
{
	const char *broken;

	/* Touching comes first: memory that faults is no memory. */
	if (tuple->zero && !is_zero(result->va, tuple->want.size))
		broken = "it is not zero";
	else if (blocks_frames(result->va, tuple->want.size, &result->frames))
		broken = "pagemap can't be read";
	else
		broken = frames_broken(&result->frames, &tuple->want);
	memset(result->va, 0xa5, tuple->want.size);
	result->outcome = broken ? WRONG : MET;
	result->judged = broken ? broken
				: contig_level() == CONTIG_LEVEL_SIMULATED
					? "as the library says: a described machine"
				: result->frames.visible ? "seen in pagemap"
							 : "present; its frames are hidden";
}

static void try_tuple(struct result *result, const struct tuple *tuple,
		      const struct replay_input *input)
{
	const struct frames_constraint *want = &tuple->want;
	uint64_t reclaims = reclaims_now(), start = clock_ns();

	result->va = contigmalloc(want->size, M_DEVBUF, M_WAITOK | (tuple->zero ? M_ZERO : 0),
				  want->low, want->high, want->alignment, want->boundary);
	result->error = result->va ? 0 : errno;
	result->ns = clock_ns() - start;
	result->reclaims = reclaims_now() - reclaims;
	if (result->va) {
		check_block(result, tuple);
	} else {
		snprintf(result->reason, sizeof(result->reason), "%s", contig_strreason());
		judge_refusal(result, tuple, input);
	}
}

static const struct column columns[] = {
	{"id", "ID", COLUMN_RIGHT},
	{"outcome", "OUTCOME", COLUMN_LEFT},
	{"start", "ADDRESS", COLUMN_RIGHT},
	{"time_ns", "TIME", COLUMN_RIGHT},
	{"reclaims", "RECLAIMS", COLUMN_RIGHT},
	{"errno", "ERRNO", COLUMN_LEFT},
	{"site", "SITE", COLUMN_WRAP},
	{"reason", "REASON", COLUMN_EXTRA},
	{"judged", "JUDGED", COLUMN_EXTRA},
	{"size", "SIZE", COLUMN_EXTRA},
	{"low", "LOW", COLUMN_EXTRA},
	{"high", "HIGH", COLUMN_EXTRA},
	{"alignment", "ALIGNMENT", COLUMN_EXTRA},
	{"boundary", "BOUNDARY", COLUMN_EXTRA},
	{"note", "NOTE", COLUMN_EXTRA},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void emit_result(struct emitter *e, const struct tuple *tuple,
			const struct result *result)
{
	const struct frames *frames = &result->frames;

	emitter_row(e, (const struct value[N_COLUMNS]){
			       value_text(tuple->id),
			       value_painted(outcomes[result->outcome].name,
					     outcomes[result->outcome].paint),
			       !result->va ? value_nothing()
			       : frames->n ? value_address(frames->ranges[0].start)
					   : value_unknown(),
			       value_nanoseconds(result->ns),
			       value_count(result->reclaims),
			       value_text(result->error ? strerrorname_np(result->error) : NULL),
			       value_text(tuple->site),
			       value_text(result->error ? result->reason : NULL),
			       value_text(result->judged),
			       value_bytes(tuple->want.size),
			       value_address(tuple->want.low),
			       value_address(tuple->want.high),
			       value_bytes(tuple->want.alignment),
			       value_bytes(tuple->want.boundary),
			       value_text(tuple->note[0] ? tuple->note : NULL),
		       });
}

static const char *reason_core(const struct result *result)
{
	return result->outcome == WRONG ? result->judged
					: blocks_reason_core(result->reason);
}

static bool same_reason(const struct result *a, const struct result *b)
{
	return a->outcome == b->outcome && a->judged == b->judged &&
	       !strcmp(reason_core(a), reason_core(b));
}

/* For people: each reason once, with the calls that it stopped. */
static void emit_reasons(struct emitter *e, const struct tuple_file *file,
			 const struct result *results)
{
	static const struct column reason_columns[] = {
		{"outcome", "WHY", COLUMN_LEFT},
		{"ids", "IDS", COLUMN_WRAP},
		{"reason", "reason", COLUMN_BELOW},
		{"judged", "judged", COLUMN_BELOW},
	};

	emitter_line(e, "%s", "");
	emitter_table_begin(e, "reasons", reason_columns, 4, false);
	for (size_t i = 0; i < file->n; i++) {
		char *ids = NULL;
		size_t len, j;
		FILE *out;

		if (results[i].outcome == MET)
			continue;
		for (j = 0; j < i && !same_reason(&results[i], &results[j]); j++)
			;
		if (j < i)
			continue; /* was said with that one */
		out = open_memstream(&ids, &len);
		if (!out)
			return;
		for (j = i; j < file->n; j++)
			if (results[j].outcome != MET && same_reason(&results[i], &results[j]))
				fprintf(out, "%s%s", j > i ? ", " : "", file->tuples[j].id);
		fclose(out);
		emitter_row(e, (const struct value[]){
				       value_painted(outcomes[results[i].outcome].name,
						     outcomes[results[i].outcome].paint),
				       value_text(ids),
				       value_text(results[i].error && results[i].reason[0]
						  ? blocks_reason_core(results[i].reason)
						  : NULL),
				       value_text(results[i].judged),
			       });
		free(ids);
	}
	emitter_table_end(e);
}

static int emit_summary(struct emitter *e, const size_t *counts, size_t n, bool grown)
{
	size_t refused = 0, bad = 0;
	char text[256];
	int used;

	for (size_t i = 0; i < N_OUTCOMES; i++) {
		refused += i != MET && i != WRONG ? counts[i] : 0;
		bad += outcomes[i].good ? 0 : counts[i];
	}
	used = snprintf(text, sizeof(text), "%zu of %zu met, %zu refused", counts[MET], n,
			refused);
	for (size_t i = IMPOSSIBLE; i <= UNMET; i++)
		if (counts[i])
			used += snprintf(text + used, sizeof(text) - (size_t)used, "%s%zu %s",
					 strchr(text, '(') ? ", " : " (", counts[i],
					 outcomes[i].name);
	snprintf(text + used, sizeof(text) - (size_t)used, "%s, %zu wrong",
		 refused ? ")" : "", counts[WRONG]);
	emitter_line(e, "%s", "");
	if (emitter_is_json(e)) {
		emitter_group_begin(e, "summary", NULL);
		emitter_field(e, "tuples", NULL, value_count(n));
		emitter_field(e, "refused", NULL, value_count(refused));
		for (size_t i = 0; i < N_OUTCOMES; i++)
			emitter_field(e, outcomes[i].name, NULL, value_count(counts[i]));
		emitter_group_end(e);
	} else {
		emitter_field(e, "summary", "Summary",
			      value_painted(text, bad ? PAINT_BAD
					  : counts[NO_PRIVILEGE] + counts[NO_MEMORY] ? PAINT_WARN
										     : PAINT_GOOD));
		if (counts[NO_MEMORY] && !grown)
			emitter_line(e, "Try --grow system as root, or 'contig pool below 4G N' "
					"first");
	}
	return bad ? STATUS_NO : STATUS_YES;
}

static int replay(struct emitter *e, const struct tuple_file *file,
		  const struct replay_input *input)
{
	struct result *results = calloc(file->n + 1, sizeof(*results));
	size_t counts[N_OUTCOMES] = {0};
	int status;

	if (!results) {
		emitter_error(e, "memory", ENOMEM, "none for the tool itself", NULL);
		return STATUS_TROUBLE;
	}
	for (size_t i = 0; i < file->n; i++) {
		try_tuple(&results[i], &file->tuples[i], input);
		counts[results[i].outcome]++;
		if (!input->keep) {
			contigfree(results[i].va, file->tuples[i].want.size, M_DEVBUF);
		}
	}
	emitter_table_begin(e, "tuples", columns, N_COLUMNS, true);
	for (size_t i = 0; i < file->n; i++)
		emit_result(e, &file->tuples[i], &results[i]);
	emitter_table_end(e);
	if (!emitter_is_json(e) && !input->output.columns && counts[MET] < file->n)
		emit_reasons(e, file, results);
	status = emit_summary(e, counts, file->n, may_grow());
	for (size_t i = 0; i < file->n; i++) {
		if (input->keep)
			contigfree(results[i].va, file->tuples[i].want.size, M_DEVBUF);
		frames_free(&results[i].frames);
	}
	free(results);
	return status;
}

int cmd_replay(int argc, char **argv)
{
	struct replay_input input = {.symbols = {.size = SIZE_DEFAULT}, .grow = -1};
	struct tuple_file file;
	struct emitter *e;
	char reason[160];
	FILE *in;
	int error, status;
	char *bad;

	options_parse(&argp, 0, argc, argv, &input);
	e = emitter_create("replay", &input.output);
	bad = emitter_bad_column(e, columns, N_COLUMNS);
	if (bad) {
		emitter_error(e, bad, 0,
			      "no such column (id, outcome, start, time_ns, reclaims, errno, "
			      "site, reason, judged, size, low, high, alignment, boundary, "
			      "note)",
			      "Try 'contig replay --help'");
		free(bad);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	in = strcmp(input.file, "-") ? fopen(input.file, "re") : stdin;
	if (!in) {
		emitter_error(e, input.file, errno, strerror(errno), NULL);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	error = tuple_file_read(in, &input.symbols, &file, reason, sizeof(reason));
	if (in != stdin)
		fclose(in);
	if (error) {
		emitter_error(e, input.file, -error, reason, "Try 'man contig-replay'");
		return emitter_finish(e, STATUS_TROUBLE);
	}
	error = blocks_configure(input.grow);
	if (error) {
		emitter_error(e, "--grow", -error, contig_strreason(), NULL);
		status = STATUS_TROUBLE;
	} else {
		status = replay(e, &file, &input);
	}
	tuple_file_free(&file);
	return emitter_finish(e, status);
}
