/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes in /proc, this machine's or a captured tree's: which there are,
 * what they are called, who they are.
 */
#ifndef TOOLS_PROCESS_H
#define TOOLS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;
	pid_t own_pid;       /* as it sees itself: in its pid namespace */
	uint64_t namespace;  /* its pid namespace's inode; 0: hidden */
	uint64_t started;    /* clock ticks since boot */
	uid_t uid;           /* effective */
	char name[32];       /* /proc/PID/comm */
};

/* 0, or -errno (-ESRCH). */
int process_look(pid_t pid, struct process *out);

/* A small file of the process, pid 0: this one.  As contig_root_read(). */
ssize_t process_read(pid_t pid, const char *file, char *buf, size_t len);

/* Clock ticks since boot when it began, which tell a reused number.  0/-errno. */
int process_started(pid_t pid, uint64_t *ticks);

/* "VmRSS" and its kind of /proc/PID/status, bytes; 0 when it isn't told. */
uint64_t process_memory(pid_t pid, const char *field);

/* Names in a directory but "." and ".."; fn's non-zero value ends it.  0,
 * fn's value or -errno. */
int process_each_name(const char *directory, int (*fn)(const char *name, void *arg), void *arg);

/* fn for each process that /proc lists; a non-zero value ends it.  0, fn's
 * value or -errno. */
int process_each(int (*fn)(pid_t pid, void *arg), void *arg);

/*
 * All there are, ascending, malloc'ed: *out, or only those that answer to
 * what: a number; or a name as in /proc/PID/comm, and when none has that, of
 * the program's file.  By name it never finds the one that asks.  How many, or
 * -errno.
 */
ssize_t process_list(const char *what, struct process **out);

#endif
