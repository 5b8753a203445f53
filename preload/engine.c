/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/engine.h"

#include "base/page.h"
#include "base/reason.h"
#include "host/threads.h"
#include "phys/fork.h"
#include "preload/aside.h"
#include "preload/core_calls.h"
#include "preload/engine_hooks.h"
#include "preload/extents.h"
#include "preload/fork.h"
#include "preload/inside.h"
#include "preload/jemalloc.h"
#include "preload/loosen.h"
#include "preload/meta.h"
#include "preload/options.h"
#include "preload/report.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/single_threaded.h>
#include <unistd.h>

unsigned char shim_owned[SHIM_OWNED_GIGAS];

/*
 * narenas:1      the metadata arena; ours is made by hand
 * tcache_max     one arena is fast with threads only if large blocks are
 *                cached too
 * retain:false   what is unused goes back to the pool
 * oversize_threshold:0   no arena of its own for large blocks
 */
const char *shim_je_malloc_conf =
	"narenas:1,tcache_max:8388608,retain:false,background_thread:false,"
	"oversize_threshold:0,thp:default,metadata_thp:disabled,"
	"dss:disabled,percpu_arena:disabled,dirty_decay_ms:5000,muzzy_decay_ms:0";

/* A 2 MiB block is a superpage, not one and a page.  The archive's own
 * definition is weakened: it reads no such option. */
bool shim_je_opt_cache_oblivious = false;

/* From here on the C library's malloc maps each block by itself, too. */
#define VAST_BYTES ((size_t)32 << 20)

static pthread_mutex_t make_lock = PTHREAD_MUTEX_INITIALIZER;
static bool started;
static size_t starter; /* bytes of small requests before the pool arena */
static size_t bind_mib[2];
/* In a forked child: of what its parent had. */
static __thread bool stale_cache __attribute__((tls_model("initial-exec")));
static pthread_key_t thread_key;
static bool key_made;

/* Large requests of this thread that the report doesn't have yet: so few of
 * all that little is missing when it is killed. */
struct large_batch {
	uint32_t calls;
	uint64_t asked, kept, contiguous, wired;
};
#define LARGE_BATCH_CALLS 64
#define LARGE_BATCH_SHARE 32
#define LARGE_BATCH_BYTES (1u << 20)

static __thread struct large_batch large __attribute__((tls_model("initial-exec")));
static __thread uint32_t large_told __attribute__((tls_model("initial-exec"))); /* calls */

static void large_flush(void)
{
	struct large_batch batch = large;

	/* First: an exit in a signal handler comes here, too. */
	large = (struct large_batch){0};
	if (!batch.calls)
		return;
	if (large_told < LARGE_BATCH_CALLS * LARGE_BATCH_SHARE)
		large_told += batch.calls;
	shim_count(SHIM_CALLS, batch.calls);
	shim_count(SHIM_CALLS_LARGE, batch.calls);
	shim_count(SHIM_ASKED, batch.asked);
	shim_count(SHIM_ASKED_LARGE, batch.asked);
	shim_count(SHIM_LARGE_KEPT, batch.kept);
	shim_count(SHIM_LARGE_CONTIGUOUS, batch.contiguous);
	shim_count(SHIM_LARGE_WIRED, batch.wired);
	if (batch.kept < batch.asked)
		shim_count(SHIM_LARGE_BROKEN, batch.asked - batch.kept);
}

void shim_engine_count_flush(void)
{
	shim_count_flush();
	large_flush();
}

/* What became of a block that was promised to be one run, wired. */
struct promise {
	bool contiguous, wired;
};

static bool is_kept(struct promise promise)
{
	return promise.contiguous && promise.wired;
}

static void count_large(size_t size, struct promise promise)
{
	large.calls++;
	large.asked += size;
	large.contiguous += promise.contiguous ? size : 0;
	large.wired += promise.wired ? size : 0;
	large.kept += is_kept(promise) ? size : 0;
	if (large.calls > large_told / LARGE_BATCH_SHARE || large.asked >= LARGE_BATCH_BYTES)
		large_flush();
}

bool shim_engine_active(void)
{
	shim_options_read();
	return shim_options.active;
}

void shim_engine_own(const void *p, size_t bytes)
{
	uintptr_t first = (uintptr_t)p >> 30, last = ((uintptr_t)p + bytes - 1) >> 30;

	for (uintptr_t g = first; g <= last && g < SHIM_OWNED_GIGAS; g++)
		if (!shim_owned[g])
			shim_owned[g] = 1;
}

static int flags_of(size_t align, bool zero)
{
	return (align > 1 ? JE_ALIGN(align) : 0) | (zero ? JE_ZERO : 0);
}

static void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static void thread_exit(void *arg)
{
	(void)arg;
	shim_engine_count_flush();
}

/* Once or twice in a process; a handler that forks comes later. */
static void make_begin(sigset_t *signals)
{
	contig_signals_block(signals);
	shim_enter();
	pthread_mutex_lock(&make_lock);
}

static void make_end(const sigset_t *signals)
{
	pthread_mutex_unlock(&make_lock);
	shim_leave();
	contig_signals_restore(signals);
}

static unsigned int arena_make(void)
{
	struct je_hooks *hooks = &shim_engine_hooks;
	unsigned int index = 0;
	size_t len = sizeof(index), n = 2;
	size_t mib[3];

	if (shim_je_mallctl("arenas.create", &index, &len, NULL, 0))
		return 0;
	/* Not at its making: its own metadata would lie in its extents. */
	n = 3;
	if (shim_je_mallctlnametomib("arena.0.extent_hooks", mib, &n))
		return 0;
	mib[1] = index;
	if (shim_je_mallctlbymib(mib, 3, NULL, NULL, &hooks, sizeof(hooks)))
		return 0;
	return index;
}

/* What is freed there goes to the kernel at once. */
static void keep_nothing(unsigned int index)
{
	size_t mib[3], n = 3;
	ssize_t never = 0;

	if (shim_je_mallctlnametomib("arena.0.dirty_decay_ms", mib, &n))
		return;
	mib[1] = index;
	shim_je_mallctlbymib(mib, 3, NULL, NULL, &never, sizeof(never));
}

/* Where blocks come from when the pool has nothing.  Arenas of their own: in
 * the pool's, such memory, once freed, would serve requests that could have a
 * run.  And vast blocks, which are often hardly used, are never had again as
 * they are: calloc() would fill all of them. */
static unsigned int spare_arena_get(size_t size)
{
	bool vast = size >= VAST_BYTES;
	unsigned int *arena = vast ? &shim_engine_vast_arena : &shim_engine_spare_arena;
	unsigned int index = __atomic_load_n(arena, __ATOMIC_ACQUIRE);
	sigset_t signals;

	if (index)
		return index;
	make_begin(&signals);
	index = *arena;
	if (!index) {
		index = arena_make();
		if (index && vast)
			keep_nothing(index);
		__atomic_store_n(arena, index, __ATOMIC_RELEASE);
	}
	make_end(&signals);
	return index;
}

/* The pool arena, made at first need; 0 if that fails (no memory). */
static unsigned int arena_get(void)
{
	unsigned int index = __atomic_load_n(&shim_engine_pool_arena, __ATOMIC_ACQUIRE);
	size_t n = 2;
	sigset_t signals;

	if (index)
		return index;
	make_begin(&signals);
	index = shim_engine_pool_arena;
	if (!index) {
		index = arena_make();
		if (!key_made) {
			shim_je_mallctlnametomib("thread.arena", bind_mib, &n);
			key_made = !pthread_key_create(&thread_key, thread_exit);
		}
		__atomic_store_n(&shim_engine_pool_arena, index, __ATOMIC_RELEASE);
	}
	make_end(&signals);
	return index;
}

/* From now on this thread's requests come from the pool arena. */
static bool bind_thread(void)
{
	unsigned int index = arena_get();
	sigset_t signals;

	if (!index)
		return false;
	contig_signals_block(&signals);
	shim_enter();
	if (stale_cache)
		shim_je_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	stale_cache = false;
	if (shim_je_mallctlbymib(bind_mib, 2, NULL, NULL, &index, sizeof(index)) == 0) {
		shim_thread.unbound = 0;
		if (__atomic_load_n(&key_made, __ATOMIC_ACQUIRE))
			pthread_setspecific(thread_key, &shim_thread);
	}
	shim_leave();
	contig_signals_restore(&signals);
	return !shim_thread.unbound;
}

/* Before libc's own constructor there is no environment for the core. */
static bool too_early(void)
{
	return !__atomic_load_n(&started, __ATOMIC_RELAXED) && !environ;
}

/* Whether a small request shall come from the metadata arena still. */
static bool in_starter(size_t size)
{
	if (__atomic_load_n(&shim_engine_pool_arena, __ATOMIC_RELAXED))
		return false;
	return __atomic_add_fetch(&starter, size, __ATOMIC_RELAXED) < SHIM_STARTER_BYTES;
}

static bool is_run(const void *p, size_t size)
{
	const char *at = p, *last = at + size - 1;

	if (!shim_extent_ours(at) || !shim_extent_ours(last))
		return false;
	/* Only loosened superpages can be anything else, in between. */
	while (shim_loosened && (size_t)(last - at) > SUPERPAGE_SIZE) {
		at += SUPERPAGE_SIZE;
		if (!shim_extent_ours(at))
			return false;
	}
	return true;
}

static struct promise look(const void *p, size_t size)
{
	struct promise promise = {.contiguous = p && is_run(p, size)};

	/* Base pages are never pinned. */
	promise.wired = promise.contiguous && shim_extent_wired(p, size);
	return promise;
}

/* What programs have freed and the arena still keeps goes to the pool. */
static bool purge(void)
{
	size_t mib[3], n = 3;

	if (shim_je_mallctlnametomib("arena.0.purge", mib, &n))
		return false;
	mib[1] = shim_engine_pool_arena;
	return !shim_je_mallctlbymib(mib, 3, NULL, NULL, NULL, 0);
}

/* The flags for base pages; 0 when there shall be none. */
static int spare_flags(size_t size)
{
	unsigned int index = shim_options.strict ? 0 : spare_arena_get(size);

	return index ? JE_ARENA(index) | JE_TCACHE_NONE : 0;
}

static void *refuse(size_t size)
{
	large_flush();
	shim_count(SHIM_REFUSED, 1);
	shim_reason(shim_extents_why(), size);
	return no_memory();
}

/* p didn't do, or is NULL: once more, past what threads have cached. */
static void *from_pool(void *p, size_t size, int flags)
{
	unsigned int index = __atomic_load_n(&shim_engine_pool_arena, __ATOMIC_RELAXED);

	if (p) {
		shim_je_dallocx(p, JE_TCACHE_NONE);
		/* Loosened superpages leave the arena for good by that. */
		if (shim_loosened)
			purge();
	}
	/* A strict program wants all that can be done. */
	else if (shim_options.strict)
		purge();
	else
		return NULL;
	return index ? shim_je_mallocx(size, flags | JE_ARENA(index) | JE_TCACHE_NONE) : NULL;
}

/* A block that is promised to be one run. */
static void *alloc_run(size_t size, size_t align, bool zero)
{
	int flags, spare, error = errno;
	struct promise promise;
	void *p;

	if (size >= shim_options.threshold && shim_options.align > align)
		align = shim_options.align;
	flags = flags_of(align, zero);
	/* Pieces of what was in use may make a run: before looking elsewhere. */
	shim_extents_only_held = size >= SUPERPAGE_SIZE;
	p = shim_je_mallocx(size, flags);
	if (shim_extents_only_held && !p) {
		purge();
		shim_extents_only_held = false;
		p = shim_je_mallocx(size, flags);
	}
	shim_extents_only_held = false;
	promise = look(p, size);
	/* The next one is wired no better, unless the program has no use for this. */
	if (!promise.contiguous || (!promise.wired && shim_options.strict)) {
		p = from_pool(p, size, flags);
		promise = look(p, size);
	}
	if (p && !is_kept(promise) && shim_options.strict) {
		shim_je_dallocx(p, JE_TCACHE_NONE);
		p = NULL;
	}
	if (!p) {
		spare = spare_flags(size);
		p = spare ? shim_je_mallocx(size, flags | spare) : NULL;
	}
	if (!p) {
		shim_count_asked(size);
		return refuse(size);
	}
	count_large(size, promise);
	/* Whatever was looked for in vain. */
	errno = error;
	return p;
}

void *shim_engine_alloc(size_t size, size_t align, bool zero)
{
	bool run = size >= shim_options.threshold || align >= FRAME_SIZE;
	int flags = flags_of(align, zero), spare;
	void *p;

	shim_fork_make_up();
	if (shim_thread.slow) {
		if (!shim_engine_active() || (shim_engine_left && !shim_inside())) {
			if (zero)
				return shim_aside_calloc(1, size);
			return align ? shim_aside_memalign(align, size) : shim_aside_malloc(size);
		}
		if (shim_inside() || too_early())
			return shim_meta_alloc(size, align, zero);
		run = size >= shim_options.threshold || align >= FRAME_SIZE;
		if (shim_thread.unbound && (run || !in_starter(size)))
			bind_thread();
	}
	if (size > PTRDIFF_MAX)
		return no_memory();
	if (!size)
		size = 1;
	if (run)
		return alloc_run(size, align, zero);
	shim_count_small((uint32_t)size);
	p = shim_je_mallocx(size, flags);
	if (!p) {
		spare = spare_flags(size);
		p = spare ? shim_je_mallocx(size, flags | spare) : NULL;
	}
	return p ? p : refuse(size);
}

static void *realloc_small(void *p, size_t size)
{
	void *q = shim_je_rallocx(p, size, 0);
	int spare;

	shim_count_small((uint32_t)size);
	if (!q) {
		spare = spare_flags(size);
		q = spare ? shim_je_rallocx(p, size, spare) : NULL;
	}
	return q ? q : refuse(size);
}

void *shim_engine_realloc(void *p, size_t size)
{
	int error = errno;
	size_t old;
	void *q;

	if (shim_inside() || shim_engine_left)
		return shim_meta_realloc(p, size);
	shim_fork_make_up();
	if (shim_thread.unbound && (size >= shim_options.threshold || !in_starter(size)))
		bind_thread();
	if (size < shim_options.threshold)
		return realloc_small(p, size);
	if (size > PTRDIFF_MAX)
		return no_memory();
	/* In place, or as a run elsewhere; of blocks on base pages only the
	 * content is kept. */
	old = shim_je_malloc_usable_size(p);
	if (!shim_options.align && is_run(p, old) && shim_je_xallocx(p, size, 0, 0) >= size &&
	    shim_je_malloc_usable_size(p) / 2 < size) {
		struct promise promise = look(p, size);

		if (is_kept(promise) || !shim_options.strict) {
			count_large(size, promise);
			return p;
		}
	}
	old = shim_je_malloc_usable_size(p);
	q = alloc_run(size, 0, false);
	if (q) {
		memcpy(q, p, old < size ? old : size);
		shim_je_free(p);
		errno = error;
	}
	return q;
}

void shim_engine_free(void *p)
{
	if (shim_inside() || shim_engine_left)
		shim_meta_free(p);
	else
		shim_je_free(p);
}

bool shim_engine_trim(void)
{
	shim_fork_make_up();
	if (!__atomic_load_n(&shim_engine_pool_arena, __ATOMIC_ACQUIRE) || shim_inside() ||
	    !shim_extents_worth_trim())
		return false;
	shim_je_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	return purge() && shim_extents_trim();
}

void shim_engine_start(void)
{
	__atomic_store_n(&started, true, __ATOMIC_RELEASE);
}

/* fork(2) */

struct fork_handlers {
	void (*prepare)(void), (*parent)(void), (*child)(void);
};
static struct fork_handlers of_core, of_jemalloc;
static bool at_rest, in_hand;

void shim_engine_fork_prepare(void)
{
	shim_extents_fork_prepare();
	if (of_core.prepare)
		of_core.prepare();
	/* With one thread there is nothing to wait for.  Nor may one that forks
	 * in a signal handler wait, when it interrupted the engine: some of the
	 * locks are its own, and others want them. */
	at_rest = !__libc_single_threaded && !shim_engine_held;
	in_hand = shim_engine_held && !contig_threads_alone(false);
	if (!at_rest)
		return;
	pthread_mutex_lock(&make_lock);
	if (of_jemalloc.prepare)
		of_jemalloc.prepare();
}

void shim_engine_fork_missed(void)
{
	shim_extents_fork_prepare();
	if (of_core.prepare)
		contig_fork_missed();
	at_rest = in_hand = false;
}

void shim_engine_fork_parent(void)
{
	if (at_rest && of_jemalloc.parent)
		of_jemalloc.parent();
	if (at_rest)
		pthread_mutex_unlock(&make_lock);
	if (of_core.parent)
		of_core.parent();
	shim_extents_fork_parent();
}

void shim_engine_fork_child(void)
{
	if (of_jemalloc.child)
		of_jemalloc.child();
	if (at_rest)
		shim_engine_held = 0; /* else this thread is still there */
	if (in_hand)
		shim_engine_left = true;
	pthread_mutex_init(&make_lock, NULL);
	if (of_core.child)
		of_core.child();
	shim_extents_fork_child();
	memset(&large, 0, sizeof(large));
	if (!shim_engine_pool_arena && !in_hand)
		return;
	/* That arena has only inherited memory left.  It serves as the starter
	 * of this process, which may be about to exec. */
	shim_engine_pool_arena = 0;
	shim_thread.unbound = 1;
	starter = 0;
	/* Not here: the fork may have been in a signal handler that interrupted
	 * jemalloc, and then the child is not to allocate at all. */
	stale_cache = true;
}

static void atfork_register(void)
{
	static bool done;
	sigset_t signals;

	if (__atomic_exchange_n(&done, true, __ATOMIC_ACQ_REL))
		return;
	contig_signals_block(&signals);
	pthread_atfork(shim_fork_prepare, shim_fork_parent, shim_fork_child);
	contig_signals_restore(&signals);
}

int shim_core_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	of_core = (struct fork_handlers){prepare, parent, child};
	atfork_register();
	return 0;
}

/* jemalloc's, at its first call of all. */
int shim_engine_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	of_jemalloc = (struct fork_handlers){prepare, parent, child};
	atfork_register();
	return 0;
}
