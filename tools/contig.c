/* SPDX-License-Identifier: BSD-2-Clause */
/* contig: the command line of libcontig. */
#include "command.h"
#include "options.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void (*contig_sigpipe)(int);

static const struct command commands[] = {
	{"doctor", "what this machine can do, and what would mend the rest", cmd_doctor},
	{"alloc", "allocate contiguous memory and show where it lies", cmd_alloc},
	{"replay", "try the contigmalloc calls of real drivers", cmd_replay},
	{"pool", "show and shape the kernel's pools of superpages", cmd_pool},
	{"share", "vmas of other processes, and who holds pages there", cmd_share},
	{"stats", "counters and pools of processes that use libcontig", cmd_stats},
	{"top", "watch superpages and those who use them", cmd_top},
	{"map", "show what the memory of a process is made of", cmd_map},
	{"check", "tell whether a range of a process is physically contiguous", cmd_check},
	{"phys", "show what physical memory is used for, and draw it", cmd_phys},
	{"bench", "measure how contiguous memory can be had, and its worth", cmd_bench},
	{"capture", "pack what a bug report needs", cmd_capture},
	{"run", "start a program with its memory contiguous and wired", cmd_run},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct argp_option option_table[] = {
	OPTIONS_SYSROOT,
	OPTIONS_HELP,
	{0},
};

struct main_input {
	struct emitter_options options;
	int command; /* its place in argv; 0: none */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct main_input *input = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		input->command = state->next - 1;
		state->next = state->argc; /* the rest is the subcommand's */
		return 0;
	case ARGP_KEY_NO_ARGS:
		usage_error(state, "command", "missing");
	default:
		return options_parse_common(key, arg, state, &input->options);
	}
}

/* argp wants the text after the options in one string. */
static char *help_text(void)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	fprintf(out, "Physically contiguous memory in user space.\vCommands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fprintf(out, "\n'contig COMMAND --help' tells more.  Exit status: 0 yes, 1 no, "
		     "2 trouble.");
	return fclose(out) ? NULL : text;
}

int main(int argc, char **argv)
{
	struct main_input input = {0};
	struct argp argp = {option_table, parse, "COMMAND [ARGUMENT...]", help_text(),
			    NULL, NULL, NULL};
	char *no_arguments[] = {(char *)"contig", NULL};
	const char *name;
	char title[32];

	setlocale(LC_CTYPE, "");
	/* A reader that goes away is an error to report, not a death. */
	contig_sigpipe = signal(SIGPIPE, SIG_IGN);
	if (argc < 1) {
		argc = 1;
		argv = no_arguments;
	}
	argv[0] = no_arguments[0];
	options_parse(&argp, ARGP_IN_ORDER, argc, argv, &input);
	free((char *)argp.doc);

	name = argv[input.command];
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, name))
			continue;
		snprintf(title, sizeof(title), "contig %s", name);
		argv[input.command] = title;
		return commands[i].run(argc - input.command, argv + input.command);
	}
	fprintf(stderr, "contig: %s: no such command\nTry 'contig --help'\n", name);
	return STATUS_TROUBLE;
}
