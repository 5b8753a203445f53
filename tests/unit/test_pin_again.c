/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pins that were given up for an exec(2) that failed.  Until they are made
 * anew the kernel may move what they held; here the test does, by putting other
 * memory with the same content there.  The addresses told are true afterwards.
 */
#include "lab.h"

#include "contig/contigmalloc.h"
#include "contig/phys.h"
#include "contig/pool.h"
#include "host/pin.h"
#include "phys/fork_plan.h"

#define ANY 0, ~(vm_paddr_t)0, 0, 0
#define BLOCK (16 * LAB_4K)

/* What of the superpage around va comes into other frames. */
enum { NOTHING, LAST_PAGE, ALL, WAYS };

static void move(char *va, int what)
{
	char *at = (char *)((uintptr_t)va & ~(uintptr_t)(LAB_2M - 1));
	size_t len = what == ALL ? LAB_2M : LAB_4K;
	char *other = lab_map_small(-1, 1);

	if (what == LAST_PAGE)
		at += LAB_2M - LAB_4K;
	ck_assert_int_eq(madvise(other, LAB_2M, MADV_NOHUGEPAGE), 0);
	memcpy(other, at, len);
	ck_assert_ptr_eq(mremap(other, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, at), at);
}

/* KiB that the kernel says are pinned. */
static long pinned_kib(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kib = -1;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, "VmPin:", 6))
			kib = strtol(line + 6, NULL, 10);
	fclose(f);
	return kib;
}

static bool is_true(const char *va)
{
	return contig_virt_to_phys(va) == lab_frame(va) * LAB_4K;
}

START_TEST(test_addresses_are_true)
{
	struct contig_pool_attr attr = {.struct_size = sizeof(attr), .node = -1,
					.kind = CONTIG_POOL_PRIVATE, .fork = CONTIG_FORK_SHARE};
	struct contig_range_info info;
	struct pin_ability ability;
	contig_pool_t *pool;
	struct rlimit files;
	char *va, *more;

	lab_need_frames();
	contig_pin_ability(&ability);
	if (ability.uring) {
		lab_skip("needs io_uring");
		return;
	}
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &files), 0);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	setenv("CONTIG_SOURCES", "thp", 1);
	contig_pin_keep_descriptors();
	pool = contig_pool_create(&attr);
	ck_assert_msg(pool, "%s", contig_strreason());
	va = contig_pool_malloc(pool, BLOCK, M_TEMP, 0, ANY);
	if (!va) {
		lab_skip("no superpage could be collapsed: %s", contig_strreason());
		return;
	}
	memset(va, 7, BLOCK);
	ck_assert(is_true(va));
	ck_assert_uint_ge(contig_pin_release_now(), 1);
	for (int i = 0; i < 1000 && pinned_kib(); i++)
		lab_sleep_ms(5);
	if (_i != NOTHING)
		move(va, _i);
	contig_fork_pin_again();
	for (size_t i = 0; i < BLOCK; i += LAB_4K)
		ck_assert(is_true(va + i) && va[i] == 7);
	if (_i == NOTHING) {
		ck_assert_int_ge(pinned_kib(), LAB_2M / 1024);
		ck_assert_int_eq(contig_range_check(va, BLOCK, &info), 1);
		ck_assert_int_eq(info.wiring, CONTIG_WIRING_PINNED);
	}
	/* What is free there is no run any more. */
	more = contig_pool_malloc(pool, BLOCK, M_TEMP, 0, ANY);
	if (more) {
		ck_assert(is_true(more) && is_true(more + BLOCK - LAB_4K));
		ck_assert_int_eq((uintptr_t)more / LAB_2M == (uintptr_t)va / LAB_2M,
				 _i == NOTHING);
		contig_free(more);
	}
	contig_free(va);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pin_again");
	TCase *tests = tcase_create("pin_again");

	lab_open(0);
	tcase_add_loop_test(tests, test_addresses_are_true, 0, WAYS);
	suite_add_tcase(suite, tests);
	return lab_run(suite);
}
