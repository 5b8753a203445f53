/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program file says of itself: enough to know whether a preloaded
 * library can get into it.  The file is hostile until proved otherwise: every
 * offset in it is held against its size, and only small parts are read.
 */
#ifndef TOOLS_RUN_ELF_H
#define TOOLS_RUN_ELF_H

#include <stdbool.h>
#include <sys/types.h>

struct elf_facts {
	bool native;		   /* class, byte order and machine are ours */
	bool wide;		   /* 64-bit */
	unsigned int machine;	   /* EM_* */
	bool dynamic;		   /* has a loader; false: static */
	char interpreter[256];	   /* the loader, "" if none */
	const char *sanitizer;	   /* "address", ...: its runtime owns malloc; NULL */
};

/* -ENOEXEC: no ELF file; -EINVAL: one that is damaged; -errno of reading. */
int elf_examine(int fd, struct elf_facts *out);

#endif
