/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One end of a connected Unix socket, stream or seqpacket: whole messages out
 * and in, with descriptors, never blocking beyond a deadline, never a signal.
 * Not locked: whoever owns the channel is alone with it.
 */
#ifndef SHARE_CHANNEL_H
#define SHARE_CHANNEL_H

#include "share/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHANNEL_DESCRIPTORS 4 /* received and not yet claimed, at most */

struct channel {
	int fd;             /* -1: closed */
	bool records;       /* seqpacket: a message is a record */
	bool lost;          /* a descriptor was cut off on the way: see
			     * contig_channel_descriptor() */
	pid_t pid;          /* the peer, as the kernel gives it; 0: unknown */
	uid_t uid;
	unsigned int n_descriptors;
	int descriptors[CHANNEL_DESCRIPTORS]; /* oldest first */
	size_t in_start, in_end;              /* received, not yet parsed */
	size_t out_start, out_end;            /* to be sent, see _queue */
	unsigned char in[WIRE_SIZE_MAX];
	unsigned char out[WIRE_SIZE_MAX];
};

/* Milliseconds on a clock that never goes back. */
int64_t contig_channel_now(void);

/* The channel owns fd, also after an error: -ENOTSOCK, -EINVAL (no Unix
 * socket, not connected, of the wrong type) with a reason. */
int contig_channel_open(struct channel *channel, int fd);
void contig_channel_close(struct channel *channel);

/*
 * The next message: 1; 0: none is complete yet; -EPIPE: the peer closed;
 * -EPROTO: it sent what it may not (*why).  Reads what is there; waits until
 * deadline for more (0: doesn't wait).  -ETIMEDOUT after it.  The message has
 * not passed contig_wire_check().
 */
int contig_channel_receive(struct channel *channel, struct wire_message *message,
			   int64_t deadline, const char **why);

/* The descriptor that the message just received brought, now the caller's;
 * -EMFILE when it was lost on the way, this process having no room for it. */
int contig_channel_descriptor(struct channel *channel);

/* Send all of a message, with a descriptor (or -1), until deadline: 0,
 * -EPIPE, -ETIMEDOUT, or what else stood in the way. */
int contig_channel_send(struct channel *channel, const struct wire_message *message,
			int descriptor, int64_t deadline);

/* Send without waiting.  What doesn't go out at once is kept (one message at
 * most: -EAGAIN while there is one). */
int contig_channel_queue(struct channel *channel, const struct wire_message *message);
/* Send what is kept: 0 when all is out, -EAGAIN, -EPIPE. */
int contig_channel_flush(struct channel *channel);
static inline bool channel_idle(const struct channel *channel)
{
	return channel->out_start == channel->out_end;
}

/* Whether a whole message may still be in what was received already. */
static inline bool channel_holds(const struct channel *channel)
{
	return channel->in_end - channel->in_start >= sizeof(struct wire_header);
}

/* From now on (until off) the kernel says who sends each message: pid and uid
 * become the sender's.  Before that they are of whoever connected the socket,
 * which for a socketpair is whoever made it. */
void contig_channel_ask_who(struct channel *channel, bool on);

#endif
