/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/root.h"

#include "base/log.h"
#include "base/reason.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No file that is read whole is larger than this (a smaps of a million
 * mappings is 700 MB and is read line by line). */
#define READ_ALL_MAX (UINT64_C(256) << 20)

static char root_dir[PATH_MAX];
static unsigned int generation;

int contig_root_set(const char *dir)
{
	struct stat st;
	size_t len;

	if (!dir)
		dir = "";
	len = strlen(dir);
	if (len >= sizeof(root_dir))
		return -ENAMETOOLONG;
	if (len) {
		if (stat(dir, &st) < 0) {
			int err = errno;

			contig_reason_set("%s: %s", dir, strerror(err));
			return -err;
		}
		if (!S_ISDIR(st.st_mode)) {
			contig_reason_set("%s: not a directory; expected one with proc/ and sys/", dir);
			return -ENOTDIR;
		}
	}
	memcpy(root_dir, dir, len + 1);
	while (len && root_dir[len - 1] == '/')
		root_dir[--len] = '\0'; /* "/" is the real root */
	generation++;
	return 0;
}

bool contig_root_is_real(void)
{
	return !root_dir[0];
}

unsigned int contig_root_generation(void)
{
	return generation;
}

/*
 * A captured tree may come from anyone: an absolute symbolic link in it must
 * not lead to this machine's files, and a FIFO must not hang us.
 */
static __attribute__((noinline)) int open_captured(const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT,
	};
	char full[2 * PATH_MAX];
	int dir, fd;

	if (!(flags & O_PATH))
		how.flags |= O_NONBLOCK;
	dir = open(root_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, dir, path + 1, &how, sizeof(how));
	if (fd < 0)
		fd = -errno;
	close(dir);
	if (fd != -ENOSYS && fd != -EPERM)
		return fd;
	/* Linux before 5.6, or a seccomp filter that does not know openat2. */
	snprintf(full, sizeof(full), "%s%s", root_dir, path);
	fd = open(full, (int)how.flags);
	return fd < 0 ? -errno : fd;
}

int contig_root_open(const char *path, int flags)
{
	int fd;

	if (!contig_root_is_real())
		return open_captured(path, flags);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int contig_root_open_proc(pid_t pid, const char *file, int flags)
{
	char path[64];

	if (pid < 0)
		return -EINVAL;
	if (pid == 0 && contig_root_is_real() && gettid() != getpid()) {
		int fd;

		snprintf(path, sizeof(path), "/proc/thread-self/%s", file);
		fd = contig_root_open(path, flags);
		if (fd >= 0)
			return fd;
	}
	if (pid == 0)
		snprintf(path, sizeof(path), "/proc/self/%s", file);
	else
		snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return contig_root_open(path, flags);
}

static ssize_t read_some(int fd, char *buf, size_t len)
{
	ssize_t n;

	do
		n = read(fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Fill buf as far as the file goes. */
static ssize_t read_full(int fd, char *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read_some(fd, buf + got, len - got);

		if (n < 0)
			return n;
		if (!n)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

ssize_t contig_root_read(const char *path, char *buf, size_t len)
{
	int fd = contig_root_open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = len ? read_full(fd, buf, len) : -E2BIG;
	close(fd);
	if (n < 0)
		return n;
	if ((size_t)n == len)
		return -E2BIG; /* no room for the NUL: maybe more to come */
	if (n && buf[n - 1] == '\n')
		n--;
	buf[n] = '\0';
	return n;
}

ssize_t contig_root_read_all(const char *path, char **out)
{
	int fd = contig_root_open(path, O_RDONLY);
	size_t room = 16384, got = 0;
	char *buf = NULL;
	ssize_t n;

	if (fd < 0)
		return fd;
	for (;;) {
		char *bigger = realloc(buf, room);

		n = -ENOMEM;
		if (!bigger)
			goto fail;
		buf = bigger;
		n = read_full(fd, buf + got, room - got - 1);
		if (n < 0)
			goto fail;
		got += (size_t)n;
		if (got < room - 1)
			break;
		n = -E2BIG;
		if (room >= READ_ALL_MAX)
			goto fail;
		room *= 2;
	}
	close(fd);
	buf[got] = '\0';
	*out = buf;
	return (ssize_t)got;
fail:
	free(buf);
	close(fd);
	return n;
}

int contig_root_number(char **text, unsigned int base, uint64_t *out)
{
	uint64_t value = 0;
	char *p = *text;

	for (;; p++) {
		unsigned int digit;

		if (*p >= '0' && *p <= '9')
			digit = (unsigned int)(*p - '0');
		else if ((*p | 32) >= 'a' && (*p | 32) <= 'f')
			digit = (unsigned int)((*p | 32) - 'a') + 10;
		else
			break;
		if (digit >= base)
			break;
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit, &value))
			return -ERANGE;
	}
	if (p == *text)
		return -EINVAL;
	*text = p;
	*out = value;
	return 0;
}

int contig_root_read_u64(const char *path, uint64_t *out)
{
	char buf[64], *p = buf;
	ssize_t n = contig_root_read(path, buf, sizeof(buf));
	uint64_t value;
	int err;

	if (n < 0)
		return n == -E2BIG ? -EINVAL : (int)n;
	if (!strcmp(buf, "max")) {
		*out = UINT64_MAX;
		return 0;
	}
	err = contig_root_number(&p, 10, &value);
	if (!err && *p)
		err = -EINVAL;
	if (err) {
		contig_reason_set("%s%s: not a number", root_dir, path);
		return err;
	}
	*out = value;
	return 0;
}

int contig_root_write_u64(const char *path, uint64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, value);
	int fd, err = 0;

	if (!contig_root_is_real()) {
		contig_reason_set("%s%s: a captured tree is never written", root_dir, path);
		return -EROFS;
	}
	fd = contig_root_open(path, O_WRONLY);
	if (fd < 0) {
		err = fd;
	} else {
		ssize_t n;

		do
			n = write(fd, text, (size_t)len);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			err = -errno;
		else if (n != len)
			err = -EIO;
		close(fd);
	}
	if (err == -EROFS)
		contig_reason_set("%s is read-only here (a container?): set it on the host", path);
	else if (err == -EACCES || err == -EPERM)
		contig_reason_set("%s: writing it needs root", path);
	else if (err)
		contig_reason_set("%s: writing %s: %s", path, text, strerror(-err));
	contig_debug(HOST, "%s <- %s: %s", path, text, err ? strerror(-err) : "ok");
	return err;
}

void contig_root_lines_fd(struct root_lines *lines, int fd)
{
	void *p = mmap(NULL, ROOT_LINES_ROOM, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	lines->fd = fd;
	lines->buf = p == MAP_FAILED ? NULL : p;
	lines->error = 0;
	lines->pos = lines->len = 0;
	lines->skip = false;
	lines->complete = true;
}

int contig_root_lines_open(struct root_lines *lines, const char *path)
{
	int fd = contig_root_open(path, O_RDONLY);

	if (fd < 0)
		return fd;
	contig_root_lines_fd(lines, fd);
	return 0;
}

char *contig_root_lines_next(struct root_lines *lines)
{
	const size_t room = ROOT_LINES_ROOM - 1; /* for a last NUL */

	if (!lines->buf) {
		lines->error = -ENOMEM;
		return NULL;
	}
	for (;;) {
		char *start = lines->buf + lines->pos;
		char *end = memchr(start, '\n', lines->len - lines->pos);
		ssize_t n;

		if (end) {
			*end = '\0';
			lines->pos = (size_t)(end + 1 - lines->buf);
			if (lines->skip) {
				lines->skip = false;
				continue;
			}
			lines->complete = true;
			return start;
		}
		if (lines->pos) {
			lines->len -= lines->pos;
			memmove(lines->buf, start, lines->len);
			lines->pos = 0;
		}
		if (lines->len == room) {
			bool first = !lines->skip;

			lines->buf[room] = '\0';
			lines->pos = room;
			lines->skip = true;
			lines->complete = false;
			if (first)
				return lines->buf;
			continue;
		}
		n = read_some(lines->fd, lines->buf + lines->len, room - lines->len);
		if (n > 0) {
			lines->len += (size_t)n;
			continue;
		}
		lines->error = (int)n;
		if (n < 0 || !lines->len || lines->skip)
			return NULL;
		/* A last line without its newline. */
		lines->buf[lines->len] = '\0';
		lines->pos = lines->len;
		lines->complete = false;
		return lines->buf;
	}
}

void contig_root_lines_close(struct root_lines *lines)
{
	if (lines->buf)
		munmap(lines->buf, ROOT_LINES_ROOM);
	lines->buf = NULL;
	close(lines->fd);
	lines->fd = -1;
}

void contig_root_unescape(char *text)
{
	char *to = text;

	while (*text) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' &&
		    text[2] >= '0' && text[2] <= '7' && text[3] >= '0' &&
		    text[3] <= '7') {
			*to++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 +
				       text[3] - '0');
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}
