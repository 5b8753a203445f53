/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of where superpages may come from, and of what limits them. */
#include "doctor_checks.h"

#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/available.h"
#include "host/buddy.h"
#include "host/cgroup.h"
#include "host/hugetlb.h"
#include "host/pagemap.h"
#include "host/superpage.h"
#include "host/topology.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FOUR_GIB (4 * GIGAPAGE_SIZE)
#define FEW_SUPERPAGES 64 /* room for fewer than these is worth a word */

static void say_nodes(struct doctor_check *check, uint64_t size)
{
	const struct host_topology *t = contig_topology();
	struct hugetlb_counts counts;

	for (int i = 0; i < t->n_nodes && t->n_nodes > 1; i++)
		if (!contig_hugetlb_counts(size, t->nodes[i], &counts))
			say_found(check, "; node %d: %" PRIu64 "/%" PRIu64, t->nodes[i],
				  counts.free, counts.total);
}

void doctor_superpages(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "2 MiB pool");
	struct hugetlb_counts counts;
	int error = contig_hugetlb_counts(SUPERPAGE_SIZE, HUGETLB_ALL_NODES, &counts);

	if (error) {
		check->state = DOCTOR_MISSING;
		say_found(check, "none: %s", strerrordesc_np(-error));
		say_means(check, "superpages must be collapsed from ordinary memory");
		say_mend(check, "# boot a kernel with CONFIG_HUGETLBFS=y");
		return;
	}
	uint64_t unpromised = counts.free - (counts.reserved < counts.free ? counts.reserved
									    : counts.free);

	facts->free_2m = unpromised > 0;
	say_found(check, "%" PRIu64 " pages, %" PRIu64 " free", counts.total, unpromised);
	say_nodes(check, SUPERPAGE_SIZE);
	if (facts->free_2m) {
		say_means(check, "allocations are served from these");
		return;
	}
	check->state = counts.total ? DOCTOR_LIMITED : DOCTOR_MISSING;
	say_means(check, "without free superpages memory comes from surplus or from "
			 "collapsed superpages, which lie where the kernel has room, "
			 "seldom below 4 GiB and not always side by side");
	say_mend(check, "contig pool grow 64");
}

void doctor_surplus(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "surplus");
	struct hugetlb_counts counts;

	if (contig_hugetlb_counts(SUPERPAGE_SIZE, HUGETLB_ALL_NODES, &counts)) {
		check->state = DOCTOR_MISSING;
		say_found(check, "no pool of 2 MiB pages");
		return;
	}
	say_found(check, "%" PRIu64 " of %" PRIu64 " pages allowed", counts.surplus,
		  counts.overcommit);
	facts->surplus_2m = counts.overcommit > counts.surplus;
	say_means(check, "%s", facts->surplus_2m
				       ? "with CONTIG_GROW=overcommit the pool grows by "
					 "itself while programs need it"
				       : "the pool can't grow by itself, so CONTIG_GROW="
					 "overcommit gets nothing");
	if (!facts->surplus_2m) {
		check->state = DOCTOR_LIMITED;
		say_mend(check, "sysctl -w vm.nr_overcommit_hugepages=%" PRIu64,
			 counts.overcommit + 512);
	}
}

void doctor_gigapages(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "1 GiB pool");
	struct hugetlb_counts counts;
	uint64_t smaller;
	bool demote;

	if (contig_hugetlb_counts(GIGAPAGE_SIZE, HUGETLB_ALL_NODES, &counts)) {
		check->state = DOCTOR_MISSING;
		say_found(check, "this CPU or kernel has no pages of 1 GiB");
		say_means(check, "blocks over 2 MiB need superpages that happen to be "
				 "neighbours, and nothing makes superpages below 4 GiB");
		return;
	}
	facts->free_1g = counts.free > 0;
	demote = !contig_hugetlb_demote_size(GIGAPAGE_SIZE, &smaller);
	facts->gigapages = demote;
	say_found(check, "%" PRIu64 " pages, %" PRIu64 " free; demotion %s", counts.total,
		  counts.free, demote ? "possible" : "missing");
	say_nodes(check, GIGAPAGE_SIZE);
	say_means(check, "one such page is a run of 512 superpages, and is the way to "
			 "memory below 4 GiB ('contig pool below 4G N')");
	if (!demote) {
		check->state = DOCTOR_LIMITED;
		say_mend(check, "# boot Linux 5.16 or newer");
	}
}

void doctor_collapse(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "collapse");
	struct superpage_request request = {
		.kind = SUPERPAGE_COLLAPSED,
		.page_size = SUPERPAGE_SIZE,
		.shared = true,
		.count = 1,
		.node = -1,
		.threads = 1,
	};
	struct superpage_batch batch;
	int error;

	if (!facts->real) {
		check->state = DOCTOR_UNTRIED;
		say_found(check, "a captured tree");
		return;
	}
	error = contig_superpage_take(&request, &batch);
	if (!error) {
		facts->collapse = true;
		say_found(check, "one superpage was collapsed and given back");
		if (frame_is_known(batch.pages[0].frame))
			say_found(check, " (it was at 0x%" PRIx64 ")",
				  batch.pages[0].frame << FRAME_SHIFT);
		say_means(check, "superpages can be had without a pool and without "
				 "privilege");
		contig_superpage_drop(&batch);
		return;
	}
	check->state = DOCTOR_MISSING;
	say_found(check, "failed: %s", contig_reason_get()[0] ? contig_reason_get()
							      : strerrordesc_np(-error));
	say_means(check, "superpages come from the hugetlb pools only");
	if (error == -EINVAL || error == -EOPNOTSUPP)
		say_mend(check, "# boot Linux 6.1 or newer with CONFIG_TRANSPARENT_HUGEPAGE=y");
	else
		say_mend(check, "contig pool compact");
}

void doctor_low_memory(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "below 4 GiB");
	const struct host_topology *t = contig_topology();
	uint64_t bytes = 0, superpages = 0;
	char text[24];

	/* Without addresses in iomem, ram[] is zones with their holes. */
	for (unsigned int i = 0; i < t->n_zones && !t->ram_exact; i++)
		if (t->zones[i].start_frame + t->zones[i].spanned <= FOUR_GIB >> FRAME_SHIFT)
			bytes += t->zones[i].present << FRAME_SHIFT;
	for (unsigned int i = 0; i < t->n_ram && t->ram_exact; i++)
		if (t->ram[i].start < FOUR_GIB)
			bytes += (t->ram[i].end < FOUR_GIB ? t->ram[i].end : FOUR_GIB) -
				 t->ram[i].start;
	say_found(check, "%s of RAM", contig_size_print(bytes, text, sizeof(text)));
	if (!bytes) {
		check->state = DOCTOR_MISSING;
		say_means(check, "no device limited to 32 bits can be served on this machine");
		return;
	}
	say_means(check, "for devices that reach 32 bits only; the kernel gives superpages "
			 "from above first, so ask for these explicitly");
	if (contig_buddy_superpages("DMA32", -1, &superpages)) {
		say_found(check, "; free blocks unknown");
	} else {
		say_found(check, ", the kernel has %" PRIu64 " superpages free there",
			  superpages);
		if (superpages < GIGAPAGE_SIZE / SUPERPAGE_SIZE) {
			check->state = superpages ? DOCTOR_LIMITED : DOCTOR_MISSING;
			say_means(check, "; a 1 GiB page will hardly be found there now");
		}
	}
	if (facts->gigapages) {
		say_mend(check, "contig pool below 4G 16");
	} else {
		check->state = DOCTOR_LIMITED;
		say_means(check, "; but there are no 1 GiB pages here, the one way to do so");
	}
}

void doctor_available(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "memory available");
	uint64_t available = 0, total = 0;
	char text[24], whole[24];

	contig_meminfo("MemTotal", &total);
	contig_meminfo("MemAvailable", &available);
	facts->memory_room = available >= SUPERPAGE_SIZE;
	say_found(check, "%s of %s", contig_size_print(available, text, sizeof(text)),
		  contig_size_print(total, whole, sizeof(whole)));
	say_means(check, "pools grow and superpages are collapsed out of this");
	/* Below a sixteenth the kernel is reclaiming and has little in one piece. */
	if (available < total / 16) {
		check->state = available < SUPERPAGE_SIZE ? DOCTOR_MISSING : DOCTOR_LIMITED;
		say_mend(check, "echo 3 > /proc/sys/vm/drop_caches; contig pool compact");
	}
}

/* The lowest level with a limit, and the command that lifts it. */
struct limit_search {
	const char *file[2]; /* by version - 1 */
	struct doctor_check *check;
};

static void mend_limit(int version, const char *dir, void *arg)
{
	const struct limit_search *search = arg;
	const char *file = search->file[version - 1];
	uint64_t limit;

	if (search->check->mend[0] || contig_cgroup_number(dir, file, &limit) ||
	    limit == UINT64_MAX)
		return;
	say_mend(search->check, "echo %s > %s/%s", version == 2 ? "max" : "-1", dir, file);
}

void doctor_cgroups(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "memory cgroup");
	uint64_t room = contig_memcg_room();
	uint64_t pages = contig_hugetlb_cgroup_room(SUPERPAGE_SIZE);
	uint64_t total = UINT64_MAX;
	struct limit_search search = {{"memory.limit_in_bytes", "memory.max"}, check};
	char text[24];

	say_means(check, "collapsed superpages count against it; hugetlb pages do not "
			 "(unless memory_hugetlb_accounting is on)");
	contig_meminfo("MemTotal", &total);
	if (room >= total) { /* v1 has no word for "none" */
		say_found(check, "no limit that matters");
	} else {
		say_found(check, "%s left", contig_size_print(room, text, sizeof(text)));
		if (room < FEW_SUPERPAGES * SUPERPAGE_SIZE) {
			check->state = room < SUPERPAGE_SIZE ? DOCTOR_MISSING
							     : DOCTOR_LIMITED;
			contig_cgroup_each_level("memory", mend_limit, &search);
		}
		if (room < SUPERPAGE_SIZE)
			facts->collapse = false;
	}

	check = doctor_check_add(doctor, "hugetlb cgroup");
	say_means(check, "how many 2 MiB pages of the pool this process may hold");
	facts->hugetlb_room = pages > 0;
	if (pages == UINT64_MAX) {
		say_found(check, "no limit");
	} else {
		say_found(check, "%" PRIu64 " pages of 2 MiB left", pages);
		if (pages < FEW_SUPERPAGES) {
			check->state = pages ? DOCTOR_LIMITED : DOCTOR_MISSING;
			search = (struct limit_search){
				{"hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"}, check};
			contig_cgroup_each_level("hugetlb", mend_limit, &search);
		}
	}
}

void doctor_mounts(struct doctor *doctor, struct doctor_facts *facts)
{
	struct doctor_check *check = doctor_check_add(doctor, "hugetlbfs");
	char path[256];
	int found = 0;

	(void)facts;
	for (uint64_t size = SUPERPAGE_SIZE; size <= GIGAPAGE_SIZE;
	     size *= GIGAPAGE_SIZE / SUPERPAGE_SIZE) {
		char text[24];

		if (contig_hugetlb_mount(size, path, sizeof(path)))
			continue;
		say_found(check, "%s%s at %s", found ? "; " : "",
			  contig_size_print(size, text, sizeof(text)), path);
		found++;
	}
	say_means(check, "libcontig uses memfds and needs no mount; DPDK and QEMU do");
	if (!found) {
		check->state = DOCTOR_LIMITED;
		say_found(check, "not mounted");
		say_mend(check, "mkdir -p /dev/hugepages && mount -t hugetlbfs -o "
				"pagesize=2M none /dev/hugepages");
	}
}
