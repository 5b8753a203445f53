/* SPDX-License-Identifier: BSD-2-Clause */
/* Vmas from vma_create(3) to vma_destroy(3), and the list of them. */
#include "kpi/vma.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/page.h"
#include "base/reason.h"
#include "host/alias.h"
#include "kpi/page_ref.h"
#include "phys/fork.h"
#include "phys/magazine.h"
#include "phys/start.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct lock contig_vmas_lock = LOCK_INITIALIZER(LOCK_VMAS);
struct vma *contig_vmas;
/* Somebody left a vma that its destroyer waits for. */
static pthread_cond_t walked = PTHREAD_COND_INITIALIZER;
/*
 * Never given back to malloc: who calls with a vma that was destroyed finds a
 * lock that works and live == false, not somebody else's memory.
 */
static struct vma *spares;

static struct vma *take_spare(void)
{
	struct vma *vma;

	contig_lock(&contig_vmas_lock);
	vma = spares;
	if (vma)
		spares = vma->next;
	contig_unlock(&contig_vmas_lock);
	if (vma)
		return vma;
	vma = calloc(1, sizeof(*vma));
	if (vma)
		contig_lock_init(&vma->lock, LOCK_VMA);
	return vma;
}

struct vma *contig_vma_new(unsigned long start, size_t size, size_t page_size, int prot,
			   const struct vma_ops *ops, void *remote)
{
	struct vma *vma = take_spare();

	if (!vma) {
		errno = ENOMEM;
		return NULL;
	}
	contig_lock(&vma->lock);
	memset(&vma->area, 0, sizeof(vma->area));
	vma->area.vm_start = start;
	vma->area.vm_end = start + size;
	vma->area.vm_page_size = page_size;
	vma->area.vm_page_prot = prot;
	memset(&vma->shadow, 0, sizeof(vma->shadow));
	vma->ops = ops;
	vma->remote = remote;
	vma->exported = NULL;
	vma->dead = false;
	__atomic_store_n(&vma->generation, contig_fork_generation, __ATOMIC_RELAXED);
	vma->walkers = 0;
	vma->objects = 0;
	vma->live = true;
	contig_unlock(&vma->lock);
	contig_lock(&contig_vmas_lock);
	vma->next = contig_vmas;
	contig_vmas = vma;
	contig_unlock(&contig_vmas_lock);
	return vma;
}

static int refuse(size_t size, size_t page_size, int prot, const char *why)
{
	contig_reason_set("vma_create(%zu, %zu, %d): %s", size, page_size, prot, why);
	errno = EINVAL;
	return -1;
}

static int check_request(size_t size, size_t page_size, int prot)
{
	if (page_size != FRAME_SIZE && page_size != SUPERPAGE_SIZE)
		return refuse(size, page_size, prot, "the page size is 4096 or 2097152");
	if (!size || size & (page_size - 1))
		return refuse(size, page_size, prot, "the size is no multiple of the page size");
	if (prot != PROT_READ && prot != (PROT_READ | PROT_WRITE))
		return refuse(size, page_size, prot,
			      "the protection is PROT_READ or PROT_READ|PROT_WRITE");
	return 0;
}

struct vm_area_struct *vma_create(size_t size, size_t page_size, int prot)
{
	struct vma *vma;
	void *start;
	NO_CANCEL;

	contig_reason_clear();
	if (check_request(size, page_size, prot))
		return NULL;
	if (contig_start()) {
		errno = ENOMEM;
		return NULL;
	}
	/* Aligned, so that a superpage's pages put where they belong are mapped
	 * as one. */
	start = contig_alias_reserve(size, size < SUPERPAGE_SIZE ? page_size : SUPERPAGE_SIZE);
	if (!start) {
		contig_reason_set("vma_create(%zu): no such range of addresses: %s", size,
				  strerror(errno));
		errno = ENOMEM;
		return NULL;
	}
	vma = contig_vma_new((unsigned long)start, size, page_size, prot, &contig_vma_local_ops,
			     NULL);
	if (!vma) {
		contig_alias_unreserve(start, size);
		contig_reason_set("vma_create(%zu): out of memory", size);
		return NULL;
	}
	return &vma->area;
}

int contig_vma_enter(struct vma *vma, const char *call)
{
	int err = 0;

	contig_reason_clear();
	if (!vma) {
		contig_reason_set("%s: no vma", call);
		return -EINVAL;
	}
	/* Before the lock: another thread of the parent may have held it. */
	if (__atomic_load_n(&vma->generation, __ATOMIC_RELAXED) != contig_fork_generation) {
		contig_reason_set("%s: the vma is that of the process that was forked; make another",
				  call);
		return -EPERM;
	}
	contig_lock(&vma->lock);
	if (!vma->live) {
		contig_reason_set("%s: the vma at %p was destroyed", call, (void *)vma);
		err = -EINVAL;
	} else if (vma->dead) {
		contig_reason_set("%s: the process that owned the vma is gone", call);
		err = -EPIPE;
	}
	if (err)
		contig_unlock(&vma->lock);
	else
		vma_begin(vma);
	return err;
}

void contig_vma_leave(struct vma *vma)
{
	contig_unlock(&vma->lock);
}

int contig_vma_each(bool (*may)(const struct vma *vma, const void *arg),
		    int (*fn)(struct vma *vma, const void *arg), const void *arg)
{
	int first = 0;

	contig_lock(&contig_vmas_lock);
	for (struct vma *vma = contig_vmas; vma; vma = vma->next) {
		int err = 0;

		if (!may(vma, arg))
			continue;
		/* A peer may take its time: not with the list locked.  The vma
		 * stays in it meanwhile, so that its next is right. */
		vma->walkers++;
		contig_unlock(&contig_vmas_lock);
		contig_lock(&vma->lock);
		if (vma->live && !vma->dead) {
			vma_begin(vma);
			err = fn(vma, arg);
		}
		contig_unlock(&vma->lock);
		contig_lock(&contig_vmas_lock);
		vma->walkers--;
		pthread_cond_broadcast(&walked);
		if (err && !first)
			first = err;
	}
	contig_unlock(&contig_vmas_lock);
	return first;
}

void contig_vma_forget(struct vma *vma, unsigned long addr, unsigned long size)
{
	uint64_t index = vma_index(vma, addr);
	uint64_t end = index + size / vma->area.vm_page_size;
	bool super = vma->area.vm_page_size != FRAME_SIZE;
	void *entry;

	while ((entry = contig_radix_next(&vma->shadow, &index)) && index < end) {
		struct vm_page *page = vma_entry_page(entry);

		contig_radix_remove(&vma->shadow, index++);
		if ((uintptr_t)entry & VMA_NO_REF)
			continue;
		if (super)
			page_map_unref_super(page);
		else
			page_map_unref(page);
	}
	if (!vma->shadow.entries)
		__atomic_store_n(&vma->objects, 0, __ATOMIC_RELAXED);
}

/* Out of the list, when nobody who walks it is at this vma. */
static void unlist(struct vma *vma)
{
	contig_lock(&contig_vmas_lock);
	while (vma->walkers)
		pthread_cond_wait(&walked, &contig_vmas_lock.mutex);
	for (struct vma **p = &contig_vmas; *p; p = &(*p)->next) {
		if (*p == vma) {
			*p = vma->next;
			break;
		}
	}
	contig_unlock(&contig_vmas_lock);
}

void vma_destroy(struct vm_area_struct *area)
{
	struct vma *vma = (struct vma *)area;
	const struct vma_exported *exported;
	NO_CANCEL;

	contig_reason_clear();
	if (!vma)
		return;
	if (__atomic_load_n(&vma->generation, __ATOMIC_RELAXED) != contig_fork_generation) {
		contig_reason_set("vma_destroy: the vma is that of the process that was forked");
		return;
	}
	contig_lock(&vma->lock);
	while (vma->live && (exported = vma->exported)) { /* again, if it is meanwhile */
		contig_unlock(&vma->lock);
		exported->retract(vma);
		contig_lock(&vma->lock);
	}
	if (!vma->live) {
		contig_unlock(&vma->lock);
		contig_reason_set("vma_destroy: the vma at %p was destroyed before", (void *)vma);
		return;
	}
	/* Listed and locked until nothing is mapped any more: who destroys a pool
	 * meanwhile waits for us, and finds none of its pages here. */
	vma->live = false;
	vma_begin(vma);
	vma->ops->destroy(vma);
	contig_vma_forget(vma, vma->area.vm_start, vma->area.vm_end - vma->area.vm_start);
	contig_radix_destroy(&vma->shadow);
	contig_unlock(&vma->lock);
	unlist(vma);
	contig_lock(&contig_vmas_lock);
	vma->next = spares;
	spares = vma;
	contig_unlock(&contig_vmas_lock);
}

vm_page_t vma_lookup_page(struct vm_area_struct *area, unsigned long addr)
{
	struct vma *vma = (struct vma *)area;
	struct vm_page *page = NULL;
	void *entry;

	if (contig_vma_enter(vma, "vma_lookup_page"))
		return NULL;
	if (addr >= area->vm_start && addr < area->vm_end) {
		entry = radix_lookup(&vma->shadow, vma_index(vma, addr));
		if (entry)
			page = vma_entry_page(entry) +
			       ((addr - area->vm_start) % area->vm_page_size >> FRAME_SHIFT);
	}
	contig_vma_leave(vma);
	return page;
}

/*
 * fork(2): the child sees what is mapped, but vmas and references are its
 * parent's.  Its own list begins empty; its parent's records stay where they
 * are, with a generation that says so.
 */
static void fork_prepare(void)
{
	contig_lock(&contig_vmas_lock);
}

static void fork_parent(void)
{
	contig_unlock(&contig_vmas_lock);
}

static void fork_child(void)
{
	contig_vmas = NULL;
	spares = NULL; /* a late caller in the parent may hold one's lock */
	contig_unlock(&contig_vmas_lock);
}

__attribute__((constructor)) static void at_load(void)
{
	static struct fork_hook hook = {fork_prepare, fork_parent, fork_child, NULL};

	contig_fork_hook_add(&hook);
}
