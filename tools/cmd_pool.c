/* SPDX-License-Identifier: BSD-2-Clause */
/* contig pool: show and shape the kernel's hugetlb pools. */
#include "command.h"
#include "options.h"
#include "pool_command.h"

#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/root.h"
#include "host/syslock.h"
#include "host/topology.h"
#include "pool_hold.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_WAIT_MS 10000 /* a reclaim elsewhere takes a second or two */
#define SIZES_MAX 16
#define RUNS_SHOWN 10

enum {
	OPTION_NODE = OPTION_FIRST,
	OPTION_CONTIGUITY,
	OPTION_RUNS
};

static const struct argp_option option_table[] = {
	{"size", 's', "SIZE", 0, "Page size of the pool: 2M or 1G", 0},
	{"node", OPTION_NODE, "NODE", 0, "Only this NUMA node", 0},
	{"dry-run", 'd', NULL, 0, "Print the shell commands and change nothing", 0},
	{"contiguity", OPTION_CONTIGUITY, NULL, 0,
	 "show: take the free pages for a moment to see how they lie", 0},
	{"runs", OPTION_RUNS, "N", 0, "keep-contiguous: at most N pieces (1)", 0},
	OPTIONS_OUTPUT,
	OPTIONS_SYSROOT,
	OPTIONS_HELP,
	{0},
};

struct action {
	const char *name;
	bool address, number, writes;
	uint64_t size; /* when --size is not given */
	int (*run)(struct emitter *e, const struct pool_input *input);
};

static const struct action actions[] = {
	{"show", false, false, false, 0, pool_show},
	{"grow", false, true, true, SUPERPAGE_SIZE, pool_grow},
	{"shrink", false, true, true, SUPERPAGE_SIZE, pool_shrink},
	{"demote", false, true, true, GIGAPAGE_SIZE, pool_demote},
	{"compact", false, false, true, 0, pool_compact},
	{"below", true, true, true, SUPERPAGE_SIZE, pool_below},
	{"keep-contiguous", false, true, true, SUPERPAGE_SIZE, pool_keep_contiguous},
};

static const struct action *action_find(const char *name)
{
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (!strcmp(actions[i].name, name))
			return &actions[i];
	return NULL;
}

static void parse_word(struct pool_input *input, const char *arg, struct argp_state *state)
{
	const struct action *action;

	if (!input->action) {
		if (!action_find(arg))
			usage_error(state, arg, "no such action");
		input->action = arg;
		return;
	}
	action = action_find(input->action);
	if (action->address && !input->address) {
		input->address = options_size(state, "address", arg);
		if (!input->address)
			usage_error(state, "address", "nothing lies below 0");
	} else if (action->number && !input->n) {
		input->n = options_number(state, "pages", arg, 1, UINT64_C(1) << 32);
	} else {
		usage_error(state, arg, "one argument too many for '%s'", input->action);
	}
}

static void parse_end(struct pool_input *input, struct argp_state *state)
{
	const struct action *action = action_find(input->action ? input->action : "show");

	input->action = action->name;
	if (action->address && !input->address)
		usage_error(state, action->name, "an address and a number of pages are needed");
	if (action->number && !input->n)
		usage_error(state, action->name, "a number of pages is needed");
	if (!input->size)
		input->size = action->size;
	if ((action->run == pool_below || action->run == pool_keep_contiguous) &&
	    input->size != SUPERPAGE_SIZE)
		usage_error(state, "--size", "'%s' shapes pages of 2M only", action->name);
	if (action->run == pool_demote && input->size != GIGAPAGE_SIZE)
		usage_error(state, "--size", "only pages of 1G can be demoted");
	if (action->writes && !input->dry_run && !contig_root_is_real())
		usage_error(state, "--sysroot", "a captured tree can't be changed");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct pool_input *input = state->input;

	switch (key) {
	case 's':
		input->size = options_size(state, "--size", arg);
		if (input->size != SUPERPAGE_SIZE && input->size != GIGAPAGE_SIZE)
			usage_error(state, "--size", "'%s' is neither 2M nor 1G", arg);
		return 0;
	case OPTION_NODE:
		input->node = (int)options_number(state, "--node", arg, 0,
						  HOST_NODES_MAX - 1);
		return 0;
	case 'd':
		input->dry_run = true;
		return 0;
	case OPTION_CONTIGUITY:
		input->contiguity = true;
		return 0;
	case OPTION_RUNS:
		input->most_runs = options_number(state, "--runs", arg, 1, INT64_MAX);
		return 0;
	case ARGP_KEY_ARG:
		parse_word(input, arg, state);
		return 0;
	case ARGP_KEY_END:
		parse_end(input, state);
		return 0;
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse,
	"[show]\ngrow N\nshrink N\ndemote N\ncompact\nbelow ADDRESS N\nkeep-contiguous N",
	"Show and shape the kernel's pools of superpages.\v"
	"  show             counters of each size and node\n"
	"  grow, shrink     N pages more, or N free pages less\n"
	"  demote           split N free pages of 1G into 512 of 2M each\n"
	"  compact          have the kernel move pages together\n"
	"  below            N pages more, all of them below ADDRESS (such as 4G)\n"
	"  keep-contiguous  N pages more, in one piece\n"
	"\nAll but show need root.  When one fails, the pools are as before.",
	NULL, NULL, NULL};

int pool_lock(struct emitter *e)
{
	int lock = contig_syslock_take(LOCK_WAIT_MS);

	if (lock == -ETIMEDOUT)
		emitter_error(e, "lock", ETIMEDOUT, contig_reason_get(),
			      "Try again when the other process is done");
	return lock;
}

int pool_failed(struct emitter *e, const char *object, int error)
{
	const char *reason = contig_reason_get();

	if (error == -EACCES || error == -EPERM) {
		emitter_error(e, object, -error, reason[0] ? reason : "writing it needs root",
			      "Try it with sudo, or add --dry-run to see the commands");
		return 2;
	}
	emitter_error(e, object, -error, reason[0] ? reason : strerrordesc_np(-error),
		      error == -ENOMEM ? "Try 'contig pool compact', or free memory" : NULL);
	return error == -ENOMEM ? 1 : 2;
}

void pool_say_echo(struct emitter *e, uint64_t size, int node, const char *file,
		   uint64_t number, const char *comment)
{
	char path[160], line[256];

	contig_hugetlb_file(path, sizeof(path), size, node, file);
	snprintf(line, sizeof(line), "echo %" PRIu64 " > %s", number, path);
	emitter_command(e, line, comment);
}

void pool_emit_change(struct emitter *e, uint64_t size, const struct hugetlb_counts *before,
		      const struct hugetlb_counts *after)
{
	char text[24];

	emitter_field(e, "size", NULL, value_bytes(size));
	emitter_field(e, "total_before", NULL, value_count(before->total));
	emitter_field(e, "total", NULL, value_count(after->total));
	emitter_field(e, "free_before", NULL, value_count(before->free));
	emitter_field(e, "free", NULL, value_count(after->free));
	emitter_line(e,
		     "pages of %s: %" PRIu64 " before, %" PRIu64 " now, %" PRIu64
		     " of them free",
		     contig_size_print(size, text, sizeof(text)), before->total, after->total,
		     after->free);
}

static const struct column columns[] = {
	{"size", "SIZE", COLUMN_RIGHT},
	{"node", "NODE", COLUMN_RIGHT},
	{"total", "TOTAL", COLUMN_RIGHT},
	{"free", "FREE", COLUMN_RIGHT},
	{"reserved", "RESERVED", COLUMN_RIGHT},
	{"surplus", "SURPLUS", COLUMN_RIGHT},
	{"overcommit", "OVERCOMMIT", COLUMN_RIGHT},
	{"bytes", "BYTES", COLUMN_EXTRA},
	{"bytes_free", "BYTES-FREE", COLUMN_EXTRA},
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static int show_row(struct emitter *e, uint64_t size, int node)
{
	struct hugetlb_counts counts;
	bool all = node == HUGETLB_ALL_NODES;
	int error = contig_hugetlb_counts(size, node, &counts);

	if (error)
		return error;
	emitter_row(e, (const struct value[N_COLUMNS]){
			       value_bytes(size),
			       all ? value_null("all") : value_count((uint64_t)node),
			       value_count(counts.total),
			       value_count(counts.free),
			       all ? value_count(counts.reserved) : value_nothing(),
			       value_count(counts.surplus),
			       all ? value_count(counts.overcommit) : value_nothing(),
			       value_bytes(counts.total * size),
			       value_bytes(counts.free * size),
		       });
	return 0;
}

/* Take the free pages of one size, say how they lie, give them back. */
static int show_contiguity(struct emitter *e, uint64_t size, int node)
{
	struct pool_hold hold;
	char key[32], text[24], longest[24];
	int lock, error;

	contig_reason_clear();
	lock = pool_lock(e);
	if (lock == -ETIMEDOUT)
		return 2;
	error = pool_hold_take(&hold, size, node);
	if (error) {
		contig_syslock_drop(lock);
		return pool_failed(e, "free pages", error);
	}
	contig_size_print(size, text, sizeof(text));
	emitter_line(e, "%s", "");
	if (hold.batch.n)
		emitter_line(e,
			     "Free pages of %s (%zu taken for a moment and given back): "
			     "%zu run%s, the longest %s",
			     text, hold.batch.n, hold.n_runs, hold.n_runs == 1 ? "" : "s",
			     contig_size_print(hold.runs[0].n * size, longest,
					       sizeof(longest)));
	else
		emitter_line(e, "Free pages of %s: none", text);
	snprintf(key, sizeof(key), "runs_%s", size == GIGAPAGE_SIZE ? "1g" : "2m");
	pool_hold_emit(e, key, &hold, RUNS_SHOWN);
	pool_hold_drop(&hold);
	contig_syslock_drop(lock);
	return 0;
}

int pool_show(struct emitter *e, const struct pool_input *input)
{
	const struct host_topology *t = contig_topology();
	uint64_t sizes[SIZES_MAX];
	int n = contig_hugetlb_sizes(sizes, SIZES_MAX), rows = 0, status = 0;

	if (n <= 0 || !t) {
		emitter_error(e, "/sys/kernel/mm/hugepages", n < 0 ? -n : 0,
			      "this kernel has no pools of superpages", NULL);
		return 2;
	}
	emitter_table_begin(e, "pools", columns, N_COLUMNS, true);
	for (int i = 0; i < n; i++) {
		if (input->size && sizes[i] != input->size)
			continue;
		if (input->node == HUGETLB_ALL_NODES)
			rows += !show_row(e, sizes[i], HUGETLB_ALL_NODES);
		for (int j = 0; j < t->n_nodes; j++)
			if (input->node == HUGETLB_ALL_NODES || input->node == t->nodes[j])
				rows += !show_row(e, sizes[i], t->nodes[j]);
	}
	emitter_table_end(e);
	if (!rows) {
		emitter_error(e, "pool", ENOENT, "no such size or node on this machine",
			      "Try 'contig pool show'");
		return 2;
	}
	for (int i = 0; i < n && input->contiguity && !status; i++)
		if ((sizes[i] == SUPERPAGE_SIZE || sizes[i] == GIGAPAGE_SIZE) &&
		    (!input->size || sizes[i] == input->size))
			status = show_contiguity(e, sizes[i], input->node);
	return status;
}

/* Asked before the lock: who may not change a pool need not wait for it. */
static int check_writable(struct emitter *e, const struct pool_input *input)
{
	char path[160] = "/proc/sys/vm/compact_memory";

	if (input->size)
		contig_hugetlb_file(path, sizeof(path), input->size, input->node,
				    "nr_hugepages");
	else if (input->node != HUGETLB_ALL_NODES)
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/compact",
			 input->node);
	contig_reason_clear();
	return access(path, W_OK) ? pool_failed(e, path, -errno) : 0;
}

int cmd_pool(int argc, char **argv)
{
	struct pool_input input = {.node = HUGETLB_ALL_NODES, .most_runs = 1};
	const struct action *action;
	struct emitter *e;
	int status = 0;
	char *bad;

	options_parse(&argp, 0, argc, argv, &input);
	e = emitter_create("pool", &input.output);
	bad = emitter_bad_column(e, columns, N_COLUMNS);
	if (bad) {
		emitter_error(e, bad, 0,
			      "no such column (size, node, total, free, reserved, surplus, "
			      "overcommit, bytes, bytes_free)",
			      "Try 'contig pool --help'");
		free(bad);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	if (input.contiguity && !contig_root_is_real()) {
		emitter_error(e, "--contiguity", 0, "a captured tree has no pages to take",
			      "Try 'contig pool --help'");
		return emitter_finish(e, STATUS_TROUBLE);
	}
	action = action_find(input.action);
	if (action->writes && !input.dry_run)
		status = check_writable(e, &input);
	return emitter_finish(e, status ? status : action->run(e, &input));
}
