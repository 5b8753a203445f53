/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/settings.h"

#include "base/log.h"
#include "base/page.h"
#include "base/panic.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/pin.h"
#include "host/topology.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct settings contig_settings = {
	.config = {
		.struct_size = sizeof(struct contig_config),
		.sources = CONTIG_SOURCE_ALL,
		.grow = CONTIG_GROW_NEVER,
		.fork = CONTIG_FORK_SHARE,
		.node = -1,
	},
};

static const char *const grow_names[] = {"never", "overcommit", "system"};

const char *contig_grow_name(enum contig_grow grow)
{
	return grow_names[grow];
}

int contig_grow_parse(const char *text, enum contig_grow *out)
{
	for (int i = 0; i <= CONTIG_GROW_SYSTEM; i++) {
		if (!strcmp(text, grow_names[i])) {
			*out = (enum contig_grow)i;
			return 0;
		}
	}
	return -EINVAL;
}

unsigned int contig_sources_parse(const char *text)
{
	static const struct {
		const char *name;
		unsigned int bit;
	} names[] = {
		{"1g", CONTIG_SOURCE_1G},
		{"2m", CONTIG_SOURCE_2M},
		{"thp", CONTIG_SOURCE_THP},
	};
	unsigned int mask = 0;

	while (*text) {
		size_t len = strcspn(text, ","), i;

		for (i = 0; i < 3; i++)
			if (strlen(names[i].name) == len && !strncmp(text, names[i].name, len))
				break;
		if (i == 3)
			return 0;
		mask |= names[i].bit;
		text += len;
		text += *text == ',';
	}
	return mask;
}

static void warn(const char *name, const char *value, const char *wanted)
{
	contig_warn("%s=%s: not %s; ignored", name, value, wanted);
}

void (*contig_settings_bad)(const char *name, const char *value, const char *wanted) = warn;

static void bad(const char *name, const char *value, const char *wanted)
{
	contig_settings_bad(name, value, wanted);
}

static void size_from(const char *name, uint64_t *out)
{
	const char *value = secure_getenv(name);

	if (value && (contig_size_parse(value, out) < 0 || !*out))
		bad(name, value, "a size above 0 (a whole number, with K, M, G or T)");
}

static void node_from(const char *name, int *out)
{
	const char *value = secure_getenv(name);
	char *end;
	long node;

	if (!value)
		return;
	errno = 0;
	node = strtol(value, &end, 10);
	if (errno || end == value || *end || node < 0 || node >= HOST_NODE_LIMIT)
		bad(name, value, "the number of a NUMA node");
	else
		*out = (int)node; /* held against the machine at start */
}

static void pin_from(const char *name)
{
	static const struct {
		const char *name;
		enum pin_method method;
	} names[] = {
		{"none", PIN_NONE},
		{"mlock", PIN_MLOCK},
		{"pipe", PIN_PIPE},
		{"io_uring", PIN_URING},
	};
	const char *value = secure_getenv(name);

	if (!value)
		return;
	for (size_t i = 0; i < 4; i++) {
		if (!strcmp(value, names[i].name)) {
			contig_pin_allow(names[i].method);
			return;
		}
	}
	bad(name, value, "none, mlock, pipe or io_uring");
}

void contig_settings_from_environment(void)
{
	struct contig_config *config = &contig_settings.config;
	const char *value;

	value = secure_getenv("CONTIG_DEBUG");
	if (value && contig_log_parse(value) < 0)
		bad("CONTIG_DEBUG", value, "a list of areas (try CONTIG_DEBUG=help)");
	value = secure_getenv("CONTIG_SOURCES");
	if (value) {
		unsigned int mask = contig_sources_parse(value);

		if (mask)
			config->sources = mask;
		else
			bad("CONTIG_SOURCES", value, "a list of 1g, 2m, thp");
	}
	value = secure_getenv("CONTIG_GROW");
	if (value && contig_grow_parse(value, &config->grow) < 0)
		bad("CONTIG_GROW", value, "never, overcommit or system");
	value = secure_getenv("CONTIG_FORK");
	if (value) {
		if (!strcmp(value, "share"))
			config->fork = CONTIG_FORK_SHARE;
		else if (!strcmp(value, "isolate"))
			config->fork = CONTIG_FORK_ISOLATE;
		else
			bad("CONTIG_FORK", value, "share or isolate");
	}
	node_from("CONTIG_NODE", &config->node);
	size_from("CONTIG_RESERVE", &config->reserve);
	size_from("CONTIG_LIMIT", &config->limit);
	size_from("CONTIG_RECLAIM_MAX", &config->reclaim_max);
	pin_from("CONTIG_PIN");
	value = secure_getenv("CONTIG_PANIC");
	if (value) {
		if (!strcmp(value, "errno"))
			config->panic_errno = 1;
		else if (strcmp(value, "abort"))
			bad("CONTIG_PANIC", value, "errno or abort");
	}
	contig_panic_errno_set(config->panic_errno);
	value = secure_getenv("CONTIG_STATS");
	if (value && !strcmp(value, "1"))
		contig_settings.report_at_exit = true;
	else if (value && strcmp(value, "0"))
		bad("CONTIG_STATS", value, "0 or 1");
	value = secure_getenv("CONTIG_SIM");
	if (value && *value)
		contig_settings.simulate = value;
}

/* A simulated machine's nodes are known only at start. */
static bool node_exists(int node)
{
	const struct host_topology *topology = contig_topology();

	if (contig_settings.simulate)
		return node >= 0;
	for (int i = 0; topology && i < topology->n_nodes; i++)
		if (topology->nodes[i] == node)
			return true;
	return false;
}

int contig_settings_check(const struct contig_config *config)
{
	if (!config->sources || config->sources & ~(unsigned int)CONTIG_SOURCE_ALL) {
		contig_reason_set("contig_configure: sources 0x%x is not a mask of CONTIG_SOURCE_*",
				  config->sources);
		return -EINVAL;
	}
	if ((unsigned int)config->grow > CONTIG_GROW_SYSTEM) {
		contig_reason_set("contig_configure: grow %d is not one of CONTIG_GROW_*",
				  (int)config->grow);
		return -EINVAL;
	}
	if ((unsigned int)config->fork > CONTIG_FORK_ISOLATE) {
		contig_reason_set("contig_configure: fork %d is not one of CONTIG_FORK_*",
				  (int)config->fork);
		return -EINVAL;
	}
	if (config->node != -1 && !node_exists(config->node)) {
		contig_reason_set("contig_configure: node %d has no memory on this machine, and is not -1",
				  config->node);
		return -EINVAL;
	}
	return 0;
}
