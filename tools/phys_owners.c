/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys_owners.h"

#include "host/root.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct owner {
	int pid;
	char name[32];
	uint64_t hugetlb_private, hugetlb_shared, thp, shmem; /* bytes */
};

static const struct column columns[] = {
	{"pid", "PID", COLUMN_RIGHT},
	{"name", "NAME", COLUMN_LEFT},
	{"hugetlb_private", "HUGETLB", COLUMN_RIGHT},
	{"hugetlb_shared", "HUGETLB SHARED", COLUMN_RIGHT},
	{"thp", "THP", COLUMN_RIGHT},
	{"thp_shared", "THP SHARED", COLUMN_RIGHT},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* 1: it has superpages, 0: none, -errno. */
static int owner_read(struct owner *o)
{
	static const struct {
		const char *key;
		size_t at;
	} keys[] = {
		{"Private_Hugetlb:", offsetof(struct owner, hugetlb_private)},
		{"Shared_Hugetlb:", offsetof(struct owner, hugetlb_shared)},
		{"AnonHugePages:", offsetof(struct owner, thp)},
		{"ShmemPmdMapped:", offsetof(struct owner, shmem)},
	};
	struct root_lines lines;
	char *line;
	int fd = contig_root_open_proc(o->pid, "smaps_rollup", O_RDONLY);

	if (fd < 0)
		return fd;
	contig_root_lines_fd(&lines, fd);
	while ((line = contig_root_lines_next(&lines)))
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (!strncmp(line, keys[i].key, strlen(keys[i].key)))
				*(uint64_t *)(void *)((char *)o + keys[i].at) =
				    strtoull(line + strlen(keys[i].key), NULL, 10) * 1024;
	fd = lines.error;
	contig_root_lines_close(&lines);
	if (fd)
		return fd;
	return o->hugetlb_private || o->hugetlb_shared || o->thp || o->shmem;
}

static void name_read(struct owner *o)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", o->pid);
	if (contig_root_read(path, o->name, sizeof(o->name)) < 0)
		strcpy(o->name, "?");
}

static uint64_t owner_bytes(const struct owner *o)
{
	return o->hugetlb_private + o->hugetlb_shared + o->thp + o->shmem;
}

static int by_bytes(const void *a, const void *b)
{
	uint64_t x = owner_bytes(a), y = owner_bytes(b);

	return x < y ? 1 : x > y ? -1 : 0;
}

int phys_owners_emit(struct emitter *e)
{
	struct owner *owners = NULL;
	size_t n = 0, room = 0, denied = 0;
	int fd = contig_root_open("/proc", O_RDONLY | O_DIRECTORY), error = 0;
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		error = -errno;
		close(fd);
		return error;
	}
	while (!error && (entry = readdir(dir))) {
		struct owner o = {0};
		int has;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		o.pid = atoi(entry->d_name);
		has = owner_read(&o);
		/* Gone meanwhile (or a kernel thread: ESRCH) is no trouble. */
		denied += has == -EACCES || has == -EPERM;
		if (has <= 0)
			continue;
		name_read(&o);
		if (n == room) {
			struct owner *larger;

			room = room ? room * 2 : 64;
			larger = realloc(owners, room * sizeof(*owners));
			if (!larger) {
				error = -ENOMEM;
				break;
			}
			owners = larger;
		}
		owners[n++] = o;
	}
	closedir(dir);
	if (!error) {
		if (n)
			qsort(owners, n, sizeof(*owners), by_bytes);
		emitter_line(e, "%s", "");
		emitter_table_begin(e, "owners", columns, N_COLUMNS, false);
		for (size_t i = 0; i < n; i++)
			emitter_row(e, (const struct value[N_COLUMNS]){
					       value_count((uint64_t)owners[i].pid),
					       value_text(owners[i].name),
					       value_bytes(owners[i].hugetlb_private),
					       value_bytes(owners[i].hugetlb_shared),
					       value_bytes(owners[i].thp),
					       value_bytes(owners[i].shmem),
				       });
		emitter_table_end(e);
		if (!n)
			emitter_line(e, "no process that may be looked at has superpages mapped");
		emitter_field(e, "owners_hidden", NULL, value_count(denied));
		if (denied)
			emitter_line(e, "%zu processes may not be looked at: needs CAP_SYS_PTRACE",
				     denied);
	}
	free(owners);
	return error;
}
