/* SPDX-License-Identifier: BSD-2-Clause */
#include "share/channel.h"

#include "base/clock.h"
#include "base/reason.h"
#include "share/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define REFS_RETRY_NS 1000000 /* until others have taken theirs off the way */

/* A peer may send what it likes: room for more than a message ever brings, so
 * that too many are seen, and closed. */
union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(sizeof(struct ucred)) +
		  CMSG_SPACE(CHANNEL_DESCRIPTORS * sizeof(int))];
};

_Static_assert(sizeof(struct wire_message) == WIRE_SIZE_MAX, "sent as it lies");

int64_t contig_channel_now(void)
{
	return (int64_t)(clock_ns() / 1000000);
}

int contig_channel_open(struct channel *channel, int fd)
{
	struct sockaddr_un peer;
	struct ucred who;
	socklen_t len = sizeof(int);
	int domain = 0, type = 0, err = 0;

	memset(channel, 0, sizeof(*channel));
	channel->fd = fd;
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0) {
		err = fd < 0 ? -EBADF : -errno;
		contig_reason_set("descriptor %d: %s", fd, strerror(-err));
		goto close_fd;
	}
	len = sizeof(type);
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len);
	if (domain != AF_UNIX || (type != SOCK_STREAM && type != SOCK_SEQPACKET)) {
		err = -EINVAL;
		contig_reason_set("descriptor %d: not a Unix socket of type stream or "
				  "seqpacket", fd);
		goto close_fd;
	}
	len = sizeof(peer);
	if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0) {
		err = errno == ENOTCONN ? -EPIPE : -errno;
		contig_reason_set("socket %d: not connected", fd);
		goto close_fd;
	}
	contig_inherit_not(fd);
	fcntl(fd, F_SETFD, FD_CLOEXEC); /* posix_spawn(3) asks no fork handler */
	channel->records = type == SOCK_SEQPACKET;
	len = sizeof(who);
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len)) {
		channel->pid = who.pid;
		channel->uid = who.uid;
	}
	return 0;
close_fd:
	contig_channel_close(channel);
	return err;
}

static void close_descriptors(struct channel *channel)
{
	for (unsigned int i = 0; i < channel->n_descriptors; i++)
		close(channel->descriptors[i]);
	channel->n_descriptors = 0;
}

void contig_channel_close(struct channel *channel)
{
	close_descriptors(channel);
	if (channel->fd >= 0) {
		contig_inherit_done(channel->fd);
		close(channel->fd);
	}
	channel->fd = -1;
	channel->in_start = channel->in_end = 0;
	channel->out_start = channel->out_end = 0;
}

void contig_channel_ask_who(struct channel *channel, bool on)
{
	int value = on;

	setsockopt(channel->fd, SOL_SOCKET, SO_PASSCRED, &value, sizeof(value));
}

/* 0 when ready, -ETIMEDOUT, or -errno.  A peer that hung up is ready. */
static int wait_for(struct channel *channel, short events, int64_t deadline)
{
	for (;;) {
		struct pollfd poll_fd = {channel->fd, events, 0};
		int64_t left = deadline - contig_channel_now();
		int n;

		n = poll(&poll_fd, 1, left > 0 ? (int)(left < 60000 ? left : 60000) : 0);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (left <= 0)
			return -ETIMEDOUT;
	}
}

static int gone(int error)
{
	return error == ECONNRESET || error == ENOTCONN || error == EPIPE ? -EPIPE : -error;
}

/* Queue what came along; -EPROTO when it is more than any message brings. */
static int take_control(struct channel *channel, struct msghdr *header, const char **why)
{
	unsigned int came = 0;
	bool too_many = false;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS &&
		    c->cmsg_len == CMSG_LEN(sizeof(struct ucred))) {
			struct ucred who;

			memcpy(&who, CMSG_DATA(c), sizeof(who));
			if (!who.pid)
				continue; /* sent before we asked, or not visible here */
			channel->pid = who.pid;
			channel->uid = who.uid;
		}
		if (c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (came++ < WIRE_DESCRIPTORS_MAX &&
			    channel->n_descriptors < CHANNEL_DESCRIPTORS) {
				channel->descriptors[channel->n_descriptors++] = fd;
			} else {
				close(fd);
				too_many = true;
			}
		}
	}
	/* Cut off with none left: there was no room for one.  Cut off after
	 * some: more were sent than a message has. */
	if (header->msg_flags & MSG_CTRUNC) {
		if (came)
			too_many = true;
		else
			channel->lost = true;
	}
	*why = too_many ? "too many descriptors" : NULL;
	return too_many ? -EPROTO : 0;
}

/* 1: something came; 0: nothing there; -errno. */
static int receive_some(struct channel *channel, const char **why)
{
	union control control;
	struct iovec space;
	struct msghdr header;
	bool reset = false;
	ssize_t n;

	if (channel->in_start) {
		memmove(channel->in, channel->in + channel->in_start,
			channel->in_end - channel->in_start);
		channel->in_end -= channel->in_start;
		channel->in_start = 0;
	}
	space.iov_base = channel->in + channel->in_end;
	space.iov_len = sizeof(channel->in) - channel->in_end;
	do {
		memset(&header, 0, sizeof(header));
		header.msg_iov = &space;
		header.msg_iovlen = 1;
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		n = recvmsg(channel->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		/* Told once, before what came earlier: a last word may follow. */
	} while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset && (reset = true))));
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : gone(errno);
	if (take_control(channel, &header, why))
		return -EPROTO;
	if (!n)
		return -EPIPE;
	if (header.msg_flags & MSG_TRUNC) {
		*why = "message too long";
		return -EPROTO;
	}
	channel->in_end += (size_t)n;
	return 1;
}

static int claims_agree(const struct channel *channel, const struct wire_message *message,
			const char **why)
{
	if (message->header.descriptors > channel->n_descriptors && !channel->lost) {
		*why = "a descriptor was announced and none came";
		return -EPROTO;
	}
	/* What is still unread may bring a claim. */
	if (channel->in_start == channel->in_end &&
	    channel->n_descriptors > message->header.descriptors) {
		*why = "a descriptor that no message announced";
		return -EPROTO;
	}
	return 0;
}

int contig_channel_receive(struct channel *channel, struct wire_message *message,
			   int64_t deadline, const char **why)
{
	*why = NULL;
	if (channel->fd < 0)
		return -EPIPE;
	for (;;) {
		size_t length = channel->in_end - channel->in_start;
		long used = contig_wire_parse(channel->in + channel->in_start, length,
					      message, why);
		int err;

		if (used < 0)
			return (int)used;
		if (used) {
			channel->in_start += (size_t)used;
			err = claims_agree(channel, message, why);
			return err ? err : 1;
		}
		if (channel->records && length) {
			*why = "truncated message";
			return -EPROTO;
		}
		err = receive_some(channel, why);
		if (err < 0)
			return err;
		if (err)
			continue;
		if (!deadline)
			return 0;
		err = wait_for(channel, POLLIN, deadline);
		if (err)
			return err;
	}
}

int contig_channel_descriptor(struct channel *channel)
{
	int fd;

	if (!channel->n_descriptors) {
		channel->lost = false;
		return -EMFILE;
	}
	fd = channel->descriptors[0];
	channel->n_descriptors--;
	memmove(channel->descriptors, channel->descriptors + 1,
		channel->n_descriptors * sizeof(int));
	return fd;
}

/* Bytes sent, or -errno. */
static ssize_t send_some(struct channel *channel, const void *bytes, size_t length,
			 int descriptor)
{
	union control control;
	struct iovec data = {(void *)(uintptr_t)bytes, length};
	struct msghdr header = {.msg_iov = &data, .msg_iovlen = 1};
	ssize_t n;

	if (descriptor >= 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(sizeof(int));
		c = CMSG_FIRSTHDR(&header);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &descriptor, sizeof(int));
	}
	do
		n = sendmsg(channel->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EWOULDBLOCK ? -EAGAIN : gone(errno);
}

int contig_channel_send(struct channel *channel, const struct wire_message *message,
			int descriptor, int64_t deadline)
{
	const char *at = (const char *)message;
	size_t left = wire_size(message);

	if (channel->fd < 0)
		return -EPIPE;
	while (left) {
		ssize_t n = send_some(channel, at, left, descriptor);
		int err;

		if (n >= 0) {
			at += n;
			left -= (size_t)n;
			descriptor = -1; /* travelled with the first byte */
			continue;
		}
		if (n == -EAGAIN) {
			err = wait_for(channel, POLLOUT, deadline);
			if (err)
				return err;
		} else if (n == -ETOOMANYREFS || n == -ENOBUFS || n == -ENOMEM) {
			struct timespec pause = {0, REFS_RETRY_NS};

			if (contig_channel_now() >= deadline)
				return (int)n;
			nanosleep(&pause, NULL);
		} else {
			return (int)n;
		}
	}
	return 0;
}

int contig_channel_queue(struct channel *channel, const struct wire_message *message)
{
	if (!channel_idle(channel))
		return -EAGAIN;
	channel->out_start = 0;
	channel->out_end = wire_size(message);
	memcpy(channel->out, message, channel->out_end);
	return contig_channel_flush(channel);
}

int contig_channel_flush(struct channel *channel)
{
	while (!channel_idle(channel)) {
		ssize_t n = send_some(channel, channel->out + channel->out_start,
				      channel->out_end - channel->out_start, -1);

		if (n == -ENOBUFS || n == -ENOMEM)
			n = -EAGAIN;
		if (n < 0)
			return (int)n;
		channel->out_start += (size_t)n;
	}
	return 0;
}
