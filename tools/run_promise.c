/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_promise.h"

#include "base/page.h"
#include "base/size.h"
#include "doctor_checks.h"
#include "host/available.h"
#include "host/pin.h"
#include "host/root.h"
#include "host/topology.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void doubt(struct promise *out, const char *mend, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void doubt(struct promise *out, const char *mend, const char *format, ...)
{
	va_list ap;

	if (out->n == PROMISE_DOUBTS)
		return;
	va_start(ap, format);
	vsnprintf(out->doubt[out->n].why, sizeof(out->doubt[out->n].why), format, ap);
	va_end(ap);
	snprintf(out->doubt[out->n].mend, sizeof(out->doubt[out->n].mend), "%s", mend);
	out->n++;
}

static const struct doctor_check *check_of(const struct doctor *doctor, const char *name)
{
	for (size_t i = 0; i < doctor->n; i++)
		if (!strcmp(doctor->checks[i].name, name))
			return &doctor->checks[i];
	return NULL;
}

/* Where superpages may come from, of the sources that are allowed. */
static void examine_sources(const struct promise_wanted *wanted, const struct doctor *doctor,
			    const struct doctor_facts *facts, struct promise *out)
{
	bool system = wanted->grow == CONTIG_GROW_SYSTEM && !geteuid();
	bool hugetlb_2m = facts->free_2m ||
			  (facts->surplus_2m && wanted->grow >= CONTIG_GROW_OVERCOMMIT) || system;
	bool hugetlb_1g = facts->free_1g || (system && facts->gigapages);
	bool hugetlb = facts->hugetlb_room &&
		       ((wanted->sources & CONTIG_SOURCE_2M && hugetlb_2m) ||
			(wanted->sources & CONTIG_SOURCE_1G && hugetlb_1g));
	const struct doctor_check *check;

	if (!facts->memory_room) {
		check = check_of(doctor, "memory available");
		doubt(out, check->mend, "no memory: %s", check->found);
	} else if (!hugetlb && !(wanted->sources & CONTIG_SOURCE_THP)) {
		check = check_of(doctor, facts->hugetlb_room ? "2 MiB pool" : "hugetlb cgroup");
		doubt(out, check->mend, "no superpage of the sources allowed is free: %s",
		      check->found);
	} else if (!hugetlb && !facts->collapse) {
		check = check_of(doctor, "2 MiB pool");
		doubt(out, check->mend, "no superpage is free (%s), and none can be collapsed (%s)",
		      check->found, check_of(doctor, "collapse")->found);
	}
}

static void examine_wiring(const struct promise_wanted *wanted, struct promise *out)
{
	struct pin_ability ability;
	char text[24];

	contig_pin_ability(&ability);
	out->wiring = !ability.uring || !ability.pipe ? "pinned" : "none";
	if (ability.uring && ability.pipe) {
		doubt(out, "", "memory can't be wired: io_uring %s; pipe %s",
		      strerrordesc_np(-ability.uring), strerrordesc_np(-ability.pipe));
		return;
	}
	if (ability.uring) {
		doubt(out, ability.uring_disabled > 0 ? "sysctl -w kernel.io_uring_disabled=0" : "",
		      "memory can be wired by pipes only (io_uring: %s), which end when the "
		      "program closes all descriptors, and don't hold over fork",
		      strerrordesc_np(-ability.uring));
		return;
	}
	if (ability.memlock_exempt || ability.memlock_limit == ~0ull)
		return;
	/* What is over it is held by pipes, as above. */
	if (!wanted->limit || wanted->limit > ability.memlock_limit)
		doubt(out, "ulimit -l unlimited # or LimitMEMLOCK=infinity, pam_limits",
		      "only %s can be wired (RLIMIT_MEMLOCK)",
		      contig_size_print(ability.memlock_limit, text, sizeof(text)));
}

static void examine_frames(const struct promise_wanted *wanted, const struct doctor *doctor,
			   const struct doctor_facts *facts, struct promise *out)
{
	const struct doctor_check *check = check_of(doctor, "frames visible");

	out->level = facts->frames ? "physical" : "hidden";
	if (facts->frames)
		return;
	if (wanted->constrained)
		doubt(out, check->mend, "frame numbers are hidden from this process: no "
					"physical address can be asked for");
	else
		doubt(out, check->mend,
		      "frame numbers are hidden from this process: memory is contiguous for "
		      "certain within each superpage only, so not in blocks larger than one");
}

void promise_examine(const struct promise_wanted *wanted, struct promise *out)
{
	struct doctor_facts facts = {.real = contig_root_is_real()};
	struct doctor *doctor;

	memset(out, 0, sizeof(*out));
	doctor = contig_topology() ? calloc(1, sizeof(*doctor)) : NULL;
	if (!doctor) {
		doubt(out, "", "/proc can't be read: is it mounted?");
		return;
	}
	if (secure_getenv("CONTIG_SIM") && *secure_getenv("CONTIG_SIM"))
		doubt(out, "unset CONTIG_SIM", "CONTIG_SIM describes a simulated machine");
	doctor_frames(doctor, &facts);
	doctor_superpages(doctor, &facts);
	doctor_surplus(doctor, &facts);
	doctor_gigapages(doctor, &facts);
	/* A superpage is collapsed for a trial only where nothing else is at hand. */
	if (wanted->sources & CONTIG_SOURCE_THP && !facts.free_2m)
		doctor_collapse(doctor, &facts);
	doctor_available(doctor, &facts);
	doctor_cgroups(doctor, &facts);
	examine_frames(wanted, doctor, &facts, out);
	examine_sources(wanted, doctor, &facts, out);
	examine_wiring(wanted, out);
	doctor_free(doctor);
}
