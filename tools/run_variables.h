/* SPDX-License-Identifier: BSD-2-Clause */
/* The shim's variables, as `contig run` finds them: they stand where no option
 * is given. */
#ifndef TOOLS_RUN_VARIABLES_H
#define TOOLS_RUN_VARIABLES_H

#include "run_environment.h"
#include "run_promise.h"

#include <stdint.h>

/* A value that nobody understands goes out of the environment: each process
 * that the shim gets into would complain of it again. */
void variables_read(struct promise_wanted *wanted, uint64_t *threshold);

/* Tell of those that no option stands for; how many that was. */
unsigned int variables_complain(const struct run_settings *options,
				void (*say)(const char *object, const char *text));

#endif
