/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_variables.h"

#include "base/size.h"
#include "phys/settings.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BAD_MOST 24 /* more than there are variables */

static struct {
	const char *name; /* of a constant */
	char *value;
	const char *wanted;
} bad[BAD_MOST];
static unsigned int n_bad;

static void note_bad(const char *name, const char *value, const char *wanted)
{
	if (n_bad < BAD_MOST) {
		bad[n_bad].name = name;
		bad[n_bad].value = strdup(value);
		bad[n_bad++].wanted = wanted;
	}
	unsetenv(name);
}

static bool is_size(const char *value, uint64_t *out)
{
	uint64_t size;

	if (contig_size_parse(value, &size) || !size)
		return false;
	*out = size;
	return true;
}

static void size_from(const char *name, uint64_t *out)
{
	const char *value = getenv(name);

	if (value && !is_size(value, out))
		note_bad(name, value, "a size above 0 (a whole number, with K, M, G or T)");
}

static void align_from(const char *name, uint64_t *out)
{
	const char *value = getenv(name);
	uint64_t size;

	if (!value)
		return;
	if (is_size(value, &size) && !(size & (size - 1)) && size <= RUN_ALIGN_MOST)
		*out = size;
	else
		note_bad(name, value, "a power of two up to 1G");
}

static void map_limit_from(const char *name)
{
	const char *value = getenv(name);
	uint64_t size;

	if (value && contig_size_parse(value, &size))
		note_bad(name, value, "a size (a whole number, with K, M, G or T)");
}

/* One of two words. */
static void word_from(const char *name, const char *one, const char *other,
		      const char *wanted)
{
	const char *value = getenv(name);

	if (value && strcmp(value, one) && strcmp(value, other))
		note_bad(name, value, wanted);
}

void variables_read(struct promise_wanted *wanted, uint64_t *threshold)
{
	contig_settings_bad = note_bad;
	contig_settings_from_environment();
	wanted->sources = contig_settings.config.sources;
	wanted->grow = contig_settings.config.grow;
	wanted->limit = contig_settings.config.limit;
	wanted->node = contig_settings.config.node;
	size_from("CONTIG_RUN_BELOW", &wanted->below);
	align_from("CONTIG_RUN_ALIGN", &wanted->align);
	size_from("CONTIG_RUN_THRESHOLD", threshold);
	map_limit_from("CONTIG_RUN_MAP_LIMIT");
	word_from("CONTIG_RUN_STRICT", "0", "1", "0 or 1");
	word_from("CONTIG_RUN_FORK", "enomem", "cow", "enomem or cow");
}

unsigned int variables_complain(const struct run_settings *options,
				void (*say)(const char *object, const char *text))
{
	char object[256], text[128];
	unsigned int told = 0;

	for (unsigned int i = 0; i < n_bad; i++) {
		if (run_is_set(options, bad[i].name))
			continue;
		snprintf(object, sizeof(object), "%s=%s", bad[i].name,
			 bad[i].value ? bad[i].value : "");
		snprintf(text, sizeof(text), "not %s; ignored", bad[i].wanted);
		say(object, text);
		told++;
	}
	return told;
}
