/* SPDX-License-Identifier: BSD-2-Clause */
/* Pinning by io_uring fixed buffers, without liburing and without a ring in
 * use: only its memory's registration matters. */
#include "host/pin_method.h"

#include "host/self.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * A descriptor, and how to know that it still is that one: each ring has an
 * inode of its own.  A child may have it too, and the slot with it, but the
 * ring is its parent's: what it unregistered there would be unpinned in the
 * parent.
 */
struct kept {
	_Atomic int fd; /* + 1; 0 free, -1 being written */
	uint32_t self;
	dev_t dev;
	ino_t ino;
};

static struct kept kept[PIN_KEPT];
static _Atomic bool keeping;

void contig_pin_keep_descriptors(void)
{
	atomic_store(&keeping, true);
}

/* Slot, or -1: the caller closes fd. */
static int keep(int fd)
{
	struct stat st;

	if (!atomic_load(&keeping) || fstat(fd, &st) < 0)
		return -1;
	for (int i = 0; i < PIN_KEPT; i++) {
		int free = 0, high;

		if (!atomic_compare_exchange_strong(&kept[i].fd, &free, -1))
			continue;
		kept[i].dev = st.st_dev;
		kept[i].ino = st.st_ino;
		kept[i].self = contig_self();
		high = contig_pin_move_up(fd);
		/* A small RLIMIT_NOFILE is the program's. */
		atomic_store(&kept[i].fd, high == fd ? 0 : high + 1);
		return high == fd ? -1 : i;
	}
	return -1;
}

/* The descriptor in a slot, if the program has not closed it; -1. */
static int kept_fd(int slot)
{
	struct stat st;
	int fd = atomic_load(&kept[slot].fd) - 1;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != kept[slot].dev ||
	    st.st_ino != kept[slot].ino)
		return -1;
	return fd;
}

static void unkeep(struct pin_uring *uring, bool unpin)
{
	int fd;

	if (uring->kept < 0)
		return;
	fd = kept_fd(uring->kept);
	if (fd >= 0 && unpin && uring->self == contig_self())
		syscall(SYS_io_uring_register, fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
	if (fd >= 0)
		close(fd);
	atomic_store(&kept[uring->kept].fd, 0);
	uring->kept = -1;
}

unsigned int contig_pin_release_now(void)
{
	unsigned int n = 0;

	for (int i = 0; i < PIN_KEPT; i++) {
		int fd = kept[i].self == contig_self() ? kept_fd(i) : -1;

		if (fd >= 0)
			n += !syscall(SYS_io_uring_register, fd, IORING_UNREGISTER_BUFFERS,
				      NULL, 0);
	}
	return n;
}

int contig_pin_uring_make(struct pin_uring *uring, const struct iovec *ranges,
			  unsigned int n, bool inherit)
{
	struct io_uring_params params;
	size_t len;
	void *ring;
	int fd, err;

	memset(&params, 0, sizeof(params));
	fd = (int)syscall(SYS_io_uring_setup, 1, &params);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, ranges,
		    n) < 0)
		goto fail;
	len = params.sq_off.array + params.sq_entries * sizeof(__u32);
	/* PROT_NONE would do for the reference; the kernel wants a mapping of
	 * the ring's own protection. */
	ring = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    IORING_OFF_SQ_RING);
	if (ring == MAP_FAILED)
		goto fail;
	if (!inherit && madvise(ring, len, MADV_DONTFORK) < 0) {
		err = -errno;
		munmap(ring, len);
		close(fd);
		return err;
	}
	/* From here on the mapping alone keeps the ring: a program that closes
	 * all descriptors unpins nothing.  (A child that exits unpins what it
	 * shares with its parent, if it has the descriptor.) */
	uring->self = inherit ? 0 : contig_self();
	uring->kept = inherit ? -1 : keep(fd);
	if (uring->kept < 0)
		close(fd);
	uring->ring = ring;
	uring->len = len;
	return 0;
fail:
	err = -errno;
	close(fd);
	return err;
}

void contig_pin_uring_forget(struct pin_uring *uring)
{
	unkeep(uring, false);
}

/* The kernel tears the ring down in a work item, after an RCU grace period. */
void contig_pin_uring_drop(struct pin_uring *uring)
{
	unkeep(uring, true);
	/* A child has something else there, if anything. */
	if (!uring->self || uring->self == contig_self())
		munmap(uring->ring, uring->len);
	uring->ring = NULL;
}
