/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why the last call of this thread failed, in words: object, reason, way out.
 * Set where the cause is known; read by contig_strreason().
 */
#ifndef BASE_REASON_H
#define BASE_REASON_H

#include <stddef.h>

void contig_reason_set(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
void contig_reason_clear(void);
const char *contig_reason_get(void); /* this thread's, never NULL */

/* What is said in it, each part between "; " once, and none but the first cut
 * off where len bytes end: attempts repeat themselves. */
void contig_reason_once(const char *text, char *to, size_t len);

#endif
