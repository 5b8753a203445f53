/* SPDX-License-Identifier: BSD-2-Clause */
/* What a kpageflags made here says of runs, and what the outlook makes of it. */
#include "phys/outlook.h"

#include "base/page.h"
#include "host/root.h"
#include "phys/machine.h"
#include "phys/physmap.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Documentation/admin-guide/mm/pagemap.rst */
#define MMAP     (UINT64_C(1) << 11)
#define HEAD     (UINT64_C(1) << 15)
#define TAIL     (UINT64_C(1) << 16)
#define HUGE     (UINT64_C(1) << 17)
#define HWPOISON (UINT64_C(1) << 19)
#define FREE     (HUGE | HEAD)

#define SUPERPAGES 4096u /* two nodes, half each */

static char root[] = "/tmp/test-outlook-XXXXXX", path[64];
static int flags_fd;
static struct contig_pool pool = {.lock = LOCK_INITIALIZER(LOCK_POOL), .node = -1};
static struct candidate taken[SUPERPAGES];
static struct candidates c;
static struct frame_request request;
static bool is_free[SUPERPAGES];

static void put_flags(unsigned int superpage, uint64_t flags)
{
	off_t at = (off_t)superpage * SUPERPAGE_FRAMES * (off_t)sizeof(flags);

	ck_assert_int_eq(pwrite(flags_fd, &flags, sizeof(flags), at), sizeof(flags));
	is_free[superpage] = flags == FREE;
}

static void put_run(unsigned int first, unsigned int n, uint64_t flags)
{
	for (unsigned int i = 0; i < n; i++)
		put_flags(first + i, flags);
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/proc", root);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/proc/kpageflags", root);
	flags_fd = open(path, O_RDWR | O_CREAT, 0600);
	ck_assert_int_ge(flags_fd, 0);
	ck_assert_int_eq(contig_root_set(root), 0);
	contig_machine.level = CONTIG_LEVEL_PHYSICAL;
	contig_machine.n_nodes = 2;
	contig_machine.nodes[1] = 1;
	contig_machine.n_ranges = 2;
	for (int i = 0; i < 2; i++)
		contig_machine.ranges[i] = (struct machine_range){
			.start = (uint64_t)i * SUPERPAGES / 2 * SUPERPAGE_SIZE,
			.end = (uint64_t)(i + 1) * SUPERPAGES / 2 * SUPERPAGE_SIZE,
			.node = i,
		};
	contig_physmap.frames = (uint64_t)SUPERPAGES * SUPERPAGE_FRAMES;
	contig_physmap.level = CONTIG_LEVEL_PHYSICAL;
	contig_candidates_init(&c, &pool, CONTIG_SOURCE_2M);
	c.list = taken;
	request = (struct frame_request){
		.run = {.count = 64 * SUPERPAGE_FRAMES, .high = contig_physmap.frames, .align = 1},
		.node = -1,
	};
}

static void teardown(void)
{
	close(flags_fd);
	unlink(path);
	snprintf(path, sizeof(path), "%s/proc", root);
	rmdir(path);
	rmdir(root);
}

static void take(unsigned int superpage)
{
	taken[c.n++] = (struct candidate){
		.place = (uint64_t)superpage * SUPERPAGE_SIZE,
		.node = superpage >= SUPERPAGES / 2,
	};
}

static size_t count_free(void)
{
	size_t n = 0;

	for (unsigned int i = 0; i < SUPERPAGES; i++)
		n += is_free[i];
	return n;
}

static bool good(void)
{
	return contig_outlook_good(&c, &request, count_free());
}

START_TEST(test_run)
{
	put_run(100, 63, FREE);
	ck_assert(!good());
	put_flags(163, FREE);
	ck_assert(good());
}
END_TEST

/* What is mapped, broken, no hugetlb page or inside a larger one isn't free. */
START_TEST(test_not_free)
{
	static const uint64_t flags[] = {FREE | MMAP, FREE | HWPOISON, HEAD, HUGE | TAIL, 0};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		put_run(100, 64, FREE);
		ck_assert(good());
		put_flags(140, flags[i]);
		ck_assert_msg(!good(), "flags %#llx", (unsigned long long)flags[i]);
	}
}
END_TEST

/* Those that were taken already are mapped, and count. */
START_TEST(test_with_candidates)
{
	put_run(100, 64, FREE);
	put_run(120, 3, FREE | MMAP);
	take(120);
	take(121);
	ck_assert(!good());
	take(122);
	ck_assert(good());
}
END_TEST

/* Half a run on each side of the border between nodes is none. */
START_TEST(test_nodes)
{
	put_run(SUPERPAGES / 2 - 32, 64, FREE);
	ck_assert(!good());
	put_run(SUPERPAGES / 2 + 32, 32, FREE);
	ck_assert(good());
	request.node = 0;
	request.strict = true;
	ck_assert(!good());
	request.node = 1;
	ck_assert(good());
}
END_TEST

START_TEST(test_constraints)
{
	put_run(1001, 64, FREE);
	request.run.high = 1064 * SUPERPAGE_FRAMES;
	ck_assert(!good());
	request.run.high = 1065 * SUPERPAGE_FRAMES;
	ck_assert(good());
	request.run.align = 2 * SUPERPAGE_FRAMES;
	ck_assert(!good());
	request.run.align = SUPERPAGE_FRAMES;
	request.run.boundary = 64 * SUPERPAGE_FRAMES;
	ck_assert(!good());
}
END_TEST

/* It isn't to be known: then it is to be tried. */
START_TEST(test_unknown)
{
	put_run(100, 63, FREE);
	ck_assert(!good());
	/* The kernel says that there are more than can be seen. */
	ck_assert(contig_outlook_good(&c, &request, 64));
	c.want.kind = SUPERPAGE_COLLAPSED;
	ck_assert(good());
	c.want.kind = SUPERPAGE_HUGETLB;
	contig_machine.level = CONTIG_LEVEL_HIDDEN;
	ck_assert(good());
	contig_machine.level = CONTIG_LEVEL_PHYSICAL;
	/* So few are left that taking them costs no more than looking. */
	put_run(110, 53, 0);
	ck_assert(good());
	unlink(path);
	put_run(100, 63, FREE);
	ck_assert(good());
}
END_TEST

/* So many superpages in runs of so many. */
static void take_runs(unsigned int n, unsigned int length)
{
	for (unsigned int i = 0; i < n; i++)
		take(i / length * (length + 1) + i % length);
}

START_TEST(test_likely)
{
	take_runs(32, 32);
	ck_assert(contig_outlook_likely(&c, 0, 160, 1280));
	c.n = 0;
	take_runs(32, 2);
	ck_assert(!contig_outlook_likely(&c, 0, 160, 1280));
	ck_assert(contig_outlook_likely(&c, 0, 16, 1280));
	/* Gaps close as more are taken. */
	c.n = 0;
	take_runs(32, 4);
	ck_assert(contig_outlook_likely(&c, 0, 100, 1280));
	ck_assert(!contig_outlook_likely(&c, 0, 160, 1280));
}
END_TEST

/* The kernel's lone superpages come first; only what comes after them tells. */
START_TEST(test_likely_alone)
{
	for (unsigned int i = 0; i < 100; i++)
		take(3000 + 3 * i);
	ck_assert(!contig_outlook_likely(&c, 100, 160, 1280));
	take_runs(32, 32);
	ck_assert(contig_outlook_likely(&c, 100, 160, 1280));
	ck_assert(!contig_outlook_likely(&c, 0, 160, 1280));
	/* More than there were: some had gone. */
	ck_assert(contig_outlook_likely(&c, 200, 160, 1280));
	c.n = 100;
	take_runs(32, 2);
	ck_assert(!contig_outlook_likely(&c, 100, 160, 1280));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("outlook");
	TCase *tc = tcase_create("outlook");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_run);
	tcase_add_test(tc, test_not_free);
	tcase_add_test(tc, test_with_candidates);
	tcase_add_test(tc, test_nodes);
	tcase_add_test(tc, test_constraints);
	tcase_add_test(tc, test_unknown);
	tcase_add_test(tc, test_likely);
	tcase_add_test(tc, test_likely_alone);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
