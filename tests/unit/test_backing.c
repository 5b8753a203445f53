/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files under shareable pools: what they are sealed against, that frames
 * are found in them, what closing descriptors, quarantine, trim and destroy
 * do; and the references of mappings.
 */
#include "base/page.h"
#include "contig/vm_area.h"
#include "contig/vm_object.h"
#include "host/pagemap.h"
#include "kpi/page_ref.h"
#include "phys/backing.h"
#include "phys/magazine.h"
#include "phys/page.h"
#include "phys/physmap.h"
#include "phys/pool.h"
#include "phys/start.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#define ANY 0, ~(vm_paddr_t)0, 0, 0
#define SHRINK_GROW (F_SEAL_SHRINK | F_SEAL_GROW)
#define SIM "1G-2G"

static const char *const levels[] = {NULL, SIM};

/* Each test runs at two levels: of the machine, and described. */
static void at_level(int i)
{
	unsetenv("CONTIG_SIM");
	if (levels[i])
		setenv("CONTIG_SIM", levels[i], 1);
}

static contig_pool_t *pool_of(enum contig_share_mode mode)
{
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr), .node = -1, .kind = CONTIG_POOL_SHAREABLE, .mode = mode};
	contig_pool_t *pool = contig_pool_create(&attr);

	ck_assert_msg(pool, "%s", contig_strreason());
	return pool;
}

static uint64_t held(void)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};

	contig_stats_get(&stats);
	return stats.held;
}

static char *block(contig_pool_t *pool, size_t size)
{
	char *va = contig_pool_malloc(pool, size, M_TEMP, 0, ANY);

	ck_assert_msg(va, "%s", contig_strreason());
	return va;
}

static uint64_t frame_of(const void *va)
{
	return address_place(va) >> FRAME_SHIFT;
}

static struct backing backing_of(const void *va)
{
	struct backing b;

	ck_assert(contig_backing_of(frame_of(va), &b));
	return b;
}

/* The same bytes through a descriptor, and, where it can be seen, the frame. */
static void same_memory(int fd, char *va)
{
	struct backing b = backing_of(va);
	char *other = mmap(NULL, FRAME_SIZE, PROT_READ, MAP_SHARED, fd, b.offset);

	ck_assert_ptr_ne(other, MAP_FAILED);
	va = (char *)align_down((uintptr_t)va, FRAME_SIZE);
	*(volatile char *)va = 77;
	ck_assert_int_eq(*(volatile char *)other, 77);
	*(volatile char *)va = 78;
	ck_assert_int_eq(*(volatile char *)other, 78);
	ck_assert_uint_eq(contig_pagemap_frame(other), contig_pagemap_frame(va));
	munmap(other, FRAME_SIZE);
}

START_TEST(test_seals)
{
	static const int seals[] = {SHRINK_GROW | F_SEAL_SEAL,
				    SHRINK_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE, SHRINK_GROW};
	const int mask = SHRINK_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE | F_SEAL_WRITE;

	at_level(_i % 2);
	for (int mode = 0; mode < 3; mode++) {
		contig_pool_t *pool = pool_of((enum contig_share_mode)mode);
		char *va = block(pool, 3 * SUPERPAGE_SIZE / 2), *last = va + 3 * SUPERPAGE_SIZE / 2 - 1;
		struct backing b = backing_of(va);
		struct stat st;
		int fd;

		ck_assert_int_ge(b.fd, 3);
		ck_assert_int_eq(fcntl(b.fd, F_GET_SEALS) & mask, seals[mode]);
		ck_assert_int_eq(fstat(b.fd, &st), 0);
		ck_assert_uint_eq(st.st_mode & 07777, 0400);
		ck_assert_uint_eq((uint64_t)st.st_size, b.file_size);
		if (mode != CONTIG_SHARE_REVOCABLE)
			ck_assert_msg((uint64_t)st.st_blocks * 512 >= b.file_size, "a hole");
		ck_assert(fcntl(b.fd, F_GETFD) & FD_CLOEXEC);
		ck_assert(b.shared && !b.hugetlb && b.kind == CONTIG_POOL_SHAREABLE &&
			  (int)b.mode == mode && b.page_size == FRAME_SIZE);
		ck_assert_int_eq(b.sealed, mode == CONTIG_SHARE_READONLY);
		if (mode != CONTIG_SHARE_REVOCABLE) {
			ck_assert_uint_eq(b.file_size, SUPERPAGE_SIZE);
			ck_assert_uint_ne(b.file, backing_of(last).file);
		}
		fd = contig_backing_descriptor(frame_of(va), false);
		ck_assert_int_ge(fd, 3);
		ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		same_memory(fd, va);
		close(fd);
		fd = contig_backing_descriptor(frame_of(last), true);
		if (mode == CONTIG_SHARE_READONLY) {
			ck_assert_int_eq(fd, -EPERM);
			/* Not even by a descriptor for writing. */
			ck_assert_ptr_eq(mmap(NULL, FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
					      b.fd, 0),
					 MAP_FAILED);
			ck_assert_int_eq(fallocate(b.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
						   0, SUPERPAGE_SIZE),
					 -1);
			ck_assert_int_eq(contig_backing_seal(frame_of(va)), 0);
		} else {
			ck_assert_int_ge(fd, 3);
			ck_assert_int_eq(ftruncate(fd, 0), -1);
			same_memory(fd, last);
			close(fd);
		}
		if (mode == CONTIG_SHARE_REVOCABLE)
			ck_assert_int_eq(contig_backing_seal(frame_of(va)), -EPERM);
		/* All of it comes back, sealed or not. */
		contig_free(va);
		ck_assert_uint_gt(held(), 0);
		ck_assert_uint_gt(contig_trim(), 0);
		ck_assert_uint_eq(held(), 0);
		ck_assert_int_eq(fcntl(b.fd, F_GETFD), -1);
		va = block(pool, FRAME_SIZE);
		b = backing_of(va);
		contig_pool_destroy(pool);
		ck_assert_uint_eq(held(), 0);
		ck_assert_int_eq(fcntl(b.fd, F_GETFD), -1);
	}
}
END_TEST

START_TEST(test_fixed_seal)
{
	contig_pool_t *pool;
	struct backing b;
	char *va, *peer;
	int fd;

	at_level(_i % 2);
	pool = pool_of(CONTIG_SHARE_FIXED);
	va = block(pool, SUPERPAGE_SIZE);
	fd = contig_backing_descriptor(frame_of(va), true);
	ck_assert_int_ge(fd, 3);
	b = backing_of(va);
	peer = mmap(NULL, b.file_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(peer, MAP_FAILED);
	ck_assert_int_eq(contig_backing_seal(frame_of(va)), 0);
	ck_assert_int_eq(contig_backing_seal(frame_of(va)), 0);
	ck_assert(backing_of(va).sealed);
	/* It goes on writing, and can't take anything away. */
	peer[b.offset] = 5;
	ck_assert_int_eq(va[0], 5);
	ck_assert_int_eq(madvise(peer, b.file_size, MADV_REMOVE), -1);
	ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				   (off_t)b.file_size),
			 -1);
	ck_assert_ptr_eq(mmap(NULL, FRAME_SIZE, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	munmap(peer, b.file_size);
	/* One who punched before is found out, refilled or not. */
	for (int refill = 0; refill < 2; refill++) {
		va = contig_pool_malloc(pool, SUPERPAGE_SIZE, M_TEMP, 0, 0, ~(vm_paddr_t)0,
					SUPERPAGE_SIZE, 0);
		ck_assert_msg(va, "%s", contig_strreason());
		if (_i % 2 && refill)
			break; /* described memory has no frames to compare */
		close(fd);
		fd = contig_backing_descriptor(frame_of(va), true);
		peer = mmap(NULL, SUPERPAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		ck_assert_ptr_ne(peer, MAP_FAILED);
		ck_assert_int_eq(madvise(peer, SUPERPAGE_SIZE, MADV_REMOVE), 0);
		if (refill)
			memset(peer, 1, SUPERPAGE_SIZE);
		ck_assert_int_eq(contig_backing_seal(frame_of(va)), -ESTALE);
		munmap(peer, SUPERPAGE_SIZE);
	}
	close(fd);
	contig_pool_destroy(pool);
}
END_TEST

START_TEST(test_closed_descriptors)
{
	contig_pool_t *pool;
	struct backing b;
	int other, fd;
	char *va;

	at_level(_i % 2);
	pool = pool_of(CONTIG_SHARE_REVOCABLE);
	va = block(pool, FRAME_SIZE);
	b = backing_of(va);
	close(b.fd);
	ck_assert_int_eq(contig_backing_descriptor(frame_of(va), false), -EBADF);
	ck_assert_msg(strstr(contig_strreason(), "closefrom"), "%s", contig_strreason());
	/* The program's own file under that number is never told for ours. */
	other = open("/dev/null", O_RDWR);
	ck_assert_int_eq(dup2(other, b.fd), b.fd);
	fd = contig_backing_descriptor(frame_of(va), true);
	ck_assert_int_eq(fd, -EBADF);
	contig_pool_destroy(pool);
	ck_assert_int_ge(fcntl(b.fd, F_GETFD), 0);
	close(other);
	close(b.fd);
	/* Standard descriptors closed: their numbers aren't taken. */
	close(0);
	pool = pool_of(CONTIG_SHARE_READONLY);
	va = block(pool, FRAME_SIZE);
	ck_assert_int_ge(backing_of(va).fd, 3);
	fd = contig_backing_descriptor(frame_of(va), false);
	ck_assert_int_ge(fd, 3);
	close(fd);
	contig_pool_destroy(pool);
}
END_TEST

START_TEST(test_quarantine)
{
	struct contig_watermarks before, after;
	contig_pool_t *pool;
	uint64_t newly;
	char *va, *other;

	at_level(_i % 2);
	pool = pool_of(CONTIG_SHARE_READONLY);
	va = block(pool, 10 * FRAME_SIZE);
	contig_watermarks_get(pool, &before);
	newly = contig_backing_quarantine(frame_of(va));
	ck_assert_uint_eq(newly, SUPERPAGE_SIZE - 10 * FRAME_SIZE);
	ck_assert_uint_eq(contig_quarantined_bytes(), newly);
	ck_assert_uint_eq(contig_backing_quarantine(frame_of(va)), 0);
	contig_watermarks_get(pool, &after);
	ck_assert_uint_eq(after.free_count, before.free_count - (newly >> FRAME_SHIFT));
	memset(va, 1, 10 * FRAME_SIZE); /* its user has it still */
	contig_free(va);
	ck_assert_uint_eq(contig_quarantined_bytes(), SUPERPAGE_SIZE);
	/* Not used again, nor given back; the pool goes on with others. */
	contig_trim();
	ck_assert_uint_eq(held(), SUPERPAGE_SIZE);
	for (int i = 0; i < 600; i++) {
		other = block(pool, FRAME_SIZE);
		ck_assert(frame_of(other) >> 9 != frame_of(va) >> 9);
	}
	ck_assert_ptr_null(contig_pool_check(pool));
	contig_pool_destroy(pool);
	ck_assert_uint_eq(contig_quarantined_bytes(), 0);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

static vm_page_t page_of_pool(contig_pool_t *pool)
{
	vm_page_t m = contig_pool_page_alloc(pool, VM_ALLOC_NORMAL | VM_ALLOC_WAITOK, 1, ANY);

	ck_assert_msg(m, "%s", contig_strreason());
	return m;
}

/* Pages that wait in a thread's cache are out of use as well. */
START_TEST(test_quarantine_cached)
{
	contig_pool_t *pool;
	vm_page_t cached, live, m;
	uint64_t superpage;

	at_level(_i % 2);
	pool = pool_of(CONTIG_SHARE_REVOCABLE);
	page_of_pool(pool);
	live = page_of_pool(pool);
	cached = page_of_pool(pool);
	superpage = page_frame(cached) / SUPERPAGE_FRAMES;
	ck_assert_uint_eq(page_frame(live) / SUPERPAGE_FRAMES, superpage);
	vm_page_free(cached);
	ck_assert_uint_eq(cached->state, VM_PAGE_CACHED);
	contig_backing_quarantine(page_frame(live));
	ck_assert_uint_eq(contig_quarantined_bytes(), SUPERPAGE_SIZE - 2 * FRAME_SIZE);
	vm_page_free(live);
	ck_assert_uint_ne(live->state, VM_PAGE_CACHED);
	ck_assert_uint_eq(contig_quarantined_bytes(), SUPERPAGE_SIZE - FRAME_SIZE);
	for (int i = 0; i < 100; i++) {
		m = page_of_pool(pool);
		ck_assert_uint_ne(page_frame(m) / SUPERPAGE_FRAMES, superpage);
	}
	ck_assert_ptr_null(contig_pool_check(pool));
	contig_pool_destroy(pool);
	ck_assert_uint_eq(contig_quarantined_bytes(), 0);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

START_TEST(test_other_pools)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr), .node = -1};
	contig_pool_t *pool;
	struct backing b;
	char *va;

	at_level(_i % 2);
	if (!_i)
		setenv("CONTIG_SOURCES", "thp", 1);
	va = contigmalloc(2 * SUPERPAGE_SIZE, M_TEMP, 0, ANY);
	ck_assert_msg(va, "%s", contig_strreason());
	b = backing_of(va);
	ck_assert(b.fd == -1 && b.shared && b.file && !b.sealed);
	ck_assert_int_eq(contig_backing_descriptor(frame_of(va), false), -EPERM);
	ck_assert_int_eq(contig_backing_seal(frame_of(va)), -EPERM);
	ck_assert(!contig_backing_of(0, &b));
	attr.mode = CONTIG_SHARE_READONLY;
	ck_assert(!contig_pool_create(&attr) && errno == EINVAL);
	attr.kind = CONTIG_POOL_SHAREABLE;
	attr.mode = (enum contig_share_mode)3;
	ck_assert(!contig_pool_create(&attr) && errno == EINVAL);
	attr.mode = CONTIG_SHARE_FIXED;
	attr.sources = CONTIG_SOURCE_2M;
	ck_assert(!contig_pool_create(&attr) && errno == EINVAL);
	attr.sources = CONTIG_SOURCE_THP;
	pool = contig_pool_create(&attr);
	ck_assert(pool);
	contig_pool_destroy(pool);
	contig_free(va);
}
END_TEST

/* --- references of mappings */

static uint64_t pool_free(void)
{
	struct contig_watermarks w;

	contig_watermarks_get(NULL, &w);
	return w.free_count;
}

static void quiet(const char *message)
{
	(void)message;
}

START_TEST(test_block_refs)
{
	struct vm_page *page;
	uint64_t before;
	char *va;

	at_level(1);
	contig_set_panic_handler(quiet);
	va = contigmalloc(700 * FRAME_SIZE, M_TEMP, 0, ANY);
	ck_assert_ptr_nonnull(va);
	before = pool_free();
	page = vm_page_of_address(va);
	ck_assert(page_map_ref(page + 700) && page_map_ref(page - 1));
	for (int i = 699; i >= 0; i -= 3)
		ck_assert(!page_map_ref(page + i));
	contig_free(va);
	ck_assert_uint_eq(pool_free(), before);
	/* Twice is still seen. */
	errno = 0;
	contig_free(va);
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_msg(strstr(contig_strreason(), "freed already"), "%s", contig_strreason());
	va[5] = 1;
	for (int i = 0; i < 700; i += 3)
		page_map_unref(page + i);
	ck_assert_uint_eq(pool_free(), before + 700);
	ck_assert(page_map_ref(page));
	/* Mapped and unmapped before it is freed. */
	va = contigmalloc(FRAME_SIZE, M_TEMP, 0, ANY);
	page = vm_page_of_address(va);
	before = pool_free();
	ck_assert(!page_map_ref(page));
	page_map_unref(page);
	ck_assert_uint_eq(pool_free(), before);
	contig_free(va);
	ck_assert_uint_eq(pool_free(), before + 1);
}
END_TEST

START_TEST(test_page_refs)
{
	uint64_t before;
	vm_page_t m;

	at_level(1);
	m = vm_page_alloc_noobj(VM_ALLOC_NORMAL | VM_ALLOC_WAITOK);
	ck_assert_ptr_nonnull(m);
	before = pool_free();
	for (unsigned int i = 0; i < REF_MAPPINGS; i++)
		ck_assert(!page_map_ref(m));
	ck_assert_int_eq(page_map_ref(m), -ENOMEM); /* too many */
	vm_page_free(m);
	for (unsigned int i = 0; i < REF_MAPPINGS; i++) {
		ck_assert_uint_eq(m->state, VM_PAGE_SINGLE);
		page_map_unref(m);
	}
	ck_assert_uint_eq(pool_free(), before + 1);
	ck_assert(page_map_ref(m));
}
END_TEST

/* As often as can be counted, and not a free page for that. */
START_TEST(test_ref_limits)
{
	struct vm_area_struct *vma;
	vm_page_t m, head;
	uint32_t refs;
	char *va;

	at_level(1);
	vma = vma_create(2 * FRAME_SIZE, FRAME_SIZE, PROT_READ);
	ck_assert_ptr_nonnull(vma);
	m = vm_page_alloc_noobj(VM_ALLOC_NORMAL | VM_ALLOC_WAITOK);
	ck_assert_ptr_nonnull(m);
	refs = m->ref_count;
	m->ref_count |= REF_MAPPINGS;
	ck_assert_int_eq(vm_insert_page(vma, vma->vm_start, m), -ENOMEM);
	ck_assert_msg(strstr(contig_strreason(), "262143"), "%s", contig_strreason());
	m->ref_count = refs;
	ck_assert_int_eq(vm_insert_page(vma, vma->vm_start, m), 0);
	vm_page_free(m);
	/* A block's pages are counted in its first. */
	va = contigmalloc(3 * FRAME_SIZE, M_TEMP, 0, ANY);
	ck_assert_ptr_nonnull(va);
	head = vm_page_of_address(va);
	for (unsigned int i = 0; i < 2 * REF_MAPPINGS; i++)
		ck_assert(!page_map_ref(head + i % 3));
	ck_assert_uint_eq(head->ref_count, REF_OWNER | 2 * REF_MAPPINGS);
	head->ref_count |= REF_BLOCK_MAPPINGS;
	ck_assert_int_eq(vm_insert_page(vma, vma->vm_start + FRAME_SIZE, head + 2), -ENOMEM);
	head->ref_count = REF_OWNER | 2 * REF_MAPPINGS;
	for (unsigned int i = 0; i < 2 * REF_MAPPINGS; i++)
		page_map_unref(head + i % 3);
	contig_free(va);
	ck_assert_int_eq(vm_insert_page(vma, vma->vm_start + FRAME_SIZE, head), -EINVAL);
	vma_destroy(vma);
	ck_assert_uint_eq(m->ref_count, 0);
}
END_TEST

/* Pages that were let go of between a look at a superpage and counting its
 * mapping, wherever they have got to. */
START_TEST(test_super_late)
{
	uint64_t before, frame;
	vm_page_t m;

	at_level(1);
	ck_assert(vm_page_reclaim_contig(VM_ALLOC_NORMAL, 512, 0, ~(vm_paddr_t)0, SUPERPAGE_SIZE, 0));
	m = vm_page_alloc_noobj_contig(VM_ALLOC_NORMAL, 512, 0, ~(vm_paddr_t)0, SUPERPAGE_SIZE, 0, 0);
	ck_assert_ptr_nonnull(m);
	before = pool_free();
	frame = page_frame(m);
	ck_assert(contig_page_super_ref(frame, 512));
	contig_page_super_unref(frame);
	vm_page_free(m + 7); /* to a cache */
	ck_assert_uint_eq(m[7].state, VM_PAGE_CACHED);
	ck_assert(!contig_page_super_ref(frame, 512));
	contig_magazines_drain(); /* to the pool */
	ck_assert_uint_eq(m[7].state, VM_PAGE_OTHER);
	ck_assert(!contig_page_super_ref(frame, 512));
	ck_assert_ptr_eq(contigmalloc(FRAME_SIZE, M_TEMP, 0, (frame + 7) << FRAME_SHIFT,
				      (frame + 8) << FRAME_SHIFT, 0, 0),
			 vm_page_address(m + 7)); /* to somebody else */
	ck_assert(!contig_page_super_ref(frame, 512));
	ck_assert(contig_page_super_ref(frame, 511));
	for (int i = 0; i < 512; i++)
		if (i != 7)
			vm_page_free(m + i);
	ck_assert_uint_eq(pool_free(), before);
	contig_page_super_unref(frame);
	ck_assert_uint_eq(pool_free(), before + 511);
	contig_free(vm_page_address(m + 7));
	ck_assert_ptr_null(contig_pool_check(&contig_default_pool));
}
END_TEST

START_TEST(test_super_refs)
{
	uint64_t before;
	vm_page_t m;
	char *va;

	at_level(1);
	contig_set_panic_handler(quiet);
	/* Pages by themselves. */
	ck_assert(vm_page_reclaim_contig(VM_ALLOC_NORMAL, 512, 0, ~(vm_paddr_t)0, SUPERPAGE_SIZE, 0));
	m = vm_page_alloc_noobj_contig(VM_ALLOC_NORMAL, 512, 0, ~(vm_paddr_t)0, SUPERPAGE_SIZE, 0, 0);
	ck_assert_ptr_nonnull(m);
	before = pool_free();
	ck_assert(page_map_ref_super(m + 1));
	ck_assert(!page_map_ref_super(m) && !page_map_ref_super(m));
	for (int i = 0; i < 512; i++)
		vm_page_free(m + i);
	ck_assert_uint_eq(pool_free(), before);
	ck_assert(page_map_ref_super(m) && page_map_ref(m + 9));
	errno = 0;
	vm_page_free(m + 3);
	ck_assert_int_eq(errno, EINVAL);
	page_map_unref_super(m);
	ck_assert_uint_eq(pool_free(), before);
	page_map_unref_super(m);
	ck_assert_uint_eq(pool_free(), before + 512);
	/* One of them free: no reference on any. */
	m = vm_page_alloc_noobj_contig(VM_ALLOC_NORMAL, 512, 0, ~(vm_paddr_t)0, SUPERPAGE_SIZE, 0, 0);
	ck_assert_ptr_nonnull(m);
	vm_page_free(m + 511);
	ck_assert(page_map_ref_super(m));
	for (int i = 0; i < 511; i++)
		vm_page_free(m + i);
	ck_assert_uint_eq(pool_free(), before + 512);
	/* A block that reaches beyond it on both sides. */
	va = contigmalloc(3 * SUPERPAGE_SIZE, M_TEMP, 0, 0, ~(vm_paddr_t)0, SUPERPAGE_SIZE, 0);
	ck_assert_ptr_nonnull(va);
	before = pool_free();
	m = vm_page_of_address(va);
	ck_assert(!page_map_ref_super(m + 512) && !page_map_ref_super(m + 1024));
	contig_free(va);
	ck_assert_uint_eq(pool_free(), before);
	page_map_unref_super(m + 512);
	page_map_unref_super(m + 1024);
	ck_assert_uint_eq(pool_free(), before + 3 * 512);
	/* Blocks and pages beside each other: 256 and 256. */
	va = contigmalloc(SUPERPAGE_SIZE / 2, M_TEMP, 0, 0, ~(vm_paddr_t)0, SUPERPAGE_SIZE, 0);
	ck_assert_ptr_nonnull(va);
	m = vm_page_of_address(va);
	before = (uint64_t)(m - vm_page_array) << FRAME_SHIFT;
	ck_assert_ptr_eq(vm_page_alloc_noobj_contig(VM_ALLOC_NORMAL, 256, before + SUPERPAGE_SIZE / 2,
						    before + SUPERPAGE_SIZE, 0, 0, 0),
			 m + 256);
	before = pool_free();
	ck_assert(!page_map_ref_super(m));
	contig_free(va);
	for (int i = 256; i < 512; i++)
		vm_page_free(m + i);
	ck_assert_uint_eq(pool_free(), before);
	page_map_unref_super(m);
	ck_assert_uint_eq(pool_free(), before + 512);
	ck_assert_ptr_null(contig_pool_check(&contig_default_pool));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backing");
	TCase *tcase = tcase_create("backing");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, test_seals, 0, 2);
	tcase_add_loop_test(tcase, test_fixed_seal, 0, 2);
	tcase_add_loop_test(tcase, test_closed_descriptors, 0, 2);
	tcase_add_loop_test(tcase, test_quarantine, 0, 2);
	tcase_add_loop_test(tcase, test_quarantine_cached, 0, 2);
	tcase_add_loop_test(tcase, test_other_pools, 0, 2);
	tcase_add_test(tcase, test_block_refs);
	tcase_add_test(tcase, test_page_refs);
	tcase_add_test(tcase, test_ref_limits);
	tcase_add_test(tcase, test_super_late);
	tcase_add_test(tcase, test_super_refs);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
