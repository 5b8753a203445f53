/* SPDX-License-Identifier: BSD-2-Clause */
#define CONTIG_DIRECT_MAP_WRITER
#include "phys/physmap.h"

#include "base/lock.h"
#include "base/reason.h"
#include "host/bare.h"
#include "phys/extent.h"
#include "phys/memmap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* A record chunk covers this much of the direct map. */
#define COVER GIGAPAGE_SIZE
/* As far as the presence table reaches. */
#define SPAN_MOST ((uint64_t)CONTIG_PRESENCE_BELOW << SUPERPAGE_SHIFT)

struct physmap contig_physmap;
/* A base with only the top bit set is further than any span from any address
 * of user space: whoever reads it early never gets to the table. */
struct contig_direct_map contig_direct_map = {(uintptr_t)1 << (8 * sizeof(uintptr_t) - 1), 0};

static unsigned char *covered; /* per COVER: records exist */
static uint64_t n_covered;
static struct extent_set *places; /* hidden level: places not in use */
static struct lock lock = LOCK_INITIALIZER(LOCK_LEAF);

/* Reserve span bytes, aligned so that 1 GiB pages can be mapped, with room
 * for the presence table below. */
static uintptr_t reserve_direct_map(uint64_t span)
{
	uint64_t len = span + GIGAPAGE_SIZE + CONTIG_PRESENCE_BELOW;
	unsigned char *raw = bare_reserve(len);
	uintptr_t start, end, base;

	if (!raw)
		return 0;
	start = (uintptr_t)raw;
	end = start + len;
	base = align_up(start + CONTIG_PRESENCE_BELOW, GIGAPAGE_SIZE);
	if (base - CONTIG_PRESENCE_BELOW > start)
		munmap(raw, base - CONTIG_PRESENCE_BELOW - start);
	if (end > base + span)
		munmap((void *)(base + span), end - (base + span));
	return base;
}

static int make_tables(uint64_t span)
{
	uint64_t blocks = span >> SUPERPAGE_SHIFT;

	contig_physmap.blocks = bare_reserve(blocks * sizeof(struct block));
	/* Zero pages until used: a byte each, so small even for 64 TiB. */
	contig_physmap.present = mmap((void *)(contig_physmap.base - CONTIG_PRESENCE_BELOW),
				      blocks, PROT_READ | PROT_WRITE,
				      BARE_FLAGS | MAP_FIXED, -1, 0);
	covered = mmap(NULL, span / COVER + 1, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!contig_physmap.blocks || contig_physmap.present == MAP_FAILED ||
	    covered == MAP_FAILED)
		return -ENOMEM;
	return contig_memmap_init(span >> FRAME_SHIFT);
}

int contig_physmap_init(uint64_t end, enum contig_level level)
{
	uint64_t span = align_up(end, GIGAPAGE_SIZE);
	int err;

	/* Made-up places need a gap each; twice the memory holds them all. */
	if (level == CONTIG_LEVEL_HIDDEN)
		span *= 2;
	if (span > SPAN_MOST)
		span = SPAN_MOST;
	while (span >= GIGAPAGE_SIZE) {
		contig_physmap.base = reserve_direct_map(span);
		if (contig_physmap.base)
			break;
		span = align_down(span / 2, GIGAPAGE_SIZE);
	}
	if (!contig_physmap.base) {
		contig_reason_set("direct map: no %llu GiB of address space (%s)",
				  (unsigned long long)(align_up(end, GIGAPAGE_SIZE) >> GIGAPAGE_SHIFT),
				  errno == EAGAIN ? "mlockall(MCL_FUTURE) and ulimit -l?"
						  : "ulimit -v?");
		return -ENOMEM;
	}
	err = make_tables(span);
	if (err) {
		contig_reason_set("direct map: no memory for its tables");
		return err;
	}
	contig_physmap.span = span;
	contig_physmap.frames = span >> FRAME_SHIFT;
	contig_physmap.level = level;
	if (level == CONTIG_LEVEL_HIDDEN) {
		places = contig_extent_set_create(contig_physmap.frames);
		if (!places || contig_extent_cover(places, 0, contig_physmap.frames) < 0)
			return -ENOMEM;
		contig_extent_free(places, 0, contig_physmap.frames);
		return 0;
	}
	contig_direct_map.base = contig_physmap.base;
	/* Last: inline translation in other threads looks at it first. */
	__atomic_store_n(&contig_direct_map.span, span, __ATOMIC_RELEASE);
	return 0;
}

static int cover_chunk(uint64_t chunk)
{
	uint64_t first = chunk * (COVER >> SUPERPAGE_SHIFT);
	uintptr_t start = (uintptr_t)&contig_physmap.blocks[first];
	uintptr_t end = (uintptr_t)&contig_physmap.blocks[first + (COVER >> SUPERPAGE_SHIFT)];
	int err;

	start = align_down(start, FRAME_SIZE);
	if (mprotect((void *)start, align_up(end, FRAME_SIZE) - start,
		     PROT_READ | PROT_WRITE) < 0)
		return -errno;
	err = contig_memmap_cover(chunk * (COVER >> FRAME_SHIFT), COVER >> FRAME_SHIFT);
	if (err)
		return err;
	__atomic_store_n(&covered[chunk], 1, __ATOMIC_RELEASE);
	__atomic_fetch_add(&n_covered, 1, __ATOMIC_RELAXED);
	return 0;
}

int contig_physmap_cover(uint64_t start, uint64_t bytes)
{
	int err = 0;

	if (start >= contig_physmap.span || bytes > contig_physmap.span - start) {
		contig_reason_set("superpage at 0x%llx lies beyond the direct map",
				  (unsigned long long)start);
		return -ERANGE;
	}
	contig_lock(&lock);
	for (uint64_t c = start / COVER; !err && c <= (start + bytes - 1) / COVER; c++)
		if (!covered[c])
			err = cover_chunk(c);
	contig_unlock(&lock);
	return err;
}

uint64_t contig_physmap_invent(uint64_t page_size)
{
	struct extent_request request = {
		.count = (page_size + SUPERPAGE_SIZE) >> FRAME_SHIFT,
		.low = 0,
		.high = contig_physmap.frames,
		.align = page_size >> FRAME_SHIFT,
	};
	uint64_t frame;

	contig_lock(&lock);
	frame = contig_extent_alloc(places, &request);
	contig_unlock(&lock);
	return frame == EXTENT_NONE ? EXTENT_NONE : frame << FRAME_SHIFT;
}

void contig_physmap_forget(uint64_t place, uint64_t page_size)
{
	contig_lock(&lock);
	contig_extent_free(places, place >> FRAME_SHIFT,
			   (page_size + SUPERPAGE_SIZE) >> FRAME_SHIFT);
	contig_unlock(&lock);
}

struct segment *contig_physmap_segment(uint64_t place)
{
	if (place >= contig_physmap.span ||
	    !__atomic_load_n(&covered[place / COVER], __ATOMIC_ACQUIRE))
		return NULL;
	return __atomic_load_n(&place_block(place)->segment, __ATOMIC_ACQUIRE);
}

/* Nothing of a frame's earlier life counts: a child of fork(2) may get the
 * very frame in which its parent had a block. */
static void forget_states(uint64_t frame)
{
	for (uint64_t f = frame; f < frame + SUPERPAGE_FRAMES; f++)
		if (frame_page(f)->state != VM_PAGE_OTHER) {
			frame_page(f)->state = VM_PAGE_OTHER;
			frame_page(f)->ref_count = 0;
		}
}

void contig_physmap_publish(uint64_t place, uint64_t bytes, struct segment *segment)
{
	for (uint64_t p = place; p < place + bytes; p += SUPERPAGE_SIZE) {
		struct block *block = place_block(p);

		if (block->lived)
			forget_states(p >> FRAME_SHIFT);
		block->lived = true;

		block->keep = false;
		block->quarantined = false;
		block->supers = 0;
		memset(block->dirty, 0, sizeof(block->dirty));
		__atomic_store_n(&block->segment, segment, __ATOMIC_RELEASE);
		__atomic_store_n(&contig_physmap.present[p >> SUPERPAGE_SHIFT], 1,
				 __ATOMIC_RELEASE);
	}
}

void contig_physmap_hide(uint64_t place, uint64_t bytes)
{
	for (uint64_t p = place; p < place + bytes; p += SUPERPAGE_SIZE)
		__atomic_store_n(&contig_physmap.present[p >> SUPERPAGE_SHIFT], 0,
				 __ATOMIC_RELEASE);
}

void contig_physmap_withdraw(uint64_t place, uint64_t bytes)
{
	contig_physmap_hide(place, bytes);
	for (uint64_t p = place; p < place + bytes; p += SUPERPAGE_SIZE)
		__atomic_store_n(&place_block(p)->segment, NULL, __ATOMIC_RELEASE);
}

/* The word of the dirty map that holds frame, and the bits of [frame, end)
 * in it. */
static uint64_t *dirty_word(uint64_t frame, uint64_t end, uint64_t *mask)
{
	unsigned int bit = frame % 64;
	uint64_t n = end - frame < 64 - bit ? end - frame : 64 - bit;

	*mask = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << bit;
	return &frame_block(frame)->dirty[frame % SUPERPAGE_FRAMES / 64];
}

bool contig_dirty_any(uint64_t frame, uint64_t count)
{
	uint64_t end = frame + count, mask;

	for (uint64_t f = frame; f < end; f = align_down(f, 64) + 64)
		if (__atomic_load_n(dirty_word(f, end, &mask), __ATOMIC_RELAXED) & mask)
			return true;
	return false;
}

void contig_dirty_set(uint64_t frame, uint64_t count)
{
	uint64_t end = frame + count, mask;

	/* Stores are under the pool's lock; the owner of a run reads its own
	 * bits without it, hence the atomics. */
	for (uint64_t f = frame; f < end; f = align_down(f, 64) + 64) {
		uint64_t *word = dirty_word(f, end, &mask);

		__atomic_store_n(word, *word | mask, __ATOMIC_RELAXED);
	}
}

bool contig_dirty_test(uint64_t frame)
{
	uint64_t mask, word;

	word = __atomic_load_n(dirty_word(frame, frame + 1, &mask), __ATOMIC_RELAXED);
	return word & mask;
}

uint64_t contig_physmap_metadata(void)
{
	return __atomic_load_n(&n_covered, __ATOMIC_RELAXED) * (COVER >> SUPERPAGE_SHIFT) * sizeof(struct block) +
	       (contig_physmap.span >> SUPERPAGE_SHIFT);
}
