/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Without privileges, without limits to spare, without /proc, without /sys:
 * what works, works; what doesn't says why.  Root looks over nobody's
 * shoulder: it reads the pagemap of a process that can't.
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define ANY 0, ~(vm_paddr_t)0, 0, 0
#define BLOCKS 12

/* What nobody tells root about its blocks. */
struct told {
	uintptr_t va;
	size_t size;
	unsigned long alignment;
	vm_paddr_t boundary;
};

static const struct {
	unsigned long size, alignment;
	vm_paddr_t boundary;
} wanted[BLOCKS] = {
    {PAGE, 0, 0},
    {3 * PAGE, 0, 0},
    {64 * 1024, 64 * 1024, 64 * 1024},
    {64 * 1024, 1 << 20, 128 * 1024},
    {100 * PAGE, 0, 1 << 20},
    {MIB, MIB, MIB},
    {MIB + PAGE, PAGE, 2 * MIB},
    {2 * MIB, 0, 0},
    {2 * MIB, 2 * MIB, 2 * MIB},
    {2 * MIB, 2 * MIB, 0},
    {2 * MIB, 0, (vm_paddr_t)1 << 40},
    {PAGE, 2 * MIB, PAGE},
};

static void refused_for_eperm(unsigned long size, vm_paddr_t low, vm_paddr_t high,
			      unsigned long alignment, vm_paddr_t boundary)
{
	void *va;

	errno = 0;
	va = contigmalloc(size, M_TEMP, M_WAITOK, low, high, alignment, boundary);
	require(!va && errno == EPERM,
		"size %lu low 0x%" PRIx64 " high 0x%" PRIx64
		" alignment 0x%lx: %p, errno %d",
		size, low, high, alignment, va, errno);
	require(strstr(contig_strreason(), "CAP_SYS_ADMIN"), "%s", contig_strreason());
}

static void nobody_allocates(struct told *told)
{
	/* Windows that cut something off, on a small machine too. */
	vm_paddr_t top = probe_top(), half = top / 2;
	vm_paddr_t high = half < UINT64_C(1) << 32 ? half : UINT64_C(1) << 32;
	struct contig_range_info info;
	uint64_t table[1];

	require(top, "/proc/zoneinfo");
	require(contig_level() == CONTIG_LEVEL_HIDDEN, "level %d", (int)contig_level());
	for (unsigned int i = 0; i < BLOCKS; i++) {
		char *va = contigmalloc(wanted[i].size, M_TEMP, i % 2 ? M_ZERO : 0, 0,
					i % 3 ? ~(vm_paddr_t)0 : (vm_paddr_t)1 << 50,
					wanted[i].alignment, wanted[i].boundary);

		require(va, "block %u: %s", i, contig_strreason());
		memset(va, (int)i, wanted[i].size);
		told[i] = (struct told){(uintptr_t)va, wanted[i].size,
					wanted[i].alignment, wanted[i].boundary};
		/* Hidden is never an address, least of all 0. */
		errno = 0;
		require(contig_virt_to_phys(va) == CONTIG_PADDR_NONE && errno == EPERM,
			"0x%" PRIx64 ", errno %d", contig_virt_to_phys(va), errno);
		require(contig_virt_to_phys_inline(va) == CONTIG_PADDR_NONE, "inline");
		errno = 0;
		require(contig_paddr_table((void *)((uintptr_t)va & ~(PAGE - 1)), PAGE,
					   PAGE, table, 1) == -1 &&
			    errno == EPERM,
			"errno %d", errno);
		require(contig_range_check(va, wanted[i].size, &info) == 1, "%s",
			contig_strreason());
		require(info.level == CONTIG_LEVEL_HIDDEN &&
			    info.first == CONTIG_PADDR_NONE,
			"range_check tells 0x%" PRIx64, info.first);
	}
	errno = 0;
	require(contig_verify() == -1 && errno == EPERM, "errno %d", errno);
	errno = 0;
	require(!contig_phys_to_virt(0x100000) && errno == EPERM, "errno %d", errno);
	refused_for_eperm(PAGE, high / 4, ~(vm_paddr_t)0, 0, 0);
	refused_for_eperm(PAGE, 0, high, 0, 0);
	refused_for_eperm(PAGE, 0, high - 1, 0, 0);
	refused_for_eperm(PAGE, PAGE, ~(vm_paddr_t)0, 0, 0);
	refused_for_eperm(PAGE, 0, ~(vm_paddr_t)0, 4 * MIB, 0);
	refused_for_eperm(4 * MIB, ANY);
}

static int pagemap_of(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Root reads the frames behind what nobody was given. */
static void check_told(int pagemap, const struct told *t)
{
	uint64_t first = 0;

	for (size_t page = 0; page < (t->size + PAGE - 1) / PAGE; page++) {
		uint64_t entry;

		require(pread(pagemap, &entry, 8, (off_t)((t->va / PAGE + page) * 8)) ==
			    8,
			"%s", strerror(errno));
		require(entry >> 63, "page %zu isn't there", page);
		entry = (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
		require(entry, "root sees nothing");
		if (!page)
			first = entry;
		require(entry == first + page * PAGE,
			"page %zu of %zu bytes is elsewhere", page, t->size);
	}
	require(!t->alignment || first % t->alignment == 0,
		"0x%" PRIx64 " isn't aligned to 0x%lx", first, t->alignment);
	require(!t->boundary || !((first ^ (first + t->size - 1)) & -t->boundary),
		"0x%" PRIx64 " crosses 0x%" PRIx64, first, t->boundary);
}

static void as_nobody(void)
{
	static struct told told[BLOCKS];
	int there[2], back[2], pagemap;
	char word = 0;
	pid_t child;

	if (geteuid()) {
		if (probe_sees())
			skip("this user sees frames");
		nobody_allocates(told);
		return;
	}
	require(!pipe(there) && !pipe(back), "pipe");
	child = fork();
	if (!child) {
		require(become_nobody(), "setresuid: %s", strerror(errno));
		nobody_allocates(told);
		require(write(there[1], told, sizeof(told)) == sizeof(told), "write");
		require(read(back[0], &word, 1) == 1, "read");
		for (unsigned int i = 0; i < BLOCKS; i++)
			contig_free((void *)told[i].va);
		contig_trim();
		_exit(0);
	}
	close(there[1]);
	require(read(there[0], told, sizeof(told)) == sizeof(told), "nobody failed");
	pagemap = pagemap_of(child);
	require(pagemap >= 0, "%s", strerror(errno));
	for (unsigned int i = 0; i < BLOCKS; i++)
		check_told(pagemap, &told[i]);
	require(write(back[1], &word, 1) == 1, "write");
	require(!reap(child).status, "nobody failed");
}

static void helper_nobody(void)
{
	static struct told told[BLOCKS];

	nobody_allocates(told);
	puts("fine");
	exit(0);
}

/* A program that was nobody's from its first instruction. */
static void exec_nobody(void *arg)
{
	(void)arg;
	if (!become_nobody())
		_exit(126);
	execl("/proc/self/exe", "self", "--helper", "helper_nobody", (char *)NULL);
	_exit(127);
}

static void as_nobody_executed(void)
{
	static struct outcome out;

	collect_child(exec_nobody, NULL, &out);
	if (out.status == 127)
		skip("nobody can't execute this program or load its libraries: %s",
		     out.err);
	require(!out.status && strstr(out.out, "fine"), "status %d signal %d: %s%s",
		out.status, out.signal, out.out, out.err);
}

/* /proc/self/pagemap belongs to root in a process that changed its user. */
static void not_dumpable(void)
{
	void *va;

	require(!syscall(SYS_setgroups, 0, NULL) && !setresgid(65534, 65534, 65534) &&
		    !setresuid(65534, 65534, 65534),
		"setresuid: %s", strerror(errno));
	prctl(PR_SET_DUMPABLE, 0);
	va = contigmalloc(2 * MIB, M_TEMP, 0, 0, ~(vm_paddr_t)0, 2 * MIB, 0);
	/* Which is how many daemons begin: they are nobody like any other. */
	require(va, "%s", contig_strreason());
	memset(va, 1, 2 * MIB);
	require(contig_level() == CONTIG_LEVEL_HIDDEN, "level %d", (int)contig_level());
	require(contig_virt_to_phys(va) == CONTIG_PADDR_NONE && errno, "an address");
	require(contig_virt_to_phys(&va) == CONTIG_PADDR_NONE && errno, "an address");
}

/* Full capabilities there, and frames hidden all the same (FACTS 26). */
static void user_namespace(void)
{
	void *va;

	require(become_nobody(), "setresuid");
	if (unshare(CLONE_NEWUSER))
		skip("no user namespaces: %s", strerror(errno));
	va = contigmalloc(MIB, M_TEMP, 0, ANY);
	require(va, "%s", contig_strreason());
	require(contig_level() == CONTIG_LEVEL_HIDDEN, "level %d", (int)contig_level());
	errno = 0;
	require(contig_virt_to_phys(va) == CONTIG_PADDR_NONE && errno == EPERM,
		"errno %d", errno);
}

/* Root begins, nobody goes on: what is held stays known, what comes later is
 * had or refused for a reason, and in no time. */
static void drops_privileges(void)
{
	char *va = contigmalloc(MIB, M_TEMP, 0, ANY), *more;
	uint64_t pa = probe_address(va);
	double start;

	require(va && contig_virt_to_phys(va) == pa, "%s", contig_strreason());
	require(become_nobody(), "setresuid");
	require(contig_virt_to_phys(va) == pa, "0x%" PRIx64, contig_virt_to_phys(va));
	va[0] = 1;
	more = contigmalloc(PAGE, M_TEMP, M_NOWAIT, ANY);
	require(more && contig_virt_to_phys(more) != CONTIG_PADDR_NONE, "%s",
		contig_strreason());
	start = probe_ms();
	for (unsigned int i = 0; i < 6; i++) {
		more = contigmalloc(2 * MIB, M_TEMP, 0, 0, ~(vm_paddr_t)0, 2 * MIB, 0);
		if (!more) {
			require(*contig_strreason(), "no reason");
			require(errno == EPERM || errno == ENOMEM, "errno %d", errno);
			break;
		}
		require(contig_virt_to_phys(more) % (2 * MIB) == 0, "0x%" PRIx64,
			contig_virt_to_phys(more));
	}
	require(probe_ms() - start < 20000 || under_sanitizer(), "took %.0f ms",
		probe_ms() - start);
	contig_free(va);
	contig_trim();
}

/* --- wiring with little ------------------------------------------------- */

static void wiring_told(enum contig_wiring most)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	struct contig_range_info info;
	char *va[10];

	for (unsigned int i = 0; i < 10; i++) {
		va[i] = contigmalloc(2 * MIB, M_TEMP, 0, 0, ~(vm_paddr_t)0, 2 * MIB, 0);
		require(va[i], "block %u: %s", i, contig_strreason());
		memset(va[i], 1, 2 * MIB);
		require(contig_range_check(va[i], 2 * MIB, &info) == 1, "%s",
			contig_strreason());
		require(info.wiring <= most, "wiring %d", (int)info.wiring);
	}
	contig_stats_get(&stats);
	require(stats.pinned + stats.resident + stats.unwired == stats.held,
		"wiring of %" PRIu64, stats.held);
	note("pinned %" PRIu64 " MiB, resident %" PRIu64 ", not wired %" PRIu64
	     "; VmPin %ld kB",
	     stats.pinned / MIB, stats.resident / MIB, stats.unwired / MIB,
	     probe_status("VmPin"));
	for (unsigned int i = 0; i < 10; i++)
		contig_free(va[i]);
	contig_trim();
}

static void little_memlock(void)
{
	static const rlim_t limits[] = {0, PAGE, 4 * MIB, 8 * MIB};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit limit = {limits[i], limits[i]};
		pid_t child = fork();

		if (!child) {
			require(!setrlimit(RLIMIT_MEMLOCK, &limit), "setrlimit");
			require(become_nobody(), "setresuid");
			wiring_told(CONTIG_WIRING_PINNED);
			_exit(0);
		}
		require(!reap(child).status, "limit %" PRIu64, (uint64_t)limits[i]);
	}
}

static void forbid(const long *calls, unsigned int n, int err)
{
	struct sock_filter filter[16] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = {0, filter};
	unsigned short at = 1;

	for (unsigned int i = 0; i < n; i++) {
		filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							    (unsigned int)calls[i], 0, 1);
		filter[at++] = (struct sock_filter)BPF_STMT(
		    BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)err);
	}
	filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = at;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		skip("no seccomp: %s", strerror(errno));
}

static void no_uring(void)
{
	static const long calls[] = {SYS_io_uring_setup, SYS_io_uring_register};

	/* Docker's default profile. */
	forbid(calls, 2, EPERM);
	wiring_told(CONTIG_WIRING_PINNED);
}

static void no_uring_no_pipe(void)
{
	static const long calls[] = {SYS_io_uring_setup, SYS_vmsplice};

	forbid(calls, 2, EPERM);
	wiring_told(CONTIG_WIRING_RESIDENT);
	require(probe_status("VmPin") <= 0, "pinned all the same");
}

static void no_wiring(void)
{
	static const long calls[] = {SYS_io_uring_setup, SYS_vmsplice, SYS_mlock,
				     SYS_mlock2};

	forbid(calls, 4, ENOSYS);
	wiring_told(hugepool_usable(POOL_2M) ? CONTIG_WIRING_RESIDENT
					     : CONTIG_WIRING_NONE);
}

/* Calls that a sandbox may lack; no crash, and a reason or a block. */
static void no_calls(void)
{
	static const struct {
		long calls[2];
		const char *name;
	} sandboxes[] = {
	    {{SYS_memfd_create, SYS_memfd_create}, "memfd_create"},
	    {{SYS_madvise, SYS_madvise}, "madvise"},
	    {{SYS_mremap, SYS_mremap}, "mremap"},
	    {{SYS_clone, SYS_clone3}, "clone"},
	    {{SYS_flock, SYS_flock}, "flock"},
	    {{SYS_mbind, SYS_get_mempolicy}, "mbind"},
	    {{SYS_fallocate, SYS_ftruncate}, "fallocate"},
	    {{SYS_openat, SYS_open}, "open"},
	    {{SYS_pread64, SYS_read}, "read"},
	    {{SYS_sched_getaffinity, SYS_getcpu}, "affinity"},
	};
	for (size_t i = 0; i < sizeof(sandboxes) / sizeof(sandboxes[0]); i++) {
		struct outcome out;
		pid_t child;

		fflush(NULL);
		child = fork();
		if (!child) {
			void *va;

			forbid(sandboxes[i].calls, 2, EPERM);
			va = contigmalloc(MIB, M_TEMP, M_ZERO, ANY);
			if (va)
				memset(va, 1, MIB);
			else
				require(*contig_strreason(), "without %s: no reason",
					sandboxes[i].name);
			contig_free(va);
			contig_trim();
			_exit(va ? 0 : 3);
		}
		out = reap(child);
		require(out.status == 0 || out.status == 3,
			"without %s: status %d signal %d%s", sandboxes[i].name,
			out.status, out.signal, out.timed_out ? " (hung)" : "");
	}
}

/* --- limits of the process ---------------------------------------------- */

static void little_address_space_child(void *arg)
{
	rlim_t more = *(rlim_t *)arg;
	struct rlimit limit;
	char line[256];
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	void *va;

	require(f && fgets(line, sizeof(line), f) && sscanf(line, "%lu", &pages) == 1,
		"statm");
	fclose(f);
	limit.rlim_cur = limit.rlim_max = pages * PAGE + more;
	require(!setrlimit(RLIMIT_AS, &limit), "setrlimit");
	va = contigmalloc(MIB, M_TEMP, 0, ANY);
	require(va || (errno == ENOMEM && strlen(contig_strreason()) > 20),
		"errno %d: '%s'", errno, contig_strreason());
	require(va || strstr(contig_strreason(), "address space") ||
		    strstr(contig_strreason(), "memory"),
		"%s", contig_strreason());
	if (va)
		memset(va, 1, MIB);
	/* Asking goes on to be answered. */
	require(!va || contigmalloc(PAGE, M_TEMP, M_NOWAIT, ANY), "%s",
		contig_strreason());
	contig_free(va);
	contig_trim();
	_exit(va ? 0 : 3);
}

static void little_address_space(void)
{
	static rlim_t more[] = {0,         PAGE,      64 << 10,   1 << 20,  16 << 20,
				256 << 20, 2UL << 30, 16UL << 30, 1UL << 40};
	size_t n = sizeof(more) / sizeof(more[0]);

	for (size_t i = 0; i < n; i++) {
		struct outcome out = run_child(little_address_space_child, &more[i]);

		require(out.status == 0 || out.status == 3,
			"%" PRIu64 " bytes more: status %d signal %d", (uint64_t)more[i],
			out.status, out.signal);
		require(i || out.status == 3, "from nothing");
		require(i + 1 < n || out.status == 0, "1 TiB is not enough");
	}
}

struct resource {
	const char *name;
	int which;
	rlim_t limit;
};

static void little_of_child(void *arg)
{
	const struct resource *r = arg;
	struct rlimit limit = {r->limit, r->limit};
	void *va;

	require(!setrlimit(r->which, &limit), "setrlimit");
	va = contigmalloc(2 * MIB, M_TEMP, M_ZERO, ANY);
	require(va || *contig_strreason(), "no reason");
	if (va)
		memset(va, 1, 2 * MIB);
	contig_free(va);
	contig_trim();
	_exit(va ? 0 : 3);
}

static void little_of(void)
{
	static struct resource resources[] = {
	    {"RLIMIT_FSIZE", RLIMIT_FSIZE, 0},
	    {"RLIMIT_FSIZE", RLIMIT_FSIZE, 100 * 1024},
	    {"RLIMIT_NOFILE", RLIMIT_NOFILE, 0},
	    {"RLIMIT_NOFILE", RLIMIT_NOFILE, 4},
	    {"RLIMIT_DATA", RLIMIT_DATA, 1 << 20},
	    {"RLIMIT_STACK", RLIMIT_STACK, 256 << 10},
	    {"RLIMIT_NPROC", RLIMIT_NPROC, 0},
	};

	if (!geteuid())
		require(become_nobody(), "setresuid");
	for (size_t i = 0; i < sizeof(resources) / sizeof(resources[0]); i++) {
		struct outcome out = run_child(little_of_child, &resources[i]);

		require(out.status == 0 || out.status == 3,
			"%s %" PRIu64 ": status %d signal %d", resources[i].name,
			(uint64_t)resources[i].limit, out.status, out.signal);
	}
}

static void locks_all(void)
{
	void *va;

	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		skip("mlockall: %s", strerror(errno));
	va = contigmalloc(2 * MIB, M_TEMP, 0, ANY);
	require(va || *contig_strreason(), "no reason");
	if (va)
		memset(va, 1, 2 * MIB);
	else
		note("refused: %s", contig_strreason());
	/* The reservation counts as locked, but nothing of it may be filled. */
	require(probe_status("VmRSS") < 256 << 10, "%ld MiB resident",
		probe_status("VmRSS") / 1024);
	contig_free(va);
	contig_trim();
}

static void nobody_locks_all(void)
{
	require(become_nobody(), "setresuid");
	locks_all();
}

/* --- without the kernel's files ----------------------------------------- */

static void own_mounts(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		skip("no mount namespace: %s", strerror(errno));
}

/* Nothing of the library crashes or hangs, whatever it says. */
static void use_all(bool must_fail, const char *what)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	struct contig_range_info info;
	struct contig_type_stats type;
	uint64_t table[1];
	void *va = contigmalloc(MIB, M_TEMP, M_ZERO, ANY);

	require(!must_fail || !va, "a block without %s", what);
	if (!va) {
		require(errno == ENOMEM && strlen(contig_strreason()) > 80,
			"errno %d: '%s'", errno, contig_strreason());
		note("%s", contig_strreason());
	} else {
		memset(va, 1, MIB);
	}
	require(!contigmalloc(PAGE, M_TEMP, 0, PAGE, PAGE, 0, 0) && errno == ERANGE,
		"errno %d", errno);
	contig_range_check(&table, sizeof(table), &info);
	contig_paddr_table((void *)((uintptr_t)&table & ~(PAGE - 1)), PAGE, PAGE, table,
			   1);
	contig_virt_to_phys(&table);
	contig_phys_to_virt(0);
	contig_verify();
	contig_stats_get(&stats);
	contig_type_stats_get(0, &type);
	contig_level();
	contig_reserve(PAGE);
	contig_usable_size(&table);
	contig_domainset_fixed(0);
	contig_pool_destroy(contig_pool_create(&(struct contig_pool_attr){
	    .struct_size = sizeof(struct contig_pool_attr), .node = -1}));
	contig_free(va);
	contig_trim();
}

static void no_proc(void)
{
	own_mounts();
	require(!umount2("/proc", MNT_DETACH), "umount: %s", strerror(errno));
	use_all(true, "/proc");
	require(contig_virt_to_phys(&errno) == CONTIG_PADDR_NONE, "an address");
	require(strstr(contig_strreason(), "/proc") ||
		    !contigmalloc(PAGE, M_TEMP, 0, ANY),
		"%s", contig_strreason());
	contigmalloc(PAGE, M_TEMP, 0, ANY);
	require(strstr(contig_strreason(), "/proc"), "%s", contig_strreason());
}

static void proc_goes_later(void)
{
	char *va = contigmalloc(MIB, M_TEMP, 0, ANY);

	require(va, "%s", contig_strreason());
	own_mounts();
	require(!umount2("/proc", MNT_DETACH), "umount: %s", strerror(errno));
	va[0] = 1;
	require(contig_virt_to_phys(va) != CONTIG_PADDR_NONE,
		"pool memory needs no /proc");
	require(contigmalloc(PAGE, M_TEMP, M_NOWAIT, ANY), "%s", contig_strreason());
	use_all(false, "/proc");
	contig_free(va);
}

static void empty_root(void)
{
	char dir[] = "/tmp/libcontig-empty-XXXXXX";

	require(mkdtemp(dir), "mkdtemp");
	require(!chroot(dir) && !chdir("/"), "chroot: %s", strerror(errno));
	use_all(true, "/proc and /sys");
}

static void empty_root_removed(void)
{
	/* The directory goes first, so that it can't be left behind. */
	pid_t child = fork();

	if (!child)
		empty_root();
	if (!child)
		_exit(0);
	require(!reap(child).status, "child");
	require(!system("rmdir /tmp/libcontig-empty-*"), "rmdir");
}

static void no_sys(void)
{
	own_mounts();
	require(!umount2("/sys", MNT_DETACH), "umount: %s", strerror(errno));
	use_all(false, "/sys");
}

static void read_only_sys(void)
{
	void *va;

	own_mounts();
	if (mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
		skip("/sys can't be made read-only: %s", strerror(errno));
	/* Growth is asked for and impossible: told, and nothing changed. */
	va = contigmalloc(64 * MIB, M_TEMP, 0, ANY);
	require(!va && errno == ENOMEM, "errno %d", errno);
	require(strstr(contig_strreason(), "ead-only") ||
		    strstr(contig_strreason(), "EROFS"),
		"%s", contig_strreason());
	use_all(true, "a pool");
}

static void read_only_sys_pool(void)
{
	own_mounts();
	if (mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
		skip("/sys can't be made read-only: %s", strerror(errno));
	require(contigmalloc(MIB, M_TEMP, 0, ANY), "%s", contig_strreason());
}

static const struct test_case cases[] = {
    {"as_nobody_pool", as_nobody, 16, 0, "CONTIG_SOURCES=2m"},
    {"as_nobody_collapsed", as_nobody, 0, CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
    {"as_nobody_executed", as_nobody_executed, POOL_ANY, 0, NULL},
    {"helper_nobody", helper_nobody, POOL_ANY, CASE_HELPER, NULL},
    {"not_dumpable_pool", not_dumpable, 4, CASE_ROOT, "CONTIG_SOURCES=2m"},
    {"not_dumpable_collapsed", not_dumpable, 0, CASE_ROOT, "CONTIG_SOURCES=thp"},
    {"user_namespace", user_namespace, POOL_ANY, 0, NULL},
    {"drops_privileges_pool", drops_privileges, 8, CASE_ROOT | CASE_SEES,
     "CONTIG_SOURCES=2m"},
    {"drops_privileges_collapsed", drops_privileges, 0, CASE_ROOT | CASE_SEES,
     "CONTIG_SOURCES=thp"},
    {"little_memlock_pool", little_memlock, 24, CASE_NO_SANITIZER, "CONTIG_SOURCES=2m"},
    {"little_memlock_collapsed", little_memlock, 0, CASE_MAY_TRY | CASE_NO_SANITIZER,
     "CONTIG_SOURCES=thp"},
    {"no_uring_pool", no_uring, 24, 0, "CONTIG_SOURCES=2m"},
    {"no_uring_collapsed", no_uring, 0, CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
    {"no_uring_no_pipe_pool", no_uring_no_pipe, 24, 0, "CONTIG_SOURCES=2m"},
    {"no_uring_no_pipe_collapsed", no_uring_no_pipe, 0, CASE_MAY_TRY,
     "CONTIG_SOURCES=thp"},
    {"no_wiring_pool", no_wiring, 24, 0, "CONTIG_SOURCES=2m"},
    {"no_wiring_collapsed", no_wiring, 0, CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
    {"no_calls", no_calls, 8, CASE_MAY_TRY | CASE_NO_SANITIZER, "CONTIG_SOURCES=2m,thp"},
    {"little_address_space", little_address_space, POOL_ANY, CASE_NO_SANITIZER, NULL},
    {"little_of", little_of, POOL_ANY, CASE_NO_SANITIZER, NULL},
    {"locks_all", locks_all, POOL_ANY, CASE_NO_SANITIZER, NULL},
    {"nobody_locks_all", nobody_locks_all, POOL_ANY, CASE_NO_SANITIZER, NULL},
    {"no_proc", no_proc, POOL_ANY, CASE_ROOT | CASE_NO_SANITIZER, NULL},
    {"proc_goes_later", proc_goes_later, POOL_ANY,
     CASE_ROOT | CASE_SEES | CASE_NO_SANITIZER, NULL},
    {"empty_root", empty_root_removed, POOL_ANY, CASE_ROOT | CASE_NO_SANITIZER, NULL},
    {"no_sys", no_sys, POOL_ANY, CASE_ROOT, NULL},
    {"read_only_sys", read_only_sys, 0, CASE_ROOT,
     "CONTIG_SOURCES=2m CONTIG_GROW=system"},
    {"read_only_sys_pool", read_only_sys_pool, 4, CASE_ROOT, "CONTIG_SOURCES=2m"},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
