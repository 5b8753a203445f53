/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the user asked for: environment first, contig_configure() over it.
 * Environment is ignored in set-id programs.  Read without a lock: settings
 * change only before memory is first taken.
 */
#ifndef PHYS_SETTINGS_H
#define PHYS_SETTINGS_H

#include "contig/pool.h"

#include <stdbool.h>

struct settings {
	struct contig_config config;
	bool report_at_exit;    /* CONTIG_STATS=1 */
	const char *simulate;   /* CONTIG_SIM, or NULL */
};

extern struct settings contig_settings;

/* Read the environment.  A value that can't be understood is named on stderr
 * and the default stays. */
void contig_settings_from_environment(void);

/* Who hears of such a value instead of stderr; wanted: what it should be.  For
 * the command, which reads it for others. */
extern void (*contig_settings_bad)(const char *name, const char *value, const char *wanted);

/* 0, or -EINVAL with the field named by the reason. */
int contig_settings_check(const struct contig_config *config);

/* "1g,2m,thp" to a mask; 0 when a word is unknown or none is given. */
unsigned int contig_sources_parse(const char *text);
int contig_grow_parse(const char *text, enum contig_grow *out);
const char *contig_grow_name(enum contig_grow grow);

#endif
