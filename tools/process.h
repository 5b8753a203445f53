/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes in /proc: which there are, what they are called, who they are. */
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

/* Names in a directory but "." and ".."; fn's non-zero value ends it.  0,
 * fn's value or -errno. */
int process_each_name(const char *directory, int (*fn)(const char *name, void *arg), void *arg);

/*
 * All there are, ascending, malloc'ed: *out, or only those that answer to
 * what: a number, or a name as in /proc/PID/comm or of the program's file.
 * How many, or -errno.
 */
ssize_t process_list(const char *what, struct process **out);

#endif
