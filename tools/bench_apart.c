/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_apart.h"

#include "base/page.h"
#include "base/reason.h"
#include "bench.h"
#include "bench_runs.h"
#include "command.h"
#include "host/hugetlb.h"
#include "host/syslock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t report_len(size_t frames)
{
	return sizeof(struct bench_report) + frames * sizeof(uint64_t);
}

static struct bench_report *report_map(int fd, size_t len)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

void bench_report_free(struct bench_report *report)
{
	if (report)
		munmap(report, report_len(report->most));
}

void bench_report_memory(struct bench_report *report, const void *va, size_t len, uint64_t page)
{
	size_t n;
	uint64_t *frames = bench_memory_frames(va, len, page, &n);

	if (!frames)
		return;
	report->page = page;
	report->n = n < report->most ? n : report->most;
	memcpy(report->frames, frames, report->n * sizeof(*frames));
	free(frames);
}

int bench_apart_main(int fd)
{
	struct bench_report *report;
	struct stat st;

	if (fstat(fd, &st) || (size_t)st.st_size < sizeof(*report))
		return STATUS_TROUBLE;
	report = report_map(fd, (size_t)st.st_size);
	if (!report || report_len(report->most) != (size_t)st.st_size)
		return STATUS_TROUBLE;
	for (const struct bench_job_entry *job = bench_jobs; job->name; job++)
		if (!strcmp(job->name, report->job)) {
			job->run(report);
			return STATUS_YES;
		}
	return STATUS_TROUBLE;
}

/* The last line that a library printed, without its end. */
static void last_line(int fd, char *line, size_t len)
{
	char text[2048];
	off_t end = lseek(fd, 0, SEEK_END), from;
	ssize_t n;
	char *at;

	from = end > (off_t)sizeof(text) - 1 ? end - ((off_t)sizeof(text) - 1) : 0;
	n = pread(fd, text, sizeof(text) - 1, from);
	if (n <= 0)
		return;
	text[n] = '\0';
	while (n && text[n - 1] == '\n')
		text[--n] = '\0';
	at = strrchr(text, '\n');
	snprintf(line, len, "%.*s", (int)len - 1, at ? at + 1 : text);
}

static __attribute__((noreturn)) void child_run(const struct bench_job *job, int fd, int said)
{
	char worker[32];

	/* Without us nobody takes its memory back. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(said, STDOUT_FILENO);
	dup2(said, STDERR_FILENO);
	fcntl(fd, F_SETFD, 0);
	snprintf(worker, sizeof(worker), "--worker=%d", fd);
	if (job->preload)
		setenv("LD_PRELOAD", job->preload, 1);
	else
		unsetenv("LD_PRELOAD");
	execl("/proc/self/exe", "contig", "bench", worker, (char *)NULL);
	dprintf(STDERR_FILENO, "/proc/self/exe: %s\n", strerror(errno));
	_exit(127);
}

static void child_wait(pid_t child, int said, struct bench_report *report)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (report->done || report->why[0])
		return;
	last_line(said, report->why, sizeof(report->why));
	if (!report->why[0] && WIFSIGNALED(status))
		snprintf(report->why, sizeof(report->why), "ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (!report->why[0])
		snprintf(report->why, sizeof(report->why), "it gave no memory");
}

/* Make the missing pages free under a guard; NULL: none are missing, or there
 * can be none, which the job then finds. */
static struct hugetlb_guard *raise_free(uint64_t superpages)
{
	struct hugetlb_counts counts;
	struct hugetlb_guard *guard;
	uint64_t free_pages, got;

	if (contig_hugetlb_counts(SUPERPAGE_SIZE, HUGETLB_ALL_NODES, &counts))
		return NULL;
	free_pages = counts.free > counts.reserved ? counts.free - counts.reserved : 0;
	if (free_pages >= superpages)
		return NULL;
	guard = contig_hugetlb_guard_start();
	if (guard)
		contig_hugetlb_guard_raise(guard, SUPERPAGE_SIZE, HUGETLB_ALL_NODES,
					   counts.total + superpages - free_pages, &got);
	return guard;
}

static void run(const struct bench_job *job, int fd, int said, struct bench_report *report)
{
	struct hugetlb_guard *guard = NULL;
	int lock = -1;
	pid_t child;

	if (job->superpages) {
		lock = contig_syslock_take(BENCH_LOCK_WAIT_MS);
		if (lock == -ETIMEDOUT) {
			snprintf(report->why, sizeof(report->why), "%s", contig_reason_get());
			return;
		}
		guard = raise_free(job->superpages);
	}
	child = fork();
	if (!child)
		child_run(job, fd, said);
	if (child < 0)
		snprintf(report->why, sizeof(report->why), "fork: %s", strerror(errno));
	else
		child_wait(child, said, report);
	contig_hugetlb_guard_stop(guard);
	if (job->superpages)
		contig_syslock_drop(lock);
}

struct bench_report *bench_apart(const struct bench_job *job)
{
	size_t len = report_len(job->frames);
	int fd = memfd_create("contig-bench", MFD_CLOEXEC),
	    said = memfd_create("contig-bench", MFD_CLOEXEC);
	struct bench_report *report = NULL;

	if (fd >= 0 && said >= 0 && !ftruncate(fd, (off_t)len))
		report = report_map(fd, len);
	if (report) {
		snprintf(report->job, sizeof(report->job), "%s", job->name);
		report->size = job->size;
		report->wanted = job->calls;
		report->most = job->frames;
		fflush(NULL);
		run(job, fd, said, report);
	}
	if (fd >= 0)
		close(fd);
	if (said >= 0)
		close(said);
	return report;
}
