/* SPDX-License-Identifier: BSD-2-Clause */
#include "doctor.h"

#include "doctor_checks.h"
#include "host/root.h"
#include "host/topology.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void doctor_say(char *out, size_t len, const char *format, ...)
{
	size_t used = strlen(out);
	va_list ap;

	va_start(ap, format);
	vsnprintf(out + used, len - used, format, ap);
	va_end(ap);
}

struct doctor_check *doctor_check_add(struct doctor *doctor, const char *name)
{
	struct doctor_check *check = &doctor->checks[doctor->n];

	if (doctor->n + 1 < sizeof(doctor->checks) / sizeof(doctor->checks[0]))
		doctor->n++; /* a 49th check would overwrite the 48th: none exists */
	memset(check, 0, sizeof(*check));
	check->name = name;
	return check;
}

static void give_verdict(struct doctor *doctor, const struct doctor_facts *facts)
{
	bool hugetlb = (facts->free_2m || facts->surplus_2m || facts->free_1g) &&
		       facts->hugetlb_room;
	bool source = facts->memory_room && (hugetlb || facts->collapse);

	if (!facts->real) {
		doctor_say(doctor->verdict, sizeof(doctor->verdict),
			   "none: a captured tree can be read, but not tried");
		return;
	}
	doctor->level = facts->frames ? "physical" : "hidden";
	doctor->wiring = facts->pinned ? "pinned" : hugetlb ? "resident" : "none";
	doctor->fit = source && facts->frames && facts->pinned;
	if (!source)
		doctor_say(doctor->verdict, sizeof(doctor->verdict),
			   "no contiguous memory can be had now: no free superpage, and "
			   "none can be collapsed");
	else
		doctor_say(doctor->verdict, sizeof(doctor->verdict),
			   "contiguous memory can be had: addresses %s, memory %s%s",
			   doctor->level, doctor->wiring,
			   facts->translated ? "; but an IOMMU may give devices other "
					       "addresses"
					     : "");
}

struct doctor *doctor_examine(void)
{
	struct doctor *doctor;
	struct doctor_facts facts = {.real = contig_root_is_real()};

	if (!contig_topology())
		return NULL;
	doctor = calloc(1, sizeof(*doctor));
	if (!doctor)
		return NULL;
	doctor_kernel(doctor, &facts);
	doctor_frames(doctor, &facts);
	doctor_superpages(doctor, &facts);
	doctor_surplus(doctor, &facts);
	doctor_gigapages(doctor, &facts);
	doctor_collapse(doctor, &facts);
	doctor_pinning(doctor, &facts);
	doctor_available(doctor, &facts);
	doctor_cgroups(doctor, &facts);
	doctor_low_memory(doctor, &facts);
	doctor_mounts(doctor, &facts);
	doctor_map_count(doctor, &facts);
	doctor_iommu(doctor, &facts);
	give_verdict(doctor, &facts);
	return doctor;
}

void doctor_free(struct doctor *doctor)
{
	free(doctor);
}
