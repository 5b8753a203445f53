/* SPDX-License-Identifier: BSD-2-Clause */
/* The subcommands of contig. */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

/* Exit statuses; contig(1), "EXIT STATUS". */
enum {
	STATUS_YES = 0,
	STATUS_NO = 1,
	STATUS_TROUBLE = 2
};

struct command {
	const char *name;
	const char *summary;
	/* argv[0] is "contig NAME".  Returns the exit status. */
	int (*run)(int argc, char **argv);
};

/* What SIGPIPE was when we were called; it is ignored since. */
extern void (*contig_sigpipe)(int);

int cmd_doctor(int argc, char **argv);
int cmd_alloc(int argc, char **argv);
int cmd_replay(int argc, char **argv);
int cmd_pool(int argc, char **argv);
int cmd_share(int argc, char **argv);
int cmd_stats(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_capture(int argc, char **argv);
int cmd_map(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_phys(int argc, char **argv);
int cmd_run(int argc, char **argv);

#endif
