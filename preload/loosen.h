/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parts of the heap that the program protects.  Hugetlb pages can be protected
 * as a whole only, and what can't be read or isn't one mapping any more can't
 * be kept over a fork.  So superpages that are concerned leave the pool first:
 * their blocks live on at the same addresses, in memory like any other
 * program's; of hugetlb pages the content moves to base pages.
 */
#ifndef PRELOAD_LOOSEN_H
#define PRELOAD_LOOSEN_H

#include <stdbool.h>
#include <stddef.h>

/* Whatever of the heap's superpages the range touches, before a call on it.
 * What fails is told in the report; the call will then fail where it must. */
void shim_loosen(const void *addr, size_t len);
/* Whether that ever was called on the heap. */
extern bool shim_loosened;

/* MADV_DONTNEED: pages of the heap read as zeros afterwards.  False: not ours. */
bool shim_loosen_zero(void *addr, size_t len);

#endif
