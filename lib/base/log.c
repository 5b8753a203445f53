/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

unsigned int contig_log_mask;

static const struct {
	const char *name, *text;
	unsigned int bit;
} areas[] = {
#define X(NAME, bit, name, text) {name, text, 1u << (bit)},
	CONTIG_LOG_AREAS(X)
#undef X
};

#define N_AREAS (sizeof(areas) / sizeof(areas[0]))

/* One write(2) a line, so that threads and processes don't mix theirs. */
static void emit(const char *prefix, const char *format, va_list ap)
{
	char line[512];
	int saved = errno;
	int n = snprintf(line, sizeof(line), "%s", prefix);
	int m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, ap);

	if (m > 0) {
		size_t len = strlen(line);

		line[len++] = '\n';
		if (write(STDERR_FILENO, line, len) < 0) {
			/* nowhere left to say so */
		}
	}
	errno = saved;
}

void contig_log_line(const char *area, const char *format, ...)
{
	char prefix[48];
	va_list ap;

	snprintf(prefix, sizeof(prefix), "libcontig[%d] %s: ", (int)getpid(), area);
	va_start(ap, format);
	emit(prefix, format, ap);
	va_end(ap);
}

void contig_warn(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	emit("libcontig: ", format, ap);
	va_end(ap);
}

static void help(void)
{
	fprintf(stderr, "CONTIG_DEBUG: a comma-separated list of\n");
	for (size_t i = 0; i < N_AREAS; i++)
		fprintf(stderr, "  %-8s 0x%02x  %s\n", areas[i].name,
			areas[i].bit, areas[i].text);
	fprintf(stderr, "  all, help, or the sum of the numbers\n");
}

static int parse_one(const char *word, size_t len, unsigned int *mask)
{
	char *end;
	unsigned long number;

	if (len == 3 && !memcmp(word, "all", 3)) {
		*mask |= ~0u;
		return 0;
	}
	if (len == 4 && !memcmp(word, "help", 4)) {
		help();
		return 0;
	}
	for (size_t i = 0; i < N_AREAS; i++) {
		if (strlen(areas[i].name) == len &&
		    !memcmp(word, areas[i].name, len)) {
			*mask |= areas[i].bit;
			return 0;
		}
	}
	errno = 0;
	number = strtoul(word, &end, 0);
	if (errno || end != word + len || number > 0xffffffffu)
		return -1;
	*mask |= (unsigned int)number;
	return 0;
}

int contig_log_parse(const char *value)
{
	unsigned int mask = 0;

	while (*value) {
		size_t len = strcspn(value, ",");

		if (len && parse_one(value, len, &mask) < 0)
			return -1;
		value += len;
		value += *value == ',';
	}
	contig_log_mask = mask;
	return 0;
}
