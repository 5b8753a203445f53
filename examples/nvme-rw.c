/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes megabytes to an NVMe device and reads them back, by a driver of its
 * own (nvme.h) on memory of contigmalloc():
 *	nvme-rw --destroy-data 0000:00:05.0
 */
#include "nvme-transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

struct options {
	const char *address;
	bool destroy, write, read;
	uint64_t first, megabytes, seed;
	unsigned long depth, queues, command_kib, namespace;
	struct nvme_memory memory;
};

static void stop(int signal_number)
{
	transfer_stopped = signal_number;
}

/* One pass over the range, and its figures. */
static int pass(struct transfer *t, const struct options *o, bool write)
{
	uint64_t began = nvme_now_ms(), took;

	printf("%s MiB %" PRIu64 " to %" PRIu64 "\n", write ? "writing" : "reading", o->first,
	       o->first + o->megabytes - 1);
	if (transfer_pass(t, write, o->first * (MIB / SECTOR), o->megabytes * (MIB / SECTOR)) < 0)
		return -1;
	took = nvme_now_ms() - began;
	printf("%s %" PRIu64 " MiB in %" PRIu64 ".%03" PRIu64 " s with %s the data: %" PRIu64
	       " commands,\n"
	       "\t%" PRIu64 " in flight at most, %" PRIu64 " overtaken by later ones,\n"
	       "\t%" PRIu64 " of one page, %" PRIu64 " of two, %" PRIu64 " with a PRP list\n",
	       write ? "wrote" : "read", o->megabytes, took / 1000, took % 1000,
	       write ? "making" : "comparing", t->commands, t->in_flight_max,
	       t->overtaken, t->shapes[0], t->shapes[1], t->shapes[2]);
	return 0;
}

static void print_memory(const struct transfer *t)
{
	struct contig_stats stats = {.struct_size = sizeof(stats)};
	struct contig_range_info info;

	contig_stats_get(&stats);
	if (contig_range_check(t->buffers[0].block, t->block_size, &info) == 1)
		printf("first buffer on node %d; ", info.node);
	printf("superpages: %" PRIu64 " of 2 MiB, %" PRIu64 " of 1 GiB, %" PRIu64 " collapsed\n",
	       stats.superpages_2m, stats.superpages_1g, stats.superpages_thp);
	printf("physical addresses 0x%" PRIx64 " to 0x%" PRIx64 ", %" PRIu64
	       " compared with pagemap\n",
	       t->lowest, t->highest, t->pages_checked);
}

/* What one command may carry, of what was asked for.  0, or -1. */
static int choose_command_max(struct transfer *t, const struct options *o)
{
	size_t block = t->nvme.block_size, max = o->command_kib << 10;

	if (max > t->nvme.transfer_max)
		max = t->nvme.transfer_max;
	/* The field for the number of blocks has 16 bits. */
	if (max / block > 65536)
		max = 65536 * block;
	t->command_max = max - max % block;
	if (t->command_max)
		return 0;
	nvme_complain(&t->nvme, "a block of %zu bytes is longer than --command", block);
	return -1;
}

/* 0, 1: data differs, or 2. */
static int run_queues(struct transfer *t, const struct options *o)
{
	struct nvme *nvme = &t->nvme;
	int moved;

	t->n_queues = (unsigned int)o->queues;
	t->seed = o->seed;
	if (nvme_queues_create(nvme, t->queues, t->n_queues, (unsigned int)o->depth) < 0 ||
	    transfer_init(t) < 0)
		return 2;
	if ((o->write && pass(t, o, true) < 0) || (o->read && pass(t, o, false) < 0))
		return 2;
	moved = contig_verify();
	print_memory(t);
	if (moved) {
		nvme_complain(nvme, "%d frames moved under the device's hands", moved);
		return 2;
	}
	if (t->mismatches) {
		nvme_complain(nvme, "%" PRIu64 " mismatches", t->mismatches);
		return 1;
	}
	return 0;
}

static int run_on(struct transfer *t, const struct options *o)
{
	struct nvme *nvme = &t->nvme;
	uint64_t mib = nvme->blocks / (MIB / nvme->block_size);
	int status;

	printf("%s: %s, serial %s, firmware %s\n", nvme->pci.address, nvme->model, nvme->serial,
	       nvme->firmware);
	printf("namespace %u: %" PRIu64 " blocks of %zu bytes; page %zu, %zu KiB a command, %u "
	       "commands a queue\n",
	       nvme->namespace, nvme->blocks, nvme->block_size, nvme->page,
	       nvme->transfer_max >> 10, nvme->depth_max);
	if (o->first > mib || o->megabytes > mib - o->first) {
		nvme_complain(nvme,
			      "namespace %u ends at MiB %" PRIu64 ", before MiB %" PRIu64
			      " + %" PRIu64 "; see --first and --megabytes",
			      nvme->namespace, mib, o->first, o->megabytes);
		return 2;
	}
	if (choose_command_max(t, o) < 0)
		return 2;
	status = run_queues(t, o);
	if (nvme_queues_delete(nvme, t->queues, t->n_queues) < 0)
		status = 2;
	return status;
}

static const char usage[] =
	"usage: nvme-rw --destroy-data [OPTION...] ADDRESS\n"
	"       nvme-rw --read-only [OPTION...] [ADDRESS]\n"
	"Write a pattern to an NVMe device and read it back, by a driver in this program.\n"
	"ADDRESS is the device's on the PCI bus (0000:00:05.0); for reading alone, the first\n"
	"one found will do.\n"
	"\n"
	"      --destroy-data   allow writing: what the device ADDRESS holds there is lost\n"
	"      --read-only      only compare with what an earlier run wrote\n"
	"      --write-only     don't read back\n"
	"      --first=MIB      where in the namespace (0)\n"
	"      --megabytes=N    MiB (64)\n"
	"      --seed=N         of the pattern (1)\n"
	"      --namespace=N    (1)\n"
	"      --depth=N        commands in flight, each queue (64)\n"
	"      --queues=N       queue pairs, 1 to 16 (1)\n"
	"      --command=KIB    longest command (256, or what the device takes)\n"
	"      --node=N         memory of this NUMA node only\n"
	"      --low=ADDR --high=ADDR\n"
	"                       memory from there up to, not including, there\n"
	"  -h, --help\n"
	"\n"
	"Exit: 0 done, 1 data differs, 2 trouble.\n";

enum {
	DESTROY = 256,
	READ_ONLY,
	WRITE_ONLY,
	FIRST,
	MEGABYTES,
	SEED,
	NAMESPACE,
	DEPTH,
	QUEUES,
	COMMAND,
	NODE,
	LOW,
	HIGH
};

static const struct option long_options[] = {
	{"destroy-data", no_argument, NULL, DESTROY},
	{"read-only", no_argument, NULL, READ_ONLY},
	{"write-only", no_argument, NULL, WRITE_ONLY},
	{"first", required_argument, NULL, FIRST},
	{"megabytes", required_argument, NULL, MEGABYTES},
	{"seed", required_argument, NULL, SEED},
	{"namespace", required_argument, NULL, NAMESPACE},
	{"depth", required_argument, NULL, DEPTH},
	{"queues", required_argument, NULL, QUEUES},
	{"command", required_argument, NULL, COMMAND},
	{"node", required_argument, NULL, NODE},
	{"low", required_argument, NULL, LOW},
	{"high", required_argument, NULL, HIGH},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static _Noreturn void misused(const char *what, const char *value)
{
	if (what)
		fprintf(stderr, "nvme-rw: %s%s%s\n", what, value ? " " : "", value ? value : "");
	fprintf(stderr, "Try 'nvme-rw --help'.\n");
	exit(2);
}

/* A number from min to max, decimal or with 0x, and perhaps with K, M or G. */
static uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
	unsigned int shift = 0;
	uint64_t value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (*end == 'K' || *end == 'M' || *end == 'G')
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30;
	if (shift)
		end++;
	if (*text < '0' || *text > '9' || *end || errno || value > UINT64_MAX >> shift ||
	    value << shift < min || value << shift > max) {
		fprintf(stderr, "nvme-rw: --%s=%s: not a number from %" PRIu64 " to %" PRIu64 "\n",
			option, text, min, max);
		misused(NULL, NULL);
	}
	return value << shift;
}

static void parse(struct options *o, int argc, char **argv)
{
	int c, at = 0;

	while ((c = getopt_long(argc, argv, "h", long_options, &at)) != -1) {
		const char *name = long_options[at].name;

		switch (c) {
		case DESTROY:
			o->destroy = true;
			break;
		case READ_ONLY:
			o->write = false;
			break;
		case WRITE_ONLY:
			o->read = false;
			break;
		case FIRST:
			o->first = number(name, optarg, 0, UINT64_MAX / MIB);
			break;
		case MEGABYTES:
			o->megabytes = number(name, optarg, 1, UINT64_MAX / MIB);
			break;
		case SEED:
			o->seed = number(name, optarg, 0, UINT64_MAX);
			break;
		case NAMESPACE:
			o->namespace = number(name, optarg, 1, UINT32_MAX - 1);
			break;
		case DEPTH:
			o->depth = number(name, optarg, 1, 65535);
			break;
		case QUEUES:
			o->queues = number(name, optarg, 1, QUEUES_MAX);
			break;
		case COMMAND:
			o->command_kib = number(name, optarg, 1, 1 << 20);
			break;
		case NODE:
			o->memory.node = (int)number(name, optarg, 0, 1023);
			break;
		case LOW:
			o->memory.low = number(name, optarg, 0, UINT64_MAX);
			break;
		case HIGH:
			o->memory.high = number(name, optarg, 1, UINT64_MAX);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			misused(NULL, NULL);
		}
	}
	if (optind < argc)
		o->address = argv[optind++];
	if (optind < argc)
		misused("one device only, what is", argv[optind]);
	if (!o->write && !o->read)
		misused("--read-only and --write-only leave nothing to do", NULL);
	if (o->write && !o->destroy)
		misused("writing destroys what the device holds there; allow it by "
			"--destroy-data, or compare with --read-only",
			NULL);
	/* Which one is found first is no way to choose whose data to destroy. */
	if (o->write && !o->address)
		misused("--destroy-data needs the ADDRESS of the device to write to; "
			"\"lspci -D\" lists them",
			NULL);
	if (o->memory.node >= 0 && !DOMAINSET_FIXED(o->memory.node))
		misused("--node: this machine has no such node", NULL);
}

int main(int argc, char **argv)
{
	static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM};
	struct options options = {
		.write = true, .read = true, .megabytes = 64, .seed = 1, .depth = 64,
		.queues = 1, .command_kib = 256, .namespace = 1,
		.memory = {.node = -1, .high = UINT64_MAX},
	};
	struct transfer t = {0};
	char address[PCI_ADDRESS_SIZE];
	int status = 2;

	parse(&options, argc, argv);
	setlinebuf(stdout); /* what was done before something stops us is told */
	if (!options.address && nvme_find(address) < 0)
		return 2;
	t.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (t.pagemap < 0) {
		fprintf(stderr, "nvme-rw: /proc/self/pagemap: %s\n", strerror(errno));
		return 2;
	}
	/* The device must be quiet before the program ends. */
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], stop);
	if (nvme_open(&t.nvme, options.address ? options.address : address,
		      (uint32_t)options.namespace, &options.memory) == 0) {
		status = run_on(&t, &options);
		nvme_close(&t.nvme);
		transfer_free(&t);
	}
	close(t.pagemap);
	if (transfer_stopped) {
		fprintf(stderr, "nvme-rw: stopped by signal %d after %" PRIu64 " commands; the "
				"device is shut down\n",
			transfer_stopped, t.commands);
		signal(transfer_stopped, SIG_DFL);
		raise(transfer_stopped);
	}
	return status;
}
