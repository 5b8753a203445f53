/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all argument tables share: the common options, help and version on
 * standard output, and one way to complain.
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include "emitter.h"

#include <argp.h>
#include <stdint.h>

enum {
	OPTION_SYSROOT = 0x100,
	OPTION_FIRST /* keys of a subcommand's own long options start here */
};

/* Rows for a subcommand's argp_option table. */
#define OPTIONS_OUTPUT                                                              \
	{"json", 'J', NULL, 0, "Print JSON", 90},                                   \
	{"no-header", 'n', NULL, 0, "Print no column headings", 90},                \
	{"columns", 'o', "LIST", 0, "Print these columns, comma-separated", 90},    \
	{"bytes", 'b', NULL, 0, "Print sizes in bytes", 90}
#define OPTIONS_SYSROOT                                                             \
	{"sysroot", OPTION_SYSROOT, "DIR", 0, "Read proc and sys below DIR", 91}
#define OPTIONS_HELP                                                                \
	{"help", 'h', NULL, 0, "Print this help", -1},                              \
	{"version", 'V', NULL, 0, "Print the version", -1}

/* For a parser's default case: takes the rows above, ARGP_ERR_UNKNOWN else.
 * Help, version and errors end the process. */
error_t options_parse_common(int key, char *arg, struct argp_state *state,
			     struct emitter_options *options);

/* argp_parse() with our conventions; options must be in reach of input's
 * parser.  Returns only when all is well. */
void options_parse(const struct argp *argp, unsigned int flags, int argc, char **argv,
		   void *input);

/* The exit status of bad usage, for a command that needs 2 for another's. */
extern int options_trouble;

/* "contig X: object: reason", then "Try 'contig X --help'", then exit 2.
 * With --json among the arguments, the same as JSON on standard output. */
void usage_error(const struct argp_state *state, const char *object,
		 const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));

/* Numbers, with usage_error() when they are none.  name: the option. */
uint64_t options_size(const struct argp_state *state, const char *name, const char *arg);
uint64_t options_number(const struct argp_state *state, const char *name,
			const char *arg, uint64_t min, uint64_t max);

#endif
