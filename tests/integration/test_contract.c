/* SPDX-License-Identifier: BSD-2-Clause */
/* Arguments, errors, panics and statistics: SEMANTICS 1 and "Panics". */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define ANY 0, ~(vm_paddr_t)0, 0, 0
#define CONSTRAINED_MS 1.0 /* ERANGE, in ms */
#define PANICS_MAX 64

static MALLOC_DEFINE(M_ONE, "one", "counted exactly");
static MALLOC_DEFINE(M_TWO, "two", "counted beside it");

/* --- panics ------------------------------------------------------------- */

static char panic_text[512];
static unsigned int panics;

static void on_panic(const char *message)
{
	panics++;
	snprintf(panic_text, sizeof(panic_text), "%s", message);
}

static void *block(size_t size)
{
	void *va = contigmalloc(size, M_TEMP, M_WAITOK, ANY);

	require(va, "%zu bytes: %s", size, contig_strreason());
	return va;
}

/* One panic happened since *seen, its text says all of these. */
static void expect_panic(unsigned int *seen, const char *a, const char *b)
{
	require(panics == *seen + 1, "%u panics", panics - *seen);
	require(errno == EINVAL, "errno %d", errno);
	require(strstr(panic_text, a), "'%s' lacks '%s'", panic_text, a);
	require(strstr(panic_text, b), "'%s' lacks '%s'", panic_text, b);
	require(!strchr(panic_text, '\n'), "'%s' is more than a line", panic_text);
	*seen = panics;
	errno = 0;
}

static void bad_arguments(unsigned int *seen)
{
	static const struct {
		unsigned long size, alignment;
		vm_paddr_t boundary;
		const char *text;
	} bad[] = {
	    {0, 0, 0, "size"},
	    {4096, 3, 0, "alignment"},
	    {4096, 4097, 0, "alignment"},
	    {4096, 0x1800, 0, "alignment"},
	    {4096, ~0UL, 0, "alignment"},
	    {4096, 0, 3, "boundary"},
	    {4096, 0, 0x3000, "boundary"},
	    {4096, 4096, ~(vm_paddr_t)0, "boundary"},
	    {0, 3, 3, "size"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (int flags = 0; flags < 3; flags++) {
			void *va =
			    contigmalloc(bad[i].size, M_TEMP, flags, 0, ~(vm_paddr_t)0,
					 bad[i].alignment, bad[i].boundary);

			require(!va, "bad arguments %zu gave %p", i, va);
			expect_panic(seen, "contigmalloc(", bad[i].text);
		}
	}
}

static void address_text(char *buf, size_t len, const void *va)
{
	snprintf(buf, len, "%p", va);
}

typedef void (*free_function)(void *va);

static void free_sized(void *va)
{
	contigfree(va, PAGE, M_TEMP);
}

static void bad_frees(free_function release, const char *name, unsigned int *seen)
{
	char *one = block(4 * PAGE), *large = block(64 * PAGE), here, given[32],
	     start[32];
	char *heap = malloc(100),
	     *unmapped = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *const foreign[] = {
	    &here,
	    heap,
	    unmapped,
	    (void *)PAGE,
	    (void *)1,
	    (void *)-1,
	    (void *)-(intptr_t)PAGE,
	    (void *)&bad_frees,
	    (void *)(uintptr_t)0x7ffffffff000,
	    (void *)((uintptr_t)1 << 63),
	    heap - (uintptr_t)heap % PAGE,
	};

	munmap(unmapped, PAGE);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		release(foreign[i]);
		address_text(given, sizeof(given), foreign[i]);
		expect_panic(seen, name, given);
	}
	/* Interior: pages and bytes; the message has both addresses. */
	for (size_t offset = 1; offset < 64 * PAGE;
	     offset += offset < PAGE ? 777 : 3 * PAGE) {
		release(large + offset);
		address_text(given, sizeof(given), large + offset);
		address_text(start, sizeof(start), large);
		expect_panic(seen, given, start);
	}
	memset(large, 0x5a, 64 * PAGE);
	release(one);
	require(panics == *seen || release == free_sized, "a good free panicked: %s",
		panic_text);
	*seen = panics;
	release(one); /* a cached block */
	address_text(given, sizeof(given), one);
	expect_panic(seen, name, given);
	release(one + PAGE); /* inside of a freed block */
	expect_panic(seen, name, name);
	for (size_t i = 0; i < 64 * PAGE; i++)
		require(large[i] == 0x5a, "byte %zu lost", i);
	contig_free(large);
	release(large);
	address_text(given, sizeof(given), large);
	expect_panic(seen, name, given);
	contig_trim();
	release(large); /* its superpage is gone */
	expect_panic(seen, name, given);
	release(large + PAGE);
	expect_panic(seen, name, name);
	free(heap);
	release(NULL);
	require(panics == *seen, "NULL panicked: %s", panic_text);
}

static void free_before_use(void)
{
	char here, given[32];
	unsigned int seen = 0;

	contig_set_panic_handler(on_panic);
	/* Before the library has so much as looked at the machine. */
	contig_free(NULL);
	contigfree(NULL, 12345, NULL);
	require(!panics, "NULL panicked");
	contig_free(&here);
	address_text(given, sizeof(given), &here);
	expect_panic(&seen, "contig_free", given);
	contigfree((void *)PAGE, 1, M_TEMP);
	expect_panic(&seen, "contigfree", "0x1000");
	require(!contig_usable_size(NULL) && errno == EINVAL, "errno %d", errno);
	require(!contig_trim(), "trimmed something");
	require(contig_type_stats_get(0, &(struct contig_type_stats){.inuse = 0}) == -1 &&
		    errno == ENOENT,
		"errno %d", errno);
}

static void panic_handler(void)
{
	unsigned int seen = 0;

	require(!contig_set_panic_handler(on_panic), "there was a handler");
	bad_arguments(&seen);
	bad_frees(free_sized, "contigfree(", &seen);
	bad_frees(contig_free, "contig_free(", &seen);
	require(!contigmalloc_domainset(PAGE, M_TEMP, NULL, M_WAITOK, ANY),
		"no set, but a block");
	expect_panic(&seen, "contigmalloc_domainset", "domain set");
	require(!contigmalloc_domainset(0, M_TEMP, DOMAINSET_RR(), M_WAITOK, ANY),
		"size 0");
	expect_panic(&seen, "contigmalloc_domainset(", "size");
	require(!contig_pool_malloc(NULL, PAGE, M_TEMP, M_WAITOK, 0, 1 << 20, 3, 0),
		"alignment 3");
	expect_panic(&seen, "contig_pool_malloc(", "alignment");
	/* No lock was left held. */
	contig_free(block(PAGE));
	contig_free(block(3 * MIB / 2));
	contig_trim();
	require(contig_set_panic_handler(NULL) == on_panic, "not my handler");
}

static void panic_errno(void)
{
	char here;

	require(!contigmalloc(0, M_TEMP, M_WAITOK, ANY) && errno == EINVAL, "errno %d",
		errno);
	require(strstr(contig_strreason(), "size"), "reason '%s'", contig_strreason());
	errno = 0;
	contig_free(&here);
	require(errno == EINVAL, "errno %d", errno);
	contig_free(block(PAGE));
}

static void panic_errno_free(void)
{
	char here;

	contig_free(&here);
	require(errno == EINVAL, "errno %d", errno);
}

static void panic_errno_configured(void)
{
	struct contig_config config = {.struct_size = sizeof(config)};

	contig_config_get(&config);
	config.panic_errno = 1;
	require(!contig_configure(&config), "%s", contig_strreason());
	require(!contigmalloc(PAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, 24, 0) &&
		    errno == EINVAL,
		"errno %d", errno);
}

static void abort_by_size(void *arg)
{
	(void)arg;
	contigmalloc(0, M_TEMP, M_WAITOK, ANY);
}

static void abort_by_double_free(void *arg)
{
	char *va = block(PAGE);

	(void)arg;
	printf("%p %p\n", (void *)va, (void *)va);
	fflush(stdout);
	contig_free(va);
	contig_free(va);
}

static void abort_by_interior_free(void *arg)
{
	char *va = block(16 * PAGE);

	(void)arg;
	printf("%p %p\n", (void *)(va + 5 * PAGE), (void *)va);
	fflush(stdout);
	contigfree(va + 5 * PAGE, PAGE, M_TEMP);
}

static void abort_by_foreign_free(void *arg)
{
	char here;

	(void)arg;
	printf("%p %p\n", (void *)&here, (void *)&here);
	fflush(stdout);
	contigfree(&here, PAGE, M_TEMP);
}

static void panic_aborts(void)
{
	static void (*const ways[])(void *arg) = {
	    abort_by_size,
	    abort_by_double_free,
	    abort_by_interior_free,
	    abort_by_foreign_free,
	};
	static struct outcome out;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		char first[32] = "", second[32] = "";

		collect_child(ways[i], NULL, &out);
		require(out.signal == SIGABRT, "way %zu: signal %d status %d: %s", i,
			out.signal, out.status, out.err);
		require(lines(out.err) == 1, "way %zu: %u lines: %s", i, lines(out.err),
			out.err);
		require(strstr(out.err, "panic"), "way %zu: %s", i, out.err);
		if (sscanf(out.out, "%31s %31s", first, second) == 2) {
			require(strstr(out.err, first), "'%s' lacks %s", out.err, first);
			require(strstr(out.err, second), "'%s' lacks %s", out.err,
				second);
		}
	}
}

static void free_wrong_size(void *arg)
{
	void *va = block(4 * PAGE);

	(void)arg;
	contigfree(va, 3 * PAGE + 1, M_TEMP); /* rounds up to it */
	va = block(4 * PAGE);
	contigfree(va, 3 * PAGE, M_TEMP);
	/* All of it is free again: usable_size knows no such block. */
	if (contig_usable_size(va))
		_exit(3);
}

static void size_mismatch(void)
{
	static struct outcome out;

	collect_child(free_wrong_size, NULL, &out);
	require(!out.status, "status %d signal %d", out.status, out.signal);
	require(lines(out.err) == 1, "%u lines: %s", lines(out.err), out.err);
	require(strstr(out.err, "contigfree(") && strstr(out.err, "12288") &&
		    strstr(out.err, "16384"),
		"%s", out.err);
}

/* --- constraints -------------------------------------------------------- */

struct request {
	unsigned long size;
	vm_paddr_t low, high;
	unsigned long alignment;
	vm_paddr_t boundary;
};

static void expect_impossible(const struct request *r, int expected)
{
	double best = 1e9;

	for (int i = 0; i < 7 || (i < 200 && best >= CONSTRAINED_MS); i++) {
		if (i && best <= CONSTRAINED_MS / 2)
			break;
		double start = probe_ms(), took;
		void *va;

		errno = 0;
		va = contigmalloc(r->size, M_TEMP, i % 2 ? M_WAITOK : M_NOWAIT, r->low,
				  r->high, r->alignment, r->boundary);
		took = probe_ms() - start;
		best = took < best ? took : best;
		require(!va,
			"size 0x%lx low 0x%" PRIx64 " high 0x%" PRIx64
			" alignment 0x%lx boundary 0x%" PRIx64 " was met",
			r->size, r->low, r->high, r->alignment, r->boundary);
		require(errno == expected ||
			    (expected == ERANGE && errno == EPERM && !probe_sees()),
			"size 0x%lx low 0x%" PRIx64 " high 0x%" PRIx64
			" alignment 0x%lx boundary 0x%" PRIx64 ": errno %d (%s)",
			r->size, r->low, r->high, r->alignment, r->boundary, errno,
			contig_strreason());
		require(*contig_strreason(), "no reason");
	}
	if (!under_sanitizer())
		require(best < CONSTRAINED_MS, "took %.3f ms", best);
}

static void impossible(void)
{
	const vm_paddr_t end = ~(vm_paddr_t)0;
	static const struct request requests[] = {
	    /* boundary below the size */
	    {4097, 0, ~(vm_paddr_t)0, 0, 4096},
	    {65536, 0, ~(vm_paddr_t)0, 0, 32768},
	    {1, 0, ~(vm_paddr_t)0, 0, 1},
	    {1, 0, ~(vm_paddr_t)0, 0, 2048},
	    {3UL << 20, 0, ~(vm_paddr_t)0, 0, 2 << 20},
	    /* no window */
	    {4096, 0, 0, 0, 0},
	    {4096, 4096, 4096, 0, 0},
	    {4096, ~(vm_paddr_t)0, 0, 0, 0},
	    {4096, 1 << 30, 1 << 29, 0, 0},
	    {4096, 4096, 8191, 0, 0},
	    {4096, 4097, 8192 + 4095, 0, 0},
	    {8192, 1 << 20, (1 << 20) + 8191, 0, 0},
	    /* overflow near 2^64 */
	    {~0UL, 0, ~(vm_paddr_t)0, 0, 0},
	    {~0UL - 4095, 0, ~(vm_paddr_t)0, 0, 0},
	    {~0UL - 4096, 0, ~(vm_paddr_t)0, 0, 0},
	    {~0UL - 8191, 4096, ~(vm_paddr_t)0, 0, 0},
	    {1UL << 63, 0, ~(vm_paddr_t)0, 0, 0},
	    {1UL << 63, 1UL << 63, ~(vm_paddr_t)0, 1UL << 63, 1UL << 63},
	    {4096, ~(vm_paddr_t)0 - 4095, ~(vm_paddr_t)0, 0, 0},
	    {4096, ~(vm_paddr_t)0 - 4096, ~(vm_paddr_t)0, 0, 0},
	    {4096, ~(vm_paddr_t)0 - 8191, ~(vm_paddr_t)0, 0, 0},
	    {4096, ~(vm_paddr_t)0 - 1, ~(vm_paddr_t)0, 0, 0},
	    {8192, ~(vm_paddr_t)0 - 4095, ~(vm_paddr_t)0, 1UL << 63, 1UL << 63},
	    {4096, 1UL << 62, ~(vm_paddr_t)0, 1UL << 62, 0},
	    {4096, 1, ~(vm_paddr_t)0, 1UL << 63, 0},
	    {4096, 1UL << 52, 1UL << 53, 0, 0},
	    {1UL << 50, 0, ~(vm_paddr_t)0, 0, 0},
	    {1UL << 32 | 1UL << 52, 0, ~(vm_paddr_t)0, 0, 1UL << 63},
	};
	struct probe_range ram[64];
	size_t n = probe_ram(ram, 64);

	/* The library looks at the machine once; that is not what is timed. */
	contig_level();
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		expect_impossible(&requests[i], ERANGE);
	/* Holes between ranges of RAM, and beyond the last. */
	for (size_t i = 0; i + 1 < n; i++) {
		uint64_t start = (ram[i].end + PAGE - 1) / PAGE * PAGE;
		uint64_t stop = ram[i + 1].start / PAGE * PAGE;

		if (start >= stop)
			continue;
		expect_impossible(&(struct request){PAGE, start, stop, 0, 0}, ERANGE);
		expect_impossible(&(struct request){1, start, stop, PAGE, 1UL << 40},
				  ERANGE);
	}
	if (n) {
		uint64_t last = ram[n - 1].end;

		expect_impossible(&(struct request){PAGE, last, end, 0, 0}, ERANGE);
		expect_impossible(&(struct request){PAGE, last, last + (1UL << 40), 0, 0},
				  ERANGE);
		expect_impossible(&(struct request){SUPERPAGE, last - PAGE, end, 0, 0},
				  ERANGE);
	} else {
		note("no /proc/iomem to find holes in RAM with");
	}
}

static void check_block(void *va, const struct request *r)
{
	unsigned long rounded = (r->size + PAGE - 1) / PAGE * PAGE;
	uint64_t pa, last;

	require(contig_usable_size(va) == rounded, "usable %zu", contig_usable_size(va));
	if (!probe_sees()) {
		/* What is certain without frames. */
		require(!r->alignment || !((uintptr_t)va % r->alignment), "%p", va);
		return;
	}
	require(!probe_run(va, rounded, &pa), "%p: not contiguous", va);
	last = pa + rounded - 1;
	require(pa >= r->low, "0x%" PRIx64 " below 0x%" PRIx64, pa, r->low);
	require(last < r->high, "0x%" PRIx64 " beyond 0x%" PRIx64, last, r->high);
	require(!(pa % PAGE) && (!r->alignment || !(pa % r->alignment)), "0x%" PRIx64,
		pa);
	require(!r->boundary || !((pa ^ last) & -r->boundary), "0x%" PRIx64, pa);
	require(contig_virt_to_phys(va) == pa, "0x%" PRIx64, contig_virt_to_phys(va));
	require(contig_virt_to_phys_inline((char *)va + 4095) == pa + 4095, "inline");
	require(contig_phys_to_virt(pa + rounded - 1) == (char *)va + rounded - 1,
		"back");
}

static void met(void)
{
	static const unsigned long sizes[] = {1,      100,     4095,   4096,  4097,
					      8192,   12288,   65535,  65536, 69632,
					      524288, 1048577, 2097152};
	static const unsigned long alignments[] = {0,    1,     2,       512,    4096,
						   8192, 65536, 1 << 20, 2 << 20};
	static const vm_paddr_t boundaries[] = {
	    0, 4096, 8192, 16384, 65536, 1 << 20, 2 << 20, 1 << 30, (vm_paddr_t)1 << 63};
	void *kept[32] = {NULL};
	unsigned int n = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t a = 0; a < sizeof(alignments) / sizeof(alignments[0]); a++) {
			for (size_t b = 0; b < sizeof(boundaries) / sizeof(boundaries[0]);
			     b++) {
				struct request r = {sizes[i], 0, ~(vm_paddr_t)0,
						    alignments[a], boundaries[b]};
				void *va;

				if (r.boundary &&
				    r.boundary < (r.size + PAGE - 1) / PAGE * PAGE)
					continue;
				/* Bits that no flag has are ignored. */
				va = contigmalloc(r.size, M_TEMP,
						  M_WAITOK | (n % 2 ? 0x7fff7000 : 0),
						  r.low, r.high, r.alignment, r.boundary);
				require(va, "%lu %lu 0x%" PRIx64 ": %s", r.size,
					r.alignment, r.boundary, contig_strreason());
				check_block(va, &r);
				memset(va, (int)n, r.size);
				/* Some stay, so that the free space has holes. */
				contig_free(kept[n % 32]);
				kept[n++ % 32] = va;
			}
		}
	}
	for (size_t i = 0; i < 32; i++)
		contig_free(kept[i]);
}

/* Windows around memory that is held: high is exclusive, low inclusive. */
static void windows(void)
{
	const unsigned long size = 3 * PAGE;
	char *va = block(size), *around = block(SUPERPAGE / 2);
	uint64_t pa = probe_address(va), first = probe_address(around);
	struct request exact = {size, pa, pa + size, 0, 0};

	contig_free(va);
	for (int i = 0; i < 3; i++) {
		va = contigmalloc(size, M_TEMP, M_NOWAIT, exact.low, exact.high, 0, 0);
		require(va, "%s", contig_strreason());
		require(probe_address(va) == pa, "0x%" PRIx64, probe_address(va));
		check_block(va, &exact);
		contig_free(va);
	}
	expect_impossible(&(struct request){size, pa, pa + size - 1, 0, 0}, ERANGE);
	expect_impossible(&(struct request){size, pa + 1, pa + size, 0, 0}, ERANGE);
	contig_free(around);
	/* Every page of the half superpage, one by one, from outside in. */
	for (unsigned int i = 0; i < 256; i++) {
		uint64_t want = first + (i % 2 ? 255 - i / 2 : i / 2) * PAGE;
		struct request r = {PAGE, want, want + PAGE, 0, PAGE};

		va = contigmalloc(r.size, M_TEMP, M_NOWAIT, r.low, r.high, r.alignment,
				  r.boundary);
		require(va, "page %u: %s", i, contig_strreason());
		check_block(va, &r);
	}
	require(!contigmalloc(PAGE, M_TEMP, M_NOWAIT, first, first + 256 * PAGE, 0, 0) &&
		    errno == ENOMEM,
		"errno %d", errno);
	require(*contig_strreason(), "no reason");
}

/* In a described machine the last pages can be had for sure. */
static void window_end(void)
{
	void *va;

	require(contig_level() == CONTIG_LEVEL_SIMULATED, "level %d", contig_level());
	/* high = 2^32 - 1 loses the last page below 4 GiB. */
	require(!contigmalloc(PAGE, M_TEMP, 0, 0xfffff000, 0xffffffff, 0, 0) &&
		    errno == ERANGE,
		"errno %d", errno);
	va = contigmalloc(PAGE, M_TEMP, 0, 0xfffff000, 0x100000000, 0, 0);
	require(va && contig_virt_to_phys(va) == 0xfffff000, "%s", contig_strreason());
	va = contigmalloc(PAGE, M_TEMP, 0, 0xffff0000, 0xffffffff, 0, 0);
	require(va && contig_virt_to_phys(va) < 0xfffff000, "%s", contig_strreason());
	/* 1 << 22 of the manual page's example: addresses 0...4194303. */
	va = contigmalloc(2 * MIB, M_TEMP, 0, 0, 1 << 22, 0, 1 << 20 << 1);
	require(va && contig_virt_to_phys(va) + 2 * MIB <= 1 << 22, "%s",
		contig_strreason());
	require(!contigmalloc(PAGE, M_TEMP, 0, 0x100000000, 0x140000000, 0, 0) &&
		    errno == ERANGE,
		"errno %d", errno);
}

/* Without an upper limit from the highest addresses, whatever comes in. */
static void high_first(void)
{
	uint64_t lowest = ~UINT64_C(0);
	void *va;

	require(!contig_reserve(1000 * MIB), "%s", contig_strreason());
	for (int i = 0; i < 400; i++) {
		va = contigmalloc(MIB + PAGE, M_TEMP, 0, ANY);
		require(va, "%s", contig_strreason());
		if (contig_virt_to_phys(va) < lowest)
			lowest = contig_virt_to_phys(va);
	}
	require(lowest >= (1024 - 450) * MIB, "0x%" PRIx64, lowest);
	/* Low memory is still there for whom needs it. */
	for (int i = 0; i < 16; i++)
		require(contigmalloc(MIB, M_TEMP, 0, 0, 64 * MIB, 0, 0), "%s",
			contig_strreason());
}

/* --- flags -------------------------------------------------------------- */

static bool is_zero(const unsigned char *p, size_t len)
{
	return !*p && !memcmp(p, p + 1, len - 1);
}

static void zeroed(void)
{
	static const size_t sizes[] = {
	    1,         PAGE,       3 * PAGE, 16 * PAGE, 17 * PAGE,
	    32 * PAGE, 100 * PAGE, MIB,      SUPERPAGE, SUPERPAGE + PAGE};
	uint64_t state = test_seed();
	unsigned char *kept[64] = {NULL};
	size_t kept_size[64];

	for (unsigned int i = 0; i < 1500; i++) {
		size_t size = sizes[probe_random(&state) % (i % 16 ? 8 : 10)];
		size_t rounded = (size + PAGE - 1) / PAGE * PAGE;
		bool zero = probe_random(&state) % 2;
		unsigned int slot = probe_random(&state) % 64;

		if (kept[slot]) {
			contigfree(kept[slot], kept_size[slot], M_TEMP);
			kept[slot] = NULL;
		}
		if (i % 200 == 199)
			contig_trim();
		kept[slot] =
		    contigmalloc(size, M_TEMP, zero ? M_ZERO : 0, 0, ~(vm_paddr_t)0,
				 probe_random(&state) % 4 ? 0 : 65536, 0);
		if (!kept[slot]) {
			require(size > SUPERPAGE, "%zu: %s", size, contig_strreason());
			continue;
		}
		kept_size[slot] = size;
		if (zero)
			require(is_zero(kept[slot], rounded),
				"step %u, %zu bytes: not zero", i, size);
		memset(kept[slot], 0xff, rounded);
	}
}

static void zeroed_fresh(void)
{
	/* Memory that another process filled comes back through the kernel. */
	for (int i = 0; i < 3; i++) {
		unsigned char *va = contigmalloc(SUPERPAGE, M_TEMP, M_ZERO, ANY);

		require(va && is_zero(va, SUPERPAGE), "fresh memory is not zero");
		memset(va, 0xa5, SUPERPAGE);
		contig_free(va);
		contig_trim();
	}
}

static void nowait_nothing(void)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	long shmem = probe_meminfo("ShmemHugePages");

	require(!contigmalloc(PAGE, M_TEMP, M_NOWAIT, ANY), "from where?");
	require(errno == ENOMEM, "errno %d", errno);
	require(*contig_strreason(), "no reason");
	contig_stats_get(&stats);
	require(!stats.held && !stats.taken && stats.failures == 1, "held %" PRIu64,
		stats.held);
	require(probe_meminfo("ShmemHugePages") <= shmem || shmem < 0,
		"it collapsed memory");
	/* What is held is enough for it afterwards. */
	contig_free(block(PAGE));
	require(contigmalloc(PAGE, M_TEMP, M_NOWAIT, ANY), "%s", contig_strreason());
}

static void nowait_pool(void)
{
	void *va = contigmalloc(64 * PAGE, M_TEMP, M_NOWAIT, ANY);

	/* Free superpages are there for the taking. */
	require(va, "%s", contig_strreason());
	check_block(va, &(struct request){64 * PAGE, 0, ~(vm_paddr_t)0, 0, 0});
}

static void helper_nowait_only(void)
{
	unsigned int n = 0;

	while (contigmalloc(64 * 1024, M_TEMP, M_NOWAIT, ANY))
		n++;
	printf("%u %d\n", n, errno);
	exit(0);
}

static void reserve_at_load(void)
{
	static const char *const environment[] = {"CONTIG_RESERVE=16M",
						  "CONTIG_SOURCES=thp", NULL};
	static const char *const nothing[] = {"CONTIG_SOURCES=thp", NULL};
	static struct outcome out;
	unsigned int n = 0;
	int err = 0;

	run_self("helper_nowait_only", environment, &out);
	require(!out.status && sscanf(out.out, "%u %d", &n, &err) == 2, "status %d: %s",
		out.status, out.err);
	require(n >= 256 && err == ENOMEM, "%u blocks of 64 KiB, errno %d: %s", n, err,
		out.err);
	require(!*out.err, "it complains: %s", out.err);
	run_self("helper_nowait_only", nothing, &out);
	require(!out.status && sscanf(out.out, "%u %d", &n, &err) == 2 && !n &&
		    err == ENOMEM,
		"without a reserve: %s", out.out);
}

static void reserve_reserve(void)
{
	unsigned int n = 0;

	/* The last pages are for M_USE_RESERVE. */
	require(!contig_reserve(PAGE), "%s", contig_strreason());
	while (contigmalloc(PAGE, M_TEMP, M_NOWAIT, ANY))
		n++;
	require(n >= 500, "%u pages", n);
	require(contigmalloc(PAGE, M_TEMP, M_NOWAIT | M_USE_RESERVE, ANY), "%s",
		contig_strreason());
	require(contigmalloc(PAGE, M_TEMP, M_NOWAIT | M_USE_RESERVE, ANY), "%s",
		contig_strreason());
	require(!contigmalloc(PAGE, M_TEMP, M_NOWAIT | M_USE_RESERVE, ANY),
		"below nothing");
}

static void nodump(void)
{
	char line[512];
	bool in = false, seen = false;
	char *va = contigmalloc(SUPERPAGE, M_TEMP, M_NODUMP, ANY);
	FILE *f = fopen("/proc/self/smaps", "re");

	require(va && f, "%s", contig_strreason());
	while (fgets(line, sizeof(line), f)) {
		uintptr_t start, end;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
			in = (uintptr_t)va >= start && (uintptr_t)va < end;
		else if (in && !strncmp(line, "VmFlags:", 8))
			seen = strstr(line, " dd") != NULL;
	}
	fclose(f);
	require(seen, "the mapping would be dumped");
}

/* --- statistics --------------------------------------------------------- */

static struct contig_type_stats stats_of(const char *name)
{
	struct contig_type_stats stats;

	for (unsigned int i = 0; !contig_type_stats_get(i, &stats); i++)
		if (!strcmp(stats.name, name))
			return stats;
	require(errno == ENOENT, "errno %d", errno);
	memset(&stats, 0, sizeof(stats));
	return stats;
}

struct counted {
	uint64_t inuse, memuse, requests, highwater;
};

static void count(struct counted *c, long bytes)
{
	c->memuse += (uint64_t)bytes;
	c->inuse += bytes > 0 ? 1 : (uint64_t)-1;
	c->requests += bytes > 0;
	if (c->memuse > c->highwater)
		c->highwater = c->memuse;
}

static void compare(const char *name, const struct counted *expected)
{
	struct contig_type_stats got = stats_of(name);

	require(got.inuse == expected->inuse && got.memuse == expected->memuse &&
		    got.requests == expected->requests &&
		    got.highwater == expected->highwater,
		"%s: %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 ", expected %" PRIu64
		" %" PRIu64 " %" PRIu64 " %" PRIu64,
		name, got.inuse, got.memuse, got.requests, got.highwater, expected->inuse,
		expected->memuse, expected->requests, expected->highwater);
}

static void type_statistics(void)
{
	struct counted one = {0, 0, 0, 0}, two = {0, 0, 0, 0};
	uint64_t state = test_seed();
	void *kept[40] = {NULL};
	long size[40];
	bool first[40];

	for (unsigned int i = 0; i < 5000; i++) {
		unsigned int slot = probe_random(&state) % 40;

		if (kept[slot]) {
			if (i % 3)
				contigfree(kept[slot], (unsigned long)size[slot],
					   first[slot] ? M_ONE : M_TWO);
			else
				contig_free(kept[slot]);
			count(first[slot] ? &one : &two, -size[slot]);
			kept[slot] = NULL;
		} else {
			size[slot] =
			    (long)((1 + probe_random(&state) % (i % 64 ? 8 : 400)) *
				   PAGE);
			first[slot] = probe_random(&state) % 3;
			kept[slot] = contigmalloc((unsigned long)size[slot] -
						      probe_random(&state) % PAGE,
						  first[slot] ? M_ONE : M_TWO, 0, ANY);
			require(kept[slot], "%s", contig_strreason());
			count(first[slot] ? &one : &two, size[slot]);
		}
		/* Asking must not change the answer. */
		if (i % 97 == 0) {
			if (one.requests)
				compare("one", &one);
			if (two.requests)
				compare("two", &two);
		}
	}
	/* Refused requests don't count. */
	require(!contigmalloc(PAGE, M_ONE, 0, 0, 0, 0, 0), "no window");
	compare("one", &one);
	compare("two", &two);
	for (unsigned int i = 0; i < 40; i++) {
		if (!kept[i])
			continue;
		contig_free(kept[i]);
		count(first[i] ? &one : &two, -size[i]);
	}
	require(!one.memuse && !two.inuse, "the model is wrong");
	compare("one", &one);
	compare("two", &two);
	/* NULL types are counted too, under a name of their own. */
	contig_free(contigmalloc(PAGE, NULL, 0, ANY));
}

static void overall_statistics(void)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	void *small = block(PAGE), *large = block(SUPERPAGE);

	contig_stats_get(&stats);
	require(stats.allocated == PAGE + SUPERPAGE, "allocated %" PRIu64,
		stats.allocated);
	require(stats.held == stats.free + stats.allocated + stats.cached,
		"%" PRIu64 " held", stats.held);
	require(stats.held == stats.pinned + stats.resident + stats.unwired, "wiring");
	require(stats.held ==
		    stats.superpages_1g * GIB +
			(stats.superpages_2m + stats.superpages_thp) * SUPERPAGE,
		"superpages");
	require(stats.requests == 2 && !stats.failures, "%" PRIu64 " requests",
		stats.requests);
	require(stats.largest_free <= stats.free, "largest %" PRIu64, stats.largest_free);
	contig_free(small);
	contig_free(large);
	/* A caller built against an older, shorter struct. */
	memset(&stats, 0xee, sizeof(stats));
	stats.struct_size = 24;
	contig_stats_get(&stats);
	require(stats.struct_size == 24 && stats.free == UINT64_C(0xeeeeeeeeeeeeeeee),
		"wrote beyond struct_size");
}

/* --- addresses ---------------------------------------------------------- */

static void addresses(void)
{
	size_t len = SUPERPAGE + 64 * PAGE;
	char *va = contigmalloc(len, M_TEMP, M_WAITOK, ANY), *wild, here = 1;
	struct contig_range_info info;
	uint64_t table[600], pa;
	ssize_t entries;

	/* Two neighbours aren't in every pool. */
	if (!va)
		va = block(len = SUPERPAGE);
	entries = (ssize_t)(len / PAGE);

	require(!probe_run(va, len, &pa), "not contiguous");
	for (size_t i = 0; i < len; i += 1023)
		require(contig_virt_to_phys(va + i) == pa + i &&
			    contig_virt_to_phys_inline(va + i) == pa + i,
			"byte %zu", i);
	require(contig_paddr_table(va, len, PAGE, table, 600) == entries, "%s",
		contig_strreason());
	for (ssize_t i = 0; i < entries; i++)
		require(table[i] == probe_address(va + (size_t)i * PAGE), "entry %zd", i);
	require(contig_paddr_table(va, len, PAGE, table, (size_t)entries - 1) == -1 &&
		    errno == ENOSPC,
		"%d", errno);
	require(contig_paddr_table(va + 1, PAGE, PAGE, table, 600) == -1 &&
		    errno == EINVAL,
		"%d", errno);
	require(contig_paddr_table(va, PAGE, 3000, table, 600) == -1 && errno == EINVAL,
		"%d", errno);
	require(contig_paddr_table(va, 0, PAGE, table, 600) == -1 && errno == EINVAL,
		"%d", errno);
	require(contig_range_check(va, len, &info) == 1, "%s", contig_strreason());
	require(info.first == pa && info.length == len && info.contiguous == len &&
		    info.runs == 1 && info.longest_run == len &&
		    info.level == CONTIG_LEVEL_PHYSICAL && info.page_size >= SUPERPAGE,
		"range_check");
	require(contig_range_check(va, 0, NULL) == -1 && errno == EINVAL, "%d", errno);
	require(contig_range_check(va, SIZE_MAX, NULL) == -1 && errno == EINVAL, "%d",
		errno);
	require(contig_range_check((void *)(uintptr_t)-4096, 8192, NULL) == -1,
		"wrapped");
	require(!contig_verify(), "%s", contig_strreason());
	/* Memory that isn't ours. */
	require(contig_virt_to_phys(&here) == probe_address(&here) && here, "the stack");
	wild = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	require(contig_virt_to_phys(wild) == CONTIG_PADDR_NONE && errno == EFAULT,
		"untouched: %d", errno);
	*wild = 1;
	require(contig_virt_to_phys(wild + 7) == probe_address(wild) + 7, "touched");
	errno = 0;
	require(contig_range_check(wild, 2 * PAGE, NULL) == -1 && errno == EFAULT, "%d",
		errno);
	munmap(wild, 4 * PAGE);
	errno = 0;
	require(contig_virt_to_phys(wild) == CONTIG_PADDR_NONE && errno == EFAULT,
		"unmapped: %d", errno);
	require(contig_virt_to_phys(NULL) == CONTIG_PADDR_NONE, "NULL has an address");
	require(contig_virt_to_phys((void *)-1) == CONTIG_PADDR_NONE,
		"-1 has an address");
	/* Superpages that went back are holes. */
	contig_free(va);
	contig_trim();
	errno = 0;
	require(contig_virt_to_phys(va) == CONTIG_PADDR_NONE && errno == EFAULT,
		"trimmed: %d", errno);
	require(contig_virt_to_phys_inline(va) == CONTIG_PADDR_NONE, "trimmed, inline");
	require(!contig_phys_to_virt(pa), "trimmed, back");
	require(!contig_phys_to_virt(~(vm_paddr_t)0) &&
		    !contig_phys_to_virt(UINT64_C(1) << 60),
		"far");
}

static void nodes(void)
{
	const struct domainset *sets[] = {DOMAINSET_FIXED(0), DOMAINSET_PREF(0),
					  DOMAINSET_RR()};

	for (size_t i = 0; i < 3; i++) {
		void *va;

		require(sets[i], "set %zu: %s", i, contig_strreason());
		va = contigmalloc_domainset(5 * PAGE, M_TEMP, sets[i], M_ZERO, ANY);
		require(va, "set %zu: %s", i, contig_strreason());
		check_block(va, &(struct request){5 * PAGE, 0, ~(vm_paddr_t)0, 0, 0});
		contig_free(va);
	}
	for (int node = -5; node < 1000; node += node < 0 ? 4 : 333) {
		if (node == -1)
			continue;
		errno = 0;
		if (node == 0)
			continue;
		require(!DOMAINSET_FIXED(node) && errno == EINVAL, "node %d: %d", node,
			errno);
		errno = 0;
		require(!DOMAINSET_PREF(node) && errno == EINVAL, "node %d: %d", node,
			errno);
	}
}

/* --- settings ----------------------------------------------------------- */

static void refused(struct contig_config *config, const char *field)
{
	errno = 0;
	require(contig_configure(config) == -1 && errno == EINVAL, "%s: errno %d", field,
		errno);
	require(strstr(contig_strreason(), field), "'%s' doesn't name %s",
		contig_strreason(), field);
	config->struct_size = sizeof(*config);
	contig_config_get(config);
}

static void configure(void)
{
	struct contig_config config = {.struct_size = sizeof(config)}, again = config;

	contig_config_get(&config);
	require(config.struct_size == sizeof(config) &&
		    config.sources == CONTIG_SOURCE_ALL &&
		    config.grow == CONTIG_GROW_NEVER &&
		    config.fork == CONTIG_FORK_SHARE && config.node == -1 &&
		    !config.reserve && !config.limit && !config.panic_errno,
		"defaults");
	config.struct_size--;
	refused(&config, "struct_size");
	config.struct_size = 0;
	refused(&config, "struct_size");
	config.sources = 0;
	refused(&config, "sources");
	config.sources = 8;
	refused(&config, "sources");
	config.grow = (enum contig_grow)3;
	refused(&config, "grow");
	config.grow = (enum contig_grow) - 1;
	refused(&config, "grow");
	config.fork = (enum contig_fork)2;
	refused(&config, "fork");
	config.node = -2;
	refused(&config, "node");
	config.node = 4711;
	refused(&config, "node");
	/* A refusal changed nothing. */
	contig_config_get(&again);
	require(!memcmp(&config, &again, sizeof(config)), "changed by a refusal");
	config.limit = 64 * MIB;
	config.reclaim_max = 64 * MIB;
	config.sources = CONTIG_SOURCE_THP | CONTIG_SOURCE_2M;
	require(!contig_configure(&config), "%s", contig_strreason());
	require(!contig_configure(&config), "twice: %s", contig_strreason());
	contig_config_get(&again);
	require(!memcmp(&config, &again, sizeof(config)), "not what was set");
	block(PAGE);
	require(contig_configure(&config) == -1 && errno == EBUSY, "errno %d", errno);
	require(*contig_strreason(), "no reason");
}

static void helper_goes_on(void)
{
	void *va = contigmalloc(PAGE, M_TEMP, M_WAITOK, ANY);

	printf("%s\n", va ? "block" : contig_strreason());
	contig_free(va);
	exit(0);
}

static void bad_environment(void)
{
	static const char *const values[] = {
	    "CONTIG_SOURCES=bogus",   "CONTIG_SOURCES=2m,,bogus",
	    "CONTIG_SOURCES=2m;thp",  "CONTIG_SOURCES=",
	    "CONTIG_SOURCES=2M ",     "CONTIG_GROW=maybe",
	    "CONTIG_GROW=",           "CONTIG_RESERVE=abc",
	    "CONTIG_RESERVE=12Q",     "CONTIG_RESERVE=-5",
	    "CONTIG_RESERVE=",        "CONTIG_RESERVE=99999999999999999999",
	    "CONTIG_RESERVE=16E",     "CONTIG_LIMIT=much",
	    "CONTIG_LIMIT=-1",        "CONTIG_LIMIT=1.5G",
	    "CONTIG_RECLAIM_MAX=0x",  "CONTIG_RECLAIM_MAX=5MM",
	    "CONTIG_NODE=abc",        "CONTIG_NODE=99",
	    "CONTIG_NODE=-1",         "CONTIG_NODE=0x",
	    "CONTIG_NODE=",           "CONTIG_DEBUG=zork",
	    "CONTIG_DEBUG=take,zork", "CONTIG_PANIC=maybe",
	    "CONTIG_PANIC=",          "CONTIG_STATS=yes",
	    "CONTIG_STATS=2",         "CONTIG_FORK=both",
	    "CONTIG_PIN=glue",
	};
	static struct outcome out;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		const char *environment[] = {values[i], NULL};
		char name[32];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(values[i], "="),
			 values[i]);
		run_self("helper_goes_on", environment, &out);
		require(!out.status && !out.signal, "%s: status %d signal %d", values[i],
			out.status, out.signal);
		require(!strcmp(out.out, "block\n"), "%s: %s", values[i], out.out);
		require(lines(out.err) == 1, "%s: %u lines: %s", values[i],
			lines(out.err), out.err);
		require(strstr(out.err, name), "%s: %s", values[i], out.err);
	}
}

static void bad_simulation(void)
{
	static const char *const values[] = {
	    "CONTIG_SIM=garbage",      "CONTIG_SIM=1G",       "CONTIG_SIM=2G-1G",
	    "CONTIG_SIM=0-1G,512M-2G", "CONTIG_SIM=0-99999P", "CONTIG_SIM=0-1M",
	    "CONTIG_SIM=0-1G@1000",    "CONTIG_SIM=seed=3",   "CONTIG_SIM=,",
	    "CONTIG_SIM=0-1G,seed=x",  "CONTIG_SIM=-",        "CONTIG_SIM=1G-2G@",
	    "CONTIG_SIM=~0-~0",        "CONTIG_SIM=0-~0",
	};
	static struct outcome out;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		const char *environment[] = {values[i], NULL};

		/* Real memory instead would be a lie: refused, with the reason. */
		run_self("helper_goes_on", environment, &out);
		require(!out.status && !out.signal, "%s: status %d signal %d", values[i],
			out.status, out.signal);
		require(strcmp(out.out, "block\n"), "%s gave a block", values[i]);
		require(strstr(out.out, "CONTIG_SIM"), "%s: reason %s", values[i],
			out.out);
	}
}

static void good_environment(void)
{
	static const struct {
		const char *value, *text;
		unsigned int least;
	} cases[] = {
	    {"CONTIG_DEBUG=help", "take", 6},
	    {"CONTIG_DEBUG=take,pin", "libcontig[", 1},
	    {"CONTIG_DEBUG=0x3", "libcontig[", 1},
	    {"CONTIG_DEBUG=all", "libcontig[", 1},
	    {"CONTIG_STATS=1", "highwater", 10},
	    {"CONTIG_STATS=0", "", 0},
	    {"CONTIG_LIMIT=1G", "", 0},
	    {"CONTIG_RECLAIM_MAX=0x10000000", "", 0},
	    {"CONTIG_SOURCES=1g,2m,thp", "", 0},
	    {"CONTIG_GROW=overcommit", "", 0},
	    {"CONTIG_NODE=0", "", 0},
	    {"CONTIG_RESERVE=2MiB", "", 0},
	    {"CONTIG_PANIC=abort", "", 0},
	    {"CONTIG_SIM=0-64M", "", 0},
	    {"CONTIG_SIM=", "", 0},
	};
	static struct outcome out;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *environment[] = {cases[i].value, NULL};

		run_self("helper_goes_on", environment, &out);
		require(!out.status && !strcmp(out.out, "block\n"),
			"%s: status %d: %s %s", cases[i].value, out.status, out.out,
			out.err);
		require(cases[i].least ? lines(out.err) >= cases[i].least : !*out.err,
			"%s: %s", cases[i].value, out.err);
		require(strstr(out.err, cases[i].text), "%s: %s", cases[i].value,
			out.err);
	}
}

/* Both with a pool and, where the kernel can collapse, without one. */
#define BOTH(name, flags)                                            \
	{#name "_pool", name, 48, flags, "CONTIG_SOURCES=2m"},       \
	{                                                            \
#name "_collapsed", name, 0, (flags) | CASE_MAY_TRY, \
		    "CONTIG_SOURCES=thp"                             \
	}

static const struct test_case cases[] = {
    {"free_before_use", free_before_use, POOL_ANY, 0, NULL},
    BOTH(panic_handler, 0),
    {"panic_handler_simulated", panic_handler, POOL_ANY, 0, "CONTIG_SIM=0-1G"},
    {"panic_errno", panic_errno, POOL_ANY, 0, "CONTIG_PANIC=errno"},
    {"panic_errno_free", panic_errno_free, POOL_ANY, 0, "CONTIG_PANIC=errno"},
    {"panic_errno_configured", panic_errno_configured, POOL_ANY, 0, NULL},
    {"panic_aborts", panic_aborts, POOL_ANY, 0, NULL},
    {"size_mismatch", size_mismatch, POOL_ANY, 0, NULL},
    {"impossible", impossible, POOL_ANY, 0, NULL},
    BOTH(met, 0),
    BOTH(windows, CASE_SEES),
    {"window_end", window_end, POOL_ANY, 0, "CONTIG_SIM=0-4G"},
    {"high_first", high_first, POOL_ANY, 0, "CONTIG_SIM=0-1G"},
    BOTH(zeroed, 0),
    {"zeroed_simulated", zeroed, POOL_ANY, 0, "CONTIG_SIM=0-1G"},
    BOTH(zeroed_fresh, 0),
    {"nowait_nothing", nowait_nothing, 0, 0, "CONTIG_SOURCES=2m,thp"},
    {"nowait_pool", nowait_pool, 8, 0, NULL},
    {"reserve_at_load", reserve_at_load, POOL_ANY, 0, NULL},
    {"reserve_reserve", reserve_reserve, POOL_ANY, 0, "CONTIG_SOURCES=thp"},
    BOTH(nodump, 0),
    BOTH(type_statistics, 0),
    {"type_statistics_simulated", type_statistics, POOL_ANY, 0, "CONTIG_SIM=0-1G"},
    BOTH(overall_statistics, 0),
    BOTH(addresses, CASE_SEES),
    {"nodes", nodes, POOL_ANY, 0, NULL},
    {"configure", configure, POOL_ANY, 0, NULL},
    {"bad_environment", bad_environment, POOL_ANY, CASE_SLOW, NULL},
    {"bad_simulation", bad_simulation, POOL_ANY, 0, NULL},
    {"good_environment", good_environment, POOL_ANY, CASE_SLOW, NULL},
    {"helper_nowait_only", helper_nowait_only, POOL_ANY, CASE_HELPER, NULL},
    {"helper_goes_on", helper_goes_on, POOL_ANY, CASE_HELPER, NULL},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
