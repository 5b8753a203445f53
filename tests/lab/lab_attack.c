/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whatever makes a kernel move memory, tried on memory that is held in place in
 * four ways, of six kinds, side by side.  What is pinned stays where it is and
 * as it is; what isn't shows that the attacks work, and the library tells when
 * its own memory has moved.  Run in the lab (attack.lab, movable.lab).
 *
 * Usage: lab_attack [-m] [ATTACK...]; -m: memory is movable, and the kernel may
 * refuse to pin: less than a pin is no failure when the library says so.  An
 * ATTACK is named by a part of its name.
 */
#include "lab_victim.h"

#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif

#define OFFLINE_MS 1000
#define HOG_MS 30000
#define HOG (96 * MIB)
#define HOLES (96 * MIB)
#define KSM_MS 8000
#define BLOCKS_MOST 12

static struct victim victims[KINDS][HOLDS];
static unsigned int faults;
static bool may_refuse;

__attribute__((format(printf, 1, 2))) static void fault(const char *format, ...)
{
	va_list ap;

	faults++;
	printf("WRONG: ");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
}

static const char *name_of(enum kind kind, enum hold hold)
{
	static char text[80];

	snprintf(text, sizeof(text), "%s, %s", kind_names[kind], hold_names[hold]);
	return text;
}

#define for_each_victim(kind, hold)                    \
	for (enum kind kind = 0; kind < KINDS; kind++) \
		for (enum hold hold = 0; hold < HOLDS; hold++)

static bool must_stay(enum kind kind, enum hold hold, const struct report *r)
{
	if (is_library(kind))
		return r->wiring == CONTIG_WIRING_PINNED;
	return hold == HOLD_URING && !r->refused;
}

/* Something keeps the kernel from moving what it has. */
static bool is_held(enum kind kind, enum hold hold)
{
	return hold == HOLD_PIPE || must_stay(kind, hold, &victims[kind][hold].first);
}

/* --- attacks ------------------------------------------------------------------- */

static void order_all(enum order order)
{
	struct report unused;

	for_each_victim(kind, hold) victim_send(&victims[kind][hold], order);
	for_each_victim(kind, hold) if (victim_receive(&victims[kind][hold], &unused))
	    fault("%s: %s", name_of(kind, hold), unused.problem);
}

static void move_each(const struct victim *v, size_t step)
{
	static void *pages[RANGE_PAGES];
	static int nodes[RANGE_PAGES], status[RANGE_PAGES];

	for (int i = 0; i < RANGES; i++) {
		size_t n = 0;

		for (size_t at = 0; at < SUPERPAGE; at += step, n++) {
			pages[n] = (char *)v->first.ranges[i] + at;
			nodes[n] = 1;
		}
		syscall(SYS_move_pages, v->pid, n, pages, nodes, status,
			MPOL_MF_MOVE_ALL);
	}
}

static void attack_move_superpages(void)
{
	for_each_victim(kind, hold) move_each(&victims[kind][hold], SUPERPAGE);
}

static void attack_move_pages(void)
{
	for_each_victim(kind, hold) move_each(&victims[kind][hold], PAGE);
}

static void attack_migrate_pages(void)
{
	unsigned long from = 1, to = 2;

	for_each_victim(kind, hold) syscall(SYS_migrate_pages, victims[kind][hold].pid,
					    8 * sizeof(from), &from, &to);
}

static void attack_mbind(void)
{
	order_all(ORDER_MBIND);
	order_all(ORDER_UNBIND);
}

static void attack_pageout(void)
{
	order_all(ORDER_PAGEOUT);
}

/* The same, and MADV_COLD, from another process. */
static void attack_process_madvise(void)
{
	for_each_victim(kind, hold)
	{
		struct victim *v = &victims[kind][hold];
		int fd = (int)syscall(SYS_pidfd_open, v->pid, 0);

		for (int i = 0; fd >= 0 && i < RANGES; i++) {
			struct iovec range = {v->first.ranges[i], SUPERPAGE};

			syscall(SYS_process_madvise, fd, &range, 1UL, MADV_COLD, 0);
			syscall(SYS_process_madvise, fd, &range, 1UL, MADV_PAGEOUT, 0);
		}
		if (fd >= 0)
			close(fd);
	}
}

static void attack_fork(void)
{
	order_all(ORDER_FORK);
}

/* A child that takes len bytes and keeps them or every so many-th page. */
static pid_t start_hog(size_t len, size_t every)
{
	int done[2];
	char byte;
	pid_t child;

	if (pipe(done))
		return -1;
	child = fork();
	if (!child) {
		double end = probe_ms() + HOG_MS;
		char *va = mmap(NULL, len, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		close(done[0]);
		probe_write_text("/proc/self/oom_score_adj", "1000");
		probe_write_text(VICTIMS "/cgroup.procs", "0");
		madvise(va, len, every ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
		for (size_t at = 0; va != MAP_FAILED && at < len && probe_ms() < end;
		     at += PAGE)
			va[at] = 1;
		for (size_t at = 0; every && at < len; at += every)
			madvise(va + at, every - PAGE, MADV_DONTNEED);
		if (write(done[1], "", 1) == 1)
			pause();
		_exit(0);
	}
	close(done[1]);
	if (read(done[0], &byte, 1) != 1)
		printf("      (the child that takes memory was ended early)\n");
	close(done[0]);
	return child;
}

static void end_hog(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void attack_compact(void)
{
	/* Holes everywhere: a page in four stays. */
	pid_t hog = start_hog(HOLES, 4 * PAGE);

	for (int i = 0; i < 2; i++) {
		probe_write("/proc/sys/vm/compact_memory", 1);
		probe_write("/sys/devices/system/node/node0/compact", 1);
	}
	end_hog(hog);
}

/* More than their control group may have: they and the hog's pages go. */
static void attack_swap(void)
{
	long before = probe_meminfo("SwapFree"),
	     current = probe_number(VICTIMS "/memory.current");
	pid_t hog;

	if (before <= 0 || current <= 0) {
		fault("there is no swap, or no control group");
		return;
	}
	probe_write(VICTIMS "/memory.max", current + (long)(16 * MIB));
	hog = start_hog(HOG, 0);
	/* The hog's own pages go first; then what nobody has touched for long. */
	for (int i = 0; i < 4; i++)
		probe_write(VICTIMS "/memory.reclaim", 32 * (long)MIB);
	printf("      (%ld MiB went to swap)\n",
	       (before - probe_meminfo("SwapFree")) / 1024);
	if (probe_meminfo("SwapFree") > before - (long)(HOG / 2048))
		fault("the pressure swapped nothing out");
	end_hog(hog);
	probe_write_text(VICTIMS "/memory.max", "max");
}

/* Another node is all they may have: what they have follows. */
static void attack_cpuset(void)
{
	if (probe_write(VICTIMS "/cpuset.mems", 1))
		fault("the control group can't be sent to node 1");
	/* That is done in the background. */
	probe_sleep_ms(500);
	probe_write_text(VICTIMS "/cpuset.mems", "0-1");
}

#define KSM "/sys/kernel/mm/ksm/"

static void attack_ksm(void)
{
	long scans = probe_number(KSM "full_scans");
	double end = probe_ms() + KSM_MS;

	if (scans < 0)
		return;
	order_all(ORDER_MERGEABLE);
	probe_write(KSM "pages_to_scan", 100000);
	probe_write(KSM "sleep_millisecs", 1);
	probe_write(KSM "run", 1);
	while (probe_number(KSM "full_scans") < scans + 3 && probe_ms() < end)
		probe_sleep_ms(20);
	printf("      (%ld pages shared by KSM)\n", probe_number(KSM "pages_sharing"));
	probe_write(KSM "run", 0);
}

#define BALANCING "/sys/kernel/debug/sched/numa_balancing/"

/* Processes take these along when they are born. */
static void hurry_balancing(void)
{
	probe_write("/proc/sys/kernel/numa_balancing", 0);
	probe_write(BALANCING "scan_delay_ms", 1);
	probe_write(BALANCING "scan_period_min_ms", 5);
	probe_write(BALANCING "scan_period_max_ms", 20);
}

static void attack_balancing(void)
{
	probe_write("/proc/sys/kernel/numa_balancing", 1);
	order_all(ORDER_WORK);
	probe_write("/proc/sys/kernel/numa_balancing", 0);
}

/* What the kernel does when a DIMM reports correctable errors. */
static void attack_soft_offline(void)
{
	for_each_victim(kind, hold)
	{
		char text[32];

		snprintf(text, sizeof(text), "0x%" PRIx64,
			 victims[kind][hold].first.frames[1]);
		/* A page that the kernel has in hand this moment is refused. */
		for (int i = 0; i < 5; i++) {
			if (!probe_write_text("/sys/devices/system/memory/soft_offline_page",
					      text) ||
			    is_held(kind, hold))
				break;
			probe_sleep_ms(20);
		}
	}
}

/* One block of memory; a pinned page makes this last until a signal. */
static const char *offline(long block)
{
	double end = probe_ms() + OFFLINE_MS;
	const char *outcome = "held";
	char path[96];
	pid_t child;
	int status;

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%ld/state", block);
	child = fork();
	if (!child)
		_exit(probe_write_text(path, "offline") ? 1 : 0);
	while (!waitpid(child, &status, WNOHANG)) {
		if (probe_ms() > end) {
			kill(child, SIGKILL);
			waitpid(child, &status, 0);
			break;
		}
		probe_sleep_ms(5);
	}
	if (WIFEXITED(status))
		outcome = WEXITSTATUS(status) ? "busy" : "emptied";
	if (WIFEXITED(status) && !WEXITSTATUS(status) && probe_write_text(path, "online"))
		fault("memory block %ld doesn't come back", block);
	return outcome;
}

/*
 * A block with a frame that is held is never emptied.  The kernel refuses at once
 * ("busy") where it sees beforehand that it can't, and goes on trying ("held")
 * where nothing tells it: which of them depends on where memory happens to lie,
 * in a movable zone too.
 */
static void attack_offline(void)
{
	bool pinned[BLOCKS_MOST] = {false};
	const char *outcomes[BLOCKS_MOST];
	unsigned int n = 0, n_pinned = 0;
	long blocks[BLOCKS_MOST];

	for_each_victim(kind, hold)
	{
		for (int i = 0; i < RANGES && n < BLOCKS_MOST; i++) {
			long block =
			    (long)(victims[kind][hold].first.frames[i] / (128 * MIB));
			unsigned int at = 0;

			while (at < n && blocks[at] != block)
				at++;
			if (at == n)
				blocks[n++] = block;
			pinned[at] |= is_held(kind, hold);
		}
	}
	printf("      (blocks of memory:");
	for (unsigned int i = 0; i < n; i++) {
		outcomes[i] = offline(blocks[i]);
		printf(" %ld %s%s", blocks[i], outcomes[i], i + 1 < n ? "," : ")\n");
	}
	for (unsigned int i = 0; i < n; i++) {
		n_pinned += pinned[i];
		if (pinned[i] && !strcmp(outcomes[i], "emptied"))
			fault("memory block %ld was emptied, with frames that are held",
			      blocks[i]);
	}
	if (!n_pinned)
		fault("no memory block with frames that are held");
}

static const struct trial {
	const char *name;
	void (*run)(void);
	bool moves; /* whatever isn't pinned, and has no other reference */
	bool swaps; /* what isn't even locked */
} attacks[] = {
    {"move_pages, 2 MiB", attack_move_superpages, false, false},
    {"move_pages, 4 KiB", attack_move_pages, true, false},
    {"migrate_pages", attack_migrate_pages, true, false},
    {"mbind", attack_mbind, true, false},
    {"cpuset.mems", attack_cpuset, true, false},
    {"fork storm", attack_fork, false, false},
    {"pageout", attack_pageout, false, true},
    {"process_madvise", attack_process_madvise, false, true},
    {"compaction", attack_compact, false, false},
    {"swapping", attack_swap, false, true},
    {"ksm", attack_ksm, false, false},
    {"numa balancing", attack_balancing, false, false},
    {"offlining", attack_offline, false, false},
    {"soft offlining", attack_soft_offline, true, false},
};
#define ATTACKS (sizeof(attacks) / sizeof(*attacks))

/* --- what came of it ------------------------------------------------------- */

static char table[KINDS][ATTACKS][HOLDS][24];

/* A pipe keeps a frame from everything but the copy that a fork makes. */
static bool should_stay(enum kind kind, enum hold hold, const struct trial *trial)
{
	return hold == HOLD_PIPE && !(is_private(kind) && trial->run == attack_fork);
}

static void judge_library(const char *name, const struct report *r, const char *attack)
{
	if (r->mistaken)
		fault("%s: %s: %u addresses of frames that stayed are told wrong", name,
		      attack, r->mistaken);
	if (r->exact ? r->verified != (int)r->moved : r->verified < (int)r->moved)
		fault("%s: %s: contig_verify() says %d, %u frames moved", name, attack,
		      r->verified, r->moved);
	if (!r->exact && !r->moved && r->wiring == CONTIG_WIRING_PINNED && r->verified)
		fault("%s: %s: contig_verify() says %d", name, attack, r->verified);
}

static void judge(enum kind kind, enum hold hold, size_t a, const struct report *r)
{
	const struct trial *trial = &attacks[a];
	const char *name = name_of(kind, hold);
	char *cell = table[kind][a][hold];

	if (*r->problem) {
		snprintf(cell, sizeof(table[kind][a][hold]), "died");
		fault("%s: %s: %s", name, trial->name, r->problem);
		return;
	}
	if (r->moved)
		snprintf(cell, sizeof(table[kind][a][hold]), "%s %u",
			 r->absent ? "out" : "moved", r->moved);
	else
		snprintf(cell, sizeof(table[kind][a][hold]), "%s",
			 r->absent ? "unmapped" : "-");
	if (r->damaged)
		fault("%s: %s: %u pages have another content", name, trial->name,
		      r->damaged);
	if (is_library(kind))
		judge_library(name, r, trial->name);
	if (is_library(kind) && r->wiring >= CONTIG_WIRING_RESIDENT && trial->swaps &&
	    r->absent)
		fault("%s: %s: %u pages went out of memory", name, trial->name,
		      r->absent);
	if (must_stay(kind, hold, r) || should_stay(kind, hold, trial)) {
		if (r->moved)
			fault("%s: %s: %u of %u frames moved", name, trial->name,
			      r->moved, r->pages);
	} else if (trial->moves && !r->moved && hold >= HOLD_MLOCK) {
		fault("%s: %s moved nothing, though nothing is pinned", name,
		      trial->name);
	}
}

/* Without that, some attacks would go past it. */
static void check_group(enum kind kind, enum hold hold)
{
	char path[64], group[128] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)victims[kind][hold].pid);
	f = fopen(path, "re");
	if (!f || !fgets(group, sizeof(group), f) || !strstr(group, strrchr(VICTIMS, '/')))
		fault("%s: not in the control group", name_of(kind, hold));
	if (f)
		fclose(f);
}

static void check_start(enum kind kind, enum hold hold)
{
	const struct report *r = &victims[kind][hold].first;

	check_group(kind, hold);
	if (r->moved || r->damaged || r->mistaken || r->verified)
		fault("%s: at the start %u moved, %u damaged, %u mistaken, verify %d",
		      name_of(kind, hold), r->moved, r->damaged, r->mistaken,
		      r->verified);
}

/* Start those that aren't there, all at once. */
static void revive_all(void)
{
	for (int try = 0, missing = 1; missing; try++) {
		bool started[KINDS][HOLDS];

		missing = 0;
		for_each_victim(kind, hold)
		{
			struct victim *v = &victims[kind][hold];

			started[kind][hold] = !v->pid;
			if (!v->pid && victim_start(v, kind, hold)) {
				printf("fork: %s\n", strerror(errno));
				exit(1);
			}
		}
		for_each_victim(kind, hold)
		{
			struct victim *v = &victims[kind][hold];

			if (!started[kind][hold])
				continue;
			if (!victim_receive(v, &v->first)) {
				check_start(kind, hold);
				continue;
			}
			/* Superpages of others may be on their way back. */
			if (try == 5) {
				printf("%s: %s\n", name_of(kind, hold), v->first.problem);
				exit(1);
			}
			victim_end(v);
			missing++;
		}
		if (missing)
			probe_sleep_ms(50);
	}
}

static const char *wiring_name(int wiring)
{
	return wiring == CONTIG_WIRING_PINNED ? "pinned" : wiring ? "resident" : "none";
}

/* What each says of itself, against what it must be on this machine. */
static void check_wiring(void)
{
	for_each_victim(kind, hold)
	{
		const struct report *first = &victims[kind][hold].first;
		int wiring = first->wiring, most;
		bool huge = kind == KIND_DEFAULT_2M || kind == KIND_PRIVATE_2M;

		if (!is_library(kind)) {
			if (first->refused && may_refuse)
				printf("%s: the kernel refuses to pin\n",
				       name_of(kind, hold));
			else if (first->refused)
				fault("%s: the kernel refuses to pin",
				      name_of(kind, hold));
			continue;
		}
		most = huge || hold == HOLD_MLOCK ? CONTIG_WIRING_RESIDENT
						  : CONTIG_WIRING_NONE;
		if (hold == HOLD_PIPE && is_private(kind))
			most = huge ? CONTIG_WIRING_RESIDENT : CONTIG_WIRING_NONE;
		else if (hold <= HOLD_PIPE)
			most = CONTIG_WIRING_PINNED;
		if (wiring == most)
			continue;
		if (may_refuse && wiring < most)
			printf("%s: the kernel refuses to pin: %s\n", name_of(kind, hold),
			       wiring_name(wiring));
		else
			fault("%s: said to be %s", name_of(kind, hold),
			      wiring_name(wiring));
	}
}

static bool wanted(const char *name, int argc, char **argv)
{
	bool all = true;

	for (int i = 1 + may_refuse; i < argc; i++) {
		all = false;
		if (strstr(name, argv[i]))
			return true;
	}
	return all;
}

/* Otherwise a slip of the pen would be an attack that all withstood. */
static void check_names(int argc, char **argv)
{
	for (int i = 1 + may_refuse; i < argc; i++) {
		size_t a = 0;

		while (a < ATTACKS && !strstr(attacks[a].name, argv[i]))
			a++;
		if (a < ATTACKS)
			continue;
		printf("%s: no such attack; there are:\n", argv[i]);
		for (a = 0; a < ATTACKS; a++)
			printf("\t%s\n", attacks[a].name);
		exit(2);
	}
}

static void print_table(int argc, char **argv)
{
	for (enum kind kind = 0; kind < KINDS; kind++) {
		printf("\n%-26s", kind_names[kind]);
		for (enum hold hold = 0; hold < HOLDS; hold++)
			printf("%-14s", hold_names[hold]);
		if (is_library(kind)) {
			printf("\n  %-24s", "said to be");
			for (enum hold hold = 0; hold < HOLDS; hold++)
				printf("%-14s",
				       wiring_name(victims[kind][hold].first.wiring));
		}
		printf("\n");
		for (size_t a = 0; a < ATTACKS; a++) {
			if (!wanted(attacks[a].name, argc, argv))
				continue;
			printf("  %-24s", attacks[a].name);
			for (enum hold hold = 0; hold < HOLDS; hold++)
				printf("%-14s", table[kind][a][hold]);
			printf("\n");
		}
	}
	printf(
	    "\n-: every frame is where it was; moved N: N frames of %u are elsewhere;\n"
	    "out N: the same, after some had been swapped out or unmapped\n",
	    (unsigned int)(RANGES * RANGE_PAGES));
}

static long pool_free(int node)
{
	char path[128];

	snprintf(
	    path, sizeof(path),
	    "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/free_hugepages",
	    node);
	return probe_number(path);
}

int main(int argc, char **argv)
{
	may_refuse = argc > 1 && !strcmp(argv[1], "-m");
	setvbuf(stdout, NULL, _IOLBF, 0);
	check_names(argc, argv);
	if (access("/sys/devices/system/node/node1", F_OK) || geteuid()) {
		printf("skipped: needs root on a machine of two nodes\n");
		return 77;
	}
	hurry_balancing();
	probe_write_text("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset +memory");
	if ((mkdir(VICTIMS, 0755) && errno != EEXIST) ||
	    access(VICTIMS "/cpuset.mems", W_OK) || access(VICTIMS "/memory.max", W_OK))
		fault("no control group for nodes and memory: %s", strerror(errno));
	revive_all();
	check_wiring();
	for (size_t a = 0; a < ATTACKS; a++) {
		double start = probe_ms();

		if (!wanted(attacks[a].name, argc, argv))
			continue;
		attacks[a].run();
		for_each_victim(kind, hold)
		    victim_send(&victims[kind][hold], ORDER_REPORT);
		for_each_victim(kind, hold)
		{
			struct report r;

			victim_receive(&victims[kind][hold], &r);
			judge(kind, hold, a, &r);
			/* One that has moved is no victim for the next attack. */
			if (*r.problem || r.moved || r.verified)
				victim_end(&victims[kind][hold]);
		}
		revive_all();
		printf("%s: %.0f ms, superpages free %ld and %ld\n", attacks[a].name,
		       probe_ms() - start, pool_free(0), pool_free(1));
	}
	print_table(argc, argv);
	for_each_victim(kind, hold) victim_end(&victims[kind][hold]);
	printf("%u wrong\n", faults);
	return faults ? 1 : 0;
}
