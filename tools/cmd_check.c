/* SPDX-License-Identifier: BSD-2-Clause */
/* contig check: whether a range of a process's memory is one physical run. */
#include "command.h"
#include "map_range.h"
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPTION_LOW = OPTION_FIRST,
	OPTION_HIGH
};

static const struct argp_option option_table[] = {
	{"low", OPTION_LOW, "ADDRESS", 0, "Lowest physical address (0)", 0},
	{"high", OPTION_HIGH, "ADDRESS", 0, "End of the window, exclusive (~0)", 0},
	{"align", 'a', "SIZE", 0, "Alignment, a power of two (1)", 0},
	{"boundary", 'B', "SIZE", 0, "Cross no multiple of this power of two (0: none)", 0},
	OPTIONS_OUTPUT,
	OPTIONS_SYSROOT,
	OPTIONS_HELP,
	{0},
};

struct check_input {
	struct emitter_options output;
	struct map_limits limits;
	const char *word;
	uint64_t address, len;
	int words;
};

static uint64_t power_of_two(const struct argp_state *state, const char *name,
			     const char *arg, bool zero_ok)
{
	uint64_t n = options_size(state, name, arg);

	if ((!n && !zero_ok) || (n & (n - 1)))
		usage_error(state, name, "'%s' is not a power of two", arg);
	return n;
}

static void parse_word(struct check_input *input, const char *arg, struct argp_state *state)
{
	switch (input->words++) {
	case 0:
		if (!*arg)
			usage_error(state, "process", "the name is empty");
		input->word = arg;
		return;
	case 1:
		input->address = options_size(state, "address", arg);
		return;
	case 2:
		input->len = options_size(state, "length", arg);
		if (!input->len)
			usage_error(state, "length", "nothing is always contiguous");
		if (input->address + (input->len - 1) < input->address ||
		    input->address + input->len > INT64_MAX)
			usage_error(state, "length", "the range ends above all user memory");
		return;
	default:
		usage_error(state, arg, "one argument too many");
	}
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct check_input *input = state->input;

	switch (key) {
	case OPTION_LOW:
		input->limits.low = options_size(state, "--low", arg);
		return 0;
	case OPTION_HIGH:
		input->limits.high = options_size(state, "--high", arg);
		return 0;
	case 'a':
		input->limits.alignment = power_of_two(state, "--align", arg, false);
		return 0;
	case 'B':
		input->limits.boundary = power_of_two(state, "--boundary", arg, true);
		return 0;
	case ARGP_KEY_ARG:
		parse_word(input, arg, state);
		return 0;
	case ARGP_KEY_END:
		if (input->words < 3)
			usage_error(state, "arguments", "a process, an address and a length "
							"are needed");
		return 0;
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "PID|NAME|self ADDRESS LENGTH",
	"Check whether a range of a process's memory is physically contiguous and keeps "
	"constraints, as contigmalloc(9) has them.\v"
	"Exit status: 0 it is, 1 it is not (the first byte that breaks it is told), "
	"2 trouble, as where frames are hidden.",
	NULL, NULL, NULL};

static const struct column columns[] = {
	{"address", "ADDRESS", COLUMN_RIGHT},
	{"size", "SIZE", COLUMN_RIGHT},
	{"start", "START", COLUMN_RIGHT},
	{"end", "END", COLUMN_RIGHT},
	{"good", "GOOD", COLUMN_RIGHT},
	{"verdict", "VERDICT", COLUMN_LEFT},
	{"breaks_at", "BREAKS-AT", COLUMN_EXTRA},
	{"next", "NEXT", COLUMN_EXTRA},
	{"superpage_size", "SUPERPAGE", COLUMN_EXTRA},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static const char *const verdicts[] = {
	[BREAK_NONE] = "contiguous",   [BREAK_ABSENT] = "absent",
	[BREAK_SWAPPED] = "swapped",   [BREAK_FRAMES] = "scattered",
	[BREAK_ALIGNMENT] = "alignment", [BREAK_LOW] = "low",
	[BREAK_HIGH] = "high",	       [BREAK_BOUNDARY] = "boundary",
	[BREAK_UNKNOWN] = "unknown",   [BREAK_ZERO] = "zero",
};

/* Why, in words, for people; the place is told before. */
static void why_text(const struct check_input *input, const struct map_range *r, char *buf,
		     size_t len)
{
	switch (r->why) {
	case BREAK_ABSENT:
		snprintf(buf, len, "no page is present there");
		break;
	case BREAK_SWAPPED:
		snprintf(buf, len, "its page is swapped out");
		break;
	case BREAK_ZERO:
		snprintf(buf, len, "its page was only read so far; a write moves it");
		break;
	case BREAK_FRAMES:
		snprintf(buf, len, "it lies at 0x%" PRIx64 ", not at 0x%" PRIx64, r->next,
			 r->start + r->bytes);
		break;
	case BREAK_ALIGNMENT:
		snprintf(buf, len, "0x%" PRIx64 " is not aligned to 0x%" PRIx64, r->start,
			 input->limits.alignment);
		break;
	case BREAK_LOW:
		snprintf(buf, len, "0x%" PRIx64 " is below 0x%" PRIx64, r->next,
			 input->limits.low);
		break;
	case BREAK_HIGH:
		snprintf(buf, len, "0x%" PRIx64 " is not below 0x%" PRIx64, r->next,
			 input->limits.high);
		break;
	case BREAK_BOUNDARY:
		snprintf(buf, len, "it crosses a multiple of 0x%" PRIx64,
			 input->limits.boundary);
		break;
	default:
		snprintf(buf, len, "unknown");
	}
	/* Known by its superpage alone: there are no physical addresses to tell. */
	if (r->start == UINT64_MAX && r->why == BREAK_ALIGNMENT)
		snprintf(buf, len, "it is not aligned to 0x%" PRIx64, input->limits.alignment);
}

static int tell(struct emitter *e, const struct check_input *input, const struct map_range *r)
{
	bool start = r->start != UINT64_MAX, good = r->why == BREAK_NONE;
	bool unknown = r->why == BREAK_UNKNOWN;
	char why[128];

	emitter_table_begin(e, "range", columns, N_COLUMNS, true);
	emitter_row(e, (const struct value[N_COLUMNS]){
			       value_address(input->address),
			       value_bytes(input->len),
			       start ? value_address(r->start) : value_unknown(),
			       start && good ? value_address(r->start + input->len)
			       : start	     ? value_nothing()
					     : value_unknown(),
			       unknown ? value_unknown() : value_bytes(r->bytes),
			       unknown ? value_unknown()
				       : value_painted(verdicts[r->why],
						       good ? PAINT_GOOD : PAINT_BAD),
			       good || unknown ? value_nothing() : value_count(r->bytes),
			       r->next != UINT64_MAX ? value_address(r->next) : value_nothing(),
			       r->superpage ? value_bytes(r->superpage) : value_nothing(),
		       });
	emitter_table_end(e);
	if (unknown) {
		emitter_error(e, "range", 0,
			      "pagemap hides frame numbers from this process (needs "
			      "CAP_SYS_ADMIN)",
			      NULL);
		return STATUS_TROUBLE;
	}
	if (good)
		return STATUS_YES;
	why_text(input, r, why, sizeof(why));
	if (!input->output.columns)
		emitter_line(e, "byte %" PRIu64 " of %" PRIu64 " (0x%" PRIx64 "): %s", r->bytes,
			     input->len, input->address + r->bytes, why);
	return STATUS_NO;
}

static int open_failed(struct emitter *e, const struct target *p, int error)
{
	char who[TARGET_NAME_MAX + 32];
	bool denied = error == -EACCES || error == -EPERM;

	emitter_error(e, target_text(p, who, sizeof(who)), -error,
		      denied			 ? "not this user's process"
		      : error == -ESRCH || error == -ENOENT
			      ? "has ended, or is not in this tree"
			      : strerrordesc_np(-error),
		      denied ? "Try it with sudo: it needs CAP_SYS_PTRACE" : NULL);
	return STATUS_TROUBLE;
}

int cmd_check(int argc, char **argv)
{
	struct check_input input = {.limits = {.high = UINT64_MAX, .alignment = 1}};
	struct map_source source;
	struct target process;
	struct map_range range;
	struct emitter *e;
	int status, error;
	char *bad;

	options_parse(&argp, 0, argc, argv, &input);
	e = emitter_create("check", &input.output);
	bad = emitter_bad_column(e, columns, N_COLUMNS);
	if (bad) {
		emitter_error(e, bad, 0,
			      "no such column (address, size, start, end, good, verdict, "
			      "breaks_at, next, superpage_size)",
			      "Try 'contig check --help'");
		free(bad);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	status = target_find(e, input.word, &process);
	if (status)
		return emitter_finish(e, status);
	error = map_source_open(&source, &process);
	if (error)
		return emitter_finish(e, open_failed(e, &process, error));
	error = map_range_check(&source, &process, input.address, input.len, &input.limits,
				&range);
	map_source_close(&source);
	status = error ? open_failed(e, &process, error) : tell(e, &input, &range);
	return emitter_finish(e, status);
}
