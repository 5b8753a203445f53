/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why the last call of this thread failed, in words: object, reason, way out.
 * Set where the cause is known; read by contig_strreason().
 */
#ifndef BASE_REASON_H
#define BASE_REASON_H

void contig_reason_set(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
void contig_reason_clear(void);
const char *contig_reason_get(void); /* this thread's, never NULL */

#endif
