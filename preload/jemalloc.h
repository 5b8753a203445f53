/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jemalloc 5.3's own interface under the names that the shim's private copy
 * has (see Makemodule.am), and its extent hooks.  Values from
 * jemalloc/jemalloc.h.
 */
#ifndef PRELOAD_JEMALLOC_H
#define PRELOAD_JEMALLOC_H

#include <stdbool.h>
#include <stddef.h>

#define JE_ALIGN(a)    (__builtin_ctzl(a))
#define JE_ZERO        0x40
#define JE_TCACHE_NONE (1 << 8)
#define JE_ARENA(i)    (((int)(i) + 1) << 20)

extern const char *shim_je_malloc_conf;
extern bool shim_je_opt_cache_oblivious;

void *shim_je_malloc(size_t size);
void *shim_je_calloc(size_t n, size_t size);
void *shim_je_realloc(void *p, size_t size);
void shim_je_free(void *p);
void *shim_je_mallocx(size_t size, int flags);
void *shim_je_rallocx(void *p, size_t size, int flags);
size_t shim_je_xallocx(void *p, size_t size, size_t extra, int flags);
void shim_je_dallocx(void *p, int flags);
size_t shim_je_malloc_usable_size(void *p);
int shim_je_mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len);
int shim_je_mallctlnametomib(const char *name, size_t *mib, size_t *n);
int shim_je_mallctlbymib(const size_t *mib, size_t n, void *old, size_t *old_len, void *new,
			 size_t new_len);

struct je_hooks;
/* A NULL hook: not possible.  Those that return bool: true is failure. */
struct je_hooks {
	void *(*alloc)(struct je_hooks *hooks, void *new_addr, size_t size, size_t align, bool *zero,
		       bool *commit, unsigned int arena);
	bool (*dalloc)(struct je_hooks *hooks, void *addr, size_t size, bool committed,
		       unsigned int arena);
	void (*destroy)(struct je_hooks *hooks, void *addr, size_t size, bool committed,
			unsigned int arena);
	bool (*commit)(struct je_hooks *hooks, void *addr, size_t size, size_t offset, size_t len,
		       unsigned int arena);
	bool (*decommit)(struct je_hooks *hooks, void *addr, size_t size, size_t offset,
			 size_t len, unsigned int arena);
	bool (*purge_lazy)(struct je_hooks *hooks, void *addr, size_t size, size_t offset,
			   size_t len, unsigned int arena);
	bool (*purge_forced)(struct je_hooks *hooks, void *addr, size_t size, size_t offset,
			     size_t len, unsigned int arena);
	bool (*split)(struct je_hooks *hooks, void *addr, size_t size, size_t size_a,
		      size_t size_b, bool committed, unsigned int arena);
	bool (*merge)(struct je_hooks *hooks, void *addr_a, size_t size_a, void *addr_b,
		      size_t size_b, bool committed, unsigned int arena);
};

#endif
