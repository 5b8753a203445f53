/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/pageflags.h"

#include "base/page.h"
#include "host/root.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Bits of Documentation/admin-guide/mm/pagemap.rst. */
#define KPF_MMAP (UINT64_C(1) << 11)
#define KPF_COMPOUND_HEAD (UINT64_C(1) << 15)
#define KPF_COMPOUND_TAIL (UINT64_C(1) << 16)
#define KPF_HUGE (UINT64_C(1) << 17)
#define KPF_HWPOISON (UINT64_C(1) << 19)

int contig_pageflags_open(void)
{
	return contig_root_open("/proc/kpageflags", O_RDONLY);
}

static int read_one(int fd, uint64_t frame, uint64_t *flags)
{
	ssize_t n = pread(fd, flags, sizeof(*flags), (off_t)(frame * sizeof(*flags)));

	if (n < 0)
		return -errno;
	if (n != sizeof(*flags))
		*flags = 0; /* beyond all memory */
	return 0;
}

int contig_pageflags_is_hugetlb(int fd, uint64_t frame, uint64_t size)
{
	uint64_t head, last;
	int err = read_one(fd, frame, &head);

	if (!err)
		err = read_one(fd, frame + (size >> FRAME_SHIFT) - 1, &last);
	if (err)
		return err;
	/*
	 * The last frame's tail bit tells a page of this size from a smaller
	 * one: where smaller pages lie side by side it is a tail too, but the
	 * frame one superpage in is then a head.
	 */
	if (!(head & KPF_HUGE) || !(head & KPF_COMPOUND_HEAD) || !(last & KPF_HUGE) ||
	    !(last & KPF_COMPOUND_TAIL))
		return 0;
	if (size > SUPERPAGE_SIZE) {
		uint64_t inner;

		err = read_one(fd, frame + SUPERPAGE_FRAMES, &inner);
		if (err)
			return err;
		return inner & KPF_COMPOUND_TAIL ? 1 : 0;
	}
	return 1;
}

int contig_pageflags_may_be_free_hugetlb(int fd, uint64_t frame)
{
	uint64_t flags;
	int err = read_one(fd, frame, &flags);

	if (err)
		return err;
	return (flags & (KPF_HUGE | KPF_COMPOUND_HEAD | KPF_MMAP | KPF_HWPOISON)) ==
	       (KPF_HUGE | KPF_COMPOUND_HEAD);
}
