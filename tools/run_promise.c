/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_promise.h"

#include "base/page.h"
#include "base/size.h"
#include "doctor_checks.h"
#include "host/available.h"
#include "host/pin.h"
#include "host/root.h"
#include "host/topology.h"
#include "run_trial.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* A run that the kernel has where its memory is not in pieces; the superpages
 * among which it is looked for; and what the user waits for at most. */
#define TRIAL_RUN (UINT64_C(4) << 20)
#define TRIAL_MOST (UINT64_C(16) << 20)
#define TRIAL_MS 5000
#define KEEP_LEAST 128 /* superpages */

static void doubt(struct promise *out, const char *mend, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void doubt(struct promise *out, const char *mend, const char *format, ...)
{
	va_list ap;

	if (out->n == PROMISE_DOUBTS)
		return;
	out->doubt[out->n].slow = false;
	va_start(ap, format);
	vsnprintf(out->doubt[out->n].why, sizeof(out->doubt[out->n].why), format, ap);
	va_end(ap);
	snprintf(out->doubt[out->n].mend, sizeof(out->doubt[out->n].mend), "%s", mend);
	out->n++;
}

/* It may come, but the program will wait for it. */
#define slow(out, ...)                                        \
	do {                                                  \
		doubt((out), __VA_ARGS__);                    \
		(out)->doubt[(out)->n - 1].slow = true;       \
		(out)->n_slow++;                              \
	} while (0)

/* It is what was asked for. */
#define chosen(out, ...)                                      \
	do {                                                  \
		doubt((out), __VA_ARGS__);                    \
		(out)->n_chosen++;                            \
	} while (0)

/* Blocks that fit into a superpage are not concerned. */
#define long_only(out, ...)                                   \
	do {                                                  \
		doubt((out), __VA_ARGS__);                    \
		(out)->n_long++;                              \
	} while (0)

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
	char limit[24], run[24];

	contig_size_print(wanted->limit, limit, sizeof(limit));
	contig_size_print(wanted->run, run, sizeof(run));
	if (wanted->limit && wanted->limit < SUPERPAGE_SIZE)
		doubt(out, "", "the limit of %s is less than a superpage", limit);
	else if (wanted->limit && wanted->limit < wanted->run)
		doubt(out, "", "the limit of %s is less than a block of %s", limit, run);
	if (!(wanted->sources & CONTIG_SOURCE_THP))
		chosen(out, "", "mappings and shared memory only come from thp, which the "
		       "sources allowed leave out");
	if (!facts->memory_room) {
		check = check_of(doctor, "memory available");
		doubt(out, check->mend, "no memory: %s", check->found);
	} else if (!hugetlb && !(wanted->sources & CONTIG_SOURCE_THP)) {
		bool giga = !(wanted->sources & CONTIG_SOURCE_2M) && facts->hugetlb_room;

		check = check_of(doctor, !facts->hugetlb_room ? "hugetlb cgroup" :
					 giga ? "1 GiB pool" : "2 MiB pool");
		doubt(out, giga && check->state != DOCTOR_MISSING ?
				   "contig pool --size 1G grow 1" : check->mend,
		      "no superpage of the sources allowed is free: %s: %s", check->name,
		      check->found);
	} else if (!hugetlb && !facts->collapse) {
		check = check_of(doctor, "2 MiB pool");
		doubt(out, check->mend, "no superpage is free (%s), and none can be collapsed (%s)",
		      check->found, check_of(doctor, "collapse")->found);
	}
}

/* The heap is private: a pipe holds its frames only until a write after a
 * fork, so that is not called wired. */
static void examine_wiring(const struct promise_wanted *wanted, struct promise *out)
{
	static const char unlock[] = "ulimit -l unlimited # or LimitMEMLOCK=infinity, pam_limits";
	struct pin_ability ability;
	const char *mend;
	bool limited;
	char text[24];

	contig_pin_ability(&ability);
	limited = !ability.memlock_exempt && ability.memlock_limit != ~0ull;
	contig_size_print(ability.memlock_limit, text, sizeof(text));
	out->wiring = !ability.uring ? "pinned" : "none";
	mend = ability.uring_disabled > 0 ? "sysctl -w kernel.io_uring_disabled=0" : "";
	if (ability.uring && ability.pipe) {
		doubt(out, mend, "memory can't be wired (io_uring: %s; pipe: %s)",
		      strerrordesc_np(-ability.uring), strerrordesc_np(-ability.pipe));
	} else if (limited && (ability.uring == -ENOMEM || ability.memlock_limit < SUPERPAGE_SIZE)) {
		doubt(out, unlock, "no superpage of the heap can be wired: RLIMIT_MEMLOCK is %s, "
		      "for all io_uring rings of this user together", text);
	} else if (ability.uring) {
		doubt(out, mend,
		      "the heap can't be wired (io_uring: %s); mappings are held by pipes, "
		      "until the program forks or closes all descriptors",
		      strerrordesc_np(-ability.uring));
	} else if (limited && (!wanted->limit || wanted->limit > ability.memlock_limit)) {
		doubt(out, unlock, "only %s can be wired (RLIMIT_MEMLOCK, which all io_uring "
		      "rings of this user share)", text);
	}
}

static void examine_frames(const struct promise_wanted *wanted, const struct doctor *doctor,
			   const struct doctor_facts *facts, struct promise *out)
{
	const struct doctor_check *check = check_of(doctor, "frames visible");
	static const char program[] = "PROGRAM";
	size_t len = strlen(check->mend), cut = len;
	char mend[512];

	/* It isn't PROGRAM that the user types. */
	if (len >= strlen(program) && !strcmp(check->mend + len - strlen(program), program))
		cut = len - strlen(program);
	snprintf(mend, sizeof(mend), "%.*s%s%s", (int)cut, check->mend,
		 cut < len ? "contig run " : "", check->mend + cut);
	out->level = facts->frames ? "physical" : "hidden";
	if (facts->frames)
		return;
	if (wanted->below != UINT64_MAX)
		doubt(out, mend, "frame numbers are hidden from this process: no "
					"physical address can be asked for");
	else if (wanted->run > SUPERPAGE_SIZE || !wanted->run)
		long_only(out, mend,
			  "frame numbers are hidden from this process: memory is contiguous for "
			  "certain within each superpage only, so not in blocks larger than one");
}

/* A superpage is tried with what the user asks of its place ... */
static void try_one(const struct promise_wanted *wanted, struct promise *out)
{
	const struct trial_wish wish = {
		.size = SUPERPAGE_SIZE,
		.align = wanted->align,
		.high = wanted->below,
		.node = wanted->node,
		.ms = TRIAL_MS,
	};
	char place[96] = "", text[24];
	struct rlimit address_space;
	const char *mend = "";
	struct trial trial;

	if (wanted->below != UINT64_MAX) {
		snprintf(place, sizeof(place), " below %s",
			 contig_size_print(wanted->below, text, sizeof(text)));
		mend = "contig pool below 4G 64 # or another address";
	}
	if (wanted->align > SUPERPAGE_SIZE) {
		snprintf(place + strlen(place), sizeof(place) - strlen(place), " aligned to %s",
			 contig_size_print(wanted->align, text, sizeof(text)));
		if (!*mend)
			mend = "contig pool keep-contiguous 512";
	}
	if (wanted->node >= 0)
		snprintf(place + strlen(place), sizeof(place) - strlen(place), " of node %d",
			 wanted->node);
	/* The library wants an address for each frame. */
	if (!getrlimit(RLIMIT_AS, &address_space) && address_space.rlim_cur != RLIM_INFINITY)
		mend = "ulimit -v unlimited";
	trial_make(&wish, &trial);
	if (trial.end == TRIAL_REFUSED)
		doubt(out, mend, "no superpage%s is to be had: %s", place, trial.why);
	else if (trial.end == TRIAL_LATE)
		slow(out, mend, "superpages%s: none was found within %d seconds", place,
		     TRIAL_MS / 1000);
}

static bool place_matters(const struct promise_wanted *wanted)
{
	return wanted->below != UINT64_MAX || wanted->align > SUPERPAGE_SIZE ||
	       wanted->node >= 0;
}

/* Of what all sources lack, what a search among superpages that there were
 * came to. */
static void shorten(char *why)
{
	char *found = strstr(why, ", longest run "), *start = found;

	if (!found)
		return;
	while (start > why && strncmp(start, "; ", 2))
		start--;
	start += start > why ? 2 : 0;
	memmove(why, start, strlen(start) + 1);
	why[strcspn(why, ";")] = '\0';
}

/*
 * ... and one of several superpages: where memory is in pieces, neighbours are
 * a matter of luck, and the search for them takes the program's time.  A short
 * look is enough to say so; who names a length wants to know for certain.
 */
static void try_run(const struct promise_wanted *wanted, struct promise *out)
{
	const struct trial_wish wish = {
		.size = wanted->run ? wanted->run : TRIAL_RUN,
		.align = 1,
		.high = wanted->below,
		.node = wanted->node,
		.most = wanted->run ? 0 : TRIAL_MOST,
		.ms = TRIAL_MS,
	};
	struct trial trial;
	char text[24], mend[64];

	trial_make(&wish, &trial);
	/* For want of any, or of neighbours only? */
	if (trial.end == TRIAL_REFUSED) {
		unsigned int doubts = out->n;

		try_one(wanted, out);
		if (out->n > doubts)
			return;
	}
	contig_size_print(wish.size, text, sizeof(text));
	snprintf(mend, sizeof(mend), "contig pool keep-contiguous %" PRIu64 " # as root",
		 wish.size / SUPERPAGE_SIZE * 2 > KEEP_LEAST ? wish.size / SUPERPAGE_SIZE * 2
							      : KEEP_LEAST);
	if (trial.end == TRIAL_REFUSED)
		shorten(trial.why);
	if (trial.end == TRIAL_REFUSED && wanted->run)
		doubt(out, mend, "no run of %s is to be had (%s)", text, trial.why);
	else if (trial.end == TRIAL_REFUSED)
		long_only(out, mend,
			  "blocks longer than 2 MiB are slow to get, or fall back: no run of %s "
			  "was found at once (%s)", text, trial.why);
	else if (trial.end == TRIAL_LATE && wanted->run)
		doubt(out, mend, "no run of %s was found within %d seconds", text,
		      TRIAL_MS / 1000);
	else if (trial.end == TRIAL_LATE)
		slow(out, mend, "blocks longer than 2 MiB: no run of %s was found within %d "
		     "seconds", text, TRIAL_MS / 1000);
}

static void examine_memory(const struct promise_wanted *wanted,
			   const struct doctor_facts *facts, struct promise *out)
{
	/* Hidden frames are told of already, and no run of them is certain. */
	bool longer = facts->frames && (wanted->run ? wanted->run > SUPERPAGE_SIZE :
					!wanted->limit || wanted->limit >= TRIAL_RUN);
	unsigned int doubts = out->n;

	/* A pool is not made larger for a trial. */
	if (!facts->real || (wanted->grow == CONTIG_GROW_SYSTEM && !geteuid()))
		return;
	if (!facts->frames && wanted->below != UINT64_MAX)
		return; /* told, too */
	if (place_matters(wanted) || !longer)
		try_one(wanted, out);
	if (out->n == doubts && longer)
		try_run(wanted, out);
}

void promise_examine(const struct promise_wanted *wanted, struct promise *out)
{
	struct doctor_facts facts = {.real = contig_root_is_real()};
	struct doctor *doctor;
	bool simulated;
	unsigned int doubts;

	memset(out, 0, sizeof(*out));
	doctor = contig_topology() ? calloc(1, sizeof(*doctor)) : NULL;
	if (!doctor) {
		doubt(out, "", "/proc can't be read: is it mounted?");
		return;
	}
	simulated = secure_getenv("CONTIG_SIM") && *secure_getenv("CONTIG_SIM");
	if (simulated)
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
	doubts = out->n - out->n_chosen;
	examine_sources(wanted, doctor, &facts, out);
	/* Where there is none at all, the place doesn't matter. */
	if (out->n - out->n_chosen == doubts && !simulated)
		examine_memory(wanted, &facts, out);
	examine_wiring(wanted, out);
	doctor_free(doctor);
}
