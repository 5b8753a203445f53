/* SPDX-License-Identifier: BSD-2-Clause */
/* The program of `contig run`: where it is, and whether the shim can help it. */
#ifndef TOOLS_RUN_PROGRAM_H
#define TOOLS_RUN_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

enum program_help {
	PROGRAM_HELPED,
	/* The shim stays out of it, but may get into what it starts. */
	PROGRAM_BYPASSED,
	/* The shim would stop it from starting: it must run without. */
	PROGRAM_SPARED
};

struct program {
	char path[PATH_MAX];   /* to be executed */
	char judged[PATH_MAX]; /* what runs in the end: a script's interpreter */
	char loader[256];      /* that the path itself names; "": none, or a script */
	bool binary;	       /* ELF: never the shell's */
	enum program_help help;
	char why[PATH_MAX + 256]; /* "" when it is helped */
};

/*
 * Find argv[0] as execvp(3) would and judge it.  0, or -errno when it can't
 * be executed: -ENOENT: there is none; why, if not "", tells of its interpreter.
 */
int program_find(char *const *argv, struct program *out);

#endif
