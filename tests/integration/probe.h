/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine as a test sees it, without the library: frames by an own read
 * of /proc/self/pagemap, counters by an own read of /proc and /sys.
 */
#ifndef TESTS_PROBE_H
#define TESTS_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define PAGE ((size_t)4096)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
#define SUPERPAGE (2 * MIB)

#define ADDRESS_ABSENT UINT64_MAX
#define ADDRESS_HIDDEN (UINT64_MAX - 1)

/* Physical address of the byte at va. */
uint64_t probe_address(const void *va);
/* After descriptors were closed and their numbers reused. */
void probe_forget(void);
/* Whether this process sees frames at all. */
bool probe_sees(void);
/* 0 with *first when [va, va + len) is physically contiguous; else -1, or -2
 * when frames are hidden or absent. */
int probe_run(const void *va, size_t len, uint64_t *first);

long probe_number(const char *path);                      /* -1: unreadable */
int probe_write(const char *path, long value);            /* 0/-errno */
int probe_write_text(const char *path, const char *text); /* 0/-errno */
long probe_meminfo(const char *field);                    /* KiB */
long probe_status(const char *field);                     /* of /proc/self/status */

/* Physical ranges that /proc/iomem calls System RAM; 0 when it won't tell. */
struct probe_range {
	uint64_t start, end;
};
size_t probe_ram(struct probe_range *out, size_t most);

/* Where memory ends, by the zones' spans: for everybody to read. */
uint64_t probe_top(void);

double probe_ms(void);
void probe_sleep_ms(long ms);

/* A small random generator; a state of its own for each user. */
uint64_t probe_random(uint64_t *state);

/*
 * The one thing that moves superpages of any kind on a machine with one node:
 * taking their block of memory offline.  HELD: the kernel tried and couldn't
 * (it retries a pinned page until a signal, after ms here); MOVED: the block went offline,
 * and came back; UNTOLD: something unmovable lies there, or not allowed.
 */
enum attack { ATTACK_HELD, ATTACK_MOVED, ATTACK_UNTOLD };
#define ATTACK_MS 300 /* long enough to see whether it would */
#define ATTACK_PATIENT_MS 20000 /* for what is to come off */
enum attack probe_attack(uint64_t address, long ms);
bool probe_can_attack(void);

#endif
