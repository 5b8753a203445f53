/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program as a child that is waited for.  It stays in the process group
 * and has the terminal, so job control is the shell's affair: what the
 * terminal sends reaches both, and only the program acts on it.  What another
 * process sends to `contig run` alone is passed on.
 */
#ifndef TOOLS_RUN_CHILD_H
#define TOOLS_RUN_CHILD_H

#include "run_program.h"

#include <signal.h>

/* As env(1) has them. */
enum {
	RUN_TROUBLE = 125,
	RUN_NOT_STARTED = 126,
	RUN_NOT_FOUND = 127
};

/* Execute it; returns only when that failed: RUN_NOT_STARTED or _FOUND.
 * SIGPIPE is put back to sigpipe first. */
int child_exec(const struct program *program, char *const *argv, void (*sigpipe)(int));

/*
 * Start and wait: 0 and *status as waitpid(2) has it; else RUN_*: said on
 * stderr.  Signals stay blocked, so that the report is written whatever comes.
 */
int child_run(const struct program *program, char *const *argv, void (*sigpipe)(int),
	      int *status);

/* The exit status that passes a wait status on; a death by signal is died
 * again, without a second core. */
int child_pass_on(int status);

#endif
