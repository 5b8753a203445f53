/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parsers of lib/host on captured trees (tests/trees), and on trees made
 * here whose content is wrong: an error then, never a crash.
 */
#include "base/page.h"
#include "host/available.h"
#include "host/buddy.h"
#include "host/hugetlb.h"
#include "host/maps.h"
#include "host/pagemap.h"
#include "host/root.h"
#include "host/topology.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GB GIGAPAGE_SIZE
#define MB2 SUPERPAGE_SIZE

static void use(const char *tree)
{
	const char *top = getenv("top_srcdir");
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/tests/trees/%s", top ? top : ".", tree);
	ck_assert_int_eq(contig_root_set(dir), 0);
	ck_assert(!contig_root_is_real());
}

/* ---- a tree of our own ---- */

static char scratch[] = "/tmp/contig-tree-XXXXXX";

static void scratch_begin(void)
{
	strcpy(scratch + strlen(scratch) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(scratch));
	ck_assert_int_eq(contig_root_set(scratch), 0);
}

static void scratch_end(void)
{
	char command[64];

	contig_root_set("");
	snprintf(command, sizeof(command), "rm -rf '%s'", scratch);
	ck_assert_int_eq(system(command), 0);
}

static void make_parents(char *path)
{
	for (char *p = path + strlen(scratch) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0777);
		*p = '/';
	}
}

static void put_bytes(const char *path, const void *data, size_t len)
{
	char full[PATH_MAX];
	int fd;

	snprintf(full, sizeof(full), "%s%s", scratch, path);
	make_parents(full);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	close(fd);
}

static void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

/* ---- topology ---- */

static void check_ram(const struct host_topology *t, unsigned int i, uint64_t start,
		      uint64_t end, int node)
{
	ck_assert_uint_lt(i, t->n_ram);
	ck_assert_uint_eq(t->ram[i].start, start);
	ck_assert_uint_eq(t->ram[i].end, end);
	ck_assert_int_eq(t->ram[i].node, node);
}

START_TEST(topology_laptop)
{
	const struct host_topology *t;

	use("laptop");
	t = contig_topology();
	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(t->n_nodes, 1);
	ck_assert_int_eq(t->nodes[0], 0);
	ck_assert_uint_eq(t->n_zones, 3);
	ck_assert_str_eq(t->zones[1].name, "DMA32");
	ck_assert_uint_eq(t->zones[1].start_frame, 4096);
	ck_assert_uint_eq(t->zones[1].spanned, 1044480);
	ck_assert_uint_eq(t->zones[1].present, 440000);
	ck_assert_uint_eq(t->zones[1].managed, 423104);
	ck_assert_uint_eq(t->zones[1].free, 301201);
	ck_assert_uint_eq(t->zones[1].wmark_min, 423104 / 400);
	ck_assert_uint_eq(t->zones[1].wmark_low, 423104 / 400 * 5 / 4);
	/* Not the per-CPU lists' "high:". */
	ck_assert_uint_eq(t->zones[1].wmark_high, 423104 / 400 * 3 / 2);
	ck_assert(t->ram_exact);
	ck_assert_uint_eq(t->n_ram, 3);
	check_ram(t, 0, 0x1000, 0x9e000, 0); /* the cut page is not ours */
	check_ram(t, 1, 0x100000, 0x6b450000, 0);
	check_ram(t, 2, 0x100000000, 0x47e000000, 0);
	ck_assert_uint_eq(t->end, UINT64_C(0x47e000000));
	ck_assert_int_eq(contig_topology_distance(0, 0), 10);
	ck_assert_int_eq(contig_topology_distance(0, 1), -1);
	ck_assert_int_eq(contig_topology_node_of(0x100), 0);
	ck_assert_int_eq(contig_topology_node_of(0xe0000), 0); /* PCI, in the span */
	ck_assert_int_eq(contig_topology_node_of(0x4000000), -1);
	ck_assert_int_eq(contig_topology_node_of(UINT64_MAX), -1);
}
END_TEST

START_TEST(topology_server2)
{
	const struct host_topology *t;

	use("server2");
	t = contig_topology();
	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(t->n_nodes, 2);
	ck_assert_int_eq(t->nodes[1], 1);
	ck_assert_uint_eq(t->n_zones, 4);
	ck_assert_int_eq(t->zones[3].node, 1);
	ck_assert(t->ram_exact);
	/* One iomem range, cut where node 1 begins; kmem is in no zone here. */
	ck_assert_uint_eq(t->n_ram, 5);
	check_ram(t, 2, 0x100000000, UINT64_C(67633152) << 12, 0);
	check_ram(t, 3, UINT64_C(67633152) << 12, UINT64_C(0x8080000000), 1);
	check_ram(t, 4, UINT64_C(0x8080000000), UINT64_C(0x8100000000), -1);
	ck_assert_int_eq(contig_topology_distance(0, 1), 21);
	ck_assert_int_eq(contig_topology_distance(1, 1), 10);
	ck_assert_int_eq(contig_topology_distance(1, 2), -1);
	ck_assert_int_eq(contig_topology_distance(2, 0), -1);
	ck_assert_int_eq(contig_topology_distance(-1, 0), -1);
}
END_TEST

START_TEST(topology_node8)
{
	static const struct {
		unsigned int from_gb, to_gb;
		int node;
	} want[] = {
		{4, 66, 0}, {66, 130, 1}, {130, 162, 2}, {162, 194, 3}, {194, 226, 2},
		{226, 258, 3}, {258, 322, 4}, {322, 386, 5}, {386, 450, 6}, {450, 514, 7},
	};
	const struct host_topology *t;

	use("node8");
	t = contig_topology();
	ck_assert_ptr_nonnull(t);
	ck_assert_int_eq(t->n_nodes, 8);
	ck_assert(t->ram_exact);
	ck_assert_uint_eq(t->n_ram, 2 + 10);
	for (unsigned int i = 0; i < 10; i++)
		check_ram(t, 2 + i, want[i].from_gb * GB, want[i].to_gb * GB, want[i].node);
	ck_assert_uint_eq(t->end, 514 * GB);
	ck_assert_int_eq(contig_topology_node_of(163 * GB >> 12), 3);
	ck_assert_int_eq(contig_topology_node_of(225 * GB >> 12), 2);
	ck_assert_str_eq(t->zones[t->n_zones - 1].name, "Movable");
	ck_assert_int_eq(contig_topology_distance(2, 3), 16);
	ck_assert_int_eq(contig_topology_distance(0, 7), 50);
	ck_assert_int_eq(contig_topology_distance(5, 2), 32);
}
END_TEST

START_TEST(topology_container)
{
	const struct host_topology *t;

	use("container");
	t = contig_topology();
	ck_assert_ptr_nonnull(t);
	ck_assert(!t->ram_exact);
	ck_assert_uint_eq(t->n_ram, 1); /* three zones that touch, one node */
	check_ram(t, 0, 0x1000, UINT64_C(16777216) << 12, 0);
	ck_assert_uint_eq(t->end, UINT64_C(16777216) << 12);
}
END_TEST

START_TEST(topology_follows_root)
{
	const struct host_topology *laptop, *server;

	use("laptop");
	laptop = contig_topology();
	use("server2");
	server = contig_topology();
	ck_assert_int_eq(server->n_nodes, 2);
	ck_assert_int_eq(laptop->n_nodes, 1); /* old pointers stay valid */
	ck_assert_ptr_eq(contig_topology(), server);
	ck_assert_int_eq(contig_topology_refresh(), 0);
	ck_assert_ptr_ne(contig_topology(), server);
	use("container1"); /* has no zoneinfo */
	errno = 0;
	ck_assert_ptr_null(contig_topology());
	ck_assert_int_eq(errno, ENOENT);
	contig_root_set("");
	ck_assert_ptr_nonnull(contig_topology());
}
END_TEST

/* Overlapping zones without memory blocks to tell: unknown, not a guess. */
START_TEST(topology_overlap_unknown)
{
	const struct host_topology *t;

	scratch_begin();
	put("/proc/zoneinfo",
	    "Node 0, zone   Normal\n  pages free 5\n spanned 1000\n present 600\n start_pfn: 0\n"
	    "Node 1, zone   Normal\n  pages free 5\n spanned 1000\n present 600\n start_pfn: 500\n");
	t = contig_topology();
	ck_assert_ptr_nonnull(t);
	ck_assert_uint_eq(t->n_ram, 3);
	check_ram(t, 0, 0, 500 << 12, 0);
	check_ram(t, 1, 500 << 12, 1000 << 12, -1);
	check_ram(t, 2, 1000 << 12, 1500 << 12, 1);
	ck_assert_int_eq(contig_topology_node_of(700), -1);
	scratch_end();
}
END_TEST

/* A memory block that two nodes share is nobody's. */
START_TEST(topology_shared_block)
{
	const struct host_topology *t;

	scratch_begin();
	put("/proc/zoneinfo",
	    "Node 0, zone   Normal\n  pages free 5\n spanned 3072\n present 1024\n start_pfn: 0\n"
	    "Node 1, zone   Normal\n  pages free 5\n spanned 3072\n present 2048\n start_pfn: 0\n");
	put("/sys/devices/system/memory/block_size_bytes", "400000\n");
	put("/sys/devices/system/node/node0/memory0", "");
	put("/sys/devices/system/node/node0/memory1", "");
	put("/sys/devices/system/node/node1/memory1", "");
	put("/sys/devices/system/node/node1/memory2", "");
	t = contig_topology();
	ck_assert_ptr_nonnull(t);
	ck_assert_uint_eq(t->n_ram, 3);
	check_ram(t, 0, 0, 0x400000, 0);
	check_ram(t, 1, 0x400000, 0x800000, -1);
	check_ram(t, 2, 0x800000, 0xc00000, 1);
	scratch_end();
}
END_TEST

/* More pieces than the table holds: no node for them, but all memory. */
START_TEST(topology_fine_interleave)
{
	const struct host_topology *t;
	char path[96];

	scratch_begin();
	put("/proc/zoneinfo",
	    "Node 0, zone   Normal\n  pages free 5\n spanned 614400\n present 307200\n start_pfn: 0\n"
	    "Node 1, zone   Normal\n  pages free 5\n spanned 614400\n present 307200\n start_pfn: 0\n");
	put("/sys/devices/system/memory/block_size_bytes", "400000\n");
	for (int i = 0; i < 600; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/memory%d", i & 1, i);
		put(path, "");
	}
	t = contig_topology();
	ck_assert_ptr_nonnull(t);
	ck_assert_uint_eq(t->n_ram, 1);
	check_ram(t, 0, 0, UINT64_C(614400) << 12, -1);
	scratch_end();
}
END_TEST

static const char *const bad_zoneinfo[] = {
	"",
	"garbage\n",
	"Node\n",
	"Node x, zone Normal\n",
	"Node 0, zone\n",
	"Node 0, zone ThisNameIsFarTooLongForAZone\n",
	"Node 99999, zone Normal\n  pages free 1\n spanned 1\n present 1\n start_pfn: 1\n",
	"Node 99999999999999999999999, zone Normal\n",
	/* cut before its start, and in the middle of its start */
	"Node 0, zone Normal\n  pages free 1\n spanned 10\n present 10\n",
	"Node 0, zone Normal\n  pages free 1\n spanned 10\n present 10\n start_pfn: 12",
	"Node 0, zone Normal\n  pages free 1\n spanned 10\n present x\n start_pfn: 1\n",
	"Node 0, zone Normal\n  pages free 1\n spanned 10\n present -1\n start_pfn: 1\n",
	/* more present than spanned; sums beyond all memory; overflow */
	"Node 0, zone Normal\n  pages free 1\n spanned 10\n present 11\n start_pfn: 1\n",
	"Node 0, zone Normal\n  pages free 1\n spanned 18446744073709551615\n present 1\n start_pfn: 1\n",
	"Node 0, zone Normal\n  pages free 1\n spanned 10\n present 10\n start_pfn: 18446744073709551610\n",
	"Node 0, zone Normal\n  pages free 1\n spanned 99999999999999999999\n present 1\n start_pfn: 1\n",
	"Node 0, zone Normal\n  pages free 1\n spanned 0\n present 0\n",
};

START_TEST(topology_bad_zoneinfo)
{
	scratch_begin();
	put("/proc/zoneinfo", bad_zoneinfo[_i]);
	errno = 0;
	ck_assert_ptr_null(contig_topology());
	ck_assert_int_eq(errno, EINVAL);
	scratch_end();
}
END_TEST

static const char *const bad_iomem[] = {
	"zz-ff : System RAM\n",
	"1000-x : System RAM\n",
	"1000 : System RAM\n",
	"2000-1000 : System RAM\n",
	"0-ffffffffffffffff : System RAM\n",
	"0-ffffffffffffffffffff : System RAM\n",
};

START_TEST(topology_bad_iomem)
{
	scratch_begin();
	put("/proc/zoneinfo",
	    "Node 0, zone Normal\n  pages free 1\n spanned 10\n present 10\n start_pfn: 1\n");
	put("/proc/iomem", "1000-4fff : System RAM\n");
	ck_assert_int_eq(contig_topology_refresh(), 0);
	ck_assert(contig_topology()->ram_exact);
	put("/proc/iomem", bad_iomem[_i]);
	ck_assert_int_eq(contig_topology_refresh(), -EINVAL);
	/* What was read before is still there. */
	ck_assert(contig_topology()->ram_exact);
	scratch_end();
}
END_TEST

START_TEST(topology_too_many)
{
	char *text = malloc(1 << 20), *p = text;

	ck_assert_ptr_nonnull(text);
	scratch_begin();
	for (int i = 0; i < HOST_NODES_MAX + 1; i++)
		p += sprintf(p, "Node %d, zone Normal\n  pages free 1\n spanned 8\n present 8\n start_pfn: %d\n",
			     i, i * 8);
	put("/proc/zoneinfo", text);
	ck_assert_int_eq(contig_topology_refresh(), -E2BIG);
	p = text;
	for (int i = 0; i < HOST_ZONES_MAX + 1; i++)
		p += sprintf(p, "Node 0, zone Z%d\n  pages free 1\n spanned 8\n present 8\n start_pfn: %d\n",
			     i, i * 8);
	put("/proc/zoneinfo", text);
	ck_assert_int_eq(contig_topology_refresh(), -E2BIG);
	put("/proc/zoneinfo",
	    "Node 0, zone Normal\n  pages free 1\n spanned 10\n present 10\n start_pfn: 1\n");
	p = text;
	for (int i = 0; i < HOST_RAM_MAX + 1; i++)
		p += sprintf(p, "%x-%x : System RAM\n", i << 16, (i << 16) + 0xfff + 1);
	put("/proc/iomem", text);
	ck_assert_int_eq(contig_topology_refresh(), -E2BIG);
	scratch_end();
	free(text);
}
END_TEST

START_TEST(distance_bad)
{
	scratch_begin();
	ck_assert_int_eq(contig_topology_distance(0, 0), -1);
	put("/sys/devices/system/node/online", "0-1,4\n");
	put("/sys/devices/system/node/node0/distance", "10 20 40\n");
	ck_assert_int_eq(contig_topology_distance(0, 4), 40);
	ck_assert_int_eq(contig_topology_distance(0, 2), -1);
	put("/sys/devices/system/node/node0/distance", "10 20\n");
	ck_assert_int_eq(contig_topology_distance(0, 4), -1);
	put("/sys/devices/system/node/node0/distance", "10 x 40\n");
	ck_assert_int_eq(contig_topology_distance(0, 4), -1);
	put("/sys/devices/system/node/node0/distance", "10 20 99999\n");
	ck_assert_int_eq(contig_topology_distance(0, 4), -1);
	put("/sys/devices/system/node/online", "1-0\n");
	ck_assert_int_eq(contig_topology_distance(0, 1), -1);
	put("/sys/devices/system/node/online", "0-99999999999999999999\n");
	ck_assert_int_eq(contig_topology_distance(0, 1), -1);
	/* CPUs: whichever we run on is on node 5 here. */
	put("/sys/devices/system/node/node5/cpulist", "0-1023\n");
	ck_assert_int_eq(contig_topology_node_here(), 5);
	put("/sys/devices/system/node/node5/cpulist", "\n");
	ck_assert_int_eq(contig_topology_node_here(), -1);
	scratch_end();
}
END_TEST

/* ---- memory and its limits ---- */

START_TEST(available_trees)
{
	uint64_t bytes;

	use("laptop");
	ck_assert_int_eq(contig_meminfo("MemTotal", &bytes), 0);
	ck_assert_uint_eq(bytes, UINT64_C(16241092) * 1024);
	ck_assert_int_eq(contig_meminfo("Mem", &bytes), -ENOENT);
	ck_assert_int_eq(contig_meminfo("HugePages_Total", &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_uint_eq(contig_memcg_room(), UINT64_MAX);
	ck_assert_uint_eq(contig_available(), UINT64_C(9820164) * 1024);

	use("server2"); /* memory.high is below memory.max; 4 GiB idle cache */
	ck_assert_uint_eq(contig_memcg_room(), (60 - 40 + 4) * GB);
	ck_assert_uint_eq(contig_available(), 24 * GB);

	use("node8"); /* the parent's limit, with the parent's use */
	ck_assert_uint_eq(contig_memcg_room(), (100 - 90 + 2) * GB);

	use("container");
	ck_assert_uint_eq(contig_memcg_room(), 536870912 - 314572800 + 100663296);
	ck_assert_uint_eq(contig_available(), 536870912 - 314572800 + 100663296);

	use("container1"); /* an ancestor that isn't visible: hierarchical limit */
	ck_assert_uint_eq(contig_memcg_room(), GB / 2);
}
END_TEST

START_TEST(buddy_blocks)
{
	uint64_t n = 99;

	scratch_begin();
	ck_assert_int_eq(contig_buddy_superpages(NULL, -1, &n), -ENOENT);
	ck_assert_uint_eq(contig_buddy_lone_superpages(-1), 0);
	put("/proc/buddyinfo",
	    "Node 0, zone      DMA      1      0      0      0      2      1      1      0      1      1      3 \n"
	    "Node 0, zone   Normal     82    398   2013   1188   1049    474    338    213    141    120   4798 \n"
	    "Node 1, zone   Normal      7      7      7      7      7      7      7      7      7     30      0      5 \n");
	ck_assert_int_eq(contig_buddy_superpages(NULL, -1, &n), 0);
	ck_assert_uint_eq(n, 1 + 2 * 3 + 120 + 2 * 4798 + 30 + 4 * 5);
	ck_assert_int_eq(contig_buddy_superpages("Normal", 0, &n), 0);
	ck_assert_uint_eq(n, 120 + 2 * 4798);
	ck_assert_uint_eq(contig_buddy_lone_superpages(-1), 1 + 120 + 30);
	ck_assert_uint_eq(contig_buddy_lone_superpages(1), 30);
	put("/proc/buddyinfo", "Node 0, zone Normal 1 x 3\nNode 0,\n\n");
	ck_assert_int_eq(contig_buddy_superpages(NULL, -1, &n), 0);
	ck_assert_uint_eq(n, 0);
	scratch_end();
}
END_TEST

START_TEST(meminfo_bad)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{"", -ENOENT},
		{"MemFree: 1 kB\n", -ENOENT},
		{"MemTotal:\n", -EINVAL},
		{"MemTotal: x kB\n", -EINVAL},
		{"MemTotal: -5 kB\n", -EINVAL},
		{"MemTotal: 5 MB\n", -EINVAL},
		{"MemTotal: 18446744073709551615 kB\n", -ERANGE},
		{"MemTotal: 99999999999999999999 kB\n", -ERANGE},
		{"MemTotal: 164", -EINVAL}, /* cut */
	};
	uint64_t bytes = 77;

	scratch_begin();
	ck_assert_int_eq(contig_meminfo("MemTotal", &bytes), -ENOENT);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		put("/proc/meminfo", cases[i].text);
		ck_assert_int_eq(contig_meminfo("MemTotal", &bytes), cases[i].err);
		ck_assert_uint_eq(bytes, 77);
	}
	ck_assert_uint_eq(contig_available(), 0);
	scratch_end();
}
END_TEST

/* Limits that can't be understood mean "nothing", not "everything". */
START_TEST(memcg_bad)
{
	scratch_begin();
	put("/proc/self/cgroup", "0::/a\n");
	put("/proc/self/mountinfo", "1 2 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
	ck_assert_uint_eq(contig_memcg_room(), UINT64_MAX);
	put("/sys/fs/cgroup/a/memory.max", "1000000\n");
	ck_assert_uint_eq(contig_memcg_room(), 0); /* no memory.current */
	put("/sys/fs/cgroup/a/memory.current", "400000\n");
	ck_assert_uint_eq(contig_memcg_room(), 600000);
	put("/sys/fs/cgroup/a/memory.stat", "inactive_file 100\n");
	ck_assert_uint_eq(contig_memcg_room(), 600100);
	put("/sys/fs/cgroup/a/memory.stat", "inactive_file 99999999999999999999\n");
	ck_assert_uint_eq(contig_memcg_room(), 600000);
	put("/sys/fs/cgroup/a/memory.stat", "inactive_file 900000\n");
	ck_assert_uint_eq(contig_memcg_room(), 1000000); /* never above the limit */
	put("/sys/fs/cgroup/a/memory.max", "what\n");
	ck_assert_uint_eq(contig_memcg_room(), 0);
	put("/sys/fs/cgroup/a/memory.max", "1\n");
	put("/sys/fs/cgroup/a/memory.stat", "");
	ck_assert_uint_eq(contig_memcg_room(), 0); /* over its limit */
	scratch_end();
}
END_TEST

/* Which directory is ours, when namespaces and bind mounts hide parts. */
START_TEST(cgroup_places)
{
	scratch_begin();
	put("/cg/a/b/memory.max", "1000\n");
	put("/cg/a/b/memory.current", "1\n");
	put("/cg/memory.max", "5000\n");
	put("/cg/memory.current", "2\n");
	put("/proc/self/mountinfo", "1 2 0:29 / /cg rw - cgroup2 c rw\n");
	put("/proc/self/cgroup", "0::/a/b\n");
	ck_assert_uint_eq(contig_memcg_room(), 999);
	/* moved out of our namespace: only the top is surely an ancestor */
	put("/proc/self/cgroup", "0::/../a/b\n");
	put("/a/b/memory.max", "10\n"); /* where the name would lead */
	put("/a/b/memory.current", "1\n");
	ck_assert_uint_eq(contig_memcg_room(), 4998);
	/* the mount shows /x only, and we are in /x/a/b */
	put("/proc/self/mountinfo", "1 2 0:29 /x /cg rw - cgroup2 c rw\n");
	put("/proc/self/cgroup", "0::/x/a/b\n");
	ck_assert_uint_eq(contig_memcg_room(), 999);
	/* /xy is not below /x */
	put("/proc/self/cgroup", "0::/xy/a/b\n");
	ck_assert_uint_eq(contig_memcg_room(), 4998);
	/* of two mounts the one that shows our group */
	put("/proc/self/mountinfo", "1 2 0:29 /other /cg/none rw - cgroup2 c rw\n"
				    "1 2 0:29 / /cg rw - cgroup2 c rw\n");
	put("/proc/self/cgroup", "0::/a/b\n");
	ck_assert_uint_eq(contig_memcg_room(), 999);
	/* a mount point with a space, and optional fields */
	put("/my cg/memory.max", "300\n");
	put("/my cg/memory.current", "0\n");
	put("/proc/self/mountinfo", "1 2 0:29 / /my\\040cg rw shared:1 master:3 - cgroup2 c rw\n");
	put("/proc/self/cgroup", "0::/\n");
	ck_assert_uint_eq(contig_memcg_room(), 300);
	/* v1: "memory" is a whole word in the list of controllers */
	put("/m1/memory.limit_in_bytes", "200\n");
	put("/m1/memory.usage_in_bytes", "0\n");
	put("/proc/self/mountinfo", "1 2 0:29 / /m1 rw - cgroup c rw,cpu,memory\n");
	put("/proc/self/cgroup", "4:cpu,memory:/\n");
	ck_assert_uint_eq(contig_memcg_room(), 200);
	put("/proc/self/cgroup", "4:cpu,xmemory:/\n");
	ck_assert_uint_eq(contig_memcg_room(), UINT64_MAX);
	/* lines that make no sense are passed over */
	put("/proc/self/cgroup", "\n:\n::\n4\n0:\n4:cpu,memory:/\n");
	put("/proc/self/mountinfo", "\n - \n1 - cgroup c rw,memory\n1 2 3 4 - cgroup c rw,memory\n"
				    "1 2 0:29 / /m1 rw - cgroup c rw,cpu,memory\n");
	ck_assert_uint_eq(contig_memcg_room(), 200);
	scratch_end();
}
END_TEST

/* ---- hugetlb ---- */

START_TEST(hugetlb_trees)
{
	struct hugetlb_counts c;
	uint64_t sizes[8], small;
	char path[64];

	use("laptop");
	ck_assert_int_eq(contig_hugetlb_sizes(sizes, 8), 1);
	ck_assert_uint_eq(sizes[0], MB2);
	ck_assert_int_eq(contig_hugetlb_counts(GB, HUGETLB_ALL_NODES, &c), -ENOENT);
	ck_assert_int_eq(contig_hugetlb_mount(MB2, path, sizeof(path)), -ENOENT);
	ck_assert_int_eq(contig_hugetlb_demote_size(GB, &small), -EOPNOTSUPP);

	use("server2");
	ck_assert_int_eq(contig_hugetlb_sizes(sizes, 8), 2);
	ck_assert_uint_eq(sizes[0], MB2);
	ck_assert_uint_eq(sizes[1], GB);
	ck_assert_int_eq(contig_hugetlb_sizes(sizes, 1), 1);
	ck_assert_int_eq(contig_hugetlb_counts(MB2, HUGETLB_ALL_NODES, &c), 0);
	ck_assert_uint_eq(c.total, 8192);
	ck_assert_uint_eq(c.free, 6144);
	ck_assert_uint_eq(c.reserved, 128);
	ck_assert_uint_eq(c.surplus, 512);
	ck_assert_uint_eq(c.overcommit, 1024);
	ck_assert_int_eq(contig_hugetlb_counts(MB2, 1, &c), 0);
	ck_assert_uint_eq(c.total, 3072);
	ck_assert_uint_eq(c.free, 2048);
	ck_assert_uint_eq(c.surplus, 0);
	ck_assert_uint_eq(c.overcommit, 0);
	ck_assert_int_eq(contig_hugetlb_counts(MB2, 2, &c), -ENOENT);
	ck_assert_int_eq(contig_hugetlb_demote_size(GB, &small), 0);
	ck_assert_uint_eq(small, MB2);
	ck_assert_int_eq(contig_hugetlb_mount(MB2, path, sizeof(path)), 0);
	ck_assert_str_eq(path, "/dev/hugepages");
	ck_assert_int_eq(contig_hugetlb_mount(GB, path, sizeof(path)), 0);
	ck_assert_str_eq(path, "/mnt/huge 1G");
	ck_assert_int_eq(contig_hugetlb_mount(GB, path, 5), -ENAMETOOLONG);
	/* own: limit 2048 - 1000, reservations 1500 - 1100; above: 3000 - 1000 */
	ck_assert_uint_eq(contig_hugetlb_cgroup_room(MB2), 400);
	ck_assert_uint_eq(contig_hugetlb_cgroup_room(GB), 3);
	ck_assert_uint_eq(contig_hugetlb_cgroup_room(65536), UINT64_MAX);

	use("node8");
	ck_assert_uint_eq(contig_hugetlb_cgroup_room(MB2), 100);
	ck_assert_uint_eq(contig_hugetlb_cgroup_room(GB), UINT64_MAX);
	/* a mount without pagesize= has the default size */
	ck_assert_int_eq(contig_hugetlb_mount(MB2, path, sizeof(path)), 0);
	ck_assert_int_eq(contig_hugetlb_mount(GB, path, sizeof(path)), -ENOENT);

	use("container1"); /* more reserved than allowed */
	ck_assert_uint_eq(contig_hugetlb_cgroup_room(MB2), 0);
}
END_TEST

START_TEST(hugetlb_bad)
{
	struct hugetlb_counts c;
	uint64_t sizes[8], small;

	scratch_begin();
	ck_assert_int_eq(contig_hugetlb_sizes(sizes, 8), -ENOENT);
	put("/sys/kernel/mm/hugepages/hugepages-64kB/x", "");
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "12\n");
	put("/sys/kernel/mm/hugepages/hugepages-0kB/x", "");
	put("/sys/kernel/mm/hugepages/hugepages-kB/x", "");
	put("/sys/kernel/mm/hugepages/hugepages-99999999999999999999kB/x", "");
	put("/sys/kernel/mm/hugepages/hugepages-18446744073709551615kB/x", "");
	put("/sys/kernel/mm/hugepages/hugepages-32MB/x", "");
	put("/sys/kernel/mm/hugepages/other/x", "");
	ck_assert_int_eq(contig_hugetlb_sizes(sizes, 8), 2);
	ck_assert_uint_eq(sizes[0], 65536);
	ck_assert_uint_eq(sizes[1], MB2);
	ck_assert_int_eq(contig_hugetlb_counts(MB2, HUGETLB_ALL_NODES, &c), -ENOENT);
	ck_assert_uint_eq(c.total, 0);
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "twelve\n");
	ck_assert_int_eq(contig_hugetlb_counts(MB2, HUGETLB_ALL_NODES, &c), -EINVAL);
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/demote_size", "64\n");
	ck_assert_int_eq(contig_hugetlb_demote_size(MB2, &small), -EINVAL);
	put("/sys/kernel/mm/hugepages/hugepages-2048kB/demote_size", "4096kB\n");
	ck_assert_int_eq(contig_hugetlb_demote_size(MB2, &small), -EINVAL);
	/* Nothing is ever written to a captured tree. */
	ck_assert_int_eq(contig_hugetlb_resize(MB2, HUGETLB_ALL_NODES, 1, NULL), -EROFS);
	ck_assert_int_eq(contig_hugetlb_overcommit(MB2, 1), -EROFS);
	ck_assert_int_eq(contig_hugetlb_demote(MB2, 0, 1), -EROFS);
	ck_assert_int_eq(contig_hugetlb_compact(0), -EROFS);
	scratch_end();
}
END_TEST

/* ---- maps, pagemap ---- */

struct seen {
	int n, stop_at;
	struct host_mapping m[16];
	char name[16][64];
};

static int see(const struct host_mapping *m, void *arg)
{
	struct seen *s = arg;

	ck_assert_int_lt(s->n, 16);
	s->m[s->n] = *m;
	snprintf(s->name[s->n], sizeof(s->name[0]), "%s", m->name);
	s->n++;
	return s->n == s->stop_at ? 42 : 0;
}

START_TEST(maps_laptop)
{
	struct seen s = {.n = 0};

	use("laptop");
	ck_assert_int_eq(contig_maps_each(0, _i, see, &s), 0);
	ck_assert_int_eq(s.n, 9);
	ck_assert_uint_eq(s.m[0].start, 0x400000);
	ck_assert_uint_eq(s.m[0].end, 0x403000);
	ck_assert(s.m[0].read && !s.m[0].write && s.m[0].exec && !s.m[0].shared);
	ck_assert_uint_eq(s.m[0].inode, 1835043);
	ck_assert_uint_eq(s.m[0].dev_major, 0x103);
	ck_assert_uint_eq(s.m[1].offset, 0x2000);
	ck_assert_str_eq(s.name[0], "/usr/local/bin/my tool (old)");
	ck_assert_str_eq(s.name[2], "[heap]");
	ck_assert_str_eq(s.name[3], "/memfd:contig (deleted)");
	ck_assert(s.m[3].shared && s.m[3].write);
	ck_assert_str_eq(s.name[4], "");
	ck_assert(!s.m[5].read && !s.m[5].write);
	ck_assert_uint_eq(s.m[8].start, UINT64_C(0xffffffffff600000));
	ck_assert_uint_eq(s.m[3].kernel_page, _i ? MB2 : 0);
	ck_assert_uint_eq(s.m[3].huge_bytes, _i ? (262144 + 4096) * 1024 : 0);
	ck_assert_uint_eq(s.m[2].kernel_page, _i ? 4096 : 0);
	ck_assert_uint_eq(s.m[2].huge_bytes, _i ? MB2 : 0);
	ck_assert_uint_eq(s.m[8].kernel_page, _i ? 4096 : 0); /* the last too */
	for (int stop = 1; stop <= 9; stop++) {
		s = (struct seen){.stop_at = stop};
		ck_assert_int_eq(contig_maps_each(0, _i, see, &s), 42);
		ck_assert_int_eq(s.n, stop);
	}
	ck_assert_int_eq(contig_maps_each(4711, _i, see, &s), -ENOENT);
	ck_assert_int_eq(contig_maps_each(-1, _i, see, &s), -EINVAL);
}
END_TEST

static const char *const bad_maps[] = {
	"garbage\n",
	"\n",
	"00400000-00403000 r-xp 00000000 103:02 18", /* cut */
	"00400000-00403000 r-xp 00000000 103:02\n",
	"00400000-00403000 r-xp\n",
	"00400000-00403000\n",
	"00400000-\n",
	"00403000-00400000 r-xp 00000000 103:02 1\n",
	"00400000-00403000 rwxq 00000000 103:02 1\n",
	"00400000-00403000 r-x 00000000 103:02 1\n",
	"00400000-00403000 r-xp 00000000 103.02 1\n",
	"99999999999999999-999999999999999999 r-xp 00000000 103:02 1\n",
	"00400000-00403000 r-xp 00000000 1ffffffff:02 1\n",
	"00400000-00403000 r-xp 00000000 103:02 99999999999999999999\n",
	"00400000-00403000 r-xp 00000000 103:02 1x\n",
};

START_TEST(maps_bad)
{
	struct seen s = {.n = 0};

	scratch_begin();
	put("/proc/self/maps", bad_maps[_i]);
	ck_assert_int_eq(contig_maps_each(0, false, see, &s), -EINVAL);
	put("/proc/self/smaps", bad_maps[_i]);
	ck_assert_int_eq(contig_maps_each(0, true, see, &s), -EINVAL);
	ck_assert_int_eq(s.n, 0);
	put("/proc/self/maps", "");
	ck_assert_int_eq(contig_maps_each(0, false, see, &s), 0);
	scratch_end();
}
END_TEST

#define HEADER "00400000-00403000 r-xp 00000000 08:02 18 /bin/true\n"
static const char *const bad_smaps[] = {
	"KernelPageSize: 4 kB\n", /* of what? */
	HEADER "KernelPageSize: x kB\n",
	HEADER "KernelPageSize: 4 MB\n",
	HEADER "KernelPageSize: 18446744073709551615 kB\n",
	HEADER "AnonHugePages: 18014398509481983 kB\nFilePmdMapped: 18014398509481983 kB\n",
	HEADER "no colon\n",
	HEADER "AnonHugePages:     20", /* cut */
};

START_TEST(smaps_bad)
{
	struct seen s = {.n = 0};

	scratch_begin();
	put("/proc/self/smaps", bad_smaps[_i]);
	ck_assert_int_eq(contig_maps_each(0, true, see, &s), -EINVAL);
	ck_assert_int_eq(s.n, 0);
	scratch_end();
}
END_TEST

/* A name as long as a page, across the reader's buffer ends; or longer than it. */
START_TEST(maps_long_names)
{
	const int each = _i ? 20000 : 4000, n = 10;
	char *text = malloc((size_t)n * (size_t)(each + 100)), *p = text;
	struct seen s = {.n = 0};

	ck_assert_ptr_nonnull(text);
	scratch_begin();
	for (int i = 0; i < n; i++) {
		p += sprintf(p, "%x000-%x000 rw-p 00000000 08:02 18 /", i + 1, i + 2);
		memset(p, 'a' + i, each);
		p += each;
		*p++ = '\n';
	}
	*p = '\0';
	put("/proc/self/maps", text);
	ck_assert_int_eq(contig_maps_each(0, false, see, &s), 0);
	ck_assert_int_eq(s.n, n);
	for (int i = 0; i < n; i++) {
		ck_assert_uint_eq(s.m[i].start, (uintptr_t)(i + 1) << 12);
		ck_assert_int_eq(s.name[i][0], '/');
		ck_assert_int_eq(s.name[i][40], 'a' + i);
	}
	scratch_end();
	free(text);
}
END_TEST

START_TEST(pagemap_trees)
{
	uint64_t f[6];
	int fd;

	use("laptop"); /* captured by somebody who may not see frames */
	ck_assert(!contig_pagemap_visible());
	fd = contig_pagemap_open(0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(contig_pagemap_read(fd, 0x3ff000, 5, f), 0);
	ck_assert_uint_eq(f[0], FRAME_ABSENT);
	ck_assert_uint_eq(f[1], FRAME_HIDDEN);
	ck_assert_uint_eq(f[2], FRAME_HIDDEN);
	ck_assert_uint_eq(f[3], FRAME_SWAPPED);
	ck_assert_uint_eq(f[4], FRAME_ABSENT);
	close(fd);

	use("server2");
	ck_assert(contig_pagemap_visible());
	fd = contig_pagemap_open(0);
	ck_assert_int_ge(fd, 0);
	memset(f, 0x55, sizeof(f));
	ck_assert_int_eq(contig_pagemap_read(fd, 0x400000, 5, f), 0);
	ck_assert_uint_eq(f[0], 0x4a2f31);
	ck_assert_uint_eq(f[1], 0x8000001);
	ck_assert_uint_eq(f[2], FRAME_SWAPPED);
	ck_assert_uint_eq(f[3], FRAME_ABSENT); /* behind the end */
	ck_assert_uint_eq(f[4], FRAME_ABSENT);
	ck_assert_uint_eq(f[5], UINT64_C(0x5555555555555555));
	ck_assert(frame_is_known(f[0]) && !frame_is_known(f[2]) && !frame_is_known(f[3]));
	ck_assert_int_eq(contig_pagemap_read(fd, 0x400001, 1, f), -EINVAL);
	close(fd);
	ck_assert_uint_eq(contig_pagemap_frame((void *)0x401abc), 0x8000001);
	ck_assert_int_eq(contig_pagemap_is_huge((void *)0x400000, 4096), -EOPNOTSUPP);

	use("node8");
	errno = 0;
	ck_assert_uint_eq(contig_pagemap_frame((void *)0x400000), FRAME_ABSENT);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert(!contig_pagemap_visible());
}
END_TEST

/* ---- damage ---- */

static int ignore(const struct host_mapping *m, void *arg)
{
	/* Touch what the sanitizers should look at. */
	*(size_t *)arg += strlen(m->name) + m->start;
	return 0;
}

static void call_everything(void)
{
	struct hugetlb_counts c;
	uint64_t sizes[4], x, frames[8];
	size_t sum = 0;
	char path[64];
	int fd;

	contig_topology_refresh();
	contig_topology_node_of(0x100000);
	contig_topology_distance(0, 1);
	contig_topology_node_here();
	contig_available();
	contig_hugetlb_sizes(sizes, 4);
	contig_hugetlb_counts(MB2, HUGETLB_ALL_NODES, &c);
	contig_hugetlb_demote_size(GB, &x);
	contig_hugetlb_cgroup_room(MB2);
	contig_hugetlb_mount(GB, path, sizeof(path));
	contig_maps_each(0, false, ignore, &sum);
	contig_maps_each(0, true, ignore, &sum);
	contig_pagemap_visible();
	fd = contig_pagemap_open(0);
	if (fd >= 0) {
		contig_pagemap_read(fd, 0x400000, 8, frames);
		close(fd);
	}
}

static size_t slurp(const char *tree, const char *path, char *buf, size_t len)
{
	const char *top = getenv("top_srcdir");
	char full[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(full, sizeof(full), "%s/tests/trees/%s%s", top ? top : ".", tree, path);
	fd = open(full, O_RDONLY);
	if (fd < 0)
		return 0;
	n = read(fd, buf, len);
	close(fd);
	return n < 0 ? 0 : (size_t)n;
}

/*
 * Every file cut at many places, and with bytes changed: results don't
 * matter, surviving does (under sanitizers in CI).
 */
START_TEST(damaged)
{
	static const char *const files[] = {
		"/proc/zoneinfo", "/proc/iomem", "/proc/meminfo", "/proc/mounts",
		"/proc/self/cgroup", "/proc/self/mountinfo", "/proc/self/maps",
		"/proc/self/smaps", "/proc/self/pagemap",
		"/sys/devices/system/node/online",
		"/sys/devices/system/node/node0/distance",
		"/sys/devices/system/node/node0/cpulist",
		"/sys/devices/system/memory/block_size_bytes",
		"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
		"/sys/fs/cgroup/system.slice/db.service/memory.max",
		"/sys/fs/cgroup/system.slice/db.service/memory.stat",
	};
	static const char *const trees[] = {"laptop", "server2", "container"};
	const size_t n_files = sizeof(files) / sizeof(files[0]);
	static char whole[16][16384], hurt[16384];
	size_t len[16];
	uint64_t random = 88172645463325252u + (unsigned int)_i;

	scratch_begin();
	for (size_t i = 0; i < n_files; i++) {
		len[i] = slurp(trees[_i], files[i], whole[i], sizeof(whole[i]));
		if (len[i])
			put_bytes(files[i], whole[i], len[i]);
	}
	call_everything();
	for (int round = 0; round < 400; round++) {
		size_t i, n;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		i = (size_t)(random % n_files);
		n = len[i];
		if (!n)
			continue;
		memcpy(hurt, whole[i], n);
		if (round & 1)
			n = (size_t)((random >> 20) % n);
		for (int k = 0; k < (round & 6); k++)
			hurt[(random >> (10 + k)) % len[i]] = (char)(random >> (k * 8));
		put_bytes(files[i], hurt, n);
		call_everything();
		put_bytes(files[i], whole[i], len[i]);
	}
	scratch_end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trees");
	TCase *tc = tcase_create("trees");
	SRunner *runner;
	int failed;

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
	tcase_add_test(tc, topology_laptop);
	tcase_add_test(tc, topology_server2);
	tcase_add_test(tc, topology_node8);
	tcase_add_test(tc, topology_container);
	tcase_add_test(tc, topology_follows_root);
	tcase_add_test(tc, topology_overlap_unknown);
	tcase_add_test(tc, topology_shared_block);
	tcase_add_test(tc, topology_fine_interleave);
	tcase_add_loop_test(tc, topology_bad_zoneinfo, 0, COUNT(bad_zoneinfo));
	tcase_add_loop_test(tc, topology_bad_iomem, 0, COUNT(bad_iomem));
	tcase_add_test(tc, topology_too_many);
	tcase_add_test(tc, distance_bad);
	tcase_add_test(tc, available_trees);
	tcase_add_test(tc, buddy_blocks);
	tcase_add_test(tc, meminfo_bad);
	tcase_add_test(tc, memcg_bad);
	tcase_add_test(tc, cgroup_places);
	tcase_add_test(tc, hugetlb_trees);
	tcase_add_test(tc, hugetlb_bad);
	tcase_add_loop_test(tc, maps_laptop, 0, 2);
	tcase_add_loop_test(tc, maps_bad, 0, COUNT(bad_maps));
	tcase_add_loop_test(tc, smaps_bad, 0, COUNT(bad_smaps));
	tcase_add_loop_test(tc, maps_long_names, 0, 2);
	tcase_add_test(tc, pagemap_trees);
	tcase_add_loop_test(tc, damaged, 0, 3);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
