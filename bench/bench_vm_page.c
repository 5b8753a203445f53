/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages: allocation and free with the object's lock held by the caller, at an
 * index that is alone, among others and far away; without an object; lookup;
 * and pages of other pools.
 *
 *	bench_vm_page [-q]	-q: fewer repetitions
 *
 * Pages aren't touched: only the allocator is timed.
 */
#include "measure.h"

#include <contig.h>
#include <contig/vm_object.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PAIRS 20000u
#define REPETITIONS 41u
#define NEIGHBOURS 4096
#define TARGET 60

static vm_object_t object;

static vm_page_t get(vm_pindex_t pindex)
{
	vm_page_t m = vm_page_alloc(object, pindex, VM_ALLOC_NORMAL);

	if (!m)
		die("%s", contig_strreason());
	return m;
}

static void pairs_at(vm_pindex_t pindex, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		vm_page_t m = vm_page_alloc(object, pindex, VM_ALLOC_NORMAL);

		keep(m);
		vm_page_free(m);
	}
}

static void pairs_alone(unsigned int n)
{
	pairs_at(0, n);
}

static void pairs_among(unsigned int n)
{
	pairs_at(NEIGHBOURS / 2, n);
}

static void pairs_far(unsigned int n)
{
	pairs_at(VM_OBJECT_SIZE_MAX - 1, n);
}

static void pairs_noobj(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		vm_page_t m = vm_page_alloc_noobj(VM_ALLOC_NORMAL);

		keep(m);
		vm_page_free(m);
	}
}

static void lookups(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		keep(vm_page_lookup(object, opaque(i * 17 % (NEIGHBOURS / 2))));
}

static void run(void (*fn)(unsigned int), struct measure *m)
{
	uint64_t start = now_ns();

	fn(PAIRS);
	measure_add(m, (double)(now_ns() - start) / PAIRS);
}

static contig_pool_t *direct_pool;

static void pairs_pool(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		vm_page_t m = contig_pool_page_alloc(direct_pool, VM_ALLOC_NORMAL, 1, 0,
						     ~(vm_paddr_t)0, 0, 0);

		keep(m);
		vm_page_free(m);
	}
}

static void other_pool(enum contig_pool_kind kind, struct measure *m, struct measure *direct)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr), .kind = kind, .node = -1};
	vm_object_t default_object = object;
	contig_pool_t *pool = contig_pool_create(&attr);

	if (!pool)
		die("%s", contig_strreason());
	object = contig_object_allocate(pool, 10);
	if (!object)
		die("%s", contig_strreason());
	VM_OBJECT_WLOCK(object);
	vm_page_free(get(0));
	direct_pool = pool;
	for (unsigned int r = 0; r < repetitions(REPETITIONS); r++) {
		run(pairs_alone, m);
		run(pairs_pool, direct);
	}
	VM_OBJECT_WUNLOCK(object);
	vm_object_deallocate(object);
	contig_pool_destroy(pool);
	object = default_object;
}

int main(int argc, char **argv)
{
	static struct measure alone, among, far, noobj, lookup, plain, shareable, direct[2];

	measure_options(argc, argv);
	cpu_stay_on(0);
	object = vm_object_allocate(OBJT_DEFAULT, VM_OBJECT_SIZE_MAX);
	if (!object)
		die("%s", contig_strreason());
	VM_OBJECT_WLOCK(object);
	if (vm_wait(NULL) < 0)
		die("%s", contig_strreason());
	vm_page_free(get(0));
	for (unsigned int r = 0; r < repetitions(REPETITIONS); r++) {
		run(pairs_alone, &alone);
		run(pairs_noobj, &noobj);
	}
	for (vm_pindex_t i = 0; i < NEIGHBOURS; i++)
		while (i != NEIGHBOURS / 2 && !vm_page_lookup(object, i) &&
		       !vm_page_alloc(object, i, VM_ALLOC_NORMAL | VM_ALLOC_NOBUSY))
			if (vm_wait(NULL) < 0)
				die("%s", contig_strreason());
	for (unsigned int r = 0; r < repetitions(REPETITIONS); r++) {
		run(pairs_among, &among);
		run(pairs_far, &far);
		run(lookups, &lookup);
	}
	VM_OBJECT_WUNLOCK(object);
	other_pool(CONTIG_POOL_DEFAULT, &plain, &direct[0]);
	other_pool(CONTIG_POOL_SHAREABLE, &shareable, &direct[1]);
	table_title("vm_page_alloc + vm_page_free, the object locked by the caller");
	row_target("the object's only page", "ns", &alone, TARGET);
	row_target("among 4096 pages", "ns", &among, TARGET);
	row_target("without an object", "ns", &noobj, TARGET);
	row_plain("at index 2^40 - 1, alone there", "ns", &far);
	row_target("of a pool besides the default one", "ns", &plain, TARGET);
	row_target("  without an object", "ns", &direct[0], TARGET);
	row_target("of a shareable pool", "ns", &shareable, TARGET);
	row_target("  without an object", "ns", &direct[1], TARGET);
	row_plain("vm_page_lookup, 4096 pages", "ns", &lookup);
	vm_object_deallocate(object);
	return 0;
}
