/* SPDX-License-Identifier: BSD-2-Clause */
#include "options.h"

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "base/size.h"
#include "command.h"
#include "host/root.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "(not configured)"
#endif

int options_trouble = STATUS_TROUBLE;

static bool json_asked(const struct argp_state *state)
{
	for (int i = 1; i < state->argc && strcmp(state->argv[i], "--"); i++)
		if (!strcmp(state->argv[i], "--json") || !strcmp(state->argv[i], "-J"))
			return true;
	return false;
}

void usage_error(const struct argp_state *state, const char *object,
		 const char *format, ...)
{
	const char *command = strchr(state->name, ' ');
	struct emitter_options options = {.json = json_asked(state)};
	char way_out[128];
	char *reason;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&reason, format, ap) < 0)
		exit(options_trouble);
	va_end(ap);
	snprintf(way_out, sizeof(way_out), "Try '%s --help'", state->name);
	if (command) {
		struct emitter *e = emitter_create(command + 1, &options);

		emitter_error(e, object, 0, reason, way_out);
		emitter_finish(e, options_trouble);
		exit(options_trouble);
	}
	fprintf(stderr, "%s: %s: %s\n%s\n", state->name, object, reason, way_out);
	exit(STATUS_TROUBLE);
}

uint64_t options_size(const struct argp_state *state, const char *name, const char *arg)
{
	uint64_t size;
	int error = contig_size_parse(arg, &size);

	if (error == -ERANGE)
		usage_error(state, name, "'%s' is too large for 64 bits", arg);
	if (error)
		usage_error(state, name, "'%s' is not a size (such as 64K, 2M, 0x1000)", arg);
	return size;
}

uint64_t options_number(const struct argp_state *state, const char *name,
			const char *arg, uint64_t min, uint64_t max)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(arg, &end, 0);
	if (end == arg || *end || strchr(arg, '-'))
		usage_error(state, name, "'%s' is not a number", arg);
	if (errno || number < min || number > max) {
		if (max == UINT64_MAX || max == INT64_MAX)
			usage_error(state, name, "%s is not %" PRIu64 " or more", arg, min);
		usage_error(state, name, "%s is not in %" PRIu64 " to %" PRIu64, arg, min,
			    max);
	}
	return number;
}

static const struct argp_option *option_by_key(const struct argp *argp, int key)
{
	for (const struct argp_option *o = argp->options; o->name || o->key; o++)
		if (o->key == key)
			return o;
	return NULL;
}

/*
 * What is wrong with one argument as an option, or NULL.  getopt has found
 * an error but says so only on stderr, and in words that we can't choose.
 */
static const char *option_problem(const struct argp *argp, const char *arg)
{
	const struct argp_option *match = NULL;
	size_t len = strcspn(arg + 2, "=");
	int matches = 0;

	if (strncmp(arg, "--", 2)) {
		for (const char *c = arg + 1; *c; c++) {
			const struct argp_option *o = option_by_key(argp, *c);

			if (!o)
				return "no such option";
			if (o->arg)
				return c[1] ? NULL : "needs a value";
		}
		return NULL;
	}
	for (const struct argp_option *o = argp->options; o->name || o->key; o++) {
		if (!o->name || strncmp(o->name, arg + 2, len))
			continue;
		match = o;
		matches++;
		if (strlen(o->name) == len) {
			matches = 1;
			break;
		}
	}
	if (matches == 0)
		return "no such option";
	if (matches > 1)
		return "may mean several options";
	if (match->arg && !(match->flags & OPTION_ARG_OPTIONAL) && !arg[2 + len])
		return "needs a value";
	if (!match->arg && arg[2 + len])
		return "takes no value";
	return NULL;
}

static void option_complain(struct argp_state *state)
{
	/* A long option has been passed, a cluster of short ones has not. */
	for (int i = state->next - 1; i <= state->next && i < state->argc; i++) {
		const char *arg = i > 0 ? state->argv[i] : "";
		const char *problem;

		if (arg[0] != '-' || !arg[1])
			continue;
		problem = option_problem(state->root_argp, arg);
		if (problem)
			usage_error(state, arg, "%s", problem);
	}
	usage_error(state, "arguments", "can't be read");
}

error_t options_parse_common(int key, char *arg, struct argp_state *state,
			     struct emitter_options *options)
{
	int error;

	switch (key) {
	case 'J':
		options->json = true;
		return 0;
	case 'n':
		options->no_header = true;
		return 0;
	case 'o':
		if (!*arg)
			usage_error(state, "--columns", "the list is empty");
		options->columns = arg;
		return 0;
	case 'b':
		options->bytes = true;
		return 0;
	case OPTION_SYSROOT:
		error = contig_root_set(arg);
		if (error)
			usage_error(state, arg, "%s", strerror(-error));
		return 0;
	case 'h':
		setenv("ARGP_HELP_FMT", "no-dup-args-note", 0);
		argp_help(state->root_argp, stdout,
			  ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC,
			  state->name);
		exit(fflush(stdout) ? STATUS_TROUBLE : STATUS_YES);
	case 'V':
		printf("contig (libcontig) %s\n", PACKAGE_VERSION);
		exit(fflush(stdout) ? STATUS_TROUBLE : STATUS_YES);
	case ARGP_KEY_ERROR:
		option_complain(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void options_parse(const struct argp *argp, unsigned int flags, int argc, char **argv,
		   void *input)
{
	error_t error = argp_parse(argp, argc, argv,
				   flags | ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_NO_EXIT, NULL,
				   input);

	if (error) { /* the parsers end the process on errors of the user */
		fprintf(stderr, "%s: arguments: %s\n", argv[0], strerror(error));
		exit(STATUS_TROUBLE);
	}
}
