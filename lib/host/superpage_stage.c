/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/superpage_stage.h"

#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "base/size.h"
#include "host/bare.h"
#include "host/lately.h"
#include "host/nodes.h"
#include "host/root.h"
#include "host/topology.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif
#define HUGE_SHIFT 26 /* MAP_HUGE_SHIFT and MFD_HUGE_SHIFT */

#define THP_ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"
#define SETTING_NS UINT64_C(1000000000) /* believed for a second */

int contig_superpage_array(struct superpage_batch *batch, size_t n)
{
	size_t len = align_up(n * sizeof(*batch->pages), FRAME_SIZE);
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -ENOMEM;
	batch->pages = p;
	batch->pages_len = len;
	return 0;
}

static unsigned int hugetlb_flags(const struct superpage_request *request)
{
	return floor_log2(request->page_size) << HUGE_SHIFT;
}

/*
 * MFD_NOEXEC_SEAL, because vm.memfd_noexec = 2 forbids memfds without it and
 * the kernel complains about callers that don't say; unknown before 6.3.
 */
static int open_memfd(const struct superpage_request *request)
{
	unsigned int flags = MFD_CLOEXEC;
	int fd;

	if (request->sealable)
		flags |= MFD_ALLOW_SEALING;
	if (request->kind == SUPERPAGE_HUGETLB)
		flags |= MFD_HUGETLB | hugetlb_flags(request);
	fd = memfd_create("libcontig", flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("libcontig", flags);
	return fd < 0 ? -errno : fd;
}

/* Ordinary mappings are aligned to base pages only. */
static void *map_aligned(size_t len, int flags, int fd)
{
	size_t span = len + SUPERPAGE_SIZE;
	char *p = bare_reserve(span), *start;

	if (!p)
		return MAP_FAILED;
	start = (char *)align_up((uintptr_t)p, SUPERPAGE_SIZE);
	if (mmap(start, len, PROT_NONE, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
		int saved = errno;

		munmap(p, span);
		errno = saved;
		return MAP_FAILED;
	}
	if (start > p)
		munmap(p, (size_t)(start - p));
	if (start + len < p + span)
		munmap(start + len, (size_t)(p + span - start) - len);
	return start;
}

static bool is_advised(const struct superpage_request *request)
{
	return request->kind == SUPERPAGE_COLLAPSED && !request->shared;
}

/* Whether the kernel would make superpages of any memory. */
static bool thp_always(void)
{
	static struct lately lately;
	char text[64];
	uint64_t always;

	if (lately_within(&lately, SETTING_NS, &always))
		return always;
	always = contig_root_read(THP_ENABLED, text, sizeof(text)) > 0 &&
		 strstr(text, "[always]") != NULL;
	lately_put(&lately, always);
	return always;
}

/*
 * The advice was for the touch.  Mappings take it along, and then khugepaged
 * would fill again what their owner punches into them; there is no advice to
 * have none.
 */
void contig_superpage_unadvise(struct superpage_batch *batch)
{
	if (is_advised(&batch->request) && !thp_always())
		madvise(batch->staging, batch->staging_len, MADV_NOHUGEPAGE);
}

static int map_staging(struct superpage_batch *batch)
{
	const struct superpage_request *request = &batch->request;
	/* NORESERVE: a reservation isn't per node and fails in mmap for the
	 * whole batch, where populating says so page by page. */
	int flags = MAP_NORESERVE, err;
	void *p;

	flags |= request->shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
	if (request->kind == SUPERPAGE_COLLAPSED) {
		p = map_aligned(batch->staging_len, flags, batch->fd);
	} else {
		if (!request->shared)
			flags |= MAP_HUGETLB | (int)hugetlb_flags(request);
		p = mmap(NULL, batch->staging_len, PROT_NONE, flags, batch->fd, 0);
	}
	if (p == MAP_FAILED)
		return -errno;
	/* After mlockall(MCL_FUTURE) a writable mapping is filled as it is made:
	 * before the binding, and killing where a limit is.  So it starts
	 * inaccessible and unlocked.  (Not munlock(3), see pin.c.) */
	syscall(SYS_munlock, p, batch->staging_len);
	if (mprotect(p, batch->staging_len, PROT_READ | PROT_WRITE) < 0) {
		err = -errno;
		munmap(p, batch->staging_len);
		return err;
	}
	batch->staging = p;
	/* The first touch shall bring a superpage; if not, it is collapsed. */
	if (is_advised(request))
		madvise(p, batch->staging_len, MADV_HUGEPAGE);
	/* A child born meanwhile would keep the frames for its lifetime.
	 * (Private pages take the flag along to their final address.) */
	if (request->shared)
		madvise(p, batch->staging_len, MADV_DONTFORK);
	return 0;
}

static bool is_only_node(int node)
{
	const struct host_topology *topology = contig_topology();

	return topology ? topology->n_nodes == 1 && topology->nodes[0] == node :
			  node == 0;
}

static int bind_node(struct superpage_batch *batch)
{
	unsigned long nodes[HOST_NODE_LIMIT / (8 * sizeof(unsigned long))];
	int node = batch->request.node, err;

	if (node < 0)
		return 0;
	err = contig_node_mask(node, nodes);
	/* The kernel wants the number of bits plus one. */
	if (!err && syscall(SYS_mbind, batch->staging, batch->staging_len, MPOL_BIND, nodes,
			    HOST_NODE_LIMIT + 1, 0))
		err = -errno;
	if (!err)
		return 0;
	/* Containers forbid mbind, small kernels lack it: nothing is lost where
	 * there is nothing to choose. */
	if ((err == -EPERM || err == -ENOSYS) && is_only_node(node))
		return 0;
	contig_reason_set("node %d: mbind: %s; %s", node, strerror(-err),
			  err == -EPERM ?
				  "forbidden here (seccomp): allow mbind or ask for no node" :
				  "not a node with memory that this process may use");
	return err;
}

/* Beyond RLIMIT_FSIZE ftruncate is SIGXFSZ, which kills. */
static int size_memfd(int fd, size_t len)
{
	struct rlimit limit;

	if (!getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY &&
	    limit.rlim_cur < len)
		return -EFBIG;
	return ftruncate(fd, (off_t)len) < 0 ? -errno : 0;
}

static void stage_reason(const struct superpage_batch *batch, const char *what,
			 int err)
{
	char size[32], len[32];

	contig_size_print(batch->request.page_size, size, sizeof(size));
	contig_size_print(batch->staging_len, len, sizeof(len));
	contig_reason_set("staging of %s in %s pages: %s: %s", len, size, what,
			  err == -ENOMEM ?
				  "no address space (RLIMIT_AS, vm.max_map_count)" :
			  err == -EFBIG ? "RLIMIT_FSIZE is smaller; raise it" :
			  err == -EAGAIN ?
				  "RLIMIT_MEMLOCK is used up after mlockall(MCL_FUTURE); raise it" :
				  strerror(-err));
}

int contig_superpage_stage(struct superpage_batch *batch)
{
	const struct superpage_request *request = &batch->request;
	int err;

	batch->staging_len = request->count * request->page_size;
	if (request->shared) {
		batch->fd = open_memfd(request);
		if (batch->fd < 0) {
			err = batch->fd;
			batch->fd = -1;
			stage_reason(batch, "memfd_create", err);
			return err;
		}
		err = size_memfd(batch->fd, batch->staging_len);
		if (err) {
			stage_reason(batch, "ftruncate", err);
			goto close_fd;
		}
	}
	err = map_staging(batch);
	if (err) {
		stage_reason(batch, "mmap", err);
		goto close_fd;
	}
	err = bind_node(batch);
	if (!err)
		return 0;
	munmap(batch->staging, batch->staging_len);
	batch->staging = NULL;
close_fd:
	if (batch->fd >= 0)
		close(batch->fd);
	batch->fd = -1;
	return err;
}

void contig_superpage_unstage(struct superpage_batch *batch, size_t i)
{
	uint64_t size = batch->request.page_size;
	int r;

	if (batch->fd < 0) {
		r = munmap(batch->pages[i].staging, size);
	} else {
		do
			r = fallocate(batch->fd,
				      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				      (off_t)(batch->pages[i].index * size),
				      (off_t)size);
		while (r < 0 && errno == EINTR);
	}
	if (r < 0)
		contig_debug(TAKE, "giving back index %llu: %s",
			     (unsigned long long)batch->pages[i].index,
			     strerror(errno));
}

void contig_superpage_squeeze(struct superpage_batch *batch)
{
	size_t kept = 0;

	for (size_t i = 0; i < batch->n; i++)
		if (batch->pages[i].staging)
			batch->pages[kept++] = batch->pages[i];
	batch->n = kept;
}
