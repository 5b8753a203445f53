/* SPDX-License-Identifier: BSD-2-Clause */
/* contig phys: what the machine's physical memory is used for. */
#include "base_page.h"
#include "command.h"
#include "options.h"
#include "phys_owners.h"
#include "phys_picture.h"
#include "phys_scan.h"

#include "base/reason.h"
#include "base/size.h"
#include "host/buddy.h"
#include "host/root.h"
#include "host/topology.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TERMINAL_ROWS 24
#define SVG_CELLS (64 * PHYS_PICTURE_SVG_ACROSS)

enum {
	OPTION_NODE = OPTION_FIRST,
	OPTION_SVG,
	OPTION_NO_MAP,
	OPTION_OWNERS
};

static const struct argp_option option_table[] = {
	{"node", OPTION_NODE, "NODE", 0, "Only this NUMA node", 0},
	{"owners", OPTION_OWNERS, NULL, 0, "List all processes that have superpages", 0},
	{"svg", OPTION_SVG, "FILE", 0, "Draw the map to FILE", 1},
	{"no-map", OPTION_NO_MAP, NULL, 0, "Draw none in the terminal", 1},
	OPTIONS_OUTPUT,
	OPTIONS_SYSROOT,
	OPTIONS_HELP,
	{0},
};

struct input {
	struct emitter_options output;
	int node; /* -1: all */
	const char *svg;
	bool no_map, owners;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct input *input = state->input;

	switch (key) {
	case OPTION_NODE:
		input->node = (int)options_number(state, "--node", arg, 0,
						  HOST_NODE_LIMIT - 1);
		return 0;
	case OPTION_OWNERS:
		input->owners = true;
		return 0;
	case OPTION_SVG:
		input->svg = arg;
		return 0;
	case OPTION_NO_MAP:
		input->no_map = true;
		return 0;
	case ARGP_KEY_ARG:
		usage_error(state, arg, "one argument too many");
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "",
	"Show what the machine's physical memory is used for, how its free memory lies, "
	"and how many superpages it has room for.\v"
	"2M and 1G: superpages in use, places that are free as a whole, and how many there "
	"could be at MOST if the kernel moved all that it can move: an estimate, since flags "
	"don't tell what is pinned.  IN THE WAY: places that can't be emptied, by what "
	"most of their frames that stay are.\n\nWithout root only the kernel's "
	"own counts of free blocks can be told.",
	NULL, NULL, NULL};

static const struct column zone_columns[] = {
	{"node", "NODE", COLUMN_RIGHT},
	{"zone", "ZONE", COLUMN_LEFT},
	{"ram", "RAM", COLUMN_RIGHT},
	{"free", "FREE", COLUMN_RIGHT},
	{"longest_free", "LONGEST", COLUMN_RIGHT},
	{"superpages", "2M USED", COLUMN_RIGHT},
	{"superpages_free", "FREE", COLUMN_RIGHT},
	{"superpages_most", "MOST", COLUMN_RIGHT},
	{"gigapages_free", "1G FREE", COLUMN_RIGHT},
	{"gigapages_most", "MOST", COLUMN_RIGHT},
	{"in_the_way", "IN-THE-WAY", COLUMN_EXTRA},
	{"longest_free_at", "LONGEST-AT", COLUMN_EXTRA},
	{"estimated", "ESTIMATED", COLUMN_EXTRA},
};

#define N_ZONE_COLUMNS (sizeof(zone_columns) / sizeof(zone_columns[0]))

static const struct column use_columns[] = {
	{"use", "USE", COLUMN_LEFT},
	{"bytes", "SIZE", COLUMN_RIGHT},
	{"share", "SHARE", COLUMN_RIGHT},
	{"in_the_way", "IN THE WAY", COLUMN_RIGHT},
	{"what", "WHAT IT IS", COLUMN_WRAP},
};

#define N_USE_COLUMNS (sizeof(use_columns) / sizeof(use_columns[0]))

/* What spoils the most places of superpages; NULL: nothing does. */
static const char *worst(const struct phys_blocks *b)
{
	int most = 0;

	for (int use = 0; use < PHYS_USES_N; use++)
		if (b->in_the_way[use] > b->in_the_way[most])
			most = use;
	return b->in_the_way[most] ? phys_use_key((enum phys_use)most) : NULL;
}

static void zone_row(struct emitter *e, const struct phys_scan *s, const struct phys_zone *z)
{
	bool giga = s->gigapage && z->giga.whole;

	emitter_row(e, (const struct value[N_ZONE_COLUMNS]){
			       value_count((uint64_t)z->zone->node),
			       value_text(z->zone->name),
			       value_bytes(z->ram * s->page),
			       value_bytes(z->frames[USE_FREE] * s->page),
			       value_bytes(z->longest_free * s->page),
			       value_count(z->super.taken),
			       value_count(z->super.free),
			       value_count(phys_blocks_most(z, &z->super, s->superpage, s->page)),
			       giga ? value_count(z->giga.free) : value_nothing(),
			       giga ? value_count(phys_blocks_most(z, &z->giga, s->gigapage,
								   s->page))
				    : value_nothing(),
			       value_text(worst(&z->super)),
			       z->longest_free ? value_address(z->longest_at * s->page)
					       : value_nothing(),
			       value_bytes((s->holes ? z->ram : z->guessed) * s->page),
		       });
}

/* What is no measurement is said to be none. */
static void tell_estimates(struct emitter *e, const struct phys_scan *s)
{
	uint64_t guessed = 0;
	char size[24];

	for (size_t i = 0; i < s->n_zones; i++)
		guessed += s->zones[i].guessed;
	if (s->holes)
		emitter_line(e, "/proc/iomem tells no addresses of RAM: all that zones span was "
				"looked at, and RAM is an estimate; holes may count as blank "
				"or reserved.");
	if (guessed)
		emitter_line(e, "Of %s nothing tells which of two zones it is in, neither memory "
				"blocks in /sys nor the zones' counts: it was given to one of "
				"them, an estimate (column estimated).",
			     contig_size_print(guessed * s->page, size, sizeof(size)));
}

static void use_rows(struct emitter *e, const struct phys_scan *s)
{
	uint64_t all = 0;

	for (size_t i = 0; i < s->n_zones; i++)
		all += s->zones[i].ram;
	emitter_line(e, "%s", "");
	emitter_table_begin(e, "uses", use_columns, N_USE_COLUMNS, false);
	for (int use = 0; use < PHYS_USES_N; use++) {
		uint64_t frames = 0, spoiled = 0;
		char share[16];

		for (size_t i = 0; i < s->n_zones; i++) {
			frames += s->zones[i].frames[use];
			spoiled += s->zones[i].super.in_the_way[use];
		}
		snprintf(share, sizeof(share), "%.1f %%",
			 all ? 100.0 * (double)frames / (double)all : 0.0);
		emitter_row(e, (const struct value[N_USE_COLUMNS]){
				       value_text(phys_use_key((enum phys_use)use)),
				       value_bytes(frames * s->page),
				       value_text(share),
				       phys_use_movable((enum phys_use)use)
					   ? value_nothing()
					   : value_count(spoiled),
				       value_text(phys_use_text((enum phys_use)use)),
			       });
	}
	emitter_table_end(e);
}

static int draw_file(const char *path, const struct phys_scan *s, struct phys_owners *owners)
{
	int error = owners->walked ? phys_owners_find_places(owners, s->page, s->superpage) : 0;
	struct draw *d;

	if (error)
		return error;
	d = draw_svg_create(path);
	if (!d)
		return -errno;
	phys_picture(d, s, owners, "Physical memory");
	return draw_finish(d);
}

static int draw_terminal(const struct phys_scan *s, const struct phys_owners *owners)
{
	struct draw *d = draw_term_create(stdout, screen_get()->columns);

	if (!d)
		return -ENOMEM;
	phys_picture(d, s, owners, NULL);
	return draw_finish(d);
}

/* Without kpageflags: what the kernel counts itself. */
static void without_flags(struct emitter *e, const struct host_topology *t, int node, int error)
{
	uint64_t page = base_page_size(t);

	emitter_field(e, "source", NULL, value_text("buddyinfo"));
	emitter_field(e, "page_size", NULL, value_bytes(page));
	emitter_field(e, "superpage_size", NULL, value_bytes(base_superpage_size(page)));
	emitter_field(e, "time_ns", NULL, value_unknown());
	emitter_line(e, "/proc/kpageflags: %s. It needs root (CAP_SYS_ADMIN) and a kernel that "
		     "has it; what is below are the kernel's own counts of free blocks. Frames "
		     "in use, runs and estimates are unknown (?).", strerror(-error));
	emitter_line(e, "%s", "");
	emitter_table_begin(e, "zones", zone_columns, N_ZONE_COLUMNS, true);
	for (unsigned int i = 0; i < t->n_zones; i++) {
		const struct host_zone *z = &t->zones[i];
		struct value row[N_ZONE_COLUMNS];
		uint64_t free_blocks;
		bool known;

		if (node >= 0 && z->node != node)
			continue;
		for (size_t c = 0; c < N_ZONE_COLUMNS; c++)
			row[c] = value_unknown();
		known = page == 4096 && !contig_buddy_superpages(z->name, z->node, &free_blocks);
		row[0] = value_count((uint64_t)z->node);
		row[1] = value_text(z->name);
		row[2] = value_bytes(z->present * page);
		row[3] = value_bytes(z->free * page);
		if (known)
			row[6] = value_count(free_blocks);
		emitter_row(e, row);
	}
	emitter_table_end(e);
}

static bool has_node(const struct host_topology *t, int node)
{
	for (int i = 0; i < t->n_nodes; i++)
		if (t->nodes[i] == node)
			return true;
	return false;
}

static void scan_emit(struct emitter *e, const struct phys_scan *s)
{
	char page[24], super[24];

	emitter_field(e, "source", NULL, value_text("kpageflags"));
	emitter_field(e, "page_size", NULL, value_bytes(s->page));
	emitter_field(e, "superpage_size", NULL, value_bytes(s->superpage));
	emitter_field(e, "time_ns", NULL, value_nanoseconds(s->nanoseconds));
	if (s->superpage != UINT64_C(2) << 20)
		emitter_line(e, "base pages of %s, superpages of %s (the columns 2M)",
			     contig_size_print(s->page, page, sizeof(page)),
			     contig_size_print(s->superpage, super, sizeof(super)));
	emitter_table_begin(e, "zones", zone_columns, N_ZONE_COLUMNS, true);
	for (size_t i = 0; i < s->n_zones; i++)
		zone_row(e, s, &s->zones[i]);
	emitter_table_end(e);
}

/* In a table cut to columns only when asked for. */
static void owners_emit(struct emitter *e, const struct input *input,
			const struct phys_owners *owners)
{
	if (input->owners || !input->output.columns)
		phys_owners_emit(e, owners);
}

static int look(struct emitter *e, const struct input *input, const struct host_topology *t,
		struct phys_owners *owners)
{
	size_t cells = input->svg ? SVG_CELLS
				  : phys_picture_across(screen_get()->columns) * TERMINAL_ROWS;
	struct phys_scan *s = malloc(sizeof(*s));
	const char *object = "memory";
	int error = s ? phys_scan(t, input->node, cells, s, &object) : -ENOMEM;

	if (error == -EACCES || error == -EPERM || error == -ENOENT) {
		free(s);
		if (!input->svg) {
			without_flags(e, t, input->node, error);
			owners_emit(e, input, owners);
			return STATUS_YES;
		}
		emitter_error(e, object, -error, "there is nothing to draw the map from",
			      "Try it with sudo");
		return STATUS_TROUBLE;
	}
	if (error) {
		emitter_error(e, object, -error, strerror(-error), NULL);
		free(s);
		return STATUS_TROUBLE;
	}
	scan_emit(e, s);
	if (!input->output.columns) {
		tell_estimates(e, s);
		use_rows(e, s);
	}
	owners_emit(e, input, owners);
	if (input->svg) {
		object = input->svg;
		error = draw_file(input->svg, s, owners);
	} else if (!emitter_is_json(e) && !input->no_map && !input->output.columns) {
		object = "map";
		emitter_line(e, "%s", "");
		fflush(stdout);
		error = draw_terminal(s, owners);
	}
	phys_scan_free(s);
	free(s);
	if (error) {
		emitter_error(e, object, -error, strerror(-error), NULL);
		return STATUS_TROUBLE;
	}
	return STATUS_YES;
}

int cmd_phys(int argc, char **argv)
{
	struct input input = {.node = -1};
	struct phys_owners owners;
	const struct host_topology *t;
	struct emitter *e;
	int status, error;
	char *bad;

	options_parse(&argp, 0, argc, argv, &input);
	e = emitter_create("phys", &input.output);
	bad = emitter_bad_column(e, zone_columns, N_ZONE_COLUMNS);
	if (bad) {
		emitter_error(e, bad, 0,
			      "no such column (node, zone, ram, free, longest_free, superpages, "
			      "superpages_free, superpages_most, gigapages_free, "
			      "gigapages_most, in_the_way, longest_free_at, estimated)",
			      "Try 'contig phys --help'");
		free(bad);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	t = contig_topology();
	if (!t) {
		const char *object = "/proc/zoneinfo", *reason = contig_reason_get();

		/* It begins with the file, which may be another. */
		if (!strncmp(reason, object, strlen(object)) && reason[strlen(object)] == ':')
			reason += strlen(object) + 2;
		else
			object = "memory";
		emitter_error(e, object, 0, reason, NULL);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	if (input.node >= 0 && !has_node(t, input.node)) {
		emitter_error(e, "--node", 0, "this machine has no such node with memory",
			      "Try 'contig pool show', which lists them");
		return emitter_finish(e, STATUS_TROUBLE);
	}
	error = phys_owners_read(&owners, input.owners);
	status = look(e, &input, t, &owners);
	if (error) {
		emitter_error(e, "/proc", -error, strerror(-error), NULL);
		status = STATUS_TROUBLE;
	}
	phys_owners_free(&owners);
	return emitter_finish(e, status);
}
