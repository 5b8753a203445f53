/* SPDX-License-Identifier: BSD-2-Clause */
/* contig capture: what a bug report needs, as a tree for --sysroot. */
#include "capture_files.h"
#include "command.h"
#include "options.h"

#include "host/root.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
	OPTION_PROCESS = OPTION_FIRST,
	OPTION_FRAMES,
	OPTION_NO_ADDRESSES
};

static const struct argp_option option_table[] = {
	{"force", 'f', NULL, 0, "Replace FILE", 0},
	{"process", OPTION_PROCESS, "PID", 0, "Also this process's mappings and frames", 0},
	{"frames", OPTION_FRAMES, NULL, 0, "Also what each frame is used for (large)", 0},
	{"no-addresses", OPTION_NO_ADDRESSES, NULL, 0, "Leave addresses out", 0},
	{"json", 'J', NULL, 0, "Print JSON", 90},
	OPTIONS_HELP,
	{0},
};

struct input {
	struct emitter_options output;
	struct capture capture;
	const char *file;
	bool force;
};

/* By the end of the name. */
static const struct compression {
	const char *suffix, *option, *program;
} compressions[] = {
	{".tar", NULL, NULL},
	{".tar.gz", "--gzip", "gzip"},
	{".tgz", "--gzip", "gzip"},
	{".tar.xz", "--xz", "xz"},
	{".tar.zst", "--zstd", "zstd"},
};

static const struct compression *compression_of(const char *file)
{
	for (size_t i = 0; i < sizeof(compressions) / sizeof(compressions[0]); i++) {
		size_t end = strlen(compressions[i].suffix), len = strlen(file);

		if (len > end && !strcmp(file + len - end, compressions[i].suffix))
			return &compressions[i];
	}
	return NULL;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct input *input = state->input;

	switch (key) {
	case 'f':
		input->force = true;
		return 0;
	case OPTION_PROCESS:
		input->capture.process =
		    (pid_t)options_number(state, "--process", arg, 1, INT_MAX);
		return 0;
	case OPTION_FRAMES:
		input->capture.frames = true;
		return 0;
	case OPTION_NO_ADDRESSES:
		input->capture.no_addresses = true;
		return 0;
	case ARGP_KEY_ARG:
		if (input->file)
			usage_error(state, arg, "one argument too many");
		if (!compression_of(arg))
			usage_error(state, arg,
				    "ends in none of .tar, .tar.gz, .tgz, .tar.xz, .tar.zst");
		input->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!input->file)
			usage_error(state, "FILE", "missing");
		if (input->capture.no_addresses &&
		    (input->capture.frames || input->capture.process))
			usage_error(state, "--no-addresses",
				    "what --frames and --process add are addresses");
		return 0;
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "FILE",
	"Write what this machine tells of its memory to FILE, an archive for bug reports.\v"
	"FILE ends in .tar, .tar.gz, .tar.xz or .tar.zst.  Unpacked, it serves the commands "
	"that read, in place of this machine's proc and sys.\n\nAs root it holds more.",
	NULL, NULL, NULL};

static volatile sig_atomic_t stop;

static void stop_handler(int signal_number)
{
	stop = signal_number;
}

static void remove_tree(char *dir)
{
	char *paths[] = {dir, NULL};
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	while (tree && (entry = fts_read(tree))) {
		if (entry->fts_info == FTS_DP)
			rmdir(entry->fts_accpath);
		else if (entry->fts_info != FTS_D)
			unlink(entry->fts_accpath);
	}
	if (tree)
		fts_close(tree);
}

/* Have tar(1) pack dir into file.  0, -errno, or its exit status. */
static int pack(const char *dir, const char *file, const struct compression *how)
{
	/* A name with a colon would be another machine's. */
	const char *argv[16] = {"tar", "--force-local", "--sparse", "--owner=0", "--group=0", "-C", dir, "-cf",
				file};
	int n = 9, error, status;
	pid_t pid;

	if (how->option)
		argv[n++] = how->option;
	argv[n++] = "contig";
	argv[n++] = "proc";
	argv[n++] = "sys";
	error = posix_spawnp(&pid, "tar", NULL, NULL, (char **)(uintptr_t)argv, environ);
	if (error)
		return -error;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static bool program_there(const char *name)
{
	const char *at = getenv("PATH");
	char path[PATH_MAX];

	while (name && at && *at) {
		size_t len = strcspn(at, ":");

		if (snprintf(path, sizeof(path), "%.*s/%s", (int)len, at, name) <
			(int)sizeof(path) && !access(path, X_OK))
			return true;
		at += len + (at[len] == ':');
	}
	return !name;
}

static const struct column missing_columns[] = {
	{"file", "NOT READ", COLUMN_WRAP},
	{"reason", "WHY", COLUMN_LEFT},
};

static void emit(struct emitter *e, const struct input *input, const struct stat *st)
{
	const struct capture *c = &input->capture;
	char size[24], packed[24];

	emitter_field(e, "file", NULL, value_text(input->file));
	emitter_field(e, "files", NULL, value_count(c->files));
	emitter_field(e, "bytes", NULL, value_bytes(c->bytes));
	emitter_field(e, "bytes_packed", NULL, value_bytes((uint64_t)st->st_size));
	emitter_line(e, "%s: %zu files, %s, packed %s", input->file, c->files,
		     emitter_size(e, c->bytes, size, sizeof(size)),
		     emitter_size(e, (uint64_t)st->st_size, packed, sizeof(packed)));
	if (c->n_missing)
		emitter_line(e, "%s", "");
	if (c->n_missing || emitter_is_json(e)) {
		emitter_table_begin(e, "missing", missing_columns, 2, true);
		for (size_t i = 0; i < c->n_missing; i++)
			emitter_row(e, (const struct value[2]){
					       value_text(c->missing[i].path),
					       value_text(strerror(c->missing[i].error))});
		emitter_table_end(e);
	}
}

/* Gather, pack beside the file, and only then put it in its place. */
static int capture(struct emitter *e, struct input *input, char *dir, const char *partial)
{
	const struct compression *how = compression_of(input->file);
	struct stat st;
	int error = capture_files(&input->capture);

	if (error == -EINTR || (!error && stop)) {
		emitter_error(e, input->file, 0, "interrupted; nothing was written", NULL);
		return STATUS_TROUBLE;
	}
	if (error) {
		emitter_error(e, dir, -error, strerror(-error),
			      "Try another TMPDIR, with more room");
		return STATUS_TROUBLE;
	}
	error = pack(dir, partial, how);
	if (stop) {
		emitter_error(e, input->file, 0, "interrupted; nothing was written", NULL);
		return STATUS_TROUBLE;
	}
	if (error || stat(partial, &st)) {
		emitter_error(e, input->file, error < 0 ? -error : 0,
			      error < 0 ? strerror(-error) : "tar could not write it",
			      error == -ENOENT ? "Try it with tar installed" : NULL);
		return STATUS_TROUBLE;
	}
	if (rename(partial, input->file)) {
		emitter_error(e, input->file, errno, strerror(errno), NULL);
		return STATUS_TROUBLE;
	}
	emit(e, input, &st);
	return STATUS_YES;
}

/* Wrong before any work is done?  NULL, or why. */
static const char *refusal(const struct input *input, const char **way_out)
{
	const struct compression *how = compression_of(input->file);
	static char text[64];
	char path[32];

	*way_out = NULL;
	if (!contig_root_is_real()) {
		*way_out = "Try it without --sysroot";
		return "a captured tree is not captured again";
	}
	if (!input->force && !access(input->file, F_OK)) {
		*way_out = "Try --force to replace it";
		return "it is there already";
	}
	if (!program_there(how->program)) {
		*way_out = "Try FILE.tar";
		snprintf(text, sizeof(text), "needs the program %s, which is not installed",
			 how->program);
		return text;
	}
	snprintf(path, sizeof(path), "/proc/%d", (int)input->capture.process);
	if (input->capture.process && access(path, F_OK)) {
		*way_out = "Try 'contig map', which finds processes by name";
		return "there is no such process to capture";
	}
	return NULL;
}

int cmd_capture(int argc, char **argv)
{
	struct input input = {.capture.stop = &stop};
	struct sigaction action = {.sa_handler = stop_handler};
	const char *tmp = getenv("TMPDIR"), *why, *way_out;
	char dir[PATH_MAX], partial[PATH_MAX];
	struct emitter *e;
	int status, fd;

	options_parse(&argp, 0, argc, argv, &input);
	e = emitter_create("capture", &input.output);
	why = refusal(&input, &way_out);
	if (why) {
		emitter_error(e, input.file, 0, why, way_out);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	snprintf(dir, sizeof(dir), "%s/contig-capture-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (snprintf(partial, sizeof(partial), "%s.XXXXXX", input.file) >=
	    (int)sizeof(partial)) {
		emitter_error(e, input.file, ENAMETOOLONG, "the name is too long", NULL);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	/* Nobody else's file or link is written; and for root's eyes only. */
	fd = mkostemp(partial, O_CLOEXEC);
	if (fd < 0) {
		emitter_error(e, input.file, errno, strerror(errno), NULL);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	close(fd);
	if (!mkdtemp(dir)) {
		unlink(partial);
		emitter_error(e, dir, errno, strerror(errno), "Try another TMPDIR");
		return emitter_finish(e, STATUS_TROUBLE);
	}
	input.capture.dir = dir;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	status = capture(e, &input, dir, partial);
	unlink(partial);
	remove_tree(dir);
	capture_free(&input.capture);
	return emitter_finish(e, status);
}
