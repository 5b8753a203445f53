/* SPDX-License-Identifier: BSD-2-Clause */
#include "map_source.h"

#include "base/page.h"
#include "host/pagemap.h"
#include "host/root.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Documentation/admin-guide/mm/pagemap.rst */
#define KPF_ZERO_PAGE (UINT64_C(1) << 24)

/* Debian 12's linux/fs.h has neither of the two. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
#define SCAN_REGIONS 512

struct query_arg {
	uint64_t size, flags, addr, vma_start, vma_end, vma_flags, vma_page_size;
	uint64_t vma_offset, inode;
	uint32_t dev_major, dev_minor, name_size, build_id_size;
	uint64_t name_addr, build_id_addr;
};
#define QUERY_IOCTL _IOWR('f', 17, struct query_arg)

static int scan(const struct map_source *s, struct scan_arg *arg)
{
	int ret;

	arg->size = sizeof(*arg);
	do
		ret = ioctl(s->fd, SCAN_IOCTL, arg);
	while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

static bool has_scan(const struct map_source *s)
{
	struct map_region region;
	struct scan_arg arg = {
		.end = s->page,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.category_anyof_mask = SCAN_PRESENT,
		.return_mask = SCAN_PRESENT,
	};

	return scan(s, &arg) >= 0;
}

/* What a page that was only read shows is the frame of all such pages. */
static uint64_t find_zero_frame(uint64_t page)
{
	void *p = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t frame = UINT64_MAX, entry;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (p != MAP_FAILED && fd >= 0) {
		(void)*(volatile char *)p;
		if (pread(fd, &entry, sizeof(entry),
			  (off_t)((uintptr_t)p / page * sizeof(entry))) == sizeof(entry) &&
		    entry & ENTRY_PRESENT && entry & ENTRY_FRAME)
			frame = entry & ENTRY_FRAME;
	}
	if (p != MAP_FAILED)
		munmap(p, page);
	if (fd >= 0)
		close(fd);
	return frame;
}

static bool is_zero_page(uint64_t frame)
{
	int fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t flags = 0;

	if (fd < 0)
		return false;
	if (pread(fd, &flags, sizeof(flags), (off_t)(frame * sizeof(flags))) != sizeof(flags))
		flags = 0;
	close(fd);
	return flags & KPF_ZERO_PAGE;
}

/* Whether the kernel ever made it.  To ask for it where it isn't there would
 * make the kernel look for a free superpage. */
static bool zero_huge_was_made(void)
{
	struct root_lines lines;
	bool made = false;
	char *line;

	if (contig_root_lines_open(&lines, "/proc/vmstat"))
		return false;
	while ((line = contig_root_lines_next(&lines)))
		if (!strncmp(line, "thp_zero_page_alloc ", 20))
			made = strcmp(line + 20, "0") != 0;
	contig_root_lines_close(&lines);
	return made;
}

/*
 * As long as anybody maps it there is one: who reads a superpage gets it.  Or
 * memory of his own (use_zero_page is 0), or a small page (transparent
 * superpages are off): neither has the flag and the size.
 */
uint64_t map_source_zero_huge(const struct map_source *s, uint64_t size)
{
	uint64_t frames = size >> s->shift, found = UINT64_MAX, first, last;
	char *p, *at;
	off_t page;
	int fd;

	if (s->captured || s->hidden || !zero_huge_was_made())
		return UINT64_MAX;
	p = mmap(NULL, 2 * size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	at = (char *)(uintptr_t)align_up((uintptr_t)p, size);
	page = (off_t)((uintptr_t)at >> s->shift);
	if (p != MAP_FAILED && fd >= 0 && !madvise(at, size, MADV_HUGEPAGE)) {
		(void)*(volatile char *)at;
		if (pread(fd, &first, sizeof(first), page * 8) == sizeof(first) &&
		    pread(fd, &last, sizeof(last), (page + (off_t)frames - 1) * 8) ==
			    sizeof(last) &&
		    first & last & ENTRY_PRESENT && first & ENTRY_FRAME &&
		    (last & ENTRY_FRAME) - (first & ENTRY_FRAME) == frames - 1 &&
		    is_zero_page(first & ENTRY_FRAME))
			found = first & ENTRY_FRAME;
	}
	if (p != MAP_FAILED)
		munmap(p, 2 * size);
	if (fd >= 0)
		close(fd);
	return found;
}

int map_source_open(struct map_source *s, const struct target *p)
{
	*s = (struct map_source){
		.page = p->page_size,
		.shift = floor_log2(p->page_size),
		.captured = !contig_root_is_real(),
		.maps = -1,
		.zero_frame = UINT64_MAX,
	};
	s->fd = contig_root_open_proc(p->pid, "pagemap", O_RDONLY);
	if (s->fd < 0)
		return s->fd;
	if (s->captured)
		return 0;
	s->maps = contig_root_open_proc(p->pid, "maps", O_RDONLY);
	s->scan = has_scan(s);
	s->hidden = contig_pagemap_hidden() == 1;
	if (!s->hidden)
		s->zero_frame = find_zero_frame(s->page);
	return 0;
}

void map_source_close(struct map_source *s)
{
	close(s->fd);
	if (s->maps >= 0)
		close(s->maps);
}

ssize_t map_source_read(const struct map_source *s, uint64_t va, size_t n,
			uint64_t *entries)
{
	size_t done = 0;
	off_t at;

	/* The offset of the highest page overflows where pages are small. */
	if (va >> s->shift > INT64_MAX / sizeof(*entries) - n) {
		memset(entries, 0, n * sizeof(*entries));
		return 0;
	}
	at = (off_t)((va >> s->shift) * sizeof(*entries));
	while (done < n) {
		ssize_t got = pread(s->fd, entries + done, (n - done) * sizeof(*entries),
				    at + (off_t)(done * sizeof(*entries)));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			memset(entries + done, 0, (n - done) * sizeof(*entries));
			return -errno;
		}
		if (got < (ssize_t)sizeof(*entries))
			break;
		done += (size_t)got / sizeof(*entries);
	}
	memset(entries + done, 0, (n - done) * sizeof(*entries));
	return (ssize_t)done;
}

uint64_t map_source_next(const struct map_source *s, uint64_t at, uint64_t end)
{
	struct map_region region;
	struct scan_arg arg = {
		.start = at,
		.end = end,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.max_pages = 1,
		.category_anyof_mask = SCAN_PRESENT | SCAN_SWAPPED,
		.return_mask = SCAN_PRESENT,
	};
	int n;

	if (!s->scan)
		return at;
	n = scan(s, &arg);
	if (n < 0)
		return at; /* read it; that tells what is wrong */
	return n ? region.start : end;
}

bool map_source_alive(const struct map_source *s)
{
	uint64_t entry;

	/* Address 0 can be read of any memory, but of none after its end. */
	return s->captured || pread(s->fd, &entry, sizeof(entry), 0) == sizeof(entry);
}

int map_source_scan(const struct map_source *s, uint64_t start, uint64_t end, uint64_t any,
		    uint64_t wanted, void (*fn)(const struct map_region *r, void *arg),
		    void *fn_arg)
{
	struct map_region regions[SCAN_REGIONS];

	if (!s->scan)
		return -EOPNOTSUPP;
	while (start < end) {
		struct scan_arg arg = {
			.start = start,
			.end = end,
			.vec = (uintptr_t)regions,
			.vec_len = SCAN_REGIONS,
			.category_anyof_mask = any,
			.return_mask = wanted,
		};
		int n = scan(s, &arg);

		if (n < 0)
			return n;
		for (int i = 0; i < n; i++)
			fn(&regions[i], fn_arg);
		if (arg.walk_end <= start)
			break;
		start = arg.walk_end;
	}
	return 0;
}

uint64_t map_source_page_size(const struct map_source *s, uint64_t va)
{
	struct query_arg arg = {.size = sizeof(arg), .addr = va};

	if (s->maps < 0 || ioctl(s->maps, QUERY_IOCTL, &arg))
		return 0;
	return arg.vma_page_size;
}
