/* SPDX-License-Identifier: BSD-2-Clause */
/* libcontig: physically contiguous memory for user space. */
#ifndef CONTIG_H
#define CONTIG_H

#include <contig/contigmalloc.h>
#include <contig/phys.h>
#include <contig/pool.h>
#include <contig/share.h>
#include <contig/types.h>
#include <contig/vm_area.h>

#endif
