/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int contig_size_parse(const char *text, uint64_t *out)
{
	static const char units[] = "KMGTP";
	unsigned long long number;
	uint64_t value;
	const char *unit;
	char *end;

	if (!strcmp(text, "~0")) {
		*out = UINT64_MAX;
		return 0;
	}
	if (!isdigit((unsigned char)text[0]))
		return -EINVAL;
	errno = 0;
	number = strtoull(text, &end, 0);
	if (errno)
		return -ERANGE;
	if (end == text)
		return -EINVAL;
	value = number;
	if (!*end) {
		*out = value;
		return 0;
	}
	unit = strchr(units, toupper((unsigned char)*end));
	if (!unit)
		return -EINVAL;
	end++;
	if (strcasecmp(end, "") && strcasecmp(end, "b") && strcasecmp(end, "ib"))
		return -EINVAL;
	for (int i = 0; i <= (int)(unit - units); i++)
		if (__builtin_mul_overflow(value, UINT64_C(1024), &value))
			return -ERANGE;
	*out = value;
	return 0;
}

char *contig_size_print(uint64_t bytes, char *buf, size_t len)
{
	static const char *const units[] = {"B",   "KiB", "MiB", "GiB",
					    "TiB", "PiB", "EiB"};
	unsigned int unit = 0;
	uint64_t whole = bytes, rest = 0;

	while (whole >= 1024) {
		rest = whole & 1023;
		whole >>= 10;
		unit++;
	}
	/* Round to one decimal, unless that would read as the next unit. */
	uint64_t tenths = (rest * 10 + 512) / 1024;

	if (tenths == 10) {
		whole++;
		tenths = 0;
	}
	if (tenths && whole < 100)
		snprintf(buf, len, "%" PRIu64 ".%" PRIu64 " %s", whole, tenths, units[unit]);
	else
		snprintf(buf, len, "%" PRIu64 " %s", whole, units[unit]);
	return buf;
}
