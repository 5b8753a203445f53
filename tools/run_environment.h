/* SPDX-License-Identifier: BSD-2-Clause */
/* What `contig run` was asked for, and how the shim is told. */
#ifndef TOOLS_RUN_ENVIRONMENT_H
#define TOOLS_RUN_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUN_SETTINGS_MAX 16
#define RUN_ALIGN_MOST (UINT64_C(1) << 30) /* as the shim has it */

/* Texts as they go into the environment; NULL value: out of it. */
struct run_settings {
	size_t n;
	struct {
		const char *name, *value;
	} setting[RUN_SETTINGS_MAX];
};

void run_set(struct run_settings *settings, const char *name, const char *value);
bool run_is_set(const struct run_settings *settings, const char *name);

/* $CONTIG_PRELOAD, or that of the tree this was built in, or where it was installed. */
const char *run_shim(void);
/* NULL, or why the loader could not take it from there. */
const char *run_shim_problem(const char *shim);

/* Into the environment, the shim first in LD_PRELOAD unless preload is false
 * (then out of it).  0 or -ENOMEM. */
int run_environment(const struct run_settings *settings, const char *shim, bool preload);

#endif
