/* SPDX-License-Identifier: BSD-2-Clause */
/* The exporter's interface: see <contig/share.h>. */
#include "contig/share.h"

#include "base/bitmap.h"
#include "base/cancel.h"
#include "base/log.h"
#include "base/reason.h"
#include "phys/fork.h"
#include "share/exporter.h"
#include "share/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENTS 32 /* looked at in one go */
#define ALL_MODES (1u << WIRE_READONLY | 1u << WIRE_FIXED | 1u << WIRE_REVOCABLE)

static struct lock idle_lock = LOCK_INITIALIZER(LOCK_LEAF);
static struct exporter *idle; /* late callers of a destroyed vma may hold one */

static size_t bitmap_bytes(const struct vma *vma)
{
	return BITMAP_WORDS(vma_pages(vma)) * sizeof(uint64_t);
}

/* --- peers */

static void watch(struct exporter *exporter, struct peer *peer)
{
	struct epoll_event event = {.events = peer->waiting ? EPOLLOUT : EPOLLIN,
				    .data.ptr = peer};

	epoll_ctl(exporter->epoll, EPOLL_CTL_MOD, peer->channel.fd, &event);
}

static void kick(struct exporter *exporter)
{
	uint64_t one = 1;
	ssize_t n = write(exporter->kick, &one, sizeof(one));

	(void)n; /* full: it is kicked already */
}

static void free_peer(struct exporter *exporter, struct peer *peer)
{
	contig_channel_close(&peer->channel);
	if (peer->mapped)
		munmap(peer->mapped, bitmap_bytes(exporter->vma));
	free(peer);
}

static void drop_peer(struct exporter *exporter, struct peer *peer)
{
	contig_peer_strip(peer);
	contig_lock(&exporter->vma->lock);
	for (struct peer **link = &exporter->peers; *link; link = &(*link)->next) {
		if (*link == peer) {
			*link = peer->next;
			break;
		}
	}
	exporter->n_peers--;
	contig_unlock(&exporter->vma->lock);
	free_peer(exporter, peer);
}

int contig_exporter_add(struct exporter *exporter, int socket)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
	int err;

	if (!peer) {
		close(socket);
		contig_reason_set("vma_export: no memory");
		return -ENOMEM;
	}
	err = contig_channel_open(&peer->channel, socket);
	if (err)
		goto free_it;
	if (exporter->n_peers >= PEERS_MAX) {
		contig_reason_set("vma_export: %d importers have this vma already", PEERS_MAX);
		err = -EMFILE;
		goto free_it;
	}
	peer->exporter = exporter;
	peer->mapped = mmap(NULL, bitmap_bytes(exporter->vma), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (peer->mapped == MAP_FAILED) {
		peer->mapped = NULL;
		contig_reason_set("vma_export: no memory");
		err = -ENOMEM;
		goto free_it;
	}
	if (epoll_ctl(exporter->epoll, EPOLL_CTL_ADD, socket, &event) < 0) {
		err = -errno;
		contig_reason_set("vma_export: epoll_ctl: %s", strerror(-err));
		goto free_it;
	}
	contig_lock(&exporter->vma->lock);
	peer->next = exporter->peers;
	exporter->peers = peer;
	exporter->n_peers++;
	contig_unlock(&exporter->vma->lock);
	return 0;
free_it:
	free_peer(exporter, peer);
	return err;
}

/* --- what the vma asks, see kpi/vma.h */

static bool occupied(struct vma *vma, uint64_t first, uint64_t count)
{
	const struct exporter *exporter = vma->remote;

	for (const struct peer *p = exporter->peers; p; p = p->next)
		if (bitmap_any(p->mapped, first, count))
			return true;
	return false;
}

static void zap(struct vma *vma, uint64_t first, uint64_t count)
{
	const struct exporter *exporter = vma->remote;

	for (struct peer *p = exporter->peers; p; p = p->next)
		if (bitmap_any(p->mapped, first, count))
			contig_peer_zap(p, first, count);
}

static void stop_thread(struct exporter *exporter)
{
	if (!exporter->serving)
		return;
	atomic_store(&exporter->stop, true);
	kick(exporter);
	pthread_join(exporter->thread, NULL);
	exporter->serving = false;
	atomic_store(&exporter->stop, false);
}

/* Tell a peer that nothing of its is mapped any more, so that it need not
 * fear for its pages. */
static void say_bye(struct peer *peer)
{
	struct wire_message *bye = &peer->exporter->reply;

	contig_wire_begin(bye, WIRE_BYE, 0, 0, 0);
	contig_channel_queue(&peer->channel, bye);
}

static void retract(struct vma *vma)
{
	struct exporter *exporter = vma->remote;

	stop_thread(exporter);
	contig_lock(&exporter->lock);
	while (exporter->peers) {
		contig_peer_strip(exporter->peers);
		say_bye(exporter->peers);
		drop_peer(exporter, exporter->peers);
	}
	contig_listener_close(&exporter->listener);
	contig_lock(&vma->lock);
	vma->exported = NULL;
	vma->remote = NULL;
	contig_unlock(&vma->lock);
	contig_inherit_done(exporter->epoll);
	contig_inherit_done(exporter->kick);
	close(exporter->epoll);
	close(exporter->kick);
	exporter->epoll = exporter->kick = -1;
	exporter->vma = NULL;
	contig_unlock(&exporter->lock);
	contig_lock(&idle_lock);
	exporter->next = idle;
	idle = exporter;
	contig_unlock(&idle_lock);
}

static const struct vma_exported hooks = {
	.occupied = occupied,
	.zap = zap,
	.retract = retract,
};

/* --- making and finding */

static struct exporter *take_idle(void)
{
	struct exporter *exporter;

	contig_lock(&idle_lock);
	exporter = idle;
	if (exporter)
		idle = exporter->next;
	contig_unlock(&idle_lock);
	if (!exporter) {
		exporter = calloc(1, sizeof(*exporter));
		if (exporter)
			contig_lock_init(&exporter->lock, LOCK_EXPORT);
	}
	return exporter;
}

/* Another thread of the parent may have been at it, or at one of these. */
static void fork_child(void)
{
	contig_lock_init(&idle_lock, LOCK_LEAF);
	idle = NULL;
}

static void nothing(void)
{
}

__attribute__((constructor)) static void add_hook(void)
{
	static struct fork_hook hook = {nothing, nothing, fork_child, NULL};

	contig_fork_hook_add(&hook);
}

static void put_idle(struct exporter *exporter)
{
	contig_lock(&idle_lock);
	exporter->next = idle;
	idle = exporter;
	contig_unlock(&idle_lock);
}

/* The vma is locked. */
static int make_exporter(struct vma *vma)
{
	struct exporter *exporter = take_idle();
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	int err;

	if (!exporter)
		return -ENOMEM;
	exporter->epoll = epoll_create1(EPOLL_CLOEXEC);
	exporter->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (exporter->epoll < 0 || exporter->kick < 0 ||
	    epoll_ctl(exporter->epoll, EPOLL_CTL_ADD, exporter->kick, &event) < 0) {
		err = -errno;
		if (exporter->epoll >= 0)
			close(exporter->epoll);
		if (exporter->kick >= 0)
			close(exporter->kick);
		put_idle(exporter);
		return err;
	}
	contig_inherit_not(exporter->epoll);
	contig_inherit_not(exporter->kick);
	exporter->vma = vma;
	exporter->modes = ALL_MODES;
	exporter->peers = NULL;
	exporter->n_peers = 0;
	exporter->listener = (struct listener){.fd = -1, .spare = -1};
	exporter->serving = false;
	vma->remote = exporter;
	vma->exported = &hooks;
	return 0;
}

struct exporter *contig_exporter_enter(struct vm_area_struct *area, const char *call,
				       bool make, int *err)
{
	struct vma *vma = (struct vma *)area;
	struct exporter *exporter = NULL;

	if (!area) {
		contig_reason_set("%s: no vma", call);
		*err = -EINVAL;
		return NULL;
	}
	*err = contig_vma_enter(vma, call);
	if (*err)
		return NULL;
	if (vma->ops != &contig_vma_local_ops) {
		contig_reason_set("%s: this vma is another process's", call);
		*err = -EINVAL;
	} else if (!vma->exported && make) {
		*err = make_exporter(vma);
		if (*err)
			contig_reason_set("%s: %s", call, strerror(-*err));
	} else if (!vma->exported) {
		contig_reason_set("%s: this vma is not exported", call);
		*err = -EINVAL;
	}
	if (!*err)
		exporter = vma->remote;
	contig_vma_leave(vma);
	if (!exporter)
		return NULL;
	contig_lock(&exporter->lock);
	if (exporter->vma == vma)
		return exporter;
	contig_unlock(&exporter->lock);
	contig_reason_set("%s: this vma was destroyed", call);
	*err = -EINVAL;
	return NULL;
}

/* --- the calls */

int vma_export(struct vm_area_struct *vma, int socket)
{
	NO_CANCEL;
	int err;
	struct exporter *exporter = contig_exporter_enter(vma, "vma_export", true, &err);

	if (!exporter) {
		if (socket >= 0)
			close(socket);
		return err;
	}
	err = contig_exporter_add(exporter, socket);
	contig_unlock(&exporter->lock);
	return err;
}

int vma_accept_modes(struct vm_area_struct *vma, unsigned int modes)
{
	NO_CANCEL;
	int err;
	unsigned int wire = 0;
	struct exporter *exporter;

	if (modes & 1u << CONTIG_SHARE_READONLY)
		wire |= 1u << WIRE_READONLY;
	if (modes & 1u << CONTIG_SHARE_FIXED)
		wire |= 1u << WIRE_FIXED;
	if (modes & 1u << CONTIG_SHARE_REVOCABLE)
		wire |= 1u << WIRE_REVOCABLE;
	if (!wire) {
		contig_reason_set("vma_accept_modes: a mask of 1 << CONTIG_SHARE_*, not 0x%x",
				  modes);
		return -EINVAL;
	}
	exporter = contig_exporter_enter(vma, "vma_accept_modes", true, &err);
	if (!exporter)
		return err;
	exporter->modes = wire;
	contig_unlock(&exporter->lock);
	return 0;
}

int vma_fd(struct vm_area_struct *vma)
{
	int err;
	struct exporter *exporter = contig_exporter_enter(vma, "vma_fd", true, &err);

	if (!exporter)
		return err;
	err = exporter->epoll;
	contig_unlock(&exporter->lock);
	return err;
}

/* One peer's turn; the requests served. */
static int turn(struct exporter *exporter, struct peer *peer)
{
	bool waited = peer->waiting;
	int n = contig_peer_serve(peer);

	if (n < 0) {
		drop_peer(exporter, peer);
		return 0;
	}
	if (peer->waiting != waited)
		watch(exporter, peer);
	if (peer->pending)
		kick(exporter);
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
		kick(exporter);
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

int vma_serve_start(struct vm_area_struct *vma)
{
	NO_CANCEL;
	sigset_t all, before;
	int err;
	struct exporter *exporter = contig_exporter_enter(vma, "vma_serve_start", true, &err);

	if (!exporter)
		return err;
	if (exporter->serving && exporter->served) {
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
	if (!exporter->serving) {
		contig_unlock(&exporter->lock);
		contig_reason_set("vma_serve_stop: no thread serves it");
		return -EINVAL;
	}
	/* The thread may be waiting for the lock. */
	contig_unlock(&exporter->lock);
	stop_thread(exporter);
	return 0;
}
