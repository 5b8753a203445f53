/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libcontig's memory in DPDK: as a malloc heap, as a pool of packet buffers,
 * or as registered external memory.  See contig_dpdk(3).
 *
 * Everything here is inline, over the public interfaces of DPDK 22.11 and of
 * libcontig.  Include it after <contig.h>, in programs that are compiled with
 * DPDK's flags and linked with both libraries; <contig.h> doesn't include it.
 *
 * What DPDK gets as a page's IOVA follows the EAL's mode: the physical address
 * with --iova-mode=pa (EPERM where this process can't see those), the virtual
 * address with --iova-mode=va.  The unit is the superpage of 2 MiB.
 *
 * Errors: functions return NULL or -1 and set errno and rte_errno alike;
 * contig_dpdk_strreason() says more.  A function that failed has changed
 * nothing, unless it says otherwise.
 *
 * Threads: rte_eal_init() comes first.  Functions may then be called from any
 * thread, but an object isn't destroyed while another thread uses it.
 *
 * Processes: the primary alone.  DPDK's secondary processes can't attach to
 * this memory, which they don't have mapped: run with --in-memory.
 */
#ifndef CONTIG_DPDK_H
#define CONTIG_DPDK_H

#include <contig/contigmalloc.h>
#include <contig/phys.h>
#include <contig/pool.h>
#include <contig/types.h>
#include <errno.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memory.h>
#include <rte_mempool.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The page size that DPDK is told. */
#define CONTIG_DPDK_PAGE ((size_t)2 << 20)

/* One in a program, whichever of its files include this: weak. */
__attribute__((weak)) __thread char contig_dpdk_reason[256];
/* The malloc type of all memory that is allocated here. */
__attribute__((weak)) struct malloc_type M_DPDK[1] = {
    {"dpdk", "memory given to DPDK", 0, {0, 0, 0}}};

/* Why the last call of this thread that failed did, in words. */
static inline const char *contig_dpdk_strreason(void)
{
	return contig_dpdk_reason;
}

/* Private: -1, with errno, rte_errno and the reason. */
__attribute__((format(printf, 2, 3))) static inline int
contig_dpdk_fail(int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(contig_dpdk_reason, sizeof(contig_dpdk_reason), format, args);
	va_end(args);
	rte_errno = error;
	errno = error;
	return -1;
}

/*
 * What a device must be told to reach the byte at va, which is memory of
 * libcontig: the physical address or va itself, by the EAL's mode.
 * RTE_BAD_IOVA with errno as contig_virt_to_phys() sets it.
 */
static inline rte_iova_t contig_dpdk_iova(const void *va)
{
	vm_paddr_t pa;

	if (rte_eal_iova_mode() == RTE_IOVA_VA)
		return (rte_iova_t)(uintptr_t)va;
	pa = contig_virt_to_phys_inline(va);
	if (pa != CONTIG_PADDR_NONE)
		return pa;
	contig_dpdk_fail(errno, "%s", contig_strreason());
	return RTE_BAD_IOVA;
}

/* Private: whether memory can be given to DPDK at all; 0 or -1. */
static inline int contig_dpdk_usable(void)
{
	if (rte_eal_iova_mode() == RTE_IOVA_DC)
		return contig_dpdk_fail(EINVAL, "the EAL isn't initialised");
	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return contig_dpdk_fail(
		    ENOTSUP, "only DPDK's primary process can use this memory");
	if (rte_eal_iova_mode() != RTE_IOVA_PA)
		return 0;
	switch (contig_level()) {
	case CONTIG_LEVEL_PHYSICAL:
		return 0;
	case CONTIG_LEVEL_SIMULATED:
		return contig_dpdk_fail(
		    EPERM, "physical addresses are simulated (CONTIG_SIM) and "
			   "must not reach a device; --iova-mode=va would do");
	default:
		return contig_dpdk_fail(EPERM,
					"--iova-mode=pa, and the kernel hides physical "
					"addresses from this process (no CAP_SYS_ADMIN)");
	}
}

/* Private: the IOVA of each page of [va, va + len), to be freed; NULL. */
static inline rte_iova_t *contig_dpdk_table(void *va, size_t len, size_t page)
{
	size_t n = len / page;
	rte_iova_t *table = (rte_iova_t *)calloc(n, sizeof(*table));

	if (!table) {
		contig_dpdk_fail(ENOMEM, "no memory for the table of %zu addresses", n);
		return NULL;
	}
	if (rte_eal_iova_mode() == RTE_IOVA_VA) {
		for (size_t i = 0; i < n; i++)
			table[i] = (rte_iova_t)(uintptr_t)va + i * page;
		return table;
	}
	if (contig_paddr_table(va, len, page, table, n) != (ssize_t)n) {
		contig_dpdk_fail(errno, "%s", contig_strreason());
		free(table);
		return NULL;
	}
	return table;
}

/*
 * External memory.
 *
 * Tell DPDK about [va, va + len) of memory from contigmalloc(): len bytes, va
 * and len multiples of 4096.  It becomes known to rte_mem_virt2iova(),
 * rte_dev_dma_map() and drivers, and is not allocated from.  The page size
 * told is the largest power of two up to 2 MiB that divides va and len.  The
 * memory stays the caller's, who unregisters it before contigfree().
 *
 * Returns 0, or -1 with EINVAL (not aligned), EEXIST (registered already),
 * EPERM (physical addresses are needed and hidden, or simulated), EXDEV or
 * EFAULT (not contiguous or not there), ENOSPC (DPDK keeps RTE_MAX_MEMSEG_LISTS
 * pieces of memory, its own included), ENOMEM or ENOTSUP (secondary process).
 */
static inline int contig_dpdk_extmem_register(void *va, size_t len)
{
	size_t low = (uintptr_t)va | len | CONTIG_DPDK_PAGE;
	size_t page = low & (~low + 1);
	rte_iova_t *table;
	int error = 0;

	if (contig_dpdk_usable())
		return -1;
	if (!va || !len || page < 4096)
		return contig_dpdk_fail(EINVAL,
					"external memory: address %p or length %zu is "
					"no multiple of 4096, or 0",
					va, len);
	table = contig_dpdk_table(va, len, page);
	if (!table)
		return -1;
	if (rte_extmem_register(va, len, table, (unsigned int)(len / page), page))
		error = rte_errno ? rte_errno : ENOMEM;
	free(table);
	if (error == ENOSPC)
		return contig_dpdk_fail(error,
					"DPDK has no room for another piece of memory "
					"(RTE_MAX_MEMSEG_LISTS, %d)",
					RTE_MAX_MEMSEG_LISTS);
	if (error)
		return contig_dpdk_fail(error, "rte_extmem_register: %s",
					rte_strerror(error));
	return 0;
}

/*
 * The reverse, with the same va and len.  DPDK doesn't know whether anybody
 * uses the memory: mempools and devices let go of it first.  Returns 0, or -1
 * with EINVAL or ENOENT.
 */
static inline int contig_dpdk_extmem_unregister(void *va, size_t len)
{
	if (rte_extmem_unregister(va, len))
		return contig_dpdk_fail(rte_errno ? rte_errno : ENOENT,
					"rte_extmem_unregister: %s",
					rte_strerror(rte_errno));
	return 0;
}

/*
 * Private: a block of *len bytes, or of what fragmentation leaves, whole
 * superpages, below high.  Reclaiming is for the first attempt, and for the
 * last superpage: what lies between is found or it isn't.
 */
static inline void *contig_dpdk_take(contig_pool_t *pool, vm_paddr_t high, size_t *len)
{
	size_t size = *len;
	int flags = M_WAITOK;

	for (;;) {
		void *va = contig_pool_malloc(pool, size, M_DPDK, flags, 0, high,
					      CONTIG_DPDK_PAGE, 0);

		if (va) {
			*len = size;
			return va;
		}
		if (size == CONTIG_DPDK_PAGE && flags == M_WAITOK) {
			contig_dpdk_fail(errno, "%s", contig_strreason());
			return NULL;
		}
		flags = size == CONTIG_DPDK_PAGE ? M_WAITOK : M_NOWAIT;
		size = RTE_ALIGN_CEIL(size / 2, CONTIG_DPDK_PAGE);
	}
}

/*
 * A malloc heap.
 *
 * Blocks that lie one after another in memory are one piece for DPDK.  Fields
 * are private.
 */
struct contig_dpdk_piece {
	void *va;
	size_t len; /* bytes */
};

struct contig_dpdk_heap {
	char name[32];
	int socket;
	size_t bytes;
	size_t nblocks, npieces;
	struct contig_dpdk_piece *blocks; /* of contigmalloc(), by address */
	struct contig_dpdk_piece *pieces; /* as DPDK has them, by address */
};

/* Private: for qsort(). */
static inline int contig_dpdk_by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)((const struct contig_dpdk_piece *)a)->va;
	uintptr_t y = (uintptr_t)((const struct contig_dpdk_piece *)b)->va;

	return (x > y) - (x < y);
}

/* Private: allocate the heap's blocks; 0 or -1. */
static inline int contig_dpdk_heap_take(struct contig_dpdk_heap *heap,
					contig_pool_t *pool, vm_paddr_t high)
{
	size_t got = 0, n;

	while (got < heap->bytes) {
		struct contig_dpdk_piece *b = &heap->blocks[heap->nblocks];

		b->len = heap->bytes - got;
		b->va = contig_dpdk_take(pool, high, &b->len);
		if (!b->va)
			return -1;
		heap->nblocks++;
		got += b->len;
	}
	qsort(heap->blocks, heap->nblocks, sizeof(*heap->blocks), contig_dpdk_by_address);
	for (size_t i = 0; i < heap->nblocks; i++) {
		n = heap->npieces;
		if (n && (char *)heap->pieces[n - 1].va + heap->pieces[n - 1].len ==
			     (char *)heap->blocks[i].va)
			heap->pieces[n - 1].len += heap->blocks[i].len;
		else
			heap->pieces[heap->npieces++] = heap->blocks[i];
	}
	return 0;
}

/* Private: give one piece to DPDK; 0 or -1. */
static inline int contig_dpdk_heap_add(struct contig_dpdk_heap *heap,
				       const struct contig_dpdk_piece *piece)
{
	rte_iova_t *table = contig_dpdk_table(piece->va, piece->len, CONTIG_DPDK_PAGE);
	int error = 0;

	if (!table)
		return -1;
	if (rte_malloc_heap_memory_add(heap->name, piece->va, piece->len, table,
				       (unsigned int)(piece->len / CONTIG_DPDK_PAGE),
				       CONTIG_DPDK_PAGE))
		error = rte_errno ? rte_errno : ENOMEM;
	free(table);
	if (error == ENOSPC)
		return contig_dpdk_fail(error,
					"heap %s: DPDK has no room for its %zu pieces of "
					"memory (RTE_MAX_MEMSEG_LISTS, %d)",
					heap->name, heap->npieces, RTE_MAX_MEMSEG_LISTS);
	if (error)
		return contig_dpdk_fail(error, "rte_malloc_heap_memory_add: %s",
					rte_strerror(error));
	return 0;
}

/* Private: free the structure and the blocks in it. */
static inline void contig_dpdk_heap_free(struct contig_dpdk_heap *heap)
{
	for (size_t i = 0; i < heap->nblocks; i++)
		contigfree(heap->blocks[i].va, heap->blocks[i].len, M_DPDK);
	free(heap->blocks);
	free(heap->pieces);
	free(heap);
}

/*
 * Make DPDK a malloc heap called name (1 to 31 characters, copied) of bytes
 * bytes, rounded up to superpages, from pool (NULL: the default pool) below
 * physical address high (UINT64_MAX: anywhere; 1 << 32 for devices with 32-bit
 * DMA).  rte_malloc_socket(), rte_memzone_reserve(), rte_mempool_create() and
 * the queue setup of devices allocate from it when they are given
 * contig_dpdk_heap_socket() as their socket.  It is one block if possible,
 * else several; DPDK keeps a header of its own in front of each element.
 *
 * With VFIO, DPDK maps the memory for the devices that it has, and is silent
 * when that fails.
 *
 * Returns the heap, the caller's until contig_dpdk_heap_destroy(), or NULL
 * with EINVAL (name, size, no EAL), EEXIST (there is a heap of that name),
 * ENOSPC (RTE_MAX_HEAPS heaps, 31 besides DPDK's own on a machine with one
 * node; or RTE_MAX_MEMSEG_LISTS pieces of memory), EPERM (physical addresses
 * are needed and hidden, or simulated), ENOMEM or ERANGE as contigmalloc(), or
 * ENOTSUP (secondary process).
 */
static inline struct contig_dpdk_heap *contig_dpdk_heap_create(const char *name,
							       size_t bytes,
							       contig_pool_t *pool,
							       vm_paddr_t high)
{
	struct contig_dpdk_heap *heap;
	size_t n, added = 0;
	int error;

	if (contig_dpdk_usable())
		return NULL;
	if (!name || !*name || strlen(name) >= sizeof(heap->name)) {
		contig_dpdk_fail(EINVAL, "heap: a name has 1 to 31 characters");
		return NULL;
	}
	if (!bytes || bytes > SIZE_MAX - CONTIG_DPDK_PAGE) {
		contig_dpdk_fail(EINVAL, "heap %s: %zu is no size", name, bytes);
		return NULL;
	}
	bytes = RTE_ALIGN_CEIL(bytes, CONTIG_DPDK_PAGE);
	n = bytes / CONTIG_DPDK_PAGE;
	heap = (struct contig_dpdk_heap *)calloc(1, sizeof(*heap));
	if (!heap) {
		contig_dpdk_fail(ENOMEM, "heap %s: no memory for its structure", name);
		return NULL;
	}
	memcpy(heap->name, name, strlen(name) + 1);
	heap->bytes = bytes;
	heap->blocks = (struct contig_dpdk_piece *)calloc(n, sizeof(*heap->blocks));
	heap->pieces = (struct contig_dpdk_piece *)calloc(n, sizeof(*heap->pieces));
	if (!heap->blocks || !heap->pieces) {
		contig_dpdk_fail(ENOMEM, "heap %s: no memory for its table", name);
		goto free_heap;
	}
	/* The heap first: this fails sooner, and costs nothing. */
	if (rte_malloc_heap_create(name)) {
		error = rte_errno;
		if (error == ENOSPC)
			contig_dpdk_fail(error,
					 "heap %s: DPDK has no room for another heap "
					 "(RTE_MAX_HEAPS, %d)",
					 name, RTE_MAX_HEAPS);
		else
			contig_dpdk_fail(error, "rte_malloc_heap_create: %s: %s", name,
					 rte_strerror(error));
		goto free_heap;
	}
	heap->socket = rte_malloc_heap_get_socket(name);
	if (contig_dpdk_heap_take(heap, pool, high))
		goto destroy_heap;
	for (; added < heap->npieces; added++)
		if (contig_dpdk_heap_add(heap, &heap->pieces[added]))
			goto remove_pieces;
	return heap;

remove_pieces:
	error = rte_errno;
	while (added--)
		rte_malloc_heap_memory_remove(name, heap->pieces[added].va,
					      heap->pieces[added].len);
	rte_errno = error;
destroy_heap:
	error = rte_errno;
	rte_malloc_heap_destroy(name);
	rte_errno = error;
free_heap:
	error = rte_errno;
	contig_dpdk_heap_free(heap);
	rte_errno = error;
	errno = error;
	return NULL;
}

/* The heap's socket, for DPDK's functions that allocate "on a socket". */
static inline int contig_dpdk_heap_socket(const struct contig_dpdk_heap *heap)
{
	return heap->socket;
}

/* Bytes that the heap has, DPDK's headers included. */
static inline size_t contig_dpdk_heap_size(const struct contig_dpdk_heap *heap)
{
	return heap->bytes;
}

/*
 * Take the heap from DPDK and free its memory.  NULL is ignored.  Returns 0,
 * or -1 with EBUSY when elements are still allocated from it: heap and
 * elements are as before.  Nobody may allocate from it meanwhile; if somebody
 * does, a piece may be left (EBUSY), and the heap, smaller now, can be
 * destroyed later.
 */
static inline int contig_dpdk_heap_destroy(struct contig_dpdk_heap *heap)
{
	struct rte_malloc_socket_stats stats;

	if (!heap)
		return 0;
	if (rte_malloc_get_socket_stats(heap->socket, &stats))
		return contig_dpdk_fail(ENOENT, "heap %s: DPDK doesn't have it",
					heap->name);
	if (stats.alloc_count)
		return contig_dpdk_fail(
		    EBUSY, "heap %s: %u elements, %zu bytes, are in use", heap->name,
		    stats.alloc_count, stats.heap_allocsz_bytes);
	while (heap->npieces) {
		const struct contig_dpdk_piece *piece = &heap->pieces[heap->npieces - 1];

		if (rte_malloc_heap_memory_remove(heap->name, piece->va, piece->len))
			return contig_dpdk_fail(rte_errno,
						"rte_malloc_heap_memory_remove: %s: %s",
						heap->name, rte_strerror(rte_errno));
		heap->bytes -= piece->len;
		heap->npieces--;
	}
	if (rte_malloc_heap_destroy(heap->name))
		return contig_dpdk_fail(rte_errno, "rte_malloc_heap_destroy: %s: %s",
					heap->name, rte_strerror(rte_errno));
	contig_dpdk_heap_free(heap);
	return 0;
}

/*
 * A pool of packet buffers.
 *
 * Private: a chunk of a mempool goes, when the mempool does.
 */
static inline void contig_dpdk_chunk_free(struct rte_mempool_memhdr *chunk, void *opaque)
{
	(void)opaque;
	rte_extmem_unregister(chunk->addr, chunk->len);
	contigfree(chunk->addr, chunk->len, M_DPDK);
}

/* Private: one more chunk for a mempool that isn't full; 0 or -1. */
static inline int contig_dpdk_populate(struct rte_mempool *mp, contig_pool_t *pool,
				       vm_paddr_t high)
{
	size_t least, align, len;
	ssize_t want = rte_mempool_op_calc_mem_size_default(
	    mp, mp->size - mp->populated_size, 0, &least, &align);
	void *va;
	int n;

	if (want < 0)
		return contig_dpdk_fail((int)-want, "mempool %s: size: %s", mp->name,
					rte_strerror((int)-want));
	len = RTE_ALIGN_CEIL((size_t)want, CONTIG_DPDK_PAGE);
	va = contig_dpdk_take(pool, high, &len);
	if (!va)
		return -1;
	if (contig_dpdk_extmem_register(va, len))
		goto free_block;
	/* One block is physically contiguous: its first IOVA is enough. */
	n = rte_mempool_populate_iova(mp, (char *)va, contig_dpdk_iova(va), len,
				      contig_dpdk_chunk_free, NULL);
	if (n > 0)
		return 0;
	rte_extmem_unregister(va, len);
	n = n ? -n : ENOBUFS;
	contig_dpdk_fail(n, "rte_mempool_populate_iova: %s: %s", mp->name,
			 rte_strerror(n));
free_block:
	n = rte_errno;
	contigfree(va, len, M_DPDK);
	rte_errno = n;
	errno = n;
	return -1;
}

/*
 * rte_pktmbuf_pool_create(), with the packet buffers in blocks of libcontig
 * that are registered as external memory: the first six arguments are its own,
 * pool and high those of contig_dpdk_heap_create().  socket_id says where DPDK
 * allocates what is no packet buffer (the ring of free buffers, a header for
 * each block); a heap's socket will do.
 *
 * Returns the mempool, the caller's until contig_dpdk_pktmbuf_pool_free(), or
 * NULL with the errors of rte_pktmbuf_pool_create() and of
 * contig_dpdk_heap_create().
 */
static inline struct rte_mempool *
contig_dpdk_pktmbuf_pool_create(const char *name, unsigned int n, unsigned int cache_size,
				uint16_t priv_size, uint16_t data_room_size,
				int socket_id, contig_pool_t *pool, vm_paddr_t high)
{
	struct rte_pktmbuf_pool_private room;
	struct rte_mempool *mp;
	int error;

	if (contig_dpdk_usable())
		return NULL;
	if (!name || RTE_ALIGN(priv_size, RTE_MBUF_PRIV_ALIGN) != priv_size) {
		contig_dpdk_fail(EINVAL,
				 "pktmbuf pool: no name, or private size %u is no "
				 "multiple of %d",
				 priv_size, RTE_MBUF_PRIV_ALIGN);
		return NULL;
	}
	mp = rte_mempool_create_empty(
	    name, n, (unsigned int)sizeof(struct rte_mbuf) + priv_size + data_room_size,
	    cache_size, sizeof(room), socket_id, 0);
	if (!mp) {
		contig_dpdk_fail(rte_errno, "rte_mempool_create_empty: %s: %s", name,
				 rte_strerror(rte_errno));
		return NULL;
	}
	error = -rte_mempool_set_ops_byname(mp, rte_mbuf_best_mempool_ops(), NULL);
	if (error) {
		contig_dpdk_fail(error, "rte_mempool_set_ops_byname: %s: %s", name,
				 rte_strerror(error));
		goto free_pool;
	}
	memset(&room, 0, sizeof(room));
	room.mbuf_data_room_size = data_room_size;
	room.mbuf_priv_size = priv_size;
	rte_pktmbuf_pool_init(mp, &room);
	while (mp->populated_size < mp->size)
		if (contig_dpdk_populate(mp, pool, high))
			goto free_pool;
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;

free_pool:
	error = rte_errno;
	rte_mempool_free(mp);
	rte_errno = error;
	errno = error;
	return NULL;
}

/*
 * Free a pool of contig_dpdk_pktmbuf_pool_create(), its buffers and their
 * registration.  NULL is ignored.  Returns 0, or -1 with EBUSY when packet
 * buffers are in use, the receive queues of devices included: the pool is as
 * before.  rte_mempool_free() frees it too, and doesn't look.
 */
static inline int contig_dpdk_pktmbuf_pool_free(struct rte_mempool *mp)
{
	unsigned int there;

	if (!mp)
		return 0;
	there = rte_mempool_avail_count(mp);
	if (there < mp->size)
		return contig_dpdk_fail(EBUSY,
					"pktmbuf pool %s: %u of %u buffers are in use",
					mp->name, mp->size - there, mp->size);
	rte_mempool_free(mp);
	return 0;
}

#ifdef ALLOW_EXPERIMENTAL_API /* rte_dev_dma_map() is experimental in 22.11 */
/*
 * Map a pool of contig_dpdk_pktmbuf_pool_create() for a device behind an IOMMU
 * (VFIO): DPDK doesn't do that with external memory by itself.  Returns 0, or
 * -1 with ENOTSUP (the device's bus or driver maps nothing; without VFIO none
 * is needed) or what rte_dev_dma_map() failed with; nothing is mapped then.
 */
static inline int contig_dpdk_pktmbuf_pool_dma_map(struct rte_mempool *mp,
						   struct rte_device *dev)
{
	struct rte_mempool_memhdr *chunk, *undo;
	int error;

	STAILQ_FOREACH(chunk, &mp->mem_list, next) {
		if (!rte_dev_dma_map(dev, chunk->addr, chunk->iova, chunk->len))
			continue;
		error = rte_errno ? rte_errno : EIO;
		STAILQ_FOREACH(undo, &mp->mem_list, next) {
			if (undo == chunk)
				break;
			rte_dev_dma_unmap(dev, undo->addr, undo->iova, undo->len);
		}
		return contig_dpdk_fail(error, "rte_dev_dma_map: %s",
					rte_strerror(error));
	}
	return 0;
}

/* The reverse, before the pool is freed.  Returns 0, or -1 with what DPDK said. */
static inline int contig_dpdk_pktmbuf_pool_dma_unmap(struct rte_mempool *mp,
						     struct rte_device *dev)
{
	struct rte_mempool_memhdr *chunk;
	int error = 0;

	STAILQ_FOREACH(chunk, &mp->mem_list, next) {
		if (rte_dev_dma_unmap(dev, chunk->addr, chunk->iova, chunk->len) &&
		    !error)
			error = rte_errno ? rte_errno : EIO;
	}
	if (error)
		return contig_dpdk_fail(error, "rte_dev_dma_unmap: %s",
					rte_strerror(error));
	return 0;
}
#endif

#ifdef __cplusplus
}
#endif
#endif
