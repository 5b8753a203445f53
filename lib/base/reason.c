/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/reason.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

void contig_reason_once(const char *text, char *to, size_t len)
{
	size_t used = 0, n;

	for (; *text; text += n + (text[n] ? 2 : 0)) {
		const char *end = strstr(text, "; ");

		n = end ? (size_t)(end - text) : strlen(text);
		if (memmem(to, used, text, n))
			continue;
		if (used && used + 2 + n >= len)
			break;
		if (used) {
			memcpy(to + used, "; ", 2);
			used += 2;
		}
		if (n > len - 1 - used)
			n = len - 1 - used;
		memcpy(to + used, text, n);
		used += n;
		if (used == len - 1)
			break;
	}
	to[used] = '\0';
}
