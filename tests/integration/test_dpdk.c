/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <contig/dpdk.h>: DPDK on this library's memory, in both IOVA modes.  The
 * oracle for addresses is pagemap, read here; that nothing is lost is told by
 * DPDK's own lists, by the library's counters and by the system's pool.  The
 * EAL starts once in a process: each case has its own.
 */
#include "harness.h"

#ifndef HAVE_DPDK
int main(void)
{
	printf("skipped: DPDK is not here (Debian: libdpdk-dev)\n");
	return 77;
}
#else
#include "probe.h"

#include <contig.h>
#include <contig/dpdk.h>
#include <inttypes.h>

#define ANYWHERE UINT64_MAX
#define BUFFERS 2047

/* ---- DPDK's side */

static void eal(const char *mode)
{
	char name[] = "test_dpdk", in_memory[] = "--in-memory", no_pci[] = "--no-pci",
	     no_telemetry[] = "--no-telemetry", level[] = "--log-level=critical",
	     iova[32];
	char *argv[] = {name, in_memory, no_pci, no_telemetry, level, iova, NULL};

	snprintf(iova, sizeof(iova), "--iova-mode=%s", mode);
	require(rte_eal_init(6, argv) >= 0, "%s", rte_strerror(rte_errno));
	/* A page of its own, before memory gets short. */
	rte_free(rte_malloc(NULL, 4096, 0));
}

static int count_external(const struct rte_memseg_list *list, void *arg)
{
	*(unsigned int *)arg += list->external != 0;
	return 0;
}

static unsigned int external_lists(void)
{
	unsigned int n = 0;

	rte_memseg_list_walk(count_external, &n);
	return n;
}

static uint64_t allocated(void)
{
	struct contig_stats stats;

	memset(&stats, 0, sizeof(stats));
	stats.struct_size = sizeof(stats);
	contig_stats_get(&stats);
	return stats.allocated;
}

static void nothing_left(const char *heap)
{
	require(!external_lists(), "%u external lists", external_lists());
	require(!allocated(), "%" PRIu64 " bytes", allocated());
	require(!heap || rte_malloc_heap_get_socket(heap) < 0, "heap %s is there", heap);
	if (contig_level() == CONTIG_LEVEL_PHYSICAL)
		require(!contig_verify(), "frames moved");
}

/* DPDK has the right address for each page of [va, va + len). */
static void addresses(const void *va, size_t len, bool physical)
{
	const char *p = va, *end = p + len;

	while (p < end) {
		uint64_t want = physical ? probe_address(p) : (uintptr_t)p;
		const struct rte_memseg *ms = rte_mem_virt2memseg(p, NULL);

		require(ms, "%p is unknown", (const void *)p);
		require(ms->iova + (uintptr_t)p - ms->addr_64 == want,
			"%p: segment's IOVA 0x%" PRIx64 " + 0x%" PRIx64
			", pagemap 0x%" PRIx64,
			(const void *)p, ms->iova, (uintptr_t)p - ms->addr_64, want);
		require(contig_dpdk_iova(p) == want, "%p", (const void *)p);
		if (physical)
			require(contig_virt_to_phys(p) == want, "%p", (const void *)p);
		/* The next page, the last byte too. */
		p = p + PAGE < end || p == end - 1 ? p + PAGE : end - 1;
	}
}

static void refused(int error, const char *reason)
{
	require(errno == error && rte_errno == error,
		"errno %d, rte_errno %d, not %d: %s", errno, rte_errno, error,
		contig_dpdk_strreason());
	require(strstr(contig_dpdk_strreason(), reason), "'%s' has no '%s'",
		contig_dpdk_strreason(), reason);
	contig_dpdk_reason[0] = 0;
}

/* ---- a heap */

static void heap_works(bool physical)
{
	static const size_t sizes[] = {1, 64, 4096, 100000, 3 * MIB};
	struct contig_dpdk_heap *heap =
	    contig_dpdk_heap_create("ours", 7 * MIB, NULL, ANYWHERE);
	unsigned char *p[RTE_DIM(sizes)];
	int socket;

	require(heap, "%s", contig_dpdk_strreason());
	require(contig_dpdk_heap_size(heap) == 8 * MIB, "%zu",
		contig_dpdk_heap_size(heap));
	socket = contig_dpdk_heap_socket(heap);
	require(rte_malloc_heap_socket_is_external(socket) == 1, "socket %d", socket);
	require(!contig_dpdk_heap_create("ours", MIB, NULL, ANYWHERE), "twice");
	refused(EEXIST, "ours");
	for (size_t i = 0; i < RTE_DIM(sizes); i++) {
		p[i] = rte_malloc_socket(NULL, sizes[i], 64, socket);
		require(p[i], "%zu bytes: %s", sizes[i], rte_strerror(rte_errno));
		memset(p[i], (int)i + 1, sizes[i]);
		addresses(p[i], sizes[i], physical);
		require(rte_malloc_virt2iova(p[i]) ==
			    (physical ? probe_address(p[i]) : (uintptr_t)p[i]),
			"element %zu", i);
	}
	/* Whatever is still in use, all is as before. */
	for (size_t i = RTE_DIM(sizes); i-- > 0;) {
		require(contig_dpdk_heap_destroy(heap) == -1, "with %zu elements", i + 1);
		refused(EBUSY, "in use");
		for (size_t j = 0; j <= i; j++)
			for (size_t b = 0; b < sizes[j]; b++)
				require(p[j][b] == j + 1, "element %zu, byte %zu", j, b);
		rte_free(p[i]);
	}
	/* All of it is one free element again. */
	p[0] = rte_malloc_socket(NULL, 8 * MIB - 4096, 0, socket);
	require(p[0], "heap is smaller than before");
	addresses(p[0], 8 * MIB - 4096, physical);
	rte_free(p[0]);
	require(!contig_dpdk_heap_destroy(heap), "%s", contig_dpdk_strreason());
	require(!contig_dpdk_heap_destroy(NULL), "NULL");
	nothing_left("ours");
}

static void heap_physical(void)
{
	eal("pa");
	heap_works(true);
	heap_works(true); /* what was removed may be added */
}

static void heap_virtual(void)
{
	eal("va");
	heap_works(false);
	heap_works(false);
}

/* Free superpages with one in use between each two: no run is longer. */
static void *held[64];
static size_t n_held;

static int by_address(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;

	return (x > y) - (x < y);
}

static void scatter(void)
{
	size_t n = 0, pairs = 0;

	while (n_held < RTE_DIM(held)) {
		held[n_held] = contigmalloc(SUPERPAGE, M_DEVBUF, M_NOWAIT | M_USE_RESERVE,
					    0, ANYWHERE, SUPERPAGE, 0);
		if (!held[n_held])
			break;
		n_held++;
	}
	qsort(held, n_held, sizeof(held[0]), by_address);
	for (size_t i = 0; i < n_held; i++) {
		pairs += i && (char *)held[i] - (char *)held[i - 1] == SUPERPAGE;
		if (i % 2)
			contigfree(held[i], SUPERPAGE, M_DEVBUF);
		else
			held[n++] = held[i];
	}
	note("%zu superpages, %zu next to one another; %zu are free now", n_held, pairs,
	     n_held - n);
	require(n_held - n >= 8, "too few superpages: %zu", n_held);
	n_held = n;
}

static void gather(void)
{
	while (n_held)
		contigfree(held[--n_held], SUPERPAGE, M_DEVBUF);
}

/* Register pages until DPDK has no list left, and give some lists back. */
static char *filler[RTE_MAX_MEMSEG_LISTS];
static unsigned int n_filler;

static void lists_release(unsigned int n)
{
	while (n--) {
		require(!contig_dpdk_extmem_unregister(filler[--n_filler], 4096), "%s",
			contig_dpdk_strreason());
		contigfree(filler[n_filler], 4096, M_DEVBUF);
	}
}

static void lists_fill(unsigned int left)
{
	for (;;) {
		char *p = contigmalloc(4096, M_DEVBUF, 0, 0, ANYWHERE, 0, 0);

		require(p, "%s", contig_strreason());
		require(n_filler < RTE_DIM(filler), "no end of lists");
		filler[n_filler++] = p;
		if (contig_dpdk_extmem_register(p, 4096))
			break;
	}
	refused(ENOSPC, "RTE_MAX_MEMSEG_LISTS");
	contigfree(filler[--n_filler], 4096, M_DEVBUF);
	note("%u lists", n_filler);
	lists_release(left);
}

static void heap_pieces(void)
{
	struct contig_dpdk_heap *heap;
	unsigned int lists;
	uint64_t before;
	void *p[8];
	int socket;

	eal("pa");
	/* The fillers' superpage is there before the others are scattered. */
	contigfree(contigmalloc(4096, M_DEVBUF, 0, 0, ANYWHERE, 0, 0), 4096, M_DEVBUF);
	scatter();
	/* Room for one piece alone: what was added is removed again. */
	lists_fill(1);
	lists = external_lists();
	before = allocated();
	require(!contig_dpdk_heap_create("pieces", 8 * SUPERPAGE, NULL, ANYWHERE),
		"one list left");
	refused(ENOSPC, "RTE_MAX_MEMSEG_LISTS");
	require(rte_malloc_heap_get_socket("pieces") < 0, "the heap is there");
	require(external_lists() == lists && allocated() == before,
		"%u lists, %" PRIu64 " bytes; were %u and %" PRIu64, external_lists(),
		allocated(), lists, before);
	require(!contig_dpdk_pktmbuf_pool_create("pieces", BUFFERS, 0, 0,
						 RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY,
						 NULL, ANYWHERE),
		"one list left");
	refused(ENOSPC, "RTE_MAX_MEMSEG_LISTS");
	require(external_lists() == lists && allocated() == before,
		"%u lists, %" PRIu64 " bytes; were %u and %" PRIu64, external_lists(),
		allocated(), lists, before);
	lists_release(n_filler);
	heap = contig_dpdk_heap_create("pieces", 8 * SUPERPAGE, NULL, ANYWHERE);
	require(heap, "%s", contig_dpdk_strreason());
	require(heap->npieces > 1 && external_lists() == heap->npieces,
		"%zu pieces, %u lists", heap->npieces, external_lists());
	socket = contig_dpdk_heap_socket(heap);
	/* One element in each superpage, so in each piece. */
	for (size_t i = 0; i < RTE_DIM(p); i++) {
		p[i] = rte_malloc_socket(NULL, SUPERPAGE - 4096, 0, socket);
		require(p[i], "element %zu", i);
		addresses(p[i], SUPERPAGE - 4096, true);
	}
	for (size_t i = 0; i < RTE_DIM(p); i++) {
		lists = external_lists();
		require(contig_dpdk_heap_destroy(heap) == -1, "element %zu", i);
		refused(EBUSY, "in use");
		require(external_lists() == lists, "pieces are lost");
		rte_free(p[i]);
	}
	require(!contig_dpdk_heap_destroy(heap), "%s", contig_dpdk_strreason());
	gather();
	nothing_left("pieces");
}

/* ---- what is refused, and that nothing stays of it */

static void refusals(void)
{
	struct contig_dpdk_heap *heap[RTE_MAX_HEAPS];
	char name[40];
	unsigned int n = 0;
	void *p;

	require(!contig_dpdk_heap_create("early", MIB, NULL, ANYWHERE), "before the EAL");
	refused(EINVAL, "EAL");
	eal("pa");
	require(!contig_dpdk_heap_create("", MIB, NULL, ANYWHERE), "no name");
	refused(EINVAL, "31 characters");
	require(!contig_dpdk_heap_create("a_name_of_thirty_two_characters_", MIB, NULL,
					 ANYWHERE),
		"long name");
	refused(EINVAL, "31 characters");
	require(!contig_dpdk_heap_create("zero", 0, NULL, ANYWHERE), "0 bytes");
	refused(EINVAL, "no size");
	require(!contig_dpdk_heap_create("huge", SIZE_MAX, NULL, ANYWHERE),
		"too many bytes");
	refused(EINVAL, "no size");
	/* More than there is: some of it is had, and goes back. */
	require(!contig_dpdk_heap_create("large", 4096 * MIB, NULL, ANYWHERE), "4 GiB");
	require(errno == ENOMEM || errno == ERANGE, "errno %d", errno);
	require(*contig_dpdk_strreason(), "no reason");
	nothing_left("large");
	/* No memory there. */
	require(!contig_dpdk_heap_create("low", MIB, NULL, 4096), "below 4096");
	nothing_left("low");

	for (; n < RTE_MAX_HEAPS; n++) {
		snprintf(name, sizeof(name), "heap%u", n);
		heap[n] = contig_dpdk_heap_create(name, MIB, NULL, ANYWHERE);
		if (!heap[n])
			break;
	}
	note("%u heaps, then: %s", n, contig_dpdk_strreason());
	require(n == RTE_MAX_HEAPS - rte_socket_count(), "%u heaps", n);
	refused(ENOSPC, "RTE_MAX_HEAPS");
	while (n--)
		require(!contig_dpdk_heap_destroy(heap[n]), "%s",
			contig_dpdk_strreason());
	nothing_left("heap0");

	p = contigmalloc(65536, M_DEVBUF, 0, 0, ANYWHERE, 65536, 0);
	require(p, "%s", contig_strreason());
	require(contig_dpdk_extmem_register((char *)p + 1, 4096), "not aligned");
	refused(EINVAL, "4096");
	require(contig_dpdk_extmem_register(p, 1000), "length");
	refused(EINVAL, "4096");
	require(contig_dpdk_extmem_unregister(p, 65536), "what isn't there");
	refused(ENOENT, "unregister");
	contigfree(p, 65536, M_DEVBUF);
	nothing_left(NULL);
}

/* The EAL started as root; the library starts as nobody. */
static void hidden(void)
{
	eal("pa");
	if (!become_nobody())
		skip("can't become nobody");
	require(!contig_dpdk_heap_create("hidden", MIB, NULL, ANYWHERE),
		"without addresses");
	refused(EPERM, "hides physical addresses");
	require(!contig_dpdk_pktmbuf_pool_create("hidden", BUFFERS, 0, 0, 2048,
						 SOCKET_ID_ANY, NULL, ANYWHERE),
		"without addresses");
	refused(EPERM, "hides physical addresses");
	nothing_left("hidden");
}

static void hidden_virtual(void)
{
	struct contig_dpdk_heap *heap;
	void *p;

	eal("va");
	if (!become_nobody())
		skip("can't become nobody");
	heap = contig_dpdk_heap_create("hidden", 4 * MIB, NULL, ANYWHERE);
	require(heap, "%s", contig_dpdk_strreason());
	require(contig_level() == CONTIG_LEVEL_HIDDEN, "level %d", (int)contig_level());
	p = rte_malloc_socket(NULL, MIB, 0, contig_dpdk_heap_socket(heap));
	require(p, "%s", rte_strerror(rte_errno));
	addresses(p, MIB, false);
	rte_free(p);
	require(!contig_dpdk_heap_destroy(heap), "%s", contig_dpdk_strreason());
	nothing_left("hidden");
}

static void simulated(void)
{
	eal("pa");
	require(!contig_dpdk_heap_create("sim", MIB, NULL, ANYWHERE),
		"made-up addresses");
	refused(EPERM, "simulated");
	nothing_left("sim");
}

/* A machine with runs of 5, 1, 1 and 1 superpages: the heap takes 4 at once and
 * then one by one, and DPDK gets each run as one piece. */
static void merged(void)
{
	struct contig_dpdk_heap *heap;
	void *p;

	eal("va");
	heap = contig_dpdk_heap_create("merged", 8 * SUPERPAGE, NULL, ANYWHERE);
	require(heap, "%s", contig_dpdk_strreason());
	require(contig_level() == CONTIG_LEVEL_SIMULATED, "level %d",
		(int)contig_level());
	require(heap->nblocks == 5 && heap->npieces == 4 && external_lists() == 4,
		"%zu blocks, %zu pieces, %u lists", heap->nblocks, heap->npieces,
		external_lists());
	p = rte_malloc_socket(NULL, 5 * SUPERPAGE - 4096, 0,
			      contig_dpdk_heap_socket(heap));
	require(p, "no element as long as a piece");
	addresses(p, 5 * SUPERPAGE - 4096, false);
	rte_free(p);
	require(!contig_dpdk_heap_destroy(heap), "%s", contig_dpdk_strreason());
	nothing_left("merged");
}

/* ---- external memory */

static void extmem_works(bool physical)
{
	static const size_t sizes[] = {4096, 3 * 4096, 65536, 2 * MIB, 6 * MIB};

	for (size_t i = 0; i < RTE_DIM(sizes); i++) {
		const struct rte_memseg_list *list;
		size_t align = sizes[i] & (~sizes[i] + 1);
		char *p = contigmalloc(sizes[i], M_DEVBUF, 0, 0, ANYWHERE, align, 0);

		require(p, "%s", contig_strreason());
		require(!contig_dpdk_extmem_register(p, sizes[i]), "%s",
			contig_dpdk_strreason());
		addresses(p, sizes[i], physical);
		list = rte_mem_virt2memseg_list(p);
		require(list->page_sz == RTE_MIN(align, CONTIG_DPDK_PAGE), "pages of %zu",
			list->page_sz);
		require(contig_dpdk_extmem_register(p, sizes[i]), "twice");
		refused(EEXIST, "exists");
		require(contig_dpdk_extmem_unregister(p, sizes[i] + 4096),
			"another length");
		refused(ENOENT, "unregister");
		require(!contig_dpdk_extmem_unregister(p, sizes[i]), "%s",
			contig_dpdk_strreason());
		contigfree(p, sizes[i], M_DEVBUF);
		nothing_left(NULL);
	}
}

static void extmem_physical(void)
{
	eal("pa");
	extmem_works(true);
}

static void extmem_virtual(void)
{
	eal("va");
	extmem_works(false);
}

/* ---- packet buffers */

static struct rte_mempool *pool;
static unsigned int buffers_seen;

static void buffer_check(struct rte_mempool *mp, void *physical, void *object,
			 unsigned int i)
{
	struct rte_mbuf *m = object;
	const char *last = (char *)m->buf_addr + m->buf_len - 1;
	uint64_t want = physical ? probe_address(m->buf_addr) : (uintptr_t)m->buf_addr;

	require(mp == pool && m->pool == pool, "buffer %u", i);
	require(m->buf_iova == want, "buffer %u: 0x%" PRIx64 ", not 0x%" PRIx64, i,
		(uint64_t)m->buf_iova, want);
	/* Contiguous, also where it crosses pages. */
	require((physical ? probe_address(last) : (uintptr_t)last) ==
		    want + m->buf_len - 1,
		"buffer %u isn't contiguous", i);
	require(contig_phys_to_virt(contig_virt_to_phys(last)) == last, "buffer %u", i);
	buffers_seen++;
}

static void pktmbuf_works(bool physical, bool scattered)
{
	struct contig_dpdk_heap *heap = NULL;
	struct rte_mbuf *m, *all[BUFFERS];
	int socket = SOCKET_ID_ANY;

	if (scattered)
		scatter();
	else {
		/* The ring of free buffers elsewhere than DPDK's own memory. */
		heap = contig_dpdk_heap_create("ring", 4 * MIB, NULL, ANYWHERE);
		require(heap, "%s", contig_dpdk_strreason());
		socket = contig_dpdk_heap_socket(heap);
	}
	require(!contig_dpdk_pktmbuf_pool_create("odd", BUFFERS, 32, 3, 2048, socket,
						 NULL, ANYWHERE),
		"private size 3");
	refused(EINVAL, "private size");
	pool = contig_dpdk_pktmbuf_pool_create("packets", BUFFERS, 32, 16,
					       RTE_MBUF_DEFAULT_BUF_SIZE, socket, NULL,
					       ANYWHERE);
	require(pool, "%s", contig_dpdk_strreason());
	require(rte_pktmbuf_data_room_size(pool) == RTE_MBUF_DEFAULT_BUF_SIZE &&
		    rte_pktmbuf_priv_size(pool) == 16,
		"sizes");
	note("%u chunks", pool->nb_mem_chunks);
	require(scattered ? pool->nb_mem_chunks > 1 : pool->nb_mem_chunks == 1,
		"%u chunks", pool->nb_mem_chunks);
	require(!(pool->flags & RTE_MEMPOOL_F_NON_IO), "devices are told not to use it");
	buffers_seen = 0;
	rte_mempool_obj_iter(pool, buffer_check, physical ? pool : NULL);
	require(buffers_seen == BUFFERS, "%u buffers", buffers_seen);
	require(!contig_dpdk_pktmbuf_pool_create("packets", BUFFERS, 32, 16, 2048, socket,
						 NULL, ANYWHERE),
		"twice");
	refused(EEXIST, "packets");
	/* One buffer out: nothing changes. */
	m = rte_pktmbuf_alloc(pool);
	require(m, "no buffer");
	require(contig_dpdk_pktmbuf_pool_free(pool) == -1, "one buffer is out");
	refused(EBUSY, "1 of 2047");
	memset(rte_pktmbuf_mtod(m, void *), 0x5a, 2048);
	rte_pktmbuf_free(m);
	/* All of them. */
	require(!rte_pktmbuf_alloc_bulk(pool, all, BUFFERS), "not %u", BUFFERS);
	for (unsigned int i = 0; i < BUFFERS; i++)
		memset(rte_pktmbuf_mtod(all[i], void *), (int)i, 2048);
	rte_pktmbuf_free_bulk(all, BUFFERS);
	if (heap) {
		require(contig_dpdk_heap_destroy(heap) == -1, "the pool's ring is in it");
		refused(EBUSY, "in use");
	}
	require(!contig_dpdk_pktmbuf_pool_free(pool), "%s", contig_dpdk_strreason());
	require(!contig_dpdk_pktmbuf_pool_free(NULL), "NULL");
	require(!contig_dpdk_heap_destroy(heap), "%s", contig_dpdk_strreason());
	if (scattered)
		gather();
	nothing_left("ring");
}

static void pktmbuf_physical(void)
{
	eal("pa");
	pktmbuf_works(true, false);
	pktmbuf_works(true, false);
}

static void pktmbuf_virtual(void)
{
	eal("va");
	pktmbuf_works(false, false);
}

static void pktmbuf_chunks(void)
{
	eal("pa");
	pktmbuf_works(true, true);
}

/* Not enough memory for all buffers: those chunks that were had go back. */
static void pktmbuf_short(void)
{
	eal("pa");
	pool = contig_dpdk_pktmbuf_pool_create("many", (1u << 20) - 1, 0, 0, 2048,
					       SOCKET_ID_ANY, NULL, ANYWHERE);
	require(!pool, "2 GiB of buffers");
	require(errno == ENOMEM || errno == ERANGE, "errno %d: %s", errno,
		contig_dpdk_strreason());
	require(!rte_mempool_lookup("many"), "the pool is there");
	nothing_left(NULL);
}

/* ---- the example */

struct forward {
	const char *mode, *option;
};

static void forward_child(void *arg)
{
	const struct forward *f = arg;
	const char *build = getenv("top_builddir");
	char path[4096], mode[32];

	snprintf(path, sizeof(path), "%s/examples/dpdk-fwd", build ? build : ".");
	snprintf(mode, sizeof(mode), "--iova-mode=%s", f->mode);
	execl(path, "dpdk-fwd", "--in-memory", "--no-pci", "--no-telemetry",
	      "--log-level=critical", mode, "--", "--packets", "5000", f->option,
	      (char *)NULL);
	perror(path);
	_exit(99);
}

static void forward(void)
{
	static const struct forward ways[] = {
	    {"pa", NULL}, {"pa", "--extmem"}, {"va", NULL}, {"va", "--extmem"}};
	struct outcome o;

	for (size_t i = 0; i < RTE_DIM(ways); i++) {
		const struct forward *f = &ways[i];

		collect_child(forward_child, (void *)(uintptr_t)f, &o);
		require(!o.status, "%s %s: exit %d signal %d: %s%s", f->mode,
			f->option ? f->option : "", o.status, o.signal, o.out, o.err);
		require(
		    strstr(o.out, "5000 sent, 5000 received, 0 lost, 0 wrong") &&
			strstr(o.out,
			       "8190 checked, 8190 against pagemap, 0 bad addresses") &&
			strstr(o.out, f->mode[0] == 'p' ? "physical" : "virtual") &&
			strstr(o.out, "heap destroyed"),
		    "%s %s: %s", f->mode, f->option ? f->option : "", o.out);
	}
}

/* 2 MiB pages only, and as many as there are: what doesn't fit must fail. */
#define POOL_ONLY "CONTIG_GROW=never CONTIG_SOURCES=2m"

static const struct test_case cases[] = {
    {"heap_physical", heap_physical, 16, CASE_ROOT | CASE_SEES, NULL},
    {"heap_virtual", heap_virtual, 16, CASE_ROOT, NULL},
    {"heap_pieces", heap_pieces, 32, CASE_ROOT | CASE_SEES, POOL_ONLY},
    {"refusals", refusals, 80, CASE_ROOT | CASE_SEES | CASE_SLOW, POOL_ONLY},
    {"hidden", hidden, 16, CASE_ROOT | CASE_SEES, NULL},
    {"hidden_virtual", hidden_virtual, 16, CASE_ROOT, NULL},
    {"simulated", simulated, 16, CASE_ROOT | CASE_SEES, "CONTIG_SIM=1M-3G"},
    {"merged", merged, 16, CASE_ROOT, "CONTIG_SIM=2M-12M,14M-16M,18M-20M,22M-24M"},
    {"extmem_physical", extmem_physical, 16, CASE_ROOT | CASE_SEES, NULL},
    {"extmem_virtual", extmem_virtual, 16, CASE_ROOT, NULL},
    {"pktmbuf_physical", pktmbuf_physical, 24, CASE_ROOT | CASE_SEES, NULL},
    {"pktmbuf_virtual", pktmbuf_virtual, 24, CASE_ROOT, NULL},
    {"pktmbuf_chunks", pktmbuf_chunks, 32, CASE_ROOT | CASE_SEES, POOL_ONLY},
    {"pktmbuf_short", pktmbuf_short, 32, CASE_ROOT | CASE_SEES, POOL_ONLY},
    {"forward", forward, 40, CASE_ROOT | CASE_SEES | CASE_SLOW, NULL},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
#endif
