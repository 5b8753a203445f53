/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_environment.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef CONTIG_PRELOAD_PATH
#define CONTIG_PRELOAD_PATH "/usr/local/lib/libcontig/libcontig-preload.so"
#endif
/* The loader takes both for the end of a name, and has no way to quote. */
#define SEPARATORS " :"

static size_t find(const struct run_settings *settings, const char *name)
{
	size_t i = 0;

	while (i < settings->n && strcmp(settings->setting[i].name, name))
		i++;
	return i;
}

bool run_is_set(const struct run_settings *settings, const char *name)
{
	return find(settings, name) < settings->n;
}

void run_set(struct run_settings *settings, const char *name, const char *value)
{
	size_t i = find(settings, name);

	if (i == RUN_SETTINGS_MAX)
		abort(); /* more settings than options */
	settings->setting[i].name = name;
	settings->setting[i].value = value;
	settings->n += i == settings->n;
}

/* Of the tree that this command was built in: BUILD/tools/contig is it then. */
static const char *shim_beside(void)
{
	static const char command[] = "/tools/contig", shim[] = "/.libs/libcontig-preload.so";
	static char path[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - sizeof(shim));
	ssize_t build = len - (ssize_t)strlen(command);

	if (build < 0 || strncmp(path + build, command, strlen(command)))
		return NULL;
	strcpy(path + build, shim);
	return access(path, R_OK) ? NULL : path;
}

const char *run_shim(void)
{
	const char *shim = secure_getenv("CONTIG_PRELOAD");

	if (shim && *shim)
		return shim;
	shim = shim_beside();
	return shim ? shim : CONTIG_PRELOAD_PATH;
}

const char *run_shim_problem(const char *shim)
{
	if (shim[0] != '/')
		return "CONTIG_PRELOAD must be an absolute path: the program may change "
		       "directories";
	if (strpbrk(shim, SEPARATORS))
		return "a path with a blank or a colon can't be preloaded";
	if (!access(shim, R_OK))
		return NULL;
	return errno == ENOENT ? "no shim there: set CONTIG_PRELOAD to where it is, or install it" :
				 strerror(errno);
}

/* Without what is shim itself: a nested `contig run` finds it there. */
static char *others_preloaded(const char *list, const char *shim)
{
	char *out = calloc(1, strlen(list) + 2), *end = out;

	while (out && *list) {
		size_t len = strcspn(list, SEPARATORS);

		if (len && (strlen(shim) != len || strncmp(list, shim, len)))
			end += sprintf(end, ":%.*s", (int)len, list);
		list += len;
		list += *list != '\0';
	}
	return out;
}

static int set_preload(const char *shim, bool preload)
{
	const char *before = getenv("LD_PRELOAD");
	char *others = others_preloaded(before ? before : "", shim), *list = NULL;
	int error = 0;

	if (!others || asprintf(&list, "%s%s", preload ? shim : "",
				others + (!preload && *others)) < 0) {
		free(others);
		return -ENOMEM;
	}
	if (*list)
		error = setenv("LD_PRELOAD", list, 1) ? -errno : 0;
	else
		unsetenv("LD_PRELOAD");
	free(list);
	free(others);
	return error;
}

int run_environment(const struct run_settings *settings, const char *shim, bool preload)
{
	for (size_t i = 0; i < settings->n; i++) {
		if (!settings->setting[i].value)
			unsetenv(settings->setting[i].name);
		else if (setenv(settings->setting[i].name, settings->setting[i].value, 1))
			return -errno;
	}
	return set_preload(shim, preload);
}
