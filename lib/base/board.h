/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The board: a process's statistics in a memory file that others may read
 * (its owner and root; nobody but the process can write).  This is its
 * layout; see libcontig(7), "Statistics".
 *
 * Readers find it as a mapping named BOARD_NAME in /proc/PID/maps and read it
 * with pread(2).  They go by the sizes and counts in the header, not by those
 * of this file: fields are only ever appended, to the header and to records,
 * and tables to the list.  BOARD_VERSION is raised when a field that is here
 * changes its meaning.
 *
 * What is consistent:
 *   a record   its sequence is even, and the same before and after it was
 *              read (each by a pread of its own); odd: it is being written
 *   a word that says "live"   by itself; may be newer than the rest
 *   a counter  by itself
 * Whole tables are not: each record is of its own moment.
 */
#ifndef BASE_BOARD_H
#define BASE_BOARD_H

#include <stdint.h>

#define BOARD_NAME "libcontig-stats"
#define BOARD_MAGIC "CONTIGST"
#define BOARD_VERSION 1

#define BOARD_POOLS_MAX 64 /* bits of board_vma.pools */
#define BOARD_VMAS_MAX 64
#define BOARD_PEERS_MAX 1024

enum board_tables {
	BOARD_COUNTERS,
	BOARD_POOLS,
	BOARD_VMAS,
	BOARD_PEERS,
	BOARD_TABLES
};

struct board_table {
	uint32_t offset; /* bytes, from the header */
	uint32_t record_size;
	uint32_t room;   /* records */
	uint32_t used;   /* live: records beyond were never used */
};

struct board_header {
	char magic[8];
	uint32_t version;
	uint32_t header_size;
	uint64_t size;       /* bytes of all */
	uint32_t pid;        /* as the process sees itself */
	uint32_t level;      /* enum contig_level */
	uint64_t made;       /* CLOCK_BOOTTIME, ns */
	uint64_t folded;     /* live: when "requests", "cached" and "metadata" were last complete */
	uint64_t lost;       /* live: records that found no room in their table */
	char library[16];    /* version */
	uint32_t n_tables, reserved;
	struct board_table tables[BOARD_TABLES];
};

/* X(name): counters, by name.  The first five are those of phys/counters.h. */
#define BOARD_COUNTERS_EACH(X) \
	X(failures)            \
	X(reclaims)            \
	X(taken)               \
	X(returned)            \
	X(requests)            \
	X(cached)              \
	X(metadata)

enum board_counters {
#define X(name) BOARD_COUNTER_##name,
	BOARD_COUNTERS_EACH(X)
#undef X
	BOARD_COUNTERS_N
};

struct board_counter {
	char name[24];
	uint64_t value; /* live */
};

/* What each record of the tables below begins with. */
struct board_record {
	uint32_t sequence;
	uint32_t state; /* 0: not in use */
};

/* Sizes in bytes. */
struct board_pool {
	struct board_record record;
	char name[32];
	uint32_t kind, fork, mode; /* enum contig_pool_kind, ... */
	uint32_t sources;
	int32_t node;              /* the kernel's number; -1: any */
	uint32_t reserved;
	uint64_t limit;
	/* As of the last time the pool grew, shrank or was asked. */
	uint64_t longest;          /* free run */
	uint64_t pinned, resident, unwired;
	uint64_t superpages_2m, superpages_1g, superpages_thp; /* how many */
	uint64_t held, quarantined;
	uint64_t free, live;       /* live; live includes what threads cache */
};

enum board_direction {
	BOARD_EXPORTED = 1, /* ours, others insert pages */
	BOARD_IMPORTED = 2  /* another process's, we insert */
};

struct board_vma {
	struct board_record record;
	uint32_t direction, prot;
	uint64_t start, size, page_size;
	uint32_t modes;     /* mask of 1 << enum contig_share_mode: accepted */
	uint32_t reserved;
	uint64_t pools;     /* of an imported one: bit i: record i of the pools has
			     * pages there, or had; live */
	char path[112];     /* where it listens, cut if longer; "" */
};

struct board_peer {
	struct board_record record;
	uint32_t vma;       /* its record's number */
	uint32_t pid, uid;  /* as the process sees them */
	uint32_t reserved;
	uint64_t pages;     /* live: mapped there now, by (or, imported, for) us */
};

/* The writer's view. */
struct board {
	struct board_header header;
	struct board_counter counters[BOARD_COUNTERS_N];
	struct board_pool pools[BOARD_POOLS_MAX] __attribute__((aligned(1024)));
	struct board_vma vmas[BOARD_VMAS_MAX];
	struct board_peer peers[BOARD_PEERS_MAX];
};

/* One writer at a time, see whose lock. */
static inline void board_write_begin(struct board_record *record)
{
	__atomic_store_n(&record->sequence, record->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void board_write_end(struct board_record *record)
{
	__atomic_store_n(&record->sequence, record->sequence + 1, __ATOMIC_RELEASE);
}

static inline void board_store(uint64_t *word, uint64_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

#endif
