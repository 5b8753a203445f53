/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of what the kernel allows: frames, pins, mappings, IOMMU. */
#include "doctor_checks.h"

#include "base/page.h"
#include "base/size.h"
#include "host/available.h"
#include "host/hugetlb.h"
#include "host/pagemap.h"
#include "host/pin.h"
#include "host/root.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SIZES_MAX 16

void doctor_kernel(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "kernel");
	uint64_t sizes[SIZES_MAX], pmd = 0;
	char release[128] = "unknown", text[24];
	unsigned int major = 0, minor = 0;
	int n = contig_hugetlb_sizes(sizes, SIZES_MAX);
	bool has_2m = false;

	contig_root_read("/proc/sys/kernel/osrelease", release, sizeof(release));
	say_found(check, "Linux %s; base pages %s", release,
		  facts->real ? contig_size_print((uint64_t)sysconf(_SC_PAGESIZE), text,
						  sizeof(text))
			      : "unknown");
	for (int i = 0; i < n; i++) {
		say_found(check, "%s%s", i ? ", " : "; hugetlb ",
			  contig_size_print(sizes[i], text, sizeof(text)));
		has_2m |= sizes[i] == SUPERPAGE_SIZE;
	}
	if (!contig_root_read_u64("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
				  &pmd))
		say_found(check, "; transparent %s",
			  contig_size_print(pmd, text, sizeof(text)));
	say_means(check, "6.1 is the oldest kernel that can collapse superpages (needed "
			 "where no hugetlb pool is set up)");
	if (sscanf(release, "%u.%u", &major, &minor) != 2) {
		check->state = DOCTOR_UNTRIED;
	} else if (!has_2m && pmd != SUPERPAGE_SIZE) {
		check->state = DOCTOR_MISSING;
		say_means(check, "; this one has no pages of 2 MiB at all");
		say_mend(check, "# boot a kernel with CONFIG_HUGETLBFS=y and "
				"CONFIG_TRANSPARENT_HUGEPAGE=y");
	} else if (major < 6 || (major == 6 && minor < 1)) {
		check->state = DOCTOR_LIMITED;
		say_mend(check, "# boot Linux 6.1 or newer");
	}
}

void doctor_frames(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "frames visible");

	if (!facts->real) {
		check->state = DOCTOR_UNTRIED;
		say_found(check, "a captured tree");
		return;
	}
	facts->frames = contig_pagemap_visible();
	if (facts->frames) {
		say_found(check, "pagemap shows frame numbers to this process");
		say_means(check, "addresses are physical, and low and high can be asked for");
		return;
	}
	check->state = DOCTOR_LIMITED;
	say_found(check, "pagemap hides frame numbers: no CAP_SYS_ADMIN in the initial "
			 "user namespace");
	say_means(check, "memory is contiguous and aligned up to 2 MiB, but its address "
			 "is unknown: a limit (low, high) is refused with EPERM");
	/* Ambient, not set on the file: a file with capabilities makes the
	 * process undumpable, and then /proc/self/pagemap belongs to root. */
	say_mend(check, "sudo setpriv --reuid=$(id -u) --regid=$(id -g) --init-groups "
			"--inh-caps=+sys_admin --ambient-caps=+sys_admin PROGRAM");
}

void doctor_pinning(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "pinning");
	struct doctor_check *budget;
	struct pin_ability ability;
	char text[24];

	if (!facts->real) {
		check->state = DOCTOR_UNTRIED;
		say_found(check, "a captured tree");
		return;
	}
	contig_pin_ability(&ability);
	facts->pinned = !ability.uring || !ability.pipe;
	say_found(check, "io_uring %s", ability.uring ? strerrordesc_np(-ability.uring) : "works");
	if (ability.uring_disabled > 0)
		say_found(check, " (kernel.io_uring_disabled=%d)", ability.uring_disabled);
	say_found(check, "; pipe %s", ability.pipe ? strerrordesc_np(-ability.pipe) : "works");
	say_means(check, "%s", facts->pinned
				       ? "memory is wired by a reference that keeps its "
					 "frames from moving"
				       : "memory is resident at best: the kernel may move it "
					 "to other frames at any time");
	if (!facts->pinned)
		check->state = DOCTOR_MISSING;
	else if (ability.uring)
		check->state = DOCTOR_LIMITED;
	if (facts->pinned && ability.uring)
		say_means(check, ", but by pipes only, which use descriptors and are lost "
				 "when a program closes all of them");
	if (ability.uring_disabled > 0)
		say_mend(check, "sysctl -w kernel.io_uring_disabled=0");
	else if (ability.uring == -EPERM || ability.uring == -ENOSYS)
		say_mend(check, "# let io_uring_setup through the seccomp filter (docker run "
				"--security-opt seccomp=...)");

	budget = doctor_check_add(doctor, "memlock budget");
	say_means(budget, "what io_uring can pin for this user, over all processes; past "
			  "it pipes pin");
	if (ability.memlock_exempt) {
		say_found(budget, "no limit (CAP_IPC_LOCK)");
	} else if (ability.memlock_limit == ~0ULL) {
		say_found(budget, "no limit");
	} else {
		say_found(budget, "%s, about %llu superpages",
			  contig_size_print(ability.memlock_limit, text, sizeof(text)),
			  ability.memlock_limit / SUPERPAGE_SIZE);
		/* Enough for most: a quarter of memory can't be asked of every user. */
		if (ability.memlock_limit < GIGAPAGE_SIZE)
			budget->state = DOCTOR_LIMITED;
	}
	if (budget->state != DOCTOR_OK)
		say_mend(budget, "sudo prlimit --pid $$ --memlock=unlimited");
}

void doctor_map_count(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "mappings");
	uint64_t limit, total = 0;
	char text[24];

	(void)facts;
	if (contig_root_read_u64("/proc/sys/vm/max_map_count", &limit)) {
		check->state = DOCTOR_UNTRIED;
		say_found(check, "vm.max_map_count can't be read");
		return;
	}
	contig_meminfo("MemTotal", &total);
	/* Scattered superpages cost a mapping and a gap each. */
	uint64_t reach = limit / 2 * SUPERPAGE_SIZE;

	say_found(check, "vm.max_map_count %" PRIu64, limit);
	say_means(check, "enough for %s of superpages even if no two of them touch",
		  contig_size_print(reach, text, sizeof(text)));
	if (reach < total) {
		check->state = DOCTOR_LIMITED;
		say_mend(check, "sysctl -w vm.max_map_count=%" PRIu64,
			 align_up(total / SUPERPAGE_SIZE * 2 + 65536, 65536));
	}
}

/* How many entries of a directory, and how many whose file (NULL: none
 * looked at) begins with word. */
static int count_entries(const char *path, const char *file, const char *word, int *alike)
{
	int fd = contig_root_open(path, O_RDONLY | O_DIRECTORY), n = 0;
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return 0;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return 0;
	}
	while ((entry = readdir(dir))) {
		char name[PATH_MAX], text[64];

		if (entry->d_name[0] == '.')
			continue;
		n++;
		if (!file)
			continue;
		snprintf(name, sizeof(name), "%s/%s/%s", path, entry->d_name, file);
		if (contig_root_read(name, text, sizeof(text)) > 0 &&
		    !strncmp(text, word, strlen(word)))
			(*alike)++;
	}
	closedir(dir);
	return n;
}

void doctor_iommu(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "IOMMU");
	int identity = 0;
	int units = count_entries("/sys/class/iommu", NULL, NULL, NULL);
	int groups = count_entries("/sys/kernel/iommu_groups", "type", "identity", &identity);

	if (!units) {
		say_found(check, "none");
		say_means(check, "a device sees memory at its physical address");
		return;
	}
	say_found(check, "%d unit%s, %d group%s, %d of them untranslated", units,
		  units == 1 ? "" : "s", groups, groups == 1 ? "" : "s", identity);
	if (groups && identity == groups) {
		say_means(check, "all groups pass addresses through unchanged: a device "
				 "sees memory at its physical address");
		return;
	}
	facts->translated = true;
	check->state = DOCTOR_LIMITED;
	say_means(check, "a physical address is not a bus address: a device behind the "
			 "IOMMU needs a mapping (VFIO), else its DMA faults");
	say_mend(check, "# boot with iommu=pt, or map the memory for the device with VFIO");
}
