/* SPDX-License-Identifier: BSD-2-Clause */
/* Serving importers: in the program's loop, or by a thread. */
#include "contig/share.h"

#include "base/cancel.h"
#include "base/reason.h"
#include "share/exporter.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 32 /* looked at in one go */

static void watch(struct exporter *exporter, struct peer *peer)
{
	struct epoll_event event = {.events = peer->waiting ? EPOLLOUT : EPOLLIN,
				    .data.ptr = peer};

	epoll_ctl(exporter->epoll, EPOLL_CTL_MOD, peer->channel.fd, &event);
}

/* One peer's turn; the requests served. */
static int turn(struct exporter *exporter, struct peer *peer)
{
	bool waited = peer->waiting;
	int n = contig_peer_serve(peer);

	if (n < 0) {
		contig_exporter_drop(exporter, peer);
		return 0;
	}
	if (peer->waiting != waited)
		watch(exporter, peer);
	if (peer->pending)
		contig_exporter_kick(exporter);
	return n;
}

static int turn_of_pending(struct exporter *exporter)
{
	struct peer *next;
	uint64_t kicks;
	ssize_t got = read(exporter->kick, &kicks, sizeof(kicks));
	int served = 0;

	(void)got;
	/* That one was for the thread, and this may be another. */
	if (atomic_load(&exporter->stop))
		contig_exporter_kick(exporter);
	for (struct peer *p = exporter->peers; p; p = next) {
		next = p->next;
		if (p->pending)
			served += turn(exporter, p);
	}
	return served;
}

static bool is_peer(const struct exporter *exporter, const struct peer *peer)
{
	for (const struct peer *p = exporter->peers; p; p = p->next)
		if (p == peer)
			return true;
	return false;
}

/* The events may be older than the lock: a peer in them may be gone. */
static int step(struct exporter *exporter, const struct epoll_event *events, int n)
{
	int served = 0;
	bool kicked = false;

	for (int i = 0; i < n; i++) {
		if (!events[i].data.ptr)
			kicked = true;
		else if (events[i].data.ptr == &exporter->listener)
			contig_listener_accept(exporter);
		else if (is_peer(exporter, events[i].data.ptr))
			served += turn(exporter, events[i].data.ptr);
	}
	if (kicked)
		served += turn_of_pending(exporter);
	if (!exporter->peers && exporter->listener.fd < 0)
		return served ? served : -EPIPE;
	return served;
}

int vma_dispatch(struct vm_area_struct *vma)
{
	NO_CANCEL;
	struct epoll_event events[EVENTS];
	int err;
	struct exporter *exporter = contig_exporter_enter(vma, "vma_dispatch", false, &err);

	if (!exporter)
		return err;
	err = step(exporter, events, epoll_wait(exporter->epoll, events, EVENTS, 0));
	if (err == -EPIPE)
		contig_reason_set("vma_dispatch: no importer is left");
	contig_unlock(&exporter->lock);
	return err;
}

static void *serve(void *arg)
{
	struct exporter *exporter = arg;
	int n = 0;

	while (n != -EPIPE && !atomic_load(&exporter->stop)) {
		struct epoll_event events[EVENTS];
		int ready = epoll_wait(exporter->epoll, events, EVENTS, -1);

		if (ready < 0 && errno != EINTR)
			break;
		contig_lock(&exporter->lock);
		n = step(exporter, events, ready);
		exporter->served = n == -EPIPE;
		contig_unlock(&exporter->lock);
	}
	return NULL;
}

int contig_serve_end(struct exporter *exporter)
{
	if (!exporter->serving)
		return -EINVAL;
	if (exporter->joining) {
		while (exporter->joining)
			pthread_cond_wait(&exporter->joined, &exporter->lock.mutex);
		return -EINVAL;
	}
	exporter->joining = true;
	atomic_store(&exporter->stop, true);
	contig_exporter_kick(exporter);
	/* The thread may be waiting for the lock. */
	contig_unlock(&exporter->lock);
	pthread_join(exporter->thread, NULL);
	contig_lock(&exporter->lock);
	atomic_store(&exporter->stop, false);
	exporter->serving = false;
	exporter->joining = false;
	pthread_cond_broadcast(&exporter->joined);
	return 0;
}

int vma_serve_start(struct vm_area_struct *vma)
{
	NO_CANCEL;
	sigset_t all, before;
	int err;
	struct exporter *exporter = contig_exporter_enter(vma, "vma_serve_start", true, &err);

	if (!exporter)
		return err;
	if (exporter->serving && exporter->served && !exporter->joining) {
		pthread_join(exporter->thread, NULL); /* it takes no lock any more */
		exporter->serving = false;
	}
	if (exporter->serving) {
		contig_reason_set("vma_serve_start: it is served already");
		err = -EBUSY;
		goto unlock;
	}
	/* The program's handlers run on the program's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = -pthread_create(&exporter->thread, NULL, serve, exporter);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		contig_reason_set("vma_serve_start: no thread: %s", strerror(-err));
	exporter->serving = !err;
	exporter->served = false;
unlock:
	contig_unlock(&exporter->lock);
	return err;
}

int vma_serve_stop(struct vm_area_struct *vma)
{
	NO_CANCEL;
	int err;
	struct exporter *exporter = contig_exporter_enter(vma, "vma_serve_stop", false, &err);

	if (!exporter)
		return err;
	err = contig_serve_end(exporter);
	contig_unlock(&exporter->lock);
	if (err)
		contig_reason_set("vma_serve_stop: no thread serves it");
	return err;
}
