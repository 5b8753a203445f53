/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shim's malloc family: victim_malloc, which knows nothing of us and looks
 * at its own frames, with and without the shim, on collapsed memory and on
 * superpages of the pool.
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <errno.h>
#include <string.h>

#define POOL_PAGES 160

struct victim {
	const char *scenario, *bytes;
	bool shim;
};

static const char *in_build(const char *file)
{
	static char path[4096];
	const char *dir = getenv("top_builddir");

	snprintf(path, sizeof(path), "%s/%s", dir ? dir : ".", file);
	return path;
}

/* The environment is the case's, but the program is the real one: in the
 * harness, or in a wrapper, the shim has no business. */
static void exec_victim(void *arg)
{
	const struct victim *v = arg;
	const char *given = getenv("CONTIG_PRELOAD");

	if (v->shim)
		setenv("LD_PRELOAD", given ? given : in_build(".libs/libcontig-preload.so"), 1);
	execl(in_build("tests/integration/victim_malloc"), "victim_malloc", v->scenario, v->bytes,
	      (char *)NULL);
	fprintf(stderr, "victim_malloc: %s\n", strerror(errno));
	_exit(2);
}

static struct outcome victim(const char *scenario, const char *bytes, bool shim)
{
	struct victim v = {scenario, bytes, shim};
	struct outcome out;

	collect_child(exec_victim, &v, &out);
	require(!out.timed_out && !out.signal, "%s: signal %d%s\n%s%s", scenario, out.signal,
		out.timed_out ? " (too long)" : "", out.out, out.err);
	require(!strstr(out.err, "cannot be preloaded") && !strstr(out.err, "jemalloc"), "%s",
		out.err);
	return out;
}

/* All is well under the shim. */
static void right(const char *scenario, const char *bytes)
{
	struct outcome out = victim(scenario, bytes, true);

	require(!out.status, "%s: exit %d\n%s%s", scenario, out.status, out.out, out.err);
}

/* And isn't without: the test can tell. */
static void wrong(const char *scenario, const char *bytes)
{
	require(victim(scenario, bytes, false).status == 1, "%s is right without the shim",
		scenario);
}

static void runs(void)
{
	wrong("blocks", "1000000");
	right("blocks", "2000000");
	wrong("pages", NULL);
	right("pages", NULL);
	right("early", NULL);
}

/* A 1 GiB page, demoted, holds the longest that is asked for. */
static void long_runs(void)
{
	if (!hugepool_add_run())
		leave_out("no 1 GiB page to be had");
	right("blocks", "0x20000000");
	require(hugepool_set_usable(POOL_2M, 0), "the pool doesn't shrink");
}

static void family(void)
{
	/* glibc's malloc itself is the measure. */
	require(!victim("family", NULL, false).status, "not what glibc does");
	right("family", NULL);
	right("alignments", "0x400000");
}

static void churn(void)
{
	right("reallocs", NULL);
	right("opens", NULL);
	right("destructors", NULL);
}

static void threads(void)
{
	right("threads", NULL);
}

static void foreign(void)
{
	right("foreign", NULL);
}

static void modest(void)
{
	right("modest", NULL);
}

static void trims(void)
{
	right("trims", "0x6000000");
}

static void beyond_limit(void)
{
	right("beyond", "40000000");
	right("sparse", "0x10000000");
	/* Where nothing can be had at all. */
	setenv("CONTIG_SOURCES", "1g", 1);
	right("beyond", "40000000");
	right("family", NULL);
	right("threads", "1");
}

static void strict(void)
{
	wrong("strict", "20000000");
	right("strict", "20000000");
}

/* Where the kernel makes superpages of all memory by itself, only what is
 * pinned is known to be ours. */
static bool kernel_makes_superpages(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	char text[64] = "";

	if (f && !fgets(text, sizeof(text), f))
		text[0] = '\0';
	if (f)
		fclose(f);
	return strstr(text, "[always]");
}

/* Heap, mappings and segments have one limit together, whoever comes first. */
static void one_limit(void)
{
	static const char *const orders[] = {"0", "1", "2"};

	for (size_t i = 0; i < 3; i++) {
		struct outcome out = victim("mixed", orders[i], true);
		size_t pinned, superpages;

		require(!out.status &&
				sscanf(out.out, "pinned %zu superpages %zu", &pinned, &superpages) == 2,
			"order %zu: exit %d\n%s%s", i, out.status, out.out, out.err);
		require(pinned <= 16 * MIB, "order %zu: %zu bytes pinned", i, pinned);
		/* Segments may be held by pipes, which the kernel doesn't count. */
		require(superpages >= 8 * MIB, "order %zu: only %zu bytes on superpages", i,
			superpages);
		require(superpages <= 16 * MIB || kernel_makes_superpages(),
			"order %zu: %zu bytes on superpages", i, superpages);
	}
}

static void unresolved(void)
{
	wrong("unresolved", NULL);
	right("unresolved", NULL);
}

static void whose(const char *expected)
{
	struct outcome out = victim("whose", NULL, true);

	require(!out.status && strstr(out.out, expected), "%s%s", out.out, out.err);
}

static void restricted(void)
{
	whose("the shim's");
	setenv("CONTIG_RESTRICT", "victim_mallocs:some", 1);
	whose("libc's");
	right("family", NULL);
	right("foreign", NULL);
	setenv("CONTIG_RESTRICT", "some:victim_malloc", 1);
	whose("the shim's");
}

/* A user of jemalloc's own library configures that one, not ours. */
static void other_conf(void)
{
	setenv("MALLOC_CONF", "no_such_option:1,stats_print:true,abort_conf:true", 1);
	right("reallocs", NULL);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		{"runs_collapsed", runs, 0, CASE_SEES | CASE_SLOW, "CONTIG_SOURCES=thp"},
		{"runs_hugetlb", runs, POOL_PAGES, CASE_SEES | CASE_SLOW, "CONTIG_SOURCES=2m"},
		{"long_runs", long_runs, 0, CASE_SEES | CASE_ROOT | CASE_SLOW, "CONTIG_SOURCES=2m"},
		{"family_collapsed", family, 0, CASE_SLOW, "CONTIG_SOURCES=thp"},
		{"family_hugetlb", family, POOL_PAGES, CASE_SLOW, "CONTIG_SOURCES=2m"},
		{"churn_collapsed", churn, 0, CASE_SLOW, "CONTIG_SOURCES=thp"},
		{"churn_hugetlb", churn, POOL_PAGES, CASE_SLOW, "CONTIG_SOURCES=2m"},
		{"threads_collapsed", threads, 0, CASE_SLOW, "CONTIG_SOURCES=thp"},
		{"threads_hugetlb", threads, POOL_PAGES, CASE_SLOW, "CONTIG_SOURCES=2m,thp"},
		{"foreign", foreign, POOL_ANY, 0, NULL},
		{"modest", modest, POOL_PAGES, 0, "CONTIG_SOURCES=2m"},
		{"trims_collapsed", trims, 0, CASE_SLOW, "CONTIG_SOURCES=thp"},
		{"trims_hugetlb", trims, POOL_PAGES, CASE_SLOW, "CONTIG_SOURCES=2m"},
		{"beyond_limit", beyond_limit, POOL_ANY, CASE_SLOW, "CONTIG_LIMIT=8M"},
		{"strict", strict, 0, CASE_SEES, "CONTIG_LIMIT=8M CONTIG_RUN_STRICT=1"},
		{"one_limit_collapsed", one_limit, 0, 0, "CONTIG_LIMIT=16M CONTIG_SOURCES=thp"},
		{"one_limit_hugetlb", one_limit, POOL_PAGES, 0,
		 "CONTIG_LIMIT=16M CONTIG_SOURCES=2m,thp"},
		{"unresolved", unresolved, POOL_ANY, CASE_SEES, NULL},
		{"restricted", restricted, POOL_ANY, 0, NULL},
		{"other_conf", other_conf, POOL_ANY, CASE_SLOW, "CONTIG_SOURCES=thp"},
	};

	return RUN_CASES(cases, argc, argv);
}
