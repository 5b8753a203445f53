/* SPDX-License-Identifier: BSD-2-Clause */
#include "host/superpage_touch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/page.h"
#include "host/available.h"
#include "host/lately.h"
#include "host/pagemap.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define THREADS_MAX 8
/* Below this a thread costs more than it zeroes: about 2 ms of work. */
#define THREAD_MIN_BYTES (16 * SUPERPAGE_SIZE)
#define THREAD_STACK (256u << 10) /* room for TLS and for sanitizers */

#define ADVISE_TRIES 10
#define ADVISE_PAUSE_NS 1000000

/* Others take memory too: look at what is left every 64 MiB. */
#define ROOM_EVERY_PAGES 32

/* Never taken: the last 64 MiB, or the last twentieth if that is more. */
#define MARGIN_BYTES (UINT64_C(64) << 20)
#define MARGIN_PART 20

struct touch {
	const struct superpage_request *request;
	struct superpage *pages;
	size_t n;
	_Atomic size_t next, came;
	_Atomic int error; /* the first one */
	_Atomic bool stop;
};

static uint64_t less_margin(uint64_t bytes, uint64_t whole)
{
	uint64_t margin = whole / MARGIN_PART;

	if (margin < MARGIN_BYTES)
		margin = MARGIN_BYTES;
	return bytes > margin ? bytes - margin : 0;
}

uint64_t contig_superpage_room(bool memcg)
{
	uint64_t total, free, room, cgroup;

	if (contig_meminfo("MemAvailable", &free) < 0 ||
	    contig_meminfo("MemTotal", &total) < 0)
		return 0;
	room = less_margin(free, total);
	if (!memcg)
		return room;
	/* The limit isn't told, only what is left below it. */
	cgroup = contig_memcg_room();
	if (cgroup != UINT64_MAX) {
		cgroup = less_margin(cgroup, cgroup);
		if (cgroup < room)
			room = cgroup;
	}
	return room;
}

uint64_t contig_superpage_room_lately(void)
{
	static struct lately lately;
	uint64_t room;

	if (lately_get_memory(&lately, &room))
		return room;
	room = contig_superpage_room(true);
	lately_put_memory(&lately, room);
	return room;
}

int contig_superpage_advise(void *va, size_t len, int advice)
{
	static const struct timespec pause = {0, ADVISE_PAUSE_NS};

	for (int i = 0;; i++) {
		if (!madvise(va, len, advice))
			return 0;
		if ((errno != EAGAIN && errno != EINTR) || i == ADVISE_TRIES)
			return -errno;
		nanosleep(&pause, NULL);
	}
}

/* Only the first page was touched: if the last is there too, the kernel gave a
 * superpage (contig_superpage_resolve() has the proof). */
static bool came_whole(char *va)
{
	unsigned char there = 0;

	return !mincore(va + SUPERPAGE_SIZE - FRAME_SIZE, FRAME_SIZE, &there) && there & 1;
}

/*
 * One byte first: an empty range is nothing to collapse.  The collapse then
 * charges the cgroup with an order-9 request, which is refused (EBUSY) where
 * touching the rest would get the process killed.  Anonymous memory comes as a
 * superpage from that touch already, where transparent_hugepage isn't "never":
 * at a third of the cost, for each collapse drains the caches of all CPUs.
 */
static int collapse(const struct superpage_request *request, void *va)
{
	int err = contig_superpage_advise(va, FRAME_SIZE, MADV_POPULATE_WRITE);

	if (!err && (request->shared || !came_whole(va)))
		err = contig_superpage_advise(va, SUPERPAGE_SIZE, MADV_COLLAPSE);
	if (err)
		/* A base page may be there: it must not stay behind. */
		contig_superpage_advise(va, SUPERPAGE_SIZE,
					request->shared ? MADV_REMOVE :
							  MADV_DONTNEED);
	return err;
}

static int touch_one(const struct touch *t, size_t i)
{
	const struct superpage_request *request = t->request;

	if (request->kind == SUPERPAGE_COLLAPSED) {
		if (i % ROOM_EVERY_PAGES == 0 &&
		    contig_superpage_room_lately() < SUPERPAGE_SIZE)
			return -ENOMEM;
		return collapse(request, t->pages[i].staging);
	}
	/* EFAULT where a touch would be SIGBUS. */
	return contig_superpage_advise(t->pages[i].staging, request->page_size,
				       MADV_POPULATE_WRITE);
}

/* This page alone is in a bad way; the next one may be well. */
static bool concerns_one_page(int err)
{
	return err == -EAGAIN || err == -EHWPOISON;
}

static bool is_late(struct touch *t)
{
	return t->request->until && atomic_load(&t->came) && clock_ns() >= t->request->until;
}

static void *touch_worker(void *arg)
{
	struct touch *t = arg;

	while (!atomic_load(&t->stop) && !is_late(t)) {
		size_t i = atomic_fetch_add(&t->next, 1);
		int err, none = 0;

		if (i >= t->n)
			break;
		err = touch_one(t, i);
		if (!err) {
			t->pages[i].frame = FRAME_HIDDEN;
			atomic_fetch_add(&t->came, 1);
			continue;
		}
		atomic_compare_exchange_strong(&t->error, &none, err);
		if (!concerns_one_page(err))
			atomic_store(&t->stop, true);
	}
	return NULL;
}

unsigned int contig_superpage_threads(const struct superpage_request *request,
				      size_t n)
{
	uint64_t worth = n;
	unsigned int threads;
	cpu_set_t cpus;

	/* Collapsing anonymous memory holds mmap_lock for writing: a second
	 * thread made it slower (48 ms instead of 35 for 256 MiB). */
	if (request->kind == SUPERPAGE_COLLAPSED && !request->shared)
		return 1;
	if (request->threads) {
		threads = request->threads;
	} else {
		/* Fails on machines of more than 1024 CPUs: they have enough. */
		threads = THREADS_MAX;
		if (!sched_getaffinity(0, sizeof(cpus), &cpus))
			threads = (unsigned int)CPU_COUNT(&cpus);
		if (request->page_size < THREAD_MIN_BYTES)
			worth = n / (THREAD_MIN_BYTES / request->page_size);
	}
	if (threads > THREADS_MAX)
		threads = THREADS_MAX;
	if (threads > worth)
		threads = (unsigned int)worth;
	return threads ? threads : 1;
}

/* How many of wanted helpers started; a missing one only costs time. */
static unsigned int helpers_start(struct touch *t, pthread_t *helpers,
				  unsigned int wanted)
{
	unsigned int n = 0;
	sigset_t all, old;
	pthread_attr_t attr;

	if (!wanted || pthread_attr_init(&attr))
		return 0;
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	/* The program's handlers must not run on a thread it doesn't know. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (n < wanted &&
	       !pthread_create(&helpers[n], &attr, touch_worker, t))
		n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return n;
}

size_t contig_superpage_touch(const struct superpage_request *request,
			      struct superpage *pages, size_t n, int *error)
{
	struct touch t = {.request = request, .pages = pages, .n = n};
	pthread_t helpers[THREADS_MAX];
	unsigned int n_helpers;

	for (size_t i = 0; i < n; i++)
		pages[i].frame = FRAME_ABSENT;
	n_helpers = helpers_start(&t, helpers,
				  contig_superpage_threads(request, n) - 1);
	touch_worker(&t);
	for (unsigned int i = 0; i < n_helpers; i++)
		pthread_join(helpers[i], NULL);
	*error = atomic_load(&t.error);
	contig_debug(TAKE, "touched %zu of %zu superpages, %u threads, error %d",
		     atomic_load(&t.came), n, n_helpers + 1, *error);
	return atomic_load(&t.came);
}
