/* SPDX-License-Identifier: BSD-2-Clause */
#include "wrap.h"

#include <stdio.h>
#include <string.h>

void wrap_blanks(int n)
{
	if (n > 0)
		printf("%*s", n, "");
}

/* Where to cut text so that at most width bytes come before: at a blank.  A
 * command is cut at blanks outside quotes alone, however long the words; other
 * text behind a '/', or anywhere if need be. */
static size_t wrap_at(const char *text, size_t width, bool command)
{
	size_t cut = 0;
	char quote = '\0';

	for (size_t i = 0; text[i]; i++) {
		if (i > width && cut)
			break;
		if (command && !quote && (text[i] == '\'' || text[i] == '"'))
			quote = text[i];
		else if (quote == text[i])
			quote = '\0';
		if (text[i] == ' ' && !quote && (i <= width || !cut))
			cut = i;
	}
	return cut ? cut : strlen(text);
}

static size_t wrap_word(const char *text, size_t width)
{
	size_t cut = width;

	while (cut && text[cut - 1] != '/')
		cut--;
	return cut ? cut : width;
}

void wrap_print(const char *text, int width, int indent, enum paint paint, bool command)
{
	bool first = true;

	if (width < WRAP_MIN)
		width = WRAP_MIN;
	do {
		size_t len = strlen(text), cut = len;

		if (len > (size_t)width) {
			cut = wrap_at(text, (size_t)width - (command ? 2 : 0), command);
			if (!command && cut > (size_t)width)
				cut = wrap_word(text, (size_t)width);
		}
		if (!first) {
			putchar('\n');
			wrap_blanks(indent);
		}
		printf("%s%.*s%s", screen_paint_begin(paint), (int)cut, text,
		       screen_paint_end(paint));
		text += cut;
		text += strspn(text, " ");
		if (command && *text)
			fputs(" \\", stdout);
		first = false;
	} while (*text);
}
