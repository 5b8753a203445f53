/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver for QEMU's edu device, which copies up to 4 KiB between memory and
 * a buffer of its own, and of a physical address it sees the low 28 bits only
 * (property dma_mask).  Bytes of random places go into the device, and from
 * there to other random places, all in memory from contigmalloc() below
 * 1 << 28; then every byte of that memory is compared.
 *
 *	qemu-system-x86_64 ... -device edu
 *	CONTIG_GROW=system ./edu-dma --megabytes 1
 *
 * The device takes a tenth of a second for each copy; all edu devices of the
 * machine work at once.
 */
#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edu.h"

#define MAX_DEVICES 64
#define PAGE ((size_t)4096)
#define SUPERPAGE ((uint64_t)2 << 20)
#define LARGE ((size_t)5 << 20) /* crosses superpages wherever it lies */
#define SMALL_MAX ((size_t)16)  /* pages */
#define BUFFERS 16              /* one large, others small */

/* Exit status. */
#define ARRIVED 0
#define LOST 1
#define TROUBLE 2

struct buffer {
	unsigned char *mem;
	vm_paddr_t pa;
	size_t size;
	unsigned char *expected;
};

struct copy {
	const struct buffer *from;
	struct buffer *to;
	size_t from_at, to_at, device_at, length;
	unsigned char bytes[EDU_BUFFER_SIZE]; /* that should arrive */
};

static struct options {
	unsigned long megabytes, bits;
	uint64_t seed;
	bool unconstrained;
	unsigned int pci_flags;
	const char *device;
} options = {.megabytes = 1, .bits = 28, .seed = 1};

static struct edu edus[MAX_DEVICES];
static size_t devices;
static struct buffer sources[BUFFERS], landings[BUFFERS];
static struct copy copies[MAX_DEVICES];
static struct {
	uint64_t copies, bytes, beyond, across_frames, across_superpages, lost, strayed;
} sum;

MALLOC_DEFINE(M_EDU, "edu", "DMA buffers");

__attribute__((format(printf, 1, 2))) static int trouble(const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "edu-dma: ");
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

/* xorshift64*: the same everywhere for the same seed. */
static uint64_t random_below(uint64_t n)
{
	options.seed ^= options.seed >> 12;
	options.seed ^= options.seed << 25;
	options.seed ^= options.seed >> 27;
	return options.seed * UINT64_C(0x2545f4914f6cdd1d) % n;
}

static int open_devices(void)
{
	size_t n = options.device ? 1 : pci_count(EDU_VENDOR, EDU_DEVICE);
	char address[PCI_ADDRESS_SIZE];

	for (size_t i = 0; i < MAX_DEVICES && (i < n || i == 0); i++) {
		if (!options.device &&
		    pci_find(EDU_VENDOR, EDU_DEVICE, (unsigned int)i, address) < 0)
			return -1;
		if (edu_open(&edus[i], options.device ? options.device : address,
			     options.pci_flags) < 0)
			return -1;
		devices++;
	}
	return 0;
}

/* ---- buffers ---- */

/*
 * Where the kernel says that a page is: the library's word alone is not enough
 * to let a device write there.
 */
static uint64_t pagemap(int fd, const void *page)
{
	uint64_t entry;

	if (pread(fd, &entry, sizeof(entry),
		  (off_t)((uintptr_t)page / PAGE * sizeof(entry))) !=
		(ssize_t)sizeof(entry) ||
	    !(entry >> 63))
		return 0;
	return (entry & ((UINT64_C(1) << 55) - 1)) * PAGE;
}

static int check_frames(const struct buffer *buffer)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int status = 0;

	if (fd < 0)
		return trouble("/proc/self/pagemap: %s", strerror(errno));
	for (size_t at = 0; at < buffer->size && status == 0; at += PAGE) {
		uint64_t pa = pagemap(fd, buffer->mem + at);

		if (pa != buffer->pa + at)
			status = trouble("%p should be at physical 0x%" PRIx64
					 ", and pagemap says 0x%" PRIx64,
					 (void *)(buffer->mem + at), buffer->pa + at, pa);
	}
	close(fd);
	return status;
}

static int make_buffer(struct buffer *buffer, size_t size, vm_paddr_t high)
{
	struct contig_range_info info;
	uint64_t word;

	buffer->mem = contigmalloc(size, M_EDU, M_ZERO, 0, high, PAGE, 0);
	if (!buffer->mem)
		return trouble("%zu KiB below 0x%" PRIx64 ": %s", size >> 10, high,
			       contig_strreason());
	buffer->size = size;
	buffer->pa = contig_virt_to_phys(buffer->mem);
	if (buffer->pa == CONTIG_PADDR_NONE)
		return trouble("a device needs physical addresses: %s",
			       contig_strreason());
	if (contig_level() != CONTIG_LEVEL_PHYSICAL)
		return trouble("these addresses are simulated: not for a device");
	if (buffer->pa + size > high)
		return trouble("0x%" PRIx64 " is beyond 0x%" PRIx64, buffer->pa, high);
	/* The device goes on with an address whether or not the frame stayed. */
	if (contig_range_check(buffer->mem, size, &info) != 1 ||
	    info.wiring != CONTIG_WIRING_PINNED)
		return trouble("memory is not pinned, the kernel could move it under the "
			       "device's hands; \"contig doctor\" tells why");
	if (check_frames(buffer) < 0)
		return -1;
	buffer->expected = malloc(size);
	if (!buffer->expected)
		return trouble("%s", strerror(errno));
	for (size_t i = 0; i < size; i += sizeof(word)) {
		word = random_below(UINT64_MAX);
		memcpy(buffer->expected + i, &word, sizeof(word));
	}
	memcpy(buffer->mem, buffer->expected, size);
	return 0;
}

static int make_buffers(struct buffer buffers[BUFFERS], vm_paddr_t high)
{
	for (size_t i = 0; i < BUFFERS; i++) {
		size_t size = i ? PAGE * (1 + random_below(SMALL_MAX)) : LARGE;

		if (make_buffer(&buffers[i], size, high) < 0)
			return -1;
	}
	return 0;
}

static void free_buffers(struct buffer buffers[BUFFERS])
{
	for (size_t i = 0; i < BUFFERS; i++) {
		contigfree(buffers[i].mem, buffers[i].size, M_EDU);
		free(buffers[i].expected);
	}
}

static void print_buffers(const char *what, const struct buffer buffers[BUFFERS])
{
	vm_paddr_t first = UINT64_MAX, end = 0;
	size_t size = 0;

	for (size_t i = 0; i < BUFFERS; i++) {
		first = buffers[i].pa < first ? buffers[i].pa : first;
		end = buffers[i].pa + buffers[i].size > end
			  ? buffers[i].pa + buffers[i].size
			  : end;
		size += buffers[i].size;
	}
	printf("%s: %d buffers, %zu KiB, physical 0x%" PRIx64 " to 0x%" PRIx64 "\n", what,
	       BUFFERS, size >> 10, first, end);
}

/*
 * The device sees an address modulo 1 << bits.  That it reads there is
 * harmless in RAM; other devices' registers may not like it.
 */
static int check_readable(const struct buffer *buffer)
{
	uint64_t first = buffer->pa & ((UINT64_C(1) << options.bits) - 1);
	uint64_t last = first + buffer->size - 1, from, to;
	FILE *f = fopen("/proc/iomem", "re");
	bool ram = false;
	char line[128];

	if (!f)
		return trouble("/proc/iomem: %s", strerror(errno));
	while (!ram && fgets(line, sizeof(line), f))
		ram = strstr(line, ": System RAM") &&
		      sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2 &&
		      from <= first && last <= to;
	fclose(f);
	if (!ram)
		return trouble("0x%" PRIx64 " would be 0x%" PRIx64
			       " to the device, which is no RAM: not tried",
			       buffer->pa, first);
	return 0;
}

/* ---- copies ---- */

static bool across(const struct buffer *buffer, size_t at, size_t length, uint64_t unit)
{
	return (buffer->pa + at) / unit != (buffer->pa + at + length - 1) / unit;
}

/* Every other time the large one. */
static struct buffer *choose_buffer(struct buffer buffers[BUFFERS], size_t length)
{
	struct buffer *buffer = &buffers[random_below(2) ? random_below(BUFFERS) : 0];

	return buffer->size < length ? &buffers[0] : buffer;
}

/* A place for length bytes; one of four in the large buffer is across superpages. */
static size_t choose_place(const struct buffer *buffer, size_t length)
{
	if (buffer->size == LARGE && length > 1 && !random_below(4)) {
		uint64_t edge = SUPERPAGE - buffer->pa % SUPERPAGE;

		edge += SUPERPAGE * random_below((LARGE - edge) / SUPERPAGE + 1);
		edge -= 1 + random_below(length - 1);
		if (edge + length <= LARGE)
			return edge;
	}
	return random_below(buffer->size - length + 1);
}

/* The n copies before go to places of their own: does this one, too? */
static bool apart(const struct copy *copy, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (copies[i].to == copy->to &&
		    copies[i].to_at < copy->to_at + copy->length &&
		    copy->to_at < copies[i].to_at + copies[i].length)
			return false;
	return true;
}

static void choose_copy(size_t n)
{
	struct copy *copy = &copies[n];

	/* Some of any length, most nearly as long as can be. */
	copy->length = random_below(4) ? EDU_BUFFER_SIZE - random_below(64)
				       : 1 + random_below(EDU_BUFFER_SIZE);
	copy->device_at = random_below(EDU_BUFFER_SIZE - copy->length + 1);
	copy->from =
	    choose_buffer(options.unconstrained ? sources : landings, copy->length);
	copy->from_at = choose_place(copy->from, copy->length);
	for (unsigned int i = 0; i == 0 || !apart(copy, n); i++) {
		copy->to = choose_buffer(landings, copy->length);
		copy->to_at = choose_place(copy->to, copy->length);
	}
	memcpy(copy->bytes, copy->from->expected + copy->from_at, copy->length);
	sum.copies++;
	sum.bytes += copy->length;
	sum.beyond += (copy->from->pa + copy->from_at) >> options.bits != 0;
	sum.across_frames += across(copy->from, copy->from_at, copy->length, PAGE) +
			     across(copy->to, copy->to_at, copy->length, PAGE);
	sum.across_superpages +=
	    across(copy->from, copy->from_at, copy->length, SUPERPAGE) +
	    across(copy->to, copy->to_at, copy->length, SUPERPAGE);
}

/* One copy by each device: all have read before the first one writes. */
static int copy_once(void)
{
	for (size_t i = 0; i < devices; i++) {
		const struct copy *c = &copies[i];

		choose_copy(i);
		edu_start(&edus[i], c->from->pa + c->from_at, EDU_BUFFER + c->device_at,
			  c->length, EDU_FROM_MEMORY);
	}
	for (size_t i = 0; i < devices; i++)
		if (edu_wait(&edus[i]) < 0)
			return -1;
	for (size_t i = 0; i < devices; i++) {
		const struct copy *c = &copies[i];

		edu_start(&edus[i], EDU_BUFFER + c->device_at, c->to->pa + c->to_at,
			  c->length, EDU_TO_MEMORY);
	}
	for (size_t i = 0; i < devices; i++)
		if (edu_wait(&edus[i]) < 0)
			return -1;
	return 0;
}

static uint64_t differing(const void *a, const void *b, size_t length)
{
	uint64_t n = 0;

	for (size_t i = 0; i < length; i++)
		n += ((const unsigned char *)a)[i] != ((const unsigned char *)b)[i];
	return n;
}

/* Everything is compared, what no copy went to as well. */
static void compare(void)
{
	for (size_t i = 0; i < devices; i++) {
		const struct copy *c = &copies[i];
		unsigned char *arrived = c->to->mem + c->to_at;
		uint64_t lost = differing(arrived, c->bytes, c->length);

		if (lost && !sum.lost)
			printf("lost: %" PRIu64 " of %zu bytes from physical 0x%" PRIx64
			       " to 0x%" PRIx64 " by device %s\n",
			       lost, c->length, c->from->pa + c->from_at,
			       c->to->pa + c->to_at, edus[i].pci.address);
		sum.lost += lost;
		memcpy(c->to->expected + c->to_at, arrived, c->length);
	}
	for (size_t i = 0; i < BUFFERS; i++) {
		struct buffer *b = &landings[i];

		if (memcmp(b->mem, b->expected, b->size)) {
			sum.strayed += differing(b->mem, b->expected, b->size);
			memcpy(b->expected, b->mem, b->size);
		}
	}
}

static int run(void)
{
	const vm_paddr_t reach = UINT64_C(1) << options.bits;
	int status = TROUBLE;

	if (open_devices() < 0)
		goto close_devices;
	/* Where the device can reach: it writes to no other place, ever. */
	if (make_buffers(landings, reach) < 0)
		goto close_devices;
	print_buffers("constrained", landings);
	if (options.unconstrained) {
		if (make_buffers(sources, UINT64_MAX) < 0)
			goto close_devices;
		print_buffers("unconstrained", sources);
		for (size_t i = 0; i < BUFFERS; i++)
			if (check_readable(&sources[i]) < 0)
				goto close_devices;
	}
	do {
		if (copy_once() < 0)
			goto close_devices;
		compare();
	} while (sum.bytes < options.megabytes << 20 &&
		 (options.unconstrained || !(sum.lost | sum.strayed)));

	printf("%zu devices of %lu bits\n", devices, options.bits);
	printf("%" PRIu64 " copies of %" PRIu64 " bytes: %" PRIu64
	       " times across frames, %" PRIu64 " across superpages\n",
	       sum.copies, sum.bytes, sum.across_frames, sum.across_superpages);
	printf("%" PRIu64 " copies from beyond a device's reach\n", sum.beyond);
	status = sum.lost | sum.strayed ? LOST : ARRIVED;
	if (status == ARRIVED)
		printf("every byte arrived\n");
	else
		printf("%" PRIu64 " bytes lost, %" PRIu64 " written elsewhere\n",
		       sum.lost, sum.strayed);
close_devices:
	/* No device may know of memory that is freed. */
	while (devices > 0)
		edu_close(&edus[--devices]);
	free_buffers(sources);
	free_buffers(landings);
	return status;
}

static void usage(FILE *f)
{
	fprintf(
	    f,
	    "usage: edu-dma [OPTION]...\n"
	    "Copy bytes through QEMU's edu devices, to and from memory below 1 << BITS.\n"
	    "\n"
	    "  -m, --megabytes N    move so much (1)\n"
	    "  -b, --bits BITS      how many bits of an address the device sees (28)\n"
	    "  -u, --unconstrained  read from buffers that may lie anywhere: bytes are "
	    "lost\n"
	    "  -s, --seed N         of the random places (1)\n"
	    "  -d, --device ADDRESS only this one, as 0000:00:03.0; otherwise all of "
	    "them\n"
	    "      --ignore-iommu   go on where physical addresses can't work\n"
	    "  -h, --help\n"
	    "\n"
	    "Exit: 0 every byte arrived, 1 some did not, 2 trouble.\n");
}

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
	char *end;
	uint64_t n;

	errno = 0;
	n = strtoull(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || n < least || n > most) {
		trouble("%s: a number from %" PRIu64 " to %" PRIu64
			" is needed; try --help",
			text, least, most);
		exit(TROUBLE);
	}
	return n;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
	    {"megabytes", required_argument, NULL, 'm'},
	    {"bits", required_argument, NULL, 'b'},
	    {"unconstrained", no_argument, NULL, 'u'},
	    {"seed", required_argument, NULL, 's'},
	    {"device", required_argument, NULL, 'd'},
	    {"ignore-iommu", no_argument, NULL, 'i'},
	    {"help", no_argument, NULL, 'h'},
	    {NULL, 0, NULL, 0},
	};
	int c;

	setlinebuf(stdout);
	while ((c = getopt_long(argc, argv, "m:b:us:d:h", longs, NULL)) != -1) {
		switch (c) {
		case 'm':
			options.megabytes = number(optarg, 1, 1 << 20);
			break;
		case 'b':
			options.bits = number(optarg, 23, 52);
			break;
		case 'u':
			options.unconstrained = true;
			break;
		case 's':
			options.seed = number(optarg, 1, UINT64_MAX);
			break;
		case 'd':
			options.device = optarg;
			break;
		case 'i':
			options.pci_flags = PCI_IGNORE_IOMMU;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return TROUBLE;
		}
	}
	if (optind < argc) {
		trouble("%s: no such argument; try --help", argv[optind]);
		return TROUBLE;
	}
	return run();
}
