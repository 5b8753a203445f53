/* SPDX-License-Identifier: BSD-2-Clause */
#include "phys_use.h"

/* Documentation/admin-guide/mm/pagemap.rst, include/uapi/linux/kernel-page-flags.h
 * and, from RESERVED on, include/linux/kernel-page-flags.h */
#define KPF(bit) (UINT64_C(1) << (bit))
#define KPF_LRU KPF(5)
#define KPF_SLAB KPF(7)
#define KPF_BUDDY KPF(10)
#define KPF_ANON KPF(12)
#define KPF_SWAPBACKED KPF(14)
#define KPF_COMPOUND_TAIL KPF(16)
#define KPF_HUGE KPF(17)
#define KPF_UNEVICTABLE KPF(18)
#define KPF_HWPOISON KPF(19)
#define KPF_NOPAGE KPF(20)
#define KPF_THP KPF(22)
#define KPF_OFFLINE KPF(23)
#define KPF_PGTABLE KPF(26)
#define KPF_RESERVED KPF(32)

static const struct {
	const char *key, *text;
	enum draw_fill fill;
	bool movable;
} uses[] = {
#define X(NAME, key, fill, movable, text) {key, text, fill, movable},
	PHYS_USES(X)
#undef X
};

const char *phys_use_key(enum phys_use use)
{
	return uses[use].key;
}

const char *phys_use_text(enum phys_use use)
{
	return uses[use].text;
}

enum draw_fill phys_use_fill(enum phys_use use)
{
	return uses[use].fill;
}

bool phys_use_movable(enum phys_use use)
{
	return uses[use].movable;
}

static enum phys_use own_use(uint64_t flags)
{
	if (flags & KPF_BUDDY)
		return USE_FREE;
	if (flags & (KPF_HWPOISON | KPF_OFFLINE))
		return USE_LOST;
	if (flags & KPF_HUGE)
		return USE_HUGETLB;
	if (flags & KPF_SLAB)
		return USE_SLAB;
	if (flags & KPF_PGTABLE)
		return USE_TABLES;
	/* The kernel's own large folios are THP only where they are mapped or
	 * on a list of pages to reclaim. */
	if (flags & KPF_THP && flags & (KPF_LRU | KPF_ANON | KPF_SWAPBACKED | KPF_UNEVICTABLE))
		return USE_THP;
	if (flags & KPF_ANON)
		return USE_ANON;
	if (flags & (KPF_LRU | KPF_UNEVICTABLE))
		return USE_CACHE;
	if (flags & (KPF_RESERVED | KPF_NOPAGE))
		return USE_RESERVED;
	return flags ? USE_KERNEL : USE_BLANK;
}

enum phys_use phys_use_of(uint64_t flags, enum phys_use *head)
{
	/* A tail that is poisoned by itself says nothing of those behind it. */
	if (flags & KPF_COMPOUND_TAIL)
		return flags & (KPF_BUDDY | KPF_HWPOISON) ? own_use(flags) : *head;
	return *head = own_use(flags);
}
