/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cases that each run in a process of their own, so that each sees the library
 * before its first use, may be killed by what it tests, and may be left in
 * any state.  After each case: no process is left behind, and the superpage
 * pools are as before it.
 *
 * On a machine of several nodes a case stays on the one that it begins on, and
 * so do its threads: the library prefers memory of the node that it runs on, and
 * what is free on another would sometimes be used again and sometimes not.
 *
 * Usage: test_NAME [CASE...]; CONTIG_TEST_SEED=N, CONTIG_TEST_SCALE=PERCENT,
 * CONTIG_TEST_PATIENCE=TIMES (as long as a case may take).
 * Exit: 0 passed, 1 failed, 77 when a case was skipped (each says why).  A case
 * that is left out for want of memory is none of them.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

/* Usable 2 MiB pages a case wants, besides a number. */
#define POOL_ANY (-1L)

enum case_flag {
	CASE_ROOT = 1,          /* root only: else skipped */
	CASE_SEES = 2,          /* needs to see frames */
	CASE_HELPER = 4,        /* not a case: run by run_self() only */
	CASE_SLOW = 8,          /* 240 s instead of 60 */
	CASE_MAY_TRY = 16,      /* a pool that can't be had is no reason to skip */
	CASE_NO_SANITIZER = 32, /* what it does is beyond the sanitizers */
	CASE_ATTACKS = 64       /* probe_attack(): free superpages may get lost */
};

struct test_case {
	const char *name;
	void (*run)(void);
	long pool;
	unsigned int flags;
	const char *environment; /* "NAME=VALUE NAME=VALUE", set before it runs */
};

int run_cases(const struct test_case *cases, size_t n, int argc, char **argv);
#define RUN_CASES(cases, argc, argv) \
	run_cases(cases, sizeof(cases) / sizeof((cases)[0]), argc, argv)

/* In a case, or any process or thread of it. */
__attribute__((noreturn, format(printf, 3, 4))) void fail_at(const char *file, int line,
							     const char *format, ...);
__attribute__((noreturn, format(printf, 4, 5))) void
require_failed(const char *file, int line, const char *condition, const char *format,
	       ...);
__attribute__((noreturn, format(printf, 1, 2))) void skip(const char *format, ...);
/* The kernel has no such memory to give: on a fragmented machine that is so, and no
 * fault, other than what is skipped because something is missing. */
__attribute__((noreturn, format(printf, 1, 2))) void leave_out(const char *format, ...);
__attribute__((format(printf, 1, 2))) void note(const char *format, ...);
#define fail(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define require(condition, ...)                                                      \
	do {                                                                         \
		if (!(condition))                                                    \
			require_failed(__FILE__, __LINE__, #condition, __VA_ARGS__); \
	} while (0)

/* How a child ended. */
struct outcome {
	int status, signal; /* exit status or -1; signal or 0 */
	bool timed_out;
	char out[4096], err[8192]; /* the beginning of what it wrote */
};

/* Run fn in a child; its output is ours (run_child) or collected. */
struct outcome run_child(void (*fn)(void *arg), void *arg);
void collect_child(void (*fn)(void *arg), void *arg, struct outcome *out);
/* Run a CASE_HELPER of this program in a fresh image, with "NAME=VALUE"
 * strings, ended by NULL, added to the environment. */
void run_self(const char *helper, const char *const *environment, struct outcome *out);
unsigned int lines(const char *text);
/* Wait for a child: like run_child()'s outcome. */
struct outcome reap(pid_t child);

/* Give up privileges, for good; /proc/self stays readable. */
bool become_nobody(void);
uint64_t test_seed(void);
/* How much of a long or random test to run: n, or its share that
 * CONTIG_TEST_SCALE (percent) names; at least the least. */
unsigned long test_scaled(unsigned long n, unsigned long least);
bool under_sanitizer(void);
/* On every node, for a case to which it makes no difference. */
void run_anywhere(void);

#endif
