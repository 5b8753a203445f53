/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/meta.h"

#include "preload/aside.h"
#include "preload/engine.h"
#include "preload/jemalloc.h"

#include <errno.h>
#include <string.h>

#define META_FLAGS (JE_ARENA(SHIM_ARENA_META) | JE_TCACHE_NONE)

__thread unsigned int shim_engine_held __attribute__((tls_model("initial-exec")));
bool shim_engine_left;

/* Counted before it is taken and until after it is let go of: a handler in
 * between believes it is held. */
int shim_engine_mutex_lock(pthread_mutex_t *mutex)
{
	shim_engine_held++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return pthread_mutex_lock(mutex);
}

int shim_engine_mutex_trylock(pthread_mutex_t *mutex)
{
	int err;

	shim_engine_held++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	err = pthread_mutex_trylock(mutex);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (err)
		shim_engine_held--;
	return err;
}

int shim_engine_mutex_unlock(pthread_mutex_t *mutex)
{
	int err = pthread_mutex_unlock(mutex);

	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	shim_engine_held--;
	return err;
}

static bool closed(void)
{
	return shim_engine_held || shim_engine_left;
}

static void *or_errno(void *p)
{
	if (!p)
		errno = ENOMEM;
	return p;
}

void *shim_meta_alloc(size_t size, size_t align, bool zero)
{
	void *p;

	if (!size)
		size = 1;
	if (!closed())
		return or_errno(shim_je_mallocx(size, META_FLAGS | (zero ? JE_ZERO : 0) |
							      (align > 1 ? JE_ALIGN(align) : 0)));
	if (align <= sizeof(max_align_t))
		return or_errno(zero ? shim_aside_calloc(1, size) : shim_aside_malloc(size));
	p = shim_aside_memalign(align, size);
	if (p && zero)
		memset(p, 0, size);
	return or_errno(p);
}

void *shim_meta_realloc(void *p, size_t size)
{
	bool owned = shim_engine_owns(p);
	size_t old;
	void *q;

	if (!size)
		size = 1;
	if (owned && !closed())
		return or_errno(shim_je_rallocx(p, size, META_FLAGS));
	if (!owned)
		return or_errno(shim_aside_realloc(p, size));
	old = shim_je_malloc_usable_size(p);
	q = shim_aside_malloc(size);
	if (q)
		memcpy(q, p, old < size ? old : size);
	return or_errno(q);
}

void shim_meta_free(void *p)
{
	int saved = errno;

	if (p && !shim_engine_owns(p))
		shim_aside_free(p);
	else if (p && !closed())
		shim_je_dallocx(p, JE_TCACHE_NONE);
	/* else it is lost: a few bytes */
	errno = saved;
}
