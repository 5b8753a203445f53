/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/pagemap.h"

#include "base/page.h"
#include "base/reason.h"
#include "host/root.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FRAME ((UINT64_C(1) << 55) - 1)

/* One pread: the kernel walks page tables for all of it before it looks at
 * signals again, so keep it well under a millisecond. */
#define BATCH_ENTRIES 4096

/*
 * PAGEMAP_SCAN as of Linux 6.7; Debian 12's linux/fs.h lacks it, so it has
 * names of our own here.
 */
struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
#define SCAN_PAGE_IS_HUGE (UINT64_C(1) << 6)

int contig_pagemap_open(pid_t pid)
{
	int fd = contig_root_open_proc(pid, "pagemap", O_RDONLY);

	if (fd < 0)
		contig_reason_set("pagemap of %s: %s", pid ? "that process" : "this process",
				  strerror(-fd));
	return fd;
}

static uint64_t decode(uint64_t entry)
{
	uint64_t frame = entry & PAGEMAP_FRAME;

	if (entry & PAGEMAP_PRESENT)
		return frame ? frame : FRAME_HIDDEN;
	return entry & PAGEMAP_SWAPPED ? FRAME_SWAPPED : FRAME_ABSENT;
}

int contig_pagemap_read(int fd, uintptr_t va, size_t n, uint64_t *frames)
{
	size_t done = 0;

	if (va & (FRAME_SIZE - 1))
		return -EINVAL;
	while (done < n) {
		size_t batch = n - done < BATCH_ENTRIES ? n - done : BATCH_ENTRIES;
		off_t at = (off_t)(((va >> FRAME_SHIFT) + done) * sizeof(*frames));
		/* Raw entries land in the caller's array, decoded in place. */
		ssize_t got = pread(fd, frames + done, batch * sizeof(*frames), at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		got /= (ssize_t)sizeof(*frames);
		if (!got)
			break;
		for (ssize_t i = 0; i < got; i++)
			frames[done + (size_t)i] = decode(frames[done + (size_t)i]);
		done += (size_t)got;
	}
	for (; done < n; done++)
		frames[done] = FRAME_ABSENT;
	return 0;
}

uint64_t contig_pagemap_frame(const void *va)
{
	int fd = contig_pagemap_open(0);
	uint64_t frame = FRAME_ABSENT;
	int err;

	if (fd < 0) {
		errno = -fd;
		return FRAME_ABSENT;
	}
	err = contig_pagemap_read(fd, align_down((uintptr_t)va, FRAME_SIZE), 1, &frame);
	close(fd);
	if (err) {
		errno = -err;
		return FRAME_ABSENT;
	}
	return frame;
}

/* A captured pagemap is of another process: any frame in it will do. */
static bool visible_captured(void)
{
	uint64_t entries[512];
	bool visible = false, decided = false;
	int fd = contig_pagemap_open(0);
	ssize_t got;

	if (fd < 0)
		return false;
	while (!decided && (got = read(fd, entries, sizeof(entries))) > 0) {
		for (size_t i = 0; i < (size_t)got / sizeof(*entries); i++) {
			uint64_t frame = decode(entries[i]);

			if (frame_is_known(frame) || frame == FRAME_HIDDEN) {
				visible = frame != FRAME_HIDDEN;
				decided = true;
				break;
			}
		}
	}
	close(fd);
	return visible;
}

int contig_pagemap_hidden(void)
{
	volatile char here = 1; /* written, so its page is present */
	uint64_t frame;

	if (!contig_root_is_real())
		return !visible_captured();
	errno = 0;
	frame = contig_pagemap_frame((const void *)&here);
	if (frame_is_known(frame))
		return 0;
	/* Linux 4.0 and 4.1 did not even let it be opened. */
	if (frame == FRAME_HIDDEN || errno == EPERM || errno == EACCES)
		return 1;
	return errno ? -errno : -EIO;
}

bool contig_pagemap_visible(void)
{
	volatile char here = 1; /* written, so its page is present */

	if (!contig_root_is_real())
		return visible_captured();
	return frame_is_known(contig_pagemap_frame((const void *)&here));
}

int contig_pagemap_is_huge(const void *va, size_t len)
{
	struct scan_region region = {0, 0, 0};
	struct scan_arg arg;
	uintptr_t start = (uintptr_t)va, end;
	int fd, ret, err;

	if (start & (FRAME_SIZE - 1) || !len ||
	    __builtin_add_overflow(start, len - 1, &end))
		return -EINVAL;
	end = (end | (FRAME_SIZE - 1)) + 1;
	if (!end)
		return -EINVAL;
	if (!contig_root_is_real())
		return -EOPNOTSUPP; /* these are not that machine's addresses */
	fd = contig_pagemap_open(0);
	if (fd < 0)
		return fd;
	/*
	 * Ask for the huge pages, not for the others: holes without a mapping
	 * are in neither answer.  The kernel joins neighbours, so superpages
	 * throughout are one region that is the whole range.
	 */
	memset(&arg, 0, sizeof(arg));
	arg.size = sizeof(arg);
	arg.start = start;
	arg.end = end;
	arg.vec = (uintptr_t)&region;
	arg.vec_len = 1;
	arg.category_mask = SCAN_PAGE_IS_HUGE;
	arg.return_mask = SCAN_PAGE_IS_HUGE;
	do {
		ret = ioctl(fd, SCAN_IOCTL, &arg);
		err = ret < 0 ? -errno : 0;
	} while (err == -EINTR);
	close(fd);
	if (err == -ENOTTY || err == -EINVAL)
		return -EOPNOTSUPP;
	if (err)
		return err;
	return ret == 1 && region.start <= start && region.end >= end;
}
