/* SPDX-License-Identifier: BSD-2-Clause */
/* host/superpage.h against an own reading of pagemap and sysfs. */
#include "lab.h"

#include "base/reason.h"
#include "host/pagemap.h"
#include "host/root.h"
#include "host/superpage.h"
#include "host/superpage_stage.h"
#include "host/superpage_touch.h"

#define POOL 12

/* What the library asks of the kernel, which can be made to give base pages
 * at the first touch, as where transparent_hugepage is "never". */
static bool small_touch;
static unsigned int collapses;

int madvise(void *va, size_t len, int advice)
{
	if (advice == MADV_HUGEPAGE && small_touch)
		return 0;
	collapses += advice == 25; /* MADV_COLLAPSE */
	return (int)syscall(SYS_madvise, va, len, advice);
}

static struct superpage_request request(enum superpage_kind kind, bool shared,
					size_t count)
{
	return (struct superpage_request){.kind = kind, .page_size = LAB_2M,
					  .shared = shared, .count = count,
					  .node = -1};
}

/* Every 4 KiB of a superpage at va lies where it should. */
static void assert_superpage(const char *va, uint64_t frame)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	for (size_t i = 0; i < LAB_2M / LAB_4K; i++) {
		uint64_t seen = lab_frame_of(fd, va + i * LAB_4K);

		ck_assert_uint_ne(seen, LAB_ABSENT);
		if (seen == LAB_HIDDEN)
			ck_assert_uint_eq(frame, FRAME_HIDDEN);
		else
			ck_assert_uint_eq(seen, frame + i);
	}
	if (frame != FRAME_HIDDEN)
		ck_assert_uint_eq(frame % 512, 0);
	close(fd);
}

static bool thp_always(void)
{
	char setting[64] = "";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, setting, sizeof(setting) - 1) < 0)
		setting[0] = '\0';
	close(fd);
	return strstr(setting, "[always]") != NULL;
}

/* The kernel won't make superpages there by itself, unless it does anyway. */
static void assert_left_alone(const char *va)
{
	char line[512];
	unsigned long start, end;
	bool there = false, found = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	ck_assert_ptr_nonnull(f);
	while (!found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			there = (uintptr_t)va >= start && (uintptr_t)va < end;
		found = there && !strncmp(line, "VmFlags:", 8);
	}
	fclose(f);
	ck_assert(found);
	ck_assert_msg(thp_always() || !strstr(line, " hg"), "%s", line);
}

/* Nothing mapped: a write(2) from there is EFAULT, and maps say PROT_NONE. */
static void assert_reserved(const char *va, size_t len)
{
	char line[512], perms[8];
	unsigned long start, end;
	uintptr_t at = (uintptr_t)va;
	FILE *f = fopen("/proc/self/maps", "r");

	ck_assert_ptr_nonnull(f);
	while (at < (uintptr_t)va + len && fgets(line, sizeof(line), f)) {
		ck_assert_int_eq(sscanf(line, "%lx-%lx %7s", &start, &end, perms), 3);
		if (at < start || at >= end)
			continue;
		ck_assert_str_eq(perms, "---p");
		at = end;
	}
	fclose(f);
	ck_assert_uint_ge(at, (uintptr_t)va + len);
}

static unsigned int count_mappings(const char *va, size_t len)
{
	char line[512];
	unsigned long start, end;
	unsigned int n = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    start < (uintptr_t)va + len && end > (uintptr_t)va)
			n++;
	fclose(f);
	return n;
}

static bool is_zero(const char *va, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (va[i])
			return false;
	return true;
}

/* Take, sort, keep all but one, map, use, release: every kind. */
static void whole_life(enum superpage_kind kind, bool shared)
{
	struct superpage_request r = request(kind, shared, 8);
	struct superpage_batch batch;
	long free_before = lab_free();
	bool hugetlb = kind == SUPERPAGE_HUGETLB;
	uint64_t frames[8];
	char *va = lab_reserve(8);

	ck_assert_msg(!contig_superpage_take(&r, &batch), "%s", contig_reason_get());
	ck_assert_uint_eq(batch.n, 8);
	ck_assert(shared == (batch.fd >= 0));
	if (hugetlb)
		ck_assert_int_eq(lab_free(), free_before - 8);
	for (size_t i = 0; i < 8; i++)
		assert_superpage(batch.pages[i].staging, batch.pages[i].frame);
	contig_superpage_sort(&batch);
	for (size_t i = 1; i < 8; i++)
		ck_assert_uint_le(batch.pages[i - 1].frame, batch.pages[i].frame);

	contig_superpage_give_back(&batch, 7);
	ck_assert_ptr_null(batch.pages[7].staging);
	contig_superpage_give_back(&batch, 7);
	if (hugetlb)
		ck_assert_int_eq(lab_free(), free_before - 7);
	ck_assert_int_eq(contig_superpage_resolve(&batch), 0);
	for (size_t i = 0; i < 7; i++)
		frames[i] = batch.pages[i].frame;

	ck_assert_int_eq(contig_superpage_map(&batch, 0, 8, va), -EINVAL);
	ck_assert_int_eq(contig_superpage_map(&batch, 0, 3, va + LAB_4K), -EINVAL);
	ck_assert_int_eq(contig_superpage_map(&batch, 0, 3, va), 0);
	ck_assert_int_eq(contig_superpage_map(&batch, 2, 1, va + 7 * LAB_2M), -EINVAL);
	ck_assert_int_eq(contig_superpage_map(&batch, 3, 3, va + 3 * LAB_2M), 0);
	contig_superpage_drop(&batch); /* page 6 was never mapped */
	ck_assert_ptr_null(batch.pages);
	if (hugetlb)
		ck_assert_int_eq(lab_free(), free_before - 6);
	for (size_t i = 0; i < 6; i++) {
		assert_superpage(va + i * LAB_2M, frames[i]);
		ck_assert_int_ne(lab_is_huge(va + i * LAB_2M, LAB_2M), 0);
	}
	assert_reserved(va + 6 * LAB_2M, 2 * LAB_2M);
	if (!hugetlb)
		assert_left_alone(va);
	ck_assert(is_zero(va, 6 * LAB_2M));
	memset(va, 0x5a, 6 * LAB_2M);

	ck_assert_int_eq(contig_superpage_release(va + LAB_2M, LAB_2M, 2, shared), 0);
	assert_reserved(va + LAB_2M, 2 * LAB_2M);
	if (hugetlb)
		ck_assert_int_eq(lab_free(), free_before - 4);
	ck_assert_int_eq(va[LAB_2M - 1], 0x5a);
	assert_superpage(va + 3 * LAB_2M, frames[3]);
	ck_assert_int_eq(contig_superpage_release(va, LAB_2M, 1, shared), 0);
	ck_assert_int_eq(contig_superpage_release(va + 3 * LAB_2M, LAB_2M, 3, shared), 0);
	assert_reserved(va, 8 * LAB_2M);
	if (hugetlb)
		ck_assert_int_eq(lab_free(), free_before);
}

START_TEST(test_hugetlb_shared)
{
	lab_need_pool(8);
	whole_life(SUPERPAGE_HUGETLB, true);
}
END_TEST

START_TEST(test_hugetlb_private)
{
	lab_need_pool(8);
	whole_life(SUPERPAGE_HUGETLB, false);
}
END_TEST

START_TEST(test_collapsed_shared)
{
	whole_life(SUPERPAGE_COLLAPSED, true);
}
END_TEST

START_TEST(test_collapsed_private)
{
	whole_life(SUPERPAGE_COLLAPSED, false);
}
END_TEST

/* The first touch brings a superpage only where the kernel is set so. */
START_TEST(test_collapsed_small_touch)
{
	small_touch = true;
	whole_life(SUPERPAGE_COLLAPSED, false);
	if (!thp_always())
		ck_assert_uint_ge(collapses, 8);
}
END_TEST

/* A time that is over: one comes all the same, and not all. */
START_TEST(test_until)
{
	struct superpage_batch batch;

	for (int shared = 0; shared < 2; shared++) {
		struct superpage_request r = request(SUPERPAGE_COLLAPSED, shared, 64);

		r.threads = 1;
		r.until = 1;
		ck_assert_msg(!contig_superpage_take(&r, &batch), "%s", contig_reason_get());
		ck_assert_uint_eq(batch.n, 1);
		contig_superpage_drop(&batch);
	}
}
END_TEST

/* mlockall(MCL_FUTURE) would fill every mapping as it is made, and forbids
 * punching; not mlockall(3), which sanitizers make a no-op. */
START_TEST(test_mlockall)
{
	struct superpage_batch batch = {.fd = -1};
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	if (geteuid() && limit.rlim_cur < 64 * LAB_2M) {
		lab_skip("needs CAP_IPC_LOCK");
		return;
	}
	ck_assert_int_eq(syscall(SYS_mlockall, MCL_FUTURE), 0);
	for (int shared = 0; shared < 2; shared++) {
		batch.request = request(SUPERPAGE_COLLAPSED, shared, 4);
		ck_assert_int_eq(contig_superpage_stage(&batch), 0);
		ck_assert_uint_eq(lab_frame(batch.staging), LAB_ABSENT);
		munmap(batch.staging, batch.staging_len);
	}
	close(batch.fd);
	whole_life(SUPERPAGE_COLLAPSED, true);
	whole_life(SUPERPAGE_COLLAPSED, false);
	lab_need_pool(8);
	whole_life(SUPERPAGE_HUGETLB, true);
	whole_life(SUPERPAGE_HUGETLB, false);
}
END_TEST

static int take_with_small_files(void *arg)
{
	struct superpage_request r = request(SUPERPAGE_COLLAPSED, true, 4);
	struct rlimit limit = {LAB_2M, LAB_2M};
	struct superpage_batch batch;

	(void)arg;
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		return 1;
	if (contig_superpage_take(&r, &batch) != -EFBIG)
		return 2;
	r.count = 1;
	if (contig_superpage_take(&r, &batch))
		return 3;
	contig_superpage_drop(&batch);
	return 0;
}

/* RLIMIT_FSIZE is an error, not SIGXFSZ. */
START_TEST(test_small_files)
{
	ck_assert_int_eq(lab_in_child(take_with_small_files, NULL), 0);
}
END_TEST

/* Memory of a released collapsed page goes back too: Shmem says so. */
static long shmem_kib(void)
{
	char line[128];
	long value = -1;
	FILE *f = fopen("/proc/meminfo", "r");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Shmem: %ld", &value) == 1)
			break;
	fclose(f);
	return value;
}

START_TEST(test_collapsed_is_returned)
{
	struct superpage_request r = request(SUPERPAGE_COLLAPSED, true, 32);
	struct superpage_batch batch;
	char *va = lab_reserve(32);
	long taken;

	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	ck_assert_uint_eq(batch.n, 32);
	taken = shmem_kib();
	/* 28 of 32 pages while the file lives: by punch, drop and release. */
	for (size_t i = 8; i < 16; i++)
		contig_superpage_give_back(&batch, i);
	ck_assert_int_eq(contig_superpage_map(&batch, 0, 8, va), 0);
	contig_superpage_drop(&batch);
	ck_assert_int_eq(contig_superpage_release(va + 4 * LAB_2M, LAB_2M, 4, true), 0);
	/* Others use shmem too: some slack, far below the 56 MiB. */
	ck_assert_int_lt(shmem_kib(), taken - 40 * 1024);
	ck_assert_int_eq(contig_superpage_release(va, LAB_2M, 4, true), 0);
}
END_TEST

/* Neighbours in the file are one mapping. */
START_TEST(test_runs_are_one_mapping)
{
	struct superpage_request r = request(SUPERPAGE_HUGETLB, true, 6);
	struct superpage_batch batch;
	struct superpage swapped;
	char *va = lab_reserve(6);

	lab_need_pool(6);
	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	swapped = batch.pages[4];
	batch.pages[4] = batch.pages[5];
	batch.pages[5] = swapped;
	ck_assert_int_eq(contig_superpage_map(&batch, 0, 6, va), 0);
	ck_assert_uint_eq(count_mappings(va, 6 * LAB_2M), 3);
	for (size_t i = 0; i < 6; i++)
		assert_superpage(va + i * LAB_2M, batch.pages[i].frame);
	contig_superpage_drop(&batch);
	ck_assert_int_eq(contig_superpage_release(va, LAB_2M, 6, true), 0);
	ck_assert_uint_eq(count_mappings(va, 6 * LAB_2M), 1);
}
END_TEST

/* Give back all that lie on this CPU's node, if there are others: only distant
 * ones are left, and near ones are free. */
static void keep_distant(struct superpage_batch *batch)
{
	unsigned int cpu = 0, here = 0;
	cpu_set_t one;
	size_t n = 0;

	ck_assert_int_eq(syscall(SYS_getcpu, &cpu, &here, NULL), 0);
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
	for (size_t i = 0; i < batch->n; i++)
		n += lab_node(batch->pages[i].staging) == (int)here;
	for (size_t i = batch->n; n < batch->n && i-- > 0;)
		if (lab_node(batch->pages[i].staging) == (int)here)
			contig_superpage_give_back(batch, i);
}

static size_t reorder(bool shared, bool distant)
{
	struct superpage_request r = request(SUPERPAGE_HUGETLB, shared, 10);
	struct superpage_batch batch;
	uint64_t before[10];
	size_t n = 0;

	r.threads = 2;
	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	ck_assert_uint_eq(batch.n, 10);
	if (distant)
		keep_distant(&batch);
	for (size_t i = 3, given = 0; i < 10 && !given; i++) {
		given = batch.pages[i].staging != NULL;
		contig_superpage_give_back(&batch, i);
	}
	contig_superpage_sort(&batch);
	while (n < batch.n && batch.pages[n].staging) {
		before[n] = batch.pages[n].frame;
		n++;
	}
	ck_assert_uint_gt(n, 2);
	memset(batch.pages[2].staging, 1, LAB_2M);
	ck_assert_int_eq(contig_superpage_reorder(&batch), 0);
	ck_assert_uint_eq(batch.n, n);
	for (size_t i = 0; i < n; i++) {
		assert_superpage(batch.pages[i].staging, batch.pages[i].frame);
		ck_assert(is_zero(batch.pages[i].staging, LAB_2M));
		if (i)
			ck_assert_uint_lt(batch.pages[i - 1].index,
					  batch.pages[i].index);
		/* The very same frames, now in the file's order. */
		ck_assert_uint_eq(batch.pages[i].frame, before[i]);
	}
	contig_superpage_drop(&batch);
	return n;
}

/* How this thread's memory is placed: the user's business, before and after. */
static int policy(void)
{
	unsigned long nodes[16] = {0};
	int mode = -1;

	ck_assert_int_eq(syscall(SYS_get_mempolicy, &mode, nodes, 1024, NULL, 0), 0);
	return mode | (int)nodes[0] << 8;
}

START_TEST(test_reorder)
{
	long free_before = lab_free();
	int before = policy();

	lab_need_frames();
	lab_need_pool(10);
	ck_assert_uint_eq(reorder(true, false), 9);
	ck_assert_uint_eq(reorder(false, false), 9);
	printf("test_reorder: %zu distant superpages\n", reorder(true, true));
	reorder(false, true);
	ck_assert_int_eq(policy(), before);
	ck_assert_int_eq(lab_free(), free_before);
}
END_TEST

/* With surplus pages about, what is freed would be gone: nothing happens. */
START_TEST(test_reorder_leaves_surplus_alone)
{
	struct superpage_request r = request(SUPERPAGE_HUGETLB, true, 4);
	struct superpage_batch batch;
	long total = lab_read("nr_hugepages");

	lab_need_root();
	lab_need_pool(4);
	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	lab_write("nr_hugepages", total - lab_free() - 2);
	ck_assert_int_gt(lab_read("surplus_hugepages"), 0);
	ck_assert_int_eq(contig_superpage_reorder(&batch), 0);
	ck_assert_uint_eq(batch.n, 4);
	for (size_t i = 0; i < 4; i++)
		assert_superpage(batch.pages[i].staging, batch.pages[i].frame);
	contig_superpage_drop(&batch);
	lab_write("nr_hugepages", total);
}
END_TEST

/* nr_overcommit_hugepages is touched only when asked for. */
START_TEST(test_surplus_only_when_asked)
{
	struct superpage_request r = request(SUPERPAGE_HUGETLB, true, 64);
	struct superpage_batch batch;
	long unused = lab_usable();
	void *promised;

	lab_need_root();
	lab_need_pool(2);
	ck_assert_int_eq(lab_write("nr_overcommit_hugepages", 3), 0);
	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	ck_assert_int_eq((long)batch.n, unused);
	ck_assert_int_eq(lab_read("surplus_hugepages"), 0);
	contig_superpage_drop(&batch);
	r.surplus = true;
	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	ck_assert_int_eq((long)batch.n, unused + 3);
	ck_assert_int_eq(lab_read("surplus_hugepages"), 3);
	contig_superpage_drop(&batch);
	ck_assert_int_eq(lab_read("surplus_hugepages"), 0);
	/* Free, but promised to somebody: not ours, and surplus isn't either. */
	r.surplus = false;
	promised = mmap(NULL, (size_t)(unused - 1) * LAB_2M, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | LAB_HUGE_2M, -1, 0);
	ck_assert_ptr_ne(promised, MAP_FAILED);
	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	ck_assert_uint_eq(batch.n, 1);
	ck_assert_int_eq(lab_read("surplus_hugepages"), 0);
	contig_superpage_drop(&batch);
	munmap(promised, (size_t)(unused - 1) * LAB_2M);
	ck_assert_int_eq(lab_write("nr_overcommit_hugepages", 0), 0);
	ck_assert_int_eq(lab_usable(), unused);
}
END_TEST

/* A process that has the whole pool, pinned if it may (else: 2). */
static int hold_all(void *arg, bool first)
{
	size_t n = *(size_t *)arg;
	char *p;

	if (!first)
		return 0;
	p = lab_map_huge(-1, n);
	if (!p || !lab_populate(p, n * LAB_2M))
		return 1;
	return lab_pin(p, n * LAB_2M, NULL) < 0 ? 2 : 0;
}

/* The shortest of a few failures: a busy machine is late now and then, who waits
 * is late each time. */
static double fails_after_ms(const struct superpage_request *r, int tries)
{
	double best = 1e9;

	while (tries-- && best >= 50) {
		struct superpage_batch batch;
		double start = lab_ms();

		ck_assert_int_eq(contig_superpage_take(r, &batch), -ENOMEM);
		if (lab_ms() - start < best)
			best = lab_ms() - start;
		contig_superpage_drop(&batch);
	}
	return best;
}

/* An empty pool is -ENOMEM with a reason, and not waited for twice. */
START_TEST(test_empty_pool)
{
	struct superpage_request r = request(SUPERPAGE_HUGETLB, false, 1);
	size_t n = (size_t)lab_usable();
	struct lab_peer peer;
	int failed;

	lab_need_pool(1);
	peer = lab_start(hold_all, &n, &failed);
	ck_assert_int_ne(failed, 1);
	r.nowait = true;
	ck_assert(fails_after_ms(&r, 40) < 50);
	r.nowait = false;
	ck_assert(fails_after_ms(&r, 1) >= 90);
	ck_assert_ptr_nonnull(strstr(contig_reason_get(), "none free"));
	ck_assert(fails_after_ms(&r, 40) < 50);
	lab_stop(&peer);
	ck_assert(lab_becomes("free_hugepages", (long)n + lab_read("resv_hugepages")));
}
END_TEST

/* Pages of a pinned process that just exited are waited for. */
START_TEST(test_late_pages)
{
	struct superpage_request r = request(SUPERPAGE_HUGETLB, true, 1);
	struct superpage_batch batch;
	size_t n = (size_t)lab_usable();
	struct lab_peer peer;
	int failed;

	lab_need_pool(1);
	peer = lab_start(hold_all, &n, &failed);
	ck_assert_int_ne(failed, 1);
	lab_stop(&peer);
	if (failed) {
		lab_skip("can't pin %zu superpages", n);
		return;
	}
	ck_assert_msg(!contig_superpage_take(&r, &batch), "%s", contig_reason_get());
	contig_superpage_drop(&batch);
	ck_assert(lab_becomes("free_hugepages", (long)n + lab_read("resv_hugepages")));
}
END_TEST

/* The pages vanish between counting and touching: partial success. */
START_TEST(test_touch_stops_at_the_end)
{
	struct superpage_request r = request(SUPERPAGE_HUGETLB, true, 0);
	size_t unused = (size_t)lab_usable(), n = unused + 4, came;
	struct superpage *pages = calloc(n, sizeof(*pages));
	int fd, err;
	char *p;

	lab_need_pool(2);
	fd = lab_memfd_huge(n);
	p = lab_map_huge(fd, n);
	for (unsigned int threads = 1; threads <= 2; threads++) {
		r.threads = threads;
		for (size_t i = 0; i < n; i++) {
			pages[i].index = i;
			pages[i].staging = p + i * LAB_2M;
		}
		came = contig_superpage_touch(&r, pages, n, &err);
		ck_assert_int_eq(err, -EFAULT);
		ck_assert_uint_eq(came, unused);
		for (size_t i = 0; i < n; i++) {
			bool present = lab_frame(p + i * LAB_2M) != LAB_ABSENT;

			ck_assert(present == (pages[i].frame != FRAME_ABSENT));
			came -= present;
		}
		ck_assert_uint_eq(came, 0);
		ck_assert_int_eq(madvise(p, n * LAB_2M, MADV_REMOVE), 0);
	}
	munmap(p, n * LAB_2M);
	close(fd);
	free(pages);
}
END_TEST

START_TEST(test_threads_touch_everything)
{
	struct superpage_request r = request(SUPERPAGE_COLLAPSED, true, 48);
	struct superpage_batch batch;

	ck_assert_uint_le(contig_superpage_threads(&r, 16), 1);
	ck_assert_uint_le(contig_superpage_threads(&r, 100000), 8);
	r.shared = false;
	ck_assert_uint_eq(contig_superpage_threads(&r, 100000), 1);
	r.shared = true;
	r.threads = 3;
	ck_assert_uint_eq(contig_superpage_threads(&r, 2), 2);
	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	ck_assert_uint_eq(batch.n, 48);
	for (size_t i = 0; i < batch.n; i++)
		assert_superpage(batch.pages[i].staging, batch.pages[i].frame);
	contig_superpage_drop(&batch);
}
END_TEST

START_TEST(test_impossible_requests)
{
	struct superpage_request r = request(SUPERPAGE_HUGETLB, true, 1);
	struct superpage_batch batch;

	r.page_size = LAB_4K;
	ck_assert_int_eq(contig_superpage_take(&r, &batch), -EINVAL);
	r.page_size = (size_t)1 << 30;
	r.kind = SUPERPAGE_COLLAPSED;
	ck_assert_int_eq(contig_superpage_take(&r, &batch), -EINVAL);
	r = request(SUPERPAGE_HUGETLB, true, 0);
	ck_assert_int_eq(contig_superpage_take(&r, &batch), -EINVAL);
	r.count = SIZE_MAX;
	ck_assert_int_eq(contig_superpage_take(&r, &batch), -EINVAL);
	r.count = 1;
	r.node = 4096;
	ck_assert_int_eq(contig_superpage_take(&r, &batch), -EINVAL);
	ck_assert_str_ne(contig_reason_get(), "");
	r.node = 63; /* no such node here, surely */
	ck_assert_int_lt(contig_superpage_take(&r, &batch), 0);
	r.kind = SUPERPAGE_COLLAPSED;
	ck_assert_int_lt(contig_superpage_take(&r, &batch), 0);
	contig_superpage_drop(&batch);
}
END_TEST

START_TEST(test_bound_to_a_node)
{
	struct superpage_request r = request(SUPERPAGE_COLLAPSED, true, 2);
	struct superpage_batch batch;

	r.node = 0;
	ck_assert_msg(!contig_superpage_take(&r, &batch), "%s", contig_reason_get());
	ck_assert_uint_eq(batch.n, 2);
	contig_superpage_drop(&batch);
	lab_need_pool(2);
	r.kind = SUPERPAGE_HUGETLB;
	ck_assert_msg(!contig_superpage_take(&r, &batch), "%s", contig_reason_get());
	ck_assert_uint_eq(batch.n, 2);
	contig_superpage_drop(&batch);
}
END_TEST

/* No transparent hugepages in this process: an error, and nothing kept. */
START_TEST(test_collapse_forbidden)
{
	struct superpage_request r = request(SUPERPAGE_COLLAPSED, true, 4);
	struct superpage_batch batch;

	ck_assert_int_eq(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	ck_assert_int_eq(contig_superpage_take(&r, &batch), -EINVAL);
	ck_assert_ptr_null(batch.pages);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}
END_TEST

/*
 * In the cgroup: what take() asks for leaves a margin.  And then, behind the
 * back of the library, which is shown a machine without limits: the touch
 * beyond the limit is an error instead of a dead process.
 */
static int in_cgroup(void *arg)
{
	struct superpage_request r = request(SUPERPAGE_COLLAPSED, true, 128);
	static struct superpage pages[96];
	struct superpage_batch batch;
	char *p = lab_map_small(memfd_create("lab", MFD_CLOEXEC), 1);
	size_t came, left = 0;
	int err;

	if (!lab_memcg_enter(((const char **)arg)[0]))
		return 2;
	/* 128 MiB, of which the last 64 are never taken. */
	if (contig_superpage_take(&r, &batch))
		return 3;
	if (batch.n < 16 || batch.n > 32)
		return 4;
	contig_superpage_drop(&batch);
	if (contig_root_set(((const char **)arg)[1]))
		return 5;
	for (r.threads = 1; r.threads <= 2; r.threads++) {
		int fd = memfd_create("lab", MFD_CLOEXEC);

		if (ftruncate(fd, 96 * LAB_2M) < 0)
			return 6;
		p = lab_map_small(fd, 96);
		for (size_t i = 0; i < 96; i++)
			pages[i].staging = p + i * LAB_2M;
		came = contig_superpage_touch(&r, pages, 96, &err);
		if (err != -EBUSY)
			return 7;
		if (came < 32 || came > 64)
			return 8;
		/* Those that did not come hold nothing, not even a base page. */
		for (size_t i = 0; i < 96; i++)
			left += pages[i].frame == FRAME_ABSENT &&
				lab_frame(pages[i].staging) != LAB_ABSENT;
		if (left)
			return 9;
		munmap(p, 96 * LAB_2M);
		close(fd);
	}
	/* A private batch leaves no mapping behind where pages didn't come. */
	r.shared = false;
	r.count = 96;
	if (contig_superpage_take(&r, &batch))
		return 10;
	p = batch.staging;
	if (batch.n < 32 || batch.n > 64)
		return 11;
	contig_superpage_drop(&batch);
	for (size_t i = 0; i < 96; i++)
		if (!msync(p + i * LAB_2M, LAB_4K, MS_ASYNC))
			return 12;
	return 0;
}

/* A machine with much memory and without cgroups. */
static void show_machine(const char *dir, bool show)
{
	static const struct {
		const char *path, *text;
	} parts[] = {{"/proc", NULL},
		     {"/proc/self", NULL},
		     {"/proc/meminfo", "MemTotal: 9000000 kB\nMemAvailable: 9000000 kB\n"},
		     {"/proc/self/cgroup", ""},
		     {"/proc/self/mountinfo", ""},
		     {"/proc/self/pagemap", "/proc/self/pagemap"}};
	size_t n = sizeof(parts) / sizeof(parts[0]);
	char path[256];

	for (size_t k = 0; k < n; k++) {
		size_t i = show ? k : n - 1 - k;

		snprintf(path, sizeof(path), "%s%s", dir, parts[i].path);
		if (!show) {
			remove(path);
		} else if (parts[i].text && *parts[i].text == '/') {
			ck_assert_int_eq(symlink(parts[i].text, path), 0);
		} else if (!parts[i].text) {
			ck_assert_int_eq(mkdir(path, 0755), 0);
		} else {
			FILE *f = fopen(path, "w");

			ck_assert_ptr_nonnull(f);
			fputs(parts[i].text, f);
			fclose(f);
		}
	}
}

START_TEST(test_memory_cgroup)
{
	char machine[] = "/tmp/libcontig-lab-XXXXXX";
	const char *dir, *args[2];
	int status;

	lab_need_root();
	dir = lab_memcg(128L << 20);
	if (!dir) {
		lab_skip("can't make a memory cgroup");
		return;
	}
	args[0] = dir;
	args[1] = mkdtemp(machine);
	ck_assert_ptr_nonnull(args[1]);
	show_machine(machine, true);
	status = lab_in_child(in_cgroup, args);
	show_machine(machine, false);
	rmdir(machine);
	lab_memcg_remove(dir);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* A failed map leaves the bare reservation, the batch and its memory. */
START_TEST(test_map_failure)
{
	struct superpage_request r = request(SUPERPAGE_COLLAPSED, true, 2);
	struct superpage_batch batch;
	struct superpage saved;
	char *va = lab_reserve(2);

	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	saved = batch.pages[1];
	batch.pages[1].index = 1000; /* beyond the file */
	ck_assert_int_lt(contig_superpage_map(&batch, 0, 2, va), 0);
	assert_reserved(va, 2 * LAB_2M);
	ck_assert(!batch.pages[0].mapped && !batch.pages[1].mapped);
	batch.pages[1] = saved;
	ck_assert_int_eq(contig_superpage_map(&batch, 0, 2, va), 0);
	contig_superpage_drop(&batch);
	ck_assert_int_eq(contig_superpage_release(va, LAB_2M, 2, true), 0);

	r.shared = false;
	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	saved = batch.pages[1];
	batch.pages[1].staging = lab_reserve(1);
	batch.pages[1].index = 7;
	munmap(batch.pages[1].staging, LAB_2M);
	ck_assert_int_lt(contig_superpage_map(&batch, 0, 2, va), 0);
	assert_reserved(va, 2 * LAB_2M);
	ck_assert_ptr_null(batch.pages[0].staging);
	ck_assert(!batch.pages[0].mapped);
	batch.pages[1] = saved;
	contig_superpage_drop(&batch);
}
END_TEST

/* A page that lost its superpage is told, not believed. */
START_TEST(test_resolve_notices)
{
	struct superpage_request r = request(SUPERPAGE_COLLAPSED, true, 2);
	struct superpage_batch batch;

	ck_assert_int_eq(contig_superpage_take(&r, &batch), 0);
	ck_assert_int_eq(fallocate(batch.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)(LAB_2M + 5 * LAB_4K), LAB_4K), 0);
	/* Its first page is where it was, and looks well. */
	ck_assert_int_eq(*(volatile char *)batch.pages[1].staging, 0);
	ck_assert_uint_ne(lab_frame(batch.pages[1].staging), LAB_ABSENT);
	ck_assert_int_eq(contig_superpage_resolve(&batch), -EIO);
	contig_superpage_drop(&batch);
}
END_TEST

#define POOL_1G "/sys/kernel/mm/hugepages/hugepages-1048576kB/"

/* 1 GiB pages go the same ways; only where some are free already, since this
 * machine's memory isn't ours to move about. */
START_TEST(test_gigapage)
{
	size_t size = (size_t)1 << 30;
	struct superpage_request r = request(SUPERPAGE_HUGETLB, true, 1);
	struct superpage_batch batch;
	long unused = lab_read(POOL_1G "free_hugepages");
	char *p, *va;

	r.page_size = size;
	if (unused < 1) {
		ck_assert_int_lt(contig_superpage_take(&r, &batch), 0);
		printf("test_gigapage: no free 1 GiB page: only the failure was tested\n");
		return;
	}
	p = mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	va = (char *)(((uintptr_t)p + size - 1) & ~(size - 1));
	for (int shared = 0; shared < 2; shared++) {
		r.shared = shared;
		ck_assert_msg(!contig_superpage_take(&r, &batch), "%s", contig_reason_get());
		ck_assert_int_eq(contig_superpage_map(&batch, 0, 1, va), 0);
		if (batch.pages[0].frame != FRAME_HIDDEN)
			ck_assert_uint_eq(batch.pages[0].frame % (size / LAB_4K), 0);
		assert_superpage(va + 511 * LAB_2M,
				 batch.pages[0].frame == FRAME_HIDDEN ?
					 FRAME_HIDDEN : batch.pages[0].frame + 511 * 512);
		contig_superpage_drop(&batch);
		va[size - 1] = 1;
		ck_assert_int_eq(contig_superpage_release(va, size, 1, shared), 0);
		ck_assert_int_eq(lab_read(POOL_1G "free_hugepages"), unused);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("superpage");
	TCase *tests = tcase_create("superpage");

	lab_open(POOL);
	tcase_add_checked_fixture(tests, lab_settle, NULL);
	tcase_add_test(tests, test_hugetlb_shared);
	tcase_add_test(tests, test_hugetlb_private);
	tcase_add_test(tests, test_collapsed_shared);
	tcase_add_test(tests, test_collapsed_private);
	tcase_add_test(tests, test_collapsed_small_touch);
	tcase_add_test(tests, test_until);
	tcase_add_test(tests, test_mlockall);
	tcase_add_test(tests, test_small_files);
	tcase_add_test(tests, test_collapsed_is_returned);
	tcase_add_test(tests, test_runs_are_one_mapping);
	tcase_add_test(tests, test_reorder);
	tcase_add_test(tests, test_reorder_leaves_surplus_alone);
	tcase_add_test(tests, test_surplus_only_when_asked);
	tcase_add_test(tests, test_empty_pool);
	tcase_add_test(tests, test_late_pages);
	tcase_add_test(tests, test_touch_stops_at_the_end);
	tcase_add_test(tests, test_threads_touch_everything);
	tcase_add_test(tests, test_impossible_requests);
	tcase_add_test(tests, test_bound_to_a_node);
	tcase_add_test(tests, test_collapse_forbidden);
	tcase_add_test(tests, test_memory_cgroup);
	tcase_add_test(tests, test_map_failure);
	tcase_add_test(tests, test_resolve_notices);
	tcase_add_test(tests, test_gigapage);
	suite_add_tcase(suite, tests);
	return lab_run(suite);
}
