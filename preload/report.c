/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shim's side of the report.  Until shim_report_start(), and without a
 * file to count in, the slot is private memory of this library.
 */
#include "report.h"

#include "base/clock.h"
#include "options.h"
#include "raw.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct shim_slot early;
static struct shim_report *report; /* NULL: private */

struct shim_slot *shim_slot = &early;
__thread struct shim_batch shim_batch __attribute__((tls_model("initial-exec")));

/* Not through getpid(), which a program may define itself. */
static int32_t own_pid(void)
{
	return (int32_t)syscall(SYS_getpid);
}

/* Cuts what is too long. */
static void text_copy(char *to, const char *from, size_t len)
{
	size_t n = strnlen(from, len - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

static void slot_fill(struct shim_slot *slot, bool forked)
{
	slot->pid = own_pid();
	slot->parent = (int32_t)syscall(SYS_getppid);
	slot->forked = forked;
	slot->start_time = clock_ns();
	text_copy(slot->name, shim_options.program, sizeof(slot->name));
	__atomic_store_n(&slot->state, SHIM_RUNNING, __ATOMIC_RELEASE);
}

/* The next free slot.  The last one is everybody's who finds no other. */
static struct shim_slot *slot_claim(bool forked)
{
	uint32_t n = __atomic_fetch_add(&report->next, 1, __ATOMIC_RELAXED);

	if (n >= SHIM_SLOTS - 1) {
		/* Never let it wrap around to slots that others have. */
		__atomic_store_n(&report->next, SHIM_SLOTS, __ATOMIC_RELAXED);
		n = SHIM_SLOTS - 1;
	}
	slot_fill(&report->slot[n], forked);
	return &report->slot[n];
}

/*
 * CONTIG_REPORT may name anything at all: what is not a sealed file of the
 * right size could be truncated under us, and is not believed.
 */
static struct shim_report *report_open(const char *path)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW;
	struct shim_report *map = MAP_FAILED;
	struct stat st;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && st.st_size == (off_t)SHIM_REPORT_BYTES &&
	    (fcntl(fd, F_GET_SEALS) & seals) == seals)
		map = shim_raw_mmap(NULL, SHIM_REPORT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
				    fd, 0);
	syscall(SYS_close, fd);
	if (map == MAP_FAILED)
		return NULL;
	if (map->magic != SHIM_REPORT_MAGIC || map->version != SHIM_REPORT_VERSION ||
	    map->slot_size != sizeof(struct shim_slot) || map->slots != SHIM_SLOTS) {
		shim_raw_munmap(map, SHIM_REPORT_BYTES);
		return NULL;
	}
	return map;
}

static void report_find(void)
{
	int error = errno;

	if (shim_options.report)
		report = report_open(shim_options.report);
	errno = error;
}

void shim_report_start(void)
{
	struct shim_slot *slot;

	report_find();
	if (!report) {
		slot_fill(&early, false);
		return;
	}
	slot = slot_claim(false);
	/* The constructor runs before any thread of the program. */
	for (int i = 0; i < SHIM_COUNTERS_N; i++)
		slot->counter[i] = early.counter[i];
	memcpy(slot->reason, early.reason, sizeof(slot->reason));
	__atomic_store_n(&shim_slot, slot, __ATOMIC_RELEASE);
}

void shim_report_child(void)
{
	/* What the parent's thread had not yet added is the parent's to add. */
	shim_batch = (struct shim_batch){0};
	if (report) {
		shim_slot = slot_claim(true);
		return;
	}
	memset(&early, 0, sizeof(early));
	slot_fill(&early, true);
}

void shim_count_flush(void)
{
	struct shim_batch batch = shim_batch;

	/* A signal handler's requests between the two lines are lost: a few bytes. */
	shim_batch = (struct shim_batch){0};
	if (batch.calls) {
		shim_count(SHIM_CALLS, batch.calls);
		shim_count(SHIM_ASKED, batch.bytes);
	}
}

void shim_report_exit(void)
{
	__atomic_store_n(&shim_slot->state, SHIM_EXITED, __ATOMIC_RELEASE);
}

void shim_report_aside(const char *why)
{
	report_find();
	if (!report)
		return;
	__atomic_fetch_add(&report->aside, 1, __ATOMIC_RELAXED);
	/* The others' slots are worth more. */
	if (__atomic_load_n(&report->next, __ATOMIC_RELAXED) >= SHIM_SLOTS_ASIDE)
		return;
	shim_slot = slot_claim(false);
	shim_reason(why, 0);
	__atomic_store_n(&shim_slot->state, SHIM_ASIDE, __ATOMIC_RELEASE);
}

static bool same_text(const struct shim_reason *reason, const char *what)
{
	return !strncmp(reason->what, what, sizeof(reason->what) - 1);
}

void shim_reason(const char *what, uint64_t bytes)
{
	struct shim_slot *slot = shim_slot;

	for (int i = 0; i < SHIM_REASONS; i++) {
		struct shim_reason *reason = &slot->reason[i];
		uint32_t ready = __atomic_load_n(&reason->ready, __ATOMIC_ACQUIRE);

		if (!ready && __atomic_compare_exchange_n(&reason->ready, &ready, 1, false,
							  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			text_copy(reason->what, what, sizeof(reason->what));
			__atomic_store_n(&reason->ready, 2, __ATOMIC_RELEASE);
			ready = 2;
		}
		/* One being written by somebody else is skipped: it may then be there
		 * twice, which the reader adds up. */
		if (ready != 2 || !same_text(reason, what))
			continue;
		__atomic_fetch_add(&reason->count, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&reason->bytes, bytes, __ATOMIC_RELAXED);
		return;
	}
	__atomic_fetch_add(&slot->reasons_lost, 1, __ATOMIC_RELAXED);
}
