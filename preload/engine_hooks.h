/* SPDX-License-Identifier: BSD-2-Clause */
/* What jemalloc's private copy calls: extent hooks, and stand-ins for libc. */
#ifndef PRELOAD_ENGINE_HOOKS_H
#define PRELOAD_ENGINE_HOOKS_H

#include "preload/jemalloc.h"

#include <stdint.h>
#include <sys/types.h>

/* Of the pool arena. */
extern struct je_hooks shim_engine_hooks;
/* Its number, 0 while there is none; and those of the two for what the pool
 * can't give.  Extents of others are on base pages. */
extern unsigned int shim_engine_pool_arena, shim_engine_spare_arena, shim_engine_vast_arena;

/* Named by jemalloc.redirect. */
char *shim_engine_no_text(const char *name);
ssize_t shim_engine_no_link(const char *path, char *text, size_t len);
void *shim_engine_no_symbol(void *handle, const char *name);
void *shim_engine_no_break(intptr_t by);
int shim_engine_no_exit(void (*fn)(void));
double shim_engine_no_exp(double x);
double shim_engine_no_log(double x);
double shim_engine_no_round(double x);
int shim_engine_no_backtrace(void *fn, void *arg);
uintptr_t shim_engine_no_address(void *context);
int shim_engine_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

#endif
