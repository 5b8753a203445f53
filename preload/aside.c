/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/aside.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

/*
 * By these names glibc has exported its malloc since 2.2; nothing needs to be
 * looked up, so they serve at any time.
 */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t align, size_t size);
extern void __libc_free(void *p);

void *shim_aside_malloc(size_t size)
{
	return __libc_malloc(size);
}

void *shim_aside_calloc(size_t n, size_t size)
{
	return __libc_calloc(n, size);
}

void *shim_aside_realloc(void *p, size_t size)
{
	return __libc_realloc(p, size);
}

void *shim_aside_memalign(size_t align, size_t size)
{
	return __libc_memalign(align, size);
}

void shim_aside_free(void *p)
{
	__libc_free(p);
}

/* The next definition after ours; dlsym(3) may call malloc, these may not be
 * needed before it can. */
static void *next(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

size_t shim_aside_usable(void *p)
{
	static size_t (*usable)(void *);

	if (!__atomic_load_n(&usable, __ATOMIC_RELAXED))
		__atomic_store_n(&usable, (size_t(*)(void *))next("malloc_usable_size"),
				 __ATOMIC_RELAXED);
	return usable ? usable(p) : 0;
}

int shim_aside_trim(size_t pad)
{
	int (*trim)(size_t) = (int (*)(size_t))next("malloc_trim");

	return trim ? trim(pad) : 0;
}
