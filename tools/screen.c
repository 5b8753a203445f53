/* SPDX-License-Identifier: BSD-2-Clause */
#include "screen.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN 40 /* below this tables can't be wrapped sensibly */
#define COLUMNS_MAX 500

static int screen_columns(void)
{
	const char *env = getenv("COLUMNS");
	struct winsize size;
	int columns = env ? atoi(env) : 0;

	if (columns <= 0 && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		columns = size.ws_col;
	if (columns <= 0)
		columns = COLUMNS_DEFAULT;
	if (columns < COLUMNS_MIN)
		columns = COLUMNS_MIN;
	return columns > COLUMNS_MAX ? COLUMNS_MAX : columns;
}

static struct screen screen;

void screen_forget(void)
{
	screen.columns = 0;
}

const struct screen *screen_get(void)
{
	const char *no_color, *term;

	if (screen.columns)
		return &screen;
	no_color = getenv("NO_COLOR");
	term = getenv("TERM");
	screen.colour = isatty(STDOUT_FILENO) && !(no_color && *no_color) &&
			term && strcmp(term, "dumb");
	screen.utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	screen.columns = screen_columns();
	return &screen;
}

const char *screen_paint_begin(enum paint paint)
{
	static const char *const begin[] = {
		[PAINT_PLAIN] = "",	  [PAINT_GOOD] = "\033[32m",
		[PAINT_WARN] = "\033[33m", [PAINT_BAD] = "\033[1;31m",
		[PAINT_DIM] = "\033[2m",  [PAINT_STRONG] = "\033[1m",
		[PAINT_OURS] = "\033[1;36m",
	};

	return screen_get()->colour ? begin[paint] : "";
}

const char *screen_paint_end(enum paint paint)
{
	return screen_get()->colour && paint != PAINT_PLAIN ? "\033[0m" : "";
}
