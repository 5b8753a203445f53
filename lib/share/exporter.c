/* SPDX-License-Identifier: BSD-2-Clause */
/* The exporter's interface: see <contig/share.h>. */
#include "contig/share.h"

#include "base/cancel.h"
#include "base/reason.h"
#include "phys/fork.h"
#include "share/exporter.h"
#include "share/inherit.h"
#include "share/range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ALL_MODES (1u << WIRE_READONLY | 1u << WIRE_FIXED | 1u << WIRE_REVOCABLE)

static struct lock idle_lock = LOCK_INITIALIZER(LOCK_LEAF);
static struct exporter *idle; /* late callers of a destroyed vma may hold one */

/* --- peers */

void contig_exporter_kick(struct exporter *exporter)
{
	uint64_t one = 1;
	ssize_t n = write(exporter->kick, &one, sizeof(one));

	(void)n; /* full: it is kicked already */
}

void contig_exporter_record(struct exporter *exporter)
{
	contig_share_record(&exporter->record, exporter->vma, BOARD_EXPORTED, exporter->modes,
			    exporter->listener.path);
}

static void free_peer(struct exporter *exporter, struct peer *peer)
{
	contig_share_record_peer_end(&peer->record);
	contig_channel_close(&peer->channel);
	contig_holdings_leave(&peer->held);
	if (peer->quota && peer->quota != &peer->own)
		contig_quota_leave(&exporter->users, peer->quota);
	free(peer);
}

void contig_exporter_drop(struct exporter *exporter, struct peer *peer)
{
	contig_peer_strip(peer);
	for (struct peer **link = &exporter->peers; *link; link = &(*link)->next) {
		if (*link == peer) {
			*link = peer->next;
			break;
		}
	}
	exporter->n_peers--;
	free_peer(exporter, peer);
}

int contig_exporter_add(struct exporter *exporter, int socket, struct quota *user)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
	int err;

	if (!peer) {
		if (user)
			contig_quota_leave(&exporter->users, user);
		close(socket);
		contig_reason_set("vma_export: no memory");
		return -ENOMEM;
	}
	peer->exporter = exporter;
	peer->quota = user ? user : &peer->own;
	err = contig_channel_open(&peer->channel, socket);
	if (err)
		goto free_it;
	if (exporter->n_peers >= PEERS_MAX) {
		contig_reason_set("vma_export: %d importers have this vma already", PEERS_MAX);
		err = -EMFILE;
		goto free_it;
	}
	if (epoll_ctl(exporter->epoll, EPOLL_CTL_ADD, socket, &event) < 0) {
		err = -errno;
		contig_reason_set("vma_export: epoll_ctl: %s", strerror(-err));
		goto free_it;
	}
	peer->next = exporter->peers;
	exporter->peers = peer;
	exporter->n_peers++;
	/* A socketpair's other end is whoever speaks first. */
	contig_channel_ask_who(&peer->channel, true);
	contig_share_record_peer(&peer->record, &exporter->record, &peer->channel);
	return 0;
free_it:
	free_peer(exporter, peer);
	return err;
}

/* --- what the vma asks, see kpi/vma.h */

static bool occupied(struct vma *vma, uint64_t first, uint64_t count)
{
	return contig_range_occupied(vma->remote, first, count);
}

static int zap(struct vma *vma, uint64_t first, uint64_t count)
{
	return contig_range_zap(vma->remote, first, count);
}

/* Tell a peer that nothing of its is mapped any more, so that it need not
 * fear for its pages.  When some is, its end without a word says so. */
static void say_bye(struct peer *peer)
{
	struct wire_message *bye = &peer->exporter->reply;

	contig_wire_begin(bye, WIRE_BYE, 0, 0, 0);
	contig_channel_queue(&peer->channel, bye);
}

static void retract(struct vma *vma)
{
	struct exporter *exporter;

	contig_lock(&vma->lock);
	exporter = vma->remote;
	contig_unlock(&vma->lock);
	if (!exporter)
		return;
	contig_lock(&exporter->lock);
	while (exporter->vma == vma && exporter->serving)
		contig_serve_end(exporter);
	if (exporter->vma != vma) { /* another call was faster */
		contig_unlock(&exporter->lock);
		return;
	}
	while (exporter->peers) {
		if (!contig_peer_strip(exporter->peers))
			say_bye(exporter->peers);
		contig_exporter_drop(exporter, exporter->peers);
	}
	contig_listener_close(&exporter->listener);
	contig_lock(&vma->lock);
	contig_range_end(exporter);
	vma->exported = NULL;
	vma->remote = NULL;
	contig_share_record_end(&exporter->record);
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
		if (exporter) {
			contig_lock_init(&exporter->lock, LOCK_EXPORT);
			pthread_cond_init(&exporter->joined, NULL);
		}
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
	exporter->users = NULL;
	exporter->holdings = (struct holdings){0};
	exporter->lost = (struct holder){0};
	exporter->listener = (struct listener){.fd = -1, .spare = -1};
	exporter->serving = false;
	exporter->joining = false;
	vma->remote = exporter;
	vma->exported = &hooks;
	contig_exporter_record(exporter);
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
	err = contig_exporter_add(exporter, socket, NULL);
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
	contig_exporter_record(exporter);
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

