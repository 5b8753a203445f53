/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench_runs.h"

#include "base/page.h"
#include "host/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Documentation/admin-guide/mm/pagemap.rst */
#define ENTRY_PRESENT (UINT64_C(1) << 63)
#define ENTRY_FRAME ((UINT64_C(1) << 55) - 1)
#define BATCH 4096

static int by_frame(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void run_end(struct bench_runs *r, uint64_t bytes)
{
	if (!bytes)
		return;
	r->n++;
	r->bytes += bytes;
	r->by_power[floor_log2(bytes)] += bytes;
	if (bytes > r->longest)
		r->longest = bytes;
}

void bench_runs_of(uint64_t *frames, size_t n, uint64_t size, bool sort,
		   struct bench_runs *out)
{
	uint64_t run = 0;

	memset(out, 0, sizeof(*out));
	if (sort)
		qsort(frames, n, sizeof(*frames), by_frame);
	for (size_t i = 0; i < n; i++) {
		if (i && frames[i] == frames[i - 1] + size / FRAME_SIZE) {
			run += size;
			continue;
		}
		run_end(out, run);
		run = size;
	}
	run_end(out, run);
}

void bench_runs_plot(struct bench *b, enum bench_plot plot, const char *name,
		     const struct bench_runs *runs)
{
	struct plot_series *s;
	uint64_t left = runs->bytes;

	if (!runs->bytes)
		return;
	s = bench_series(b, plot, name);
	for (unsigned int power = FRAME_SHIFT; power < 40; power++) {
		plot_point(s, (double)(UINT64_C(1) << power),
			   100.0 * (double)left / (double)runs->bytes);
		if (!left)
			break;
		left -= runs->by_power[power];
	}
}

uint64_t *bench_batch_frames(const struct superpage_batch *batch, size_t *n)
{
	uint64_t *frames = malloc(batch->n * sizeof(*frames));

	*n = 0;
	for (size_t i = 0; frames && i < batch->n; i++)
		if (batch->pages[i].staging && frame_is_known(batch->pages[i].frame))
			frames[(*n)++] = batch->pages[i].frame;
	return frames;
}

uint64_t *bench_memory_frames(const void *va, size_t len, uint64_t size, size_t *n)
{
	uint64_t *frames = malloc((len / size + 1) * sizeof(*frames)), entries[BATCH];
	uint64_t first = (uintptr_t)va / FRAME_SIZE, all = len / FRAME_SIZE, step = size / FRAME_SIZE;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	*n = 0;
	for (uint64_t done = 0; frames && fd >= 0 && done < all;) {
		uint64_t want = all - done < BATCH ? all - done : BATCH;
		ssize_t got = pread(fd, entries, want * 8, (off_t)((first + done) * 8));

		if (got <= 0)
			break;
		for (uint64_t i = 0; i < (uint64_t)got / 8; i++)
			if ((done + i) % step == 0 && entries[i] & ENTRY_PRESENT &&
			    entries[i] & ENTRY_FRAME)
				frames[(*n)++] = entries[i] & ENTRY_FRAME;
		done += (uint64_t)got / 8;
	}
	if (fd < 0) {
		free(frames);
		return NULL;
	}
	close(fd);
	return frames;
}
