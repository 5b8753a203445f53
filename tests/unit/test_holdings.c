/* SPDX-License-Identifier: BSD-2-Clause */
/* What importers hold in a range, against a table of its pages. */
#include "share/holdings.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define PAGES 700u
#define HOLDERS 3u

struct cell {
	unsigned int holder; /* 0: nobody */
	uint64_t file, page;
	bool read_only;
};

static struct holdings holdings;
static struct holder holders[HOLDERS + 1]; /* [0] is not used */
static struct cell model[PAGES];
static uint64_t random_state = 7;

static uint64_t random_below(uint64_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (random_state >> 33) % n;
}

static bool follows(const struct cell *a, const struct cell *b)
{
	return a->holder && a->holder == b->holder && a->file == b->file &&
	       a->page + 1 == b->page && a->read_only == b->read_only;
}

/* Every page is in the run that it should be in, and runs are as long as the
 * kernel's mappings would be. */
static void compare(void)
{
	uint64_t runs[HOLDERS + 1] = {0};
	const char *wrong = contig_holdings_check(&holdings);

	ck_assert_msg(!wrong, "%s", wrong);
	for (unsigned int i = 0; i < PAGES; i++) {
		const struct cell *cell = &model[i];
		struct holding *h = contig_holdings_find(&holdings.runs, i, i + 1);

		if (!cell->holder) {
			ck_assert_ptr_null(h);
			continue;
		}
		ck_assert_ptr_nonnull(h);
		ck_assert_ptr_eq(h->holder, &holders[cell->holder]);
		ck_assert(h->first <= i && i < holding_end(h) && h->file == cell->file &&
			  h->page + (i - h->first) == cell->page &&
			  h->read_only == cell->read_only);
		ck_assert_ptr_eq(contig_holdings_find(&h->holder->runs, i, i + 1), h);
		if (!i || !follows(&model[i - 1], cell)) {
			ck_assert_uint_eq(h->first, i);
			runs[cell->holder]++;
		}
	}
	for (unsigned int i = 1; i <= HOLDERS; i++)
		ck_assert_uint_eq(holders[i].n, runs[i]);
}

static void map(uint64_t first, uint64_t count)
{
	unsigned int holder = 1 + (unsigned int)random_below(HOLDERS);
	struct holding what = {.first = first, .count = count, .file = 1 + random_below(2),
			       .read_only = !random_below(8)}, *h;

	/* As often as not what continues a neighbour. */
	what.page = random_below(4) ? first : random_below(PAGES);
	h = contig_holdings_find(&holdings.runs, first, first + count);
	for (uint64_t i = first; i < first + count; i++) {
		if (model[i].holder) {
			ck_assert_ptr_nonnull(h);
			return;
		}
	}
	ck_assert_ptr_null(h);
	h = contig_holdings_add(&holdings, &holders[holder], &what);
	ck_assert_ptr_nonnull(h);
	contig_holdings_join(&holdings, h);
	for (uint64_t i = 0; i < count; i++)
		model[first + i] = (struct cell){holder, what.file, what.page + i,
						 what.read_only};
}

/* Of one holder, or (0) of all. */
static void unmap(unsigned int holder, uint64_t first, uint64_t count, bool fails)
{
	const struct radix *runs = holder ? &holders[holder].runs : &holdings.runs;
	uint64_t at = first, end = first + count;
	struct holding *h, *rest;

	while ((h = contig_holdings_find(runs, at, end))) {
		uint64_t from = at > h->first ? at : h->first;
		uint64_t to = end < holding_end(h) ? end : holding_end(h);

		ck_assert_int_eq(contig_holdings_split(&holdings, h, to, &rest), 0);
		if (fails) {
			if (rest)
				contig_holdings_remove(&holdings, rest);
			return;
		}
		contig_holdings_cut(&holdings, h, from);
		at = to;
	}
	for (uint64_t i = first; i < end && !fails; i++)
		if (!holder || model[i].holder == holder)
			model[i].holder = 0;
}

START_TEST(test_random)
{
	for (unsigned int n = 0; n < 20000; n++) {
		uint64_t first = random_below(PAGES), count = 1 + random_below(12);

		if (count > PAGES - first)
			count = PAGES - first;
		if (random_below(3))
			map(first, count);
		else
			unmap((unsigned int)random_below(HOLDERS + 1), first, count,
			      !random_below(6));
		if (n % 16 == 0)
			compare();
	}
	unmap(0, 0, PAGES, false);
	compare();
	ck_assert_uint_eq(holdings.runs.entries, 0);
}
END_TEST

/* What is given stays where it is, and isn't found among its holder's. */
START_TEST(test_give)
{
	struct holdings all = {0};
	struct holder a = {0}, b = {0};
	struct holding what = {.first = 5, .count = 3, .file = 1}, *h, *rest;

	h = contig_holdings_add(&all, &a, &what);
	contig_holdings_give(h, &b);
	ck_assert(!a.n && !a.list && b.n == 1 && b.list == h && h->holder == &b);
	ck_assert_ptr_null(contig_holdings_find(&a.runs, 0, 100));
	ck_assert_ptr_eq(contig_holdings_find(&all.runs, 7, 8), h);
	ck_assert_int_eq(contig_holdings_split(&all, h, 6, &rest), 0);
	contig_holdings_cut(&all, h, 5);
	ck_assert(b.n == 1 && b.list == rest && rest->first == 6 && rest->page == 1);
	ck_assert_ptr_null(contig_holdings_check(&all));
	contig_holdings_remove(&all, rest);
	ck_assert(!b.n && !all.runs.entries);
	contig_holdings_leave(&a);
	contig_holdings_leave(&b);
	contig_radix_destroy(&all.runs);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("holdings");
	TCase *tcase = tcase_create("holdings");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, test_random);
	tcase_add_test(tcase, test_give);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
