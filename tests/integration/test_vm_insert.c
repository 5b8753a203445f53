/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages inserted into vmas of this process.  What is mapped where is held
 * against bytes and against pagemap and /proc/self/maps, read here; the same
 * cases run on collapsed, hugetlb, hidden and simulated memory.
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define ANY 0, ~(vm_paddr_t)0, 0, 0
#define READ_WRITE (PROT_READ | PROT_WRITE)
#define SIM "CONTIG_SIM=1M-1G,2G-3G"
#define THP "CONTIG_SOURCES=thp"
#define HUGETLB "CONTIG_SOURCES=2m"
#define NOBODY_PAGES 64

/* Linux's order: the answer, then the reason. */
#define refused(call, error)                                                               \
	do {                                                                               \
		int got = (call);                                                          \
		require(got == -(error), "%s: %d, not %d: %s", #call, got, -(error),        \
			contig_strreason());                                               \
		require(*contig_strreason(), "%s: no reason", #call);                       \
	} while (0)
#define works(call)                                                                 \
	do {                                                                        \
		int got = (call);                                                   \
		require(!got, "%s: %d: %s", #call, got, contig_strreason());         \
	} while (0)

static struct contig_stats stats(void)
{
	struct contig_stats s = {.struct_size = sizeof(s)};

	contig_stats_get(&s);
	return s;
}

static unsigned long mappings(const void *start, const void *end)
{
	unsigned long n = 0, from, to;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	require(f, "/proc/self/maps");
	while (fgets(line, sizeof(line), f)) {
		char prot[8];

		if (sscanf(line, "%lx-%lx %7s", &from, &to, prot) != 3)
			continue; /* the rest of a long line */
		n += from < (uintptr_t)end && to > (uintptr_t)start && prot[0] == 'r';
	}
	fclose(f);
	return n;
}

static struct vm_area_struct *make(size_t size, size_t page_size, int prot)
{
	struct vm_area_struct *vma = vma_create(size, page_size, prot);

	require(vma, "%s", contig_strreason());
	require(vma->vm_end - vma->vm_start == size && vma->vm_page_size == page_size &&
			vma->vm_page_prot == prot && !(vma->vm_start % page_size),
		"not what was asked for");
	return vma;
}

static char *block_of(size_t size, size_t alignment)
{
	char *va = contigmalloc(size, M_TEMP, M_ZERO, 0, ~(vm_paddr_t)0, alignment, 0);

	require(va, "%s", contig_strreason());
	return va;
}

static vm_page_t page_of(const void *va)
{
	vm_page_t page = vm_page_of_address(va);

	require(page, "%p has no page", va);
	return page;
}

static sigjmp_buf back;

static void on_fault(int signal_number)
{
	siglongjmp(back, signal_number);
}

/* vm_page_alloc_noobj() never grows the pool: vm_wait() does. */
static vm_page_t single_page(int req)
{
	vm_page_t page;

	while (!(page = vm_page_alloc_noobj(req)))
		require(!vm_wait(NULL), "%s", contig_strreason());
	return page;
}

/* What a touch of an address ends in.  Not in a child: what was mapped at a
 * fork is never trimmed. */
static int signal_of(const void *va, bool write)
{
	struct sigaction action = {.sa_handler = on_fault}, segv, bus;
	volatile char *at = (volatile char *)(uintptr_t)va;
	int signal_number;

	sigaction(SIGSEGV, &action, &segv);
	sigaction(SIGBUS, &action, &bus);
	signal_number = sigsetjmp(back, 1);
	if (!signal_number) {
		if (write)
			*at = *at;
		else
			(void)*at;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return signal_number;
}

/* va shows the page at original: the same frame, the same bytes. */
static void same(const char *va, const char *original)
{
	volatile char *o = (volatile char *)(uintptr_t)original;
	char before = *o;

	require(probe_address(va) == probe_address(original) ||
			probe_address(va) == ADDRESS_HIDDEN,
		"%p: frame 0x%" PRIx64 ", not 0x%" PRIx64, (const void *)va,
		probe_address(va), probe_address(original));
	require(probe_address(va) != ADDRESS_ABSENT, "%p is not populated", (const void *)va);
	*o = (char)(before + 1);
	require(*(volatile const char *)va == (char)(before + 1), "%p: other bytes",
		(const void *)va);
	*o = before;
}

/* --- errors --------------------------------------------------------------- */

static void create_errors(void)
{
	static const struct {
		size_t size, page_size;
		int prot;
	} bad[] = {
	    {0, PAGE, PROT_READ},	  {PAGE + 1, PAGE, PROT_READ},
	    {PAGE, SUPERPAGE, PROT_READ}, {SUPERPAGE, MIB, PROT_READ},
	    {SUPERPAGE, 0, PROT_READ},	  {PAGE, PAGE, PROT_NONE},
	    {PAGE, PAGE, PROT_WRITE},	  {PAGE, PAGE, READ_WRITE | PROT_EXEC},
	    {PAGE, PAGE, -1},
	};
	struct vm_area_struct *vma;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		vma = vma_create(bad[i].size, bad[i].page_size, bad[i].prot);
		require(!vma && errno == EINVAL && *contig_strreason(), "%zu: errno %d", i,
			errno);
	}
	errno = 0;
	require(!vma_create(SIZE_MAX - PAGE + 1, PAGE, PROT_READ) && errno == ENOMEM,
		"errno %d", errno);
	errno = 0;
	require(!vma_create(SIZE_MAX - SUPERPAGE + 1, SUPERPAGE, PROT_READ) && errno == ENOMEM,
		"errno %d", errno);
	vma_destroy(NULL);
	vma = make(3 * SUPERPAGE, SUPERPAGE, PROT_READ);
	require(signal_of((void *)vma->vm_start, false) == SIGSEGV, "a hole");
	vma_destroy(vma);
}

static void errors(void)
{
	struct vm_area_struct *vma = make(16 * PAGE, PAGE, READ_WRITE);
	struct vm_area_struct *big = make(2 * SUPERPAGE, SUPERPAGE, READ_WRITE);
	char *block = block_of(SUPERPAGE, SUPERPAGE), *freed = block_of(4 * PAGE, 0);
	char *second = block_of(SUPERPAGE, SUPERPAGE);
	vm_page_t page = page_of(block), pages[17], free_page = page_of(freed), lookup;
	unsigned long at = vma->vm_start, n;
	uint64_t before = stats().allocated;

	contig_free(freed);
	/* Outside comes first. */
	refused(vm_insert_page(NULL, at, page), EINVAL);
	refused(vm_insert_page(vma, at - PAGE, page), EFAULT);
	refused(vm_insert_page(vma, vma->vm_end, page), EFAULT);
	refused(vm_insert_page(vma, at - 1, page), EFAULT);
	refused(vm_insert_page(vma, 0, NULL), EFAULT);
	refused(vm_insert_page(vma, ~0UL, page), EFAULT);
	refused(vm_insert_page(vma, at + 1, page), EINVAL);
	refused(vm_insert_page(vma, at, NULL), EINVAL);
	refused(vm_insert_page(vma, at, (vm_page_t)&before), EINVAL);
	refused(vm_insert_page(vma, at, (vm_page_t)((char *)page + 8)), EINVAL);
	refused(vm_insert_page(vma, at, free_page), EINVAL);
	works(vm_insert_page(vma, at, page));
	refused(vm_insert_page(vma, at, page), EBUSY);
	refused(vm_insert_page(vma, at, page + 1), EBUSY);
	same((char *)at, block);
	/* Whole superpages only. */
	refused(vm_insert_page(big, big->vm_start + PAGE, page), EINVAL);
	refused(vm_insert_page(big, big->vm_start, page + 1), EINVAL);
	works(vm_insert_page(big, big->vm_start, page));
	refused(vm_insert_page(big, big->vm_start, page_of(second)), EBUSY);
	for (size_t off = 0; off < SUPERPAGE; off += 31 * PAGE)
		same((char *)big->vm_start + off, block + off);
	/* Batches: what fits stays. */
	for (unsigned int i = 0; i < 17; i++)
		pages[i] = page + i;
	n = 17;
	refused(vm_insert_pages(vma, at, pages, &n), EFAULT);
	require(n == 17 && !vma_lookup_page(vma, at + PAGE), "%lu left", n);
	n = 2;
	refused(vm_insert_pages(vma, at - PAGE, pages, &n), EFAULT);
	n = 2;
	refused(vm_insert_pages(vma, at + 2, pages, &n), EINVAL);
	works(vm_insert_page(vma, at + 8 * PAGE, page));
	n = 15;
	refused(vm_insert_pages(vma, at + PAGE, pages, &n), EBUSY);
	require(n == 8, "%lu left", n);
	for (unsigned int i = 0; i < 7; i++)
		same((char *)at + (1 + i) * PAGE, block + i * PAGE);
	require(signal_of((char *)at + 9 * PAGE, false) == SIGSEGV, "page 9 is mapped");
	pages[3] = free_page;
	n = 7;
	refused(vm_insert_pages(vma, at + 9 * PAGE, pages, &n), EINVAL);
	require(n == 4, "%lu left", n);
	n = 0;
	works(vm_insert_pages(vma, at, pages, &n));
	/* zap: whole pages within; holes allowed. */
	refused(zap_vma_ptes(vma, at + 1, PAGE), EINVAL);
	refused(zap_vma_ptes(vma, at, PAGE + 1), EINVAL);
	refused(zap_vma_ptes(vma, at - PAGE, PAGE), EINVAL);
	refused(zap_vma_ptes(vma, at, 17 * PAGE), EINVAL);
	refused(zap_vma_ptes(vma, at + PAGE, ~0UL - PAGE + 1), EINVAL);
	works(zap_vma_ptes(vma, at, 0));
	works(zap_vma_ptes(vma, at + 4 * PAGE, 10 * PAGE));
	require(signal_of((char *)at + 8 * PAGE, true) == SIGSEGV, "page 8 is mapped");
	same((char *)at + 3 * PAGE, block + 2 * PAGE);
	works(zap_vma_ptes(vma, at, 16 * PAGE));
	works(zap_vma_ptes(vma, at, 16 * PAGE));
	/* Whole vmas. */
	refused(vm_map_pages(vma, pages, 15), ENXIO);
	pages[3] = page + 3;
	vma->vm_pgoff = 17;
	refused(vm_map_pages(vma, pages, 17), ENXIO);
	vma->vm_pgoff = 2;
	refused(vm_map_pages(vma, pages, 17), ENXIO);
	vma->vm_pgoff = ~0UL;
	refused(vm_map_pages(vma, pages, 17), ENXIO);
	refused(vm_map_pages_zero(vma, pages, 0), ENXIO);
	refused(vm_map_pages_zero(vma, pages, 15), ENXIO);
	vma->vm_pgoff = 1;
	works(vm_map_pages(vma, pages, 17));
	same((char *)at, block + PAGE);
	same((char *)vma->vm_end - PAGE, block + 16 * PAGE);
	refused(vm_map_pages_zero(vma, pages, 17), EBUSY);
	works(zap_vma_ptes(vma, at, 16 * PAGE));
	works(vm_map_pages_zero(vma, pages, 16));
	same((char *)at, block);
	lookup = vma_lookup_page(vma, at + 5 * PAGE + 17);
	require(lookup == page + 5, "%p", (void *)lookup);
	require(!vma_lookup_page(vma, at - 1) && !vma_lookup_page(vma, vma->vm_end), "outside");
	require(vma_lookup_page(big, big->vm_start + 9 * PAGE) == page + 9, "in a superpage");
	refused(unmap_mapping_range(NULL, 0, 0, 1), EINVAL);
	vma_destroy(vma);
	vma_destroy(big);
	require(mappings((void *)at, (void *)(at + 16 * PAGE)) == 0, "still mapped");
	/* Destroyed: no crash, and nobody else's memory. */
	refused(vm_insert_page(vma, at, page), EINVAL);
	refused(zap_vma_ptes(vma, at, PAGE), EINVAL);
	vma_destroy(vma);
	require(stats().allocated == before - 4 * PAGE, "%" PRIu64 " allocated",
		stats().allocated);
	contig_free(block);
	contig_free(second);
	require(!stats().allocated, "%" PRIu64 " allocated", stats().allocated);
	contig_trim();
	require(!stats().held, "%" PRIu64 " held", stats().held);
}

/* The same on hugetlb memory: in superpages or not at all. */
static void errors_whole(void)
{
	struct vm_area_struct *vma = make(16 * PAGE, PAGE, READ_WRITE);
	struct vm_area_struct *big = make(4 * SUPERPAGE, SUPERPAGE, READ_WRITE);
	char *block = block_of(SUPERPAGE, SUPERPAGE);
	vm_page_t page = page_of(block);

	refused(vm_insert_page(vma, vma->vm_start, page), EINVAL);
	require(strstr(contig_strreason(), "hugetlb"), "%s", contig_strreason());
	refused(vm_insert_page(vma, vma->vm_start, page + 1), EINVAL);
	refused(vm_insert_page(big, big->vm_start, page + 1), EINVAL);
	if (become_nobody()) {
		/* Its descriptor is closed, and /proc doesn't open it. */
		refused(vm_insert_page(big, big->vm_start, page), EPERM);
		require(strstr(contig_strreason(), "CAP_CHECKPOINT_RESTORE"), "%s",
			contig_strreason());
		require(!vma_lookup_page(big, big->vm_start), "a trace");
		contig_free(block);
		require(!stats().allocated, "a reference");
		exit(0);
	}
}

/* How many descriptors are open for regular files that have no name. */
static unsigned int memory_files(int *last)
{
	unsigned int n = 0;

	for (int fd = 3; fd < 256; fd++) {
		struct stat st;

		if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink)
			continue;
		*last = fd;
		n++;
	}
	return n;
}

/* A pool that keeps no descriptors gets one back for what is mapped again,
 * which the program may close, as any. */
static void reopened(void)
{
	struct vm_area_struct *big = make(4 * SUPERPAGE, SUPERPAGE, READ_WRITE);
	char *block = block_of(SUPERPAGE, SUPERPAGE);
	vm_page_t page = page_of(block);
	unsigned int before;
	int fd = -1, null;

	before = memory_files(&fd);
	works(vm_insert_page(big, big->vm_start, page));
	require(memory_files(&fd) == before + 1, "%u files, not %u", memory_files(&fd), before + 1);
	works(vm_insert_page(big, big->vm_start + SUPERPAGE, page));
	require(memory_files(&fd) == before + 1, "%u files, not %u", memory_files(&fd), before + 1);
	/* Something else under its number: neither mapped nor closed. */
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	require(dup2(null, fd) == fd, "dup2");
	works(vm_insert_page(big, big->vm_start + 2 * SUPERPAGE, page));
	for (unsigned int i = 0; i < 3; i++)
		same((char *)big->vm_start + i * SUPERPAGE + 5 * PAGE, block + 5 * PAGE);
	require(fcntl(fd, F_GETFD) >= 0 && memory_files(&null) == before + 1, "descriptors");
	works(zap_vma_ptes(big, big->vm_start, 4 * SUPERPAGE));
	contig_free(block);
	contig_trim();
	require(memory_files(&null) == before && fcntl(fd, F_GETFD) >= 0, "%u files left",
		memory_files(&null));
	vma_destroy(big);
}

static void private_pages(void)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr),
					.kind = CONTIG_POOL_PRIVATE,
					.node = -1};
	contig_pool_t *pool = contig_pool_create(&attr);
	struct vm_area_struct *vma = make(PAGE, PAGE, READ_WRITE);
	struct vm_area_struct *big = make(SUPERPAGE, SUPERPAGE, READ_WRITE);
	char *block;

	require(pool, "%s", contig_strreason());
	block = contig_pool_malloc(pool, SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, SUPERPAGE, 0);
	require(block, "%s", contig_strreason());
	refused(vm_insert_page(vma, vma->vm_start, page_of(block)), EPERM);
	refused(vm_insert_page(big, big->vm_start, page_of(block)), EPERM);
	contig_free(block);
	require(!stats().allocated, "a reference");
	contig_pool_destroy(pool);
}

/* --- by frame number ------------------------------------------------------ */

static void pfn(void)
{
	struct vm_area_struct *vma = make(8 * PAGE, PAGE, READ_WRITE);
	struct vm_area_struct *other = make(8 * PAGE, PAGE, PROT_READ);
	char *block = block_of(16 * PAGE, 0), *at = (char *)vma->vm_start;
	vm_paddr_t pa = contig_virt_to_phys(block);
	unsigned long frame = pa / PAGE, answer;
	uint64_t allocated = stats().allocated;

	if (contig_level() == CONTIG_LEVEL_HIDDEN) {
		refused(vm_insert_pfn(vma, vma->vm_start, 1), EPERM);
		require(vmf_insert_pfn(vma, vma->vm_start, 1) == VM_FAULT_SIGBUS, "a fault");
		refused(remap_pfn_range(vma, vma->vm_start, 1, PAGE, PROT_READ), EPERM);
		refused(vm_iomap_memory(vma, PAGE, 8 * PAGE), EPERM);
		works(vm_insert_page(vma, vma->vm_start, page_of(block)));
		refused(follow_pfn(vma, vma->vm_start, &answer), EPERM);
		refused(follow_pfn(vma, vma->vm_start + PAGE, &answer), EINVAL);
		contig_free(block);
		vma_destroy(vma);
		vma_destroy(other);
		require(!stats().allocated, "a reference");
		return;
	}
	refused(vm_insert_pfn(vma, vma->vm_end, frame), EFAULT);
	refused(vm_insert_pfn(vma, vma->vm_start + 1, frame), EINVAL);
	refused(vm_insert_pfn(vma, vma->vm_start, 0), EPERM);
	refused(vm_insert_pfn(vma, vma->vm_start, ~0UL), EPERM);
	refused(vm_insert_pfn(vma, vma->vm_start, ~0UL >> 12), EPERM);
	refused(vm_insert_pfn(vma, vma->vm_start, 1UL << 59), EPERM);
	works(vm_insert_pfn(vma, vma->vm_start, frame));
	refused(vm_insert_pfn(vma, vma->vm_start, frame), EBUSY);
	refused(vm_insert_page(vma, vma->vm_start, page_of(block)), EBUSY);
	same(at, block);
	works(follow_pfn(vma, vma->vm_start + 5, &answer));
	require(answer == frame, "frame %lu", answer);
	refused(follow_pfn(vma, vma->vm_start + PAGE, &answer), EINVAL);
	refused(follow_pfn(vma, vma->vm_end, &answer), EINVAL);
	require(vmf_insert_pfn(vma, vma->vm_start, frame) == VM_FAULT_NOPAGE, "busy");
	require(vmf_insert_pfn(vma, vma->vm_start + PAGE, frame) == VM_FAULT_NOPAGE, "new");
	require(vmf_insert_pfn(vma, vma->vm_start - PAGE, frame) == VM_FAULT_SIGBUS, "outside");
	require(vmf_insert_pfn(vma, vma->vm_start + 2 * PAGE, 0) == VM_FAULT_SIGBUS, "foreign");
	/* All or nothing: page 1 is occupied, and one beyond the block is free. */
	refused(remap_pfn_range(vma, vma->vm_start + 1, frame, PAGE, READ_WRITE), EINVAL);
	refused(remap_pfn_range(vma, vma->vm_start, frame, 0, READ_WRITE), EINVAL);
	refused(remap_pfn_range(vma, vma->vm_start, frame, 9 * PAGE, READ_WRITE), EFAULT);
	refused(remap_pfn_range(vma, vma->vm_start, frame, ~0UL, READ_WRITE), EFAULT);
	refused(remap_pfn_range(vma, vma->vm_start, frame, PAGE, PROT_NONE), EINVAL);
	refused(remap_pfn_range(vma, vma->vm_start, frame, PAGE, READ_WRITE | PROT_EXEC), EACCES);
	refused(remap_pfn_range(other, other->vm_start, frame, PAGE, READ_WRITE), EACCES);
	works(zap_vma_ptes(vma, vma->vm_start, 8 * PAGE));
	works(vm_insert_pfn(vma, vma->vm_start + 5 * PAGE, frame));
	refused(remap_pfn_range(vma, vma->vm_start, frame, 8 * PAGE, READ_WRITE), EBUSY);
	for (unsigned int i = 0; i < 8; i++)
		require(!vma_lookup_page(vma, vma->vm_start + i * PAGE) == (i != 5), "page %u", i);
	require(mappings(at, at + 5 * PAGE) == 0, "not undone");
	works(zap_vma_ptes(vma, vma->vm_start, 8 * PAGE));
	works(remap_pfn_range(vma, vma->vm_start, frame + 2, 3 * PAGE - 7, READ_WRITE));
	works(remap_pfn_range(vma, vma->vm_start + 3 * PAGE, frame + 5, 2 * PAGE, PROT_READ));
	for (unsigned int i = 0; i < 5; i++)
		same(at + i * PAGE, block + (2 + i) * PAGE);
	require(signal_of(at + 2 * PAGE, true) == 0, "writable");
	require(signal_of(at + 3 * PAGE, true) == SIGSEGV, "not writable");
	require(signal_of(at + 5 * PAGE, false) == SIGSEGV, "a hole");
	/* The device's memory over the whole vma. */
	refused(vm_iomap_memory(other, pa, 7 * PAGE), EINVAL);
	refused(vm_iomap_memory(other, ~(vm_paddr_t)0, 8 * PAGE), EINVAL);
	refused(vm_iomap_memory(other, pa, ~0UL), EINVAL);
	other->vm_pgoff = 9;
	refused(vm_iomap_memory(other, pa, 8 * PAGE), EINVAL);
	refused(vm_iomap_memory(other, pa, 16 * PAGE), EINVAL);
	other->vm_pgoff = 8;
	works(vm_iomap_memory(other, pa, 16 * PAGE));
	same((char *)other->vm_start, block + 8 * PAGE);
	works(zap_vma_ptes(other, other->vm_start, 8 * PAGE));
	other->vm_pgoff = 0;
	/* Not aligned: Linux counts the first page as well. */
	works(vm_iomap_memory(other, pa + 100, 8 * PAGE - 100));
	same((char *)other->vm_start, block);
	require(stats().allocated == allocated, "references");
	vma_destroy(vma);
	vma_destroy(other);
	contig_free(block);
	require(!stats().allocated, "references were taken");
}

/* --- one frame, many addresses -------------------------------------------- */

#define ALIASES 200

static void aliases(void)
{
	struct vm_area_struct *vma = make(2 * ALIASES * PAGE, PAGE, READ_WRITE), *vmas[20];
	vm_page_t page = single_page(VM_ALLOC_NORMAL | VM_ALLOC_ZERO);
	volatile uint64_t *first;

	for (unsigned int i = 0; i < ALIASES; i++)
		works(vm_insert_page(vma, vma->vm_start + i * PAGE, page));
	for (unsigned int i = 0; i < 20; i++) {
		vmas[i] = make(PAGE, PAGE, i % 2 ? READ_WRITE : PROT_READ);
		works(vm_insert_page(vmas[i], vmas[i]->vm_start, page));
		same((char *)vmas[i]->vm_start, vm_page_address(page));
	}
	for (unsigned int i = 0; i < ALIASES; i++) {
		first = (void *)(vma->vm_start + i * PAGE);
		first[i] = i + 1;
		same((char *)first, vm_page_address(page));
		for (unsigned int j = 0; j < ALIASES; j += 17)
			require(((volatile uint64_t *)(vma->vm_start + j * PAGE))[i] == i + 1,
				"address %u doesn't see what %u wrote", j, i);
	}
	require(signal_of((void *)vmas[0]->vm_start, true) == SIGSEGV, "written read-only");
	require(signal_of((void *)vmas[0]->vm_start, false) == 0, "not readable");
	require(signal_of((void *)vmas[1]->vm_start, true) == 0, "not writable");
	/* No call makes it writable by the page's own address. */
	for (unsigned int i = 0; i < 20; i++)
		vma_destroy(vmas[i]);
	vm_page_free(page);
	/* Mapped: its bytes are still there, and nobody else's. */
	for (unsigned int i = 0; i < 600; i++) {
		require(single_page(VM_ALLOC_NORMAL) != page, "%u: handed out", i);
	}
	first = (void *)(vma->vm_start + 7 * PAGE);
	for (unsigned int i = 0; i < ALIASES; i++)
		require(first[i] == i + 1, "bytes changed");
	vma_destroy(vma);
}

/* --- references ----------------------------------------------------------- */

static bool is_free(vm_page_t page)
{
	struct vm_area_struct *probe = make(PAGE, PAGE, PROT_READ);
	int err = vm_insert_page(probe, probe->vm_start, page);

	require(!err || err == -EINVAL, "%d: %s", err, contig_strreason());
	vma_destroy(probe);
	return err;
}

static void references(void)
{
	struct vm_area_struct *vma = make(64 * PAGE, PAGE, READ_WRITE);
	char *block = block_of(32 * PAGE, 0), *seen = (char *)vma->vm_start, *taken[400];
	vm_page_t page = page_of(block), pages[32], single;
	uint64_t address = probe_address(block);
	unsigned long n = 32;

	for (unsigned int i = 0; i < 32; i++)
		pages[i] = page + i;
	works(vm_insert_pages(vma, vma->vm_start, pages, &n));
	n = 32;
	works(vm_insert_pages(vma, vma->vm_start + 32 * PAGE, pages, &n));
	memset(block, 0x5a, 32 * PAGE);
	contig_free(block);
	/* The block lives as long as any page of it is mapped. */
	works(zap_vma_ptes(vma, vma->vm_start, 63 * PAGE));
	contig_trim();
	for (unsigned int i = 0; i < 400; i++) {
		taken[i] = contigmalloc((1 + i % 40) * PAGE, M_TEMP, 0, ANY);
		require(taken[i], "%s", contig_strreason());
		require(taken[i] + (1 + i % 40) * PAGE <= block || taken[i] >= block + 32 * PAGE,
			"handed out while it is mapped");
		memset(taken[i], 0xff, (1 + i % 40) * PAGE);
	}
	for (unsigned int i = 0; i < PAGE; i++)
		require(seen[63 * PAGE + i] == 0x5a, "byte %u", i);
	require(probe_address(seen + 63 * PAGE) == address + 31 * PAGE ||
			address >= ADDRESS_HIDDEN,
		"moved");
	for (unsigned int i = 0; i < 400; i++)
		contig_free(taken[i]);
	require(!is_free(page + 31), "free although mapped");
	works(zap_vma_ptes(vma, vma->vm_start + 63 * PAGE, PAGE));
	require(is_free(page) && is_free(page + 31), "in use although unmapped");
	/* A page by itself; freed by the last of wiring and mapping. */
	single = single_page(VM_ALLOC_NORMAL | VM_ALLOC_WIRED);
	works(vm_insert_page(vma, vma->vm_start, single));
	works(vm_insert_page(vma, vma->vm_start + PAGE, single));
	vm_page_free(single);
	works(zap_vma_ptes(vma, vma->vm_start, PAGE));
	require(!is_free(single), "free although mapped and wired");
	vm_page_unwire(single, PQ_NONE);
	require(!is_free(single), "free although mapped");
	works(zap_vma_ptes(vma, vma->vm_start, 2 * PAGE));
	require(is_free(single), "in use");
	vma_destroy(vma);
	contig_trim();
	require(!stats().held && !stats().allocated, "%" PRIu64 " held", stats().held);
}

/* Superpages in vmas of both kinds of page. */
static void superpages(void)
{
	struct vm_area_struct *big = make(8 * SUPERPAGE, SUPERPAGE, READ_WRITE);
	char *block = block_of(SUPERPAGE, SUPERPAGE), *small = block_of(PAGE, 0);
	vm_page_t page = page_of(block);
	unsigned long answer, one = 1;

	for (unsigned int i = 0; i < 8; i += 2)
		works(vm_insert_page(big, big->vm_start + i * SUPERPAGE, page));
	for (unsigned int i = 0; i < 8; i += 2)
		for (size_t off = 0; off < SUPERPAGE; off += 5 * PAGE)
			same((char *)big->vm_start + i * SUPERPAGE + off, block + off);
	require(signal_of((char *)big->vm_start + SUPERPAGE, false) == SIGSEGV, "a hole");
	works(zap_vma_ptes(big, big->vm_start + 2 * SUPERPAGE, SUPERPAGE));
	works(vm_insert_pages(big, big->vm_start + 2 * SUPERPAGE, &page, &one));
	require(!one, "%lu left", one);
	refused(vm_map_pages_zero(big, &page, 1), ENXIO);
	if (contig_level() == CONTIG_LEVEL_PHYSICAL) {
		unsigned long frame = probe_address(block) / PAGE;

		refused(remap_pfn_range(big, big->vm_start + SUPERPAGE, frame + 1, SUPERPAGE,
					PROT_READ), EINVAL);
		refused(remap_pfn_range(big, big->vm_start, frame, SUPERPAGE, PROT_READ), EBUSY);
		works(remap_pfn_range(big, big->vm_start + SUPERPAGE, frame, PAGE, PROT_READ));
		same((char *)big->vm_start + SUPERPAGE + 77 * PAGE, block + 77 * PAGE);
		require(signal_of((char *)big->vm_start + SUPERPAGE, true) == SIGSEGV,
			"writable");
		require(signal_of((char *)big->vm_start, true) == 0, "not writable");
		works(zap_vma_ptes(big, big->vm_start + SUPERPAGE, SUPERPAGE));
		works(follow_pfn(big, big->vm_start + 3 * PAGE + 1, &answer));
		require(answer == probe_address(block) / PAGE + 3, "frame %lu", answer);
	}
	/* Less than a superpage in use there. */
	contig_free(block);
	works(zap_vma_ptes(big, big->vm_start + 2 * SUPERPAGE, 4 * SUPERPAGE));
	require(!vm_insert_page(big, big->vm_start + SUPERPAGE, page), "%s", contig_strreason());
	works(zap_vma_ptes(big, big->vm_start, 8 * SUPERPAGE));
	refused(vm_insert_page(big, big->vm_start, page), EINVAL);
	contig_free(small);
	require(!stats().allocated, "%" PRIu64 " allocated", stats().allocated);
	vma_destroy(big);
	contig_trim();
	require(!stats().held, "%" PRIu64 " held", stats().held);
}

/* --- one kernel mapping for neighbours ------------------------------------ */

static void coalescing(void)
{
	struct vm_area_struct *vma = make(512 * PAGE, PAGE, READ_WRITE);
	struct vm_area_struct *readable = make(512 * PAGE, PAGE, PROT_READ);
	char *block = block_of(SUPERPAGE, SUPERPAGE), *at = (char *)vma->vm_start;
	char *end = (char *)vma->vm_end;
	vm_page_t page = page_of(block), pages[512];
	unsigned long n = 512;

	/* In any order. */
	for (unsigned int i = 0; i < 512; i++) {
		unsigned int j = i * 155 % 512;

		works(vm_insert_page(vma, vma->vm_start + j * PAGE, page + j));
		works(vm_insert_page(readable, readable->vm_start + i * PAGE, page + i));
		pages[i] = page + i;
	}
	require(mappings(at, end) == 1, "%lu mappings", mappings(at, end));
	require(mappings((void *)readable->vm_start, (void *)readable->vm_end) == 1,
		"%lu mappings, read-only",
		mappings((void *)readable->vm_start, (void *)readable->vm_end));
	for (unsigned int i = 0; i < 512; i++)
		same(at + i * PAGE, block + i * PAGE);
	works(zap_vma_ptes(vma, vma->vm_start + 100 * PAGE, PAGE));
	require(mappings(at, end) == 2, "%lu mappings", mappings(at, end));
	works(vm_insert_page(vma, vma->vm_start + 100 * PAGE, page + 100));
	require(mappings(at, end) == 1, "%lu mappings", mappings(at, end));
	/* Another page than the neighbours expect is another mapping. */
	works(zap_vma_ptes(vma, vma->vm_start + 100 * PAGE, PAGE));
	works(vm_insert_page(vma, vma->vm_start + 100 * PAGE, page + 101));
	require(mappings(at, end) == 3, "%lu mappings", mappings(at, end));
	for (unsigned int i = 0; i < 512; i++)
		same(at + i * PAGE, block + (i == 100 ? 101 : i) * PAGE);
	works(zap_vma_ptes(vma, vma->vm_start, 512 * PAGE));
	require(mappings(at, end) == 0, "%lu mappings", mappings(at, end));
	works(vm_insert_pages(vma, vma->vm_start, pages, &n));
	require(!n && mappings(at, end) == 1, "%lu mappings", mappings(at, end));
	vma_destroy(vma);
	vma_destroy(readable);
	contig_free(block);
	require(!stats().allocated, "%" PRIu64 " allocated", stats().allocated);
}

#define RUN 8
#define TAKEN 48

/* Where a superpage lies in its file: neighbours there become neighbours in
 * one mapping, wherever their frames are. */
struct in_file {
	char *va;
	unsigned long inode, offset;
};

static struct in_file in_file(char *va)
{
	struct in_file f = {va, 0, 0};
	unsigned long from, to, offset, inode;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");

	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %*s %lx %*s %lu", &from, &to, &offset, &inode) == 4 &&
		    from <= (uintptr_t)va && to > (uintptr_t)va) {
			f.inode = inode;
			f.offset = offset + (uintptr_t)va - from;
		}
	fclose(maps);
	return f;
}

static int compare(const void *a, const void *b)
{
	const struct in_file *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Neighbours by their offsets alone are two mappings.  false: there are none,
 * which is up to where the kernel's superpages lie. */
static bool try_two_files(struct vm_area_struct *big, const struct in_file *taken,
			  const struct in_file *others, size_t n)
{
	char *at = (char *)big->vm_start, *end = (char *)big->vm_end;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < TAKEN; j++) {
			if (taken[j].inode == others[i].inode ||
			    taken[j].offset + SUPERPAGE != others[i].offset)
				continue;
			works(vm_insert_page(big, big->vm_start, page_of(taken[j].va)));
			works(vm_insert_page(big, big->vm_start + SUPERPAGE, page_of(others[i].va)));
			require(mappings(at, end) == 2, "%lu mappings", mappings(at, end));
			same(at, taken[j].va);
			same(at + SUPERPAGE, others[i].va);
			return true;
		}
	return false;
}

static void coalescing_whole(void)
{
	struct vm_area_struct *big = make(RUN * SUPERPAGE, SUPERPAGE, READ_WRITE);
	struct vm_area_struct *once = make(RUN * SUPERPAGE, SUPERPAGE, PROT_READ);
	char *at = (char *)big->vm_start, *end = (char *)big->vm_end;
	struct in_file taken[TAKEN], others[8], *run;
	vm_page_t pages[RUN];
	unsigned long n = RUN;
	size_t i = 0, length = 1;

	require(!contig_reserve((TAKEN + 1) * SUPERPAGE), "%s", contig_strreason());
	for (i = 0; i < TAKEN; i++)
		taken[i] = in_file(block_of(SUPERPAGE, SUPERPAGE));
	qsort(taken, TAKEN, sizeof(taken[0]), compare);
	for (i = 1; i < TAKEN && length < RUN; i++)
		length = taken[i].inode == taken[i - 1].inode &&
				 taken[i].offset == taken[i - 1].offset + SUPERPAGE
			     ? length + 1
			     : 1;
	/* Up to where the kernel's superpages lie. */
	if (length != RUN)
		leave_out("no %d superpages are neighbours in a file", RUN);
	run = &taken[i - RUN];
	for (i = 0; i < RUN; i++) {
		size_t j = i * 5 % RUN;

		pages[i] = page_of(run[i].va);
		works(vm_insert_page(big, big->vm_start + j * SUPERPAGE, page_of(run[j].va)));
		/* Those before are what they were. */
		for (size_t k = 0; k <= i; k++)
			same(at + k * 5 % RUN * SUPERPAGE + 7 * PAGE,
			     run[k * 5 % RUN].va + 7 * PAGE);
	}
	require(mappings(at, end) == 1, "%lu mappings", mappings(at, end));
	works(zap_vma_ptes(big, big->vm_start + 3 * SUPERPAGE, SUPERPAGE));
	require(mappings(at, end) == 2, "%lu mappings", mappings(at, end));
	require(signal_of(at + 3 * SUPERPAGE, false) == SIGSEGV, "not a hole");
	same(at + 2 * SUPERPAGE, run[2].va);
	same(at + 4 * SUPERPAGE, run[4].va);
	/* Not what the neighbours expect: a mapping of its own. */
	works(vm_insert_page(big, big->vm_start + 3 * SUPERPAGE, page_of(run[4].va)));
	require(mappings(at, end) == 3, "%lu mappings", mappings(at, end));
	same(at + 2 * SUPERPAGE, run[2].va);
	same(at + 3 * SUPERPAGE, run[4].va);
	same(at + 4 * SUPERPAGE, run[4].va);
	works(zap_vma_ptes(big, big->vm_start + 3 * SUPERPAGE, SUPERPAGE));
	works(vm_insert_page(big, big->vm_start + 3 * SUPERPAGE, page_of(run[3].va)));
	require(mappings(at, end) == 1, "%lu mappings", mappings(at, end));
	/* Offsets that would follow each other, but in two files. */
	works(zap_vma_ptes(big, big->vm_start, RUN * SUPERPAGE));
	require(!contig_reserve(10 * SUPERPAGE), "%s", contig_strreason());
	for (i = 0; i < 8; i++)
		others[i] = in_file(block_of(SUPERPAGE, SUPERPAGE));
	if (!try_two_files(big, taken, others, 8))
		printf("    no superpage has the offset after that of one in another file\n");
	for (i = 0; i < 8; i++)
		contig_free(others[i].va);
	works(vm_insert_pages(once, once->vm_start, pages, &n));
	require(mappings((void *)once->vm_start, (void *)once->vm_end) == 1, "not one");
	require(signal_of((char *)once->vm_start + 5 * SUPERPAGE, true) == SIGSEGV, "writable");
	vma_destroy(big);
	vma_destroy(once);
	for (i = 0; i < TAKEN; i++)
		contig_free(taken[i].va);
	require(!stats().allocated, "%" PRIu64 " allocated", stats().allocated);
}

/* --- vm.max_map_count ----------------------------------------------------- */

static void limit(void)
{
	long most = probe_number("/proc/sys/vm/max_map_count");
	size_t pages = (size_t)most + 1000;
	struct vm_area_struct *vma, *other = make(16 * PAGE, PAGE, PROT_READ);
	char *block = block_of(4 * PAGE, 0), *at;
	vm_page_t page = page_of(block);
	vm_page_t few[3] = {page, page, page}, three[3] = {page, page + 1, page + 2};
	char *bare = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t n = 0, zapped;
	unsigned long left = 3;
	int err = 0;

	require(bare != MAP_FAILED, "mmap");

	if (most > 300000)
		skip("vm.max_map_count is %ld", most);
	vma = make(pages * PAGE, PAGE, READ_WRITE);
	at = (char *)vma->vm_start;
	works(vm_insert_pages(other, other->vm_start, three, &left));
	while (n < pages) {
		err = vm_insert_page(vma, vma->vm_start + n * PAGE, page + n / 2 % 2);
		if (err)
			break;
		n += 2;
	}
	require(err == -ENOMEM, "%d after %zu", err, n);
	require(strstr(contig_strreason(), "vm.max_map_count"), "%s", contig_strreason());
	require((long)n > most / 2 - 3000, "only %zu", n);
	note("%zu pages with holes between, of %ld mappings", n / 2, most);
	/* Nothing half-done: not mapped, not known, still bare addresses. */
	require(!vma_lookup_page(vma, vma->vm_start + n * PAGE), "known");
	for (unsigned int i = 0; i < 20; i++) {
		refused(vm_insert_page(vma, vma->vm_start + n * PAGE, page), ENOMEM);
		refused(remap_pfn_range(vma, vma->vm_start + n * PAGE,
					contig_virt_to_phys(block) / PAGE, PAGE, PROT_READ),
			ENOMEM);
		left = 3;
		refused(vm_insert_pages(vma, vma->vm_start + n * PAGE, few, &left), ENOMEM);
		require(left == 3, "%lu left", left);
	}
	/* Unmapping the middle of a mapping takes another one. */
	for (size_t i = 1; i < 64; i += 2)
		if (mmap(bare + i * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0) == MAP_FAILED)
			break;
	refused(zap_vma_ptes(other, other->vm_start + PAGE, PAGE), ENOMEM);
	for (unsigned int i = 0; i < 3; i++)
		same((char *)other->vm_start + i * PAGE, block + i * PAGE);
	require(vma_lookup_page(other, other->vm_start + PAGE) == page + 1, "forgotten");
	munmap(bare, 64 * PAGE);
	/* Its place must not have been given away. */
	require(mmap(at + n * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
		     MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED, "the range was lost");
	for (size_t i = 0; i < n; i += 2 * 977)
		same(at + i * PAGE, block + i / 2 % 2 * PAGE);
	/* Room again, by as many as are unmapped. */
	works(zap_vma_ptes(vma, vma->vm_start + 10 * PAGE, PAGE));
	for (zapped = 12; zapped < 40; zapped += 2)
		works(zap_vma_ptes(vma, vma->vm_start + zapped * PAGE, PAGE));
	works(vm_insert_page(vma, vma->vm_start + n * PAGE, page));
	same(at + n * PAGE, block);
	vma_destroy(other);
	vma_destroy(vma);
	contig_free(block);
	require(!stats().allocated, "%" PRIu64 " allocated", stats().allocated);
}

/* --- unmapping by object -------------------------------------------------- */

static void by_object(void)
{
	vm_object_t object = vm_object_allocate(OBJT_DEFAULT, 1UL << 30);
	vm_object_t other = vm_object_allocate(OBJT_DEFAULT, 64);
	struct vm_area_struct *vmas[3], *idle = make(PAGE, PAGE, PROT_READ);
	vm_page_t pages[32], others[4];
	const uint64_t far = 1UL << 29;

	require(object && other && !contig_reserve(MIB), "%s", contig_strreason());
	VM_OBJECT_WLOCK(object);
	for (unsigned int i = 0; i < 32; i++) {
		pages[i] = vm_page_alloc(object, i < 16 ? i : far + i,
					 VM_ALLOC_NORMAL | VM_ALLOC_NOBUSY);
		require(pages[i], "%s", contig_strreason());
	}
	VM_OBJECT_WLOCK(other);
	for (unsigned int i = 0; i < 4; i++)
		others[i] = vm_page_alloc(other, i, VM_ALLOC_NORMAL | VM_ALLOC_NOBUSY);
	VM_OBJECT_WUNLOCK(other);
	for (unsigned int v = 0; v < 3; v++) {
		vmas[v] = make(128 * PAGE, PAGE, READ_WRITE);
		for (unsigned int i = 0; i < 32; i++)
			works(vm_insert_page(vmas[v], vmas[v]->vm_start + (3 * i + v) * PAGE,
					     pages[i]));
		for (unsigned int i = 0; i < 4; i++)
			works(vm_insert_page(vmas[v], vmas[v]->vm_start + (120 + i) * PAGE,
					     others[i]));
	}
	/* With the object locked, as drivers do. */
	works(unmap_mapping_range(object, 4 * PAGE + 1, 3 * PAGE, 1));
	VM_OBJECT_WUNLOCK(object);
	for (unsigned int v = 0; v < 3; v++) {
		for (unsigned int i = 0; i < 32; i++)
			require(!vma_lookup_page(vmas[v],
						 vmas[v]->vm_start + (3 * i + v) * PAGE) ==
					(i >= 4 && i < 7),
				"vma %u page %u", v, i);
		require(signal_of((char *)vmas[v]->vm_start + (15 + v) * PAGE, false) == SIGSEGV,
			"page 5 is mapped");
		same((char *)vmas[v]->vm_start + (21 + v) * PAGE, vm_page_address(pages[7]));
	}
	works(unmap_mapping_range(object, far * PAGE, 0, 0));
	works(unmap_mapping_range(object, far * PAGE, 0, 0));
	works(unmap_mapping_range(object, 15 * PAGE, ~UINT64_C(0) - 14 * PAGE, 0));
	for (unsigned int i = 0; i < 32; i++)
		require(!vma_lookup_page(vmas[0], vmas[0]->vm_start + 3 * i * PAGE) ==
				((i >= 4 && i < 7) || i >= 15),
			"page %u", i);
	for (unsigned int i = 0; i < 4; i++)
		same((char *)vmas[1]->vm_start + (120 + i) * PAGE, vm_page_address(others[i]));
	/* Page 7 goes with its last mapping, though its object is gone. */
	vm_object_deallocate(object);
	same((char *)vmas[2]->vm_start + 23 * PAGE, vm_page_address(pages[7]));
	require(!is_free(pages[7]) && is_free(pages[31]), "freed or kept");
	vma_destroy(vmas[0]);
	vma_destroy(vmas[1]);
	require(!is_free(pages[7]), "freed");
	vma_destroy(vmas[2]);
	require(is_free(pages[7]), "kept");
	vm_object_deallocate(other);
	vma_destroy(idle);
	contig_trim();
	require(!stats().held, "%" PRIu64 " held", stats().held);
}

/* --- the end of memory ---------------------------------------------------- */

static void trimmed(void)
{
	struct vm_area_struct *vma = make(4 * PAGE, PAGE, READ_WRITE);
	char *block = block_of(PAGE, 0), *seen = (char *)vma->vm_start;

	memset(block, 7, PAGE);
	works(vm_insert_page(vma, vma->vm_start, page_of(block)));
	contig_free(block);
	contig_trim();
	require(stats().held == SUPERPAGE, "%" PRIu64 " held", stats().held);
	for (unsigned int i = 0; i < PAGE; i++)
		require(seen[i] == 7, "byte %u", i);
	require(signal_of(seen, true) == 0, "not there");
	works(zap_vma_ptes(vma, vma->vm_start, PAGE));
	contig_trim();
	require(!stats().held, "%" PRIu64 " held", stats().held);
	require(signal_of(seen, false) == SIGSEGV, "still there");
}

static void destroy_pool(void *arg)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr), .node = -1};
	contig_pool_t *pool;
	struct vm_area_struct *vma = make(16 * PAGE, PAGE, READ_WRITE);
	struct vm_area_struct *big = make(SUPERPAGE, SUPERPAGE, PROT_READ);
	char *gone, *kept, *at = (char *)vma->vm_start;
	vm_page_t page;

	attr.kind = *(enum contig_pool_kind *)arg;
	pool = contig_pool_create(&attr);
	require(pool, "%s", contig_strreason());
	gone = contig_pool_malloc(pool, SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, SUPERPAGE, 0);
	kept = contigmalloc(PAGE, M_TEMP, 0, ANY);
	require(gone && kept, "%s", contig_strreason());
	page = page_of(gone);
	works(vm_insert_page(vma, vma->vm_start, page));
	works(vm_insert_page(vma, vma->vm_start + PAGE, page_of(kept)));
	works(vm_insert_page(vma, vma->vm_start + 2 * PAGE, page + 2));
	if (contig_level() != CONTIG_LEVEL_HIDDEN)
		works(vm_insert_pfn(vma, vma->vm_start + 3 * PAGE,
				    contig_virt_to_phys(gone) / PAGE + 3));
	works(vm_insert_page(big, big->vm_start, page));
	contig_pool_destroy(pool);
	same(at + PAGE, kept);
	require(!vma_lookup_page(vma, vma->vm_start) && !vma_lookup_page(big, big->vm_start),
		"a trace");
	for (unsigned int i = 0; i < 4; i++)
		require(signal_of(at + i * PAGE, false) == (i == 1 ? 0 : SIGSEGV), "page %u", i);
	require(signal_of((void *)big->vm_start, false) == SIGSEGV, "the superpage");
	refused(vm_insert_page(vma, vma->vm_start, page), EINVAL);
	works(vm_insert_page(vma, vma->vm_start, page_of(kept)));
	vma_destroy(vma);
	vma_destroy(big);
	contig_free(kept);
	contig_trim();
	require(!stats().held, "%" PRIu64 " held", stats().held);
	exit(0);
}

static void destroyed(void)
{
	static enum contig_pool_kind kinds[] = {CONTIG_POOL_DEFAULT, CONTIG_POOL_SHAREABLE};
	static struct outcome out;

	for (size_t i = 0; i < 2; i++) {
		if (i && getenv("CONTIG_SIM"))
			continue; /* may be refused there */
		collect_child(destroy_pool, &kinds[i], &out);
		require(!out.status, "status %d signal %d: %s%s", out.status, out.signal, out.out,
			out.err);
		require(lines(out.err) == 1 && strstr(out.err, "2048 KiB"), "%s", out.err);
	}
}

/* --- fork ----------------------------------------------------------------- */

struct family {
	struct vm_area_struct *vma;
	vm_page_t page;
	char *block;
	bool isolated;
};

static void child_of(void *arg)
{
	struct family *f = arg;
	char *at = (char *)f->vma->vm_start;
	struct vm_area_struct *own;

	if (f->isolated) {
		require(signal_of(at, false) == SIGSEGV, "the child sees isolated memory");
	} else {
		require(at[0] == 1, "bytes");
		at[0] = 2;
	}
	refused(vm_insert_page(f->vma, f->vma->vm_start + PAGE, f->page), EPERM);
	refused(zap_vma_ptes(f->vma, f->vma->vm_start, PAGE), EPERM);
	vma_destroy(f->vma);
	if (!f->isolated)
		require(at[0] == 2, "destroyed in the child");
	own = make(PAGE, PAGE, READ_WRITE);
	works(vm_insert_page(own, own->vm_start, page_of(block_of(PAGE, 0))));
	vma_destroy(own);
	_exit(0);
}

static void fork_with(contig_pool_t *pool, bool isolated)
{
	struct family f = {.vma = make(4 * PAGE, PAGE, READ_WRITE), .isolated = isolated};
	struct outcome out;

	f.block = contig_pool_malloc(pool, PAGE, M_TEMP, M_ZERO, ANY);
	require(f.block, "%s", contig_strreason());
	f.page = page_of(f.block);
	works(vm_insert_page(f.vma, f.vma->vm_start, f.page));
	f.block[0] = 1;
	out = run_child(child_of, &f);
	require(!out.status, "status %d signal %d", out.status, out.signal);
	require(f.block[0] == (f.isolated ? 1 : 2), "the child's byte");
	/* The child's end unmaps nothing here. */
	works(vm_insert_page(f.vma, f.vma->vm_start + PAGE, f.page));
	same((char *)f.vma->vm_start + PAGE, f.block);
	contig_free(f.block);
	require(!is_free(f.page), "freed");
	vma_destroy(f.vma);
	require(is_free(f.page), "kept");
}

static void forked(void)
{
	fork_with(NULL, getenv("CONTIG_FORK") != NULL);
}

/* Mapped by descriptor, which knows nothing of MADV_DONTFORK. */
static void forked_shareable(void)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr),
					.kind = CONTIG_POOL_SHAREABLE,
					.fork = CONTIG_FORK_ISOLATE,
					.node = -1};
	contig_pool_t *pool = contig_pool_create(&attr);

	require(pool, "%s", contig_strreason());
	fork_with(pool, true);
	contig_pool_destroy(pool);
}

/* A sealed file takes no new writable mapping; its owner's vma does. */
static void sealed(void)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr),
					.kind = CONTIG_POOL_SHAREABLE,
					.mode = CONTIG_SHARE_READONLY,
					.node = -1};
	contig_pool_t *pool = contig_pool_create(&attr);
	struct vm_area_struct *vma = make(2 * PAGE, PAGE, READ_WRITE);
	struct vm_area_struct *big = make(SUPERPAGE, SUPERPAGE, PROT_READ);
	char *block;

	require(pool, "%s", contig_strreason());
	block = contig_pool_malloc(pool, SUPERPAGE, M_TEMP, 0, 0, ~(vm_paddr_t)0, SUPERPAGE, 0);
	require(block, "%s", contig_strreason());
	works(vm_insert_page(vma, vma->vm_start, page_of(block + 3 * PAGE)));
	works(vm_insert_page(vma, vma->vm_start + PAGE, page_of(block + 4 * PAGE)));
	works(vm_insert_page(big, big->vm_start, page_of(block)));
	same((char *)vma->vm_start, block + 3 * PAGE);
	same((char *)vma->vm_start + PAGE, block + 4 * PAGE);
	same((char *)big->vm_start + 5 * PAGE, block + 5 * PAGE);
	require(signal_of((char *)vma->vm_start, true) == 0, "not writable");
	require(signal_of((char *)big->vm_start, true) == SIGSEGV, "writable");
	require(mappings((void *)vma->vm_start, (void *)vma->vm_end) == 1, "not one mapping");
	vma_destroy(vma);
	vma_destroy(big);
	contig_free(block);
	contig_pool_destroy(pool);
	require(!stats().held, "%" PRIu64 " held", stats().held);
}

/* --- threads -------------------------------------------------------------- */

#define THREADS 6
#define SHARED_PAGES 64

static struct {
	struct vm_area_struct *shared;
	char *block;
	vm_page_t page;
	_Atomic unsigned int inserted, zapped, busy;
	_Atomic bool stop;
} t;

static void *worker(void *arg)
{
	uint64_t state = (uintptr_t)arg + test_seed();
	struct vm_area_struct *own = make(SHARED_PAGES * PAGE, PAGE, READ_WRITE);

	for (unsigned long i = 0, n = test_scaled(6000, 600); i < n; i++) {
		unsigned int at = (unsigned int)(probe_random(&state) % SHARED_PAGES);
		unsigned int which = (unsigned int)(probe_random(&state) % SHARED_PAGES);
		struct vm_area_struct *vma = i % 3 ? t.shared : own;
		unsigned long addr = vma->vm_start + at * PAGE;
		int err;

		if (probe_random(&state) % 2) {
			err = vm_insert_page(vma, addr, t.page + which);
			require(!err || err == -EBUSY, "%d: %s", err, contig_strreason());
			if (!err)
				t.inserted++;
			else
				t.busy++;
			if (vma == own)
				require(*(volatile char *)addr ==
						t.block[(vma_lookup_page(vma, addr) - t.page) *
							PAGE],
					"bytes");
		} else {
			works(zap_vma_ptes(vma, addr, PAGE));
			t.zapped++;
		}
		if (i % 500 == 0) {
			vma_destroy(own);
			own = make(SHARED_PAGES * PAGE, PAGE, READ_WRITE);
		}
	}
	vma_destroy(own);
	return NULL;
}

static void *unmapper(void *arg)
{
	vm_object_t object = vm_object_allocate(OBJT_DEFAULT, 10);
	struct vm_area_struct *vma = make(4 * PAGE, PAGE, PROT_READ);

	(void)arg;
	while (!t.stop) {
		vm_page_t page;

		VM_OBJECT_WLOCK(object);
		page = vm_page_alloc(object, 3, VM_ALLOC_NORMAL | VM_ALLOC_NOBUSY);
		require(page, "%s", contig_strreason());
		works(vm_insert_page(vma, vma->vm_start + PAGE, page));
		works(unmap_mapping_range(object, 0, 0, 1));
		require(!vma_lookup_page(vma, vma->vm_start + PAGE), "not unmapped");
		vm_page_free(page);
		VM_OBJECT_WUNLOCK(object);
	}
	vma_destroy(vma);
	vm_object_deallocate(object);
	return NULL;
}

static void threads(void)
{
	pthread_t thread[THREADS], other;

	t.shared = make(SHARED_PAGES * PAGE, PAGE, READ_WRITE);
	t.block = block_of(SHARED_PAGES * PAGE, 0);
	t.page = page_of(t.block);
	for (unsigned int i = 0; i < SHARED_PAGES; i++)
		t.block[i * PAGE] = (char)(i + 1);
	for (uintptr_t i = 0; i < THREADS; i++)
		require(!pthread_create(&thread[i], NULL, worker, (void *)i), "thread");
	require(!pthread_create(&other, NULL, unmapper, NULL), "thread");
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	t.stop = true;
	pthread_join(other, NULL);
	for (unsigned int i = 0; i < SHARED_PAGES; i++) {
		unsigned long addr = t.shared->vm_start + i * PAGE;
		vm_page_t page = vma_lookup_page(t.shared, addr);

		if (page)
			same((char *)addr, t.block + (page - t.page) * PAGE);
	}
	note("%u inserted, %u busy, %u zaps", t.inserted, t.busy, t.zapped);
	contig_free(t.block);
	vma_destroy(t.shared);
	require(!stats().allocated, "%" PRIu64 " allocated", stats().allocated);
	contig_trim();
	require(!stats().held, "%" PRIu64 " held", stats().held);
}

/* A bug of the caller's, which must not hurt others. */
static void *late(void *arg)
{
	while (!t.stop) {
		int err = vm_insert_page(t.shared, (unsigned long)arg, t.page);

		require(!err || err == -EINVAL || err == -EBUSY || err == -EFAULT, "%d", err);
	}
	return NULL;
}

static void destroyed_early(void)
{
	pthread_t thread[2];

	t.block = block_of(PAGE, 0);
	t.page = page_of(t.block);
	for (unsigned int i = 0; i < 30; i++) {
		t.stop = false;
		t.shared = make(SHARED_PAGES * PAGE, PAGE, READ_WRITE);
		for (unsigned int j = 0; j < 2; j++)
			require(!pthread_create(&thread[j], NULL, late,
						(void *)(t.shared->vm_start + j * PAGE)),
				"thread");
		probe_sleep_ms(2);
		vma_destroy(t.shared);
		probe_sleep_ms(1);
		t.stop = true;
		for (unsigned int j = 0; j < 2; j++)
			pthread_join(thread[j], NULL);
	}
	contig_free(t.block);
	require(!stats().allocated, "%" PRIu64 " allocated", stats().allocated);
}

/* Who reads a page never notices what happens to its neighbours, with which
 * it becomes one mapping and two again.  TSan takes such a mapping for a
 * write. */
__attribute__((no_sanitize("thread"))) static void *reader(void *arg)
{
	const volatile char *at = arg;
	unsigned long *reads = calloc(1, sizeof(*reads));

	require(reads, "no memory");
	for (; !t.stop; ++*reads)
		require(at[*reads * 64 % PAGE] == 3, "other bytes");
	return reads;
}

static void undisturbed(void)
{
	struct vm_area_struct *big = make(3 * SUPERPAGE, SUPERPAGE, READ_WRITE);
	struct in_file two[8];
	pthread_t thread;
	double until;
	size_t i;
	void *reads;

	require(!contig_reserve(9 * SUPERPAGE), "%s", contig_strreason());
	for (i = 0; i < 8; i++)
		two[i] = in_file(block_of(SUPERPAGE, SUPERPAGE));
	qsort(two, 8, sizeof(two[0]), compare);
	for (i = 1; i < 8; i++)
		if (two[i].inode == two[i - 1].inode &&
		    two[i].offset == two[i - 1].offset + SUPERPAGE)
			break;
	if (i == 8)
		leave_out("no two superpages are neighbours in a file");
	memset(two[i - 1].va, 3, SUPERPAGE);
	works(vm_insert_page(big, big->vm_start, page_of(two[i - 1].va)));
	require(!pthread_create(&thread, NULL, reader, (void *)big->vm_start), "thread");
	until = probe_ms() + 1000;
	for (unsigned int turn = 0; turn < 30000 && probe_ms() < until; turn++) {
		works(vm_insert_page(big, big->vm_start + SUPERPAGE, page_of(two[i].va)));
		if (turn % 1000 == 0)
			require(mappings((void *)big->vm_start, (void *)big->vm_end) == 1,
				"not one mapping");
		works(zap_vma_ptes(big, big->vm_start + SUPERPAGE, SUPERPAGE));
	}
	t.stop = true;
	pthread_join(thread, &reads);
	note("%lu reads", *(unsigned long *)reads);
	free(reads);
	vma_destroy(big);
	for (i = 0; i < 8; i++)
		contig_free(two[i].va);
}

/* --- a model -------------------------------------------------------------- */

#define MODEL_VMAS 4
#define MODEL_PAGES 96
#define MODEL_BLOCKS 12

static struct {
	struct vm_area_struct *vma[MODEL_VMAS];
	struct {
		const char *va; /* what is mapped there; NULL: nothing */
		unsigned int block;
		bool writable;
	} at[MODEL_VMAS][MODEL_PAGES];
	char *block[MODEL_BLOCKS]; /* NULL: freed */
	char *was[MODEL_BLOCKS];
	uint64_t pa[MODEL_BLOCKS];
	size_t pages[MODEL_BLOCKS];
	uint64_t stamp[MODEL_BLOCKS];
	uint64_t state, inserted, refused_busy, zaps, freed_mapped;
} model;

static uint64_t rnd(uint64_t n)
{
	return probe_random(&model.state) % n;
}

static unsigned int mapped_of(unsigned int block)
{
	unsigned int n = 0;

	for (unsigned int v = 0; v < MODEL_VMAS; v++)
		for (unsigned int i = 0; i < MODEL_PAGES; i++)
			n += model.at[v][i].va && model.at[v][i].block == block;
	return n;
}

static uint64_t *stamp_at(const char *va)
{
	return (uint64_t *)(uintptr_t)(va + 64);
}

static void check_page(unsigned int v, unsigned int i)
{
	char *va = (char *)model.vma[v]->vm_start + i * PAGE;
	unsigned int b = model.at[v][i].block;
	vm_page_t page = vma_lookup_page(model.vma[v], (unsigned long)va);
	uint64_t pa = probe_address(va);
	size_t off;

	if (!model.at[v][i].va) {
		require(!page && pa == ADDRESS_ABSENT, "vma %u page %u is mapped", v, i);
		return;
	}
	off = (size_t)(model.at[v][i].va - model.was[b]);
	require(page == page_of(model.at[v][i].va), "vma %u page %u", v, i);
	require(pa != ADDRESS_ABSENT, "vma %u page %u is not populated", v, i);
	require(pa == ADDRESS_HIDDEN || model.pa[b] >= ADDRESS_HIDDEN ||
			pa == probe_address(model.at[v][i].va),
		"vma %u page %u: frame 0x%" PRIx64, v, i, pa);
	require(*stamp_at(va) == model.stamp[b] + off, "vma %u page %u: bytes", v, i);
}

static void model_insert(unsigned int v)
{
	unsigned int b = (unsigned int)rnd(MODEL_BLOCKS), i = (unsigned int)rnd(MODEL_PAGES);
	size_t n, first, busy = 0, from[MODEL_PAGES];
	bool scattered = rnd(3) == 0;
	vm_page_t pages[MODEL_PAGES];
	unsigned long addr = model.vma[v]->vm_start + i * PAGE, num;
	int err;

	if (!model.block[b])
		return;
	first = rnd(model.pages[b]);
	n = 1 + rnd(model.pages[b] - first);
	if (n > MODEL_PAGES - i)
		n = MODEL_PAGES - i;
	while (busy < n && !model.at[v][i + busy].va)
		busy++;
	for (size_t j = 0; j < n; j++) {
		from[j] = scattered ? rnd(model.pages[b]) : first + j;
		pages[j] = page_of(model.block[b] + from[j] * PAGE);
	}
	num = n;
	err = n > 1 || rnd(2) ? vm_insert_pages(model.vma[v], addr, pages, &num)
			      : vm_insert_page(model.vma[v], addr, pages[0]);
	if (n == 1)
		num = err ? 1 : 0;
	require(err == (busy < n ? -EBUSY : 0) && num == n - busy, "%d, %lu left of %zu, %zu: %s",
		err, num, n, busy, contig_strreason());
	model.refused_busy += err != 0;
	for (size_t j = 0; j < busy; j++) {
		model.at[v][i + j].va = model.block[b] + from[j] * PAGE;
		model.at[v][i + j].block = b;
		model.inserted++;
	}
}

static void settle_block(unsigned int b)
{
	if (!model.block[b] && model.was[b] && !mapped_of(b))
		model.was[b] = NULL;
}

static void model_zap(unsigned int v)
{
	unsigned int i = (unsigned int)rnd(MODEL_PAGES);
	unsigned int n = 1 + (unsigned int)rnd(rnd(4) ? 4 : MODEL_PAGES - i);

	if (n > MODEL_PAGES - i)
		n = MODEL_PAGES - i;
	works(zap_vma_ptes(model.vma[v], model.vma[v]->vm_start + i * PAGE, n * PAGE));
	for (unsigned int j = i; j < i + n; j++)
		model.at[v][j].va = NULL;
	for (unsigned int b = 0; b < MODEL_BLOCKS; b++)
		settle_block(b);
	model.zaps++;
}

static void model_block(unsigned int b)
{
	if (model.block[b]) {
		model.freed_mapped += mapped_of(b) != 0;
		contig_free(model.block[b]);
		model.block[b] = NULL;
		settle_block(b);
		return;
	}
	if (model.was[b])
		return; /* still mapped */
	model.pages[b] = 1 + rnd(40);
	model.block[b] = contigmalloc(model.pages[b] * PAGE, M_TEMP, 0, ANY);
	require(model.block[b], "%s", contig_strreason());
	for (unsigned int other = 0; other < MODEL_BLOCKS; other++)
		require(other == b || !model.was[other] ||
				model.block[b] + model.pages[b] * PAGE <= model.was[other] ||
				model.block[b] >= model.was[other] + model.pages[other] * PAGE,
			"block %u overlaps %u, which is live or mapped", b, other);
	model.was[b] = model.block[b];
	model.pa[b] = probe_address(model.block[b]);
	model.stamp[b] = probe_random(&model.state);
	for (size_t off = 0; off < model.pages[b] * PAGE; off += PAGE)
		*stamp_at(model.block[b] + off) = model.stamp[b] + off;
}

static void model_remake(unsigned int v)
{
	vma_destroy(model.vma[v]);
	memset(model.at[v], 0, sizeof(model.at[v]));
	model.vma[v] = make(MODEL_PAGES * PAGE, PAGE, v % 2 ? PROT_READ : READ_WRITE);
	for (unsigned int b = 0; b < MODEL_BLOCKS; b++)
		settle_block(b);
}

static void model_test(void)
{
	model.state = test_seed();
	for (unsigned int v = 0; v < MODEL_VMAS; v++)
		model.vma[v] = make(MODEL_PAGES * PAGE, PAGE, v % 2 ? PROT_READ : READ_WRITE);
	for (unsigned int step = 0; step < 12000; step++) {
		unsigned int v = (unsigned int)rnd(MODEL_VMAS);
		uint64_t what = rnd(100);

		if (what < 45)
			model_insert(v);
		else if (what < 80)
			model_zap(v);
		else if (what < 98)
			model_block((unsigned int)rnd(MODEL_BLOCKS));
		else if (what < 99)
			model_remake(v);
		else
			contig_trim();
		check_page(v, (unsigned int)rnd(MODEL_PAGES));
		if (step % 200 == 0)
			for (unsigned int i = 0; i < MODEL_PAGES; i++)
				for (unsigned int w = 0; w < MODEL_VMAS; w++)
					check_page(w, i);
	}
	note("%" PRIu64 " pages inserted, %" PRIu64 " busy, %" PRIu64 " zaps, %" PRIu64
	     " blocks freed while mapped",
	     model.inserted, model.refused_busy, model.zaps, model.freed_mapped);
	for (unsigned int v = 0; v < MODEL_VMAS; v++)
		vma_destroy(model.vma[v]);
	for (unsigned int b = 0; b < MODEL_BLOCKS; b++)
		contig_free(model.block[b]);
	require(!stats().allocated, "%" PRIu64 " allocated", stats().allocated);
	contig_trim();
	require(!stats().held, "%" PRIu64 " held", stats().held);
}

/* --- as nobody ------------------------------------------------------------ */

#define NOBODY(name, run)                                                   \
	static void name(void)                                              \
	{                                                                   \
		if (!become_nobody())                                       \
			skip("can't become nobody");                        \
		require(!probe_sees(), "nobody sees frames");               \
		run();                                                      \
	}

NOBODY(nobody_errors, errors)
NOBODY(nobody_pfn, pfn)
NOBODY(nobody_aliases, aliases)
NOBODY(nobody_coalescing, coalescing)
NOBODY(nobody_model, model_test)

static const struct test_case cases[] = {
    {"create_errors", create_errors, POOL_ANY, 0, THP},
    {"errors_collapsed", errors, 0, CASE_MAY_TRY, THP},
    {"errors_simulated", errors, POOL_ANY, 0, SIM},
    {"errors_nobody", nobody_errors, 0, CASE_MAY_TRY | CASE_ROOT, THP},
    {"errors_hugetlb", errors_whole, 8, CASE_ROOT, HUGETLB},
    {"reopened", reopened, 8, CASE_ROOT, HUGETLB},
    {"private", private_pages, 0, CASE_MAY_TRY, THP},
    {"pfn_collapsed", pfn, 0, CASE_MAY_TRY, THP},
    {"pfn_simulated", pfn, POOL_ANY, 0, SIM},
    {"pfn_nobody", nobody_pfn, 0, CASE_MAY_TRY | CASE_ROOT, THP},
    {"aliases_collapsed", aliases, 0, CASE_MAY_TRY, THP},
    {"aliases_simulated", aliases, POOL_ANY, 0, SIM},
    {"aliases_nobody", nobody_aliases, 0, CASE_MAY_TRY | CASE_ROOT, THP},
    {"references_collapsed", references, 0, CASE_MAY_TRY, THP},
    {"references_simulated", references, POOL_ANY, 0, SIM},
    {"superpages_collapsed", superpages, 0, CASE_MAY_TRY, THP},
    {"superpages_hugetlb", superpages, 8, CASE_ROOT, HUGETLB},
    {"superpages_simulated", superpages, POOL_ANY, 0, SIM},
    {"coalescing_collapsed", coalescing, 0, CASE_MAY_TRY, THP},
    {"coalescing_simulated", coalescing, POOL_ANY, 0, SIM},
    {"coalescing_nobody", nobody_coalescing, 0, CASE_MAY_TRY | CASE_ROOT, THP},
    {"coalescing_hugetlb", coalescing_whole, 64, CASE_ROOT, HUGETLB},
    {"limit", limit, POOL_ANY, CASE_SLOW | CASE_NO_SANITIZER, SIM},
    {"limit_collapsed", limit, 0, CASE_SLOW | CASE_NO_SANITIZER | CASE_MAY_TRY | CASE_SEES, THP},
    {"object_collapsed", by_object, 0, CASE_MAY_TRY, THP},
    {"object_simulated", by_object, POOL_ANY, 0, SIM},
    {"trimmed_collapsed", trimmed, 0, CASE_MAY_TRY, THP},
    {"trimmed_simulated", trimmed, POOL_ANY, 0, SIM},
    {"destroyed_collapsed", destroyed, 0, CASE_MAY_TRY, THP},
    {"destroyed_simulated", destroyed, POOL_ANY, 0, SIM},
    {"forked", forked, 0, CASE_MAY_TRY, THP},
    {"forked_isolated", forked, 0, CASE_MAY_TRY, THP " CONTIG_FORK=isolate"},
    {"forked_simulated", forked, POOL_ANY, 0, SIM},
    {"forked_shareable", forked_shareable, 0, CASE_MAY_TRY, THP},
    {"sealed", sealed, 0, CASE_MAY_TRY, THP},
    {"undisturbed_collapsed", undisturbed, 0, CASE_MAY_TRY, THP},
    {"undisturbed_hugetlb", undisturbed, 24, CASE_ROOT, HUGETLB},
    {"threads_collapsed", threads, 0, CASE_MAY_TRY | CASE_SLOW, THP},
    {"threads_simulated", threads, POOL_ANY, CASE_SLOW, SIM},
    {"destroyed_early", destroyed_early, 0, CASE_MAY_TRY, THP},
    {"model_collapsed", model_test, 0, CASE_MAY_TRY | CASE_SLOW, THP},
    {"model_simulated", model_test, POOL_ANY, CASE_SLOW, SIM},
    {"model_nobody", nobody_model, 0, CASE_MAY_TRY | CASE_SLOW | CASE_ROOT, THP},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
