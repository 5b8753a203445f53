/* SPDX-License-Identifier: BSD-2-Clause */
#include "target.h"

#include "base/page.h"
#include "base_page.h"
#include "command.h"
#include "host/maps.h"
#include "host/root.h"
#include "host/topology.h"
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_LENGTH_MAX 15 /* TASK_COMM_LEN without its NUL */
#define LISTED_MAX 32	   /* processes of one name that are listed */
#define PAGE_SIZE_LEAST UINT64_C(4096)
#define PAGE_SIZE_MOST UINT64_C(262144) /* no architecture has a larger one */

static bool all_digits(const char *word)
{
	return *word && strspn(word, "0123456789") == strlen(word);
}

/* --- the base page */

struct smaps_pages {
	uint64_t least;
};

static int least_page(const struct host_mapping *m, void *arg)
{
	struct smaps_pages *pages = arg;

	if (m->kernel_page && (!pages->least || m->kernel_page < pages->least))
		pages->least = m->kernel_page;
	return pages->least == PAGE_SIZE_LEAST;
}

static uint64_t find_page_size(pid_t pid)
{
	struct smaps_pages pages = {0};

	if (contig_root_is_real())
		return (uint64_t)sysconf(_SC_PAGESIZE);
	contig_maps_each(pid, true, least_page, &pages);
	if (pages.least >= PAGE_SIZE_LEAST && pages.least <= PAGE_SIZE_MOST &&
	    is_pow2(pages.least))
		return pages.least;
	/* A tree's files but smaps tell it, too. */
	return contig_topology() ? base_page_size(contig_topology()) : PAGE_SIZE_LEAST;
}

static uint64_t find_huge_size(uint64_t page)
{
	uint64_t size;

	if (!contig_root_read_u64("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", &size) &&
	    is_pow2(size) && size > page)
		return size;
	return base_superpage_size(page);
}

static uint64_t find_least_huge(uint64_t huge)
{
	int fd = contig_root_open("/sys/kernel/mm/hugepages", O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return huge;
	}
	while ((entry = readdir(dir))) {
		unsigned long long kilobytes;

		if (sscanf(entry->d_name, "hugepages-%llukB", &kilobytes) == 1 && kilobytes &&
		    is_pow2(kilobytes) && kilobytes * 1024 < huge)
			huge = kilobytes * 1024;
	}
	closedir(dir);
	return huge;
}

/* --- finding */

static int by_number(struct emitter *e, const char *word, struct target *p)
{
	uint64_t number;
	char *end = (char *)word;

	if (contig_root_number(&end, 10, &number) || !number || number > INT32_MAX) {
		emitter_error(e, word, 0, "no process has this number",
			      "Try 'ps -e' for those there are");
		return STATUS_TROUBLE;
	}
	p->pid = (pid_t)number;
	return 0;
}

static int tell_several(struct emitter *e, const char *word, const struct process *found,
			size_t n)
{
	static const struct column columns[] = {{"pid", "PID", COLUMN_RIGHT},
						{"name", "NAME", COLUMN_LEFT}};
	char way_out[LISTED_MAX * 12 + 64] = "Try one of these numbers:";
	size_t listed = n < LISTED_MAX ? n : LISTED_MAX;
	char reason[64];

	for (size_t i = 0; i < listed; i++) {
		size_t at = strlen(way_out);

		snprintf(way_out + at, sizeof(way_out) - at, " %d", (int)found[i].pid);
	}
	if (n > listed)
		strcat(way_out, " ...");
	if (emitter_is_json(e)) {
		emitter_table_begin(e, "processes", columns, 2, false);
		for (size_t i = 0; i < listed; i++)
			emitter_row(e, (const struct value[]){value_count((uint64_t)found[i].pid),
							      value_text(found[i].name)});
		emitter_table_end(e);
	}
	snprintf(reason, sizeof(reason), "%zu processes have this name", n);
	emitter_error(e, word, 0, reason, way_out);
	return STATUS_TROUBLE;
}

static int by_name(struct emitter *e, const char *word, struct target *p)
{
	struct process *found;
	ssize_t n = process_list(word, &found);
	int status = 0;

	if (n < 0) {
		emitter_error(e, "/proc", (int)-n, "can't be read", NULL);
		return STATUS_TROUBLE;
	}
	if (n > 1) {
		status = tell_several(e, word, found, (size_t)n);
	} else if (!n) {
		emitter_error(e, word, 0, "no process has this name",
			      strlen(word) > NAME_LENGTH_MAX
				      ? "The kernel knows the first 15 characters of a name only"
				      : "Try 'ps -e' for those there are");
		status = STATUS_TROUBLE;
	} else {
		p->pid = found[0].pid;
	}
	free(found);
	return status;
}

int target_find(struct emitter *e, const char *word, struct target *p)
{
	int status = 0;
	ssize_t n;

	*p = (struct target){0};
	if (all_digits(word))
		status = by_number(e, word, p);
	else if (strcmp(word, "self"))
		status = by_name(e, word, p);
	if (status)
		return status;
	n = process_read(p->pid, "comm", p->name, sizeof(p->name));
	if (n < 0) {
		/* A tree may hold a process without its name. */
		int fd = contig_root_open_proc(p->pid, "maps", O_RDONLY);

		if (fd < 0 && (fd == -ENOENT || fd == -ESRCH)) {
			emitter_error(e, word, -fd, "no such process",
				      contig_root_is_real() ? "Try 'ps -e' for those there are"
							    : NULL);
			return STATUS_TROUBLE;
		}
		if (fd >= 0)
			close(fd);
		strcpy(p->name, p->pid ? "?" : "self");
	}
	if (process_started(p->pid, &p->started))
		p->started = 0;
	p->page_size = find_page_size(p->pid);
	p->huge_size = find_huge_size(p->page_size);
	p->least_huge = find_least_huge(p->huge_size);
	if (!p->pid && contig_root_is_real())
		p->pid = getpid();
	return 0;
}

uint64_t target_resident(const struct target *p)
{
	return process_memory(p->pid, "VmRSS") + process_memory(p->pid, "VmSwap") +
	       process_memory(p->pid, "HugetlbPages");
}

bool target_is_same(const struct target *p)
{
	uint64_t started;

	if (!contig_root_is_real())
		return true;
	return (process_started(p->pid, &started) ? 0 : started) == p->started;
}

char *target_text(const struct target *p, char *buf, size_t len)
{
	if (p->pid)
		snprintf(buf, len, "process %d (%s)", (int)p->pid, p->name);
	else
		snprintf(buf, len, "process %s", p->name);
	return buf;
}
