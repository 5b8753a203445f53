/* SPDX-License-Identifier: BSD-2-Clause */
/* contig run: start a program with the shim, and tell what it got. */
#include "base/clock.h"
#include "base/page.h"
#include "blocks.h"
#include "command.h"
#include "host/topology.h"
#include "options.h"
#include "phys/settings.h"
#include "run_child.h"
#include "run_environment.h"
#include "run_program.h"
#include "run_promise.h"
#include "run_report.h"
#include "run_say.h"
#include "run_variables.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THRESHOLD_DEFAULT 65536

enum {
	OPTION_BELOW = OPTION_FIRST,
	OPTION_NODE,
	OPTION_STRICT,
	OPTION_FALLBACK,
	OPTION_REQUIRE,
	OPTION_SOURCES,
	OPTION_GROW,
	OPTION_THRESHOLD,
	OPTION_LIMIT,
	OPTION_FORK,
	OPTION_RESTRICT,
	OPTION_REPORT
};

static const struct argp_option option_table[] = {
	{"below", OPTION_BELOW, "ADDRESS", 0, "Only memory below this physical address", 0},
	{"align", 'a', "SIZE", 0, "Physical alignment of large allocations", 0},
	{"node", OPTION_NODE, "NODE", 0, "Only from this NUMA node", 0},
	{"threshold", OPTION_THRESHOLD, "SIZE", 0,
	 "Allocations from here on are contiguous as a whole (64K)", 0},
	{"limit", OPTION_LIMIT, "SIZE", 0, "At most so much superpage memory a process", 0},
	{"strict", OPTION_STRICT, NULL, 0, "Fail an allocation rather than fall back", 1},
	{"fallback", OPTION_FALLBACK, NULL, 0, "Fall back to base pages (the default)", 1},
	{"require", OPTION_REQUIRE, "SIZE", OPTION_ARG_OPTIONAL,
	 "Don't start if the promise can't be kept, for blocks of up to SIZE", 1},
	{"fork", OPTION_FORK, "HOW", 0,
	 "When a fork can't keep memory wired: enomem (the default) or cow", 1},
	{"sources", OPTION_SOURCES, "LIST", 0, "Superpages from these: 1g, 2m, thp", 2},
	{"grow", OPTION_GROW, "HOW", 0,
	 "Let pools grow: never, overcommit or system (CONTIG_GROW)", 2},
	{"restrict", OPTION_RESTRICT, "NAME[:NAME...]", 0,
	 "Only programs of these file names", 2},
	{"report", OPTION_REPORT, "[json][:FILE]", OPTION_ARG_OPTIONAL,
	 "Tell at the end what the program got, on stderr or to FILE", 3},
	OPTIONS_OUTPUT,
	OPTIONS_HELP,
	{0},
};

struct run_input {
	struct emitter_options output;
	struct run_settings settings;
	struct promise_wanted wanted;
	char node[16];
	uint64_t threshold;
	bool require, report;
	const char *report_file;
	char **program; /* and its arguments */
};

static uint64_t size_above_0(const struct argp_state *state, const char *name,
			     const char *arg)
{
	uint64_t size = options_size(state, name, arg);

	if (!size)
		usage_error(state, name, "'%s' is nothing", arg);
	return size;
}

static void parse_report(struct argp_state *state, struct run_input *input, char *arg)
{
	input->report = true;
	if (!arg)
		return;
	if (!strncmp(arg, "json", 4) && (!arg[4] || arg[4] == ':')) {
		input->output.json = true;
		arg += 4;
	}
	if (!*arg)
		return;
	if (arg[0] != ':' || !arg[1])
		usage_error(state, "--report", "'%s' is not json, :FILE or json:FILE", arg);
	input->report_file = arg + 1;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct run_input *input = state->input;
	uint64_t size;

	switch (key) {
	case OPTION_BELOW:
		input->wanted.below = size_above_0(state, "--below", arg);
		run_set(&input->settings, "CONTIG_RUN_BELOW", arg);
		return 0;
	case 'a':
		size = size_above_0(state, "--align", arg);
		if (size & (size - 1))
			usage_error(state, "--align", "'%s' is not a power of two", arg);
		if (size > RUN_ALIGN_MOST)
			usage_error(state, "--align", "'%s' is more than 1G", arg);
		input->wanted.align = size;
		run_set(&input->settings, "CONTIG_RUN_ALIGN", arg);
		return 0;
	case OPTION_NODE:
		input->wanted.node =
			(int)options_number(state, "--node", arg, 0, HOST_NODES_MAX - 1);
		/* As the shim reads it: 0x1 is no number there. */
		snprintf(input->node, sizeof(input->node), "%d", input->wanted.node);
		run_set(&input->settings, "CONTIG_NODE", input->node);
		return 0;
	case OPTION_THRESHOLD:
		input->threshold = size_above_0(state, "--threshold", arg);
		run_set(&input->settings, "CONTIG_RUN_THRESHOLD", arg);
		return 0;
	case OPTION_LIMIT:
		input->wanted.limit = size_above_0(state, "--limit", arg);
		if (input->wanted.limit < SUPERPAGE_SIZE)
			usage_error(state, "--limit", "'%s' is less than a superpage (2M)", arg);
		run_set(&input->settings, "CONTIG_LIMIT", arg);
		return 0;
	case OPTION_STRICT:
		run_set(&input->settings, "CONTIG_RUN_STRICT", "1");
		return 0;
	case OPTION_FALLBACK:
		run_set(&input->settings, "CONTIG_RUN_STRICT", NULL);
		return 0;
	case OPTION_REQUIRE:
		input->require = true;
		input->wanted.run = arg ? size_above_0(state, "--require", arg) : 0;
		return 0;
	case OPTION_FORK:
		if (strcmp(arg, "enomem") && strcmp(arg, "cow"))
			usage_error(state, "--fork", "'%s' is not enomem or cow", arg);
		run_set(&input->settings, "CONTIG_RUN_FORK", arg);
		return 0;
	case OPTION_SOURCES:
		input->wanted.sources = contig_sources_parse(arg);
		if (!input->wanted.sources)
			usage_error(state, "--sources", "'%s' is not a list of 1g, 2m, thp", arg);
		run_set(&input->settings, "CONTIG_SOURCES", arg);
		return 0;
	case OPTION_GROW:
		input->wanted.grow = options_grow(state, arg);
		run_set(&input->settings, "CONTIG_GROW", arg);
		return 0;
	case OPTION_RESTRICT:
		if (!*arg)
			usage_error(state, "--restrict", "the list is empty");
		if (strchr(arg, '/'))
			usage_error(state, "--restrict", "'%s' is a path, not file names", arg);
		run_set(&input->settings, "CONTIG_RESTRICT", arg);
		return 0;
	case OPTION_REPORT:
		parse_report(state, input, arg);
		return 0;
	case 'J':
	case 'o':
		/* Both are about the report, so both ask for one. */
		input->report = true;
		return options_parse_common(key, arg, state, &input->output);
	case ARGP_KEY_ARGS:
		input->program = state->argv + state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_error(state, "program", "missing");
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "[--] PROGRAM [ARGUMENT...]",
	"Start PROGRAM with its memory on contiguous, wired superpages.\v"
	"Sizes and addresses take 0x and the suffixes K, M, G, T.  The exit status is "
	"PROGRAM's; 125: contig run failed, 126: PROGRAM can't be started, 127: there is "
	"none.",
	NULL, NULL, NULL};

/* false: --require, and it can't be helped. */
static bool program_is_fit(const struct run_input *input, const struct program *program)
{
	if (program->why[0])
		run_say(program->judged, program->why);
	if (program->help == PROGRAM_HELPED || !input->require)
		return true;
	run_say(program->path, "not started (--require)");
	return false;
}

static bool promise_is_fit(const struct run_input *input, const struct promise *promise)
{
	unsigned int broken = promise->n - promise->n_slow - promise->n_chosen;

	for (unsigned int i = 0; i < promise->n; i++) {
		run_say(promise->doubt[i].slow ? "this will be slow" : "the promise can't be kept",
			promise->doubt[i].why);
		if (promise->doubt[i].mend[0])
			fprintf(stderr, "  mend: %s\n", promise->doubt[i].mend);
	}
	if (!broken || !input->require)
		return true;
	run_say(input->program[0], broken > promise->n_long ?
		"not started (--require)" :
		"not started (--require; --require=2M where no block is longer)");
	return false;
}

/* The shim would take memory of any other. */
static bool node_exists(const struct run_input *input)
{
	const struct host_topology *t = contig_topology();
	bool by_option = run_is_set(&input->settings, "CONTIG_NODE");
	int node = input->wanted.node;
	char nodes[256] = "";

	if (node < 0 || !t)
		return true;
	for (int i = 0; i < t->n_nodes; i++) {
		size_t len = strlen(nodes);

		if (t->nodes[i] == node)
			return true;
		snprintf(nodes + len, sizeof(nodes) - len, "%s%d", i ? ", " : "", t->nodes[i]);
	}
	fprintf(stderr, "contig run: %s%d: no such node with memory here (there is %s)\n",
		by_option ? "--node " : "CONTIG_NODE=", node, nodes);
	return false;
}

/* A descriptor the report will go to, above the three. */
static int report_target(const struct run_input *input)
{
	int fd, high;

	if (!input->report_file)
		return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	fd = open(input->report_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0 || fd > 2)
		return fd;
	high = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return high;
}

static int run_and_report(struct run_input *input, const struct program *program,
			  const struct promise *promise, struct emitter *e)
{
	struct report_ending ending = {.program = input->program[0],
				       .threshold = input->threshold,
				       .promised = promise->n == promise->n_slow};
	uint64_t start = clock_ns();
	struct run_report report;
	int target, error = report_create(&report);

	if (error) {
		run_say("report", error == -EFBIG ?
			"no room under the limit on files (ulimit -f)" : strerror(-error));
		return RUN_TROUBLE;
	}
	target = report_target(input);
	if (target < 0) {
		run_say(input->report_file ? input->report_file : "standard error",
			strerror(errno));
		return RUN_TROUBLE;
	}
	if (setenv("CONTIG_REPORT", report.name, 1)) {
		run_say("environment", strerror(errno));
		return RUN_TROUBLE;
	}
	error = child_run(program, input->program, contig_sigpipe, &ending.status);
	if (error)
		return error;
	ending.elapsed_ns = clock_ns() - start;
	/* The emitter writes on standard output; ours was the program's. */
	if (dup2(target, STDOUT_FILENO) < 0) {
		run_say("report", strerror(errno));
	} else {
		report_emit(&report, &ending, input->output.columns, e);
		emitter_finish(e, 0);
	}
	return child_pass_on(ending.status);
}

/* Ends the emitter when not. */
static bool columns_exist(struct emitter *e)
{
	size_t n;
	const struct column *columns = report_columns(&n);
	char *bad = emitter_bad_column(e, columns, n);
	char text[512] = "no such column (";

	if (!bad)
		return true;
	for (size_t i = 0; i < n; i++) {
		strcat(text, columns[i].key);
		strcat(text, i + 1 < n ? ", " : ")");
	}
	emitter_error(e, bad, 0, text, "Try 'contig run --help'");
	free(bad);
	emitter_finish(e, RUN_TROUBLE);
	return false;
}

/* false: --require, and what was asked for isn't known. */
static bool variables_are_fit(const struct run_input *input)
{
	if (!variables_complain(&input->settings, run_say) || !input->require)
		return true;
	run_say(input->program[0], "not started (--require)");
	return false;
}

int cmd_run(int argc, char **argv)
{
	struct run_input input = {.threshold = THRESHOLD_DEFAULT,
				  .wanted = {.below = UINT64_MAX, .align = 1, .node = -1}};
	const char *shim = run_shim(), *problem;
	struct program program;
	struct promise promise;
	struct emitter *e;
	int error;

	options_trouble = RUN_TROUBLE;
	variables_read(&input.wanted, &input.threshold);
	options_parse(&argp, ARGP_IN_ORDER, argc, argv, &input);

	e = emitter_create("run", &input.output);
	if (!columns_exist(e))
		return RUN_TROUBLE;
	problem = run_shim_problem(shim);
	if (problem) {
		run_say(shim, problem);
		return RUN_TROUBLE;
	}
	error = program_find(input.program, &program);
	if (error) {
		run_say(input.program[0], program.why[0] ? program.why : strerror(-error));
		return error == -ENOENT ? RUN_NOT_FOUND : RUN_NOT_STARTED;
	}
	if (!variables_are_fit(&input) || !program_is_fit(&input, &program))
		return RUN_TROUBLE;
	if (!node_exists(&input))
		return RUN_TROUBLE;
	error = run_environment(&input.settings, shim, program.help != PROGRAM_SPARED);
	if (error) {
		run_say("environment", strerror(-error));
		return RUN_TROUBLE;
	}
	/* By the settings that the program will find. */
	promise_examine(&input.wanted, &promise);
	if (!promise_is_fit(&input, &promise))
		return RUN_TROUBLE;
	if (input.report)
		return run_and_report(&input, &program, &promise, e);
	return child_exec(&program, input.program, contig_sigpipe);
}
