/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the shim's copy of the core calls instead of libc and libnuma, see
 * redirect.h.
 */
#include "preload/core_calls.h"

#include "preload/engine.h"
#include "preload/inside.h"
#include "preload/meta.h"
#include "preload/raw.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *shim_core_malloc(size_t size)
{
	return shim_meta_alloc(size, 0, false);
}

void *shim_core_calloc(size_t n, size_t size)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : shim_meta_alloc(bytes, 0, true);
}

void *shim_core_realloc(void *p, size_t size)
{
	return p ? shim_meta_realloc(p, size) : shim_meta_alloc(size, 0, false);
}

void shim_core_free(void *p)
{
	shim_meta_free(p);
}

void *shim_core_aligned_alloc(size_t align, size_t size)
{
	return shim_meta_alloc(size, align, false);
}

char *shim_core_strdup(const char *text)
{
	size_t len = strlen(text) + 1;
	char *copy = shim_meta_alloc(len, 0, false);

	return copy ? memcpy(copy, text, len) : NULL;
}

void shim_core_qsort(void *base, size_t n, size_t size, int (*compare)(const void *, const void *))
{
	shim_enter();
	qsort(base, n, size, compare);
	shim_leave();
}

int shim_core_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			     void *(*start)(void *), void *arg)
{
	int err;

	shim_enter();
	err = pthread_create(thread, attr, start, arg);
	shim_leave();
	return err;
}

int shim_core_pthread_setspecific(pthread_key_t key, const void *value)
{
	int err;

	shim_enter();
	err = pthread_setspecific(key, value);
	shim_leave();
	return err;
}

void *shim_core_mremap(void *old, size_t old_size, size_t new_size, int flags, ...)
{
	void *new_addr = NULL;
	va_list ap;

	if (flags & MREMAP_FIXED) {
		va_start(ap, flags);
		new_addr = va_arg(ap, void *);
		va_end(ap);
	}
	return shim_raw_mremap(old, old_size, new_size, flags, new_addr);
}

/* libnuma's, which are but the system calls. */
long get_mempolicy(int *mode, unsigned long *nodes, unsigned long max, void *addr,
		   unsigned int flags)
{
	return syscall(SYS_get_mempolicy, mode, nodes, max, addr, flags);
}

long set_mempolicy(int mode, const unsigned long *nodes, unsigned long max)
{
	return syscall(SYS_set_mempolicy, mode, nodes, max);
}
