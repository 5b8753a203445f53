/* SPDX-License-Identifier: BSD-2-Clause */
/* The map of physical memory, one cell a piece of it. */
#ifndef TOOLS_PHYS_PICTURE_H
#define TOOLS_PHYS_PICTURE_H

#include "draw.h"
#include "phys_owners.h"
#include "phys_scan.h"

#define PHYS_PICTURE_SVG_ACROSS 128 /* cells side by side in a file */

/* Cells side by side on a terminal of this width, a power of two. */
unsigned int phys_picture_across(double columns);

/* Rows of cells, each with its address; a legend; zones where they begin;
 * whose superpages there are for whoever points at a cell.  title: of a file;
 * NULL: on a terminal. */
void phys_picture(struct draw *d, const struct phys_scan *scan,
		  const struct phys_owners *owners, const char *title);

#endif
