/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmarks share: a clock, samples, and rows of one table.  A row
 * gives the median and the least of its samples: on a machine that does other
 * work as well the least is what the code costs, the median what it costs
 * there.  Contestants run in turn, so that noise meets all of them.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define MEASURE_MAX 101

/* One contestant's samples, in the unit of its row. */
struct measure {
	unsigned int n;
	double value[MEASURE_MAX];
};

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The compiler must believe that p is used, and memory read. */
static inline void keep(const void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

/* A value that the compiler can't see through: no loop is vectorized or
 * hoisted across it.  Costs no instruction. */
static inline uint64_t opaque(uint64_t x)
{
	__asm__ volatile("" : "+r"(x));
	return x;
}

uint64_t random_next(void); /* the same sequence in each run */

void measure_add(struct measure *m, double value);
double measure_min(const struct measure *m);
double measure_median(const struct measure *m);

/* Exits with the message: a benchmark has nothing to tell after a failure. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);

/* Keep the calling thread on the index'th CPU that this process may use; the
 * number of such CPUs. */
unsigned int cpu_count(void);
void cpu_stay_on(unsigned int index);
void cpu_any(void); /* the process's CPUs again */

/* Repetitions: -q on the command line makes few of them. */
extern bool measure_quick;
void measure_options(int argc, char **argv);
static inline unsigned int repetitions(unsigned int normal)
{
	return measure_quick ? (normal + 4) / 5 : normal;
}

/* Rows.  Each is printed once, with a target or beside our own number. */
void table_title(const char *title);
void row_target(const char *name, const char *unit, const struct measure *m, double at_most);
void row_peer(const char *name, const char *unit, const struct measure *m,
	      const struct measure *ours);
void row_plain(const char *name, const char *unit, const struct measure *m);
/* Ratios: of the medians and of the least samples.  target 0: none. */
void row_ratio(const char *name, double medians, double least, double target, bool at_least);
__attribute__((format(printf, 1, 2))) void row_note(const char *format, ...);

#endif
