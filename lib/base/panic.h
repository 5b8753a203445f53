/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel would panic on: one line naming the call, its arguments and
 * what is wrong, then the handler (default: abort).  When the handler
 * returns, or CONTIG_PANIC=errno is set, the caller returns its error with
 * errno EINVAL.  Call it with no lock held.
 */
#ifndef BASE_PANIC_H
#define BASE_PANIC_H

#include <stdbool.h>

typedef void (*contig_panic_fn)(const char *message);

void contig_panic(const char *format, ...)
	__attribute__((format(printf, 1, 2), cold));
contig_panic_fn contig_panic_handler_swap(contig_panic_fn handler);
void contig_panic_errno_set(bool on); /* CONTIG_PANIC=errno */
bool contig_panic_errno_get(void);

#endif
