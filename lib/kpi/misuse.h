/* SPDX-License-Identifier: BSD-2-Clause */
/* A programming error in a public call: CONTIG_PANIC counts even when it is
 * the first thing that the program does with the library. */
#ifndef KPI_MISUSE_H
#define KPI_MISUSE_H

#include "base/panic.h"
#include "phys/start.h"

#define misuse(...)                      \
	do {                             \
		contig_start_settings(); \
		contig_panic(__VA_ARGS__); \
	} while (0)

#endif
