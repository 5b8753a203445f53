/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The report: what each process of a program got, counted where `contig run`
 * can still read it when the process is gone.
 *
 * `contig run` makes a sealed memfd of SHIM_REPORT_BYTES, writes the header
 * and passes its name in CONTIG_REPORT.  Each process claims a slot at start
 * and in a forked child, counts there with plain atomic additions, and never
 * gives it back: no lock, nothing to flush, so _exit() and SIGKILL lose
 * nothing.  Without CONTIG_REPORT the slot is private memory.
 *
 * Both sides include this header; the reader believes nothing it finds.
 */
#ifndef PRELOAD_REPORT_H
#define PRELOAD_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One list makes the enum, the key in JSON and the words for people:
 * X(NAME, name, how slots are merged, unit, heading).
 *
 * The unit of account is a request (malloc family) or an extent (what the
 * engine took from the pool for its requests).  Bytes are sums over the life
 * of the process, not what is in use now, unless the name says peak.
 */
#define SHIM_COUNTERS(X)                                                                       \
	/* Requests, as the program made them. */                                              \
	X(CALLS, calls, SUM, COUNT, "allocations")                                             \
	X(ASKED, asked, SUM, BYTES, "bytes asked")                                             \
	X(CALLS_LARGE, calls_large, SUM, COUNT, "promised whole")                              \
	X(ASKED_LARGE, asked_large, SUM, BYTES, "bytes of these")                              \
	/* Of asked_large: was given as one contiguous run, wired; and was not, though          \
	 * it may be one of both. */                                                            \
	X(LARGE_KEPT, large_kept, SUM, BYTES, "contiguous and wired")                          \
	X(LARGE_BROKEN, large_broken, SUM, BYTES, "not contiguous or not wired")               \
	X(LARGE_CONTIGUOUS, large_contiguous, SUM, BYTES, "contiguous")                        \
	X(LARGE_WIRED, large_wired, SUM, BYTES, "wired as a whole")                            \
	/* Requests that --strict or --limit made fail. */                                     \
	X(REFUSED, refused, SUM, COUNT, "allocations refused")                                 \
	/* Memory under the requests: extents, mappings and segments together. */              \
	X(ON_SUPERPAGES, on_superpages, SUM, BYTES, "on superpages")                           \
	X(WIRED, wired, SUM, BYTES, "wired")                                                   \
	X(BASE_PAGES, base_pages, SUM, BYTES, "on base pages")                                 \
	/* On base pages, or not wired. */                                                     \
	X(FALLBACK_BYTES, fallback_bytes, SUM, BYTES, "fell back")                             \
	X(FALLBACKS, fallbacks, SUM, COUNT, "times fallen back")                               \
	X(LARGEST_RUN, largest_run, MAX, BYTES, "longest run")                                 \
	X(PEAK, peak, MAX, BYTES, "superpage memory at its peak")                              \
	/* What the engine maps for itself, on base pages: its bookkeeping and the first       \
	 * small requests. */                                                                  \
	X(METADATA, metadata, MAX, BYTES, "bookkeeping on base pages")                         \
	/* mmap and shmget: served by us; left to the kernel; taken back to it later. */       \
	X(MAPPED, mapped, SUM, BYTES, "mapped on superpages")                                  \
	X(MAPPED_LEFT, mapped_left, SUM, BYTES, "mappings left to the kernel")                 \
	X(MAPPED_ASIDE, mapped_aside, SUM, BYTES, "mappings given back to it")                 \
	X(SEGMENTS, segments, SUM, BYTES, "shared memory on superpages")                       \
	/* fork(), in the parent's slot. */                                                    \
	X(FORKS_PINNED, forks_pinned, SUM, COUNT, "forks with memory pinned")                  \
	X(FORKS_SWAPPED, forks_swapped, SUM, COUNT, "forks with memory set aside")             \
	X(FORKS_COW, forks_cow, SUM, COUNT, "forks that unpinned")                             \
	X(FORKS_REFUSED, forks_refused, SUM, COUNT, "forks refused")                           \
	X(FORKS_BARE, forks_bare, SUM, COUNT, "forks with nothing to keep")                    \
	/* In a forked child's slot: bytes of its parent's pool that it went on with. */       \
	X(INHERITED, inherited, SUM, BYTES, "inherited, not wired")

enum shim_counter {
#define X(NAME, name, merge, unit, heading) SHIM_##NAME,
	SHIM_COUNTERS(X)
#undef X
	SHIM_COUNTERS_N
};

#define SHIM_REPORT_MAGIC   0x74726f7065726763ull
#define SHIM_REPORT_VERSION 2
#define SHIM_SLOTS          4096
#define SHIM_SLOTS_ASIDE    1024 /* beyond, processes that stand aside take none */
#define SHIM_REASONS        8
#define SHIM_REASON_LEN     240 /* with the NUL; longer ones are cut */
#define SHIM_NAME_LEN       32

enum shim_state {
	SHIM_FREE,
	SHIM_RUNNING, /* or died without a word */
	SHIM_EXITED,
	SHIM_ASIDE    /* the shim does nothing here, nor in forked children */
};

/* Texts are written once, before ready is set; counts go on. */
struct shim_reason {
	uint32_t ready; /* 0 free, 1 being written, 2 can be read */
	uint32_t reserved;
	uint64_t count;
	uint64_t bytes;
	char what[SHIM_REASON_LEN];
};

struct shim_slot {
	uint32_t state; /* enum shim_state */
	int32_t pid;
	int32_t parent;
	uint32_t forked;     /* a child of fork() that has not called exec */
	uint64_t start_time; /* ns of CLOCK_MONOTONIC when claimed */
	char name[SHIM_NAME_LEN];
	uint64_t counter[SHIM_COUNTERS_N];
	struct shim_reason reason[SHIM_REASONS];
	uint64_t reasons_lost; /* more kinds than there is room for */
} __attribute__((aligned(64)));

struct shim_report {
	uint64_t magic;
	uint32_t version;
	uint32_t slot_size;
	uint32_t slots;
	/* Claimed by an atomic addition; may run past slots: the rest share the last. */
	uint32_t next;
	uint64_t size; /* of all this */
	uint32_t aside; /* processes that stand aside, with a slot or without */
	struct shim_slot slot[] __attribute__((aligned(64)));
};

#define SHIM_REPORT_BYTES \
	((sizeof(struct shim_report) + SHIM_SLOTS * sizeof(struct shim_slot) + 4095) & ~(size_t)4095)

/*
 * The shim's side (report.c).  All of it may be called at any time, from any
 * thread, in signal handlers and in forked children; nothing allocates.
 */

/* This process's slot; before shim_report_start() a private one, whose counts
 * shim_report_start() takes over.  Never NULL. */
extern struct shim_slot *shim_slot;

/* In the constructor, before threads: open CONTIG_REPORT and claim a slot. */
void shim_report_start(void);
/* First thing in a child of fork() (not of vfork()): a slot of its own. */
void shim_report_child(void);
/* At an orderly exit. */
void shim_report_exit(void);
/* The same where the shim stands aside; no more is counted. */
void shim_report_aside(const char *why);

static inline void shim_count(enum shim_counter which, uint64_t n)
{
	__atomic_fetch_add(&shim_slot->counter[which], n, __ATOMIC_RELAXED);
}

/* A request of the threshold or more. */
static inline void shim_count_asked(uint64_t bytes)
{
	shim_count(SHIM_CALLS, 1);
	shim_count(SHIM_ASKED, bytes);
	shim_count(SHIM_CALLS_LARGE, 1);
	shim_count(SHIM_ASKED_LARGE, bytes);
}

static inline void shim_count_max(enum shim_counter which, uint64_t n)
{
	uint64_t *p = &shim_slot->counter[which];
	uint64_t old = __atomic_load_n(p, __ATOMIC_RELAXED);

	while (old < n && !__atomic_compare_exchange_n(p, &old, n, true, __ATOMIC_RELAXED,
						       __ATOMIC_RELAXED)) {
	}
}

/* Why bytes are not as promised: counted by text, compared by content. */
void shim_reason(const char *what, uint64_t bytes);

/*
 * Small requests are counted by thread and added to the slot in batches, so
 * that malloc of 16 bytes touches no shared line.  What a thread that ends
 * has not yet added is lost: under SHIM_BATCH_BYTES a thread.
 */
#define SHIM_BATCH_BYTES (256u << 10)
#define SHIM_BATCH_CALLS 4096u

struct shim_batch {
	uint32_t calls;
	uint32_t bytes;
};

extern __thread struct shim_batch shim_batch __attribute__((tls_model("initial-exec")));

void shim_count_flush(void);

/* A request below the threshold (those above: CALLS, ASKED and the large ones). */
static inline void shim_count_small(uint32_t bytes)
{
	shim_batch.bytes += bytes;
	if (++shim_batch.calls >= SHIM_BATCH_CALLS || shim_batch.bytes >= SHIM_BATCH_BYTES)
		shim_count_flush();
}

#endif
