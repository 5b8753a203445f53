/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mappings under the shim: victim_mmap.c does everything to its mappings that
 * can be done, once without the shim and once with it, and must not be able to
 * tell.  What it sees of frames, it reads itself; what the shim says of them
 * is held against that.
 */
#include "harness.h"
#include "preload/report.h"
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_SKIP 77

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

static uint64_t counted(enum shim_counter which)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < report->next && i < SHIM_SLOTS; i++)
		n += report->slot[i].counter[which];
	return n;
}

static void built_path(char *path, size_t size, const char *name)
{
	const char *top = getenv("top_builddir");

	snprintf(path, size, "%s/%s", top ? top : ".", name);
}

struct play {
	const char *argument[4];
	bool shim;
};

static void become(void *arg)
{
	static char shim[4096] = "LD_PRELOAD=", victim[4096];
	const struct play *play = arg;

	built_path(shim + 11, sizeof(shim) - 11, ".libs/libcontig-preload.so");
	built_path(victim, sizeof(victim), "tests/integration/victim_mmap");
	if (access(shim + 11, R_OK))
		skip("the shim is not built");
	if (play->shim) {
		putenv(shim);
		putenv(report_name);
	}
	execl(victim, victim, play->argument[0], play->argument[1], play->argument[2],
	      (char *)NULL);
	fail("%s: %s", victim, strerror(errno));
}

static void run(struct play play, struct outcome *out)
{
	if (!report)
		open_report();
	memset(report->slot, 0, report->next * sizeof(report->slot[0]));
	report->next = 0;
	collect_child(become, &play, out);
	if (out->status == EXIT_SKIP)
		skip("victim %s: %s", play.argument[0], out->err);
	require(!out->status && !out->signal && !out->timed_out,
		"victim %s %s: status %d, signal %d%s: %s", play.argument[0],
		play.shim ? "with the shim" : "alone", out->status, out->signal,
		out->timed_out ? " (hung)" : "", out->err);
	if (play.shim)
		require(report->next, "the shim wasn't there");
}

/* What it prints with the shim. */
static const char *victim(const char *name)
{
	static struct outcome out;

	run((struct play){{name}, true}, &out);
	return out.out;
}

static void expect(const char *name, const char *text)
{
	const char *printed = victim(name);

	require(!strcmp(printed, text), "%s printed \"%s\", not \"%s\"", name, printed, text);
}

/* The same operations with and without; all of them, content and errors. */
static void compare(uint64_t seed, unsigned long count)
{
	static struct outcome alone, with;
	char seed_text[32], count_text[32];
	struct play play = {{"random", seed_text, count_text}, false};

	snprintf(seed_text, sizeof(seed_text), "%llu", (unsigned long long)seed);
	snprintf(count_text, sizeof(count_text), "%lu", count);
	run(play, &alone);
	play.shim = true;
	run(play, &with);
	require(lines(alone.out) == 1 && strlen(alone.out) == 17, "\"%s\"", alone.out);
	require(!strcmp(alone.out, with.out), "seed %s, %lu operations: %.16s alone, %.16s with the shim",
		seed_text, count, alone.out, with.out);
}

static void operations(void)
{
	compare(test_seed(), test_scaled(40000, 1000));
	require(counted(SHIM_MAPPED) >= 10 * MIB && counted(SHIM_MAPPED_LEFT) >= MIB,
		"%zu mapped, %zu left", (size_t)counted(SHIM_MAPPED),
		(size_t)counted(SHIM_MAPPED_LEFT));
}

/* From one page on, so that hardly a mapping is the kernel's. */
static void operations_small(void)
{
	compare(test_seed() + 1, test_scaled(30000, 1000));
}

/* Some are served, some fall back, all the time. */
static void operations_short(void)
{
	compare(test_seed() + 2, test_scaled(30000, 1000));
	require(counted(SHIM_MAPPED) && counted(SHIM_FALLBACKS), "%zu mapped, %zu fell back",
		(size_t)counted(SHIM_MAPPED), (size_t)counted(SHIM_FALLBACKS));
}

static void become_nobody_at_all(void *arg)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_MEMLOCK, &none);
	require(become_nobody(), "can't become nobody");
	become(arg);
}

static void operations_nobody(void)
{
	static struct outcome alone, with;
	char count[16];
	struct play play = {{"random", "77", count}, false};

	snprintf(count, sizeof(count), "%lu", test_scaled(5000, 500));
	open_report();
	collect_child(become_nobody_at_all, &play, &alone);
	play.shim = true;
	collect_child(become_nobody_at_all, &play, &with);
	require(!alone.status && !with.status && !strcmp(alone.out, with.out),
		"status %d and %d, %.16s alone, %.16s with the shim: %s", alone.status,
		with.status, alone.out, with.out, with.err);
}

/*
 * Up to a superpage a mapping is a run for certain.  Longer ones are where the
 * kernel's memory is in one piece; the shim must not say so when it isn't.
 */
static void runs(void)
{
	const char *text = victim("runs"), *end;
	uint64_t whole = 0, broken = 0;

	require((end = strstr(text, "pinned: all\n")), "not pinned: %s", text);
	for (const char *p = text; p < end; p = strchr(p, '\n') + 1) {
		unsigned long kib, breaks;

		require(sscanf(p, "%lu KiB: %lu", &kib, &breaks) == 2, "%s", p);
		require(!breaks || kib * 1024 > SUPERPAGE, "%lu KiB: %lu breaks", kib, breaks);
		*(breaks ? &broken : &whole) += kib * 1024;
	}
	note("%llu KiB whole, %llu KiB in pieces", (unsigned long long)whole / 1024,
	     (unsigned long long)broken / 1024);
	require(counted(SHIM_MAPPED) == whole + broken, "%zu of %zu bytes mapped",
		(size_t)counted(SHIM_MAPPED), (size_t)(whole + broken));
	/* A few of malloc's come in addition. */
	require(counted(SHIM_LARGE_KEPT) >= whole &&
			counted(SHIM_LARGE_KEPT) < whole + MIB,
		"%zu bytes whole, the shim says %zu", (size_t)whole,
		(size_t)counted(SHIM_LARGE_KEPT));
	require(counted(SHIM_LARGE_BROKEN) == broken, "%zu bytes in pieces, the shim says %zu",
		(size_t)broken, (size_t)counted(SHIM_LARGE_BROKEN));
}

static void check_breaks(const char *text)
{
	for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
		unsigned long kib, breaks;

		require(sscanf(p, "%lu KiB: %lu", &kib, &breaks) == 2, "%s", p);
		/* Superpage for superpage, at worst. */
		require(breaks <= (kib * 1024 - 1) / SUPERPAGE, "%lu KiB: %lu breaks", kib,
			breaks);
	}
}

static void aligned(void)
{
	check_breaks(victim("aligned"));
}

/* Kept only when it is so: which the state of memory decides. */
static void aligned_far(void)
{
	bool is_aligned = !strcmp(victim("aligned_far"), "aligned\n");

	require(is_aligned || !counted(SHIM_LARGE_KEPT), "%zu bytes kept, not aligned",
		(size_t)counted(SHIM_LARGE_KEPT));
}

static void aligned_strict(void)
{
	const char *text = victim("aligned_far");

	require(!strcmp(text, "aligned\n") || !strcmp(text, "Cannot allocate memory\n"), "%s",
		text);
}

static void grows(void)
{
	check_breaks(victim("grows"));
}

static void gives_back(void)
{
	expect("gives_back", "pinned: little\nresident: little\n");
}

static void little_data(void)
{
	expect("little_data", "mapped\n");
	require(counted(SHIM_MAPPED) == 1 << 20, "%zu bytes mapped", (size_t)counted(SHIM_MAPPED));
}

static void reserves(void)
{
	static struct outcome alone;

	/* Which of them the kernel refuses depends on how large the machine is. */
	run((struct play){{"reserves"}, false}, &alone);
	require(strstr(alone.out, "0: mapped\n") && strstr(alone.out, "resident: little\n"),
		"alone: %s", alone.out);
	expect("reserves", alone.out);
	require(!counted(SHIM_MAPPED), "%zu mapped", (size_t)counted(SHIM_MAPPED));
}

static void drops(void)
{
	expect("drops", "frames stayed\npinned: little\n");
}

static void threads(void)
{
	expect("threads", "done\n");
	require(counted(SHIM_MAPPED) >= test_scaled(GIB / 8, GIB / 40), "%zu mapped",
		(size_t)counted(SHIM_MAPPED));
}

static void signals(void)
{
	expect("signals", "done\n");
}

static void forks(void)
{
	expect("fork", "frames stayed\n");
}

static void beyond(void)
{
	expect("beyond", "done\n");
}

static void in_pieces(void)
{
	expect("pieces", "done\n");
}

static bool has_reason(const char *what)
{
	for (uint32_t i = 0; i < report->next && i < SHIM_SLOTS; i++)
		for (int j = 0; j < SHIM_REASONS; j++)
			if (report->slot[i].reason[j].ready == 2 &&
			    strstr(report->slot[i].reason[j].what, what))
				return true;
	return false;
}

/* Where the heap is, parts of it can be protected like anybody's. */
static void protected(const char *name)
{
	static struct outcome alone;

	run((struct play){{name}, false}, &alone);
	require(!strcmp(alone.out, "done\n"), "\"%s\"", alone.out);
	expect(name, "done\n");
	require(has_reason("heap: a part was protected"), "not reported");
	require(counted(SHIM_FALLBACK_BYTES) >= SUPERPAGE, "%zu bytes fell back",
		(size_t)counted(SHIM_FALLBACK_BYTES));
}

static void protects(void)
{
	protected("protects");
}

/* There the kernel can do it by itself; where no superpage is to be had, too. */
static void protects_thp(void)
{
	expect("protects", "done\n");
}

/* Advice on a part is no reason for a superpage to leave. */
static void advises(void)
{
	static struct outcome alone;

	run((struct play){{"advises"}, false}, &alone);
	require(!strcmp(alone.out, "done\n"), "\"%s\"", alone.out);
	expect("advises", "done\n");
	require(!has_reason("heap: a part was protected"), "a superpage left");
}

static void protects_threads(void)
{
	protected("protects_threads");
}

static void userfaults(void)
{
	expect("userfaults", "asked 15 times\n");
}

static void segment(void)
{
	expect("segment", "size 6303744, attached 1\nsuperpage 0: whole\nsuperpage 1: whole\n"
			  "superpage 2: whole\npinned: yes\nafterwards: little\n");
	/* The child attached it as well. */
	require(counted(SHIM_SEGMENTS) == 12 * MIB, "%zu bytes", (size_t)counted(SHIM_SEGMENTS));
}

/* What became of a mapping of so many KiB. */
static const char *fate(const char *text, unsigned int kib)
{
	static char line[128];
	char prefix[32];
	const char *at;

	snprintf(prefix, sizeof(prefix), "%u KiB: ", kib);
	for (at = text; *at && strncmp(at, prefix, strlen(prefix));)
		at = strchrnul(at, '\n') + (*strchrnul(at, '\n') == '\n');
	require(*at, "no line for %u KiB in %s", kib, text);
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at + strlen(prefix), "\n"),
		 at + strlen(prefix));
	return line;
}

/* Growth is asked for, too: whatever comes of it, the sums agree. */
static void sums_agree(void)
{
	uint64_t kept = counted(SHIM_LARGE_KEPT) + counted(SHIM_LARGE_BROKEN);

	require(kept == counted(SHIM_ASKED_LARGE), "%zu of %zu bytes", (size_t)kept,
		(size_t)counted(SHIM_ASKED_LARGE));
}

/* Beyond the limit by the kernel alone ... */
static void grows_on(void)
{
	expect("grows_on", "2048 KiB: grown\n4096 KiB: grown\n8192 KiB: grown\n"
			   "16384 KiB: grown\n");
	sums_agree();
	require(counted(SHIM_BASE_PAGES) >= 4 * MIB, "%zu bytes", (size_t)counted(SHIM_BASE_PAGES));
	require(counted(SHIM_LARGE_BROKEN) >= 4 * MIB, "%zu bytes",
		(size_t)counted(SHIM_LARGE_BROKEN));
}

/* ... or not at all. */
static void grows_strict(void)
{
	const char *text = victim("grows_on");

	require(!strcmp(fate(text, 16384), "Cannot allocate memory"), "%s", text);
	require(!strcmp(fate(text, 2048), "grown"), "%s", text);
	require(!counted(SHIM_BASE_PAGES) && !counted(SHIM_LARGE_BROKEN), "%zu on base pages",
		(size_t)counted(SHIM_BASE_PAGES));
	require(counted(SHIM_REFUSED) >= 1, "not refused");
	require(counted(SHIM_LARGEST_RUN) >= 2 * MIB, "the longest is %zu",
		(size_t)counted(SHIM_LARGEST_RUN));
}

/* A superpage is as promised; base pages at its end or beyond the limit aren't.
 * What is shorter is not promised. */
static void segments_strict(void)
{
	expect("attaches", "1024 KiB: attached, 1\n2048 KiB: attached, 1\n"
			   "6156 KiB: Cannot allocate memory, 0\n"
			   "14336 KiB: Cannot allocate memory, 0\n");
	require(counted(SHIM_REFUSED) == 2, "%zu refused", (size_t)counted(SHIM_REFUSED));
	require(counted(SHIM_LARGE_KEPT) == 2 * MIB && !counted(SHIM_LARGE_BROKEN),
		"%zu bytes kept, %zu broken", (size_t)counted(SHIM_LARGE_KEPT),
		(size_t)counted(SHIM_LARGE_BROKEN));
	require(counted(SHIM_SEGMENTS) == 2 * MIB, "%zu bytes", (size_t)counted(SHIM_SEGMENTS));
}

/* And are all attached where that is no matter. */
static void segments_left(void)
{
	expect("attaches", "1024 KiB: attached, 1\n2048 KiB: attached, 1\n"
			   "6156 KiB: attached, 1\n14336 KiB: attached, 1\n");
	require(!counted(SHIM_REFUSED), "%zu refused", (size_t)counted(SHIM_REFUSED));
}

/* What a program asked hugetlb pages for has them. */
static void segments_hugetlb(void)
{
	expect("attaches_hugetlb", "4096 KiB: attached, 1\n");
	require(counted(SHIM_MAPPED_LEFT) == 4 * MIB, "%zu left",
		(size_t)counted(SHIM_MAPPED_LEFT));
	require(!counted(SHIM_BASE_PAGES) && !counted(SHIM_REFUSED), "%zu on base pages",
		(size_t)counted(SHIM_BASE_PAGES));
}

/* Not taken before use, and so not wired: neither a fallback nor a failure. */
static void limit(void)
{
	const char *text = victim("sizes");

	for (unsigned int kib = 64; kib <= 32768; kib *= 2) {
		const char *want = kib <= 1024 ? "mapped, there" : "mapped, not there";

		require(!strcmp(fate(text, kib), want), "%u KiB: %s", kib, fate(text, kib));
	}
	require(!counted(SHIM_FALLBACKS), "%zu fallbacks", (size_t)counted(SHIM_FALLBACKS));
	require(counted(SHIM_MAPPED_LEFT) >= 62 * MIB, "%zu left",
		(size_t)counted(SHIM_MAPPED_LEFT));
}

/* The promise or nothing.  In between it is the state of memory that decides. */
static void strict(void)
{
	const char *text = victim("sizes");

	for (unsigned int kib = 64; kib <= 2048; kib *= 2)
		require(!strcmp(fate(text, kib), "mapped, there"), "%u KiB: %s", kib,
			fate(text, kib));
	for (unsigned int kib = 16384; kib <= 32768; kib *= 2)
		require(!strcmp(fate(text, kib), "Cannot allocate memory, not there"),
			"%u KiB: %s", kib, fate(text, kib));
	require(counted(SHIM_REFUSED) >= 2, "%zu refused", (size_t)counted(SHIM_REFUSED));
}

static const struct test_case cases[] = {
	{"operations", operations, 0, CASE_SLOW | CASE_NO_SANITIZER, NULL},
	{"operations_small", operations_small, 0, CASE_SLOW | CASE_NO_SANITIZER,
	 "CONTIG_RUN_THRESHOLD=4096"},
	{"operations_short", operations_short, 0, CASE_SLOW | CASE_NO_SANITIZER,
	 "CONTIG_LIMIT=16M CONTIG_RUN_THRESHOLD=16K"},
	{"operations_nobody", operations_nobody, 0, CASE_SLOW | CASE_ROOT | CASE_NO_SANITIZER,
	 NULL},
	{"runs", runs, 0, CASE_SEES | CASE_NO_SANITIZER, NULL},
	{"aligned", aligned, 0, CASE_SEES | CASE_NO_SANITIZER, NULL},
	{"aligned_far", aligned_far, 0, CASE_SEES | CASE_NO_SANITIZER, "CONTIG_RUN_ALIGN=64M"},
	{"aligned_strict", aligned_strict, 0, CASE_SEES | CASE_NO_SANITIZER,
	 "CONTIG_RUN_ALIGN=64M CONTIG_RUN_STRICT=1"},
	{"grows", grows, 0, CASE_SEES | CASE_NO_SANITIZER, NULL},
	{"gives_back", gives_back, 0, CASE_SLOW | CASE_NO_SANITIZER, NULL},
	{"little_data", little_data, 0, CASE_NO_SANITIZER, NULL},
	{"reserves", reserves, 0, CASE_NO_SANITIZER, NULL},
	{"drops", drops, 0, CASE_SEES | CASE_NO_SANITIZER, NULL},
	{"threads", threads, 0, CASE_SLOW | CASE_NO_SANITIZER, NULL},
	{"signals", signals, 0, CASE_SLOW | CASE_NO_SANITIZER, NULL},
	{"forks", forks, 0, CASE_SEES | CASE_NO_SANITIZER, NULL},
	{"beyond", beyond, 0, CASE_NO_SANITIZER, NULL},
	{"in_pieces", in_pieces, 0, CASE_NO_SANITIZER, NULL},
	{"protects", protects, 48, CASE_SLOW | CASE_NO_SANITIZER, "CONTIG_SOURCES=2m"},
	{"protects_thp", protects_thp, 0, CASE_SLOW | CASE_NO_SANITIZER, "CONTIG_SOURCES=thp"},
	{"advises", advises, 48, CASE_NO_SANITIZER, "CONTIG_SOURCES=2m"},
	{"advises_thp", advises, 0, CASE_NO_SANITIZER, "CONTIG_SOURCES=thp"},
	{"protects_threads", protects_threads, 40, CASE_SLOW | CASE_ROOT | CASE_NO_SANITIZER,
	 "CONTIG_SOURCES=2m"},
	{"userfaults", userfaults, 0, CASE_ROOT | CASE_NO_SANITIZER, NULL},
	{"segment", segment, 0, CASE_SEES | CASE_NO_SANITIZER, NULL},
	{"segments_strict", segments_strict, 0, CASE_SEES | CASE_NO_SANITIZER,
	 "CONTIG_RUN_STRICT=1 CONTIG_LIMIT=12M"},
	{"segments_left", segments_left, 0, CASE_NO_SANITIZER, "CONTIG_LIMIT=12M"},
	{"segments_hugetlb", segments_hugetlb, 2, CASE_ROOT | CASE_NO_SANITIZER,
	 "CONTIG_RUN_STRICT=1"},
	{"grows_on", grows_on, 0, CASE_NO_SANITIZER, "CONTIG_LIMIT=12M"},
	{"grows_strict", grows_strict, 0, CASE_NO_SANITIZER,
	 "CONTIG_RUN_STRICT=1 CONTIG_LIMIT=12M"},
	{"limit", limit, 0, CASE_NO_SANITIZER, "CONTIG_RUN_MAP_LIMIT=1M"},
	{"strict", strict, 0, CASE_NO_SANITIZER, "CONTIG_RUN_STRICT=1 CONTIG_LIMIT=12M"},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
