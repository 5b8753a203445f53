/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory files of libcontig that processes have mapped: what /proc says, to be
 * held against what the processes say themselves.
 */
#ifndef TOOLS_SHARE_FILES_H
#define TOOLS_SHARE_FILES_H

#include "process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct share_file {
	uint64_t device, inode;
	uint64_t start, end; /* where it is mapped; 0 in a set */
};

/* Mappings of one process, or a set of files, sorted by device and inode. */
struct share_files {
	size_t n;
	struct share_file *files;
};

struct share_process {
	struct process process;
	struct share_files mapped;
	bool forbidden; /* its mappings may not be looked at */
};

/* All processes; malloc'ed.  How many, or -errno. */
ssize_t share_processes(struct share_process **out);
void share_processes_free(struct share_process *processes, size_t n);

/* Those of its mappings in [start, end), as a set in *out, to be freed.
 * false: no memory. */
bool share_files_within(const struct share_files *mapped, uint64_t start, uint64_t end,
			struct share_files *out);
/* Only those stay of which the process has a descriptor, too. */
void share_files_described(struct share_files *set, pid_t pid);
/* Bytes that are mapped of the files in a set. */
uint64_t share_files_bytes(const struct share_files *mapped, const struct share_files *set);
bool share_files_has(const struct share_files *set, const struct share_file *file);
void share_files_free(struct share_files *files);

#endif
