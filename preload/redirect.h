/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Forced into every source of the shim's copy of the core: by which names it
 * calls what the shim overrides.  Its memory is that of the metadata arena,
 * never that of the arena whose extents the core makes; its mappings are the
 * kernel's.  What calls malloc inside libc is wrapped.
 */
#ifndef PRELOAD_REDIRECT_H
#define PRELOAD_REDIRECT_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

extern __typeof__(malloc) malloc __asm__("shim_core_malloc");
extern __typeof__(calloc) calloc __asm__("shim_core_calloc");
extern __typeof__(realloc) realloc __asm__("shim_core_realloc");
extern __typeof__(free) free __asm__("shim_core_free");
extern __typeof__(aligned_alloc) aligned_alloc __asm__("shim_core_aligned_alloc");
extern __typeof__(strdup) strdup __asm__("shim_core_strdup");
extern __typeof__(qsort) qsort __asm__("shim_core_qsort");
extern __typeof__(pthread_create) pthread_create __asm__("shim_core_pthread_create");
extern __typeof__(pthread_setspecific) pthread_setspecific
	__asm__("shim_core_pthread_setspecific");
extern __typeof__(pthread_atfork) pthread_atfork __asm__("shim_core_atfork");

extern __typeof__(mmap) mmap __asm__("shim_raw_mmap");
extern __typeof__(munmap) munmap __asm__("shim_raw_munmap");
extern __typeof__(mremap) mremap __asm__("shim_core_mremap");
extern __typeof__(mprotect) mprotect __asm__("shim_raw_mprotect");
extern __typeof__(madvise) madvise __asm__("shim_raw_madvise");

#endif
