/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The malloc family, as glibc's manual has it.  C++'s operators come through
 * malloc and free.  Small requests of a bound thread outside the core go
 * straight to the engine; all else is shim_engine_alloc()'s.
 */
#include "preload/family.h"

#include "base/page.h"
#include "preload/aside.h"
#include "preload/engine.h"
#include "preload/inside.h"
#include "preload/jemalloc.h"
#include "preload/options.h"
#include "preload/report.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline bool fast(size_t size)
{
	return likely(!shim_thread.slow && size < shim_options.threshold);
}

EXPORT void *malloc(size_t size)
{
	void *p;

	if (fast(size)) {
		shim_count_small((uint32_t)size);
		p = shim_je_malloc(size);
		if (likely(p))
			return p;
	}
	return shim_engine_alloc(size, 0, false);
}

EXPORT void *calloc(size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (unlikely(__builtin_mul_overflow(n, size, &bytes))) {
		errno = ENOMEM;
		return NULL;
	}
	if (fast(bytes)) {
		shim_count_small((uint32_t)bytes);
		p = shim_je_calloc(1, bytes);
		if (likely(p))
			return p;
	}
	return shim_engine_alloc(bytes, 0, true);
}

static void free_slow(void *p)
{
	if (!p)
		return;
	if (shim_engine_owns(p))
		shim_engine_free(p);
	else
		shim_aside_free(p);
}

EXPORT void free(void *p)
{
	if (likely(shim_engine_owns(p) && !shim_thread.slow))
		shim_je_free(p);
	else
		free_slow(p);
}

/* Of before glibc 2.26; programs that old still run. */
EXPORT void cfree(void *p)
{
	free(p);
}

/* A block of another allocator: what it holds moves to one of ours. */
static void *adopt(void *p, size_t size)
{
	size_t old = shim_aside_usable(p);
	void *q = malloc(size);

	if (q) {
		memcpy(q, p, old < size ? old : size);
		shim_aside_free(p);
	}
	return q;
}

EXPORT void *realloc(void *p, size_t size)
{
	void *q;

	if (!p)
		return malloc(size);
	if (unlikely(!shim_engine_owns(p))) {
		if (!shim_engine_active())
			return shim_aside_realloc(p, size);
		if (size)
			return adopt(p, size);
	}
	/* glibc frees, and so programs expect. */
	if (unlikely(!size)) {
		free(p);
		return NULL;
	}
	if (fast(size)) {
		shim_count_small((uint32_t)size);
		q = shim_je_realloc(p, size);
		if (likely(q))
			return q;
	}
	return shim_engine_realloc(p, size);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, bytes);
}

EXPORT int posix_memalign(void **out, size_t align, size_t size)
{
	int saved = errno, err = 0;
	void *p;

	if (!align || align % sizeof(void *) || align & (align - 1))
		return EINVAL;
	p = shim_engine_alloc(size, align, false);
	if (p)
		*out = p;
	else
		err = ENOMEM;
	errno = saved;
	return err;
}

/* glibc rounds other alignments up to a power of two. */
EXPORT void *memalign(size_t align, size_t size)
{
	size_t power = 2 * sizeof(void *);

	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	while (power < align)
		power *= 2;
	return shim_engine_alloc(size, power, false);
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

EXPORT void *valloc(size_t size)
{
	return shim_engine_alloc(size, FRAME_SIZE, false);
}

EXPORT void *pvalloc(size_t size)
{
	if (size > SIZE_MAX - FRAME_SIZE) {
		errno = ENOMEM;
		return NULL;
	}
	return shim_engine_alloc(align_up(size ? size : 1, FRAME_SIZE), FRAME_SIZE, false);
}

EXPORT size_t malloc_usable_size(void *p)
{
	if (!p)
		return 0;
	return shim_engine_owns(p) ? shim_je_malloc_usable_size(p) : shim_aside_usable(p);
}

EXPORT int malloc_trim(size_t pad)
{
	return shim_engine_active() ? shim_engine_trim() : shim_aside_trim(pad);
}
