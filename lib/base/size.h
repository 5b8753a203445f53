/* SPDX-License-Identifier: BSD-2-Clause */
/* Sizes as people write them: "64K", "0x1000", "4G", "1.5M" is refused. */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Reads a whole string: decimal or 0x, with an optional K, M, G, T, P (powers
 * of 1024; "KiB", "KB" too) or the word "~0" for the largest number.
 * Returns 0, -EINVAL or -ERANGE; *out is written only on success.
 */
int contig_size_parse(const char *text, uint64_t *out);

/* "2 MiB", "64 KiB", "1.5 GiB": at most three digits and one decimal. */
char *contig_size_print(uint64_t bytes, char *buf, size_t len);

#endif
