/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of this machine that the reading commands read, copied into a
 * directory. */
#ifndef TOOLS_CAPTURE_FILES_H
#define TOOLS_CAPTURE_FILES_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct capture {
	const char *dir;   /* below which proc/ and sys/ are made */
	bool no_addresses; /* iomem without its numbers, no maps */
	bool frames;       /* kpageflags and kpagecount, too */
	pid_t process;     /* its maps and frames, too; 0: none */
	const volatile sig_atomic_t *stop; /* give up when it becomes true */
	/* What came of it. */
	size_t files;
	uint64_t bytes;
	size_t n_missing;
	struct capture_missing {
		char *path;
		int error;
	} *missing;
};

/* 0, or -errno when the copy could not be written (-EINTR: stopped).  What
 * could not be read is listed in missing.  capture_free() it. */
int capture_files(struct capture *c);
void capture_free(struct capture *c);

#endif
