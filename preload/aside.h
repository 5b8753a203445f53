/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libc's own malloc: for programs in which the shim stands aside, and for
 * pointers that never were ours.
 */
#ifndef PRELOAD_ASIDE_H
#define PRELOAD_ASIDE_H

#include <stddef.h>

void *shim_aside_malloc(size_t size);
void *shim_aside_calloc(size_t n, size_t size);
void *shim_aside_realloc(void *p, size_t size);
void *shim_aside_memalign(size_t align, size_t size);
void shim_aside_free(void *p);
size_t shim_aside_usable(void *p);
int shim_aside_trim(size_t pad);

#endif
