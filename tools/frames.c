/* SPDX-License-Identifier: BSD-2-Clause */
#include "frames.h"

#include "grow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Documentation/admin-guide/mm/pagemap.rst */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_FRAME ((UINT64_C(1) << 55) - 1)
#define BATCH 512

int frames_add(struct frames *out, uint64_t start, uint64_t len)
{
	struct frames_range *last = out->n ? &out->ranges[out->n - 1] : NULL;
	struct frames_range *larger;

	if (last && last->end == start) {
		last->end += len;
		return 0;
	}
	larger = grow(out->ranges, out->n, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	out->ranges = larger;
	out->ranges[out->n++] = (struct frames_range){start, start + len};
	return 0;
}

int frames_read(const void *va, size_t len, struct frames *out)
{
	uint64_t entries[BATCH], page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t first = (uintptr_t)va / page;
	uint64_t left = ((uintptr_t)va + len + page - 1) / page - first;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), error = 0;

	*out = (struct frames){.visible = true, .present = true};
	if (fd < 0)
		return -errno;
	while (left && !error) {
		size_t n = left < BATCH ? left : BATCH;
		ssize_t got = pread(fd, entries, n * sizeof(entries[0]),
				    (off_t)(first * sizeof(entries[0])));

		if (got != (ssize_t)(n * sizeof(entries[0]))) {
			error = got < 0 ? -errno : -EIO;
			break;
		}
		for (size_t i = 0; i < n && !error; i++) {
			uint64_t frame = entries[i] & ENTRY_FRAME;

			if (!(entries[i] & ENTRY_PRESENT))
				out->present = false;
			else if (!frame) /* present at frame 0: withheld */
				out->visible = false;
			else
				error = frames_add(out, frame * page, page);
		}
		first += n;
		left -= n;
	}
	close(fd);
	if (error)
		frames_free(out);
	return error;
}

void frames_free(struct frames *frames)
{
	free(frames->ranges);
	*frames = (struct frames){0};
}

bool frames_equal(const struct frames *a, const struct frames *b)
{
	if (a->n != b->n || a->visible != b->visible || a->present != b->present)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->ranges[i].start != b->ranges[i].start ||
		    a->ranges[i].end != b->ranges[i].end)
			return false;
	return true;
}

const char *frames_broken(const struct frames *frames, const struct frames_constraint *want)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t size = (want->size + page - 1) / page * page;
	uint64_t alignment = want->alignment > page ? want->alignment : page;
	uint64_t start, last;

	if (!frames->present)
		return "some pages are not present";
	if (!frames->visible)
		return NULL;
	if (frames->n != 1 || frames->ranges[0].end - frames->ranges[0].start != size)
		return "it is not physically contiguous";
	start = frames->ranges[0].start;
	last = start + size - 1;
	if (start < want->low)
		return "it begins below low";
	if (last >= want->high)
		return "it ends above high";
	if (start % alignment)
		return "it is not aligned";
	if (want->boundary && start / want->boundary != last / want->boundary)
		return "it crosses a boundary";
	return NULL;
}
