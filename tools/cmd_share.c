/* SPDX-License-Identifier: BSD-2-Clause */
/* contig share: vmas that processes export, and who holds pages there. */
#include "command.h"
#include "options.h"
#include "share.h"

#include "host/root.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct argp_option option_table[] = {
	OPTIONS_OUTPUT,
	OPTIONS_HELP,
	{0},
};

struct share_input {
	struct emitter_options output;
	const char *what; /* PID or name; NULL: all */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct share_input *input = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (input->what)
			usage_error(state, arg, "one process at a time");
		if (!*arg)
			usage_error(state, "process", "the name is empty");
		input->what = arg;
		return 0;
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "[PID|NAME]",
	"Show the vmas that a process exports to others or has imported, and who holds "
	"pages there: as it says itself, and as all processes' mappings say.  Without an "
	"argument: of all processes.\v"
	"Exit status: 0 something is shared, 1 nothing is, 2 trouble.",
	NULL, NULL, NULL};

/* 0, or the exit status after an error was told. */
static int add_sharer(struct share *share, const struct share_process *who, bool one)
{
	struct sharer *sharer = &share->sharers[share->n_sharers];
	char reason[256], object[32];
	enum board_error error;

	error = board_read(who->process.pid, &sharer->board, reason, sizeof(reason));
	sharer->who = who;
	if (!error) {
		share->n_sharers++;
		return 0;
	}
	share->forbidden += error == BOARD_FORBIDDEN;
	share->invalid += error == BOARD_INVALID;
	if (!one)
		return 0;
	snprintf(object, sizeof(object), "process %d", (int)who->process.pid);
	emitter_error(share->e, object, 0, reason,
		      error == BOARD_FORBIDDEN ? "Try it with sudo" : NULL);
	return STATUS_TROUBLE;
}

static const struct share_process *seen(const struct share *share, const struct process *p)
{
	for (size_t i = 0; i < share->n_all; i++)
		if (share->all[i].process.pid == p->pid)
			return &share->all[i];
	return NULL;
}

static int gather(struct share *share, const char *what)
{
	ssize_t n = share_processes(&share->all), n_wanted;
	struct process *wanted;
	int status = 0;

	if (n < 0) {
		emitter_error(share->e, "/proc", (int)-n, strerror((int)-n), NULL);
		return STATUS_TROUBLE;
	}
	share->n_all = (size_t)n;
	n_wanted = process_list(what, &wanted);
	if (n_wanted < 0) {
		emitter_error(share->e, "/proc", (int)-n_wanted, strerror((int)-n_wanted), NULL);
		return STATUS_TROUBLE;
	}
	if (what && !n_wanted) {
		emitter_error(share->e, what, 0, "no such process", "Try 'contig share --help'");
		free(wanted);
		return STATUS_TROUBLE;
	}
	share->sharers = calloc(n_wanted ? (size_t)n_wanted : 1, sizeof(*share->sharers));
	for (ssize_t i = 0; i < n_wanted && share->sharers && !status; i++) {
		const struct share_process *who = seen(share, &wanted[i]);

		if (who)
			status = add_sharer(share, who, what && n_wanted == 1);
	}
	free(wanted);
	if (!status && what && !share->n_sharers) {
		emitter_error(share->e, what, 0,
			      share->forbidden ? "not permitted" :
						 "no such process uses libcontig",
			      share->forbidden ? "Try it with sudo" : NULL);
		return STATUS_TROUBLE;
	}
	return status;
}

int cmd_share(int argc, char **argv)
{
	struct share_input input = {0};
	struct share share = {0};
	int status;
	char *bad;

	options_parse(&argp, 0, argc, argv, &input);
	share.e = emitter_create("share", &input.output);
	bad = emitter_bad_column(share.e, share_columns, SHARE_COLUMNS);
	if (bad) {
		emitter_error(share.e, bad, 0,
			      "no such column (pid, command, role, start, with_pid, pages, state, "
			      "path, size, page_size, prot, modes, pools, with_command, "
			      "with_uid, mapped)",
			      "Try 'contig share --help'");
		free(bad);
		return emitter_finish(share.e, STATUS_TROUBLE);
	}
	if (!contig_root_is_real()) {
		emitter_error(share.e, "--sysroot", 0,
			      "a captured tree has no processes to look at",
			      "Try 'contig share --help'");
		return emitter_finish(share.e, STATUS_TROUBLE);
	}
	status = gather(&share, input.what);
	if (!status) {
		share_print(&share);
		share_print_pools(&share);
		emitter_field(share.e, "not_permitted", NULL, value_count(share.forbidden));
		emitter_field(share.e, "invalid", NULL, value_count(share.invalid));
		if (!share.rows)
			emitter_line(share.e, "No vma is shared%s",
				     input.what ? " by this process" : "");
		if (share.forbidden)
			emitter_line(share.e,
				     "%zu process%s may not be looked at%s",
				     share.forbidden, share.forbidden == 1 ? "" : "es",
				     geteuid() ? ": try it with sudo" : "");
		if (share.invalid)
			emitter_line(share.e, "%zu process%s statistics that make no sense",
				     share.invalid, share.invalid == 1 ? " has" : "es have");
		status = share.rows ? STATUS_YES : STATUS_NO;
	}
	for (size_t i = 0; i < share.n_sharers; i++)
		board_free(&share.sharers[i].board);
	free(share.sharers);
	share_processes_free(share.all, share.n_all);
	return emitter_finish(share.e, status);
}
