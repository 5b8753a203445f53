/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef PRELOAD_EXIT_H
#define PRELOAD_EXIT_H

/* Give up the pins that can be given up at once, because this process or its
 * program ends.  In any state, in a signal handler too.  How many. */
unsigned int shim_exit_unpin(void);

#endif
