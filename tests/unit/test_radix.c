/* SPDX-License-Identifier: BSD-2-Clause */
/* The sparse array: against a sorted list, and under readers. */
#include "base/radix.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
	random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return random_state >> 11 ^ random_state << 33;
}

/* The part of a long test that CONTIG_TEST_SCALE (percent) names. */
static uint64_t scaled(uint64_t n)
{
	const char *text = getenv("CONTIG_TEST_SCALE");
	uint64_t part = text ? n * strtoul(text, NULL, 10) / 100 : n;

	return part < 100 ? 100 : part;
}

static void *entry_of(uint64_t index)
{
	return (void *)(uintptr_t)((index << 3 ^ index >> 40) | 1);
}

static void sound(const struct radix *radix)
{
	const char *wrong = contig_radix_check(radix);

	ck_assert_msg(!wrong, "%s", wrong);
}

START_TEST(test_basics)
{
	struct radix radix = {0};
	uint64_t at;

	ck_assert(!radix_lookup(&radix, 0) && !contig_radix_remove(&radix, 0));
	at = 0;
	ck_assert(!contig_radix_next(&radix, &at) && !contig_radix_prev(&radix, &at));
	ck_assert_int_eq(contig_radix_insert(&radix, 7, NULL), -EINVAL);
	ck_assert_int_eq(contig_radix_insert(&radix, 7, entry_of(7)), 0);
	ck_assert_int_eq(contig_radix_insert(&radix, 7, entry_of(8)), -EEXIST);
	ck_assert_ptr_eq(radix_lookup(&radix, 7), entry_of(7));
	ck_assert(!radix_lookup(&radix, 71) && !radix_lookup(&radix, UINT64_MAX));
	ck_assert_ptr_eq(contig_radix_remove(&radix, 7), entry_of(7));
	ck_assert_uint_eq(radix.entries, 0);
	ck_assert_int_eq(contig_radix_insert(&radix, UINT64_MAX, entry_of(9)), 0);
	sound(&radix);
	ck_assert(!radix_lookup(&radix, 7));
	at = 0;
	ck_assert_ptr_eq(contig_radix_next(&radix, &at), entry_of(9));
	ck_assert(at == UINT64_MAX);
	ck_assert(!contig_radix_remove(&radix, 63));
	contig_radix_destroy(&radix);
	sound(&radix);
	ck_assert(!radix_lookup(&radix, UINT64_MAX));
}
END_TEST

/* Entries at every power of two and beside it, to 2^64 - 1. */
START_TEST(test_edges)
{
	struct radix radix = {0};
	uint64_t indices[3 * 64], n = 0, at;

	indices[n++] = 0;
	for (unsigned int bit = 1; bit < 64; bit++)
		for (int beside = -1; beside <= 1; beside++) {
			uint64_t index = (UINT64_C(1) << bit) + (uint64_t)beside;

			if (index > indices[n - 1])
				indices[n++] = index;
		}
	for (uint64_t i = 0; i < n; i++)
		ck_assert_int_eq(contig_radix_insert(&radix, indices[i], entry_of(i)), 0);
	sound(&radix);
	at = 0;
	for (uint64_t i = 0; i < n; i++, at++) {
		ck_assert_ptr_eq(contig_radix_next(&radix, &at), entry_of(i));
		ck_assert_uint_eq(at, indices[i]);
	}
	at = UINT64_MAX;
	for (uint64_t i = n; i-- > 0; at--) {
		ck_assert_ptr_eq(contig_radix_prev(&radix, &at), entry_of(i));
		ck_assert_uint_eq(at, indices[i]);
	}
	/* The root shrinks with what is left. */
	for (uint64_t i = n; i-- > 1;) {
		ck_assert_ptr_eq(contig_radix_remove(&radix, indices[i]), entry_of(i));
		sound(&radix);
	}
	ck_assert_ptr_nonnull(radix.root);
	ck_assert_uint_eq(radix.root->level, 0);
	contig_radix_destroy(&radix);
}
END_TEST

/* The oracle: a sorted list. */
#define MOST 600
static struct {
	uint64_t index[MOST];
	void *entry[MOST];
	size_t n;
} model;

static size_t model_at(uint64_t index)
{
	size_t i = 0;

	while (i < model.n && model.index[i] < index)
		i++;
	return i;
}

static void model_insert(uint64_t index, void *entry)
{
	size_t i = model_at(index);

	memmove(&model.index[i + 1], &model.index[i], (model.n - i) * sizeof(model.index[0]));
	memmove(&model.entry[i + 1], &model.entry[i], (model.n - i) * sizeof(model.entry[0]));
	model.index[i] = index;
	model.entry[i] = entry;
	model.n++;
}

static void model_remove(size_t i)
{
	model.n--;
	memmove(&model.index[i], &model.index[i + 1], (model.n - i) * sizeof(model.index[0]));
	memmove(&model.entry[i], &model.entry[i + 1], (model.n - i) * sizeof(model.entry[0]));
}

static uint64_t pick(unsigned int spread)
{
	switch (random_next() % 4) {
	case 0:
		return random_next() % 300;
	case 1:
		return model.n ? model.index[random_next() % model.n] + random_next() % 3 - 1 : 0;
	default:
		return random_next() >> (random_next() % spread);
	}
}

static void compare(struct radix *radix, uint64_t index)
{
	size_t i = model_at(index);
	bool there = i < model.n && model.index[i] == index;
	uint64_t at = index;
	void *found;

	ck_assert_ptr_eq(radix_lookup(radix, index), there ? model.entry[i] : NULL);
	found = contig_radix_next(radix, &at);
	ck_assert_ptr_eq(found, i < model.n ? model.entry[i] : NULL);
	if (found)
		ck_assert_uint_eq(at, model.index[i]);
	at = index;
	found = contig_radix_prev(radix, &at);
	if (!there)
		i--; /* wraps: none */
	ck_assert_ptr_eq(found, i < model.n ? model.entry[i] : NULL);
	if (found)
		ck_assert_uint_eq(at, model.index[i]);
}

START_TEST(test_model)
{
	struct radix radix = {0};

	random_state = (uint64_t)_i * 7919 + 1;
	model.n = 0;
	for (uint64_t step = 0, steps = scaled(20000); step < steps; step++) {
		uint64_t index = pick(_i & 1 ? 64 : 24);
		size_t i = model_at(index);
		bool there = i < model.n && model.index[i] == index;

		if (random_next() % 8 < (step / (steps / 10) % 2 ? 3u : 5u) && model.n < MOST) {
			ck_assert_int_eq(contig_radix_insert(&radix, index, entry_of(index)),
					 there ? -EEXIST : 0);
			if (!there)
				model_insert(index, entry_of(index));
		} else {
			if (model.n && random_next() & 1) {
				i = random_next() % model.n;
				index = model.index[i];
				there = true;
			}
			ck_assert_ptr_eq(contig_radix_remove(&radix, index),
					 there ? model.entry[i] : NULL);
			if (there)
				model_remove(i);
		}
		ck_assert_uint_eq(radix.entries, model.n);
		compare(&radix, index);
		compare(&radix, pick(64));
		if (step % 16 == 0)
			sound(&radix);
	}
	contig_radix_destroy(&radix);
	ck_assert_uint_eq(radix.entries, 0);
}
END_TEST

/* Runs of all lengths at all places, beside what is there, against one by one. */
START_TEST(test_runs)
{
	static char entries[1024];

	for (uint64_t round = 0; round < scaled(300); round++) {
		struct radix runs = {0}, singles = {0};
		uint64_t start = random_next() % 200 + (round % 2 ? 0 : 4000), done;
		uint64_t n = random_next() % 300, there = random_next() % 600 + start / 2;

		ck_assert_int_eq(contig_radix_insert(&runs, there, entries), 0);
		ck_assert_int_eq(contig_radix_insert(&singles, there, entries), 0);
		for (done = 0; done < n; done++)
			if (contig_radix_insert(&singles, start + done, entries + done * 3 + 1))
				break;
		ck_assert_uint_eq(contig_radix_insert_run(&runs, start, n, entries + 1, 3), done);
		sound(&runs);
		ck_assert_uint_eq(runs.entries, singles.entries);
		for (uint64_t i = 0; i < 5000; i++)
			if (radix_lookup(&runs, i) != radix_lookup(&singles, i))
				ck_abort_msg("index %d", (int)i);
		contig_radix_destroy(&runs);
		contig_radix_destroy(&singles);
	}
}
END_TEST

START_TEST(test_memory_is_reused)
{
	struct radix radix = {0};
	uint64_t before;

	for (uint64_t i = 0; i < 10000; i++)
		ck_assert_int_eq(contig_radix_insert(&radix, i * 1000003, entry_of(i)), 0);
	contig_radix_destroy(&radix);
	before = contig_radix_memory();
	ck_assert_uint_gt(before, 0);
	for (int round = 0; round < 20; round++) {
		for (uint64_t i = 0; i < 10000; i++)
			ck_assert_int_eq(contig_radix_insert(&radix, i * 1000003, entry_of(i)), 0);
		if (round & 1) {
			contig_radix_destroy(&radix);
			continue;
		}
		for (uint64_t i = 0; i < 10000; i++)
			ck_assert_ptr_eq(contig_radix_remove(&radix, i * 1000003), entry_of(i));
	}
	ck_assert_uint_eq(contig_radix_memory(), before);
}
END_TEST

/*
 * Readers beside two writers on two arrays, which exchange nodes all the
 * time.  Entries that stay are always found, those that come and go are right
 * or absent, and nobody sees the other array's.
 */
static struct radix arrays[2];
static bool stop;
static uint64_t lookups;

static void *entry_in(unsigned int which, uint64_t index)
{
	return (void *)(uintptr_t)(index << 2 | which << 1 | 1);
}

static uint64_t coming_and_going(uint64_t i)
{
	return (i % 7 + 1) * (UINT64_C(1) << (6 * (i % 5 + 1))) + i % 64;
}

static void *reader(void *arg)
{
	uint64_t n = 0, seed = (uintptr_t)arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		for (uint64_t i = 0; i < 1000; i++, n++) {
			unsigned int which = (i + seed) & 1;
			uint64_t index = coming_and_going(i * 31 + seed);
			void *found = radix_lookup(&arrays[which], index);

			if (found && found != entry_in(which, index))
				return "another's entry";
			if (radix_lookup(&arrays[which], 5) != entry_in(which, 5))
				return "an entry that stays was not found";
		}
	}
	__atomic_fetch_add(&lookups, n, __ATOMIC_RELAXED);
	return NULL;
}

static void *writer(void *arg)
{
	unsigned int which = (unsigned int)(uintptr_t)arg;

	for (uint64_t i = 0, n = scaled(1000000); i < n; i++) {
		uint64_t index = coming_and_going(i * 17);

		if (!contig_radix_remove(&arrays[which], index) &&
		    contig_radix_insert(&arrays[which], index, entry_in(which, index)) < 0)
			return "insert failed";
	}
	return NULL;
}

START_TEST(test_readers)
{
	pthread_t readers[3], writers[2];
	void *wrong;

	for (unsigned int w = 0; w < 2; w++)
		ck_assert_int_eq(contig_radix_insert(&arrays[w], 5, entry_in(w, 5)), 0);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&readers[i], NULL, reader, (void *)i);
	for (uintptr_t i = 0; i < 2; i++)
		pthread_create(&writers[i], NULL, writer, (void *)i);
	for (int i = 0; i < 2; i++) {
		pthread_join(writers[i], &wrong);
		ck_assert_msg(!wrong, "%s", (char *)wrong);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++) {
		pthread_join(readers[i], &wrong);
		ck_assert_msg(!wrong, "%s", (char *)wrong);
	}
	ck_assert_uint_gt(lookups, 0);
	for (unsigned int w = 0; w < 2; w++) {
		sound(&arrays[w]);
		contig_radix_destroy(&arrays[w]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("radix");
	TCase *tcase = tcase_create("radix");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_basics);
	tcase_add_test(tcase, test_edges);
	tcase_add_loop_test(tcase, test_model, 0, 8);
	tcase_add_test(tcase, test_runs);
	tcase_add_test(tcase, test_memory_is_reused);
	tcase_add_test(tcase, test_readers);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
