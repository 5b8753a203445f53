/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_say.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_LEAST 40

/* Columns of a terminal; into anything else each message is one line. */
static size_t width_of_stderr(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || size.ws_col < COLUMNS_LEAST)
		return SIZE_MAX;
	return size.ws_col;
}

/* Names out of files, and of what others started, may hold anything. */
static void clean(char *line)
{
	for (; *line; line++)
		if ((unsigned char)*line < ' ' || *line == 127)
			*line = '?';
}

void run_say(const char *object, const char *text)
{
	size_t width = width_of_stderr(), at = 0;
	char *line, *save;

	if (asprintf(&line, "contig run: %s: %s", object, text) < 0)
		return;
	clean(line);
	if (width == SIZE_MAX) {
		fprintf(stderr, "%s\n", line);
		free(line);
		return;
	}
	for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (at && at + 1 + strlen(word) >= width)
			at = (size_t)fprintf(stderr, "\n  %s", word) - 1;
		else
			at += (size_t)fprintf(stderr, "%s%s", at ? " " : "", word);
	}
	fputc('\n', stderr);
	free(line);
}
