/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer.h"

#include "hugepool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Beside this program, or above it when libtool put it into .libs. */
static bool find_program(char *path, size_t len)
{
	const char *given = getenv("BENCH_PEER_DPDK");
	char self[4096];
	ssize_t n;

	if (given) {
		snprintf(path, len, "%s", given);
		return !access(path, X_OK);
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return false;
	self[n] = '\0';
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(self, '/');

		if (!slash)
			return false;
		*slash = '\0';
		snprintf(path, len, "%.4000s/peer_dpdk", self);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

static struct peer *named(struct peers *peers, const char *name, const char *unit)
{
	struct peer *peer;

	for (unsigned int i = 0; i < peers->n; i++)
		if (!strcmp(peers->peer[i].name, name))
			return &peers->peer[i];
	if (peers->n == PEERS_MAX)
		die("more peers than PEERS_MAX");
	peer = &peers->peer[peers->n++];
	snprintf(peer->name, sizeof(peer->name), "%s", name);
	snprintf(peer->unit, sizeof(peer->unit), "%s", unit);
	return peer;
}

bool peers_run(struct peers *peers, const char *arguments)
{
	static bool told;
	char path[4096], command[8192], line[8192];
	unsigned int lines = 0;
	FILE *out;
	int status;

	if (!find_program(path, sizeof(path))) {
		if (!told)
			row_note("DPDK's peers are left out: bench/peer_dpdk isn't built (needs libdpdk)");
		told = true;
		return false;
	}
	snprintf(command, sizeof(command), "exec %s %s 2>&1", path, arguments);
	fflush(stdout);
	out = popen(command, "re");
	if (!out)
		die("popen failed");
	while (fgets(line, sizeof(line), out)) {
		char *save, *name, *unit, *value;

		/* "peer", name, unit, values; tabs between.  DPDK talks too. */
		if (strncmp(line, "peer\t", 5)) {
			if (getenv("BENCH_VERBOSE"))
				printf("  %s", line);
			continue;
		}
		name = strtok_r(line + 5, "\t\n", &save);
		unit = strtok_r(NULL, "\t\n", &save);
		if (!name || !unit)
			continue;
		lines++;
		while ((value = strtok_r(NULL, "\t\n", &save)))
			measure_add(&named(peers, name, unit)->times, strtod(value, NULL));
	}
	status = pclose(out);
	if (status || !lines) {
		row_note("DPDK's peer failed: %s (status %d; BENCH_VERBOSE=1 shows why)", arguments,
			 status);
		return false;
	}
	return true;
}

const struct peer *peers_find(const struct peers *peers, const char *name)
{
	for (unsigned int i = 0; i < peers->n; i++)
		if (!strncmp(peers->peer[i].name, name, strlen(name)))
			return &peers->peer[i];
	return NULL;
}
