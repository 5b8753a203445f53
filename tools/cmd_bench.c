/* SPDX-License-Identifier: BSD-2-Clause */
/* contig bench: how contiguous memory can be had here, and what it is worth. */
#include "bench.h"
#include "bench_apart.h"
#include "command.h"
#include "options.h"

#include "base/page.h"
#include "base/size.h"
#include "host/available.h"
#include "host/root.h"
#include "host/syslock.h"
#include "pool_command.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define SIZE (UINT64_C(256) << 20)
#define FILL_LEAST (UINT64_C(64) << 20)

enum {
	OPTION_WORKER = OPTION_FIRST
};

static const struct argp_option option_table[] = {
	{"size", 's', "SIZE", 0, "Take this much at a time (256M)", 0},
	{"fill", 'f', "SIZE", 0, "fragment: fill at most this much memory", 0},
	{"quick", 'q', NULL, 0, "Fewer repetitions", 0},
	{"output", 'o', "FILE", 0, "Draw plots to FILE, .svg or .html", 0},
	/* Started by itself, see bench_apart.h. */
	{"worker", OPTION_WORKER, "FD", OPTION_HIDDEN, NULL, 0},
	{"json", 'J', NULL, 0, "Print JSON", 90},
	{"no-header", 'n', NULL, 0, "Print no column headings", 90},
	{"bytes", 'b', NULL, 0, "Print sizes in bytes", 90},
	OPTIONS_HELP,
	{0},
};

static const struct part {
	const char *name;
	int (*run)(struct bench *b);
	bool locked; /* pools are changed or counted */
	bool asked;  /* not part of "all" */
} parts[] = {
	/* The order matters: the last three start the library in this process. */
	{"contiguity", bench_contiguity, false, false},
	{"fragment", bench_fragment, true, true},
	{"tlb", bench_tlb, true, false},
	{"alloc", bench_alloc, false, false},
	{"translate", bench_translate, false, false},
	{"insert", bench_insert, false, false},
};

#define PARTS (sizeof(parts) / sizeof(parts[0]))

struct input {
	struct emitter_options output;
	uint64_t size, fill;
	const char *plot;
	bool quick, named;
	bool chosen[PARTS];
};

static bool ends_in(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n > m && !strcmp(name + n - m, end);
}

static void choose(struct input *input, const char *arg, struct argp_state *state)
{
	bool known = !strcmp(arg, "all");

	for (size_t i = 0; i < PARTS; i++) {
		bool this = !strcmp(arg, parts[i].name);

		if (this || (!strcmp(arg, "all") && !parts[i].asked))
			input->chosen[i] = true;
		known |= this;
	}
	if (!known)
		usage_error(state, arg,
			    "none of contiguity, alloc, translate, insert, tlb, fragment, all");
	input->named = true;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct input *input = state->input;

	switch (key) {
	case 's':
		input->size = options_size(state, "--size", arg);
		if (input->size < SUPERPAGE_SIZE)
			usage_error(state, "--size", "'%s' is less than a superpage", arg);
		input->size = align_down(input->size, SUPERPAGE_SIZE);
		return 0;
	case 'f':
		input->fill = options_size(state, "--fill", arg);
		if (input->fill < FILL_LEAST)
			usage_error(state, "--fill", "'%s' is less than 64M", arg);
		return 0;
	case 'q':
		input->quick = true;
		return 0;
	case OPTION_WORKER:
		if (bench_apart_main((int)options_number(state, "--worker", arg, 0, INT_MAX)))
			usage_error(state, "--worker", "only for contig bench itself");
		exit(STATUS_YES);
	case 'o':
		if (!ends_in(arg, ".svg") && !ends_in(arg, ".html"))
			usage_error(state, "--output", "'%s' ends in neither .svg nor .html", arg);
		input->plot = arg;
		return 0;
	case ARGP_KEY_ARG:
		choose(input, arg, state);
		return 0;
	case ARGP_KEY_END:
		if (!input->named)
			choose(input, "all", state);
		return 0;
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "[PART...]",
	"Measure how contiguous memory can be had on this machine, and what it is worth.\v"
	"  contiguity  run lengths by source, as found and sorted, and libcontig's\n"
	"  alloc       contigmalloc against malloc and mmap: percentiles\n"
	"  translate   virtual to physical\n"
	"  insert      vm_insert_page against the bare system calls\n"
	"  tlb         a chase of pointers by page size\n"
	"  fragment    fill memory, fragment it, and see what is still to be had\n"
	"  all         all but fragment (the default)\n"
	"\nfragment takes nearly all memory for a moment, or what --fill allows: not for a "
	"machine at work.  Memory and pools are put back.",
	NULL, NULL, NULL};

void bench_say(const struct bench *b, const char *what)
{
	(void)b;
	if (!isatty(STDERR_FILENO))
		return;
	if (what)
		fprintf(stderr, "\r\033[K%s ...", what);
	else
		fprintf(stderr, "\r\033[K");
	fflush(stderr);
}

struct plot_series *bench_series(struct bench *b, enum bench_plot plot, const char *name)
{
	static const struct {
		const char *name;
		unsigned int colour;
	} known[] = {
		/* The first that a name begins with. */
		{"libcontig", 0},      {"contigmalloc", 0},	 {"contig_virt_to_phys", 0},
		{"vm_insert_page", 0}, {"DPDK", 1},		 {"rte_malloc", 1},
		{"rte_mem", 12},       {"get_huge_pages", 2},	 {"glibc malloc", 3},
		{"jemalloc", 5},       {"mmap, transparent", 9}, {"transparent", 9},
		{"mmap", 4},	       {"4K pages", 4},		 {"pread", 4},
		{"collapsed", 6},      {"pool as it is", 7},	 {"pool grown", 8},
		{"hugetlb 2M", 8},     {"compacted", 10},	 {"1G demoted", 11},
		{"hugetlb 1G", 11},    {"surplus", 13},
	};
	struct plot_series *s = plot_series_add(&b->plots[plot], name);

	for (size_t i = 0; s && i < sizeof(known) / sizeof(known[0]); i++)
		if (!strncmp(name, known[i].name, strlen(known[i].name))) {
			s->colour = known[i].colour;
			s->strong = !known[i].colour;
			break;
		}
	return s;
}

static void conditions(char *text, size_t len)
{
	struct utsname name;
	char memory[24];

	uname(&name);
	snprintf(text, len, "Linux %s, %s, %ld CPUs, %s available; libcontig %s", name.release,
		 name.machine, sysconf(_SC_NPROCESSORS_ONLN),
		 contig_size_print(contig_available(), memory, sizeof(memory)), PACKAGE_VERSION);
}

/* What the parts print, for people and for the report. */
struct page {
	FILE *out;    /* where the plots go; NULL: nowhere */
	char *tables; /* what was printed so far; NULL: nothing, or no memory */
};

static int draw(struct page *page, const char *path, const struct bench *b, const char *foot)
{
	const struct plot *plots[BENCH_PLOTS];
	int error;

	for (size_t i = 0; i < BENCH_PLOTS; i++)
		plots[i] = &b->plots[i];
	if (ends_in(path, ".html"))
		error = plot_write_html(page->out, plots, BENCH_PLOTS, "contig bench",
					page->tables ? page->tables : foot);
	else
		error = plot_write_svg(page->out, plots, BENCH_PLOTS, foot);
	if (fclose(page->out) && !error)
		error = -errno;
	return error;
}

static int run_part(struct bench *b, const struct part *part)
{
	int lock = -1, status;

	if (part->locked) {
		lock = pool_lock(b->e);
		if (lock == -ETIMEDOUT)
			return STATUS_TROUBLE;
	}
	status = part->run(b);
	if (part->locked)
		contig_syslock_drop(lock);
	bench_say(b, NULL);
	return status;
}

/* Its tables go to standard output, and a copy to the report. */
static int run_copied(struct bench *b, const struct part *part, struct page *page)
{
	FILE *terminal = stdout, *copy = NULL;
	char *text = NULL, *all;
	size_t len;
	int status;

	if (page->out)
		copy = open_memstream(&text, &len);
	if (copy)
		stdout = copy;
	status = run_part(b, part);
	stdout = terminal;
	if (!copy)
		return status;
	if (fclose(copy) || !text)
		return status;
	fputs(text, stdout);
	fflush(stdout);
	if (asprintf(&all, "%s%s%s", page->tables ? page->tables : "",
		     page->tables && *text ? "\n" : "", text) >= 0) {
		free(page->tables);
		page->tables = all;
	}
	free(text);
	return status;
}

static int run_chosen(struct bench *b, const struct input *input, struct page *page)
{
	int status = STATUS_YES;
	bool first = true;

	for (size_t i = 0; i < PARTS && status == STATUS_YES; i++) {
		if (!input->chosen[i])
			continue;
		if (!first)
			emitter_line(b->e, "%s", "");
		first = false;
		status = run_copied(b, &parts[i], page);
	}
	return status;
}

int cmd_bench(int argc, char **argv)
{
	struct input input = {.size = SIZE, .fill = UINT64_MAX};
	struct bench *b = calloc(1, sizeof(*b));
	struct page page = {0};
	int status, error;
	struct emitter *e;
	char text[256];

	options_parse(&argp, 0, argc, argv, &input);
	e = emitter_create("bench", &input.output);
	if (!b || !contig_root_is_real()) {
		emitter_error(e, b ? "--sysroot" : "memory", b ? 0 : ENOMEM,
			      b ? "a captured tree can't be measured" : "no memory", NULL);
		free(b);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	if (input.size > contig_available() / 2) {
		emitter_error(e, "--size", ENOMEM, "more than half of the memory available",
			      "Try a smaller --size");
		free(b);
		return emitter_finish(e, STATUS_NO);
	}
	/* Before minutes of work: may it be written? */
	if (input.plot)
		page.out = fopen(input.plot, "we");
	if (input.plot && !page.out) {
		emitter_error(e, input.plot, errno, strerror(errno), NULL);
		free(b);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	b->e = e;
	b->size = input.size;
	b->fill = input.fill;
	b->quick = input.quick;
	conditions(text, sizeof(text));
	emitter_field(e, "conditions", NULL, value_text(text));
	emitter_line(e, "%s", text);
	if (!emitter_is_json(e) && asprintf(&page.tables, "%s\n", text) < 0)
		page.tables = NULL;
	status = run_chosen(b, &input, &page);
	/* What was measured, also when a part could not be. */
	if (page.out) {
		error = draw(&page, input.plot, b, text);
		if (error) {
			emitter_error(e, input.plot, -error, strerror(-error), NULL);
			status = STATUS_TROUBLE;
		}
	}
	free(page.tables);
	free(b);
	return emitter_finish(e, status);
}
