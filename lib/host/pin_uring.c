/* SPDX-License-Identifier: BSD-2-Clause */
/* Pinning by io_uring fixed buffers, without liburing and without a ring in
 * use: only its memory's registration matters. */
#include "host/pin_method.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

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
	 * all descriptors unpins nothing. */
	close(fd);
	uring->ring = ring;
	uring->len = len;
	return 0;
fail:
	err = -errno;
	close(fd);
	return err;
}

/* The kernel tears the ring down in a work item, after an RCU grace period. */
void contig_pin_uring_drop(struct pin_uring *uring)
{
	munmap(uring->ring, uring->len);
	uring->ring = NULL;
}
