/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the shim itself allocates, at any time: from the engine's metadata
 * arena, or, where the engine can't be entered, from libc's malloc.
 *
 * A signal handler may have interrupted the engine, with locks of its held by
 * this very thread: all that may still be asked of it then is how large a
 * block is.  Programs that fork in such a handler are many.
 */
#ifndef PRELOAD_META_H
#define PRELOAD_META_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define SHIM_ARENA_META 0

/* The metadata arena: any state, any locks of the core. */
void *shim_meta_alloc(size_t size, size_t align, bool zero);
void *shim_meta_realloc(void *p, size_t size);
void shim_meta_free(void *p);

/* Locks of the engine's that this thread holds, or is about to. */
extern __thread unsigned int shim_engine_held __attribute__((tls_model("initial-exec")));

/*
 * This process is the child of a fork that found the engine at work in other
 * threads, and could not wait for them: what they had in hand is in no known
 * state.  The engine's memory is readable, and nothing is given back to it.
 */
extern bool shim_engine_left;

/* What jemalloc calls for its locks. */
int shim_engine_mutex_lock(pthread_mutex_t *mutex);
int shim_engine_mutex_trylock(pthread_mutex_t *mutex);
int shim_engine_mutex_unlock(pthread_mutex_t *mutex);

#endif
