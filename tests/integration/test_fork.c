/* SPDX-License-Identifier: BSD-2-Clause */
/* fork(2) in all its uses: what a child gets, and what it can't do to us. */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define ANY 0, ~(vm_paddr_t)0, 0, 0
#define THREADS 3
#define FORKS 40

extern char **environ;

static void *block(size_t size)
{
	void *va = contigmalloc(size, M_TEMP, M_WAITOK, ANY);

	require(va, "%zu bytes: %s", size, contig_strreason());
	return va;
}

static void fill(void *va, size_t size, uint64_t stamp)
{
	uint64_t *p = va;

	for (size_t i = 0; i < size / 8; i += 64)
		p[i] = stamp + i;
}

static bool filled(const void *va, size_t size, uint64_t stamp)
{
	const uint64_t *p = va;

	for (size_t i = 0; i < size / 8; i += 64)
		if (p[i] != stamp + i)
			return false;
	return true;
}

/* Two processes that take turns: each waits for the other's word. */
struct turns {
	int to_child[2], to_parent[2];
};

static void turns_open(struct turns *t)
{
	require(!pipe(t->to_child) && !pipe(t->to_parent), "pipe: %s", strerror(errno));
}

static void say(int fd, const void *what, size_t len)
{
	require(write(fd, what, len) == (ssize_t)len, "write: %s", strerror(errno));
}

static void hear(int fd, void *what, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = read(fd, (char *)what + at, len - at);

		require(n > 0, "the other side is gone");
		at += (size_t)n;
	}
}

static void wait_for_child(pid_t child)
{
	struct outcome out = reap(child);

	require(!out.status && !out.signal, "child: status %d signal %d%s", out.status,
		out.signal, out.timed_out ? " (hung)" : "");
}

static pid_t split(void)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	require(child >= 0, "fork: %s", strerror(errno));
	return child;
}

/* --- both sides go on --------------------------------------------------- */

static atomic_bool stop;

static void work(uint64_t *state, unsigned int rounds)
{
	struct {
		void *va;
		size_t size;
		uint64_t stamp;
	} held[24] = {{NULL, 0, 0}};

	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int slot = probe_random(state) % 24;

		if (held[slot].va) {
			require(filled(held[slot].va, held[slot].size, held[slot].stamp),
				"process %d: a block was overwritten", (int)getpid());
			contig_free(held[slot].va);
			held[slot].va = NULL;
			continue;
		}
		held[slot].size = (1 + probe_random(state) % 40) * PAGE;
		held[slot].stamp = probe_random(state);
		held[slot].va =
		    contigmalloc(held[slot].size, M_TEMP, slot % 4 ? 0 : M_ZERO, 0,
				 ~(vm_paddr_t)0, slot % 3 ? 0 : 65536, 0);
		require(held[slot].va, "process %d: %s", (int)getpid(),
			contig_strreason());
		if (slot % 4 == 0)
			require(!*(uint64_t *)held[slot].va, "not zero");
		fill(held[slot].va, held[slot].size, held[slot].stamp);
		if (probe_random(state) % 4000 == 0)
			contig_trim();
	}
	for (unsigned int slot = 0; slot < 24; slot++)
		contig_free(held[slot].va);
}

static void *busy(void *arg)
{
	uint64_t state = (uint64_t)(uintptr_t)arg;

	while (!atomic_load(&stop))
		work(&state, 200);
	return NULL;
}

/* The memory is shared, so a block handed out on both sides shows up as an
 * overwritten one. */
static void both_sides(void)
{
	pthread_t threads[THREADS];
	size_t size = MIB;
	char *kept = block(size);

	fill(kept, size, 4711);
	for (uintptr_t i = 0; i < THREADS; i++)
		require(!pthread_create(&threads[i], NULL, busy, (void *)(i + 1)),
			"pthread_create");
	for (unsigned int i = 0; i < FORKS; i++) {
		uint64_t state = test_seed() + i;
		pid_t child = split();

		if (!child) {
			require(filled(kept, size, 4711),
				"the child doesn't see the memory");
			work(&state, 300);
			require(filled(kept, size, 4711), "the memory changed");
			_exit(0);
		}
		if (i % 4 == 0)
			work(&state, 50);
		if (i % 8 == 0)
			contig_trim();
		wait_for_child(child);
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	require(filled(kept, size, 4711), "the memory changed");
}

/* A child has one thread, but may start more. */
static void *one_block(void *arg)
{
	uint64_t state = (uint64_t)(uintptr_t)arg;

	work(&state, 100);
	return NULL;
}

static void *fork_here(void *arg)
{
	pid_t child;

	(void)arg;
	block(PAGE);
	child = split();
	if (!child) {
		pthread_t threads[THREADS];

		for (uintptr_t i = 0; i < THREADS; i++)
			require(!pthread_create(&threads[i], NULL, one_block,
						(void *)(i + 99)),
				"pthread_create");
		for (unsigned int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		exit(0); /* with all destructors */
	}
	wait_for_child(child);
	return NULL;
}

static void from_threads(void)
{
	for (unsigned int i = 0; i < 5; i++) {
		pthread_t threads[THREADS];

		for (unsigned int j = 0; j < THREADS; j++)
			require(!pthread_create(&threads[j], NULL, fork_here, NULL),
				"pthread_create");
		for (unsigned int j = 0; j < THREADS; j++)
			pthread_join(threads[j], NULL);
	}
}

/* fork while another thread uses the library for the first time. */
static void *use_first(void *arg)
{
	(void)arg;
	contig_free(block(PAGE));
	return NULL;
}

static void during_first_use_child(void *arg)
{
	uint64_t state = (uint64_t)(uintptr_t)arg;
	struct timespec little = {0, (long)(probe_random(&state) % 1500000)};
	pthread_t thread;
	pid_t child;

	require(!pthread_create(&thread, NULL, use_first, NULL), "pthread_create");
	nanosleep(&little, NULL);
	child = split();
	if (!child) {
		alarm(60);
		contig_free(block(PAGE));
		_exit(0);
	}
	pthread_join(thread, NULL);
	wait_for_child(child);
}

static void during_first_use(void)
{
	for (uintptr_t i = 0; i < 40; i++) {
		struct outcome out = run_child(during_first_use_child, (void *)i);

		require(!out.status, "round %d: status %d signal %d", (int)i, out.status,
			out.signal);
	}
}

static void spawned(void)
{
	static char *arguments[] = {(char *)"true", NULL};
	size_t size = 3 * MIB / 2;
	char *va = block(size);
	uint64_t pa = probe_address(va);

	fill(va, size, 5);
	for (unsigned int i = 0; i < 20; i++) {
		pid_t child;

		require(!posix_spawnp(&child, "true", NULL, NULL, arguments, environ),
			"spawn");
		wait_for_child(child);
		contig_free(block(PAGE));
	}
	require(filled(va, size, 5) && probe_address(va) == pa, "changed");
}

/* --- what a child gets -------------------------------------------------- */

/* Frames of a process's own allocations, told to its parent. */
#define OWN 24
struct own {
	uint64_t superpages[OWN];
};

static void allocate_own(struct own *own)
{
	for (unsigned int i = 0; i < OWN; i++) {
		size_t size = (1 + i * 5) * PAGE;
		char *va = block(size);
		uint64_t pa;

		require(!probe_run(va, size, &pa), "not contiguous");
		require(contig_virt_to_phys(va) == pa,
			"virt_to_phys 0x%" PRIx64 ", is 0x%" PRIx64,
			contig_virt_to_phys(va), pa);
		require(contig_virt_to_phys_inline(va) == pa, "inline");
		require(contig_phys_to_virt(pa) == va, "back");
		fill(va, size, pa);
		own->superpages[i] = pa / SUPERPAGE;
	}
}

static void disjoint(const struct own *a, const struct own *b)
{
	for (unsigned int i = 0; i < OWN; i++)
		for (unsigned int j = 0; j < OWN; j++)
			require(
			    a->superpages[i] != b->superpages[j],
			    "both processes allocate from the superpage at 0x%" PRIx64,
			    a->superpages[i] * SUPERPAGE);
}

static void generations(void)
{
	struct own mine, child_own, grandchild_own;
	size_t size = MIB + 5 * PAGE;
	struct turns t;
	char *va = block(size), *other;
	pid_t child;

	fill(va, size, 1);
	allocate_own(&mine);
	turns_open(&t);
	child = split();
	if (!child) {
		pid_t grandchild;

		require(filled(va, size, 1), "content");
		/* Memory that came by fork is known where it lies. */
		require(contig_virt_to_phys(va) == probe_address(va),
			"inherited: 0x%" PRIx64, contig_virt_to_phys(va));
		require(contig_range_check(va, size, NULL) == 1, "range_check: %s",
			contig_strreason());
		require(!contig_verify(), "verify: %s", contig_strreason());
		allocate_own(&child_own);
		grandchild = split();
		if (!grandchild) {
			require(filled(va, size, 1), "content");
			allocate_own(&grandchild_own);
			fill(va, size, 3);
			contig_trim();
			say(t.to_parent[1], &grandchild_own, sizeof(grandchild_own));
			_exit(0);
		}
		wait_for_child(grandchild);
		require(filled(va, size, 3), "the grandchild's writing is lost");
		say(t.to_parent[1], &child_own, sizeof(child_own));
		contig_trim();
		/* Freeing what was inherited concerns the child alone. */
		contig_free(va);
		_exit(0);
	}
	hear(t.to_parent[0], &grandchild_own, sizeof(grandchild_own));
	hear(t.to_parent[0], &child_own, sizeof(child_own));
	wait_for_child(child);
	disjoint(&mine, &child_own);
	disjoint(&mine, &grandchild_own);
	disjoint(&child_own, &grandchild_own);
	require(filled(va, size, 3), "the parent's memory is another");
	require(contig_usable_size(va) == size, "the child freed it");
	other = block(size);
	require(other + size <= va || va + size <= other, "handed out again");
	contig_free(va);
	contig_free(other);
}

/* After a fork the parent frees, trims and takes again: the child's view of
 * the memory is none the worse, and M_ZERO holds. */
static void trim_spares(void)
{
	const size_t size = 3 * MIB / 2;
	struct turns t;
	char *va = block(size), *again[8], word = 0;
	pid_t child;

	fill(va, size, 9);
	turns_open(&t);
	child = split();
	if (!child) {
		hear(t.to_child[0], &word, 1);
		/* The parent has freed and trimmed. */
		require(filled(va, size, 9), "a trim took the child's memory");
		/* Written after the parent freed it: dirty all the same. */
		memset(va, 0xee, size);
		say(t.to_parent[1], &word, 1);
		hear(t.to_child[0], &word, 1);
		_exit(0);
	}
	contig_free(va);
	contig_trim();
	say(t.to_child[1], &word, 1);
	hear(t.to_parent[0], &word, 1);
	for (unsigned int i = 0; i < 8; i++) {
		again[i] = contigmalloc(MIB / 2, M_TEMP, M_ZERO, ANY);
		require(again[i], "%s", contig_strreason());
		for (size_t b = 0; b < MIB / 2; b++)
			require(!again[i][b], "byte %zu of block %u is 0x%x", b, i,
				again[i][b]);
	}
	say(t.to_child[1], &word, 1);
	wait_for_child(child);
	require(!contig_verify() || contig_level() == CONTIG_LEVEL_HIDDEN,
		"frames moved");
}

/* Frames that a child could reach are not believed zero, even those that were
 * never handed out: the child writes to all of a superpage. */
static void zero_after_fork(void)
{
	unsigned char *va = block(PAGE), *all = va - (uintptr_t)va % SUPERPAGE;
	unsigned int n = 0;
	pid_t child = split();

	if (!child) {
		for (size_t i = 0; i < SUPERPAGE; i += 64)
			all[i] = 0xee;
		_exit(0);
	}
	wait_for_child(child);
	for (unsigned int i = 0; i < 1000; i++) {
		unsigned char *page = contigmalloc(PAGE, M_TEMP, M_ZERO, ANY);

		require(page, "%s", contig_strreason());
		n += page >= all && page < all + SUPERPAGE;
		for (size_t b = 0; b < PAGE; b++)
			require(!page[b], "byte %zu is 0x%x", b, page[b]);
	}
	require(n > 100, "only %u pages of that superpage", n);
}

/* The parent dies first: the child keeps the memory, and nobody else. */
static void parent_dies(void)
{
	struct turns t;
	char word = 0;
	pid_t middle;

	turns_open(&t);
	middle = split();
	if (!middle) {
		size_t size = 3 * MIB / 2;
		char *va = block(size);
		uint64_t pa = probe_address(va);
		pid_t last;

		fill(va, size, 11);
		last = split();
		if (last)
			_exit(0);
		hear(t.to_child[0], &word, 1);
		probe_sleep_ms(200);
		require(filled(va, size, 11), "content is gone with the parent");
		require(probe_address(va) == pa, "the frame is another");
		work(&(uint64_t){5}, 300);
		require(filled(va, size, 11), "content was overwritten");
		say(t.to_parent[1], "k", 1);
		_exit(0);
	}
	wait_for_child(middle);
	say(t.to_child[1], &word, 1);
	/* Nobody else is given these superpages meanwhile. */
	work(&(uint64_t){6}, 300);
	close(t.to_parent[1]);
	hear(t.to_parent[0], &word, 1);
	require(word == 'k', "the child failed");
}

/* --- isolate ------------------------------------------------------------ */

static void isolated(void)
{
	size_t size = MIB;
	char *va = block(size);
	uint64_t pa = probe_address(va);
	static const char *const touches[] = {"read", "write", "translate", "free",
					      "own"};

	fill(va, size, 21);
	for (size_t i = 0; i < 5; i++) {
		struct outcome out;
		pid_t child = split();

		if (!child) {
			signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own */
			switch (i) {
			case 0:
				_exit(*(volatile char *)va ? 3 : 4);
			case 1:
				*(volatile char *)va = 1;
				_exit(5);
			case 2:
				require(contig_virt_to_phys(va) == CONTIG_PADDR_NONE,
					"an address");
				require(contig_virt_to_phys_inline(va) ==
					    CONTIG_PADDR_NONE,
					"inline");
				require(!contig_usable_size(va), "usable");
				_exit(0);
			case 3:
				signal(SIGABRT, SIG_DFL);
				contig_free(va); /* not this process's: panic */
				_exit(6);
			default:
				work(&(uint64_t){7}, 300);
				_exit(0);
			}
		}
		out = reap(child);
		require(i < 2    ? out.signal == SIGSEGV
			: i == 3 ? out.signal == SIGABRT
				 : !out.status,
			"%s: status %d signal %d", touches[i], out.status, out.signal);
	}
	require(filled(va, size, 21) && probe_address(va) == pa, "the parent's changed");
	contig_free(va);
	contig_trim();
	if (contig_level() == CONTIG_LEVEL_PHYSICAL)
		require(contig_virt_to_phys(va) == CONTIG_PADDR_NONE,
			"no child holds it");
}

/* --- private pools ------------------------------------------------------ */

static contig_pool_t *private_pool(void)
{
	struct contig_pool_attr attr = {
	    .struct_size = sizeof(attr),
	    .name = "private",
	    .kind = CONTIG_POOL_PRIVATE,
	    .node = -1,
	};
	contig_pool_t *pool = contig_pool_create(&attr);

	require(pool, "%s", contig_strreason());
	return pool;
}

static void copy_on_write(void)
{
	contig_pool_t *pool = private_pool();
	const size_t size = 3 * MIB / 2;
	struct contig_range_info info;
	struct turns t;
	char *va = contig_pool_malloc(pool, size, M_TEMP, 0, ANY), word = 0, *more;
	uint64_t pa, mine = 0;
	pid_t child;

	require(va, "%s", contig_strreason());
	require(!probe_run(va, size, &pa), "not contiguous");
	require(contig_range_check(va, size, &info) == 1, "%s", contig_strreason());
	fill(va, size, 31);
	turns_open(&t);
	child = fork();
	if (child < 0) {
		/* Too few superpages for the copies: the parent is intact. */
		note("fork: %s", strerror(errno));
		require(errno == ENOMEM && filled(va, size, 31) &&
			    probe_address(va) == pa,
			"errno %d", errno);
		skip("no superpages for the child's copies");
	}
	if (!child) {
		uint64_t own;

		require(filled(va, size, 31), "content");
		fill(va, size, 32);
		hear(t.to_child[0], &word, 1);
		require(filled(va, size, 32), "the parent writes into the child");
		own = probe_address(va);
		require(contig_virt_to_phys(va) == own &&
			    contig_virt_to_phys_inline(va) == own,
			"virt_to_phys 0x%" PRIx64 ", the child's frame is 0x%" PRIx64,
			contig_virt_to_phys(va), own);
		require(contig_range_check(va, PAGE, &info) >= 0, "%s",
			contig_strreason());
		require(info.wiring != CONTIG_WIRING_PINNED, "a copy is not wired");
		say(t.to_parent[1], &own, sizeof(own));
		contig_free(va);
		contig_free(block(5 * PAGE));
		more = contig_pool_malloc(pool, MIB, M_TEMP, M_ZERO, ANY);
		require(more, "%s", contig_strreason());
		fill(more, MIB, 33);
		require(!probe_run(more, MIB, &own) && contig_virt_to_phys(more) == own,
			"the child's own");
		contig_pool_destroy(pool);
		_exit(0);
	}
	fill(va, size, 34); /* would move unpinned frames (FACTS 18) */
	require(info.wiring != CONTIG_WIRING_PINNED ||
		    (!probe_run(va, size, &mine) && mine == pa),
		"0x%" PRIx64 ", was 0x%" PRIx64, mine, pa);
	say(t.to_child[1], &word, 1);
	hear(t.to_parent[0], &mine, sizeof(mine));
	/* Not pinned, it is who writes first that moves. */
	require(info.wiring != CONTIG_WIRING_PINNED || mine != pa,
		"the child has the parent's frame");
	wait_for_child(child);
	require(filled(va, size, 34), "the child writes into the parent");
	if (info.wiring == CONTIG_WIRING_PINNED)
		require(!contig_verify(), "frames moved");
	contig_pool_destroy(pool);
}

/* Superpages of a private pool, filled, and where their frames are. */
struct held {
	contig_pool_t *pool;
	size_t n;
	char *va[64];
	uint64_t pa[64];
};

static void hold(struct held *held, size_t n)
{
	held->pool = private_pool();
	held->n = n;
	require(n && n <= 64, "%zu", n);
	for (size_t i = 0; i < n; i++) {
		held->va[i] = contig_pool_malloc(held->pool, SUPERPAGE, M_TEMP, 0, 0,
						 ~(vm_paddr_t)0, SUPERPAGE, 0);
		require(held->va[i], "%zu: %s", i, contig_strreason());
		fill(held->va[i], SUPERPAGE, i);
		held->pa[i] = probe_address(held->va[i]);
	}
}

static bool has_content(const struct held *held, uint64_t stamp)
{
	for (size_t i = 0; i < held->n; i++)
		if (!filled(held->va[i], SUPERPAGE, stamp + i))
			return false;
	return true;
}

static void stamp_all(const struct held *held, uint64_t stamp)
{
	for (size_t i = 0; i < held->n; i++)
		fill(held->va[i], SUPERPAGE, stamp + i);
}

/* The parent: content as it was, and frames, also after writing. */
static void kept(const struct held *held)
{
	require(has_content(held, 0), "content");
	stamp_all(held, 0);
	for (size_t i = 0; i < held->n; i++)
		for (size_t at = 0; at < SUPERPAGE; at += PAGE)
			require(probe_address(held->va[i] + at) == held->pa[i] + at,
				"frame %zu of superpage %zu: 0x%" PRIx64
				", was 0x%" PRIx64,
				at / PAGE, i, probe_address(held->va[i] + at),
				held->pa[i] + at);
	require(!contig_verify(), "frames moved");
}

/* Else fork doesn't copy, and who has threads is at the kernel's mercy. */
static void need_pins(const struct held *held)
{
	struct contig_range_info info;

	require(contig_range_check(held->va[0], PAGE, &info) == 1, "%s", contig_strreason());
	if (info.wiring != CONTIG_WIRING_PINNED)
		skip("superpages can't be pinned here");
}

static size_t most_of_pool(void)
{
	return (size_t)hugepool_usable(POOL_2M) * 3 / 4;
}

/* Most of the kernel's pool in a private one: the child gets plain memory, and
 * its own child too.  Nobody is killed, and no frame moves. */
static void private_short(void)
{
	struct held held;
	long usable;
	pid_t child;

	hold(&held, most_of_pool());
	usable = hugepool_usable(POOL_2M);
	child = split();
	if (!child) {
		pid_t grandchild;

		require(has_content(&held, 0), "content");
		stamp_all(&held, 100);
		require(hugepool_usable(POOL_2M) == usable, "the child has superpages");
		grandchild = split();
		if (!grandchild) {
			require(has_content(&held, 100), "content");
			stamp_all(&held, 200);
			_exit(0);
		}
		wait_for_child(grandchild);
		require(has_content(&held, 100), "the grandchild wrote here");
		_exit(0);
	}
	wait_for_child(child);
	kept(&held);
	contig_pool_destroy(held.pool);
}

static void *wait_here(void *arg)
{
	char c;

	require(read(*(int *)arg, &c, 1) == 0, "read");
	return NULL;
}

/* The same with a thread: then there is no way but to fail. */
static void private_short_threads(void)
{
	struct held held;
	pthread_t thread;
	int fds[2];
	pid_t child;

	hold(&held, most_of_pool());
	need_pins(&held);
	require(!pipe(fds) && !pthread_create(&thread, NULL, wait_here, &fds[0]), "thread");
	child = fork();
	require(child < 0 && errno == ENOMEM, "fork: %d, %s", (int)child, strerror(errno));
	kept(&held);
	close(fds[1]);
	pthread_join(thread, NULL);
	/* And none any more: as if there had never been one. */
	child = split();
	if (!child)
		_exit(!has_content(&held, 0));
	wait_for_child(child);
	kept(&held);
	contig_pool_destroy(held.pool);
}

/* A child with superpages of its own forks when there are none left, by itself
 * and with a thread. */
static void private_again(void)
{
	struct held held, rest;
	pid_t child;

	hold(&held, 6);
	need_pins(&held);
	child = split();
	if (!child) {
		pthread_t thread;
		pid_t grandchild;
		int fds[2];

		stamp_all(&held, 50);
		hold(&rest, (size_t)hugepool_usable(POOL_2M) - 3);
		require(!pipe(fds) && !pthread_create(&thread, NULL, wait_here, &fds[0]),
			"thread");
		grandchild = fork();
		require(grandchild < 0 && errno == ENOMEM, "fork: %d, %s",
			(int)grandchild, strerror(errno));
		require(has_content(&held, 50) && has_content(&rest, 0), "content");
		close(fds[1]);
		pthread_join(thread, NULL);
		for (int i = 0; i < 3; i++) {
			grandchild = split();
			if (!grandchild) {
				require(has_content(&held, 50) && has_content(&rest, 0),
					"content");
				stamp_all(&held, 99);
				stamp_all(&rest, 99);
				_exit(0);
			}
			wait_for_child(grandchild);
			require(has_content(&held, 50), "content");
		}
		/* All of it goes back: what is plain memory now, too. */
		kept(&rest);
		_exit(0);
	}
	wait_for_child(child);
	kept(&held);
	contig_pool_destroy(held.pool);
}

/* Superpages that are in nobody's way but the kernel's. */
static void occupy(size_t n)
{
	void *p = mmap(NULL, n * SUPERPAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	require(p != MAP_FAILED && !madvise(p, n * SUPERPAGE, MADV_DONTFORK) &&
		    !madvise(p, n * SUPERPAGE, MADV_POPULATE_WRITE),
		"%zu superpages: %s", n, strerror(errno));
}

/* What isn't used is neither copied nor in the child. */
static void private_unused(void)
{
	struct held held;
	long usable;
	pid_t child;
	struct turns t;
	char word = 0;

	hold(&held, 8);
	need_pins(&held);
	for (size_t i = 4; i < 8; i++)
		contig_free(held.va[i]);
	held.n = 4;
	/* Enough are left to copy what is used, not to copy all. */
	occupy((size_t)hugepool_usable(POOL_2M) - 5);
	usable = hugepool_usable(POOL_2M);
	require(usable == 5, "%ld", usable);
	turns_open(&t);
	child = split();
	if (!child) {
		require(has_content(&held, 0), "content");
		require(contig_virt_to_phys(held.va[5]) == CONTIG_PADDR_NONE, "came along");
		/* With several nodes those that are left may be another's: then
		 * what is used was set aside, and takes none. */
		require(hugepool_usable(POOL_2M) == usable - 4 ||
				!access("/sys/devices/system/node/node1", F_OK),
			"%ld superpages less", usable - hugepool_usable(POOL_2M));
		say(t.to_parent[1], &word, 1);
		_exit(0);
	}
	hear(t.to_parent[0], &word, 1);
	wait_for_child(child);
	kept(&held);
	/* The parent has them still; the last one for the pool's reserve. */
	for (size_t i = 4; i < 7; i++) {
		held.va[i] = contig_pool_malloc(held.pool, SUPERPAGE, M_TEMP, M_ZERO, 0,
						~(vm_paddr_t)0, SUPERPAGE, 0);
		require(held.va[i] && !held.va[i][4096], "%s", contig_strreason());
	}
	require(hugepool_usable_becomes(POOL_2M, usable), "new ones were taken: %ld usable of %ld",
		hugepool_usable(POOL_2M), usable);
	contig_pool_destroy(held.pool);
}

/* A storm: children overlap, and some are killed. */
static void private_storm(void)
{
	unsigned int n = (unsigned int)test_scaled(40, 10);
	struct held held;
	pid_t children[8] = {0};

	hold(&held, 6);
	for (unsigned int i = 0; i < n; i++) {
		pid_t *slot = &children[i % 8];

		if (*slot) {
			struct outcome out = reap(*slot);

			require(!out.status || out.signal == SIGKILL,
				"child: status %d signal %d", out.status, out.signal);
		}
		*slot = split();
		if (!*slot) {
			require(has_content(&held, 0), "content");
			stamp_all(&held, i);
			if (i % 3 == 0)
				kill(getpid(), SIGKILL);
			require(has_content(&held, i), "content");
			_exit(0);
		}
		stamp_all(&held, 0);
	}
	for (unsigned int i = 0; i < 8; i++)
		if (children[i])
			reap(children[i]);
	kept(&held);
	contig_pool_destroy(held.pool);
}

static const struct test_case cases[] = {
    {"both_sides_pool", both_sides, 60, CASE_SLOW | CASE_NO_SANITIZER,
     "CONTIG_SOURCES=2m"},
    {"both_sides_collapsed", both_sides, 0, CASE_SLOW | CASE_MAY_TRY | CASE_NO_SANITIZER,
     "CONTIG_SOURCES=thp"},
    {"isolated_pool", isolated, 20, CASE_MAY_TRY,
     "CONTIG_FORK=isolate CONTIG_PANIC=abort"},
    {"isolated_collapsed", isolated, 0, CASE_MAY_TRY,
     "CONTIG_FORK=isolate CONTIG_SOURCES=thp"},
    {"from_threads", from_threads, 40, CASE_MAY_TRY | CASE_NO_SANITIZER, NULL},
    {"during_first_use", during_first_use, 16,
     CASE_SLOW | CASE_MAY_TRY | CASE_NO_SANITIZER, NULL},
    {"spawned", spawned, 8, CASE_MAY_TRY, NULL},
    {"generations_pool", generations, 24, CASE_SEES, "CONTIG_SOURCES=2m"},
    {"generations_collapsed", generations, 0, CASE_SEES | CASE_MAY_TRY,
     "CONTIG_SOURCES=thp"},
    {"trim_spares_pool", trim_spares, 16, 0, "CONTIG_SOURCES=2m"},
    {"trim_spares_collapsed", trim_spares, 0, CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
    {"zero_after_fork", zero_after_fork, 8, CASE_MAY_TRY, NULL},
    {"parent_dies_pool", parent_dies, 20, 0, "CONTIG_SOURCES=2m"},
    {"parent_dies_collapsed", parent_dies, 0, CASE_MAY_TRY, "CONTIG_SOURCES=thp"},
    {"copy_on_write_pool", copy_on_write, 32, CASE_SEES, "CONTIG_SOURCES=2m"},
    {"copy_on_write_collapsed", copy_on_write, 0, CASE_SEES | CASE_MAY_TRY,
     "CONTIG_SOURCES=thp"},
    {"private_short", private_short, 24, CASE_SEES, "CONTIG_SOURCES=2m"},
    {"private_short_threads", private_short_threads, 24, CASE_SEES, "CONTIG_SOURCES=2m"},
    {"private_again", private_again, 24, CASE_SEES, "CONTIG_SOURCES=2m"},
    {"private_unused", private_unused, 24, CASE_SEES, "CONTIG_SOURCES=2m"},
    {"private_storm_pool", private_storm, 24, CASE_SEES | CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"private_storm_collapsed", private_storm, 0, CASE_SEES | CASE_SLOW | CASE_MAY_TRY,
     "CONTIG_SOURCES=thp"},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
