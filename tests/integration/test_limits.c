/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Limits: of the library's own settings, of control groups, of a pool that is
 * too small.  Refused with a reason; never a SIGBUS, never an OOM kill.
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ANY 0, ~(vm_paddr_t)0, 0, 0

static uint64_t held(void)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};

	contig_stats_get(&stats);
	return stats.held;
}

static void says(const char *text)
{
	require(strstr(contig_strreason(), text), "'%s' doesn't say %s",
		contig_strreason(), text);
}

/* Superpages one by one, used as a program would; how many there are. */
static size_t use_up(size_t most)
{
	size_t n = 0;
	char *va;

	while (n < most && (va = contigmalloc(SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0,
					      SUPERPAGE, 0))) {
		memset(va, 1, SUPERPAGE);
		n++;
	}
	if (n < most)
		require(errno == ENOMEM && *contig_strreason(), "errno %d", errno);
	return n;
}

/* --- CONTIG_LIMIT ------------------------------------------------------- */

static void limit(void)
{
	void *kept[4];

	for (unsigned int i = 0; i < 4; i++) {
		kept[i] =
		    contigmalloc(SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, SUPERPAGE, 0);
		require(kept[i], "%u: %s", i, contig_strreason());
		require(held() <= 8 * MIB, "%" PRIu64 " bytes held", held());
	}
	require(!contigmalloc(PAGE, M_TEMP, 0, ANY) && errno == ENOMEM, "errno %d",
		errno);
	says("CONTIG_LIMIT");
	require(!contigmalloc(PAGE, M_TEMP, M_NOWAIT, ANY) && errno == ENOMEM, "errno %d",
		errno);
	require(contig_reserve(SUPERPAGE) == -1 && errno == ENOMEM, "reserve");
	/* Where frames are hidden a run of several superpages is EPERM. */
	require(!contigmalloc(16 * MIB, M_TEMP, 0, ANY) &&
		    errno == (contig_level() == CONTIG_LEVEL_HIDDEN ? EPERM : ENOMEM),
		"16 MiB: errno %d", errno);
	contig_free(kept[1]);
	require(contigmalloc(MIB, M_TEMP, 0, ANY) && contigmalloc(MIB, M_TEMP, 0, ANY),
		"%s", contig_strreason());
	require(held() <= 8 * MIB, "%" PRIu64 " bytes held", held());
}

static void limit_below_superpage(void)
{
	require(!contigmalloc(PAGE, M_TEMP, 0, ANY) && errno == ENOMEM, "errno %d",
		errno);
	says("CONTIG_LIMIT");
	require(!held(), "%" PRIu64 " bytes held", held());
}

/* "Most bytes of superpages held": of the library, whatever the pool. */
static void limit_of_all_pools(void)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr), .node = -1};
	contig_pool_t *pools[3];
	unsigned int n = 0;

	for (unsigned int i = 0; i < 3; i++) {
		pools[i] = contig_pool_create(&attr);
		require(pools[i], "%s", contig_strreason());
	}
	for (unsigned int i = 0; i < 12; i++)
		n +=
		    contig_pool_malloc(i % 4 ? pools[i % 4 - 1] : NULL, SUPERPAGE, M_TEMP,
				       0, 0, ~(vm_paddr_t)0, SUPERPAGE, 0) != NULL;
	require(held() <= 8 * MIB, "%u superpages, %" PRIu64 " bytes held", n, held());
	require(n == 4, "%u superpages", n);
}

/* --- CONTIG_RECLAIM_MAX ------------------------------------------------- */

static atomic_long peak;
static atomic_bool watched;

/* What the process holds for a moment, sampled. */
static void *watch(void *arg)
{
	(void)arg;
	while (!atomic_load(&watched)) {
		long now = probe_status("RssShmem") + probe_status("HugetlbPages");

		if (now > atomic_load(&peak))
			atomic_store(&peak, now);
	}
	return NULL;
}

static void search_in_vain(size_t most, const char *name)
{
	pthread_t watcher;
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	uint64_t low = probe_address(page) & ~(uint64_t)(SUPERPAGE - 1);

	require(low < ADDRESS_HIDDEN, "no frame");
	require(!pthread_create(&watcher, NULL, watch, NULL), "pthread_create");
	for (unsigned int i = 0; i < 3; i++) {
		/* RAM that exists, but where no superpage can be had: this
		 * program's own page lies there. */
		require(!contigmalloc(64 * 1024, M_TEMP, 0, low, low + SUPERPAGE, 0, 0),
			"how?");
		require(errno == ENOMEM, "errno %d: %s", errno, contig_strreason());
	}
	/* A small machine has no such run of RAM at all. */
	require(!contigmalloc(most * 2, M_TEMP, 0, ANY) &&
			(errno == ENOMEM || (errno == ERANGE && most > probe_top() / 8)),
		"errno %d", errno);
	if (name)
		says(name);
	atomic_store(&watched, true);
	pthread_join(watcher, NULL);
	note("%ld KiB held at once, of %zu", atomic_load(&peak), most / 1024);
	require(atomic_load(&peak) <= (long)(most / 1024) + 1024, "%ld KiB held at once",
		atomic_load(&peak));
	require(!held(), "%" PRIu64 " bytes kept", held());
}

static void reclaim_max(void)
{
	search_in_vain(32 * MIB, "CONTIG_RECLAIM_MAX");
}

/* --- control groups ----------------------------------------------------- */

static char group[160];
static const char *turned_on; /* "-memory": to be turned off again */
static const char *turned_on_in;

static bool group_write(const char *file, long value)
{
	char path[224];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	return !probe_write(path, value);
}

static bool in_list(const char *root, const char *file, const char *word)
{
	char path[96], text[256] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s", root, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		*text = '\0';
	close(fd);
	return strstr(text, word);
}

static bool turn(const char *root, const char *how)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", root);
	return !probe_write_text(path, how);
}

static void group_remove(void)
{
	for (int i = 0; *group && i < 2000 && rmdir(group) < 0 && errno == EBUSY; i++)
		probe_sleep_ms(5);
	*group = '\0';
	if (turned_on)
		turn(turned_on_in, turned_on);
	turned_on = NULL;
}

/* A group of this controller, of version 1 or 2, with a limit; false: none. */
static bool group_make(const char *controller, const char *on, const char *off,
		       const char *v1, const char *v2, long bytes)
{
	static char roots[3][64];

	snprintf(roots[0], sizeof(roots[0]), "/sys/fs/cgroup/%s", controller);
	strcpy(roots[1], "/sys/fs/cgroup");
	strcpy(roots[2], "/sys/fs/cgroup/unified");
	for (size_t i = 0; i < 3; i++) {
		bool second = in_list(roots[i], "cgroup.controllers", controller);

		if (i && !second)
			continue;
		if (second && !in_list(roots[i], "cgroup.subtree_control", controller)) {
			if (!turn(roots[i], on))
				continue;
			turned_on = off;
			turned_on_in = roots[i];
		}
		snprintf(group, sizeof(group), "%s/libcontig-limits-%d", roots[i],
			 (int)getpid());
		if (mkdir(group, 0755))
			*group = '\0';
		else if (group_write(second ? v2 : v1, bytes))
			return true;
		group_remove();
	}
	return false;
}

static bool memory_group(long bytes)
{
	return group_make("memory", "+memory", "-memory", "memory.limit_in_bytes",
			  "memory.max", bytes);
}

/* Run fn in the group; the group is removed in any case. */
static void in_group(void (*fn)(void *arg), void *arg)
{
	struct outcome out;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (!child) {
		if (!group_write("cgroup.procs", getpid()))
			_exit(77);
		fn(arg);
		_exit(0);
	}
	out = reap(child);
	group_remove();
	if (out.status == 77)
		skip("a process can't be moved into a control group here");
	require(!out.status, "status %d signal %d%s", out.status, out.signal,
		out.signal == SIGKILL ? " (killed for want of memory)" : "");
}

static void collapse_in_group(void *arg)
{
	size_t n;

	(void)arg;
	/* Where the machine has it, but not the group. */
	require(!contigmalloc((probe_top() > 2 * GIB ? 512 : 200) * MIB, M_TEMP, 0, ANY) &&
			errno == ENOMEM,
		"errno %d", errno);
	n = use_up(1000);
	note("%zu superpages within 256 MiB: %s", n, contig_strreason());
	require(n >= 8, "next to nothing");
	require(n < 128, "more than the group has");
	says("collapse");
	/* What was had stays usable, and more can be asked for. */
	contig_trim();
	contigmalloc(PAGE, M_TEMP, 0, ANY);
}

static void memory_group_collapse(void)
{
	if (!memory_group(256 << 20))
		skip("no memory control group can be made here");
	in_group(collapse_in_group, NULL);
}

static void tiny_in_group(void *arg)
{
	(void)arg;
	for (unsigned int i = 0; i < 20; i++)
		contigmalloc((1 + i) * MIB / 2, M_TEMP, i % 2 ? M_ZERO : 0, ANY);
	contig_reserve(64 * MIB);
}

static void memory_group_tiny(void)
{
	static const long limits[] = {4 << 20, 12 << 20, 70 << 20};

	for (size_t i = 0; i < 3; i++) {
		if (!memory_group(limits[i]))
			skip("no memory control group can be made here");
		in_group(tiny_in_group, NULL);
	}
}

/* A quarter of what the group has, not of what the machine has. */
static void default_budget_in_group(void *arg)
{
	(void)arg;
	search_in_vain(128 * MIB, NULL);
}

static void memory_group_budget(void)
{
	if (!memory_group(512 << 20))
		skip("no memory control group can be made here");
	in_group(default_budget_in_group, NULL);
}

/* The pool is set aside already: not the group's memory. */
static void pool_in_group(void *arg)
{
	(void)arg;
	require(use_up(30) == 30, "%s", contig_strreason());
}

static void memory_group_pool(void)
{
	if (!memory_group(32 << 20))
		skip("no memory control group can be made here");
	in_group(pool_in_group, NULL);
}

static void hugetlb_in_group(void *arg)
{
	size_t n;

	(void)arg;
	n = use_up(100);
	note("%zu superpages within 8 MiB", n);
	require(n <= 4, "more than the group may have");
	require(!contigmalloc(12 * MIB, M_TEMP, 0, ANY) && errno == ENOMEM, "errno %d",
		errno);
	require(contig_reserve(32 * MIB) == -1, "reserve");
	require(!contigmalloc(PAGE, M_TEMP, M_NOWAIT, 0, 0xffffffff, 0, 0), "low");
}

static void hugetlb_group(const char *v1, const char *v2)
{
	if (!group_make("hugetlb", "+hugetlb", "-hugetlb", v1, v2, 8 << 20))
		skip("no hugetlb control group can be made here");
	in_group(hugetlb_in_group, NULL);
}

static void hugetlb_group_use(void)
{
	hugetlb_group("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max");
}

static void hugetlb_group_reservation(void)
{
	hugetlb_group("hugetlb.2MB.rsvd.limit_in_bytes", "hugetlb.2MB.rsvd.max");
}

/* --- a pool that is too small ------------------------------------------- */

/* Somebody else takes and gives back, reserves and forgets. */
static void thief(void *arg)
{
	uint64_t state = (uint64_t)(uintptr_t)arg;

	for (;;) {
		size_t len = (1 + probe_random(&state) % 6) * SUPERPAGE;
		int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
		void *p =
		    mmap(NULL, len, PROT_READ | PROT_WRITE,
			 flags | (probe_random(&state) % 2 ? MAP_NORESERVE : 0), -1, 0);

		if (p == MAP_FAILED)
			continue;
		if (probe_random(&state) % 2)
			madvise(p, len, MADV_POPULATE_WRITE);
		if (probe_random(&state) % 4 == 0)
			probe_sleep_ms(1);
		munmap(p, len);
	}
}

static void rival(void *arg)
{
	uint64_t state = (uint64_t)(uintptr_t)arg;
	double end = probe_ms() + 1500;
	void *kept[8] = {NULL};

	while (probe_ms() < end) {
		unsigned int slot = probe_random(&state) % 8;
		size_t size = 1 + probe_random(&state) % (3 * MIB);

		contig_free(kept[slot]);
		kept[slot] =
		    contigmalloc(size, M_TEMP, slot % 2 ? M_ZERO : M_NOWAIT, ANY);
		if (kept[slot])
			memset(kept[slot], 1, size);
		else
			require((errno == ENOMEM || (errno == EPERM && !probe_sees())) &&
				    *contig_strreason(),
				"errno %d", errno);
		if (probe_random(&state) % 8 == 0) {
			for (unsigned int i = 0; i < 8; i++) {
				contig_free(kept[i]);
				kept[i] = NULL;
			}
			contig_trim();
		}
	}
	_exit(0);
}

static void fights(void)
{
	pid_t thieves[2], rivals[3];

	for (uintptr_t i = 0; i < 2; i++) {
		thieves[i] = fork();
		if (!thieves[i])
			thief((void *)i);
	}
	for (uintptr_t i = 0; i < 3; i++) {
		rivals[i] = fork();
		if (!rivals[i])
			rival((void *)(i + 50));
	}
	for (unsigned int i = 0; i < 3; i++) {
		struct outcome out = reap(rivals[i]);

		require(!out.status, "status %d signal %d%s", out.status, out.signal,
			out.signal == SIGBUS ? " (SIGBUS)" : "");
	}
	for (unsigned int i = 0; i < 2; i++) {
		kill(thieves[i], SIGKILL);
		waitpid(thieves[i], NULL, 0);
	}
}

/* Pages that another has reserved but not touched look free and aren't. */
static void reserved_by_others(void)
{
	size_t all = (size_t)hugepool_usable(POOL_2M), n;
	void *p = mmap(NULL, (all - 3) * SUPERPAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	require(p != MAP_FAILED, "mmap: %s", strerror(errno));
	n = use_up(all);
	require(n == 3, "%zu superpages, 3 aren't reserved", n);
	/* The other's reservation is good. */
	memset(p, 1, (all - 3) * SUPERPAGE);
}

static void no_collapse(void)
{
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		skip("PR_SET_THP_DISABLE: %s", strerror(errno));
	require(!contigmalloc(PAGE, M_TEMP, 0, ANY) && errno == ENOMEM, "errno %d",
		errno);
	says("collapse");
	note("%s", contig_strreason());
}

/* 64 MiB without a pool: usually to be had, and when memory is fragmented a
 * quarter of it; what is refused is refused with the reason. */
static void large_collapsed(void)
{
	uint64_t pa = 0, size;
	char *va = NULL;

	for (size = 64 * MIB; size >= 16 * MIB; size /= 2) {
		va = contigmalloc(size, M_TEMP, 0, ANY);
		if (va)
			break;
		require(errno == ENOMEM || errno == EPERM, "errno %d", errno);
		require(strlen(contig_strreason()) > 80, "%s", contig_strreason());
		printf("    %" PRIu64 " MiB refused: %s\n", size / MIB, contig_strreason());
	}
	if (!va)
		leave_out("no run of 16 MiB");
	if (probe_sees())
		require(!probe_run(va, size, &pa), "not contiguous");
	memset(va, 1, size);
	contig_free(va);
	contig_trim();
	require(!held(), "%" PRIu64 " bytes kept", held());
}

static void overcommitted(void)
{
	struct pool_state before;
	size_t n;

	if (!hugepool_set_overcommit(POOL_2M, 6))
		skip("nr_overcommit_hugepages can't be set");
	hugepool_read(POOL_2M, &before);
	n = use_up(100);
	require(n == 6, "%zu of 6 surplus superpages: %s", n, contig_strreason());
	_exit(hugepool_set_overcommit(POOL_2M, 0) ? 0 : 1);
}

static const struct test_case cases[] = {
    {"limit_pool", limit, 24, 0, "CONTIG_LIMIT=8M CONTIG_SOURCES=2m"},
    {"limit_collapsed", limit, 0, CASE_MAY_TRY, "CONTIG_LIMIT=8M CONTIG_SOURCES=thp"},
    {"limit_below_superpage", limit_below_superpage, POOL_ANY, 0, "CONTIG_LIMIT=1M"},
    {"limit_of_all_pools", limit_of_all_pools, 24, CASE_MAY_TRY, "CONTIG_LIMIT=8M"},
    {"reclaim_max_pool", reclaim_max, 40, CASE_SEES,
     "CONTIG_RECLAIM_MAX=32M CONTIG_SOURCES=2m"},
    {"reclaim_max_collapsed", reclaim_max, 0, CASE_SEES | CASE_MAY_TRY,
     "CONTIG_RECLAIM_MAX=32M CONTIG_SOURCES=thp"},
    {"memory_group_collapse", memory_group_collapse, 0, CASE_ROOT, NULL},
    {"memory_group_tiny", memory_group_tiny, 0, CASE_ROOT, NULL},
    {"memory_group_budget", memory_group_budget, 0, CASE_ROOT | CASE_SEES | CASE_SLOW,
     NULL},
    /* A sanitizer has no room in such a group. */
    {"memory_group_pool", memory_group_pool, 30, CASE_ROOT | CASE_SLOW | CASE_NO_SANITIZER,
     "CONTIG_SOURCES=2m"},
    {"hugetlb_group_use", hugetlb_group_use, 30, CASE_ROOT | CASE_SLOW,
     "CONTIG_SOURCES=2m"},
    {"hugetlb_group_reservation", hugetlb_group_reservation, 30, CASE_ROOT,
     "CONTIG_SOURCES=2m"},
    {"fights", fights, 10, 0, "CONTIG_SOURCES=2m"},
    {"reserved_by_others", reserved_by_others, 12, 0, "CONTIG_SOURCES=2m"},
    {"no_collapse", no_collapse, 0, CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
    {"large_collapsed", large_collapsed, 0, CASE_MAY_TRY | CASE_SLOW, NULL},
    {"overcommitted", overcommitted, 0, CASE_ROOT,
     "CONTIG_GROW=overcommit CONTIG_SOURCES=2m"},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
