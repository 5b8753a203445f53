/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver, its device and a client: the driver inserts pages in a range that
 * the client exports, and the device reads and writes them by physical
 * address.  What the CPU of the driver sees proves nothing here: pages are
 * filled by the device, and looked at by the client at its own addresses.
 *
 * Exit: 0 passed, 1 failed, 2 a machine without a second node or a device.
 */
#include "edu.h"
#include "harness.h"
#include "lab_node.h"
#include "probe.h"
#include "sharing.h"

#include <contig.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define PIECE (PAGE / 2) /* of one copy; the device's buffer has no whole page */
#define WORDS (PAGE / sizeof(uint64_t))
#define INDICES 64 /* of an object */
#define REFILLS 1200

static struct edu edu;
static uint64_t *scratch; /* the driver's own memory, for the device's copies */
static vm_paddr_t scratch_pa;

/* The one, with the driver's side of it. */
struct client {
	struct other other;
	struct vm_area_struct *vma;
	contig_pool_t *pool;
	vm_object_t object;
};

#define works(call)                                                            \
	do {                                                                   \
		int works_err = (call);                                        \
									       \
		require(!works_err, "%s: %s", strerror(-works_err),            \
			contig_strreason());                                   \
	} while (0)

/* Word i of the page of that salt; of salt 0 all are zero. */
static uint64_t word(uint64_t salt, size_t i)
{
	return salt ? salt * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0x10001) : 0;
}

/* --- the device */

static void copy(vm_paddr_t from, vm_paddr_t to)
{
	for (size_t at = 0; at < PAGE; at += PIECE) {
		edu_start(&edu, from + at, EDU_BUFFER, PIECE, EDU_FROM_MEMORY);
		require(!edu_wait(&edu), "the device");
		edu_start(&edu, EDU_BUFFER, to + at, PIECE, EDU_TO_MEMORY);
		require(!edu_wait(&edu), "the device");
	}
}

static void device_writes(vm_paddr_t pa, uint64_t salt)
{
	for (size_t i = 0; i < WORDS; i++)
		scratch[i] = word(salt, i);
	copy(scratch_pa, pa);
}

/* The frame's bytes, as the device finds them, are the salt's. */
static void device_reads(vm_paddr_t pa, uint64_t salt, const char *what)
{
	memset(scratch, 0xee, PAGE);
	copy(pa, scratch_pa);
	for (size_t i = 0; i < WORDS; i++)
		require(scratch[i] == word(salt, i),
			"%s: the device read %" PRIx64 " from 0x%" PRIx64 ", not %" PRIx64, what,
			scratch[i], pa + i * sizeof(uint64_t), word(salt, i));
}

static void device_open(void)
{
	char address[PCI_ADDRESS_SIZE];

	require(!pci_find(EDU_VENDOR, EDU_DEVICE, 0, address) && !edu_open(&edu, address, 0),
		"no device");
	scratch = contigmalloc(PAGE, M_DEVBUF, M_ZERO, 0, ANY, PAGE, 0);
	require(scratch, "%s", contig_strreason());
	scratch_pa = probe_address(scratch);
}

/* --- the client */

/* Emulated CPUs take long to wake each other: two that take turns share one. */
static void run_on_one(int node)
{
	cpu_set_t cpus;
	int cpu;

	run_on(node);
	cpu = sched_getcpu();
	require(cpu >= 0, "%s", strerror(errno));
	CPU_ZERO(&cpus);
	CPU_SET((size_t)cpu, &cpus);
	require(!sched_setaffinity(0, sizeof(cpus), &cpus), "affinity: %s", strerror(errno));
}

static void client_start(struct client *client, int node, int cpu_node, size_t page_size)
{
	struct other_setup setup = {
		.size = page_size == PAGE ? INDICES * PAGE : 2 * page_size,
		.page_size = page_size,
		.prot = PROT_READ | PROT_WRITE,
		.type = SOCK_SEQPACKET,
	};
	struct contig_pool_attr attr = {
		.struct_size = sizeof(attr),
		.name = "rings",
		.kind = CONTIG_POOL_SHAREABLE,
		.sources = page_size == PAGE ? 0 : CONTIG_SOURCE_2M,
		.node = node,
		.mode = CONTIG_SHARE_REVOCABLE,
	};

	/* Both: so that nothing is on the node just because a CPU of it asked. */
	run_on_one(cpu_node);
	other_start(&client->other, &setup);
	device_open();
	client->pool = contig_pool_create(&attr);
	require(client->pool, "%s", contig_strreason());
	client->object = contig_object_allocate(client->pool, 2 * SUPERPAGE / PAGE);
	require(client->object, "%s", contig_strreason());
	client->vma = vma_import(client->other.socket);
	require(client->vma, "%s", contig_strreason());
	require(client->vma->vm_start == client->other.start, "another range than theirs");
}

static void client_end(struct client *client)
{
	vma_destroy(client->vma);
	other_stop(&client->other);
	edu_close(&edu);
	vm_object_deallocate(client->object);
	require(!contig_quarantined(), "an orderly end quarantined");
}

static unsigned long there(const struct client *client, size_t page)
{
	return client->other.start + page * PAGE;
}

static vm_page_t page_new(struct client *client, vm_pindex_t pindex, unsigned long npages)
{
	vm_page_t page = NULL;

	for (int i = 0; i < 3 && !page; i++) {
		require(!i || !vm_wait(client->object), "%s", contig_strreason());
		VM_OBJECT_WLOCK(client->object);
		page = vm_page_alloc_contig(client->object, pindex,
					    VM_ALLOC_NORMAL | VM_ALLOC_ZERO | VM_ALLOC_NOBUSY,
					    npages, 0, ANY, npages * PAGE, 0,
					    VM_MEMATTR_DEFAULT);
		VM_OBJECT_WUNLOCK(client->object);
	}
	require(page, "%s", contig_strreason());
	/* What it was before may have been anything. */
	memset(vm_page_address(page), 0, npages * PAGE);
	return page;
}

static void client_reads(struct client *client, unsigned long addr, uint64_t salt,
			 const char *what)
{
	for (size_t i = 0; i < WORDS; i++) {
		uint64_t value;
		int number = other_read(&client->other, addr + i * sizeof(value), &value);

		require(!number, "%s: signal %d at word %zu", what, number, i);
		require(value == word(salt, i),
			"%s: word %zu is %" PRIx64 " there, not %" PRIx64, what, i, value,
			word(salt, i));
	}
}

static void client_writes(struct client *client, unsigned long addr, uint64_t salt)
{
	for (size_t i = 0; i < WORDS; i++)
		require(!other_write(&client->other, addr + i * sizeof(uint64_t), word(salt, i)),
			"a fault there");
}

static void client_faults(struct client *client, unsigned long addr, const char *what)
{
	uint64_t value;
	int number = other_read(&client->other, addr, &value);

	require(number == SIGSEGV, "%s: reading there brings signal %d", what, number);
	number = other_write(&client->other, addr, 1);
	require(number == SIGSEGV, "%s: writing there brings signal %d", what, number);
}

/* The node whose CPU the client ran on last. */
static int client_cpu_node(const struct client *client)
{
	char path[96], line[1024], *field;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)client->other.pid);
	f = fopen(path, "re");
	require(f && fgets(line, sizeof(line), f), "%s", path);
	fclose(f);
	field = strrchr(line, ')') + 1; /* before the third */
	for (int i = 3; i <= 39; i++)
		field = strchr(field, ' ') + 1;
	for (int node = 0; node < NODES; node++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpu%d", node,
			 atoi(field));
		if (!access(path, F_OK))
			return node;
	}
	return -1;
}

/* The client's own view of a page: its pagemap, and the kernel's nodes. */
static void client_has(struct client *client, unsigned long addr, vm_paddr_t pa, int node)
{
	const void *page = (const void *)addr;
	uint64_t frame = other_address(&client->other, addr);
	int status = -1;

	require(frame == pa, "frame 0x%" PRIx64 " there, 0x%" PRIx64 " here", frame, pa);
	require(!syscall(SYS_move_pages, client->other.pid, 1UL, &page, NULL, &status, 0),
		"move_pages: %s", strerror(errno));
	require(status == node, "its page is on node %d, not %d", status, node);
	require(node_by_block(pa) == node, "frame 0x%" PRIx64 " is not of node %d", pa, node);
}

/* --- cases */

/* Three pages, in neither their order nor side by side. */
static void both_ways(int node)
{
	struct client client;
	vm_page_t pages[3];
	vm_paddr_t pa[3];
	unsigned long addr[3];

	client_start(&client, node, !node, PAGE);
	for (size_t i = 0; i < 3; i++) {
		pages[i] = page_new(&client, 7 * i, 1);
		pa[i] = VM_PAGE_TO_PHYS(pages[i]);
		addr[i] = there(&client, 20 - 5 * i);
		works(vm_insert_page(client.vma, addr[i], pages[i]));
		client_reads(&client, addr[i], 0, "before the device wrote");
	}
	for (size_t i = 0; i < 3; i++) {
		client_has(&client, addr[i], pa[i], node);
		device_writes(pa[i], 100 + i);
		/* That page and no other. */
		for (size_t k = 0; k < 3; k++)
			client_reads(&client, addr[k], k <= i ? 100 + k : 0, "device to client");
	}
	for (size_t i = 0; i < 3; i++)
		client_writes(&client, addr[i], 200 + i);
	for (size_t i = 0; i < 3; i++)
		device_reads(pa[i], 200 + i, "client to device");
	require(client_cpu_node(&client) == !node, "the client is on node %d",
		client_cpu_node(&client));
	note("frames 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64 " of node %d", pa[0], pa[1],
	     pa[2], node);
	client_end(&client);
}

static void node_0(void)
{
	both_ways(0);
}

static void node_1(void)
{
	both_ways(1);
}

/* A superpage of the kernel's pool, in one piece there as well. */
static void superpage(void)
{
	static const size_t at[] = {0, 1, 300, 511};
	struct client client;
	vm_paddr_t pa;

	client_start(&client, 1, 0, SUPERPAGE);
	pa = VM_PAGE_TO_PHYS(page_new(&client, 0, SUPERPAGE / PAGE));
	works(vm_insert_page(client.vma, there(&client, 512), PHYS_TO_VM_PAGE(pa)));
	client_faults(&client, there(&client, 0), "before the superpage");
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		unsigned long addr = there(&client, 512 + at[i]);

		client_reads(&client, addr, 0, "before the device wrote");
		client_has(&client, addr, pa + at[i] * PAGE, 1);
		device_writes(pa + at[i] * PAGE, 300 + i);
		client_reads(&client, addr, 300 + i, "device to client");
		client_writes(&client, addr, 400 + i);
		device_reads(pa + at[i] * PAGE, 400 + i, "client to device");
	}
	works(zap_vma_ptes(client.vma, there(&client, 512), SUPERPAGE));
	client_faults(&client, there(&client, 512 + 300), "after the zap");
	client_end(&client);
}

/* After a zap the device goes on, and the client sees nothing of it. */
static void taken_back(void)
{
	struct client client;
	vm_page_t page, another;
	vm_paddr_t pa;

	client_start(&client, 1, 0, PAGE);
	page = page_new(&client, 0, 1);
	another = page_new(&client, 1, 1);
	pa = VM_PAGE_TO_PHYS(page);
	works(vm_insert_page(client.vma, there(&client, 9), page));
	device_writes(pa, 1);
	client_reads(&client, there(&client, 9), 1, "before the zap");
	works(zap_vma_ptes(client.vma, there(&client, 9), PAGE));
	client_faults(&client, there(&client, 9), "after the zap");
	device_writes(pa, 2);
	client_faults(&client, there(&client, 9), "after the device wrote");
	for (size_t i = 0; i < WORDS; i++)
		require(((uint64_t *)vm_page_address(page))[i] == word(2, i),
			"the driver's page doesn't have what the device wrote");
	/* Another page in its place. */
	works(vm_insert_page(client.vma, there(&client, 9), another));
	device_writes(pa, 3);
	client_reads(&client, there(&client, 9), 0, "another page");
	client_has(&client, there(&client, 9), VM_PAGE_TO_PHYS(another), 1);
	/* And back. */
	works(zap_vma_ptes(client.vma, there(&client, 9), PAGE));
	works(vm_insert_page(client.vma, there(&client, 9), page));
	client_reads(&client, there(&client, 9), 3, "inserted again");
	client_end(&client);
}

/* None of the pool's pages is that frame, until there are no more. */
static void never_again(struct client *client, vm_paddr_t pa)
{
	unsigned int n = 0;

	while (n < REFILLS) {
		void *p = contig_pool_malloc(client->pool, PAGE, M_DEVBUF, 0, 0, ANY, 1, 0);

		if (!p)
			break;
		n++;
		require(probe_address(p) != pa, "the frame is in use again");
		memset(p, 0x55, PAGE);
	}
	require(n == REFILLS, "only %u pages more: %s", n, contig_strreason());
}

/*
 * The client is killed while the device writes for it: the frame is nobody
 * else's, for as long as there is the pool.
 */
static void client_killed(void)
{
	struct client client;
	vm_page_t page;
	vm_paddr_t pa;

	client_start(&client, 1, 0, PAGE);
	page = page_new(&client, 0, 1);
	pa = VM_PAGE_TO_PHYS(page);
	works(vm_insert_page(client.vma, there(&client, 3), page));
	device_writes(pa, 1);
	client_reads(&client, there(&client, 3), 1, "before the end");
	kill(client.other.pid, SIGKILL);
	reap(client.other.pid);
	require(zap_vma_ptes(client.vma, there(&client, 3), PAGE) == -EPIPE, "no EPIPE");
	vma_destroy(client.vma);
	vm_object_deallocate(client.object);
	require(contig_quarantined() >= PAGE, "nothing is quarantined");
	device_writes(pa, 2);
	never_again(&client, pa);
	device_reads(pa, 2, "a frame in quarantine");
	edu_close(&edu);
}

/* By way of what the client has mapped, and so as it could do it. */
static void punch(const struct client *client, unsigned long addr, unsigned long size)
{
	unsigned long start, end, offset;
	char path[96], line[512];
	FILE *maps;
	int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)client->other.pid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &offset) != 3 ||
		    addr < start || addr >= end)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx",
			 (int)client->other.pid, start, end);
		fd = open(path, O_RDWR | O_CLOEXEC);
		break;
	}
	require(maps && fd >= 0, "%s: %s", path, strerror(errno));
	fclose(maps);
	offset = (offset + addr - start) & ~(size - 1);
	require(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			   (off_t)size),
		"no hole: %s", strerror(errno));
	close(fd);
}

/*
 * What the client of a revocable pool can do to a page.  A hole of less than
 * the superpage that is pinned is only zeroed.  Without the superpage the
 * device goes on with the old frame, which the pin keeps from everybody else,
 * and the driver can find out.
 */
static void punched(void)
{
	struct client client;
	vm_page_t page;
	vm_paddr_t pa;

	client_start(&client, 1, 0, PAGE);
	page = page_new(&client, 0, 1);
	pa = VM_PAGE_TO_PHYS(page);
	works(vm_insert_page(client.vma, there(&client, 3), page));
	device_writes(pa, 1);
	client_reads(&client, there(&client, 3), 1, "before the hole");
	require(contig_verify() == 0, "%d frames are elsewhere", contig_verify());

	punch(&client, there(&client, 3), PAGE);
	client_reads(&client, there(&client, 3), 0, "the hole of a page");
	client_has(&client, there(&client, 3), pa, 1);
	require(contig_verify() == 0, "%d frames are elsewhere", contig_verify());
	device_writes(pa, 2);
	client_reads(&client, there(&client, 3), 2, "the device wrote behind the hole");

	punch(&client, there(&client, 3), SUPERPAGE);
	client_reads(&client, there(&client, 3), 0, "the hole of a superpage");
	require(other_address(&client.other, there(&client, 3)) != pa, "still the old frame");
	require(contig_verify() == SUPERPAGE / PAGE, "%d frames are elsewhere, not a superpage",
		contig_verify());
	device_writes(pa, 3);
	client_reads(&client, there(&client, 3), 0, "after the device wrote");
	never_again(&client, pa);
	device_reads(pa, 3, "the old frame");
	client_end(&client);
}

static const struct test_case cases[] = {
	{"node_0", node_0, POOL_ANY, CASE_SLOW, NULL},
	{"node_1", node_1, POOL_ANY, CASE_SLOW, NULL},
	{"superpage", superpage, POOL_ANY, CASE_SLOW, "CONTIG_SOURCES=2m,thp"},
	{"taken_back", taken_back, POOL_ANY, CASE_SLOW, NULL},
	{"client_killed", client_killed, POOL_ANY, CASE_SLOW, NULL},
	{"punched", punched, POOL_ANY, CASE_SLOW, NULL},
};

int main(int argc, char **argv)
{
	if (access("/sys/devices/system/node/node1", F_OK) ||
	    !pci_count(EDU_VENDOR, EDU_DEVICE)) {
		printf("this takes a machine of two nodes with an edu device\n");
		return 2;
	}
	return RUN_CASES(cases, argc, argv);
}
