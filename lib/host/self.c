/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/self.h"

#include "base/page.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A page that the kernel wipes for a child: what it holds is this process's. */
static uint32_t *mark;
/* Ordinary memory: of the parents, until this process takes the next. */
static uint32_t last;

static uint32_t *make_mark(void)
{
	uint32_t *none = NULL;
	void *p = mmap(NULL, FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, FRAME_SIZE, MADV_WIPEONFORK) < 0 ||
	    !__atomic_compare_exchange_n(&mark, &none, p, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		munmap(p, FRAME_SIZE);
		return none;
	}
	return p;
}

uint32_t contig_self(void)
{
	uint32_t *here = __atomic_load_n(&mark, __ATOMIC_ACQUIRE), self = 0, next;

	if (!here)
		here = make_mark();
	/* No memory: what a process in a namespace of its own may share with its
	 * parent, but else good enough. */
	if (!here)
		return (uint32_t)syscall(SYS_getpid);
	if (__atomic_load_n(here, __ATOMIC_ACQUIRE))
		return __atomic_load_n(here, __ATOMIC_ACQUIRE);
	next = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
	/* Another thread may have been first. */
	return __atomic_compare_exchange_n(here, &self, next, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE) ? next : self;
}
