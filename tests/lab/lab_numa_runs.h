/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_LAB_NUMA_RUNS_H
#define TESTS_LAB_NUMA_RUNS_H

/* Cases of lab_numa; each wants CONTIG_SOURCES=2m and the pools untouched. */
void longest(void);
void crossing(void);
void crossing_any(void);

#endif
