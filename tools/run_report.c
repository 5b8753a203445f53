/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESSES_SHOWN 10 /* to people */
#define REASONS_KEPT 64	   /* different ones, of all processes */

/* A limit on files (ulimit -f) counts for this one, and would kill us. */
static int make_room(int fd)
{
	void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
	int r = ftruncate(fd, (off_t)SHIM_REPORT_BYTES);

	signal(SIGXFSZ, before);
	return r;
}

int report_create(struct run_report *out)
{
	struct shim_report *map;
	int fd = memfd_create("contig-report", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int error;

	if (fd < 0)
		return -errno;
	if (make_room(fd))
		goto fail;
	map = mmap(NULL, SHIM_REPORT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		goto fail;
	map->version = SHIM_REPORT_VERSION;
	map->slot_size = sizeof(struct shim_slot);
	map->slots = SHIM_SLOTS;
	map->size = SHIM_REPORT_BYTES;
	map->magic = SHIM_REPORT_MAGIC;
	/* Nobody who maps it shall meet SIGBUS. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		error = errno;
		munmap(map, SHIM_REPORT_BYTES);
		errno = error;
		goto fail;
	}
	*out = (struct run_report){.fd = fd, .map = map};
	snprintf(out->name, sizeof(out->name), "/proc/%d/fd/%d", (int)getpid(), fd);
	return 0;
fail:
	error = errno;
	close(fd);
	return -error;
}

enum process_state {
	PROCESS_EXITED,	  /* in order, by exit() */
	PROCESS_ENDED,	  /* by _exit() or a signal */
	PROCESS_RUNNING,  /* still, after the program itself */
	PROCESS_REPLACED, /* by exec */
	PROCESS_ASIDE
};

static const char *const state_names[] = {
	[PROCESS_EXITED] = "exited",	 [PROCESS_ENDED] = "ended",
	[PROCESS_RUNNING] = "running", [PROCESS_REPLACED] = "replaced",
	[PROCESS_ASIDE] = "aside",
};

struct process {
	struct shim_slot slot; /* a copy: the original may change as we read */
	enum process_state state;
};

struct reason {
	char what[SHIM_REASON_LEN];
	uint64_t count, bytes;
};

struct sum {
	size_t n;
	struct process *processes;
	uint64_t counter[SHIM_COUNTERS_N];
	size_t n_reasons;
	struct reason reasons[REASONS_KEPT];
	uint64_t reasons_lost;
	bool overflown; /* the last slot is of several */
	uint64_t aside; /* processes that stand aside ... */
	size_t listed;	/* ... and those among processes[] */
};

static bool is_running(int32_t pid)
{
	char path[64], text[256], *state;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%" PRId32 "/stat", pid);
	f = pid > 0 ? fopen(path, "re") : NULL;
	if (!f)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	state = strrchr(text, ')');
	return state && state[1] && !strchr("ZX", state[2]);
}

static enum process_state state_of(const struct sum *sum, size_t i)
{
	const struct shim_slot *slot = &sum->processes[i].slot;

	if (slot->state == SHIM_EXITED)
		return PROCESS_EXITED;
	/* Whatever became of it: it had nothing. */
	if (slot->state == SHIM_ASIDE)
		return PROCESS_ASIDE;
	for (size_t later = i + 1; later < sum->n; later++)
		if (sum->processes[later].slot.pid == slot->pid &&
		    !sum->processes[later].slot.forked)
			return PROCESS_REPLACED;
	return is_running(slot->pid) ? PROCESS_RUNNING : PROCESS_ENDED;
}

static const bool is_max[] = {
#define SUM false
#define MAX true
#define X(NAME, name, merge, unit, heading) merge,
	SHIM_COUNTERS(X)
#undef X
#undef MAX
#undef SUM
};

static void add_reason(struct sum *sum, const char *what, uint64_t count, uint64_t bytes)
{
	size_t i = 0;

	while (i < sum->n_reasons && strcmp(sum->reasons[i].what, what))
		i++;
	if (i == REASONS_KEPT) {
		sum->reasons_lost += count;
		return;
	}
	if (i == sum->n_reasons) {
		snprintf(sum->reasons[i].what, sizeof(sum->reasons[i].what), "%s", what);
		sum->n_reasons++;
	}
	sum->reasons[i].count += count;
	sum->reasons[i].bytes += bytes;
}

static void add_process(struct sum *sum, const struct shim_slot *slot)
{
	for (int c = 0; c < SHIM_COUNTERS_N; c++) {
		uint64_t *to = &sum->counter[c];

		if (!is_max[c])
			*to += slot->counter[c];
		else if (*to < slot->counter[c])
			*to = slot->counter[c];
	}
	for (int r = 0; r < SHIM_REASONS; r++)
		if (slot->reason[r].ready == 2 && slot->reason[r].what[0])
			add_reason(sum, slot->reason[r].what, slot->reason[r].count,
				   slot->reason[r].bytes);
	sum->reasons_lost += slot->reasons_lost;
}

static struct sum *add_up(const struct shim_report *map)
{
	struct sum *sum = calloc(1, sizeof(*sum));
	uint32_t next = __atomic_load_n(&map->next, __ATOMIC_ACQUIRE);
	size_t size;

	if (!sum)
		return NULL;
	sum->overflown = next >= SHIM_SLOTS;
	sum->n = next < SHIM_SLOTS ? next : SHIM_SLOTS;
	/* Slots are aligned to cache lines, which calloc() doesn't know. */
	size = (sum->n ? sum->n : 1) * sizeof(*sum->processes);
	sum->processes = aligned_alloc(_Alignof(struct process), size);
	if (!sum->processes) {
		free(sum);
		return NULL;
	}
	memset(sum->processes, 0, size);
	for (size_t i = 0; i < sum->n; i++) {
		struct shim_slot *slot = &sum->processes[i].slot;

		memcpy(slot, &map->slot[i], sizeof(*slot));
		slot->name[sizeof(slot->name) - 1] = '\0';
		for (int r = 0; r < SHIM_REASONS; r++)
			slot->reason[r].what[SHIM_REASON_LEN - 1] = '\0';
		add_process(sum, slot);
	}
	for (size_t i = 0; i < sum->n; i++) {
		sum->processes[i].state = state_of(sum, i);
		sum->listed += sum->processes[i].state == PROCESS_ASIDE;
	}
	sum->aside = __atomic_load_n(&map->aside, __ATOMIC_RELAXED);
	if (sum->aside < sum->listed)
		sum->aside = sum->listed;
	return sum;
}

static uint64_t taken(const uint64_t *counter)
{
	return counter[SHIM_ON_SUPERPAGES] + counter[SHIM_BASE_PAGES];
}

static int by_memory(const void *a, const void *b)
{
	const uint64_t *x = ((const struct process *)a)->slot.counter;
	const uint64_t *y = ((const struct process *)b)->slot.counter;

	if (taken(x) != taken(y))
		return taken(x) < taken(y) ? 1 : -1;
	return (x[SHIM_ASKED] < y[SHIM_ASKED]) - (x[SHIM_ASKED] > y[SHIM_ASKED]);
}

static int by_bytes(const void *a, const void *b)
{
	const struct reason *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return (x->count < y->count) - (x->count > y->count);
}

/* "99.8 %"; never rounded up to all, never down to nothing. */
static const char *share(uint64_t part, uint64_t whole, char *buf, size_t len)
{
	double percent = whole ? 100.0 * (double)part / (double)whole : 0;

	if (part >= whole)
		snprintf(buf, len, whole ? "100 %%" : "-");
	else if (!part)
		snprintf(buf, len, "0 %%");
	else
		snprintf(buf, len, "%.1f %%", percent > 99.9 ? 99.9 : percent < 0.1 ? 0.1 : percent);
	return buf;
}

#define SIZE(counter_) emitter_size(e, c[counter_], (char[32]){0}, 32)
#define SHARE(part, whole) share(part, whole, (char[16]){0}, 16)

static void line(struct emitter *e, const char *heading, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void line(struct emitter *e, const char *heading, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	emitter_field(e, "", heading, value_text(text));
}

static void line_of_ending(struct emitter *e, const struct sum *sum,
			   const struct report_ending *ending)
{
	size_t n = sum->n + (size_t)(sum->aside - sum->listed);
	int status = ending->status;
	char text[96];

	if (WIFSIGNALED(status))
		snprintf(text, sizeof(text), "killed by SIG%s",
			 sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
	else
		snprintf(text, sizeof(text), "exit %d", WEXITSTATUS(status));
	emitter_line(e, "contig run: %s: %s, %zu process%s, %.2f s", ending->program, text,
		     n, n == 1 ? "" : "es", (double)ending->elapsed_ns / 1e9);
}

static void for_people(struct emitter *e, const struct sum *sum,
		       const struct report_ending *ending)
{
	const uint64_t *c = sum->counter;
	uint64_t large = c[SHIM_ASKED_LARGE];
	uint64_t mapped = c[SHIM_MAPPED] | c[SHIM_MAPPED_LEFT] | c[SHIM_MAPPED_ASIDE];
	uint64_t forks = c[SHIM_FORKS_PINNED] | c[SHIM_FORKS_SWAPPED] | c[SHIM_FORKS_COW] |
			 c[SHIM_FORKS_REFUSED];
	char threshold[32];

	line_of_ending(e, sum, ending);
	if (sum->n == sum->listed) {
		line(e, "Nothing", sum->aside ? "all stand aside (CONTIG_RESTRICT)"
					      : "no process of it loaded the shim");
		return;
	}
	line(e, "Asked", "%s in %" PRIu64 " allocation%s%s", SIZE(SHIM_ASKED), c[SHIM_CALLS],
	     c[SHIM_CALLS] == 1 ? "" : "s", c[SHIM_REFUSED] ? ", some refused" : "");
	if (c[SHIM_CALLS_LARGE])
		line(e, "Promised",
		     "%s in %" PRIu64 " of %s and more: %s kept (%s contiguous, %s wired)",
		     SIZE(SHIM_ASKED_LARGE), c[SHIM_CALLS_LARGE],
		     emitter_size(e, ending->threshold, threshold, sizeof(threshold)),
		     SHARE(c[SHIM_LARGE_KEPT], large), SHARE(c[SHIM_LARGE_CONTIGUOUS], large),
		     SHARE(c[SHIM_LARGE_WIRED], large));
	if (taken(c))
		line(e, "Memory", "%s: %s on superpages, %s wired; longest run %s, peak %s",
		     emitter_size(e, taken(c), (char[32]){0}, 32),
		     SHARE(c[SHIM_ON_SUPERPAGES], taken(c)), SHARE(c[SHIM_WIRED], taken(c)),
		     SIZE(SHIM_LARGEST_RUN), SIZE(SHIM_PEAK));
	if (mapped)
		line(e, "Mapped", "%s on superpages, %s left to the kernel, %s given back to it",
		     SIZE(SHIM_MAPPED), SIZE(SHIM_MAPPED_LEFT), SIZE(SHIM_MAPPED_ASIDE));
	if (c[SHIM_SEGMENTS])
		line(e, "Shared", "%s on superpages", SIZE(SHIM_SEGMENTS));
	if (forks)
		line(e, "Forks",
		     "%" PRIu64 " pinned, %" PRIu64 " set aside, %" PRIu64
		     " unpinned, %" PRIu64 " refused",
		     c[SHIM_FORKS_PINNED], c[SHIM_FORKS_SWAPPED], c[SHIM_FORKS_COW],
		     c[SHIM_FORKS_REFUSED]);
	if (c[SHIM_FALLBACKS] || c[SHIM_FALLBACK_BYTES])
		line(e, "Fell back", "%s, %" PRIu64 " time%s: %s on base pages, the rest not wired",
		     SIZE(SHIM_FALLBACK_BYTES), c[SHIM_FALLBACKS],
		     c[SHIM_FALLBACKS] == 1 ? "" : "s", SIZE(SHIM_BASE_PAGES));
	if (c[SHIM_METADATA])
		line(e, "Besides", "bookkeeping on base pages, in %s of address space at most",
		     SIZE(SHIM_METADATA));
	if (c[SHIM_INHERITED])
		line(e, "Inherited", "%s by forked children, not wired there",
		     SIZE(SHIM_INHERITED));
	if (sum->aside)
		line(e, "Aside", "%" PRIu64 " process%s (CONTIG_RESTRICT)", sum->aside,
		     sum->aside == 1 ? "" : "es");
	if (sum->overflown)
		line(e, "Processes", "more than %d: the last row is of all others",
		     SHIM_SLOTS - 1);
}

static void emit_ending(struct emitter *e, const struct sum *sum,
			const struct report_ending *ending)
{
	int status = ending->status;

	emitter_field(e, "report_version", NULL, value_count(SHIM_REPORT_VERSION));
	emitter_field(e, "program", NULL, value_text(ending->program));
	emitter_field(e, "exit_status", NULL,
		      WIFEXITED(status) ? value_count((uint64_t)WEXITSTATUS(status))
					: value_nothing());
	emitter_field(e, "signal", NULL,
		      WIFSIGNALED(status) ? value_count((uint64_t)WTERMSIG(status))
					  : value_nothing());
	emitter_field(e, "elapsed_ns", NULL, value_nanoseconds(ending->elapsed_ns));
	emitter_field(e, "threshold", NULL, value_bytes(ending->threshold));
	emitter_field(e, "promised", NULL, value_bool(ending->promised));
	emitter_field(e, "overflown", NULL, value_bool(sum->overflown));
	emitter_field(e, "aside", NULL, value_count(sum->aside));
	emitter_field(e, "reasons_lost", NULL, value_count(sum->reasons_lost));
}

static struct value COUNT(uint64_t n)
{
	return value_count(n);
}

static struct value BYTES(uint64_t n)
{
	return value_bytes(n);
}

static void emit_total(struct emitter *e, const struct sum *sum)
{
	emitter_group_begin(e, "total", NULL);
#define X(NAME, name, merge, unit, heading) \
	emitter_field(e, #name, NULL, unit(sum->counter[SHIM_##NAME]));
	SHIM_COUNTERS(X)
#undef X
	emitter_group_end(e);
}

static void emit_reasons(struct emitter *e, struct sum *sum)
{
	static const struct column columns[] = {
		{"times", "TIMES", COLUMN_RIGHT},
		{"bytes", "BYTES", COLUMN_RIGHT},
		{"what", "WHY NOT", COLUMN_WRAP},
	};

	qsort(sum->reasons, sum->n_reasons, sizeof(sum->reasons[0]), by_bytes);
	if (!sum->n_reasons && !emitter_is_json(e))
		return;
	emitter_table_begin(e, "reasons", columns, 3, false);
	for (size_t i = 0; i < sum->n_reasons; i++) {
		const struct reason *reason = &sum->reasons[i];
		const struct value values[] = {
			value_count(reason->count),
			reason->bytes ? value_bytes(reason->bytes) : value_nothing(),
			value_text(reason->what),
		};

		emitter_row(e, values);
	}
	emitter_table_end(e);
}

static const struct column process_columns[] = {
	{"pid", "PID", COLUMN_RIGHT},
	{"name", "PROGRAM", COLUMN_LEFT},
	{"state", "STATE", COLUMN_LEFT},
	{"asked", "ASKED", COLUMN_RIGHT},
	{"on_superpages", "SUPERPAGES", COLUMN_RIGHT},
	{"wired", "WIRED", COLUMN_RIGHT},
	{"fallback_bytes", "FELL BACK", COLUMN_RIGHT},
	{"largest_run", "LONGEST", COLUMN_RIGHT},
	{"parent", "PARENT", COLUMN_EXTRA},
	{"forked", "FORKED", COLUMN_EXTRA},
	{"calls", "CALLS", COLUMN_EXTRA},
	{"large_kept", "KEPT", COLUMN_EXTRA},
	{"large_broken", "BROKEN", COLUMN_EXTRA},
	{"large_contiguous", "CONTIGUOUS", COLUMN_EXTRA},
	{"large_wired", "WHOLE WIRED", COLUMN_EXTRA},
	{"base_pages", "BASE PAGES", COLUMN_EXTRA},
	{"peak", "PEAK", COLUMN_EXTRA},
	{"mapped", "MAPPED", COLUMN_EXTRA},
	{"inherited", "INHERITED", COLUMN_EXTRA},
};

#define N_COLUMNS (sizeof(process_columns) / sizeof(process_columns[0]))

const struct column *report_columns(size_t *n)
{
	*n = N_COLUMNS;
	return process_columns;
}

static void emit_processes(struct emitter *e, struct sum *sum, bool all)
{
	qsort(sum->processes, sum->n, sizeof(sum->processes[0]), by_memory);
	emitter_table_begin(e, "processes", process_columns, N_COLUMNS, true);
	for (size_t i = 0; i < sum->n; i++) {
		const struct shim_slot *slot = &sum->processes[i].slot;
		const uint64_t *c = slot->counter;
		const struct value values[N_COLUMNS] = {
			value_count((uint64_t)slot->pid),
			value_text(slot->name),
			value_text(state_names[sum->processes[i].state]),
			value_bytes(c[SHIM_ASKED]),
			value_bytes(c[SHIM_ON_SUPERPAGES]),
			value_bytes(c[SHIM_WIRED]),
			value_bytes(c[SHIM_FALLBACK_BYTES]),
			value_bytes(c[SHIM_LARGEST_RUN]),
			value_count((uint64_t)slot->parent),
			value_bool(slot->forked),
			value_count(c[SHIM_CALLS]),
			value_bytes(c[SHIM_LARGE_KEPT]),
			value_bytes(c[SHIM_LARGE_BROKEN]),
			value_bytes(c[SHIM_LARGE_CONTIGUOUS]),
			value_bytes(c[SHIM_LARGE_WIRED]),
			value_bytes(c[SHIM_BASE_PAGES]),
			value_bytes(c[SHIM_PEAK]),
			value_bytes(c[SHIM_MAPPED]),
			value_bytes(c[SHIM_INHERITED]),
		};

		if (i == PROCESSES_SHOWN && !all)
			emitter_table_rest_hidden(e);
		emitter_row(e, values);
	}
	emitter_table_end(e);
	if (sum->n > PROCESSES_SHOWN && !all)
		emitter_line(e, "and %zu more, with less memory (--report=json has all)",
			     sum->n - PROCESSES_SHOWN);
}

void report_emit(const struct run_report *report, const struct report_ending *ending,
		 bool table_only, struct emitter *e)
{
	struct sum *sum = add_up(report->map);

	if (!sum) {
		emitter_error(e, "report", ENOMEM, "can't be added up", NULL);
		return;
	}
	if (emitter_is_json(e)) {
		emit_ending(e, sum, ending);
		emit_total(e, sum);
	} else if (!table_only) {
		for_people(e, sum, ending);
	}
	if (!table_only)
		emit_reasons(e, sum);
	if (sum->n > 1 || table_only || emitter_is_json(e))
		emit_processes(e, sum, table_only);
	free(sum->processes);
	free(sum);
}
