/* SPDX-License-Identifier: BSD-2-Clause */
/* Text for people on standard output, in lines of a given width. */
#ifndef TOOLS_WRAP_H
#define TOOLS_WRAP_H

#include "screen.h"

#include <stdbool.h>

#define WRAP_MIN 20 /* no line is made narrower */

void wrap_blanks(int n);

/*
 * Print text wrapped at blanks into lines of width columns; every line but
 * the first is indented.  The cursor is left after the last word.  command:
 * shell, which is continued with a backslash and never cut inside quotes.
 */
void wrap_print(const char *text, int width, int indent, enum paint paint, bool command);

#endif
