/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs that fork and end under the shim: victim_fork.c plays the scenes
 * and looks at its own frames; here are the pools it meets, what its report
 * has to say, and what is left of superpages afterwards.
 */
#include "harness.h"
#include "hugepool.h"
#include "preload/report.h"
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define VICTIM_REFUSED 5

#define AMPLE 120 /* superpages: for the victim and many copies */
#define MIB_USED 24 /* of the victim: 12 superpages and a few for small blocks */
#define SHORT 18 /* enough for the victim alone, not for a copy */

static struct shim_report *report;
static char report_name[64];

static void open_report(void)
{
	int fd = memfd_create("report", MFD_ALLOW_SEALING);

	require(fd >= 0 && !ftruncate(fd, SHIM_REPORT_BYTES) &&
		    !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW),
		"memfd: %s", strerror(errno));
	report = mmap(NULL, SHIM_REPORT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(report != MAP_FAILED, "mmap: %s", strerror(errno));
	report->magic = SHIM_REPORT_MAGIC;
	report->version = SHIM_REPORT_VERSION;
	report->slot_size = sizeof(struct shim_slot);
	report->slots = SHIM_SLOTS;
	report->size = SHIM_REPORT_BYTES;
	snprintf(report_name, sizeof(report_name), "CONTIG_REPORT=/proc/%d/fd/%d", getpid(), fd);
}

/* All processes together. */
static uint64_t counted(enum shim_counter which)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < report->next && i < SHIM_SLOTS; i++)
		n += report->slot[i].counter[which];
	return n;
}

static bool has_reason(const char *text)
{
	for (uint32_t i = 0; i < report->next && i < SHIM_SLOTS; i++)
		for (int r = 0; r < SHIM_REASONS; r++)
			if (strstr(report->slot[i].reason[r].what, text))
				return true;
	return false;
}

static void built_path(char *path, size_t size, const char *name)
{
	const char *top = getenv("top_builddir");

	snprintf(path, size, "%s/%s", top ? top : ".", name);
}

struct play {
	const char *scene;
	unsigned int mib;
};

/* In a child of the harness: become the victim. */
static void become(void *arg)
{
	static char shim[4096] = "LD_PRELOAD=", victim[4096];
	const struct play *play = arg;
	char mib[16];

	built_path(shim + 11, sizeof(shim) - 11, ".libs/libcontig-preload.so");
	built_path(victim, sizeof(victim), "tests/integration/victim_fork");
	if (access(shim + 11, R_OK))
		skip("the shim is not built");
	snprintf(mib, sizeof(mib), "%u", play->mib);
	putenv(shim);
	putenv(report_name);
	execl(victim, victim, play->scene, mib, (char *)NULL);
	fail("%s: %s", victim, strerror(errno));
}

static int play_status(const char *scene, unsigned int mib)
{
	struct play play = {scene, mib};
	struct outcome out;

	if (report)
		memset(report->slot, 0, report->next * sizeof(report->slot[0]));
	else
		open_report();
	report->next = 0;
	out = run_child(become, &play);
	require(!out.signal && !out.timed_out, "%s: signal %d%s", scene, out.signal,
		out.timed_out ? " (hung)" : "");
	return out.status;
}

static void play(const char *scene, unsigned int mib)
{
	int status = play_status(scene, mib);

	require(!status, "%s: status %d", scene, status);
	require(counted(SHIM_WIRED), "%s: nothing was wired", scene);
}

static const char *const scenes[] = {
    "plain",      "generations", "storm",   "closes_all", "daemonised",
    "on_terminal", "copyless",   "executes", "handlers",
    "signals",
};

static void play_all(unsigned int mib)
{
	size_t n = test_scaled(sizeof(scenes) / sizeof(scenes[0]), 3);

	for (size_t i = 0; i < n; i++)
		play(scenes[i], mib);
}

/* Enough superpages for every copy: the kernel makes them. */
static void ample(void)
{
	play_all(MIB_USED);
	play("plain", MIB_USED);
	require(counted(SHIM_FORKS_PINNED) == 3, "%d of 3 forks pinned",
		(int)counted(SHIM_FORKS_PINNED));
	require(counted(SHIM_INHERITED) >= 3 * MIB_USED * MIB, "inherited: %zu",
		(size_t)counted(SHIM_INHERITED));
	require(report->next == 4, "%u slots", report->next);
	play("threads", MIB_USED);
	play("signals_beside", MIB_USED);
	play("bare", MIB_USED);
	play("cloned", MIB_USED);
	play("ends_filtered", MIB_USED);
	play("ends_filtered_quickly", MIB_USED);
	play("ends_filtered_slowly", MIB_USED);
	play("small_stacks", 0);
}

/* None for a copy: memory is set aside, and no superpage taken. */
static void pool_short(void)
{
	play_all(MIB_USED);
	play("plain", MIB_USED);
	require(counted(SHIM_FORKS_SWAPPED) == 3 && !counted(SHIM_FORKS_PINNED),
		"%d of 3 forks swapped", (int)counted(SHIM_FORKS_SWAPPED));
}

/* With threads there is no way: fork fails, and says why. */
static void pool_short_threads(void)
{
	require(play_status("threads", MIB_USED) == VICTIM_REFUSED, "not refused");
	require(counted(SHIM_FORKS_REFUSED) == 1, "%d refused",
		(int)counted(SHIM_FORKS_REFUSED));
	require(has_reason("free superpages"), "no reason");
	/* _Fork() has no policy, the kernel has. */
	require(play_status("bare", MIB_USED) == VICTIM_REFUSED, "_Fork: not refused");
	/* Hugetlb pages can't be shared with a short pool, whatever is chosen. */
	setenv("CONTIG_RUN_FORK", "cow", 1);
	require(play_status("threads_cow", MIB_USED) == VICTIM_REFUSED, "cow: not refused");
}

static void collapsed(void)
{
	/* No pool that would have to fit. */
	unsigned int mib = (unsigned int)test_scaled(MIB_USED, 6);

	play_all(mib);
	play("plain", mib);
	require(counted(SHIM_FORKS_SWAPPED) == 3, "%d of 3 forks swapped",
		(int)counted(SHIM_FORKS_SWAPPED));
	play("threads", mib);
	require(counted(SHIM_FORKS_PINNED) == 10, "%d of 10 forks pinned",
		(int)counted(SHIM_FORKS_PINNED));
	play("cloned", mib);
	play("small_stacks", 0);
	/* Mappings are of collapsed pages always. */
	play("mapped", mib);
}

static void rooted(void)
{
	play("rooted", MIB_USED);
	setenv("CONTIG_SOURCES", "thp", 1);
	play("rooted", 6);
}

/* A storm of programs that may have few descriptors, none of them high: then
 * none is kept, and all is as before but slower. */
static void few_descriptors(void)
{
	struct rlimit files = {40, 40};

	setrlimit(RLIMIT_NOFILE, &files);
	play("storm", MIB_USED);
	play("plain", MIB_USED);
}

/* Where superpages can't be pinned, the kernel would not copy them, and a write
 * might kill: they are set aside, however many are free. */
static void unpinned(void)
{
	setenv("CONTIG_PIN", "none", 1);
	for (size_t i = 0; i < 4; i++)
		require(!play_status(scenes[i], MIB_USED), "%s", scenes[i]);
	require(!play_status("plain", MIB_USED) && counted(SHIM_FORKS_SWAPPED) == 3,
		"%d of 3 forks swapped", (int)counted(SHIM_FORKS_SWAPPED));
	require(play_status("threads", MIB_USED) == VICTIM_REFUSED, "not refused");
	require(has_reason("can't be pinned"), "no reason");
	/* Collapsed pages can be shared by the kernel. */
	setenv("CONTIG_SOURCES", "thp", 1);
	require(!play_status("threads_cow", MIB_USED) && counted(SHIM_FORKS_COW),
		"%d forks by cow", (int)counted(SHIM_FORKS_COW));
}

/* What a program had is free for the next, at once. */
static void back_to_back(void)
{
	static const char *const ends[] = {"ends", "ends_at_once", "ends_quickly",
					   "ends_by_exec", "ends_beside"};
	long usable = hugepool_usable(POOL_2M);
	unsigned int mib = (unsigned int)usable * 2 - 6;

	for (unsigned int i = 0; i < 10; i++) {
		const char *end = ends[i % 5];

		play(end, mib);
		require(counted(SHIM_WIRED) >= mib * MIB && !counted(SHIM_FALLBACKS),
			"%s, program %u: %zu of %u MiB wired", end, i,
			(size_t)(counted(SHIM_WIRED) / MIB), mib);
		/* By itself, not by having waited: when the process is gone. */
		require(hugepool_usable(POOL_2M) == usable, "%s: %ld of %ld superpages free",
			end, hugepool_usable(POOL_2M), usable);
	}
}

static const struct test_case cases[] = {
    {"ample", ample, AMPLE, CASE_SEES | CASE_SLOW | CASE_NO_SANITIZER, "CONTIG_SOURCES=2m"},
    {"pool_short", pool_short, SHORT, CASE_SEES | CASE_SLOW | CASE_NO_SANITIZER,
     "CONTIG_SOURCES=2m"},
    {"pool_short_threads", pool_short_threads, SHORT, CASE_SEES | CASE_NO_SANITIZER,
     "CONTIG_SOURCES=2m"},
    {"collapsed", collapsed, 0, CASE_SEES | CASE_SLOW | CASE_MAY_TRY | CASE_NO_SANITIZER,
     "CONTIG_SOURCES=thp"},
    {"rooted", rooted, AMPLE, CASE_SEES | CASE_ROOT | CASE_NO_SANITIZER, "CONTIG_SOURCES=2m"},
    {"few_descriptors", few_descriptors, AMPLE, CASE_SEES | CASE_NO_SANITIZER,
     "CONTIG_SOURCES=2m"},
    {"unpinned", unpinned, AMPLE, CASE_SEES | CASE_SLOW | CASE_NO_SANITIZER,
     "CONTIG_SOURCES=2m"},
    {"back_to_back", back_to_back, 24, CASE_SEES | CASE_NO_SANITIZER, "CONTIG_SOURCES=2m"},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
