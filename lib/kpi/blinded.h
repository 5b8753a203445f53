/* SPDX-License-Identifier: BSD-2-Clause */
/* The reason of every EPERM after privileges were dropped. */
#ifndef KPI_BLINDED_H
#define KPI_BLINDED_H

#define BLINDED                                                              \
	"this process saw frames when it started and no longer does "        \
	"(privileges dropped): reserve memory before (contig_reserve)"

#endif
