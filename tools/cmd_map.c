/* SPDX-License-Identifier: BSD-2-Clause */
/* contig map: what the memory of a process is made of. */
#include "base/reason.h"
#include "base/size.h"
#include "command.h"
#include "map.h"
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_USUAL 20
#define RUNS_MOST (UINT64_C(1) << 20)

enum {
	OPTION_VMA = OPTION_FIRST,
	OPTION_RUNS,
	OPTION_FOLIOS,
	OPTION_NO_PAGE_SIZES,
	OPTION_SVG,
	OPTION_NO_PICTURE
};

static const struct argp_option option_table[] = {
	{"vma", OPTION_VMA, "PATTERN", 0,
	 "Only mappings whose name has this in it or matches it, or the one at an address", 0},
	{"summary", 's', NULL, 0, "One row for each name", 0},
	{"runs", OPTION_RUNS, "N", OPTION_ARG_OPTIONAL, "List the N longest runs (20)", 0},
	{"folios", OPTION_FOLIOS, NULL, 0, "Count pages by the folios they are of", 0},
	{"no-page-sizes", OPTION_NO_PAGE_SIZES, NULL, 0, "Don't ask for page sizes", 0},
	{"svg", OPTION_SVG, "FILE", 0, "Draw the picture to FILE", 1},
	{"no-picture", OPTION_NO_PICTURE, NULL, 0, "Draw none in the terminal", 1},
	OPTIONS_OUTPUT,
	OPTIONS_SYSROOT,
	OPTIONS_HELP,
	{0},
};

struct map_input {
	struct emitter_options output;
	struct map_options options;
	const char *word, *svg;
	bool summary, no_picture;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct map_input *input = state->input;

	switch (key) {
	case OPTION_VMA:
		if (!*arg)
			usage_error(state, "--vma", "the pattern is empty");
		input->options.by_address = !contig_size_parse(arg, &input->options.address);
		input->options.pattern = arg;
		return 0;
	case 's':
		input->summary = true;
		return 0;
	case OPTION_RUNS:
		input->options.longest =
			arg ? options_number(state, "--runs", arg, 1, RUNS_MOST) : RUNS_USUAL;
		return 0;
	case OPTION_FOLIOS:
		input->options.folios = true;
		return 0;
	case OPTION_NO_PAGE_SIZES:
		input->options.no_page_sizes = true;
		return 0;
	case OPTION_SVG:
		input->svg = arg;
		return 0;
	case OPTION_NO_PICTURE:
		input->no_picture = true;
		return 0;
	case ARGP_KEY_ARG:
		if (input->word)
			usage_error(state, arg, "one argument too many");
		if (!*arg)
			usage_error(state, "process", "the name is empty");
		input->word = arg;
		return 0;
	case ARGP_KEY_END:
		if (!input->word)
			usage_error(state, "process", "missing (a number, a name or 'self')");
		return 0;
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "PID|NAME|self",
	"Show what the memory of a process is made of: for each mapping the pages that are "
	"there, the page sizes in use, the physical runs and their nodes.\v"
	"A run is memory whose frames follow each other as its addresses do.  Whose frames "
	"are hidden is shown as '?'.",
	NULL, NULL, NULL};

static int read_failed(struct emitter *e, const struct target *p, const char *object,
		       int error)
{
	const char *way_out = NULL, *reason = strerrordesc_np(-error);
	char text[TARGET_NAME_MAX + 64], who[TARGET_NAME_MAX + 32];

	if (error == -EACCES || error == -EPERM) {
		reason = "not this user's process";
		way_out = "Try it with sudo: it needs CAP_SYS_PTRACE";
	} else if (error == -ESRCH || error == -ENOENT) {
		reason = "has ended, or is not in this tree";
	} else if (error == -EINVAL && *contig_reason_get()) {
		reason = contig_reason_get();
	}
	target_text(p, who, sizeof(who));
	snprintf(text, sizeof(text), "%s of %s", object, who);
	emitter_error(e, text, -error, reason ? reason : "can't be read", way_out);
	return STATUS_TROUBLE;
}

static int nothing_there(struct emitter *e, const struct map_input *input,
			 const struct target *p)
{
	char who[TARGET_NAME_MAX + 32];

	if (input->options.pattern) {
		emitter_error(e, input->options.pattern, 0,
			      input->options.by_address ? "no mapping has this address"
							: "no mapping has such a name",
			      NULL);
		return STATUS_NO;
	}
	emitter_error(e, target_text(p, who, sizeof(who)), 0,
		      "has no memory of its own: it has ended, or is a thread of the kernel",
		      NULL);
	return STATUS_TROUBLE;
}

static int tell(struct emitter *e, const struct map_input *input, struct map *m)
{
	bool people = !emitter_is_json(e) && !input->output.columns;
	char who[TARGET_NAME_MAX + 32], title[TARGET_NAME_MAX + 64];
	int status = STATUS_YES, error;

	target_text(m->process, who, sizeof(who));
	snprintf(title, sizeof(title), "Memory of %s", who);
	map_longest_sort(&m->longest);
	map_emit(e, m, input->summary, input->output.columns && !emitter_is_json(e));
	/* Not into a table cut to columns, which is for a program. */
	if (people)
		map_emit_notes(e, m, input->options.folios);
	if (people && !input->no_picture && m->strip.n) {
		emitter_line(e, "%s", "");
		map_picture(m, NULL, NULL);
	}
	if (m->ended) {
		char reason[96];

		snprintf(reason, sizeof(reason),
			 "ended or began another program while it was read; %zu mapping%s missed",
			 m->missed, m->missed == 1 ? "" : "s");
		emitter_error(e, who, 0, reason, NULL);
		status = STATUS_TROUBLE;
	}
	error = input->svg ? map_picture(m, input->svg, title) : 0;
	if (error) {
		emitter_error(e, input->svg, -error, strerrordesc_np(-error), NULL);
		status = STATUS_TROUBLE;
	}
	return status;
}

int cmd_map(int argc, char **argv)
{
	struct map_input input = {0};
	struct map map = {0};
	struct target process;
	const char *object;
	struct emitter *e;
	int status, error = 0;
	char *bad;

	options_parse(&argp, 0, argc, argv, &input);
	e = emitter_create("map", &input.output);
	bad = map_bad_column(e);
	if (bad) {
		char reason[256];

		snprintf(reason, sizeof(reason), "no such column (%s)", map_column_names);
		emitter_error(e, bad, 0, reason, "Try 'contig map --help'");
		free(bad);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	status = target_find(e, input.word, &process);
	if (status)
		return emitter_finish(e, status);
	input.options.progress = true;
	/* Cells of a picture that nobody sees cost time. */
	if (input.svg || (!input.output.json && !input.no_picture && !input.output.columns))
		error = map_strip_begin(&map.strip, process.page_size);
	object = "picture";
	if (!error)
		error = map_read(&map, &process, &input.options, &object);
	if (error)
		status = read_failed(e, &process, object, error);
	else if (!map.n)
		status = nothing_there(e, &input, &process);
	else
		status = tell(e, &input, &map);
	map_free(&map);
	return emitter_finish(e, status);
}
