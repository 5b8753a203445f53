/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/memfd.h"

#include "base/reason.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Programs close and reopen 0 to 2 as they like. */
#define LOWEST 3

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

static int above_standard(int fd)
{
	int higher;

	if (fd >= LOWEST)
		return fd;
	higher = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST);
	if (higher < 0)
		higher = -errno;
	close(fd);
	return higher;
}

static int keep_failed(int fd, const char *what)
{
	int err = errno;

	contig_reason_set("memory file of a shareable pool: %s: %s", what, strerror(err));
	close(fd);
	return -err;
}

int contig_memfd_make(uint64_t size)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd = memfd_create("libcontig", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("libcontig", flags);
	if (fd < 0) {
		fd = -errno;
		contig_reason_set("memfd_create: %s", strerror(-fd));
		return fd;
	}
	if (ftruncate(fd, (off_t)size) < 0)
		return keep_failed(fd, "ftruncate");
	return fd;
}

int contig_memfd_adopt(int fd, struct memfd *out)
{
	struct stat st;

	fd = above_standard(fd);
	if (fd < 0) {
		contig_reason_set("memory file: %s; raise RLIMIT_NOFILE (ulimit -n)",
				  strerror(-fd));
		return fd;
	}
	if (fstat(fd, &st) < 0)
		return keep_failed(fd, "fstat");
	*out = (struct memfd){fd, st.st_dev, st.st_ino, (uint64_t)st.st_size};
	return 0;
}

int contig_memfd_keep(int fd, struct memfd *out)
{
	struct memfd file;
	int err = contig_memfd_adopt(fd, &file);

	if (err)
		return err;
	/* 0777 as it is made: any user with a descriptor, read-only or not,
	 * could open it anew for writing. */
	if (fchmod(file.fd, 0400) < 0)
		return keep_failed(file.fd, "fchmod");
	if (fcntl(file.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return keep_failed(file.fd, "F_ADD_SEALS");
	*out = file;
	return 0;
}

static int check(const struct memfd *file, struct stat *st)
{
	if (file->fd >= 0 && !fstat(file->fd, st) && st->st_dev == file->dev &&
	    st->st_ino == file->ino)
		return 0;
	contig_reason_set("descriptor %d, of a pool's memory, is no longer the library's: this program closed it (closefrom, close_range?)",
			  file->fd);
	return -EBADF;
}

int contig_memfd_check(const struct memfd *file)
{
	struct stat st;

	return check(file, &st);
}

int contig_memfd_seal(const struct memfd *file, enum memfd_seals seals)
{
	int err = contig_memfd_check(file);

	if (err)
		return err;
	if (fcntl(file->fd, F_ADD_SEALS,
		  F_SEAL_SEAL | (seals == MEMFD_SEALS_WRITERS ? F_SEAL_FUTURE_WRITE : 0)) < 0) {
		err = -errno;
		contig_reason_set("sealing a shareable pool's memory: %s", strerror(-err));
	}
	return err;
}

int contig_memfd_open(const struct memfd *file, bool writable)
{
	int err = contig_memfd_check(file), fd;
	char path[32];

	if (err)
		return err;
	if (writable) {
		fd = fcntl(file->fd, F_DUPFD_CLOEXEC, LOWEST);
	} else {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			fd = above_standard(fd);
	}
	if (fd < 0) {
		err = -errno;
		contig_reason_set("descriptor of a shareable pool's memory: %s", strerror(-err));
		return err;
	}
	return fd;
}

int contig_memfd_whole(const struct memfd *file)
{
	struct stat st;
	int err = check(file, &st);

	return err ? err : (uint64_t)st.st_blocks * 512 >= file->size;
}

void contig_memfd_close(struct memfd *file)
{
	/* Somebody else's by now, or closed: not ours to close. */
	if (file->fd >= 0 && !contig_memfd_check(file))
		close(file->fd);
	file->fd = -1;
}
