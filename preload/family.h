/* SPDX-License-Identifier: BSD-2-Clause */
/* Of the malloc family, what no header of libc declares any more. */
#ifndef PRELOAD_FAMILY_H
#define PRELOAD_FAMILY_H

void cfree(void *p);

#endif
