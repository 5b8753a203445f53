/* SPDX-License-Identifier: BSD-2-Clause */
/* contig doctor: what this machine can do, what it means, what mends it. */
#include "command.h"
#include "doctor.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct argp_option option_table[] = {
	{"verbose", 'v', NULL, 0, "Say what each capability means, also where all is well", 0},
	OPTIONS_OUTPUT,
	OPTIONS_SYSROOT,
	OPTIONS_HELP,
	{0},
};

struct doctor_input {
	struct emitter_options output;
	bool verbose;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct doctor_input *input = state->input;

	switch (key) {
	case 'v':
		input->verbose = true;
		return 0;
	case ARGP_KEY_ARG:
		usage_error(state, arg, "doctor takes no such argument");
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "",
	"Try each capability that contiguous memory needs: what was found, what it "
	"means, and the command that would mend it.  Nothing is changed.",
	NULL, NULL, NULL};

static const struct column columns[] = {
	{"state", "STATE", COLUMN_LEFT},
	{"check", "CAPABILITY", COLUMN_LEFT},
	{"found", "FOUND", COLUMN_WRAP},
	{"means", "means", COLUMN_BELOW},
	{"mend", "mend", COLUMN_COMMAND},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static const struct {
	const char *name;
	enum paint paint;
} states[] = {
	[DOCTOR_OK] = {"ok", PAINT_GOOD},
	[DOCTOR_LIMITED] = {"limited", PAINT_WARN},
	[DOCTOR_MISSING] = {"missing", PAINT_BAD},
	[DOCTOR_UNTRIED] = {"untried", PAINT_DIM},
};

static void print_check(struct emitter *e, const struct doctor_check *check, bool all)
{
	bool means = check->means[0] && (all || check->state != DOCTOR_OK);
	const struct value values[N_COLUMNS] = {
		value_painted(states[check->state].name, states[check->state].paint),
		value_text(check->name),
		value_text(check->found),
		value_text(means ? check->means : NULL),
		value_text(check->mend[0] ? check->mend : NULL),
	};

	emitter_row(e, values);
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor_input input = {0};
	struct doctor *doctor;
	struct emitter *e;
	char *bad;
	int status;

	options_parse(&argp, 0, argc, argv, &input);
	e = emitter_create("doctor", &input.output);
	bad = emitter_bad_column(e, columns, N_COLUMNS);
	if (bad) {
		emitter_error(e, bad, 0, "no such column (state, check, found, means, mend)",
			      "Try 'contig doctor --help'");
		free(bad);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	doctor = doctor_examine();
	if (!doctor) {
		emitter_error(e, "/proc", 0, "can't be read: is it mounted?", NULL);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	emitter_table_begin(e, "checks", columns, N_COLUMNS, true);
	for (size_t i = 0; i < doctor->n; i++)
		print_check(e, &doctor->checks[i],
			    input.verbose || input.output.json || input.output.columns);
	emitter_table_end(e);
	if (!input.output.columns) {
		emitter_line(e, "%s", "");
		if (geteuid())
			emitter_line(e, "The commands to mend things need root.");
	}
	emitter_field(e, "level", NULL, value_text(doctor->level));
	emitter_field(e, "wiring", NULL, value_text(doctor->wiring));
	emitter_field(e, "verdict", "Verdict",
		      value_painted(doctor->verdict, doctor->fit ? PAINT_GOOD : PAINT_WARN));
	status = doctor->fit ? STATUS_YES : STATUS_NO;
	doctor_free(doctor);
	return emitter_finish(e, status);
}
