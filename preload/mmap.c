/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmap and its family, as programs call them.
 *
 * Served on superpages: a new anonymous private mapping, readable and
 * writable, of the threshold or more, at an address of the kernel's choice.
 * Everything else is left to the kernel: reservations (PROT_NONE,
 * MAP_NORESERVE), stacks, addresses of the program's choice, code, and what is
 * longer than the limit.
 *
 * All other calls go to the kernel too, on our mappings as on others; they are
 * overridden only to keep count of what is still ours, and where advice to
 * drop memory would tear holes into a run.
 */
#include "preload/extents.h"
#include "preload/inside.h"
#include "preload/loosen.h"
#include "preload/mappings.h"
#include "preload/options.h"
#include "preload/pieces.h"
#include "preload/raw.h"
#include "preload/report.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#define MADV_KEEPONFORK 19
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13 */
#endif

#define EXPORT __attribute__((visibility("default")))

#define PAGE_SIZE_ ((size_t)4096)
#define SUPERPAGE ((size_t)2 << 20)

/* Dropping less than this is done by zeroing: the run stays whole.  Who drops
 * more wants the memory to be free. */
#define ZERO_MOST SUPERPAGE

/* What the kernel looks at in a new anonymous private mapping that is ours;
 * the others of these change nothing there. */
#define FLAGS_SERVED                                                               \
	(MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_NONBLOCK | MAP_DENYWRITE | \
	 MAP_EXECUTABLE | MAP_LOCKED)

static bool is_aligned(const void *addr)
{
	return !((uintptr_t)addr & (PAGE_SIZE_ - 1));
}

/* Up to whole pages; 0 for 0 and for what doesn't fit. */
static size_t whole_pages(const void *addr, size_t len)
{
	size_t n = (len + PAGE_SIZE_ - 1) & ~(PAGE_SIZE_ - 1);

	return n < len || (uintptr_t)addr + n < (uintptr_t)addr ? 0 : n;
}

/* Whether a call on the range needs the lock at all. */
static bool concerns_us(const void *addr, size_t len)
{
	return shim_mapping_near(addr, len) && !shim_inside() && is_aligned(addr) &&
	       whole_pages(addr, len);
}

static bool can_serve(const void *addr, size_t length, int prot, int flags, off_t offset)
{
	return (flags & (MAP_ANONYMOUS | MAP_TYPE)) == (MAP_ANONYMOUS | MAP_PRIVATE) &&
	       !addr && prot == (PROT_READ | PROT_WRITE) && !(flags & ~FLAGS_SERVED) &&
	       whole_pages(NULL, length) && is_aligned((void *)(uintptr_t)offset);
}

/* Why a mapping is none that we serve; NULL where nothing was promised. */
static const char *left_because(int prot, int flags)
{
	if ((flags & (MAP_ANONYMOUS | MAP_TYPE)) != (MAP_ANONYMOUS | MAP_PRIVATE) ||
	    (flags & (MAP_FIXED | MAP_HUGETLB)))
		return NULL;
	if (!(prot & PROT_WRITE) || (flags & MAP_NORESERVE))
		return "mappings: reserved address space is left alone";
	if (flags & (MAP_STACK | MAP_GROWSDOWN))
		return "mappings: stacks are left alone";
	return "mappings: code, or an address of the program's own choice";
}

static bool lock_memory(void *va, size_t len)
{
	if (shim_raw_mlock(va, len) < 0)
		return false;
	shim_mapping_lock();
	shim_mapping_change((uintptr_t)va, len);
	shim_mapping_unlock();
	return true;
}

static void give_up(void *va, size_t len)
{
	shim_mapping_lock();
	shim_raw_munmap(va, len);
	shim_mapping_let_go((uintptr_t)va, len, true);
	shim_mapping_unlock();
}

static void count_fallback(size_t len)
{
	shim_count(SHIM_FALLBACKS, 1);
	shim_count(SHIM_FALLBACK_BYTES, len);
	shim_count(SHIM_BASE_PAGES, len);
	shim_count(SHIM_LARGE_BROKEN, len);
}

/* MAP_FAILED: the kernel's turn; *fail: nobody's. */
static void *serve(size_t length, int flags, bool *fail)
{
	size_t len = whole_pages(NULL, length);
	bool must;
	const char *why = shim_mapping_policy(len, flags & (MAP_POPULATE | MAP_LOCKED),
					      &must);
	void *va = why ? NULL : shim_mapping_alloc(len, &why);

	*fail = false;
	if (must)
		shim_count_asked(len);
	/* Beyond RLIMIT_MEMLOCK: let the kernel say so. */
	if (va && (flags & MAP_LOCKED) && !lock_memory(va, len)) {
		give_up(va, len);
		return MAP_FAILED;
	}
	if (va)
		return va;
	shim_reason(why, len);
	if (!must) {
		shim_count(SHIM_MAPPED_LEFT, len);
		return MAP_FAILED;
	}
	if (shim_options.strict) {
		shim_count(SHIM_REFUSED, 1);
		*fail = true;
		return MAP_FAILED;
	}
	count_fallback(len);
	return MAP_FAILED;
}

/* Something at an address given, which may be one of ours. */
static void *map_over(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	size_t len = whole_pages(addr, length);
	void *va;

	shim_mapping_lock();
	shim_mapping_uncover((uintptr_t)addr, len);
	va = shim_raw_mmap(addr, length, prot, flags, fd, offset);
	/* A failed one may have unmapped what was there all the same. */
	if (va == addr || ((flags & MAP_FIXED) && errno != EINVAL && errno != EBADF))
		shim_mapping_let_go((uintptr_t)addr, len, false);
	shim_mapping_unlock();
	return va;
}

/* In the place of a part of a malloc'ed block, perhaps. */
static void replace_heap(void *addr, size_t length)
{
	if (shim_options.active && is_aligned(addr))
		shim_loosen(addr, whole_pages(addr, length));
}

EXPORT void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	const char *why = NULL;
	bool fail;
	void *va;

	if (!shim_options.active || shim_inside())
		return shim_raw_mmap(addr, length, prot, flags, fd, offset);
	if (addr && concerns_us(addr, length))
		return map_over(addr, length, prot, flags, fd, offset);
	if (flags & MAP_FIXED)
		replace_heap(addr, length);
	if (length >= shim_options.threshold && can_serve(addr, length, prot, flags, offset)) {
		va = serve(length, flags, &fail);
		if (va != MAP_FAILED)
			return va;
		if (fail) {
			errno = ENOMEM;
			return MAP_FAILED;
		}
	} else if (length >= shim_options.threshold) {
		why = left_because(prot, flags);
	}
	va = shim_raw_mmap(addr, length, prot, flags, fd, offset);
	if (why && va != MAP_FAILED) {
		shim_count(SHIM_MAPPED_LEFT, length);
		shim_reason(why, length);
	}
	return va;
}

EXPORT void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
	__attribute__((alias("mmap")));

EXPORT int munmap(void *addr, size_t length)
{
	size_t len = whole_pages(addr, length);
	int r;

	if (!concerns_us(addr, length)) {
		replace_heap(addr, length);
		return shim_raw_munmap(addr, length);
	}
	shim_mapping_lock();
	shim_mapping_uncover((uintptr_t)addr, len);
	r = shim_raw_munmap(addr, length);
	if (!r)
		shim_mapping_let_go((uintptr_t)addr, len, true);
	shim_mapping_unlock();
	return r;
}

#define PROTECTIONS (PROT_READ | PROT_WRITE | PROT_EXEC)

static int protect_raw(void *addr, size_t length, int prot, int key)
{
	return key == -1 ? shim_raw_mprotect(addr, length, prot) :
			   (int)syscall(SYS_pkey_mprotect, addr, length, prot, key);
}

/* No mapping of ours; perhaps of the heap. */
static int protect_heap(void *addr, size_t length, int prot, int key)
{
	if (shim_options.active && is_aligned(addr) && !(prot & ~PROTECTIONS) &&
	    (prot != (PROT_READ | PROT_WRITE) || key != -1))
		shim_loosen(addr, whole_pages(addr, length));
	return protect_raw(addr, length, prot, key);
}

static int protect(void *addr, size_t length, int prot, int key)
{
	size_t len = whole_pages(addr, length);
	int r;

	shim_mapping_lock();
	shim_mapping_uncover((uintptr_t)addr, len);
	r = protect_raw(addr, length, prot, key);
	/* Also when it failed: it may have come half-way. */
	if (key != -1 || prot != (PROT_READ | PROT_WRITE))
		shim_mapping_change((uintptr_t)addr, len);
	shim_mapping_unlock();
	return r;
}

EXPORT int mprotect(void *addr, size_t length, int prot)
{
	if (!concerns_us(addr, length))
		return protect_heap(addr, length, prot, -1);
	return protect(addr, length, prot, -1);
}

EXPORT int pkey_mprotect(void *addr, size_t length, int prot, int key)
{
	if (key == -1)
		return mprotect(addr, length, prot);
	if (!concerns_us(addr, length))
		return protect_heap(addr, length, prot, key);
	return protect(addr, length, prot, key);
}

/* Advice that leaves pages and mapping as they are. */
static bool is_harmless(int advice)
{
	switch (advice) {
	case MADV_WILLNEED:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
	case MADV_COLLAPSE:
		return true;
	}
	return false;
}

static int advise(void *addr, size_t length, int advice)
{
	uintptr_t start = (uintptr_t)addr;
	size_t len = whole_pages(addr, length);
	int r;

	switch (advice) {
	case MADV_FREE:
		/* Its content may stay for ever, and wired memory does. */
		if (shim_mapping_is_ours(start, len, true))
			return 0;
		break;
	case MADV_DONTNEED:
		if (len > ZERO_MOST || !shim_mapping_is_ours(start, len, true))
			break;
		memset(addr, 0, len);
		return 0;
	case MADV_COLLAPSE:
		/* It is; and the kernel must make no others there (EINVAL). */
		if (shim_mapping_is_ours(start, len, true))
			return 0;
		break;
	}
	shim_mapping_uncover(start, len);
	r = shim_raw_madvise(addr, length, advice);
	switch (advice) {
	case MADV_FREE:
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_GUARD_INSTALL:
		/* A failed one may have come half-way. */
		if (!r || errno == ENOMEM)
			shim_mapping_let_go(start, len, false);
		break;
	default:
		if (!is_harmless(advice))
			shim_mapping_change(start, len);
	}
	return r;
}

static bool on_superpages(const char *addr, size_t len)
{
	return shim_extent_on_superpage(addr) && shim_extent_on_superpage(addr + len - 1);
}

/* Pages of a malloc'ed block: to drop them would tear its run apart, and of a
 * hugetlb page do nothing at all.  What a program sees is that they are zero. */
static bool drop_block(void *addr, size_t length, int advice)
{
	size_t len = whole_pages(addr, length);

	if ((advice != MADV_DONTNEED && advice != MADV_FREE) || !len || shim_inside() ||
	    !is_aligned(addr))
		return false;
	if (!shim_extent_in_window(addr))
		return false;
	if (!shim_loosened && shim_extent_ours(addr) && shim_extent_ours((char *)addr + len - 1)) {
		if (advice == MADV_DONTNEED)
			memset(addr, 0, len);
		return true;
	}
	/* Of several kinds, perhaps: a child has its parent's as well. */
	return advice == MADV_FREE ? shim_loosened || on_superpages(addr, len) :
				     shim_loosen_zero(addr, len);
}

/* Advice that a program can't see the effect of. */
static bool is_hint(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_COLLAPSE:
		return true;
	}
	return false;
}

/* All that a superpage does with a hint is to come apart, or to refuse it. */
static bool hint_block(void *addr, size_t length, int advice)
{
	size_t len = whole_pages(addr, length);

	return is_hint(advice) && is_aligned(addr) && len && !shim_inside() &&
	       on_superpages(addr, len);
}

static int advise_block(void *addr, size_t length, int advice)
{
	if (drop_block(addr, length, advice) || hint_block(addr, length, advice))
		return 0;
	switch (advice) {
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_GUARD_INSTALL:
		if (is_aligned(addr))
			shim_loosen(addr, whole_pages(addr, length));
	}
	return shim_raw_madvise(addr, length, advice);
}

EXPORT int madvise(void *addr, size_t length, int advice)
{
	int r;

	if (!concerns_us(addr, length))
		return shim_options.active ? advise_block(addr, length, advice) :
					     shim_raw_madvise(addr, length, advice);
	shim_mapping_lock();
	r = advise(addr, length, advice);
	shim_mapping_unlock();
	return r;
}

/* libc's comes to madvise(2) by another way. */
EXPORT int posix_madvise(void *addr, size_t length, int advice)
{
	int saved = errno, error;

	/* By POSIX it changes nothing that a program could see. */
	if (advice == POSIX_MADV_DONTNEED)
		return 0;
	error = madvise(addr, length, advice) ? errno : 0;
	errno = saved;
	return error;
}

/*
 * Growing by copying: the new one is a run again.  The old one stays until
 * then, as it was if there is none.  *must: then it should have been.
 */
static void *grow(void *old, size_t old_len, size_t new_len, bool may_move, bool *must,
		  const char **why)
{
	void *va = NULL;

	*why = shim_mapping_policy(new_len, false, must);
	if (!*why && may_move)
		va = shim_mapping_alloc_growing(new_len, why);
	else if (!*why)
		*why = "mappings: no room to grow in place";
	if (!va)
		return NULL;
	shim_count_asked(new_len);
	memcpy(va, old, old_len);
	shim_mapping_lock();
	shim_raw_munmap(old, old_len);
	shim_mapping_let_go((uintptr_t)old, old_len, true);
	shim_mapping_unlock();
	return va;
}

/* By the kernel, on base pages. */
static void count_grown(size_t len, bool must, const char *why)
{
	shim_reason(why, len);
	if (must) {
		shim_count_asked(len);
		count_fallback(len);
	} else {
		shim_count(SHIM_MAPPED_LEFT, len);
	}
}

/* Past the books.  The range may be in pieces wherever superpages were moved to. */
static void *remap_any(void *old, size_t old_size, size_t new_size, int flags, void *new_addr)
{
	int error = errno;
	void *va = shim_raw_mremap(old, old_size, new_size, flags, new_addr);

	if (va != MAP_FAILED || errno != EFAULT)
		return va;
	va = shim_pieces_remap(old, whole_pages(old, old_size), whole_pages(NULL, new_size),
			       flags, new_addr);
	if (va != MAP_FAILED)
		errno = error;
	return va;
}

/* With the lock held, on memory of ours. */
static void *remap(void *old, size_t old_size, size_t new_size, int flags, void *new_addr)
{
	uintptr_t start = (uintptr_t)old;
	size_t old_len = whole_pages(old, old_size), new_len = whole_pages(NULL, new_size);
	size_t kept = new_len < old_len ? new_len : old_len;
	bool fixed = flags & MREMAP_FIXED;
	void *va;

	shim_mapping_uncover(start, old_len);
	if (fixed)
		shim_mapping_uncover((uintptr_t)new_addr, new_len);
	va = remap_any(old, old_size, new_size, flags, new_addr);
	if (va == MAP_FAILED) {
		/* What it would have replaced or cut off can be gone all the same. */
		if (errno != EINVAL) {
			if (fixed)
				shim_mapping_let_go((uintptr_t)new_addr, new_len, false);
			shim_mapping_let_go(start + kept, old_len - kept, false);
		}
		return va;
	}
	if (fixed)
		shim_mapping_let_go((uintptr_t)new_addr, new_len, false);
	if (va == old)
		shim_mapping_let_go(start + kept, old_len - kept, true);
	else
		shim_mapping_let_go(start, old_len, false);
	return va;
}

EXPORT void *mremap(void *old, size_t old_size, size_t new_size, int flags, ...)
{
	size_t old_len = whole_pages(old, old_size), new_len = whole_pages(NULL, new_size);
	void *new_addr, *va;
	va_list arguments;
	int error = errno;
	const char *why = NULL;
	bool grows, must = false;

	va_start(arguments, flags);
	new_addr = va_arg(arguments, void *);
	va_end(arguments);
	if (!(flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)))
		new_addr = NULL;
	if (shim_inside() || !is_aligned(old) || !new_len)
		return shim_raw_mremap(old, old_size, new_size, flags, new_addr);
	replace_heap(old, old_size);
	if (flags & MREMAP_FIXED)
		replace_heap(new_addr, new_size);
	if (!concerns_us(old, old_size) &&
	    !((flags & MREMAP_FIXED) && concerns_us(new_addr, new_size))) {
		va = shim_raw_mremap(old, old_size, new_size, flags, new_addr);
		if (va != MAP_FAILED || errno != EFAULT || !shim_window.span)
			return va;
		errno = error;
	}
	shim_mapping_lock();
	grows = new_len > old_len && !(flags & ~MREMAP_MAYMOVE) &&
		shim_mapping_is_ours((uintptr_t)old, old_len, true);
	if (grows && shim_mapping_extend((uintptr_t)old, old_len, new_len)) {
		shim_mapping_unlock();
		shim_count_asked(new_len - old_len);
		return old;
	}
	if (grows) {
		shim_mapping_unlock();
		va = grow(old, old_len, new_len, flags & MREMAP_MAYMOVE, &must, &why);
		if (va)
			return va;
		if (must && shim_options.strict) {
			shim_count_asked(new_len - old_len);
			shim_count(SHIM_REFUSED, 1);
			shim_reason(why, new_len - old_len);
			errno = ENOMEM;
			return MAP_FAILED;
		}
		shim_mapping_lock();
	}
	va = remap(old, old_size, new_size, flags, new_addr);
	shim_mapping_unlock();
	if (grows && va != MAP_FAILED)
		count_grown(new_len - old_len, must, why);
	return va;
}

/* Locked memory refuses advice that other memory takes. */
static int lock_range(const void *addr, size_t length, unsigned int flags, bool plain)
{
	size_t len = whole_pages((void *)((uintptr_t)addr & ~(PAGE_SIZE_ - 1)),
				 length + ((uintptr_t)addr & (PAGE_SIZE_ - 1)));
	uintptr_t start = (uintptr_t)addr & ~(PAGE_SIZE_ - 1);
	bool ours = len && concerns_us((void *)start, len);
	int r;

	if (ours) {
		shim_mapping_lock();
		shim_mapping_uncover(start, len);
	}
	r = plain ? shim_raw_mlock(addr, length) :
		    (int)syscall(SYS_mlock2, addr, length, flags);
	if (ours) {
		shim_mapping_change(start, len);
		shim_mapping_unlock();
	}
	return r;
}

EXPORT int mlock(const void *addr, size_t length)
{
	return lock_range(addr, length, 0, true);
}

EXPORT int mlock2(const void *addr, size_t length, unsigned int flags)
{
	return lock_range(addr, length, flags, false);
}

EXPORT int mlockall(int flags)
{
	int r;

	if (!shim_window.span || shim_inside())
		return (int)syscall(SYS_mlockall, flags);
	shim_mapping_lock();
	shim_mapping_uncover(shim_window.start, shim_window.span);
	r = (int)syscall(SYS_mlockall, flags);
	shim_mapping_change_all();
	shim_mapping_unlock();
	return r;
}
