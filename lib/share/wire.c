/* SPDX-License-Identifier: BSD-2-Clause */
#include "share/wire.h"

#include "base/page.h"

#include <errno.h>
#include <string.h>

/* No padding: every byte on the wire has a meaning, and is written. */
_Static_assert(sizeof(struct wire_header) == 24, "wire format");
_Static_assert(sizeof(struct wire_geometry) == 32, "wire format");
_Static_assert(sizeof(struct wire_file) == 24, "wire format");
_Static_assert(sizeof(struct wire_run) == 32, "wire format");
_Static_assert(sizeof(struct wire_range) == 16, "wire format");

#define ADDRESS_MAX (UINT64_C(1) << 57) /* five levels of page tables */

static const struct {
	size_t item_size;
	uint32_t least, most; /* items */
	uint32_t descriptors;
} types[WIRE_TYPES] = {
	[WIRE_HELLO] = {0, 0, 0, 0},
	[WIRE_GEOMETRY] = {sizeof(struct wire_geometry), 1, 1, 0},
	[WIRE_FILE] = {sizeof(struct wire_file), 1, 1, 1},
	[WIRE_SEALED] = {sizeof(struct wire_number), 1, 1, 0},
	[WIRE_MAP] = {sizeof(struct wire_run), 1, WIRE_ITEMS_MAX, 0},
	[WIRE_UNMAP] = {sizeof(struct wire_range), 1, WIRE_ITEMS_MAX, 0},
	[WIRE_FORGET] = {sizeof(struct wire_number), 1, WIRE_ITEMS_MAX, 0},
	[WIRE_BYE] = {0, 0, 0, 0},
	[WIRE_ACK] = {sizeof(int32_t), 1, WIRE_ITEMS_MAX, 0},
};

size_t contig_wire_item_size(unsigned int type)
{
	return type < WIRE_TYPES ? types[type].item_size : 0;
}

static const char *header_fault(const struct wire_header *h)
{
	if (h->magic != WIRE_MAGIC)
		return "it doesn't speak this protocol (magic number)";
	if (h->version != WIRE_VERSION)
		return "it speaks another version of the protocol";
	if (!h->type || h->type >= WIRE_TYPES)
		return "unknown type of message";
	if (h->count < types[h->type].least || h->count > types[h->type].most)
		return "too few or too many items";
	if (h->length != h->count * types[h->type].item_size)
		return "length and count disagree";
	if (h->descriptors != types[h->type].descriptors)
		return "wrong number of descriptors announced";
	return NULL;
}

long contig_wire_parse(const void *bytes, size_t length, struct wire_message *out,
		       const char **why)
{
	/* A wrong magic number is seen at the first four bytes: whoever sends
	 * less than a header and waits would otherwise not be told apart. */
	if (length >= sizeof(out->header.magic)) {
		memcpy(&out->header.magic, bytes, sizeof(out->header.magic));
		if (out->header.magic != WIRE_MAGIC) {
			*why = "it doesn't speak this protocol (magic number)";
			return -EPROTO;
		}
	}
	if (length < sizeof(out->header))
		return 0;
	memcpy(&out->header, bytes, sizeof(out->header));
	*why = header_fault(&out->header);
	if (*why)
		return -EPROTO;
	if (length - sizeof(out->header) < out->header.length)
		return 0;
	memcpy(&out->items, (const char *)bytes + sizeof(out->header), out->header.length);
	return (long)wire_size(out);
}

static const char *geometry_fault(const struct wire_geometry *g)
{
	if (g->page_size != FRAME_SIZE && g->page_size != SUPERPAGE_SIZE)
		return "page size";
	if (!g->size || g->size % g->page_size || g->start % g->page_size)
		return "range not aligned";
	if (g->start >= ADDRESS_MAX || g->size > ADDRESS_MAX - g->start)
		return "range beyond the address space";
	if (g->writable > 1)
		return "protection";
	return NULL;
}

static bool in_range(uint64_t at, uint64_t count, const struct wire_geometry *g)
{
	return count && at % g->page_size == 0 && at < g->size &&
	       count <= (g->size - at) / g->page_size;
}

static const char *run_fault(const struct wire_run *run, const struct wire_geometry *g)
{
	if (!run->file)
		return "file number 0";
	if (run->read_only > 1)
		return "protection of a run";
	if (!in_range(run->at, run->count, g))
		return "run outside the range, or not aligned";
	/* count is bounded by the range: this can't overflow. */
	if (run->offset % g->page_size || run->offset > INT64_MAX ||
	    run->count * g->page_size > INT64_MAX - run->offset)
		return "offset not aligned, or beyond any file";
	return NULL;
}

static const char *file_fault(const struct wire_file *file)
{
	if (!file->file)
		return "file number 0";
	if (!file->size || file->size % FRAME_SIZE || file->size > INT64_MAX)
		return "size of a file";
	if (file->mode < WIRE_READONLY || file->mode > WIRE_REVOCABLE || file->zero)
		return "unknown mode of sharing";
	return NULL;
}

static const char *items_fault(const struct wire_message *m, const struct wire_geometry *g)
{
	const char *fault = NULL;

	for (uint32_t i = 0; !fault && i < m->header.count; i++) {
		switch (m->header.type) {
		case WIRE_MAP:
			fault = run_fault(&m->items.runs[i], g);
			break;
		case WIRE_UNMAP:
			if (!in_range(m->items.ranges[i].at, m->items.ranges[i].count, g))
				fault = "range outside the range, or not aligned";
			break;
		case WIRE_SEALED:
		case WIRE_FORGET:
			if (!m->items.numbers[i].file)
				fault = "file number 0";
			break;
		case WIRE_FILE:
			fault = file_fault(&m->items.file);
			break;
		case WIRE_GEOMETRY:
			fault = geometry_fault(&m->items.geometry);
			break;
		case WIRE_ACK:
			if (m->items.results[i] > 0 || m->items.results[i] < -4095)
				fault = "result that is no error number";
			break;
		}
	}
	return fault;
}

int contig_wire_check(const struct wire_message *message,
		      const struct wire_geometry *geometry, const char **why)
{
	switch (message->header.type) {
	case WIRE_HELLO:
	case WIRE_GEOMETRY:
		*why = geometry ? "greeting twice" : NULL;
		break;
	case WIRE_ACK:
	case WIRE_BYE:
		*why = NULL;
		break;
	default:
		*why = geometry ? NULL : "no greeting";
	}
	if (!*why)
		*why = items_fault(message, geometry);
	return *why ? -EPROTO : 0;
}

size_t contig_wire_begin(struct wire_message *message, enum wire_type type,
			 uint32_t sequence, uint32_t count, uint32_t descriptors)
{
	message->header = (struct wire_header){
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.type = (uint16_t)type,
		.sequence = sequence,
		.length = (uint32_t)(count * types[type].item_size),
		.count = count,
		.descriptors = descriptors,
	};
	return wire_size(message);
}
