/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DPDK with its packets in libcontig's memory: packet buffers, their ring and
 * the descriptors of the ports lie in a malloc heap made of it, or, with
 * --extmem, the buffers in a pool of their own.
 *
 * Without hardware, packets go from net_null (which only allocates them) out
 * of net_ring and back, and to net_null again.  With --ports, the first two
 * ports of the EAL, wired back to back, do it by DMA: out of A, into B, out of
 * B and into A.  After each way every byte is compared, and every buffer's
 * IOVA with libcontig's and with what the kernel says.
 *
 *	dpdk-fwd --in-memory --no-pci --iova-mode=pa
 *	dpdk-fwd --in-memory --iova-mode=pa -a 00:03.0 -a 00:04.0 -- --ports
 *
 * Exit: 0 all packets arrived as they were sent, 1 not so, 2 trouble.
 */
#define ALLOW_EXPERIMENTAL_API /* rte_dev_dma_map(), in DPDK 22.11 */
#include <contig.h>
#include <contig/dpdk.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <stdbool.h>
#include <unistd.h>

#define BURST 32
#define BUFFERS 4095 /* one less than a power of two suits the ring of them */
#define CACHE 64
#define DESCRIPTORS 256
#define ETHERTYPE 0x88b5 /* for local experiments */
#define SHORTEST 60
#define LONGEST 1514
#define HOPS 2

struct options {
	uint64_t packets;
	size_t heap_bytes;
	unsigned int seconds; /* for the packets */
	bool extmem, ports;
};

struct hop {
	uint16_t from, to;
	uint64_t sent, received, bytes, wrong;
};

static struct {
	struct options options;
	struct contig_dpdk_heap *heap;
	struct rte_mempool *pool;
	struct hop hops[HOPS];
	unsigned int nhops;
	struct rte_device *mapped; /* for which the pool is mapped */
	uint16_t source;           /* of empty packets, and sink; with net_null only */
	uint64_t strange;          /* packets that others sent */
	uint64_t buffers, bad_addresses, frames_read;
	int pagemap;
} fwd = {
    .options = {.packets = 100000, .heap_bytes = (size_t)16 << 20, .seconds = 120},
    .pagemap = -1,
};

/* A frame: its number, and bytes that follow from that. */
struct frame {
	struct rte_ether_hdr ether;
	rte_be16_t length; /* of the whole frame */
	uint64_t number;
	unsigned char payload[];
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Write the frame of this number; its length. */
static uint16_t frame_fill(void *at, uint64_t number)
{
	uint64_t state = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
	uint16_t length = SHORTEST + next_random(&state) % (LONGEST - SHORTEST + 1);
	struct frame *frame = at;
	size_t size = length - sizeof(*frame);

	memset(&frame->ether.dst_addr, 0xff, sizeof(frame->ether.dst_addr));
	memset(&frame->ether.src_addr, 2, sizeof(frame->ether.src_addr));
	frame->ether.ether_type = rte_cpu_to_be_16(ETHERTYPE);
	frame->length = rte_cpu_to_be_16(length);
	frame->number = number;
	for (size_t i = 0; i < size; i += sizeof(state)) {
		uint64_t r = next_random(&state);

		memcpy(frame->payload + i, &r, RTE_MIN(sizeof(r), size - i));
	}
	return length;
}

/* The frame's physical address as the kernel tells it, or CONTIG_PADDR_NONE:
 * nothing of libcontig or DPDK has a part in it. */
static uint64_t pagemap_address(const void *va)
{
	uint64_t entry, address = (uintptr_t)va;

	if (fwd.pagemap < 0 || pread(fwd.pagemap, &entry, sizeof(entry),
				     (off_t)(address / 4096 * 8)) != sizeof(entry))
		return CONTIG_PADDR_NONE;
	entry &= (UINT64_C(1) << 55) - 1;
	return entry ? entry * 4096 + address % 4096 : CONTIG_PADDR_NONE;
}

/* Whether DPDK has this address as external memory, and libcontig as its. */
static bool is_ours(const void *va)
{
	const struct rte_memseg_list *list = rte_mem_virt2memseg_list(va);
	vm_paddr_t pa = contig_virt_to_phys(va);

	if (!list || !list->external)
		return false;
	if (pa == CONTIG_PADDR_NONE) /* hidden: nothing to compare */
		return contig_level() == CONTIG_LEVEL_HIDDEN;
	return contig_phys_to_virt(pa) == va;
}

/* Where an address of a packet buffer is, for a device. */
static bool iova_is_right(const struct rte_mbuf *m)
{
	if (rte_eal_iova_mode() == RTE_IOVA_PA)
		return m->buf_iova == contig_virt_to_phys(m->buf_addr);
	return m->buf_iova == (uintptr_t)m->buf_addr;
}

/* Every buffer of the pool, for rte_mempool_obj_iter(). */
static void buffer_check(struct rte_mempool *pool, void *opaque, void *object,
			 unsigned int i)
{
	struct rte_mbuf *m = object;
	const char *last = (const char *)m->buf_addr + m->buf_len - 1;
	uint64_t first_frame = pagemap_address(m->buf_addr),
		 last_frame = pagemap_address(last);
	bool good =
	    is_ours(m) && is_ours(m->buf_addr) && is_ours(last) && iova_is_right(m);

	RTE_SET_USED(pool);
	RTE_SET_USED(opaque);
	if (first_frame != CONTIG_PADDR_NONE) {
		fwd.frames_read++;
		good = good && first_frame == contig_virt_to_phys(m->buf_addr) &&
		       last_frame == first_frame + m->buf_len - 1;
		if (rte_eal_iova_mode() == RTE_IOVA_PA)
			good = good && m->buf_iova == first_frame;
	} else if (rte_eal_iova_mode() == RTE_IOVA_PA)
		good = false;
	fwd.buffers++;
	if (good)
		return;
	if (!fwd.bad_addresses++)
		fprintf(stderr,
			"dpdk-fwd: buffer %u at %p: IOVA 0x%" PRIx64
			", libcontig 0x%" PRIx64 ", pagemap 0x%" PRIx64 "\n",
			i, m->buf_addr, m->buf_iova, contig_virt_to_phys(m->buf_addr),
			first_frame);
}

/*
 * A device behind an IOMMU (VFIO) reaches only what is mapped for it.  DPDK
 * sees to its heaps; external memory is ours to map.  Devices of VFIO share
 * one IOMMU domain here: what is mapped for one is mapped for all.  0 or -1.
 */
static int port_map(struct rte_device *device)
{
	if (!fwd.options.ports || !fwd.options.extmem || fwd.mapped)
		return 0;
	if (!contig_dpdk_pktmbuf_pool_dma_map(fwd.pool, device)) {
		fwd.mapped = device;
		return 0;
	}
	if (errno == ENOTSUP) /* no IOMMU, or none that DPDK knows of */
		return 0;
	fprintf(stderr, "dpdk-fwd: %s\n", contig_dpdk_strreason());
	return -1;
}

/* 0, or -1: DPDK said no. */
static int port_start(uint16_t port)
{
	struct rte_eth_conf conf;
	struct rte_eth_dev_info info;
	uint16_t rx = DESCRIPTORS, tx = DESCRIPTORS;
	int socket = contig_dpdk_heap_socket(fwd.heap), error;

	memset(&conf, 0, sizeof(conf));
	error = rte_eth_dev_info_get(port, &info);
	if (!error && port_map(info.device))
		return -1;
	if (!error)
		error = rte_eth_dev_configure(port, 1, 1, &conf);
	if (!error)
		error = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx, &tx);
	/* The socket: descriptors come from the heap as well. */
	if (!error)
		error = rte_eth_rx_queue_setup(port, 0, rx, socket, NULL, fwd.pool);
	if (!error)
		error = rte_eth_tx_queue_setup(port, 0, tx, socket, NULL);
	if (!error)
		error = rte_eth_dev_start(port);
	if (!error) {
		error = rte_eth_promiscuous_enable(port);
		if (error == -ENOTSUP)
			error = 0;
	}
	if (error)
		fprintf(stderr, "dpdk-fwd: port %u: %s\n", port, rte_strerror(-error));
	return error ? -1 : 0;
}

/* 0, or -1 when there is no link within 10 seconds. */
static int port_wait(uint16_t port)
{
	struct rte_eth_link link;

	for (int i = 0; i < 100; i++) {
		if (!rte_eth_link_get_nowait(port, &link) && link.link_status)
			return 0;
		rte_delay_ms(100);
	}
	fprintf(stderr, "dpdk-fwd: port %u has no link\n", port);
	return -1;
}

/* 0 or -1. */
static int vdev_make(const char *name, const char *arguments, uint16_t *port)
{
	if (rte_eal_hotplug_add("vdev", name, arguments) ||
	    rte_eth_dev_get_port_by_name(name, port)) {
		fprintf(stderr, "dpdk-fwd: there is no port %s: %s\n", name,
			rte_strerror(rte_errno));
		return -1;
	}
	return 0;
}

/* Ports, started and with a link, and the ways between them; 0 or -1. */
static int ports_open(void)
{
	struct hop *hops = fwd.hops;
	uint16_t port;

	if (!fwd.options.ports) {
		if (vdev_make("net_null0", "size=64", &fwd.source) ||
		    vdev_make("net_ring0", "", &hops[0].from))
			return -1;
		hops[0].to = hops[0].from;
		fwd.nhops = 1;
		return port_start(fwd.source) || port_start(hops[0].from) ? -1 : 0;
	}
	RTE_ETH_FOREACH_DEV(port) {
		if (fwd.nhops < HOPS)
			hops[fwd.nhops++].from = port;
	}
	if (fwd.nhops < HOPS) {
		fprintf(stderr, "dpdk-fwd: --ports takes two ports, the EAL has %u\n",
			fwd.nhops);
		return -1;
	}
	hops[0].to = hops[1].from;
	hops[1].to = hops[0].from;
	for (int i = 0; i < HOPS; i++)
		if (port_start(hops[i].from))
			return -1;
	for (int i = 0; i < HOPS; i++)
		if (port_wait(hops[i].from))
			return -1;
	return 0;
}

/* The ports let go of buffers and descriptors. */
static void ports_close(void)
{
	uint16_t port;

	RTE_ETH_FOREACH_DEV(port) {
		rte_eth_dev_stop(port);
	}
	if (fwd.mapped && contig_dpdk_pktmbuf_pool_dma_unmap(fwd.pool, fwd.mapped))
		fprintf(stderr, "dpdk-fwd: %s\n", contig_dpdk_strreason());
	RTE_ETH_FOREACH_DEV(port) {
		rte_eth_dev_close(port);
	}
	if (!fwd.options.ports) {
		rte_eal_hotplug_remove("vdev", "net_ring0");
		rte_eal_hotplug_remove("vdev", "net_null0");
	}
}

/* n empty packets; how many there were. */
static uint16_t packets_make(struct rte_mbuf **packets, uint16_t n)
{
	if (!fwd.options.ports)
		return rte_eth_rx_burst(fwd.source, 0, packets, n);
	return rte_pktmbuf_alloc_bulk(fwd.pool, packets, n) ? 0 : n;
}

/* All n, or as many as go within a second; the others are freed. */
static uint16_t packets_send(struct hop *hop, struct rte_mbuf **packets, uint16_t n)
{
	uint64_t end = rte_get_timer_cycles() + rte_get_timer_hz();
	uint16_t sent = 0;

	while (sent < n && rte_get_timer_cycles() < end)
		sent += rte_eth_tx_burst(hop->from, 0, packets + sent, n - sent);
	hop->sent += sent;
	rte_pktmbuf_free_bulk(packets + sent, n - sent);
	return sent;
}

/* Whether the packet is one of the n that follow first, not seen before, and
 * has arrived as it left: fresh is the frame that was sent. */
static bool packet_check(struct rte_mbuf *m, uint64_t first, uint16_t n, uint32_t *seen)
{
	static _Alignas(struct frame) unsigned char fresh[LONGEST];
	const struct frame *frame = rte_pktmbuf_mtod(m, const struct frame *);
	uint64_t i = frame->number - first;
	uint16_t length;

	if (m->nb_segs != 1 || i >= n || *seen >> i & 1)
		return false;
	*seen |= UINT32_C(1) << i;
	length = frame_fill(fresh, frame->number);
	return m->pkt_len == length && !memcmp(frame, fresh, length);
}

/*
 * Collect the n packets that were sent, for up to 10 seconds of silence; those
 * that arrived, in their order of arrival.
 */
static uint16_t packets_receive(struct hop *hop, uint64_t first, uint16_t n,
				struct rte_mbuf **packets)
{
	uint64_t patience = 10 * rte_get_timer_hz(),
		 end = rte_get_timer_cycles() + patience;
	uint32_t seen = 0;
	uint16_t got = 0;

	while (got < n && rte_get_timer_cycles() < end) {
		uint16_t more = rte_eth_rx_burst(hop->to, 0, packets + got, n - got),
			 kept = got;

		for (uint16_t i = got; i < got + more; i++) {
			struct rte_mbuf *m = packets[i];

			end = rte_get_timer_cycles() + patience;
			/* A kernel at the other end talks as well. */
			if (m->data_len < SHORTEST ||
			    rte_pktmbuf_mtod(m, struct rte_ether_hdr *)->ether_type !=
				rte_cpu_to_be_16(ETHERTYPE)) {
				fwd.strange++;
				rte_pktmbuf_free(m);
				continue;
			}
			if (!packet_check(m, first, n, &seen))
				hop->wrong++;
			if (m->pool != fwd.pool || !is_ours(m->buf_addr) ||
			    !iova_is_right(m))
				fwd.bad_addresses++;
			hop->received++;
			hop->bytes += m->pkt_len;
			packets[kept++] = m;
		}
		got = kept;
	}
	return got;
}

/* Send all packets all the way; false when they don't come any more. */
static bool forward(void)
{
	uint64_t number = 0,
		 end = rte_get_timer_cycles() + fwd.options.seconds * rte_get_timer_hz();
	struct rte_mbuf *packets[BURST];

	while (number < fwd.options.packets) {
		uint16_t n = RTE_MIN((uint64_t)BURST, fwd.options.packets - number), sent;

		if (rte_get_timer_cycles() >= end) {
			fprintf(stderr, "dpdk-fwd: %u seconds are over\n",
				fwd.options.seconds);
			return false;
		}
		n = packets_make(packets, n);
		if (!n) {
			fprintf(stderr, "dpdk-fwd: no packet buffer left\n");
			return false;
		}
		for (uint16_t i = 0; i < n; i++) {
			uint16_t length =
			    frame_fill(rte_pktmbuf_mtod(packets[i], void *), number + i);

			packets[i]->data_len = length;
			packets[i]->pkt_len = length;
		}
		for (unsigned int h = 0; h < fwd.nhops; h++) {
			sent = packets_send(&fwd.hops[h], packets, n);
			n = packets_receive(&fwd.hops[h], number, sent, packets);
			if (!n) {
				fprintf(stderr, "dpdk-fwd: nothing arrives at port %u\n",
					fwd.hops[h].to);
				return false;
			}
		}
		if (!fwd.options.ports)
			rte_eth_tx_burst(fwd.source, 0, packets, n);
		else
			rte_pktmbuf_free_bulk(packets, n);
		number += BURST;
	}
	return true;
}

/* Heap and pool of buffers; 0 or -1. */
static int memory_make(void)
{
	int socket;

	fwd.heap =
	    contig_dpdk_heap_create("contig", fwd.options.heap_bytes, NULL, UINT64_MAX);
	if (!fwd.heap) {
		fprintf(stderr, "dpdk-fwd: no heap: %s\n", contig_dpdk_strreason());
		return -1;
	}
	socket = contig_dpdk_heap_socket(fwd.heap);
	if (fwd.options.extmem)
		fwd.pool = contig_dpdk_pktmbuf_pool_create("packets", BUFFERS, CACHE, 0,
							   RTE_MBUF_DEFAULT_BUF_SIZE,
							   socket, NULL, UINT64_MAX);
	else
		fwd.pool = rte_pktmbuf_pool_create("packets", BUFFERS, CACHE, 0,
						   RTE_MBUF_DEFAULT_BUF_SIZE, socket);
	if (!fwd.pool) {
		fprintf(stderr, "dpdk-fwd: no pool of packet buffers: %s\n",
			fwd.options.extmem ? contig_dpdk_strreason()
					   : rte_strerror(rte_errno));
		return -1;
	}
	return 0;
}

/* All of it back; 0, or -1 when somebody still has a part of it. */
static int memory_free(void)
{
	if (fwd.pool && rte_mempool_avail_count(fwd.pool) < fwd.pool->size) {
		fprintf(stderr, "dpdk-fwd: %u packet buffers are missing\n",
			rte_mempool_in_use_count(fwd.pool));
		return -1;
	}
	if (!fwd.options.extmem)
		rte_mempool_free(fwd.pool);
	else if (contig_dpdk_pktmbuf_pool_free(fwd.pool)) {
		fprintf(stderr, "dpdk-fwd: %s\n", contig_dpdk_strreason());
		return -1;
	}
	if (contig_dpdk_heap_destroy(fwd.heap)) {
		fprintf(stderr, "dpdk-fwd: %s\n", contig_dpdk_strreason());
		return -1;
	}
	return 0;
}

static void usage(FILE *to)
{
	fputs(
	    "usage: dpdk-fwd [EAL OPTIONS] [-- OPTIONS]\n"
	    "Send packets in libcontig's memory around, and compare what comes back.\n\n"
	    "  --packets N  how many (100000)\n"
	    "  --heap MIB   size of the DPDK heap (16)\n"
	    "  --extmem     packet buffers in external memory, not in the heap\n"
	    "  --ports      the EAL's first two ports, wired back to back, instead of\n"
	    "               net_null and net_ring\n"
	    "  --seconds N  give up after that long (120)\n"
	    "  --help       this text\n\n"
	    "EAL options that suit: --in-memory --no-telemetry --iova-mode=pa, and\n"
	    "--no-pci without --ports.\n",
	    to);
}

static bool number_is(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return !errno && *text >= '0' && *text <= '9' && !*end && *out >= least &&
	       *out <= most;
}

/* -1 to go on, or the exit status. */
static int options_read(int argc, char **argv)
{
	static const struct option known[] = {{"packets", required_argument, NULL, 'n'},
					      {"heap", required_argument, NULL, 'm'},
					      {"seconds", required_argument, NULL, 's'},
					      {"extmem", no_argument, NULL, 'e'},
					      {"ports", no_argument, NULL, 'p'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct options *o = &fwd.options;
	uint64_t n = 0;
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", known, NULL)) != -1) {
		bool good = true;

		switch (c) {
		case 'n':
			good = number_is(optarg, 1, UINT32_MAX, &o->packets);
			break;
		case 'm':
			good = number_is(optarg, 1, 1 << 20, &n);
			o->heap_bytes = (size_t)n << 20;
			break;
		case 's':
			good = number_is(optarg, 1, 86400, &n);
			o->seconds = (unsigned int)n;
			break;
		case 'e':
			o->extmem = true;
			break;
		case 'p':
			o->ports = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		default:
			good = false;
		}
		if (!good) {
			usage(stderr);
			return 2;
		}
	}
	if (optind != argc) {
		usage(stderr);
		return 2;
	}
	return -1;
}

static int report(bool complete, int moved)
{
	int status = complete && !fwd.bad_addresses && !moved ? 0 : 1;

	for (unsigned int i = 0; i < fwd.nhops; i++) {
		const struct hop *hop = &fwd.hops[i];

		printf("port %u to port %u: %" PRIu64 " sent, %" PRIu64
		       " received, %" PRIu64 " lost, %" PRIu64 " wrong, %" PRIu64
		       " bytes\n",
		       hop->from, hop->to, hop->sent, hop->received,
		       hop->sent - hop->received, hop->wrong, hop->bytes);
		if (hop->received != fwd.options.packets || hop->wrong)
			status = 1;
	}
	printf("buffers: %" PRIu64 " checked, %" PRIu64 " against pagemap, %" PRIu64
	       " bad addresses, IOVA %s, %d frames moved\n",
	       fwd.buffers, fwd.frames_read, fwd.bad_addresses,
	       rte_eal_iova_mode() == RTE_IOVA_PA ? "physical" : "virtual", moved);
	if (fwd.strange)
		printf("%" PRIu64 " packets of others\n", fwd.strange);
	return status;
}

int main(int argc, char **argv)
{
	int status, used;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		usage(stdout);
		return 0;
	}
	used = rte_eal_init(argc, argv);
	if (used < 0) {
		fprintf(stderr, "dpdk-fwd: rte_eal_init: %s\n", rte_strerror(rte_errno));
		return 2;
	}
	status = options_read(argc - used, argv + used);
	if (status >= 0) {
		rte_eal_cleanup();
		return status;
	}
	status = 2;
	fwd.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (!memory_make()) {
		bool opened, complete;

		rte_mempool_obj_iter(fwd.pool, buffer_check, NULL);
		opened = !ports_open();
		complete = opened && forward();
		ports_close();
		/* Nothing moved under the traffic. */
		rte_mempool_obj_iter(fwd.pool, buffer_check, NULL);
		if (opened)
			status = report(complete, contig_level() == CONTIG_LEVEL_PHYSICAL
						      ? contig_verify()
						      : 0);
	}
	if (memory_free() && !status)
		status = 1;
	rte_eal_cleanup();
	contig_trim();
	if (!status)
		printf("all is well; heap destroyed, memory freed\n");
	return status;
}
