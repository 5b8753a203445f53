/* SPDX-License-Identifier: BSD-2-Clause */
#include "map_pipe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define SLOTS_PER_THREAD 4 /* one is read while others wait to be seen */
#define THREADS_MOST 16

struct slot {
	struct map_piece piece;
	uint64_t *entries;
	bool done;
};

struct map_pipe {
	const struct map_source *source;
	void (*look)(const struct map_piece *piece, void *arg);
	void *arg;
	pthread_t threads[THREADS_MOST];
	unsigned int n_threads;
	size_t n_slots;
	struct slot *slots;
	/* Pieces are numbered as they are asked for; slot = number % n_slots. */
	uint64_t asked, taken, seen;
	bool stop;
	pthread_mutex_t mutex;
	pthread_cond_t work, ready;
};

static void fetch(const struct map_pipe *pipe, struct slot *slot)
{
	slot->piece.got = map_source_read(pipe->source, slot->piece.va, slot->piece.n,
					  slot->entries);
}

/* Called, and returns, with the mutex held. */
static void take_one(struct map_pipe *pipe)
{
	struct slot *slot = &pipe->slots[pipe->taken++ % pipe->n_slots];

	pthread_mutex_unlock(&pipe->mutex);
	fetch(pipe, slot);
	pthread_mutex_lock(&pipe->mutex);
	slot->done = true;
	if (slot == &pipe->slots[pipe->seen % pipe->n_slots])
		pthread_cond_signal(&pipe->ready);
}

static void *reader(void *arg)
{
	struct map_pipe *pipe = arg;

	pthread_mutex_lock(&pipe->mutex);
	for (;;) {
		while (pipe->taken == pipe->asked && !pipe->stop)
			pthread_cond_wait(&pipe->work, &pipe->mutex);
		if (pipe->stop)
			break;
		take_one(pipe);
	}
	pthread_mutex_unlock(&pipe->mutex);
	return NULL;
}

static void start_threads(struct map_pipe *pipe, unsigned int threads)
{
	sigset_t all, before;

	/* Signals are the caller's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (pipe->n_threads < threads && pipe->n_threads < THREADS_MOST &&
	       !pthread_create(&pipe->threads[pipe->n_threads], NULL, reader, pipe))
		pipe->n_threads++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct map_pipe *map_pipe_create(const struct map_source *source, unsigned int threads,
				 void (*look)(const struct map_piece *piece, void *arg),
				 void *arg)
{
	struct map_pipe *pipe = calloc(1, sizeof(*pipe));

	if (!pipe)
		return NULL;
	pipe->source = source;
	pipe->look = look;
	pipe->arg = arg;
	if (threads > THREADS_MOST)
		threads = THREADS_MOST;
	pipe->n_slots = threads ? (threads + 1) * SLOTS_PER_THREAD : 1;
	pipe->slots = calloc(pipe->n_slots, sizeof(*pipe->slots));
	pthread_mutex_init(&pipe->mutex, NULL);
	pthread_cond_init(&pipe->work, NULL);
	pthread_cond_init(&pipe->ready, NULL);
	for (size_t i = 0; pipe->slots && i < pipe->n_slots; i++) {
		struct slot *slot = &pipe->slots[i];

		slot->entries = malloc(MAP_PIPE_PAGES * sizeof(*slot->entries));
		slot->piece.entries = slot->entries;
		if (!slot->entries)
			goto fail;
	}
	if (!pipe->slots)
		goto fail;
	start_threads(pipe, threads);
	return pipe;
fail:
	map_pipe_destroy(pipe);
	errno = ENOMEM;
	return NULL;
}

/* Let the caller see the oldest piece; it is waited for. */
static void see_one(struct map_pipe *pipe)
{
	struct slot *slot = &pipe->slots[pipe->seen % pipe->n_slots];

	if (pipe->n_threads) {
		pthread_mutex_lock(&pipe->mutex);
		while (!slot->done) {
			/* To read is better than to wait for those who do. */
			if (pipe->taken < pipe->asked)
				take_one(pipe);
			else
				pthread_cond_wait(&pipe->ready, &pipe->mutex);
		}
		pthread_mutex_unlock(&pipe->mutex);
	}
	pipe->look(&slot->piece, pipe->arg);
	if (pipe->n_threads)
		pthread_mutex_lock(&pipe->mutex);
	slot->done = false;
	pipe->seen++;
	if (pipe->n_threads)
		pthread_mutex_unlock(&pipe->mutex);
}

void map_pipe_read(struct map_pipe *pipe, size_t vma, uint64_t va, size_t n)
{
	struct slot *slot;

	if (pipe->asked - pipe->seen == pipe->n_slots)
		see_one(pipe);
	slot = &pipe->slots[pipe->asked % pipe->n_slots];
	slot->piece.vma = vma;
	slot->piece.va = va;
	slot->piece.n = n;
	if (!pipe->n_threads) {
		fetch(pipe, slot);
		slot->done = true;
		pipe->asked++;
		see_one(pipe);
		return;
	}
	pthread_mutex_lock(&pipe->mutex);
	pipe->asked++;
	pthread_cond_signal(&pipe->work);
	pthread_mutex_unlock(&pipe->mutex);
}

void map_pipe_finish(struct map_pipe *pipe)
{
	while (pipe->seen < pipe->asked)
		see_one(pipe);
}

void map_pipe_destroy(struct map_pipe *pipe)
{
	if (!pipe)
		return;
	pthread_mutex_lock(&pipe->mutex);
	pipe->stop = true;
	pthread_cond_broadcast(&pipe->work);
	pthread_mutex_unlock(&pipe->mutex);
	for (unsigned int i = 0; i < pipe->n_threads; i++)
		pthread_join(pipe->threads[i], NULL);
	for (size_t i = 0; pipe->slots && i < pipe->n_slots; i++)
		free(pipe->slots[i].entries);
	free(pipe->slots);
	pthread_cond_destroy(&pipe->ready);
	pthread_cond_destroy(&pipe->work);
	pthread_mutex_destroy(&pipe->mutex);
	free(pipe);
}
