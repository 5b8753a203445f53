/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random requests against a model.  The model knows who owns each frame, by
 * pagemap, and which frames the library has ever shown to hold: a request
 * that is refused although such frames would meet it is an error too.
 *
 *   CONTIG_TEST_SEED=N  another sequence     CONTIG_TEST_OPS=N  its length
 *   CONTIG_TEST_SCALE=PERCENT  of the usual length
 */
#include "harness.h"
#include "hugepool.h"
#include "probe.h"

#include <contig.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define SLOTS 16384
#define LIVE_MOST (512 * MIB)
#define SIZE_MOST (256 * MIB)
#define SAMPLES 64 /* words looked at in a large block */
#define PAGES_PER_SUPERPAGE (SUPERPAGE / PAGE)

struct slot {
	unsigned char *va;
	size_t size, rounded;
	uint64_t pa, stamp;
};

static struct model {
	struct slot slots[SLOTS];
	uint32_t *owner; /* by frame: slot + 1 */
	uint64_t frames;
	uint64_t *known; /* superpages, ascending */
	size_t n_known;
	size_t live;
	uint64_t state;
	bool physical, sees;
	unsigned long allocations, refusals, ranges, checked_refusals, frees, trims;
} m;

static uint64_t rnd(uint64_t below)
{
	return probe_random(&m.state) % below;
}

static void know(uint64_t superpage)
{
	size_t low = 0, high = m.n_known;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (m.known[middle] < superpage)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < m.n_known && m.known[low] == superpage)
		return;
	memmove(&m.known[low + 1], &m.known[low], (m.n_known - low) * sizeof(m.known[0]));
	m.known[low] = superpage;
	m.n_known++;
}

struct request {
	size_t size;
	vm_paddr_t low, high;
	unsigned long alignment;
	vm_paddr_t boundary;
};

/* Whether [pa, pa + rounded) meets a request. */
static bool meets(const struct request *r, uint64_t pa, size_t rounded)
{
	return pa >= r->low && pa + rounded <= r->high &&
	       !(r->alignment && pa % r->alignment) &&
	       !(r->boundary && ((pa ^ (pa + rounded - 1)) & -r->boundary));
}

/* Brute force: is there room among the frames that are known to be held? */
static bool room(const struct request *r, uint64_t *where)
{
	size_t rounded = (r->size + PAGE - 1) / PAGE * PAGE, need = rounded / PAGE;
	uint64_t run = 0, next = 0;

	for (size_t i = 0; i < m.n_known; i++) {
		uint64_t frame = m.known[i] / PAGE;

		if (frame != next)
			run = 0;
		for (uint64_t f = frame; f < frame + PAGES_PER_SUPERPAGE; f++) {
			run = m.owner[f] ? 0 : run + 1;
			if (run >= need && meets(r, (f + 1 - need) * PAGE, rounded)) {
				*where = (f + 1 - need) * PAGE;
				return true;
			}
		}
		next = frame + PAGES_PER_SUPERPAGE;
	}
	return false;
}

static uint64_t word_at(uint64_t stamp, size_t offset)
{
	return (stamp ^ offset) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Where the i'th sampled word of a block lies: first and last of each page
 * of a small block, spread over a large one. */
static size_t sample_offset(const struct slot *s, size_t i, size_t *n)
{
	size_t pages = s->rounded / PAGE, at;

	if (pages <= SAMPLES / 2) {
		*n = pages * 2;
		at = i / 2 * PAGE + (i % 2 ? PAGE - 8 : 0);
	} else {
		*n = SAMPLES;
		at = (size_t)((s->stamp >> 8) + i * (s->rounded / SAMPLES)) %
		     (s->rounded / 8) * 8;
		if (i == 0)
			at = 0;
		if (i == SAMPLES - 1)
			at = s->rounded - 8;
	}
	return at;
}

static void stamp_block(struct slot *s)
{
	size_t n = 1;

	for (size_t i = 0; i < n; i++) {
		size_t at = sample_offset(s, i, &n);
		uint64_t word = word_at(s->stamp, at);

		memcpy(s->va + at, &word, 8);
	}
}

static void check_stamp(const struct slot *s)
{
	size_t n = 1;

	for (size_t i = 0; i < n; i++) {
		size_t at = sample_offset(s, i, &n);
		uint64_t word;

		memcpy(&word, s->va + at, 8);
		require(word == word_at(s->stamp, at),
			"%zu bytes at %p: the word at %zu was overwritten", s->size,
			(void *)s->va, at);
	}
}

/* First and last word only: most of memory stays unread, and still a block
 * that isn't zeroed as a whole is found sooner or later. */
static void check_zero(const struct slot *s)
{
	for (size_t at = 0; at<s->rounded; at += s->rounded> MIB ? 131072 : 512) {
		uint64_t first, last;

		memcpy(&first, s->va + at, 8);
		memcpy(&last, s->va + s->rounded - 8 - at, 8);
		require(!first && !last, "%zu bytes at %p: not zero around %zu", s->size,
			(void *)s->va, at);
	}
}

static void own(unsigned int index)
{
	const struct slot *s = &m.slots[index];

	for (uint64_t f = s->pa / PAGE; f < (s->pa + s->rounded) / PAGE; f++) {
		require(f < m.frames, "0x%" PRIx64 " is beyond all RAM", f * PAGE);
		require(!m.owner[f], "frame 0x%" PRIx64 " belongs to block %u already", f,
			m.owner[f] - 1);
		m.owner[f] = index + 1;
		if (f == s->pa / PAGE || f % PAGES_PER_SUPERPAGE == 0)
			know(f / PAGES_PER_SUPERPAGE * SUPERPAGE);
	}
}

static void disown(const struct slot *s)
{
	for (uint64_t f = s->pa / PAGE; f < (s->pa + s->rounded) / PAGE; f++)
		m.owner[f] = 0;
}

static size_t random_size(void)
{
	unsigned int kind = (unsigned int)rnd(1000);

	if (kind < 600)
		return 1 + rnd(4 * PAGE);
	if (kind < 900)
		return 1 + rnd(64 * PAGE);
	if (kind < 985)
		return 1 + rnd(MIB);
	if (kind < 998)
		return 1 + rnd(4 * MIB);
	if (kind < 999 || rnd(8))
		return 1 + rnd(32 * MIB);
	return 1 + rnd(SIZE_MOST);
}

static struct request random_request(void)
{
	struct request r = {random_size(), 0, ~(vm_paddr_t)0, 0, 0};
	size_t rounded = (r.size + PAGE - 1) / PAGE * PAGE;

	if (rnd(3) == 0)
		r.alignment = 1UL << rnd(rnd(8) ? 17 : 24);
	if (rnd(4) == 0) {
		r.boundary = PAGE;
		while (r.boundary < rounded || rnd(3))
			r.boundary <<= 1;
		if (rnd(200) == 0)
			r.boundary = rounded > PAGE ? PAGE : 0; /* can't be met */
	}
	/* Windows around memory that is held, as a rule. */
	if (rnd(5) == 0 && m.n_known && m.physical) {
		uint64_t a = m.known[rnd(m.n_known)] + rnd(SUPERPAGE);
		uint64_t b = m.known[rnd(m.n_known)] + rnd(SUPERPAGE) + 1;

		r.low = a < b ? a : b;
		r.high = a < b ? b : a;
		if (rnd(3))
			r.low = 0;
		else if (rnd(2))
			r.high = ~(vm_paddr_t)0;
		if (rnd(4)) {
			r.high = r.high < ~(vm_paddr_t)0 - rounded * 4
				     ? r.high + rounded * 4
				     : r.high;
			r.low = r.low > rounded * 4 ? r.low - rounded * 4 : 0;
		}
	} else if (rnd(2000) == 0) {
		r.low = rnd(UINT64_C(1) << 40);
		r.high = r.low + rnd(UINT64_C(1) << 36);
	}
	return r;
}

static void refused(const struct request *r, int flags)
{
	uint64_t where;

	require(errno == ENOMEM || errno == ERANGE || (errno == EPERM && !m.sees),
		"errno %d", errno);
	require(*contig_strreason(), "no reason");
	m.refusals++;
	m.ranges += errno == ERANGE;
	/* The reserve is not for M_NOWAIT. */
	if (!m.physical || flags & M_NOWAIT || rnd(4))
		return;
	m.checked_refusals++;
	require(!room(r, &where),
		"refused size %zu low 0x%" PRIx64 " high 0x%" PRIx64
		" alignment 0x%lx boundary 0x%" PRIx64 " although 0x%" PRIx64
		" would do: %s",
		r->size, r->low, r->high, r->alignment, r->boundary, where,
		contig_strreason());
}

static void allocate(unsigned int index)
{
	struct request r = random_request();
	int flags = (rnd(4) ? 0 : M_ZERO) | (rnd(3) ? M_WAITOK : M_NOWAIT);
	struct slot *s = &m.slots[index];

	if (m.live + r.size > LIVE_MOST)
		return;
	errno = 0;
	s->va =
	    contigmalloc(r.size, M_TEMP, flags, r.low, r.high, r.alignment, r.boundary);
	if (!s->va) {
		refused(&r, flags);
		return;
	}
	m.allocations++;
	s->size = r.size;
	s->rounded = (r.size + PAGE - 1) / PAGE * PAGE;
	s->stamp = probe_random(&m.state);
	if (m.sees) {
		require(!probe_run(s->va, s->rounded, &s->pa),
			"%zu bytes at %p: not contiguous", s->size, (void *)s->va);
		require(contig_virt_to_phys(s->va) == s->pa, "virt_to_phys is wrong");
	} else {
		/* Described memory has no frames but those of its description;
		 * hidden memory none that we can see. */
		s->pa =
		    m.physical ? contig_virt_to_phys(s->va) : (uint64_t)(uintptr_t)s->va;
	}
	require(meets(&r, s->pa, s->rounded) || !m.physical,
		"0x%" PRIx64 " for size %zu low 0x%" PRIx64 " high 0x%" PRIx64
		" alignment 0x%lx boundary 0x%" PRIx64,
		s->pa, r.size, r.low, r.high, r.alignment, r.boundary);
	if (m.physical)
		own(index);
	if (flags & M_ZERO)
		check_zero(s);
	m.live += s->rounded;
	stamp_block(s);
}

static void release(unsigned int index)
{
	struct slot *s = &m.slots[index];

	check_stamp(s);
	if (m.physical)
		disown(s);
	m.live -= s->rounded;
	if (rnd(2))
		contigfree(s->va, s->size, M_TEMP);
	else
		contig_free(s->va);
	s->va = NULL;
	m.frees++;
}

static void trim(void)
{
	contig_trim();
	/* What is left is what live blocks lie in, at least. */
	m.n_known = 0;
	for (unsigned int i = 0; i < SLOTS && m.physical; i++)
		if (m.slots[i].va)
			for (uint64_t p = m.slots[i].pa / SUPERPAGE * SUPERPAGE;
			     p < m.slots[i].pa + m.slots[i].rounded; p += SUPERPAGE)
				know(p);
	m.trims++;
}

static void sequence(unsigned long ops)
{
	for (unsigned long i = 0; i < ops; i++) {
		/* Phases: growing, shrinking, and small ones in between. */
		unsigned int active = i / 40000 % 3 == 2 ? SLOTS / 16 : SLOTS;
		unsigned int index = (unsigned int)rnd(active);

		if (m.slots[index].va)
			release(index);
		else
			allocate(index);
		if (i % 30011 == 30010)
			trim();
		if (i % 20011 == 20010 && m.sees)
			require(!contig_verify(), "frames moved");
	}
}

static void all_back(void)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	size_t returned;

	for (unsigned int i = 0; i < SLOTS; i++)
		if (m.slots[i].va)
			release(i);
	require(!m.live, "the model is wrong");
	contig_stats_get(&stats);
	require(!stats.allocated, "%" PRIu64 " bytes still allocated", stats.allocated);
	require(stats.free + stats.cached == stats.held,
		"free %" PRIu64 " + %" PRIu64 " cached, held %" PRIu64, stats.free,
		stats.cached, stats.held);
	require(stats.requests == m.allocations && stats.failures == m.refusals,
		"%" PRIu64 " requests %" PRIu64 " failures, counted %lu %lu",
		stats.requests, stats.failures, m.allocations, m.refusals);
	returned = contig_trim();
	require(returned == stats.held, "trim gave %zu of %" PRIu64, returned,
		stats.held);
	contig_stats_get(&stats);
	require(!stats.held && !stats.free && !stats.cached && !stats.pinned &&
		    !stats.resident && !stats.unwired,
		"%" PRIu64 " still held", stats.held);
	require(stats.taken == stats.returned, "%" PRIu64 " taken, %" PRIu64 " returned",
		stats.taken, stats.returned);
}

static unsigned long operations(unsigned long usual)
{
	const char *text = getenv("CONTIG_TEST_OPS");

	if (text)
		return strtoul(text, NULL, 0);
	return test_scaled(under_sanitizer() ? usual / 10 : usual, 1000);
}

static void run(unsigned long ops, uint64_t seed)
{
	struct probe_range ram[64];
	size_t n = probe_ram(ram, 64);

	m.state = seed;
	m.sees = contig_level() == CONTIG_LEVEL_PHYSICAL;
	m.physical = contig_level() != CONTIG_LEVEL_HIDDEN;
	require(m.sees == probe_sees() || contig_level() == CONTIG_LEVEL_SIMULATED,
		"level %d", (int)contig_level());
	/* Memory of a simulated machine ends before 64 GiB, too. */
	m.frames = (n && m.sees ? ram[n - 1].end : 64 * GIB) / PAGE;
	m.owner = mmap(NULL, m.frames * sizeof(m.owner[0]), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	m.known = calloc(65536, sizeof(m.known[0]));
	require(m.owner != MAP_FAILED && m.known, "no memory for the model");
	sequence(ops);
	all_back();
	note("%lu allocations, %lu refused (%lu ERANGE, %lu looked into), %lu trims, "
	     "seed %" PRIu64,
	     m.allocations, m.refusals, m.ranges, m.checked_refusals, m.trims, seed);
	require(m.allocations > ops / 4, "too few to mean anything");
}

static void real_pool(void)
{
	struct pool_state before;

	hugepool_read(POOL_2M, &before);
	run(operations(1000000), test_seed());
	require(hugepool_becomes(POOL_2M, &before), "superpages are missing");
}

static void real_collapsed(void)
{
	long shmem = probe_meminfo("ShmemHugePages");
	double end;

	run(operations(100000), test_seed() + 1);
	end = probe_ms() + 10000;
	/* 64 MiB of grace: others may live on this machine. */
	while (probe_meminfo("ShmemHugePages") > shmem + 65536 && probe_ms() < end)
		probe_sleep_ms(20);
	require(probe_meminfo("ShmemHugePages") <= shmem + 65536,
		"collapsed memory is missing");
}

static void simulated(void)
{
	for (uint64_t seed = 0; seed < 4; seed++) {
		struct outcome out;
		pid_t child;
		char text[128];

		fflush(NULL);
		child = fork();
		if (!child) {
			snprintf(text, sizeof(text),
				 "1M-2G%s,4G-5G@0,5G-6G@1,8G-8704M@3,seed=%d",
				 seed % 2 ? "@1" : "", (int)(test_seed() + seed));
			setenv("CONTIG_SIM", text, 1);
			run(operations(100000), test_seed() + 100 + seed);
			_exit(0);
		}
		out = reap(child);
		require(!out.status, "seed %d: status %d signal %d", (int)seed,
			out.status, out.signal);
	}
}

static const struct test_case cases[] = {
    {"real_pool", real_pool, 400, CASE_SLOW, "CONTIG_SOURCES=2m"},
    {"real_collapsed", real_collapsed, 0, CASE_SLOW | CASE_MAY_TRY,
     "CONTIG_SOURCES=thp CONTIG_RECLAIM_MAX=256M CONTIG_LIMIT=640M"},
    {"simulated", simulated, POOL_ANY, CASE_SLOW, NULL},
};

int main(int argc, char **argv)
{
	return RUN_CASES(cases, argc, argv);
}
