/* SPDX-License-Identifier: BSD-2-Clause */
/* contig top: superpages of the machine and of its processes, live. */
#include "command.h"
#include "options.h"
#include "top_view.h"

#include "host/root.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define DELAY_S 2
#define ROWS 24 /* of a terminal that doesn't tell */

enum {
	OPTION_ONCE = OPTION_FIRST,
	OPTION_SORT
};

static const struct argp_option option_table[] = {
	{"delay", 'd', "SECONDS", 0, "Look again after so many seconds (2)", 0},
	{"once", OPTION_ONCE, NULL, 0, "Look once, and print it", 0},
	{"sort", OPTION_SORT, "ORDER", 0, "Order: size, use, name or pid (size)", 0},
	OPTIONS_OUTPUT,
	OPTIONS_HELP,
	{0},
};

struct input {
	struct emitter_options output;
	unsigned int delay;
	enum top_order order;
	bool once;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct input *input = state->input;

	switch (key) {
	case 'd':
		input->delay = (unsigned int)options_number(state, "--delay", arg, 1, 86400);
		return 0;
	case OPTION_ONCE:
		input->once = true;
		return 0;
	case OPTION_SORT:
		for (int i = 0; i < TOP_ORDERS; i++)
			if (!strcmp(arg, top_order_names[i])) {
				input->order = (enum top_order)i;
				return 0;
			}
		usage_error(state, "--sort", "'%s' is none of size, use, name, pid", arg);
	case ARGP_KEY_ARG:
		usage_error(state, arg, "one argument too many");
	default:
		return options_parse_common(key, arg, state, &input->output);
	}
}

static const struct argp argp = {
	option_table, parse, "",
	"Watch the pools of superpages, free memory, and the processes that have superpages "
	"or use libcontig.\v"
	"Keys: q quits, s changes the order, + and - the delay, any other looks again at once.  "
	"Where standard output is no terminal, it looks once.",
	NULL, NULL, NULL};

static volatile sig_atomic_t ended;
static struct termios terminal_before;
static sigset_t waiting; /* signals that are let in while we wait, only then */

static void end_handler(int signal_number)
{
	(void)signal_number;
	ended = 1;
}

static void nothing_handler(int signal_number)
{
	(void)signal_number; /* the window has another size: poll(2) returns */
}

static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH};

static bool terminal_begin(void)
{
	struct sigaction end = {.sa_handler = end_handler}, again = {.sa_handler = nothing_handler};
	struct termios raw;
	sigset_t ours;

	if (tcgetattr(STDIN_FILENO, &terminal_before))
		return false;
	raw = terminal_before;
	raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* would leave the terminal like this */
	sigemptyset(&ours);
	for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
		sigaddset(&ours, handled[i]);
	sigprocmask(SIG_BLOCK, &ours, &waiting);
	sigaction(SIGQUIT, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	sigaction(SIGWINCH, &again, NULL);
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	printf("\033[?1049h\033[?25l"); /* another screen, no cursor */
	return true;
}

static void terminal_end(void)
{
	printf("\033[?25h\033[?1049l");
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal_before);
}

static size_t terminal_rows(void)
{
	struct winsize size;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row ? ROWS : size.ws_row;
}

/* Who names their columns wants nothing else; a document is of all. */
static bool only_processes(const struct input *input)
{
	return input->output.columns && !input->output.json;
}

/* What an emitter would write to standard output; NULL: no memory. */
static char *view_text(const struct input *input, size_t rows, int *error)
{
	FILE *before = stdout, *memory;
	struct emitter *e;
	char *text = NULL;
	size_t len;

	memory = open_memstream(&text, &len);
	if (!memory)
		return NULL;
	stdout = memory;
	e = emitter_create("top", &input->output);
	*error = top_view(e, input->order, rows, only_processes(input));
	emitter_finish(e, 0);
	stdout = before;
	fclose(memory);
	return text;
}

/* A screen full of it: lines cut off below, old text to the right erased. */
static void paint(const char *text, const struct input *input, size_t rows)
{
	time_t now = time(NULL);
	struct tm tm;
	char when[16];

	strftime(when, sizeof(when), "%H:%M:%S", localtime_r(&now, &tm));
	printf("\033[Hcontig top  %s  every %u s  by %s  (q quits, s order, +/- delay)\033[K\n",
	       when, input->delay, top_order_names[input->order]);
	for (size_t row = 2; *text && row < rows; row++) {
		size_t len = strcspn(text, "\n");

		printf("%.*s\033[K\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
	printf("\033[J");
	fflush(stdout);
}

/* false: over. */
static bool key(struct input *input)
{
	struct pollfd fd = {STDIN_FILENO, POLLIN, 0};
	struct timespec delay = {.tv_sec = (time_t)input->delay};
	char c;

	if (ppoll(&fd, 1, &delay, &waiting) <= 0)
		return !ended;
	if (read(STDIN_FILENO, &c, 1) != 1)
		return false; /* the terminal is gone */
	if (c == 's')
		input->order = (enum top_order)((input->order + 1) % TOP_ORDERS);
	else if (c == '+' && input->delay < 3600)
		input->delay++;
	else if (c == '-' && input->delay > 1)
		input->delay--;
	return c != 'q' && c != 'Q' && !ended;
}

static int watch(struct input *input)
{
	int error = 0;

	do {
		screen_forget();
		size_t rows = terminal_rows(), fixed = top_view_height();
		char *text = view_text(input, rows > fixed + 2 ? rows - fixed : 2, &error);

		if (!text)
			error = -ENOMEM;
		else
			paint(text, input, rows);
		free(text);
	} while (!error && key(input));
	return error;
}

int cmd_top(int argc, char **argv)
{
	struct input input = {.delay = DELAY_S};
	struct emitter *e;
	int error;
	char *bad;

	options_parse(&argp, 0, argc, argv, &input);
	e = emitter_create("top", &input.output);
	bad = top_bad_column(e);
	if (bad || !contig_root_is_real()) {
		emitter_error(e, bad ? bad : "--sysroot", 0,
			      bad ? "no such column (pid, command, hugetlb, held, in_use, free, "
				    "longest, pinned, exported, imported, uid)"
				  : "a captured tree doesn't live",
			      "Try 'contig top --help'");
		free(bad);
		return emitter_finish(e, STATUS_TROUBLE);
	}
	if (!input.once && !input.output.json && isatty(STDOUT_FILENO) && terminal_begin()) {
		error = watch(&input);
		terminal_end();
	} else {
		error = top_view(e, input.order, 0, only_processes(&input));
	}
	if (error)
		emitter_error(e, "/proc", -error, strerror(-error), NULL);
	return emitter_finish(e, error ? STATUS_TROUBLE : STATUS_YES);
}
