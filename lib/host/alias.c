/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/alias.h"

#include "base/page.h"
#include "base/reason.h"
#include "host/bare.h"
#include "host/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

static int failed(const char *what, int err)
{
	if (err == ENOMEM)
		contig_reason_set("%s: too many mappings; raise vm.max_map_count", what);
	else if (err == EAGAIN)
		contig_reason_set("%s: RLIMIT_MEMLOCK is reached; raise it", what);
	else
		contig_reason_set("%s: %s", what, strerror(err));
	/* The callers' callers know no EAGAIN. */
	return err == EAGAIN ? -ENOMEM : -err;
}

void *contig_alias_reserve(size_t len, size_t align)
{
	size_t extra = align > FRAME_SIZE ? align : 0;
	char *raw, *start, *end;

	if (len > SIZE_MAX - extra) {
		errno = ENOMEM;
		return NULL;
	}
	raw = bare_reserve(len + extra);
	if (!raw || !extra)
		return raw;
	start = (char *)align_up((uintptr_t)raw, align);
	end = start + len;
	if (start > raw)
		munmap(raw, (size_t)(start - raw));
	if (raw + len + extra > end)
		munmap(end, (size_t)(raw + len + extra - end));
	return start;
}

int contig_alias_unreserve(void *va, size_t len)
{
	return munmap(va, len) < 0 ? failed("giving up addresses", errno) : 0;
}

bool contig_alias_lost(void *va, size_t len)
{
	return bare_fill(va, len);
}

int contig_alias_clear(void *va, size_t len)
{
	int err = -bare_again(va, len);

	if (!err)
		return 0;
	/* At its limit the kernel makes no new mapping even where it replaces one.
	 * Whole mappings can still be made unreachable. */
	if (err == ENOMEM && !mprotect(va, len, PROT_NONE))
		return 0;
	return failed("unmapping", err);
}

int contig_alias_descriptor(void *va, size_t len, int prot, int fd, off_t offset)
{
	if (mmap(va, len, prot, MAP_SHARED | MAP_FIXED | MAP_NORESERVE | MAP_POPULATE, fd,
		 offset) == MAP_FAILED)
		return failed("mapping pages", errno);
	return 0;
}

int contig_alias_duplicate(void *va, size_t len, int prot, const void *old)
{
	int err;

	if (mremap((void *)(uintptr_t)old, 0, len, MREMAP_MAYMOVE | MREMAP_FIXED, va) ==
	    MAP_FAILED)
		return failed("mapping pages again", errno);
	/* The copy has the original's protection. */
	if (!(prot & PROT_WRITE) && mprotect(va, len, prot) < 0) {
		err = failed("mapping pages read-only", errno);
		contig_alias_clear(va, len);
		return err;
	}
	/* Nothing is there to fail: the pages are in the file. */
	madvise(va, len, MADV_POPULATE_READ);
	return 0;
}

/* The mapping around an address: by one question where the kernel takes it
 * (PROCMAP_QUERY, Linux 6.11), else by reading all of /proc/self/maps. */
struct procmap_query {
	uint64_t size, flags, address;
	uint64_t start, end, vma_flags, page_size, offset, inode;
	uint32_t major, minor, name_size, build_id_size;
	uint64_t name, build_id;
};
#define PROCMAP_QUERY _IOWR('f', 17, struct procmap_query)

struct around {
	uintptr_t address, start, end;
	uint64_t offset;
};

static int note_mapping(const struct host_mapping *m, void *arg)
{
	struct around *around = arg;

	if (around->address < m->start || around->address >= m->end)
		return 0;
	around->start = m->start;
	around->end = m->end;
	around->offset = m->offset;
	return 1;
}

static int mapping_around(struct around *around)
{
	struct procmap_query query = {.size = sizeof(query), .address = around->address};
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), err = -1;

	if (fd >= 0) {
		err = ioctl(fd, PROCMAP_QUERY, &query);
		close(fd);
	}
	if (!err) {
		around->start = (uintptr_t)query.start;
		around->end = (uintptr_t)query.end;
		around->offset = query.offset;
		return 0;
	}
	err = contig_maps_each(0, false, note_mapping, around);
	return err > 0 ? 0 : err < 0 ? err : -EINVAL;
}

int contig_alias_reopen(const void *old, off_t *offset)
{
	struct around around = {.address = (uintptr_t)old};
	char path[64];
	int fd, err = mapping_around(&around);

	if (err)
		return err;
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx",
		 (unsigned long)around.start, (unsigned long)around.end);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		err = errno;
		if (err == EPERM || err == EACCES) {
			contig_reason_set("a hugetlb page of a pool that keeps no descriptor: mapping it again needs CAP_CHECKPOINT_RESTORE; take pages of a shareable pool, or collapsed ones (CONTIG_SOURCES=thp)");
			return -EPERM;
		}
		return failed("/proc/self/map_files", err);
	}
	*offset = (off_t)(around.offset + (around.address - around.start));
	return fd;
}

int contig_alias_isolate(void *va, size_t len)
{
	if (madvise(va, len, MADV_DONTFORK) < 0)
		return failed("MADV_DONTFORK", errno);
	return 0;
}
