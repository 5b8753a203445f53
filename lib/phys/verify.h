/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading pagemap again for everything that is held. */
#ifndef PHYS_VERIFY_H
#define PHYS_VERIFY_H

#include <stdint.h>

/* Frames that are not where the direct map says; -errno. */
int64_t contig_verify_frames(void);

#endif
