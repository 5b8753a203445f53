/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that a forked child must not keep: while it has a connection's
 * end open, the other side doesn't see that this process went.
 */
#ifndef SHARE_INHERIT_H
#define SHARE_INHERIT_H

void contig_inherit_not(int fd);
/* Before it is closed. */
void contig_inherit_done(int fd);

#endif
