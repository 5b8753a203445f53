/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inserting into another process's vma, against what it is made of: one round
 * trip of the same number of bytes over the same kind of socket, and the
 * mmap(2)s that the other process has to make, both measured here as well.
 *
 *	bench_share [-q]	-q: fewer repetitions
 *
 * Then 100 000 inserts and zaps with two importers, after which nothing of
 * them may be left.
 */
#include "measure.h"

#include <contig.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define PAGE 4096ul
#define PAGES 512ul
#define REPETITIONS 41u
#define CYCLES 100000u
#define RUN_BYTES 32  /* of a run in a message */
#define HEAD_BYTES 24
#define RESULT_BYTES 4

static contig_pool_t *pool;
static char *block;

/* --- the other process */

static long count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = 0;
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static long count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	long n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n - 3;
}

/* Serves two importers; a byte from control asks for what it has. */
static _Noreturn void exporter(int control, int first, int second)
{
	struct vm_area_struct *vma = vma_create(4 * PAGES * PAGE, PAGE, PROT_READ | PROT_WRITE);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!vma || vma_export(vma, first) || vma_export(vma, second) || vma_serve_start(vma))
		_exit(1);
	for (;;) {
		long have[2];
		char byte;

		if (read(control, &byte, 1) != 1)
			_exit(0);
		have[0] = count_descriptors();
		have[1] = count_lines("/proc/self/maps");
		if (write(control, have, sizeof(have)) != sizeof(have))
			_exit(1);
	}
}

/* The bare thing: get so many bytes, answer with so many. */
static _Noreturn void echo(int socket)
{
	static char bytes[1 << 16];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		struct pollfd ready = {socket, POLLIN, 0};
		uint32_t answer;
		ssize_t n;

		/* As a server that has more than one socket does. */
		poll(&ready, 1, -1);
		n = recv(socket, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n <= 0)
			_exit(0);
		memcpy(&answer, bytes, sizeof(answer));
		if (send(socket, bytes, answer, MSG_NOSIGNAL) < 0)
			_exit(0);
	}
}

static double round_trip(int socket, size_t there, uint32_t back)
{
	static char bytes[1 << 16];
	struct pollfd ready = {socket, POLLIN, 0};
	uint64_t start = now_ns();

	memcpy(bytes, &back, sizeof(back));
	if (send(socket, bytes, there, MSG_NOSIGNAL) < 0)
		die("send: %s", strerror(errno));
	poll(&ready, 1, -1);
	if (recv(socket, bytes, sizeof(bytes), 0) != (ssize_t)back)
		die("recv");
	return (double)(now_ns() - start) / 1e3;
}

/* --- the bare mmaps, of a file like ours */

static int file = -1;
static char *range;

/* A superpage as our pool's are, and a range that lies in its superpages as
 * the vma does: the kernel maps whole ones where both agree. */
static void make_file(unsigned long vma_start)
{
	size_t len = PAGES * PAGE, span = 6 * PAGES * PAGE;
	char *space = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			   -1, 0);
	char *p;

	file = memfd_create("bench", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, (off_t)len) || space == MAP_FAILED)
		die("memfd: %s", strerror(errno));
	p = (char *)(((uintptr_t)space + len - 1) & ~(len - 1));
	if (mmap(p, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	*p = 1;
	if (madvise(p, len, MADV_COLLAPSE))
		die("MADV_COLLAPSE: %s", strerror(errno));
	mmap(p, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	range = p + vma_start % len;
}

static double bare_mmaps(unsigned long n, unsigned long each, unsigned long step)
{
	uint64_t start = now_ns(), time;

	for (unsigned long i = 0; i < n; i++)
		if (mmap(range + i * each * PAGE, each * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_NORESERVE | MAP_POPULATE, file,
			 (off_t)(i * step % PAGES * PAGE)) == MAP_FAILED)
			die("mmap: %s", strerror(errno));
	time = now_ns() - start;
	mmap(range, 4 * PAGES * PAGE, PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	return (double)time / 1e3;
}

/* --- ours */

static double insert(struct vm_area_struct *vma, vm_page_t *pages, unsigned long n)
{
	unsigned long left = n;
	uint64_t start = now_ns();
	int err = vm_insert_pages(vma, vma->vm_start, pages, &left);
	double time = (double)(now_ns() - start) / 1e3;

	if (err || zap_vma_ptes(vma, vma->vm_start, n * PAGE))
		die("insert: %s: %s", strerror(-err), contig_strreason());
	return time;
}

static struct measure trip_small, trip_large, mmap_one, mmap_all, mmap_scattered;
static struct measure ours_one, ours_all, ours_scattered, ours_here;
static struct measure sum_one, sum_all, sum_scattered;

static double ratio_median(const struct measure *a, const struct measure *b)
{
	return measure_median(a) / measure_median(b);
}

static double ratio_least(const struct measure *a, const struct measure *b)
{
	return measure_min(a) / measure_min(b);
}

static void compare(struct vm_area_struct *vma, int socket)
{
	struct vm_area_struct *local = vma_create(4 * PAGES * PAGE, PAGE, PROT_READ | PROT_WRITE);
	static vm_page_t adjacent[PAGES], scattered[PAGES];
	const size_t large = HEAD_BYTES + PAGES * RUN_BYTES;
	const uint32_t large_answer = HEAD_BYTES + PAGES * RESULT_BYTES;

	if (!local)
		die("vma_create: %s", contig_strreason());
	for (unsigned long i = 0; i < PAGES; i++) {
		adjacent[i] = vm_page_of_address(block + i * PAGE);
		scattered[i] = vm_page_of_address(block + i * 37 % PAGES * PAGE);
	}
	for (unsigned int i = 0; i <= repetitions(REPETITIONS); i++) {
		double small, big, our_one, our_all, our_each, here;
		double one = bare_mmaps(1, 1, 1), all = bare_mmaps(1, PAGES, 1);
		double each = bare_mmaps(PAGES, 1, 37);

		/* Each behind one of its own kind, so that the other CPU is as awake
		 * for all: after a millisecond of mmaps here it sleeps deeper. */
		for (int k = 0; k < 2; k++)
			small = round_trip(socket, HEAD_BYTES + RUN_BYTES,
					   HEAD_BYTES + RESULT_BYTES);
		for (int k = 0; k < 2; k++)
			big = round_trip(socket, large, large_answer);
		for (int k = 0; k < 2; k++)
			our_one = insert(vma, adjacent, 1);
		for (int k = 0; k < 2; k++)
			our_all = insert(vma, adjacent, PAGES);
		for (int k = 0; k < 2; k++)
			our_each = insert(vma, scattered, PAGES);
		for (int k = 0; k < 2; k++)
			here = insert(local, adjacent, PAGES);
		if (!i)
			continue; /* warm now */
		measure_add(&trip_small, small);
		measure_add(&trip_large, big);
		measure_add(&mmap_one, one);
		measure_add(&mmap_all, all);
		measure_add(&mmap_scattered, each);
		measure_add(&ours_one, our_one);
		measure_add(&ours_all, our_all);
		measure_add(&ours_scattered, our_each);
		measure_add(&ours_here, here - all);
		measure_add(&sum_one, small + one);
		measure_add(&sum_all, small + all);
		measure_add(&sum_scattered, big + each);
	}
	row_plain("round trip, 56 and 28 bytes", "us", &trip_small);
	row_plain("round trip, 16 KiB and 2 KiB", "us", &trip_large);
	row_plain("mmap of one page", "us", &mmap_one);
	row_plain("mmap of 512 neighbours", "us", &mmap_all);
	row_plain("512 mmaps", "us", &mmap_scattered);
	row_plain("vm_insert_page, remote", "us", &ours_one);
	row_plain("vm_insert_pages, remote, 512 neighbours", "us", &ours_all);
	row_plain("  of which: the same into an own vma, less its mmap", "us", &ours_here);
	row_plain("vm_insert_pages, remote, 512 scattered", "us", &ours_scattered);
	row_ratio("one page / (round trip + mmap)", ratio_median(&ours_one, &sum_one),
		  ratio_least(&ours_one, &sum_one), 0, false);
	row_ratio("512 neighbours / (round trip + mmap)", ratio_median(&ours_all, &sum_all),
		  ratio_least(&ours_all, &sum_all), 1, false);
	row_ratio("512 scattered / (round trip + mmaps)",
		  ratio_median(&ours_scattered, &sum_scattered),
		  ratio_least(&ours_scattered, &sum_scattered), 1.3, false);
	vma_destroy(local);
}

static void have(int control, long now[2])
{
	if (write(control, "", 1) != 1 || read(control, now, 2 * sizeof(long)) != 2 * sizeof(long))
		die("the exporter is gone");
}

static void cycles(struct vm_area_struct *vma[2], int control)
{
	unsigned int n = measure_quick ? CYCLES / 10 : CYCLES;
	struct contig_stats before = {.struct_size = sizeof(before)}, after = before;
	long there[2], then[2], here[2] = {count_descriptors(), 0};
	struct measure m = {0, {0}};
	uint64_t start;

	/* The file's descriptor stays with each connection. */
	insert(vma[0], (vm_page_t[]){vm_page_of_address(block)}, 1);
	insert(vma[1], (vm_page_t[]){vm_page_of_address(block)}, 1);
	have(control, there);
	contig_stats_get(&before);
	here[1] = count_lines("/proc/self/maps");
	start = now_ns();
	for (unsigned int i = 0; i < n; i++) {
		struct vm_area_struct *at = vma[i % 2];
		unsigned long addr = at->vm_start + (i % 2 * PAGES + i * 7 % PAGES) * PAGE;

		if (vm_insert_page(at, addr, vm_page_of_address(block + i % PAGES * PAGE)) ||
		    zap_vma_ptes(at, addr, PAGE))
			die("cycle %u: %s", i, contig_strreason());
	}
	measure_add(&m, (double)(now_ns() - start) / 1e3 / n);
	have(control, then);
	contig_stats_get(&after);
	row_plain(measure_quick ? "insert and zap, two importers, 10 000 times" :
				  "insert and zap, two importers, 100 000 times", "us", &m);
	row_note("left behind: %ld descriptors and %ld mappings there, %ld and %ld here, "
		 "%lld bytes of pages, %llu bytes quarantined", then[0] - there[0],
		 then[1] - there[1], count_descriptors() - here[0],
		 count_lines("/proc/self/maps") - here[1],
		 (long long)(after.allocated - before.allocated),
		 (unsigned long long)contig_quarantined());
	if (then[0] != there[0] || then[1] > there[1] || count_descriptors() != here[0] ||
	    after.allocated != before.allocated || contig_quarantined())
		die("something was left behind");
}

int main(int argc, char **argv)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.kind = CONTIG_POOL_SHAREABLE,
		.node = -1,
		.mode = CONTIG_SHARE_REVOCABLE,
	};
	int control[2], first[2], second[2], bare[2];
	struct vm_area_struct *vma[2];
	pid_t pid[2];

	measure_options(argc, argv);
	table_title("pages into another process's vma");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, first) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, second) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, bare))
		die("socketpair: %s", strerror(errno));
	/* Each on a CPU of its own: the other end on the second. */
	pid[0] = fork();
	if (!pid[0]) {
		cpu_stay_on(1);
		close(first[0]);
		close(second[0]);
		exporter(control[1], first[1], second[1]);
	}
	pid[1] = fork();
	if (!pid[1]) {
		cpu_stay_on(1);
		echo(bare[1]);
	}
	close(first[1]);
	close(second[1]);
	close(bare[1]);
	pool = contig_pool_create(&attr);
	block = pool ? contig_pool_malloc(pool, PAGES * PAGE, M_TEMP, M_ZERO, 0, UINT64_MAX,
					  PAGES * PAGE, 0) : NULL;
	vma[0] = block ? vma_import(first[0]) : NULL;
	vma[1] = vma[0] ? vma_import(second[0]) : NULL;
	if (!vma[1])
		die("setup: %s", contig_strreason());
	make_file(vma[0]->vm_start);
	cpu_stay_on(0);
	compare(vma[0], bare[0]);
	cycles(vma, control[0]);
	vma_destroy(vma[0]);
	vma_destroy(vma[1]);
	for (int i = 0; i < 2; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	return 0;
}
