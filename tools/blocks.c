/* SPDX-License-Identifier: BSD-2-Clause */
#include "blocks.h"

#include <contig.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

const char *level_name(enum contig_level level)
{
	switch (level) {
	case CONTIG_LEVEL_PHYSICAL:
		return "physical";
	case CONTIG_LEVEL_HIDDEN:
		return "hidden";
	case CONTIG_LEVEL_SIMULATED:
		return "simulated";
	}
	return "unknown";
}

const char *wiring_name(enum contig_wiring wiring)
{
	switch (wiring) {
	case CONTIG_WIRING_NONE:
		return "none";
	case CONTIG_WIRING_RESIDENT:
		return "resident";
	case CONTIG_WIRING_PINNED:
		return "pinned";
	}
	return "unknown";
}

enum contig_grow options_grow(const struct argp_state *state, const char *arg)
{
	static const char *const names[] = {
		[CONTIG_GROW_NEVER] = "never",
		[CONTIG_GROW_OVERCOMMIT] = "overcommit",
		[CONTIG_GROW_SYSTEM] = "system",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(arg, names[i]))
			return (enum contig_grow)i;
	usage_error(state, "--grow", "'%s' is none of never, overcommit, system", arg);
}

int blocks_configure(int grow)
{
	struct contig_config config = {.struct_size = sizeof(config)};

	if (grow < 0)
		return 0;
	contig_config_get(&config);
	config.grow = (enum contig_grow)grow;
	return contig_configure(&config) ? -errno : 0;
}

int blocks_frames(const void *va, size_t len, struct frames *out)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int error = 0;

	if (contig_level() != CONTIG_LEVEL_SIMULATED)
		return frames_read(va, len, out);
	*out = (struct frames){.visible = true, .present = true};
	for (size_t at = 0; at < len && !error; at += page) {
		vm_paddr_t pa = contig_virt_to_phys((const char *)va + at);

		error = pa == CONTIG_PADDR_NONE ? -errno : frames_add(out, pa, page);
	}
	if (error)
		frames_free(out);
	return error;
}

const char *blocks_way_out(int error)
{
	switch (error) {
	case EPERM:
		return "Try it with sudo: addresses are hidden from this user";
	case ENOMEM:
		return "Try 'contig doctor', or --grow system as root";
	case ERANGE:
		return "Try a wider window: no memory of this machine meets the limits";
	default:
		return NULL;
	}
}

const char *blocks_reason_core(const char *reason)
{
	const char *end = strstr(reason, "): ");

	return end && !strncmp(reason, "contigmalloc", 12) ? end + 3 : reason;
}
