/* SPDX-License-Identifier: BSD-2-Clause */
/* See redirect.h: declared here for the compiler's sake. */
#ifndef PRELOAD_CORE_CALLS_H
#define PRELOAD_CORE_CALLS_H

#include <pthread.h>
#include <stddef.h>

void *shim_core_malloc(size_t size);
void *shim_core_calloc(size_t n, size_t size);
void *shim_core_realloc(void *p, size_t size);
void shim_core_free(void *p);
void *shim_core_aligned_alloc(size_t align, size_t size);
char *shim_core_strdup(const char *text);
void shim_core_qsort(void *base, size_t n, size_t size,
		     int (*compare)(const void *, const void *));
int shim_core_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			     void *(*start)(void *), void *arg);
int shim_core_pthread_setspecific(pthread_key_t key, const void *value);
int shim_core_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
void *shim_core_mremap(void *old, size_t old_size, size_t new_size, int flags, ...);
long get_mempolicy(int *mode, unsigned long *nodes, unsigned long max, void *addr,
		   unsigned int flags);
long set_mempolicy(int mode, const unsigned long *nodes, unsigned long max);

#endif
