/* SPDX-License-Identifier: BSD-2-Clause */
#include "kpi/vm_busy.h"

#include "kpi/misuse.h"
#include "kpi/object.h"
#include "phys/memmap.h"

#include <linux/futex.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

void contig_busy_wake(struct vm_page *m)
{
	syscall(SYS_futex, &m->busy_lock, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void contig_busy_sleep(struct vm_page *m, uint32_t value)
{
	syscall(SYS_futex, &m->busy_lock, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

bool contig_busy_announce(struct vm_page *m, bool shared, uint32_t *value)
{
	uint32_t busy = busy_load(m);

	do {
		if (!busy || busy & PAGE_IS_BLOCK || (shared && !(busy & BUSY_EXCLUSIVE)))
			return false;
		*value = busy | BUSY_WAITERS;
	} while (busy != *value &&
		 !__atomic_compare_exchange_n(&m->busy_lock, &busy, *value, true,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return true;
}

/* A block's first frame has its length where a page has its busy lock. */
static bool is_page(const struct vm_page *m, const char *call)
{
	if (__builtin_expect(page_state(m) == VM_PAGE_SINGLE, 1))
		return true;
	misuse("%s(%p): a free page, or memory of contigmalloc()", call, (const void *)m);
	return false;
}

static void wrong(const struct vm_page *m, const char *call, const char *what)
{
	misuse("%s(%p): object %p, pindex 0x%llx: %s", call, (const void *)m, (void *)m->object,
	       (unsigned long long)m->pindex, what);
}

static bool try_exclusive(struct vm_page *m)
{
	uint32_t idle = 0;

	return __atomic_compare_exchange_n(&m->busy_lock, &idle, BUSY_EXCLUSIVE, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static bool try_shared(struct vm_page *m)
{
	uint32_t busy = busy_load(m);

	do {
		if (busy & BUSY_EXCLUSIVE || busy >= PAGE_IS_BLOCK - BUSY_SHARER)
			return false;
	} while (!__atomic_compare_exchange_n(&m->busy_lock, &busy, busy + BUSY_SHARER, true,
					      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

bool vm_page_tryxbusy(vm_page_t m)
{
	return is_page(m, "vm_page_tryxbusy") && try_exclusive(m);
}

bool vm_page_trysbusy(vm_page_t m)
{
	return is_page(m, "vm_page_trysbusy") && try_shared(m);
}

/* The caller keeps the page from being freed; who doesn't is told as far as
 * that can be seen.  A free page's busy lock is no such thing. */
static void busy_blocking(struct vm_page *m, bool shared, const char *call)
{
	uint32_t value;

	while (is_page(m, call) && !(shared ? try_shared(m) : try_exclusive(m)))
		if (contig_busy_announce(m, shared, &value))
			contig_busy_sleep(m, value);
}

void vm_page_xbusy(vm_page_t m)
{
	busy_blocking(m, false, "vm_page_xbusy");
}

void vm_page_sbusy(vm_page_t m)
{
	busy_blocking(m, true, "vm_page_sbusy");
}

void vm_page_xunbusy(vm_page_t m)
{
	if (!is_page(m, "vm_page_xunbusy"))
		return;
	if (busy_load(m) & BUSY_EXCLUSIVE)
		busy_clear(m);
	else
		wrong(m, "vm_page_xunbusy", "not exclusive-busy");
}

void vm_page_sunbusy(vm_page_t m)
{
	uint32_t busy, left;

	if (!is_page(m, "vm_page_sunbusy"))
		return;
	busy = busy_load(m);
	do {
		if (busy < BUSY_SHARER) {
			wrong(m, "vm_page_sunbusy", "not shared-busy");
			return;
		}
		left = busy - BUSY_SHARER;
		if (left < BUSY_SHARER)
			left = 0;
	} while (!__atomic_compare_exchange_n(&m->busy_lock, &busy, left, true, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE));
	if (!left && busy & BUSY_WAITERS)
		contig_busy_wake(m);
}

bool vm_page_tryupgrade(vm_page_t m)
{
	uint32_t busy;

	if (!is_page(m, "vm_page_tryupgrade"))
		return false;
	busy = busy_load(m);
	if (busy < BUSY_SHARER) {
		wrong(m, "vm_page_tryupgrade", "not shared-busy");
		return false;
	}
	do {
		if ((busy & ~BUSY_WAITERS) != BUSY_SHARER)
			return false;
	} while (!__atomic_compare_exchange_n(&m->busy_lock, &busy,
					      BUSY_EXCLUSIVE | (busy & BUSY_WAITERS), true,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return true;
}

void vm_page_busy_downgrade(vm_page_t m)
{
	if (!is_page(m, "vm_page_busy_downgrade"))
		return;
	if (!(busy_load(m) & BUSY_EXCLUSIVE)) {
		wrong(m, "vm_page_busy_downgrade", "not exclusive-busy");
		return;
	}
	/* Those who wait to share it may. */
	if (__atomic_exchange_n(&m->busy_lock, BUSY_SHARER, __ATOMIC_ACQ_REL) & BUSY_WAITERS)
		contig_busy_wake(m);
}

static uint32_t look(const struct vm_page *m)
{
	return page_state(m) == VM_PAGE_SINGLE ? busy_load(m) : 0;
}

bool vm_page_busied(vm_page_t m)
{
	return look(m) != 0;
}

bool vm_page_xbusied(vm_page_t m)
{
	return look(m) & BUSY_EXCLUSIVE;
}

bool vm_page_sbusied(vm_page_t m)
{
	return look(m) >= BUSY_SHARER;
}

bool vm_page_busy_acquire(vm_page_t m, int allocflags)
{
	bool shared = allocflags & VM_ALLOC_SBUSY, locked;
	vm_object_t object = m->object;
	uint32_t value;

	if (!is_page(m, "vm_page_busy_acquire"))
		return false;
	locked = object && object_wowned(object);
	while (!(shared ? try_shared(m) : try_exclusive(m))) {
		if (allocflags & VM_ALLOC_NOWAIT)
			return false;
		if (!contig_busy_announce(m, shared, &value)) {
			if (!is_page(m, "vm_page_busy_acquire"))
				return false;
			continue;
		}
		if (locked)
			vm_object_wunlock(object);
		contig_busy_sleep(m, value);
		if (locked)
			vm_object_wlock(object);
		if (allocflags & VM_ALLOC_WAITFAIL)
			return false;
		/* Unlocked, it may have been let go of. */
		if (locked && (page_state(m) != VM_PAGE_SINGLE || m->object != object))
			return false;
	}
	return true;
}
