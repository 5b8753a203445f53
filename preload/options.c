/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/options.h"

#include "base/log.h"
#include "base/size.h"
#include "host/pin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

struct shim_options shim_options = {
	.threshold = SHIM_THRESHOLD_DEFAULT,
	.high = UINT64_MAX,
	.map_limit = SHIM_MAP_LIMIT_DEFAULT,
	.node = -1,
	.fork = SHIM_FORK_ENOMEM,
};

/* Where the kernel put argc; ld.so exports it. */
extern void *__libc_stack_end;

/*
 * The environment on the stack: the dynamic linker calls malloc before libc
 * has an environ, and a program may change that one before we look.
 */
static char **environment(void)
{
	long *argc = __libc_stack_end;

	return (char **)(argc + 1 + *argc + 1);
}

static const char *get(const char *name)
{
	size_t len = strlen(name);

	for (char **e = environment(); *e; e++)
		if (!strncmp(*e, name, len) && (*e)[len] == '=')
			return *e + len + 1;
	return NULL;
}

static void bad(const char *name, const char *value, const char *wanted)
{
	contig_warn("%s=%s: not %s; ignored", name, value, wanted);
}

static bool size_from(const char *name, uint64_t *out)
{
	const char *value = get(name);

	if (!value)
		return false;
	if (contig_size_parse(value, out) == 0 && *out)
		return true;
	bad(name, value, "a size above 0 (a whole number, with K, M, G or T)");
	return false;
}

/* 0 is one, too: no mapping at all. */
static void map_limit_from(const char *name)
{
	const char *value = get(name);
	uint64_t size;

	if (!value)
		return;
	if (contig_size_parse(value, &size) == 0)
		shim_options.map_limit = size;
	else
		bad(name, value, "a size (a whole number, with K, M, G or T)");
}

static bool flag_from(const char *name)
{
	const char *value = get(name);

	if (value && strcmp(value, "0") && strcmp(value, "1"))
		bad(name, value, "0 or 1");
	return value && !strcmp(value, "1");
}

static bool is_there(int node)
{
	char path[64];
	int error = errno;
	bool there;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d", node);
	/* A kernel without NUMA tells of none, and node 0 is all there is. */
	there = !node || !access(path, F_OK);
	errno = error;
	return there;
}

static void node_from(const char *name)
{
	const char *value = get(name);
	char *end;
	long node;

	if (!value)
		return;
	node = strtol(value, &end, 10);
	/* The core reads it too, and complains. */
	if (end != value && !*end && node >= 0 && node < 1024 && is_there((int)node))
		shim_options.node = (int)node;
}

/* The name of the file that was executed; argv[0] is whatever the caller of
 * execve(2) liked. */
static void program_name(void)
{
	const char *path = (const char *)getauxval(AT_EXECFN), *slash;
	size_t len;

	if (!path)
		path = "?";
	slash = strrchr(path, '/');
	if (slash)
		path = slash + 1;
	len = strlen(path);
	if (len >= sizeof(shim_options.program))
		len = sizeof(shim_options.program) - 1;
	memcpy(shim_options.program, path, len);
	shim_options.program[len] = '\0';
}

/* Whether a colon-separated list has the name; an empty list has any. */
static bool listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	if (!*list)
		return true;
	for (;;) {
		size_t n = strcspn(list, ":");

		if (n == len && !memcmp(list, name, n))
			return true;
		if (!list[n])
			return false;
		list += n + 1;
	}
}

static void fork_from(const char *name)
{
	const char *value = get(name);

	if (!value || !strcmp(value, "enomem"))
		return;
	if (!strcmp(value, "cow"))
		shim_options.fork = SHIM_FORK_COW;
	else
		bad(name, value, "enomem or cow");
}

static void all_from_environment(void)
{
	uint64_t size;

	if (size_from("CONTIG_RUN_THRESHOLD", &size))
		shim_options.threshold = size;
	if (size_from("CONTIG_RUN_ALIGN", &size)) {
		if (size & (size - 1) || size > UINT64_C(1) << 30)
			bad("CONTIG_RUN_ALIGN", get("CONTIG_RUN_ALIGN"), "a power of two up to 1G");
		else
			shim_options.align = size;
	}
	size_from("CONTIG_RUN_BELOW", &shim_options.high);
	map_limit_from("CONTIG_RUN_MAP_LIMIT");
	node_from("CONTIG_NODE");
	shim_options.strict = flag_from("CONTIG_RUN_STRICT");
	fork_from("CONTIG_RUN_FORK");
	shim_options.report = get("CONTIG_REPORT");
}

void shim_options_read(void)
{
	static bool done;
	const char *only;

	if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		return;
	program_name();
	if (getauxval(AT_SECURE)) {
		shim_options.aside = "a set-id program, or one with file capabilities";
	} else {
		only = get("CONTIG_RESTRICT");
		all_from_environment();
		if (only && !listed(only, shim_options.program))
			shim_options.aside = "not a program of CONTIG_RESTRICT";
		else
			shim_options.active = true;
	}
	/* Before any pin: constructors of libraries that come before ours make
	 * some, in a C++ program for one. */
	if (shim_options.active)
		contig_pin_keep_descriptors();
	/* Twice at once would come to the same. */
	__atomic_store_n(&done, true, __ATOMIC_RELEASE);
}
