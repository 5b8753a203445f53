/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOLS_RUN_SAY_H
#define TOOLS_RUN_SAY_H

/* "contig run: OBJECT: TEXT" on standard error, wrapped where that is a terminal. */
void run_say(const char *object, const char *text);

#endif
