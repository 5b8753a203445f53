/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys_owners.h"

#include "host/root.h"
#include "grow.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LISTED 5 /* without being asked for owners */

static const struct column columns[] = {
	{"pid", "PID", COLUMN_RIGHT},
	{"name", "NAME", COLUMN_LEFT},
	{"hugetlb", "HUGETLB", COLUMN_RIGHT},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static const struct column walked_columns[] = {
	{"pid", "PID", COLUMN_RIGHT},
	{"name", "NAME", COLUMN_LEFT},
	{"hugetlb", "HUGETLB", COLUMN_EXTRA},
	{"hugetlb_private", "HUGETLB", COLUMN_RIGHT},
	{"hugetlb_shared", "HUGETLB SHARED", COLUMN_RIGHT},
	{"thp", "THP", COLUMN_RIGHT},
	{"thp_shared", "THP SHARED", COLUMN_RIGHT},
};

#define N_WALKED_COLUMNS (sizeof(walked_columns) / sizeof(walked_columns[0]))

/* 0/-errno; ESRCH: a thread of the kernel, or gone. */
static int walk(struct phys_owner *o)
{
	static const struct {
		const char *key;
		size_t at;
	} keys[] = {
		{"Private_Hugetlb:", offsetof(struct phys_owner, hugetlb_private)},
		{"Shared_Hugetlb:", offsetof(struct phys_owner, hugetlb_shared)},
		{"AnonHugePages:", offsetof(struct phys_owner, thp)},
		{"ShmemPmdMapped:", offsetof(struct phys_owner, shmem)},
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
	o->hugetlb = o->hugetlb_private + o->hugetlb_shared;
	return fd;
}

static uint64_t owner_bytes(const struct phys_owner *o)
{
	return o->hugetlb + o->thp + o->shmem;
}

static int owner_add(pid_t pid, void *arg)
{
	struct phys_owners *owners = arg;
	struct phys_owner o = {.pid = pid}, *larger;
	int error = 0;

	if (owners->walked)
		error = walk(&o);
	else
		o.hugetlb = process_memory(pid, "HugetlbPages");
	owners->denied += error == -EACCES || error == -EPERM;
	if (error || !owner_bytes(&o))
		return 0;
	if (process_read(pid, "comm", o.name, sizeof(o.name)) < 0)
		strcpy(o.name, "?");
	larger = grow(owners->owners, owners->n, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	owners->owners = larger;
	larger[owners->n++] = o;
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	const struct phys_owner *p = a, *q = b;
	uint64_t x = owner_bytes(p), y = owner_bytes(q);

	if (x != y)
		return x < y ? 1 : -1;
	return (p->pid > q->pid) - (p->pid < q->pid);
}

int phys_owners_read(struct phys_owners *owners, bool walk_tables)
{
	int error;

	*owners = (struct phys_owners){.walked = walk_tables};
	error = process_each(owner_add, owners);
	if (owners->n)
		qsort(owners->owners, owners->n, sizeof(*owners->owners), by_bytes);
	return error;
}

void phys_owners_free(struct phys_owners *owners)
{
	free(owners->owners);
	free(owners->places);
	*owners = (struct phys_owners){.n = 0};
}

static void walked_emit(struct emitter *e, const struct phys_owners *owners)
{
	emitter_line(e, "%s", "");
	emitter_table_begin(e, "owners", walked_columns, N_WALKED_COLUMNS, false);
	for (size_t i = 0; i < owners->n; i++) {
		const struct phys_owner *o = &owners->owners[i];

		emitter_row(e, (const struct value[N_WALKED_COLUMNS]){
				       value_count((uint64_t)o->pid), value_text(o->name),
				       value_bytes(o->hugetlb), value_bytes(o->hugetlb_private),
				       value_bytes(o->hugetlb_shared), value_bytes(o->thp),
				       value_bytes(o->shmem)});
	}
	emitter_table_end(e);
	if (!owners->n)
		emitter_line(e, "no process that may be looked at has superpages mapped");
	emitter_field(e, "owners_hidden", NULL, value_count(owners->denied));
	if (owners->denied)
		emitter_line(e, "%zu processes may not be looked at: needs CAP_SYS_PTRACE",
			     owners->denied);
}

void phys_owners_emit(struct emitter *e, const struct phys_owners *owners)
{
	size_t listed = owners->n;

	if (owners->walked) {
		walked_emit(e, owners);
		return;
	}
	if (!emitter_is_json(e) && !owners->n)
		return;
	if (!emitter_is_json(e) && listed > LISTED)
		listed = LISTED;
	emitter_line(e, "%s", "");
	emitter_table_begin(e, "owners", columns, N_COLUMNS, false);
	for (size_t i = 0; i < listed; i++)
		emitter_row(e, (const struct value[N_COLUMNS]){
				       value_count((uint64_t)owners->owners[i].pid),
				       value_text(owners->owners[i].name),
				       value_bytes(owners->owners[i].hugetlb)});
	emitter_table_end(e);
	if (listed < owners->n)
		emitter_line(e, "and %zu more processes; --owners lists all, and whose the "
				"transparent superpages are", owners->n - listed);
}
