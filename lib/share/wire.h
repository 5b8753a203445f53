/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The messages between an importer, which has pages, and an exporter, whose
 * range of addresses they go to.  Both are on one machine: numbers are in its
 * own byte order.
 *
 * Everything here is pure: bytes in, a checked message out.  What a peer sent
 * is copied before it is looked at and passes contig_wire_parse() and
 * contig_wire_check() before anything is done with it.
 *
 *	importer                        exporter
 *	HELLO                           GEOMETRY, or ACK with an error
 *	FILE + descriptor               ACK: once per file and connection
 *	SEALED (fixed mode only)        ACK
 *	MAP runs                        ACK: a result for each run
 *	UNMAP ranges                    ACK: a result for each range; behind an
 *	                                error, here and for MAP, ECANCELED
 *	FORGET files                    ACK: descriptors closed
 *	BYE                             ACK: nothing is mapped any more, or an
 *	                                error: some is, out of the range's use
 *	                                BYE, not asked for: the same
 */
#ifndef SHARE_WIRE_H
#define SHARE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_MAGIC 0x67746e63u /* "cntg" */
#define WIRE_VERSION 1u
#define WIRE_ITEMS_MAX 1024u /* runs in a message: two whole superpages scattered */

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_GEOMETRY,
	WIRE_FILE,
	WIRE_SEALED,
	WIRE_MAP,
	WIRE_UNMAP,
	WIRE_FORGET,
	WIRE_BYE,
	WIRE_ACK,
	WIRE_TYPES
};

/* What the importer promises about a file; the exporter looks whether it is
 * so (received.h). */
enum wire_mode {
	WIRE_READONLY = 1,
	WIRE_FIXED,
	WIRE_REVOCABLE
};

struct wire_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;     /* enum wire_type */
	uint32_t sequence; /* of a request, and of its answer; 0: not asked for */
	uint32_t length;   /* bytes that follow */
	uint32_t count;    /* items that follow */
	uint32_t descriptors; /* that come with this message */
};

struct wire_geometry {
	uint64_t start, size; /* bytes */
	uint64_t page_size;
	uint32_t writable;    /* 0 or 1 */
	uint32_t modes;       /* accepted: 1 << enum wire_mode */
};

struct wire_file {
	uint64_t file; /* number, the importer's; not 0 */
	uint64_t size; /* bytes */
	uint32_t mode; /* enum wire_mode */
	uint32_t zero;
};

struct wire_run {
	uint64_t file;
	uint64_t offset; /* in the file, bytes */
	uint64_t at;     /* in the range, bytes from its start */
	uint32_t count;  /* pages of the range's page size */
	uint32_t read_only; /* 0 or 1: less than the range's protection */
};

struct wire_range {
	uint64_t at, count;
};

struct wire_number { /* of a file: SEALED, FORGET */
	uint64_t file;
};

union wire_items {
	struct wire_geometry geometry;
	struct wire_file file;
	struct wire_number numbers[WIRE_ITEMS_MAX];
	struct wire_run runs[WIRE_ITEMS_MAX];
	struct wire_range ranges[WIRE_ITEMS_MAX];
	int32_t results[WIRE_ITEMS_MAX]; /* 0 or -errno */
};

struct wire_message {
	struct wire_header header;
	union wire_items items;
};

#define WIRE_SIZE_MAX (sizeof(struct wire_header) + sizeof(union wire_items))
#define WIRE_DESCRIPTORS_MAX 1u /* in a message */

/* Bytes of one item of a type; 0: such a message has none. */
size_t contig_wire_item_size(unsigned int type);

/*
 * Take one message from the front of bytes.  Returns the bytes it took; 0:
 * more must come; -EPROTO: this is no peer of ours, *why says how it shows.
 */
long contig_wire_parse(const void *bytes, size_t length, struct wire_message *out,
		       const char **why);

/*
 * Whether what the message asks for makes sense in this range (NULL: before
 * there is one): sizes, alignment, overflow, order of calls.  0 or -EPROTO.
 */
int contig_wire_check(const struct wire_message *message,
		      const struct wire_geometry *geometry, const char **why);

/* Begin a message with count items; returns its whole size in bytes. */
size_t contig_wire_begin(struct wire_message *message, enum wire_type type,
			 uint32_t sequence, uint32_t count, uint32_t descriptors);
static inline size_t wire_size(const struct wire_message *message)
{
	return sizeof(message->header) + message->header.length;
}

#endif
