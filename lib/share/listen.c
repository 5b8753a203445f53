/* SPDX-License-Identifier: BSD-2-Clause */
/* Unrelated processes meet at a path: vma_listen(), vma_connect(). */
#include "contig/share.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/reason.h"
#include "phys/start.h"
#include "share/exporter.h"
#include "share/importer.h"
#include "share/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16
#define ACCEPT_MAX 16 /* before the peers have their turn */

static int address_of(const char *path, struct sockaddr_un *address)
{
	size_t len = path ? strlen(path) : 0;

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (!len || len >= sizeof(address->sun_path)) {
		contig_reason_set("a socket's path has 1 to %zu bytes",
				  sizeof(address->sun_path) - 1);
		return -EINVAL;
	}
	memcpy(address->sun_path, path, len + 1);
	return 0;
}

static int open_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* --- the path */

/* Nobody answers at a socket whose process is gone. */
static bool is_dead(const struct sockaddr_un *address)
{
	int fd = open_socket();
	bool dead;

	if (fd < 0)
		return false;
	dead = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	       errno == ECONNREFUSED;
	close(fd);
	return dead;
}

static bool same_file(const char *path, const struct stat *than)
{
	struct stat st;

	return !lstat(path, &st) && st.st_dev == than->st_dev && st.st_ino == than->st_ino;
}

/*
 * Put the socket at temporary in the place of the dead one at address.  What
 * comes out is looked at before it is removed: if it is not that dead socket
 * of ours, somebody was faster, and gets the place back.
 */
static int replace_dead(const char *temporary, const struct sockaddr_un *address)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid() || !is_dead(address)) {
		contig_reason_set("%s: %s", path,
				  !S_ISSOCK(st.st_mode) ? "something else is there" :
				  st.st_uid != geteuid() ? "another user's socket is there" :
							   "a process listens there");
		return -EADDRINUSE;
	}
	if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
		return -errno;
	if (same_file(temporary, &st))
		return 0;
	renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_EXCHANGE);
	contig_reason_set("%s: another process was faster", path);
	return -EADDRINUSE;
}

/* Where others may replace our files, nothing that we find is as it was when
 * we looked. */
static int check_directory(const char *path)
{
	char *copy = strdup(path), *slash;
	struct stat st;
	int err = 0;

	if (!copy)
		return -ENOMEM;
	slash = strrchr(copy, '/');
	if (slash)
		slash[slash == copy] = '\0';
	if (stat(slash ? copy : ".", &st) < 0) {
		err = -errno;
		contig_reason_set("%s: %s", slash ? copy : ".", strerror(-err));
	} else if (st.st_mode & (S_IWGRP | S_IWOTH) && !(st.st_mode & S_ISVTX)) {
		contig_reason_set("%s: others may replace files in this directory",
				  slash ? copy : ".");
		err = -EPERM;
	}
	free(copy);
	return err;
}

/* Bind under a name of its own, then give it the path in one step: whoever
 * connects finds a socket that listens, and nothing of anybody's is removed. */
static int bind_at(int fd, const struct sockaddr_un *address, mode_t mode)
{
	struct sockaddr_un temporary;
	uint32_t random;
	int err, n;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		random = (uint32_t)getpid();
	memset(&temporary, 0, sizeof(temporary));
	temporary.sun_family = AF_UNIX;
	n = snprintf(temporary.sun_path, sizeof(temporary.sun_path), "%s.%08x",
		     address->sun_path, random);
	if (n < 0 || (size_t)n >= sizeof(temporary.sun_path)) {
		contig_reason_set("%s: the path is too long by some bytes", address->sun_path);
		return -EINVAL;
	}
	/* The kernel takes the file's mode from the socket's. */
	if (fchmod(fd, mode) < 0 ||
	    bind(fd, (struct sockaddr *)&temporary, sizeof(temporary)) < 0) {
		err = -errno;
		contig_reason_set("%s: %s", address->sun_path, strerror(-err));
		return err;
	}
	/* The umask has taken from it. */
	if (mode != 0600 && chmod(temporary.sun_path, mode) < 0) {
		err = -errno;
		goto unlink_it;
	}
	if (listen(fd, BACKLOG) < 0) {
		err = -errno;
		goto unlink_it;
	}
	err = renameat2(AT_FDCWD, temporary.sun_path, AT_FDCWD, address->sun_path,
			RENAME_NOREPLACE) < 0 ? -errno : 0;
	if (!err)
		return 0;
	if (err == -EEXIST)
		err = replace_dead(temporary.sun_path, address);
	else
		contig_reason_set("%s: %s", address->sun_path, strerror(-err));
unlink_it:
	unlink(temporary.sun_path); /* ours, or the dead one */
	return err;
}

/* --- the listener */

void contig_listener_close(struct listener *listener)
{
	struct stat st;

	if (listener->fd < 0)
		return;
	if (listener->path && !lstat(listener->path, &st) && st.st_dev == listener->device &&
	    st.st_ino == listener->inode)
		unlink(listener->path);
	contig_inherit_done(listener->fd);
	close(listener->fd);
	if (listener->spare >= 0)
		close(listener->spare);
	free(listener->path);
	free(listener->uids);
	*listener = (struct listener){.fd = -1, .spare = -1};
}

static bool may_connect(const struct listener *listener, uid_t uid)
{
	if (uid == geteuid())
		return true;
	for (size_t i = 0; i < listener->n_uids; i++)
		if (listener->uids[i] == uid)
			return true;
	return false;
}

/* Each user who may connect has an equal share of the places: one can't take
 * them all. */
static void admit(struct exporter *exporter, int fd)
{
	const struct listener *listener = &exporter->listener;
	struct ucred who;
	socklen_t len = sizeof(who);
	struct quota *user;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 ||
	    !may_connect(listener, who.uid)) {
		contig_debug(SHARE, "process %d of user %d is not in the list", (int)who.pid,
			     (int)who.uid);
		close(fd);
		return;
	}
	user = contig_quota_enter(&exporter->users, who.uid);
	if (!user) {
		close(fd);
		return;
	}
	if (user->peers > contig_quota_places(listener->n_uids + 1)) {
		contig_debug(SHARE, "user %d has its share of connections already", (int)who.uid);
		contig_quota_leave(&exporter->users, user);
		close(fd);
		return;
	}
	contig_exporter_add(exporter, fd, user);
}

void contig_listener_accept(struct exporter *exporter)
{
	struct listener *listener = &exporter->listener;

	for (int i = 0; i < ACCEPT_MAX; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0) {
			admit(exporter, fd);
			continue;
		}
		if ((errno != EMFILE && errno != ENFILE) || listener->spare < 0)
			return;
		/* Out of descriptors: turn it away, or it would be announced for
		 * ever. */
		close(listener->spare);
		fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
		contig_debug(SHARE, "no descriptor left for an importer");
	}
}

static int start_listener(struct exporter *exporter, const char *path, const uid_t *uids,
			  size_t n_uids)
{
	struct listener *listener = &exporter->listener;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = listener};
	struct sockaddr_un address;
	struct stat st;
	int err = address_of(path, &address);

	if (!err)
		err = check_directory(path);
	if (err)
		return err;
	listener->path = strdup(path);
	listener->uids = n_uids ? malloc(n_uids * sizeof(*uids)) : NULL;
	listener->fd = open_socket();
	listener->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (!listener->path || (n_uids && !listener->uids) || listener->fd < 0) {
		err = listener->fd < 0 ? listener->fd : -ENOMEM;
		contig_reason_set("vma_listen: %s", strerror(-err));
		goto fail;
	}
	contig_inherit_not(listener->fd);
	if (n_uids)
		memcpy(listener->uids, uids, n_uids * sizeof(*uids));
	listener->n_uids = n_uids;
	err = bind_at(listener->fd, &address, n_uids ? 0666 : 0600);
	if (err)
		goto fail;
	if (!lstat(path, &st)) {
		listener->device = st.st_dev;
		listener->inode = st.st_ino;
	}
	if (epoll_ctl(exporter->epoll, EPOLL_CTL_ADD, listener->fd, &event) < 0) {
		err = -errno;
		contig_reason_set("vma_listen: epoll_ctl: %s", strerror(-err));
		contig_listener_close(listener);
		return err;
	}
	return 0;
fail:
	/* The path is not ours. */
	if (listener->fd >= 0) {
		contig_inherit_done(listener->fd);
		close(listener->fd);
	}
	if (listener->spare >= 0)
		close(listener->spare);
	free(listener->path);
	free(listener->uids);
	*listener = (struct listener){.fd = -1, .spare = -1};
	return err;
}

int vma_listen(struct vm_area_struct *vma, const char *path, const uid_t *uids,
	       size_t n_uids)
{
	NO_CANCEL;
	int err;
	struct exporter *exporter = contig_exporter_enter(vma, "vma_listen", true, &err);

	if (!exporter)
		return err;
	if (exporter->listener.fd >= 0) {
		contig_reason_set("vma_listen: it listens at %s", exporter->listener.path);
		err = -EBUSY;
	} else {
		err = start_listener(exporter, path, uids, n_uids);
		contig_exporter_record(exporter);
	}
	contig_unlock(&exporter->lock);
	return err;
}

/* --- the other end */

/* Who made the socket that we came out at; the path says nothing. */
static int check_owner(int fd, const char *path, uid_t uid)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return -errno;
	if (uid == (uid_t)-1 ? who.uid == geteuid() || !who.uid : who.uid == uid)
		return 0;
	contig_reason_set("%s: user %d listens there", path, (int)who.uid);
	return -EPERM;
}

/* A listener with a full backlog says EAGAIN, and poll(2) knows no better. */
static int connect_until(int fd, const struct sockaddr_un *address, int64_t deadline)
{
	while (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (contig_channel_now() >= deadline)
			return -ETIMEDOUT;
		poll(NULL, 0, 1);
	}
	return 0;
}

struct vm_area_struct *vma_connect(const char *path, uid_t uid)
{
	NO_CANCEL;
	int64_t deadline = contig_channel_now() + PEER_TIMEOUT_MS;
	struct sockaddr_un address;
	int fd, err;

	contig_reason_clear();
	err = contig_start() ? -ENOMEM : address_of(path, &address);
	if (err)
		goto out;
	fd = open_socket();
	if (fd < 0) {
		err = fd;
		contig_reason_set("vma_connect: %s", strerror(-err));
		goto out;
	}
	err = connect_until(fd, &address, deadline);
	if (err)
		contig_reason_set("%s: %s", path, strerror(-err));
	else
		err = check_owner(fd, path, uid);
	if (!err)
		return contig_importer_import(fd, deadline);
	close(fd);
out:
	errno = -err;
	return NULL;
}
