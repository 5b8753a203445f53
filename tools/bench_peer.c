/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_peer.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

/* librte_eal.so.N: 21 is DPDK 20.11; one more each year. */
#define DPDK_ABI_LEAST 21
#define DPDK_ABI_MOST 32
#define DPDK_ZONE_ADDRESS 40 /* struct rte_memzone: name[32], iova, addr */

bool peer_malloc_is_jemalloc(void)
{
	return dlsym(RTLD_DEFAULT, "mallctl");
}

static void *dpdk_library(void)
{
	char name[32];
	void *library;

	for (int abi = DPDK_ABI_MOST; abi >= DPDK_ABI_LEAST; abi--) {
		snprintf(name, sizeof(name), "librte_eal.so.%d", abi);
		library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
		if (library)
			return library;
	}
	return dlopen("librte_eal.so", RTLD_NOW | RTLD_GLOBAL);
}

/* Where only this process sees them.  DPDK makes files below /run even with
 * --in-memory. */
static bool private_run(char *why, size_t len)
{
	if (!unshare(CLONE_NEWNS) && !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	    !mount("none", "/run", "tmpfs", 0, NULL))
		return true;
	if (errno == EPERM)
		snprintf(why, len, "needs root");
	else
		snprintf(why, len, "a /run of its own: %s", strerror(errno));
	return false;
}

/* A hundred drivers lie beside the library, and loading them would be most of
 * what rte_eal_init() is seen to take: let there be none. */
static void hide_drivers(const void *of_library)
{
	char path[4096];
	Dl_info info;
	char *slash;

	if (!dladdr(of_library, &info) || strlen(info.dli_fname) + sizeof("/dpdk") > sizeof(path))
		return;
	strcpy(path, info.dli_fname);
	slash = strrchr(path, '/');
	if (slash) {
		strcpy(slash, "/dpdk");
		mount("none", path, "tmpfs", 0, NULL);
	}
}

bool peer_dpdk_open(struct peer_dpdk *peer, uint64_t bytes, char *why, size_t len)
{
	char mebibytes[24];
	char *argv[] = {(char *)"contig-bench",	   (char *)"--in-memory",
			(char *)"--no-pci",	   (char *)"--iova-mode=pa",
			(char *)"--no-telemetry",  (char *)"--log-level=error",
			(char *)"-m",		   mebibytes,
			NULL};
	void *library = dpdk_library();
	const struct {
		const char *name;
		void *to;
	} functions[] = {
		{"rte_eal_init", &peer->eal_init},
		{"rte_malloc", &peer->malloc},
		{"rte_free", &peer->free},
		{"rte_malloc_virt2iova", &peer->malloc_virt2iova},
		{"rte_mem_virt2iova", &peer->mem_virt2iova},
		{"rte_memzone_reserve", &peer->memzone_reserve},
		{"rte_memzone_free", &peer->memzone_free},
	};

	if (!library) {
		snprintf(why, len, "not installed");
		return false;
	}
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *f = dlsym(library, functions[i].name);

		if (!f) {
			snprintf(why, len, "what is installed has no %s", functions[i].name);
			return false;
		}
		memcpy(functions[i].to, &f, sizeof(f));
	}
	if (!private_run(why, len))
		return false;
	hide_drivers(dlsym(library, "rte_eal_init"));
	snprintf(mebibytes, sizeof(mebibytes), "%" PRIu64, bytes >> 20);
	return peer->eal_init((int)(sizeof(argv) / sizeof(argv[0])) - 1, argv) >= 0;
}

const void *peer_dpdk_zone_address(const void *zone)
{
	const void *address;

	memcpy(&address, (const char *)zone + DPDK_ZONE_ADDRESS, sizeof(address));
	return address;
}
