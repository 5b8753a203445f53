/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of what another process sent, against a second one that was
 * written from the table in wire.h and nothing else.
 *
 *	fuzz_wire [seed] [operations]
 *
 * Each round makes a message, right or nearly so, breaks some bytes of it, and
 * parses it in pieces and as a whole, from memory that ends where the bytes do
 * (a page that can't be touched follows).  With FUZZ_LIBFUZZER there is no
 * main(), and the input is what is parsed.
 */
#include "share/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DEFAULT_OPERATIONS 300000
#define PAGE 4096u
#define ROOM ((WIRE_SIZE_MAX + 64 + PAGE - 1) / PAGE * PAGE)

static char what[160];

static _Noreturn void fail(const char *why)
{
	fprintf(stderr, "fuzz_wire: %s: %s\n", what, why);
	abort();
}

/* --- the second parser */

static const struct {
	unsigned int size, least, most, descriptors;
} table[] = {{0, 0, 0, 0},  {0, 0, 0, 0},     {32, 1, 1, 0},   {24, 1, 1, 1},
	     {8, 1, 1, 0},  {32, 1, 1024, 0}, {16, 1, 1024, 0}, {8, 1, 1024, 0},
	     {0, 0, 0, 0},  {4, 1, 1024, 0}};

static uint32_t u32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t u64(const unsigned char *p)
{
	return u32(p) | (uint64_t)u32(p + 4) << 32;
}

static long model_parse(const unsigned char *p, size_t n)
{
	uint32_t type, length, count;

	if (n >= 4 && u32(p) != 0x67746e63)
		return -EPROTO;
	if (n < 24)
		return 0;
	type = (uint32_t)p[6] | (uint32_t)p[7] << 8;
	length = u32(p + 12);
	count = u32(p + 16);
	if (p[4] != 1 || p[5] || type < 1 || type > 9 || count < table[type].least ||
	    count > table[type].most || (uint64_t)count * table[type].size != length ||
	    u32(p + 20) != table[type].descriptors)
		return -EPROTO;
	return n - 24 < length ? 0 : (long)(24 + length);
}

/* As a 128-bit machine would: nothing can overflow. */
static bool model_inside(uint64_t at, uint64_t count, const struct wire_geometry *g)
{
	return count && at % g->page_size == 0 &&
	       (unsigned __int128)at + (unsigned __int128)count * g->page_size <= g->size;
}

static bool model_item(uint32_t type, const unsigned char *p, const struct wire_geometry *g)
{
	unsigned __int128 end;

	switch (type) {
	case WIRE_GEOMETRY:
		end = (unsigned __int128)u64(p) + u64(p + 8);
		return (u64(p + 16) == 4096 || u64(p + 16) == 2097152) && u64(p + 8) &&
		       u64(p) % u64(p + 16) == 0 && u64(p + 8) % u64(p + 16) == 0 &&
		       end <= (unsigned __int128)1 << 57 && u32(p + 24) <= 1;
	case WIRE_FILE:
		return u64(p) && u64(p + 8) && u64(p + 8) % 4096 == 0 &&
		       u64(p + 8) <= INT64_MAX && u32(p + 16) >= 1 && u32(p + 16) <= 3 &&
		       !u32(p + 20);
	case WIRE_SEALED:
	case WIRE_FORGET:
		return u64(p);
	case WIRE_MAP:
		end = (unsigned __int128)u64(p + 8) + (unsigned __int128)u32(p + 24) * g->page_size;
		return u64(p) && u32(p + 28) <= 1 && model_inside(u64(p + 16), u32(p + 24), g) &&
		       u64(p + 8) % g->page_size == 0 && end <= INT64_MAX;
	case WIRE_UNMAP:
		return model_inside(u64(p), u64(p + 8), g);
	case WIRE_ACK:
		return (int32_t)u32(p) <= 0 && (int32_t)u32(p) >= -4095;
	}
	return true;
}

static bool model_check(const unsigned char *p, const struct wire_geometry *g)
{
	uint32_t type = p[6], count = u32(p + 16);

	if (type == WIRE_HELLO || type == WIRE_GEOMETRY) {
		if (g)
			return false;
	} else if (type != WIRE_ACK && type != WIRE_BYE && !g) {
		return false;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!model_item(type, p + 24 + (size_t)i * table[type].size, g))
			return false;
	return true;
}

/* --- one input */

static unsigned char *room; /* ROOM bytes, then a page of nothing */
static struct wire_message message;

static void try_bytes(const unsigned char *bytes, size_t n, const struct wire_geometry *g)
{
	const char *why = NULL;
	long got, want = model_parse(bytes, n);

	memset(&message, 0xa5, sizeof(message.header));
	got = contig_wire_parse(bytes, n, &message, &why);
	if (got != want)
		fail("parsed otherwise than the model");
	if (got < 0 && !why)
		fail("no reason given");
	if (got <= 0)
		return;
	if (memcmp(&message, bytes, (size_t)got))
		fail("the message is not what came");
	if (!contig_wire_check(&message, g, &why) != model_check(bytes, g))
		fail("checked otherwise than the model");
}

static void try_all(const unsigned char *bytes, size_t n)
{
	static const struct wire_geometry ranges[] = {
		{0x7f0000000000, 512 * 4096, 4096, 1, 14},
		{0x7f0000000000, UINT64_C(1) << 40, 4096, 0, 14},
		{0x200000, 64 << 21, 2 << 20, 1, 14},
		{0, UINT64_C(1) << 57, 4096, 1, 14},
	};
	unsigned char *at;

	if (n > ROOM)
		n = ROOM;
	at = room + ROOM - n;
	memcpy(at, bytes, n);
	try_bytes(at, n, NULL);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		try_bytes(at, n, &ranges[i]);
}

static void make_room(void)
{
	room = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED || mprotect(room + ROOM, PAGE, PROT_NONE))
		fail("no memory");
}

#ifdef FUZZ_LIBFUZZER
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!room)
		make_room();
	try_all(data, size);
	return 0;
}
#else

static uint64_t state;

static uint64_t next(void)
{
	uint64_t x = state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static uint64_t below(uint64_t n)
{
	return next() % n;
}

/* Numbers at which comparisons go wrong. */
static uint64_t edge(void)
{
	static const uint64_t edges[] = {0, 1, 4096, 2 << 20, 512 * 4096, INT64_MAX,
					 UINT64_MAX, UINT64_C(1) << 57, UINT32_MAX, INT32_MAX,
					 UINT64_C(1) << 52, UINT64_MAX / 4096};
	uint64_t x = edges[below(sizeof(edges) / sizeof(edges[0]))];

	switch (below(4)) {
	case 0:
		return x + below(3) - 1;
	case 1:
		return x - 4096 * below(3);
	case 2:
		return 4096 * below(600);
	}
	return x;
}

static size_t make_message(unsigned char *out, uint32_t *type)
{
	static struct wire_message m;
	uint32_t count;
	size_t size;

	*type = 1 + (uint32_t)below(9);
	count = table[*type].most > 1 ? 1 + (uint32_t)below(below(8) ? 4 : 1024) :
					table[*type].most;
	size = contig_wire_begin(&m, *type, (uint32_t)next(), count, table[*type].descriptors);
	for (uint32_t i = 0; i < count; i++) {
		bool odd = !below(4);

		switch (*type) {
		case WIRE_GEOMETRY:
			m.items.geometry = (struct wire_geometry){
				odd ? edge() : 0x200000, odd ? edge() : 64 << 21,
				below(2) ? 4096 : below(2) ? 2 << 20 : edge(),
				(uint32_t)below(3), 14};
			break;
		case WIRE_FILE:
			m.items.file = (struct wire_file){below(20), odd ? edge() : 2 << 20,
							  (uint32_t)below(5), !below(9)};
			break;
		case WIRE_MAP:
			m.items.runs[i] = (struct wire_run){
				1 + below(9), odd ? edge() : 4096 * below(512),
				!below(9) ? edge() : 4096 * below(500),
				(uint32_t)(!below(9) ? edge() : 1 + below(12)),
				!below(30) ? 2 : (uint32_t)below(2)};
			break;
		case WIRE_UNMAP:
			m.items.ranges[i] = (struct wire_range){odd ? edge() : 4096 * below(512),
								odd ? edge() : 1 + below(12)};
			break;
		case WIRE_SEALED:
		case WIRE_FORGET:
			m.items.numbers[i].file = below(20);
			break;
		case WIRE_ACK:
			m.items.results[i] = odd ? (int32_t)edge() : -(int32_t)below(200);
			break;
		}
	}
	memcpy(out, &m, size);
	return size;
}

int main(int argc, char **argv)
{
	static unsigned char bytes[WIRE_SIZE_MAX + 64];
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t operations = argc > 2 ? strtoull(argv[2], NULL, 0) : DEFAULT_OPERATIONS;
	uint64_t whole[10] = {0}, good[10] = {0};
	static const struct wire_geometry range = {0x200000, 512 * 4096, 4096, 1, 14};

	state = seed;
	make_room();
	for (uint64_t i = 0; i < operations; i++) {
		uint32_t type;
		size_t n = make_message(bytes, &type);
		const char *why;

		snprintf(what, sizeof(what), "seed %" PRIu64 ", operation %" PRIu64, seed, i);
		for (uint64_t broken = below(3) ? 0 : 1 + below(3); broken; broken--)
			bytes[below(below(4) ? 24 : n)] =
				(unsigned char)(below(2) ? next() : 1u << below(8));
		if (!below(6))
			n = below(n + 1);
		else if (!below(6)) /* the beginning of the next one */
			n += below(64);
		try_all(bytes, n);
		if (contig_wire_parse(bytes, n, &message, &why) > 0 &&
		    message.header.type == type) {
			whole[type]++;
			good[type] += !contig_wire_check(
				&message, type < WIRE_FILE ? NULL : &range, &why);
		}
	}
	/* A fuzzer that never gets through tests the first line only. */
	for (int type = 1; type < 10; type++)
		if (operations >= 100000 && (whole[type] < 1000 || good[type] < 200))
			fail("hardly a message of some type was good");
	printf("%" PRIu64 " messages, seed %" PRIu64 "\n", operations, seed);
	return 0;
}
#endif
