/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one importer can make a process hold, and what becomes of pages when a
 * process has as many mappings as vm.max_map_count lets it.
 */
#include "harness.h"
#include "sharing.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BOTH (PROT_READ | PROT_WRITE)
#define MAGIC UINT64_C(0x1122334455667788)
#define NOBODY 65534
#define BLOCK 512ul /* pages */

#define ok(call)                                                                       \
	do {                                                                           \
		int ok_err = (call);                                                   \
									               \
		require(!ok_err, "%s: %s", strerror(-ok_err), contig_strreason());     \
	} while (0)
#define fails(call, error)                                                             \
	do {                                                                           \
		int fails_err = (call);                                                \
									               \
		require(fails_err == -(error), "%d, wanted %d (%s)", fails_err, -(error), \
			contig_strreason());                                           \
		require(*contig_strreason(), "no reason");                             \
	} while (0)

static const struct other_setup small = {
	.size = BLOCK * PAGE,
	.page_size = PAGE,
	.prot = BOTH,
	.type = SOCK_SEQPACKET,
};

static struct vm_area_struct *import(struct other *other)
{
	struct vm_area_struct *vma = vma_import(other->socket);

	require(vma, "vma_import: %s (%s)", strerror(errno), contig_strreason());
	return vma;
}

static struct vm_area_struct *import_again(struct other *other)
{
	other->socket = other_socket(other);
	return import(other);
}

static unsigned long at(const struct vm_area_struct *vma, unsigned long page)
{
	return vma->vm_start + page * PAGE;
}

/* --- files */

enum { FILES = 40 };

/* Whatever it sends, the other process has descriptors left. */
static void files(void)
{
	struct other_setup setup = small;
	struct vm_area_struct *vma, *second;
	struct other other;
	char *block[FILES];
	unsigned long n = 0;
	long before;
	int err = 0;

	setup.descriptors = 40;
	other_start(&other, &setup);
	for (int i = 0; i < FILES; i++)
		block[i] = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), PAGE);
	vma = import(&other);
	second = import_again(&other);
	before = other_descriptors(&other);
	while (n < FILES && !err) {
		err = vm_insert_page(vma, at(vma, n), page_at(block[n]));
		n += !err;
	}
	require(err == -ENOMEM && n >= 8 && n < 20, "%d after %lu files: %s", err, n,
		contig_strreason());
	require(strstr(contig_strreason(), "quarter"), "%s", contig_strreason());
	require(other_descriptors(&other) <= before + (long)n + 1, "%ld descriptors, %ld before",
		other_descriptors(&other), before);
	note("%lu files, %s", n, contig_strreason());
	/* It's not over: what it has goes on, and another one has its own. */
	ok(vm_insert_page(vma, at(vma, 100), page_at(block[0])));
	ok(vm_insert_page(second, at(second, 200), page_at(block[n])));
	/* Files of which nothing is mapped make room for others. */
	ok(zap_vma_ptes(vma, at(vma, 1), 3 * PAGE));
	for (unsigned long i = 0; i < 3; i++)
		ok(vm_insert_page(vma, at(vma, n + i), page_at(block[n + i])));
	fails(vm_insert_page(vma, at(vma, n + 3), page_at(block[n + 3])), ENOMEM);
	ok(zap_vma_ptes(vma, at(vma, 0), BLOCK * PAGE));
	ok(vm_insert_page(vma, at(vma, 2), page_at(block[2])));
	vma_destroy(vma);
	vma_destroy(second);
	require(!contig_quarantined(), "quarantined");
	other_stop(&other);
}

/* --- mappings */

static long most_mappings(void)
{
	long most = probe_number("/proc/sys/vm/max_map_count");

	if (most > 300000)
		skip("vm.max_map_count is %ld", most);
	return most;
}

static void mappings(void)
{
	const size_t most = (size_t)most_mappings(), quarter = most / 4;
	struct other_setup setup = small;
	struct vm_area_struct *vma, *second;
	struct other other;
	vm_page_t same[BLOCK];
	unsigned long left, n = 0, other_page = 2 * quarter + 8 * BLOCK;
	char *block;
	long before;
	int err = 0;

	setup.size = (other_page + BLOCK) * PAGE;
	other_start(&other, &setup);
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), BLOCK * PAGE);
	vma = import(&other);
	second = import_again(&other);
	before = other_mappings(&other);
	for (unsigned long i = 0; i < BLOCK; i++)
		same[i] = page_at(block + i % 2 * 16 * PAGE); /* no two go together */
	while (!err && n < other_page) {
		left = BLOCK;
		err = vm_insert_pages(vma, at(vma, n), same, &left);
		n += BLOCK - left;
	}
	require(err == -ENOMEM && n == quarter, "%d after %lu, not %zu (%s)", err, n, quarter,
		contig_strreason());
	require(strstr(contig_strreason(), "quarter"), "%s", contig_strreason());
	require(other_mappings(&other) - before <= (long)quarter + 2, "%ld mappings there",
		other_mappings(&other) - before);
	/* Another importer has its own, and this one has room when it makes some. */
	ok(vm_insert_page(second, at(second, other_page), page_at(block)));
	ok(zap_vma_ptes(vma, at(vma, 0), PAGE));
	ok(vm_insert_page(vma, at(vma, n), page_at(block)));
	fails(vm_insert_page(vma, at(vma, n + 2), page_at(block)), ENOMEM);
	ok(zap_vma_ptes(vma, at(vma, 0), (n + 1) * PAGE));
	require(other_mappings(&other) <= before + 3, "%ld mappings there",
		other_mappings(&other) - before);
	vma_destroy(vma);
	vma_destroy(second);
	require(!contig_quarantined(), "quarantined");
	other_stop(&other);
}

/* Every other page of what was one mapping. */
static void splits(void)
{
	const size_t quarter = (size_t)most_mappings() / 4;
	struct other_setup setup = small;
	unsigned long pages = 2 * quarter / BLOCK * BLOCK + 8 * BLOCK, left, n = 1;
	struct vm_area_struct *vma;
	vm_page_t page[BLOCK];
	struct other other;
	uint64_t value;
	char *block;
	int err = 0;

	setup.size = pages * PAGE;
	other_start(&other, &setup);
	block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), BLOCK * PAGE);
	*(volatile uint64_t *)block = MAGIC;
	vma = import(&other);
	for (unsigned long i = 0; i < BLOCK; i++)
		page[i] = page_at(block + i * PAGE);
	for (unsigned long i = 0; i < pages; i += BLOCK) {
		left = BLOCK;
		ok(vm_insert_pages(vma, at(vma, i), page, &left));
	}
	for (; n < pages && !err; n += 2 * !err)
		if (n % BLOCK != BLOCK - 1) /* an end costs none */
			err = zap_vma_ptes(vma, at(vma, n), PAGE);
	require(err == -ENOMEM && n > quarter, "%d at page %lu (%s)", err, n, contig_strreason());
	/* Nothing else has changed, and nobody is at fault. */
	require(vma_lookup_page(vma, at(vma, n)), "forgotten");
	require(!other_read(&other, at(vma, n / BLOCK * BLOCK), &value) && value == MAGIC,
		"not mapped");
	ok(zap_vma_ptes(vma, at(vma, 0), pages * PAGE));
	require(other_read(&other, at(vma, n), &value) == SIGSEGV, "still mapped");
	vma_destroy(vma);
	contigfree(block, BLOCK * PAGE, M_TEMP);
	require(!contig_quarantined(), "quarantined");
	other_stop(&other);
}

/* --- places at a path */

static char path[64];

static void take_places(void *arg)
{
	struct vm_area_struct *vma[200];
	int *ready = arg, n = 0, socket;
	char byte;

	close(ready[0]);
	if (syscall(SYS_setgroups, 0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		_exit(9);
	for (int i = 0; i < 200; i++) {
		vma[n] = vma_connect(path, (uid_t)-1);
		if (!vma[n] && errno != EPIPE)
			_exit(10);
		n += !!vma[n];
	}
	socket = n;
	if (write(ready[1], &socket, sizeof(socket)) != sizeof(socket) ||
	    read(ready[1], &byte, 1) != 1)
		_exit(11);
	for (int i = 0; i < n; i++)
		vma_destroy(vma[i]);
	_exit(0);
}

/* One user can't keep the others out. */
static void places(void)
{
	struct vm_area_struct *vma = vma_create(64 * PAGE, PAGE, BOTH), *here;
	const uid_t nobody = NOBODY;
	struct rlimit limit, lower;
	int pair[2], n;
	pid_t child;
	char byte;

	snprintf(path, sizeof(path), "/tmp/test_share_limits.%d", (int)getpid());
	unlink(path);
	require(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), "socketpair");
	getrlimit(RLIMIT_NOFILE, &limit);
	child = fork();
	if (!child) {
		/* Until it listens. */
		if (read(pair[1], &byte, 1) != 1)
			_exit(12);
		take_places(pair);
	}
	lower = limit;
	lower.rlim_cur = 128;
	setrlimit(RLIMIT_NOFILE, &lower);
	require(vma && !vma_listen(vma, path, &nobody, 1) && !vma_serve_start(vma), "%s",
		contig_strreason());
	close(pair[1]);
	require(write(pair[0], "", 1) == 1, "the other user is gone");
	require(read(pair[0], &n, sizeof(n)) == sizeof(n), "the other user failed: %d",
		reap(child).status);
	require(n == 32, "%d connections, of 64 for two users", n);
	/* Served by our own thread. */
	here = vma_connect(path, (uid_t)-1);
	require(here, "no place left: %s", contig_strreason());
	vma_destroy(here);
	require(write(pair[0], "", 1) == 1 && !reap(child).status, "the other user failed");
	/* Its places are free again. */
	vma_destroy(vma);
	setrlimit(RLIMIT_NOFILE, &limit);
	close(pair[0]);
}

/* --- at vm.max_map_count */

static void fill_other(struct other *other)
{
	if (under_sanitizer())
		skip("a sanitizer needs mappings of its own");
	other_fill(other);
}

/*
 * The first importer has pages 0 and 2, the second has 1, of one file: the
 * kernel has them as one mapping.
 */
static void between(struct other *other, struct vm_area_struct *vma[2], char **block)
{
	most_mappings();
	other_start(other, &small);
	*block = shareable_block(shareable(CONTIG_SHARE_REVOCABLE), 4 * PAGE);
	for (int i = 0; i < 3; i++)
		*(volatile uint64_t *)(*block + i * PAGE) = MAGIC + (uint64_t)i;
	vma[0] = import(other);
	vma[1] = import_again(other);
	ok(vm_insert_page(vma[0], at(vma[0], 0), page_at(*block)));
	ok(vm_insert_page(vma[1], at(vma[1], 1), page_at(*block + PAGE)));
	ok(vm_insert_page(vma[0], at(vma[0], 2), page_at(*block + 2 * PAGE)));
	fill_other(other);
}

static void reads(struct other *other, unsigned long addr, int i)
{
	uint64_t value;

	require(!other_read(other, addr, &value) && value == MAGIC + (uint64_t)i,
		"page %d isn't what it was", i);
}

/* What can't be unmapped stays mapped, and everybody knows. */
static void stays(void)
{
	struct vm_area_struct *vma[2];
	struct other other;
	uint64_t value;
	char *block;

	between(&other, vma, &block);
	require(other_zap(&other, at(vma[0], 1), PAGE) == -ENOMEM, "its owner's zap");
	fails(zap_vma_ptes(vma[1], at(vma[1], 1), PAGE), ENOMEM);
	require(vma_lookup_page(vma[1], at(vma[1], 1)) == page_at(block + PAGE), "forgotten");
	for (int i = 0; i < 3; i++)
		reads(&other, at(vma[0], (unsigned long)i), i);
	require(!other_quarantined(&other), "it is nobody's");
	other_empty(&other);
	ok(zap_vma_ptes(vma[1], at(vma[1], 1), PAGE));
	require(other_read(&other, at(vma[0], 1), &value) == SIGSEGV, "still mapped");
	reads(&other, at(vma[0], 2), 2);
	vma_destroy(vma[0]);
	vma_destroy(vma[1]);
	contigfree(block, 4 * PAGE, M_TEMP);
	require(!contig_quarantined(), "quarantined");
	other_stop(&other);
}

/* An importer goes, and its page can't be unmapped: it is nobody's, and out of
 * use on both sides. */
static void lost(void)
{
	struct vm_area_struct *vma[2];
	struct other other;
	char *block;

	between(&other, vma, &block);
	vma_destroy(vma[1]); /* is told so */
	reads(&other, at(vma[0], 1), 1);
	require(other_quarantined(&other) == PAGE, "%llu bytes are counted there",
		(unsigned long long)other_quarantined(&other));
	fails(vm_insert_page(vma[0], at(vma[0], 1), page_at(block + 3 * PAGE)), EBUSY);
	other_empty(&other);
	/* Somebody wants the place: it's taken from where it was. */
	*(volatile uint64_t *)(block + 3 * PAGE) = MAGIC + 3;
	ok(vm_insert_page(vma[0], at(vma[0], 1), page_at(block + 3 * PAGE)));
	reads(&other, at(vma[0], 1), 3);
	require(!other_quarantined(&other), "still counted there");
	vma_destroy(vma[0]);
	contigfree(block, 4 * PAGE, M_TEMP);
	require(contig_quarantined() >= 4 * PAGE, "it was told that a page stays mapped");
	other_stop(&other);
}

/* A pool goes, of which the other process can't unmap anything. */
static void pool_goes_there(void)
{
	struct vm_area_struct *vma[2];
	struct contig_pool_attr attr = {.struct_size = sizeof(attr),
					.kind = CONTIG_POOL_SHAREABLE, .node = -1};
	contig_pool_t *pool;
	struct other other;
	char *block;

	most_mappings();
	other_start(&other, &small);
	pool = contig_pool_create(&attr);
	require(pool, "%s", contig_strreason());
	block = shareable_block(pool, 4 * PAGE);
	vma[0] = import(&other);
	vma[1] = import_again(&other);
	for (int i = 0; i < 3; i++) {
		*(volatile uint64_t *)(block + i * PAGE) = MAGIC + (uint64_t)i;
		ok(vm_insert_page(vma[i % 2], at(vma[0], (unsigned long)i),
				  page_at(block + i * PAGE)));
	}
	fill_other(&other);
	contigfree(block, 4 * PAGE, M_TEMP);
	contig_pool_destroy(pool);
	for (int i = 0; i < 3; i++)
		reads(&other, at(vma[0], (unsigned long)i), i);
	other_empty(&other);
	vma_destroy(vma[0]);
	vma_destroy(vma[1]);
	other_stop(&other);
}

/* The same in this process: what was mapped can't be reached, or is what it
 * was. */
static sigjmp_buf fault;

static void on_fault(int number)
{
	siglongjmp(fault, number);
}

static void pool_goes_here(unsigned int sources)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr),
					.kind = CONTIG_POOL_SHAREABLE, .sources = sources,
					.node = -1};
	size_t page_size = sources == CONTIG_SOURCE_2M ? SUPERPAGE : PAGE;
	struct sigaction action = {.sa_handler = on_fault};
	struct vm_area_struct *vma = vma_create(4 * SUPERPAGE, page_size, BOTH);
	contig_pool_t *pool;
	volatile char *there;
	char *block;
	int number;

	if (under_sanitizer())
		skip("a sanitizer needs mappings of its own");
	most_mappings();
	pool = contig_pool_create(&attr);
	require(vma && pool, "%s", contig_strreason());
	block = shareable_block(pool, SUPERPAGE);
	memset(block, 0x5a, SUPERPAGE);
	there = (volatile char *)vma->vm_start + SUPERPAGE;
	ok(vm_insert_page(vma, (unsigned long)there, page_at(block)));
	require(*there == 0x5a, "not mapped");
	contigfree(block, SUPERPAGE, M_TEMP);
	fill_mappings();
	contig_pool_destroy(pool);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	number = sigsetjmp(fault, 1);
	if (!number)
		require(*there == 0x5a, "the pool's memory was taken from under a mapping");
	require(!number || number == SIGSEGV, "signal %d", number);
	note("%s", number ? "unmapped" : "still mapped");
	empty_mappings();
	/* The place is good for the next one. */
	pool = contig_pool_create(&attr);
	block = shareable_block(pool, SUPERPAGE);
	memset(block, 0x66, SUPERPAGE);
	ok(vm_insert_page(vma, (unsigned long)there, page_at(block)));
	require(*there == 0x66, "not mapped");
	vma_destroy(vma);
	contigfree(block, SUPERPAGE, M_TEMP);
	contig_pool_destroy(pool);
}

static void pool_goes_collapsed(void)
{
	pool_goes_here(CONTIG_SOURCE_THP);
}

static void pool_goes_hugetlb(void)
{
	pool_goes_here(CONTIG_SOURCE_2M);
}

static const struct test_case cases[] = {
	{"files", files, POOL_ANY, 0, NULL},
	{"mappings", mappings, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
	{"splits", splits, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
	{"places", places, POOL_ANY, CASE_ROOT, NULL},
	{"stays", stays, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
	{"lost", lost, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
	{"pool_goes_there", pool_goes_there, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
	{"pool_goes_collapsed", pool_goes_collapsed, POOL_ANY, 0, NULL},
	{"pool_goes_hugetlb", pool_goes_hugetlb, 4, 0, NULL},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
