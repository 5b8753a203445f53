/* SPDX-License-Identifier: BSD-2-Clause */
#include "share/received.h"

#include "base/page.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif
#define BLOCK_BYTES 512 /* of st_blocks */

/*
 * A hole would be filled by our touch, from our allowance, or be SIGBUS.
 * Blocks alone don't tell: memory beyond the end counts among them.  Hugetlb
 * knows no SEEK_HOLE (it finds the end): see map_run() for that.
 */
static int check_whole(int fd, const char **why)
{
	struct stat st;

	if (!fstat(fd, &st) && (uint64_t)st.st_blocks * BLOCK_BYTES >= (uint64_t)st.st_size &&
	    lseek(fd, 0, SEEK_HOLE) == st.st_size)
		return 0;
	*why = "the file has holes";
	return -EPERM;
}

int contig_received_sealed(int fd, const char **why)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || !(seals & (F_SEAL_FUTURE_WRITE | F_SEAL_WRITE))) {
		*why = "the file can still be mapped for writing, and punched";
		return -EPERM;
	}
	/* Looked at after the seal, under which no page can leave. */
	return check_whole(fd, why);
}

static int check_access(int fd, bool writable, const char **why)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || flags & O_PATH) {
		*why = "no open file";
		return -EBADF;
	}
	if (writable && (flags & O_ACCMODE) != O_RDWR) {
		*why = "the descriptor is read-only, and this range is writable";
		return -EPERM;
	}
	if ((flags & O_ACCMODE) == O_WRONLY) {
		*why = "the descriptor can't be read";
		return -EPERM;
	}
	return 0;
}

int contig_received_check(int fd, const struct wire_file *claim, bool writable,
			  uint64_t page_size, struct shared_file *file, const char **why)
{
	struct statfs fs;
	struct stat st;
	int seals, err = check_access(fd, writable, why);

	if (err)
		return err;
	/* First: of anything but a memfd it says so without asking the file's
	 * own file system, where a user's daemon could let us wait. */
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0) {
		*why = "no memfd";
		return -EINVAL;
	}
	if ((seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW)) {
		*why = "the file can be truncated (not sealed against shrinking and growing)";
		return -EPERM;
	}
	if (fstatfs(fd, &fs) < 0 || (fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC) ||
	    fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		*why = "no file of memory";
		return -EINVAL;
	}
	if ((uint64_t)st.st_size != claim->size) {
		*why = "the file is not as large as was said";
		return -EINVAL;
	}
	file->hugetlb = fs.f_type == HUGETLBFS_MAGIC;
	if (file->hugetlb && page_size % (uint64_t)fs.f_bsize) {
		*why = "hugetlb memory is mapped in whole superpages: make the vma of such";
		return -EINVAL;
	}
	file->size = claim->size;
	file->mode = claim->mode;
	/* For a reader, fixed is read-only. */
	if (claim->mode == WIRE_READONLY || (claim->mode == WIRE_FIXED && !writable)) {
		err = contig_received_sealed(fd, why);
		if (err)
			return err;
		file->sealed = true;
	} else if (claim->mode == WIRE_FIXED) {
		/* The staging touches all of it, before the seal. */
		return check_whole(fd, why);
	}
	return 0;
}
