/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every /proc and /sys read goes through one root directory, so that tests
 * and tools run on captured trees.  Below it are proc/ and sys/.
 */
#ifndef HOST_ROOT_H
#define HOST_ROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* "" (the real one) by default.  Not thread-safe: set it first.  0/-errno.
 * On a captured tree symbolic links are resolved inside it. */
int contig_root_set(const char *dir);
bool contig_root_is_real(void);
/* Changes with every contig_root_set(), so that caches know they are stale. */
unsigned int contig_root_generation(void);

/* open(2) of root + path (path begins with '/'), O_CLOEXEC added.  fd/-errno */
int contig_root_open(const char *path, int flags);

/* open(2) of /proc/PID/file, pid 0: this process, even when its first thread
 * has ended (then /proc/self has no memory).  fd/-errno */
int contig_root_open_proc(pid_t pid, const char *file, int flags);

/* Whole small file into buf, NUL-terminated, trailing newline cut.
 * Bytes read, or -errno; -E2BIG when it does not fit. */
ssize_t contig_root_read(const char *path, char *buf, size_t len);

/* Whole file of any size; *out is malloc'ed, NUL-terminated; caller frees. */
ssize_t contig_root_read_all(const char *path, char **out);

/* A file that holds one unsigned number (decimal or "max" = UINT64_MAX). */
int contig_root_read_u64(const char *path, uint64_t *out);

/* Write a number to a file of the real root only (-EROFS on a captured tree).
 * 0/-errno. */
int contig_root_write_u64(const char *path, uint64_t value);

/*
 * A text file line by line without malloc, for callers that run inside an
 * allocator.  A line longer than ROOT_LINES_ROOM comes cut, its rest is skipped.
 */
struct root_lines {
	int fd;
	int error;  /* why next() returned NULL: 0 at the end, or -errno */
	size_t pos, len;
	bool skip;     /* the last line returned was cut */
	bool complete; /* the last line returned ended with a newline */
	char *buf; /* mapped: threads may have stacks of 16 KiB */
};
#define ROOT_LINES_ROOM 8192
int contig_root_lines_open(struct root_lines *lines, const char *path);
void contig_root_lines_fd(struct root_lines *lines, int fd); /* takes the fd */
char *contig_root_lines_next(struct root_lines *lines); /* no newline; NULL */
void contig_root_lines_close(struct root_lines *lines);

/* An unsigned number at *text in this base, which is moved behind it; no sign
 * and no leading space allowed.  0, -EINVAL, -ERANGE. */
int contig_root_number(char **text, unsigned int base, uint64_t *out);

/* Undo the kernel's \040-like escapes of mounts and mountinfo, in place. */
void contig_root_unescape(char *text);

#endif
