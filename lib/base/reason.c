/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/reason.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static __thread char reason[1400];

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
