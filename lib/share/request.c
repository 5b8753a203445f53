/* SPDX-License-Identifier: BSD-2-Clause */
/* The importer's side of the conversation: requests and answers. */
#include "share/importer.h"

#include "base/reason.h"

#include <errno.h>
#include <string.h>

/* What is the matter with the connection, in words. */
static int broken(const struct importer *importer, int err, const char *why)
{
	int pid = (int)importer->channel.pid;

	switch (err) {
	case -EPIPE:
		contig_reason_set("process %d, which exported the vma, is gone", pid);
		return -EPIPE;
	case -ETIMEDOUT:
		contig_reason_set("process %d, which exported the vma, didn't answer within "
				  "%d ms: see vma_timeout()", pid, importer->timeout);
		return -ETIMEDOUT;
	case -EPROTO:
		contig_reason_set("process %d doesn't speak as it should: %s", pid, why);
		return -EPROTO;
	}
	contig_reason_set("socket to process %d: %s", pid, strerror(-err));
	return err;
}

static int taken_away(const struct importer *importer)
{
	contig_reason_set("process %d has taken its vma away, nothing is mapped there any more",
			  (int)importer->channel.pid);
	return -ESHUTDOWN;
}

int contig_importer_request(struct importer *importer, const struct wire_message *request,
			    int descriptor)
{
	int err = contig_channel_send(&importer->channel, request, descriptor,
				      importer->deadline);
	const char *why;

	/* It may have said BYE before it went. */
	if (err == -EPIPE &&
	    contig_channel_receive(&importer->channel, &importer->reply, 0, &why) == 1 &&
	    importer->reply.header.type == WIRE_BYE)
		return taken_away(importer);
	return err ? broken(importer, err, "") : 0;
}

static int answer(struct importer *importer, enum wire_type type, uint32_t sequence,
		  uint32_t count)
{
	struct wire_message *reply = &importer->reply;
	const struct wire_geometry *known =
		type == WIRE_GEOMETRY ? NULL : &importer->geometry;
	const char *why = "";
	int err = contig_channel_receive(&importer->channel, reply, importer->deadline, &why);

	if (err == 1)
		err = contig_wire_check(reply, known, &why);
	if (!err && reply->header.type == WIRE_BYE)
		return taken_away(importer);
	if (!err && (reply->header.type != type || reply->header.sequence != sequence ||
		     reply->header.count != count)) {
		why = "an answer to something else";
		err = -EPROTO;
	}
	return err ? broken(importer, err, why) : 0;
}

int contig_importer_answer(struct importer *importer, uint32_t sequence, uint32_t count)
{
	return answer(importer, WIRE_ACK, sequence, count);
}

int contig_importer_ask(struct importer *importer, const struct wire_message *request,
			int descriptor, int *result)
{
	int err = contig_importer_request(importer, request, descriptor);

	if (!err)
		err = contig_importer_answer(importer, request->header.sequence, 1);
	*result = err ? err : importer->reply.items.results[0];
	return err;
}

int contig_importer_greet(struct importer *importer)
{
	int err;

	contig_channel_ask_who(&importer->channel, true);
	contig_wire_begin(&importer->request, WIRE_HELLO, ++importer->sequence, 0, 0);
	err = contig_importer_request(importer, &importer->request, -1);
	if (!err)
		err = answer(importer, WIRE_GEOMETRY, importer->sequence, 1);
	if (err)
		return err == -ESHUTDOWN ? -EPIPE : err;
	importer->geometry = importer->reply.items.geometry;
	/* Asked once: that process answers for the range. */
	contig_channel_ask_who(&importer->channel, false);
	return 0;
}
