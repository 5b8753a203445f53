/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library as a plug-in's dependency: opened, used, closed, used no more,
 * opened again.  This program alone is not linked with it.
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig/contigmalloc.h>
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#define ANY 0, ~(vm_paddr_t)0, 0, 0

static struct library {
	void *handle;
	void *(*malloc)(unsigned long size, struct malloc_type *type, int flags,
			vm_paddr_t low, vm_paddr_t high, unsigned long alignment,
			vm_paddr_t boundary);
	void (*free)(void *addr);
	size_t (*trim)(void);
	const char *(*reason)(void);
} lib;

/* The library just built, or the one that is installed. */
static bool open_library(void)
{
	static const char *const patterns[] = {"%s/.libs/libcontig.so.0",
					       "%s/libcontig.so.0"};
	const char *tree = getenv("top_builddir"), *given = getenv("CONTIG_TEST_LIBRARY");
	char path[512];

	lib.handle = given ? dlopen(given, RTLD_NOW | RTLD_LOCAL) : NULL;
	for (size_t i = 0; i < 2 && !lib.handle && tree; i++) {
		snprintf(path, sizeof(path), patterns[i], tree);
		lib.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	}
	if (!lib.handle)
		lib.handle = dlopen("libcontig.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!lib.handle)
		return false;
	*(void **)&lib.malloc = dlsym(lib.handle, "contigmalloc");
	*(void **)&lib.free = dlsym(lib.handle, "contig_free");
	*(void **)&lib.trim = dlsym(lib.handle, "contig_trim");
	*(void **)&lib.reason = dlsym(lib.handle, "contig_strreason");
	require(lib.malloc && lib.free && lib.trim && lib.reason, "%s", dlerror());
	return true;
}

static void open_or_skip(void)
{
	if (!open_library())
		skip("dlopen: %s (set CONTIG_TEST_LIBRARY)", dlerror());
}

static void use(void)
{
	char *va = lib.malloc(MIB, NULL, M_ZERO, ANY);

	require(va, "%s", lib.reason());
	memset(va, 1, MIB);
	lib.free(va);
	va = lib.malloc(PAGE, NULL, 0, ANY);
	require(va, "%s", lib.reason());
	lib.free(va);
}

static void closed(void)
{
	for (unsigned int i = 0; i < 5; i++) {
		open_or_skip();
		use();
		if (i % 2)
			lib.trim();
		dlclose(lib.handle);
	}
	exit(0); /* with whatever handlers are left */
}

/* Memory in use survives the close: somebody may hold its address. */
static void closed_in_use(void)
{
	char *va;
	uint64_t pa;

	open_or_skip();
	va = lib.malloc(64 * PAGE, NULL, 0, ANY);
	require(va, "%s", lib.reason());
	memset(va, 7, 64 * PAGE);
	pa = probe_address(va);
	dlclose(lib.handle);
	for (size_t i = 0; i < 64 * PAGE; i++)
		require(va[i] == 7, "byte %zu", i);
	require(probe_address(va) == pa, "moved");
	open_or_skip();
	use();
	exit(0);
}

static pthread_barrier_t barrier;

static void *thread_body(void *arg)
{
	(void)arg;
	use();
	pthread_barrier_wait(&barrier);
	/* The library is closed meanwhile; its thread destructor is to come. */
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void closed_before_thread_exit(void)
{
	pthread_t threads[3];

	open_or_skip();
	pthread_barrier_init(&barrier, NULL, 4);
	for (unsigned int i = 0; i < 3; i++)
		require(!pthread_create(&threads[i], NULL, thread_body, NULL),
			"pthread_create");
	pthread_barrier_wait(&barrier);
	dlclose(lib.handle);
	pthread_barrier_wait(&barrier);
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* Its fork handlers outlive it, too. */
static void closed_before_fork(void)
{
	open_or_skip();
	use();
	dlclose(lib.handle);
	for (unsigned int i = 0; i < 3; i++) {
		pid_t child;

		fflush(NULL);
		child = fork();
		if (!child) {
			open_or_skip();
			use();
			exit(0);
		}
		require(!reap(child).status, "child");
	}
}

/* Opened by a thread, used by others, in a program with much TLS already. */
static void *open_here(void *arg)
{
	(void)arg;
	open_or_skip();
	use();
	return NULL;
}

static void opened_by_thread(void)
{
	pthread_t thread;

	require(!pthread_create(&thread, NULL, open_here, NULL), "pthread_create");
	pthread_join(thread, NULL);
	use();
	dlclose(lib.handle);
	exit(0);
}

static const struct test_case cases[] = {
    {"closed", closed, 8, CASE_MAY_TRY | CASE_NO_SANITIZER, NULL},
    {"closed_in_use", closed_in_use, 8, CASE_MAY_TRY | CASE_NO_SANITIZER, NULL},
    {"closed_before_thread_exit", closed_before_thread_exit, 8,
     CASE_MAY_TRY | CASE_NO_SANITIZER, NULL},
    {"closed_before_fork", closed_before_fork, 8, CASE_MAY_TRY | CASE_NO_SANITIZER, NULL},
    {"opened_by_thread", opened_by_thread, 8, CASE_MAY_TRY | CASE_NO_SANITIZER, NULL},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
