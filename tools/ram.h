/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tool's own judgement of what this machine's RAM could hold, from
 * /proc/iomem and /proc/zoneinfo.  Like frames.h it shares no code with the
 * library.
 */
#ifndef TOOLS_RAM_H
#define TOOLS_RAM_H

#include "frames.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * NULL when some whole superpages of RAM that user memory may come from
 * could hold the block, else in words why not.  It says nothing of whether
 * they are free.
 */
const char *ram_impossible(const struct frames_constraint *want);

/* Whether any superpage of the machine would do: the window holds all RAM,
 * and size, alignment and boundary fit in one superpage. */
bool ram_any_superpage_does(const struct frames_constraint *want);

/*
 * Whether the window holds a whole GiB of RAM: from there the kernel makes
 * superpages to order (1 GiB pages, demoted).  Elsewhere it gives them where
 * it likes.
 */
bool ram_made_to_order(const struct frames_constraint *want);

#endif
