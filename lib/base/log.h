/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Debug lines on stderr, switched on by CONTIG_DEBUG (a comma-separated list
 * of the names below, a number, "all" or "help"), and warnings, which are
 * always printed.  The environment, and so CONTIG_DEBUG, counts for nothing in
 * set-id programs.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

/* X(NAME, bit, "name", "what it shows") */
#define CONTIG_LOG_AREAS(X)                                           \
	X(HOST, 0, "host", "what the kernel's files say")             \
	X(TAKE, 1, "take", "superpages taken and given back")         \
	X(PIN, 2, "pin", "pins made and dropped")                     \
	X(RECLAIM, 3, "reclaim", "reclaim passes and why they failed") \
	X(FORK, 4, "fork", "what fork did to pools")                  \
	X(POOL, 5, "pool", "pools made and destroyed")                \
	X(SHARE, 6, "share", "vmas of other processes")

enum {
#define X(NAME, bit, name, text) LOG_##NAME = 1 << (bit),
	CONTIG_LOG_AREAS(X)
#undef X
};

extern unsigned int contig_log_mask;

/* Reads CONTIG_DEBUG's value; returns 0, or -1 when it names no area. */
int contig_log_parse(const char *value);

void contig_log_line(const char *area, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void contig_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define contig_debug(AREA, ...)                                 \
	do {                                                    \
		if (__builtin_expect(contig_log_mask & LOG_##AREA, 0)) \
			contig_log_line(#AREA, __VA_ARGS__);    \
	} while (0)

#endif
