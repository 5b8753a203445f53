/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/reason.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* Thread-local memory of a library that is opened late is scarce: with more
 * than some 1600 bytes in all, dlopen(3) fails. */
static __thread char reason[640];

void contig_reason_set(const char *format, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, format);
	vsnprintf(reason, sizeof(reason), format, ap);
	va_end(ap);
	errno = saved;
}

void contig_reason_clear(void)
{
	reason[0] = '\0';
}

const char *contig_reason_get(void)
{
	return reason;
}
