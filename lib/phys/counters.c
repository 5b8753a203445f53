/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys/counters.h"

struct counters contig_counters;
