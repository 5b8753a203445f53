/* SPDX-License-Identifier: BSD-2-Clause */
#include "kpi/constraints.h"

#include "base/reason.h"
#include "kpi/misuse.h"
#include "phys/counters.h"
#include "phys/machine.h"
#include "phys/physmap.h"
#include "phys/reclaim.h"
#include "phys/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static const char *describe(const struct call *call, char *buf, size_t len)
{
	snprintf(buf, len,
		 "%s(size %lu, low 0x%" PRIx64 ", high 0x%" PRIx64
		 ", alignment 0x%lx, boundary 0x%" PRIx64 ")",
		 call->name, call->size, call->low, call->high, call->alignment, call->boundary);
	return buf;
}

/* What the kernel panics on. */
bool contig_call_sane(const struct call *call)
{
	const char *wrong = NULL;
	char text[200];

	if (!call->size)
		wrong = "size is 0";
	else if (!pow2_or_zero(call->alignment))
		wrong = "alignment is not a power of two";
	else if (!pow2_or_zero(call->boundary))
		wrong = "boundary is not a power of two";
	if (wrong)
		misuse("%s: %s", describe(call, text, sizeof(text)), wrong);
	return !wrong;
}

/* Constraints that no memory of any machine meets.  NULL, or why. */
const char *contig_call_impossible(const struct call *call, const struct extent_request *run)
{
	if (call->boundary && call->boundary < run->count << FRAME_SHIFT)
		return "boundary is smaller than the size in whole pages";
	if (call->low >= call->high)
		return "low is not below high";
	if (run->low >= run->high || run->high - run->low < run->count)
		return "the window from low to high is smaller than the size";
	return NULL;
}

void *contig_fail(const struct call *call, int err, const char *why)
{
	char text[200], copy[1200];

	/* why may be the very buffer that is about to be written. */
	snprintf(copy, sizeof(copy), "%s", why);
	contig_counter_add(&contig_counters.failures, 1);
	contig_reason_set("%s: %s", describe(call, text, sizeof(text)), copy);
	errno = err;
	return NULL;
}

static void describe_ram(char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (unsigned int i = 0; i < contig_machine.n_ranges && at < len; i++)
		at += (size_t)snprintf(buf + at, len - at, "%s0x%" PRIx64 "-0x%" PRIx64,
				       i ? ", " : "", contig_machine.ranges[i].start,
				       contig_machine.ranges[i].end);
}

void *contig_fail_range(const struct call *call)
{
	char ram[120], why[200];

	describe_ram(ram, sizeof(ram));
	snprintf(why, sizeof(why), "no superpage of this machine's RAM meets it (RAM in superpages: %s)",
		 ram);
	return contig_fail(call, ERANGE, why);
}

void *contig_fail_memory(const struct call *call, bool nowait)
{
	const char *tried = contig_reclaim_why();
	const char *out = "";
	char why[1200];

	/* The way out depends on what stood in the way. */
	if (contig_machine.level == CONTIG_LEVEL_SIMULATED)
		out = "";
	else if (nowait)
		out = "; reserve memory at start (CONTIG_RESERVE) or use M_WAITOK";
	else if (contig_settings.config.grow != CONTIG_GROW_SYSTEM)
		out = call->high < contig_machine.end
			      ? "; try 'contig pool below', or CONTIG_GROW=system as root"
			      : "; try 'contig pool grow', or CONTIG_GROW=system as root";
	snprintf(why, sizeof(why), "%s%s", *tried ? tried : "no free run among the memory held", out);
	return contig_fail(call, ENOMEM, why);
}

/*
 * Frames are hidden: addresses mean nothing to us beyond a superpage.  A
 * window that holds all RAM, an alignment and a boundary up to a superpage
 * are still certain.
 */
const char *contig_call_hidden(const struct call *call, struct extent_request *run)
{
	if (run->low || call->high < contig_machine.end)
		return "low and high need physical addresses, which this process can't see (needs CAP_SYS_ADMIN)";
	if (run->align > SUPERPAGE_FRAMES)
		return "an alignment beyond a superpage needs physical addresses, which this process can't see (needs CAP_SYS_ADMIN)";
	if (run->count > SUPERPAGE_FRAMES &&
	    !(contig_settings.config.sources & CONTIG_SOURCE_1G))
		return "a run beyond a superpage needs physical addresses, which this process can't see (needs CAP_SYS_ADMIN)";
	run->high = contig_physmap.frames;
	if (run->boundary >= SUPERPAGE_FRAMES && run->count <= SUPERPAGE_FRAMES)
		run->boundary = 0; /* nothing in a superpage crosses it */
	return NULL;
}
