/* SPDX-License-Identifier: BSD-2-Clause */
/* contig alloc: allocate, and let pagemap say where it lies. */
#include "blocks.h"
#include "base/clock.h"
#include "command.h"
#include "draw.h"
#include "frames.h"
#include "host/topology.h"
#include "options.h"
#include "picture.h"

#include <contig.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COUNT_MAX 65536

enum {
	OPTION_LOW = OPTION_FIRST,
	OPTION_HIGH,
	OPTION_NODE,
	OPTION_HOLD,
	OPTION_NOWAIT,
	OPTION_SVG,
	OPTION_GROW,
	OPTION_NO_PICTURE
};

static const struct argp_option option_table[] = {
	{"low", OPTION_LOW, "ADDRESS", 0, "Lowest physical address (0)", 0},
	{"high", OPTION_HIGH, "ADDRESS", 0, "End of the window, exclusive (~0)", 0},
	{"align", 'a', "SIZE", 0, "Alignment, a power of two (1)", 0},
	{"boundary", 'B', "SIZE", 0, "Cross no multiple of this power of two (0: none)", 0},
	{"node", OPTION_NODE, "NODE", 0, "Only from this NUMA node", 0},
	{"count", 'c', "N", 0, "Allocate N blocks (1)", 0},
	{"zero", 'z', NULL, 0, "Ask for zeroed memory and check it", 0},
	{"nowait", OPTION_NOWAIT, NULL, 0, "Only memory that is at hand", 0},
	{"grow", OPTION_GROW, "HOW", 0,
	 "Let pools grow: never, overcommit or system (CONTIG_GROW)", 0},
	{"hold", OPTION_HOLD, "SECONDS", OPTION_ARG_OPTIONAL,
	 "Keep the memory for so long, or until SIGINT or SIGTERM", 1},
	{"svg", OPTION_SVG, "FILE", 0, "Draw the picture to FILE", 1},
	{"no-picture", OPTION_NO_PICTURE, NULL, 0, "Draw none in the terminal", 1},
	OPTIONS_OUTPUT,
	OPTIONS_HELP,
	{0},
};

struct alloc_input {
	struct emitter_options output;
	struct frames_constraint want;
	bool has_size, zero, nowait, hold, no_picture;
	int node, grow; /* -1: not given */
	uint64_t count, seconds; /* seconds 0: until a signal */
	const char *svg;
};

struct block {
	void *va;
	struct frames frames;
	struct contig_range_info info;
	const char *broken;
	uint64_t ns;
};

static uint64_t power_of_two(const struct argp_state *state, const char *name,
			     const char *arg, bool zero_ok)
{
	uint64_t n = options_size(state, name, arg);

	if ((!n && !zero_ok) || (n & (n - 1)))
		usage_error(state, name, "'%s' is not a power of two", arg);
	return n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct alloc_input *input = state->input;

	switch (key) {
	case OPTION_LOW:
		input->want.low = options_size(state, "--low", arg);
		return 0;
	case OPTION_HIGH:
		input->want.high = options_size(state, "--high", arg);
		return 0;
	case 'a':
		input->want.alignment = power_of_two(state, "--align", arg, false);
		return 0;
	case 'B':
		input->want.boundary = power_of_two(state, "--boundary", arg, true);
		return 0;
	case OPTION_NODE:
		input->node = (int)options_number(state, "--node", arg, 0,
						  HOST_NODES_MAX - 1);
		return 0;
	case 'c':
		input->count = options_number(state, "--count", arg, 1, COUNT_MAX);
		return 0;
	case 'z':
		input->zero = true;
		return 0;
	case OPTION_NOWAIT:
		input->nowait = true;
		return 0;
	case OPTION_GROW:
		input->grow = (int)options_grow(state, arg);
		return 0;
	case OPTION_HOLD:
		input->hold = true;
		if (arg)
			input->seconds = options_number(state, "--hold", arg, 1, 1u << 30);
		return 0;
	case OPTION_SVG:
		input->svg = arg;
		return 0;
	case OPTION_NO_PICTURE:
		input->no_picture = true;
		return 0;
	case ARGP_KEY_ARG:
		if (input->has_size)
			usage_error(state, arg, "one argument too many");
		input->has_size = true;
		input->want.size = options_size(state, "size", arg);
		if (!input->want.size || input->want.size > INT64_MAX)
			usage_error(state, "size", "'%s' can't be allocated", arg);
		return 0;
	case ARGP_KEY_END:
		if (!input->has_size)
			usage_error(state, "size", "missing");
		return 0;
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "SIZE",
	"Allocate SIZE bytes with contigmalloc(3) and show where they lie, as "
	"/proc/self/pagemap tells it.\v"
	"Sizes and addresses take 0x and the suffixes K, M, G, T.",
	NULL, NULL, NULL};

static const struct column columns[] = {
	{"block", "BLOCK", COLUMN_RIGHT},
	{"start", "START", COLUMN_RIGHT},
	{"end", "END", COLUMN_RIGHT},
	{"size", "SIZE", COLUMN_RIGHT},
	{"page_size", "PAGE", COLUMN_RIGHT},
	{"node", "NODE", COLUMN_RIGHT},
	{"wiring", "WIRING", COLUMN_LEFT},
	{"level", "LEVEL", COLUMN_LEFT},
	{"check", "CHECK", COLUMN_LEFT},
	{"address", "ADDRESS", COLUMN_EXTRA},
	{"time_ns", "TIME", COLUMN_EXTRA},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static bool is_zero(const unsigned char *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

static int allocate(struct block *block, const struct alloc_input *input)
{
	const struct frames_constraint *want = &input->want;
	int flags = (input->zero ? M_ZERO : 0) | (input->nowait ? M_NOWAIT : M_WAITOK);
	const struct domainset *nodes = NULL;
	uint64_t start = clock_ns();
	int error;

	if (input->node >= 0) {
		nodes = contig_domainset_fixed(input->node);
		if (!nodes)
			return -EINVAL;
	}
	block->va = nodes ? contigmalloc_domainset(want->size, M_TEMP, nodes, flags,
						   want->low, want->high, want->alignment,
						   want->boundary)
			  : contigmalloc(want->size, M_TEMP, flags, want->low, want->high,
					 want->alignment, want->boundary);
	if (!block->va)
		return errno ? -errno : -ENOMEM;
	block->ns = clock_ns() - start;
	error = blocks_frames(block->va, contig_usable_size(block->va), &block->frames);
	if (error)
		return error;
	block->broken = frames_broken(&block->frames, want);
	if (!block->broken && input->zero && !is_zero(block->va, want->size))
		block->broken = "it is not zero";
	if (contig_range_check(block->va, want->size, &block->info) < 0) {
		block->info = (struct contig_range_info){.node = -1,
							 .level = contig_level()};
	}
	return 0;
}

static void emit_range(struct emitter *e, const struct block *block, size_t number,
		       const struct frames_range *range)
{
	const struct contig_range_info *info = &block->info;
	const char *check = block->broken ? block->broken : range ? "ok" : "unseen";
	enum paint paint = block->broken ? PAINT_BAD : range ? PAINT_GOOD : PAINT_WARN;

	emitter_row(e, (const struct value[N_COLUMNS]){
			       value_count(number),
			       range ? value_address(range->start) : value_unknown(),
			       range ? value_address(range->end) : value_unknown(),
			       value_bytes(range ? range->end - range->start
						 : contig_usable_size(block->va)),
			       info->page_size ? value_bytes(info->page_size)
					       : value_unknown(),
			       info->node < 0 ? value_unknown()
					      : value_count((uint64_t)info->node),
			       value_text(wiring_name(info->wiring)),
			       value_text(level_name(info->level)),
			       value_painted(check, paint),
			       value_address((uintptr_t)block->va),
			       value_nanoseconds(block->ns),
		       });
}

/* One row for each physical range, so that a block in pieces shows. */
static void emit_blocks(struct emitter *e, const struct block *blocks, size_t n)
{
	emitter_table_begin(e, "blocks", columns, N_COLUMNS, true);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < blocks[i].frames.n; j++)
			emit_range(e, &blocks[i], i, &blocks[i].frames.ranges[j]);
		if (!blocks[i].frames.n)
			emit_range(e, &blocks[i], i, NULL);
	}
	emitter_table_end(e);
}

static struct picture_range *all_ranges(const struct block *blocks, size_t n, size_t *total)
{
	struct picture_range *ranges;

	*total = 0;
	for (size_t i = 0; i < n; i++)
		*total += blocks[i].frames.n;
	ranges = calloc(*total + 1, sizeof(*ranges));
	if (!ranges)
		return NULL;
	*total = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < blocks[i].frames.n; j++)
			ranges[(*total)++] =
				(struct picture_range){blocks[i].frames.ranges[j].start,
						       blocks[i].frames.ranges[j].end};
	return ranges;
}

static int draw_svg_file(const char *path, const struct picture_range *ranges, size_t n,
			 const char *title)
{
	struct draw *d = draw_svg_create(path);

	if (!d)
		return -errno;
	picture_memory(d, contig_topology(), ranges, n, title);
	return draw_finish(d);
}

static int draw_all(struct emitter *e, const struct alloc_input *input,
		    const struct block *blocks, size_t n)
{
	struct picture_range *ranges;
	struct draw *d;
	char title[64];
	size_t total;
	int error = 0;

	/* A machine that is described (CONTIG_SIM) is not the one in /proc. */
	if (!contig_topology() || contig_level() == CONTIG_LEVEL_SIMULATED)
		return 0;
	ranges = all_ranges(blocks, n, &total);
	if (!ranges)
		return -ENOMEM;
	snprintf(title, sizeof(title), "contig alloc: %zu block%s", n, n == 1 ? "" : "s");
	if (input->svg)
		error = draw_svg_file(input->svg, ranges, total, title);
	/* A table cut to columns is for a program. */
	if (!emitter_is_json(e) && !input->no_picture && !input->output.columns && total) {
		emitter_line(e, "%s", "");
		d = draw_term_create(stdout, screen_get()->columns);
		if (d) {
			picture_memory(d, contig_topology(), ranges, total, NULL);
			draw_finish(d);
		}
	}
	free(ranges);
	return error;
}

/* Wait with SIGINT and SIGTERM as the bell, then see whether frames moved. */
static int hold(const struct alloc_input *input, const struct block *blocks, size_t n)
{
	struct timespec seconds = {.tv_sec = (time_t)input->seconds};
	size_t moved = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (input->seconds)
		while (sigtimedwait(&set, NULL, &seconds) < 0 && errno == EINTR)
			;
	else
		while (sigwaitinfo(&set, NULL) < 0 && errno == EINTR)
			;
	for (size_t i = 0; i < n; i++) {
		struct frames now;

		if (blocks_frames(blocks[i].va, contig_usable_size(blocks[i].va), &now))
			continue;
		moved += !frames_equal(&now, &blocks[i].frames);
		frames_free(&now);
	}
	if (moved)
		fprintf(stderr, "contig alloc: %zu block%s moved to other frames\n", moved,
			moved == 1 ? "" : "s");
	return moved ? STATUS_TROUBLE : STATUS_YES;
}

static int report_refusal(struct emitter *e, int error, size_t got, size_t wanted)
{
	const char *reason = contig_strreason();
	char object[48];

	snprintf(object, sizeof(object), "block %zu of %zu", got + 1, wanted);
	emitter_error(e, wanted > 1 ? object : "contigmalloc", -error,
		      reason[0] ? blocks_reason_core(reason) : strerrordesc_np(-error),
		      blocks_way_out(-error));
	return STATUS_NO;
}

int cmd_alloc(int argc, char **argv)
{
	struct alloc_input input = {
		.want = {.high = UINT64_MAX, .alignment = 1},
		.node = -1,
		.grow = -1,
		.count = 1,
	};
	struct block *blocks = NULL;
	struct emitter *e;
	size_t n = 0;
	int status = STATUS_YES, error = 0;
	char *bad;
	sigset_t set;

	options_parse(&argp, 0, argc, argv, &input);
	e = emitter_create("alloc", &input.output);
	bad = emitter_bad_column(e, columns, N_COLUMNS);
	if (bad) {
		emitter_error(e, bad, 0,
			      "no such column (block, start, end, size, page_size, node, "
			      "wiring, level, check, address, time_ns)",
			      "Try 'contig alloc --help'");
		free(bad);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	/* Blocked before memory is taken: a signal must not find it half-way. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (input.hold)
		sigprocmask(SIG_BLOCK, &set, NULL);
	error = blocks_configure(input.grow);
	if (error) {
		emitter_error(e, "--grow", -error, contig_strreason(), NULL);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	blocks = calloc(input.count, sizeof(*blocks));
	if (!blocks) {
		emitter_error(e, "memory", ENOMEM, "none for the tool itself", NULL);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	for (; n < input.count; n++) {
		error = allocate(&blocks[n], &input);
		if (error)
			break;
		if (blocks[n].broken)
			status = STATUS_TROUBLE;
	}
	if (error)
		status = report_refusal(e, error, n, input.count);
	emit_blocks(e, blocks, n);
	/* Not into a table cut to columns, which is for a program. */
	if (n && !blocks[0].frames.visible && !input.output.columns)
		emitter_line(e, "?: pagemap hides frame numbers from this process (needs "
				"CAP_SYS_ADMIN)");
	if (n && contig_level() == CONTIG_LEVEL_SIMULATED && !input.output.columns)
		emitter_line(e, "A described machine (CONTIG_SIM): no device knows these "
				"addresses.");
	error = draw_all(e, &input, blocks, n);
	if (error) {
		emitter_error(e, input.svg ? input.svg : "picture", -error,
			      strerrordesc_np(-error), NULL);
		status = STATUS_TROUBLE;
	}
	if (input.hold && status == STATUS_YES && !emitter_is_json(e))
		emitter_line(e, "held by process %d%s", (int)getpid(),
			     input.seconds ? "" : " until SIGINT or SIGTERM");
	status = emitter_finish(e, status);
	if (input.hold && status == STATUS_YES)
		status = hold(&input, blocks, n);
	for (size_t i = 0; i < n; i++) {
		contigfree(blocks[i].va, input.want.size, M_TEMP);
		frames_free(&blocks[i].frames);
	}
	free(blocks);
	return status;
}
