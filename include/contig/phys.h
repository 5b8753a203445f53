/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses: virtual to physical and back, what a range is made of, and
 * whether frames stayed.  See contig_virt_to_phys(3).
 */
#ifndef CONTIG_PHYS_H
#define CONTIG_PHYS_H

#include <contig/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The direct map, read by the inline translation below.  base is the address
 * at which physical address 0 would be; CONTIG_PRESENCE_BELOW bytes below it
 * lies a table with one byte for each 2 MiB of the span, non-zero where
 * memory of ours is mapped and its physical address is known.
 *
 * const, so that compilers keep it in registers: the library writes it once,
 * before it hands out any memory.  Who reads the values of before (span 0,
 * or a base that no address reaches) takes the call, which is right too.
 */
struct contig_direct_map {
	uintptr_t base;
	uint64_t span; /* bytes; 0 when addresses are not physical */
};
#define CONTIG_PRESENCE_BELOW ((uintptr_t)32 << 20) /* for 64 TiB */
#ifdef CONTIG_DIRECT_MAP_WRITER /* the library's one file */
extern struct contig_direct_map contig_direct_map;
#else
extern const struct contig_direct_map contig_direct_map;
#endif

/*
 * Physical address of the byte at va: one subtraction for pool memory, a
 * read of pagemap for any other mapped address.  CONTIG_PADDR_NONE with
 * errno EFAULT (not mapped or not present), EPERM (hidden from this process;
 * see libcontig(7)) or another error of reading pagemap.
 */
vm_paddr_t contig_virt_to_phys(const void *va);

/* The same, inline for pool memory; anything else takes the call. */
static inline vm_paddr_t contig_virt_to_phys_inline(const void *va)
{
	uint64_t off = (uint64_t)((uintptr_t)va - contig_direct_map.base);

	if (off < contig_direct_map.span &&
	    ((const volatile unsigned char *)(contig_direct_map.base -
					      CONTIG_PRESENCE_BELOW))[off >> 21])
		return off;
	return contig_virt_to_phys(va);
}

/* Address of physical byte pa in a pool of this process, or NULL. */
void *contig_phys_to_virt(vm_paddr_t pa);

/*
 * Physical address of each page_size piece of [va, va + len) into pa[0..n).
 * va must be a multiple of page_size, a power of two from 4 KiB; every piece
 * must be physically contiguous.  Returns the entries written, or -1 with
 * errno EINVAL, ENOSPC (n too small), EFAULT, EPERM or EXDEV (a piece is not
 * contiguous).
 */
ssize_t contig_paddr_table(const void *va, size_t len, size_t page_size,
			   uint64_t *pa, size_t n);

struct contig_range_info {
	vm_paddr_t first;    /* address of the first byte, or PADDR_NONE */
	size_t length;       /* bytes looked at */
	size_t contiguous;   /* bytes from va on that are contiguous */
	size_t longest_run;  /* bytes */
	size_t page_size;    /* smallest page size backing the range; 0 unknown */
	unsigned int runs;   /* physically contiguous pieces */
	int node;            /* NUMA node; -1 unknown or more than one */
	enum contig_level level;
	enum contig_wiring wiring; /* the least of all pieces */
	uint64_t reserved[4];
};

/*
 * Describe [va, va + len) of this process.  Returns 1 when it is physically
 * contiguous as a whole, 0 when not, -1 with errno when it can't be told
 * (EFAULT, EPERM, EINVAL).  out may be NULL.
 */
int contig_range_check(const void *va, size_t len, struct contig_range_info *out);

/*
 * Read pagemap again for all pool memory of this process.  Returns the
 * number of frames (4 KiB) that are no longer where they were, 0 when all
 * stayed, or -1 with errno EPERM when frames are hidden.
 */
int contig_verify(void);

/* The level of this process's addresses. */
enum contig_level contig_level(void);

#ifdef __cplusplus
}
#endif
#endif
