#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig phys and contig map against other tools' numbers: /proc/meminfo,
# buddyinfo, zoneinfo, smaps_rollup, and numastat -m and -p.  Debian packages no
# page-types; that of its linux-source counted the same frames by flag, held
# against ours by hand.
. "$(dirname "$0")/common.sh"

is_root || skip "frames need root"
[ -r /proc/kpageflags ] || skip "this kernel has no /proc/kpageflags"
command -v numastat >/dev/null || skip "numastat (numactl) is not installed"
. "$(dirname "$0")/layout.sh"

parts='small=20000 thp=4'
pool_lend 6 && parts="$parts hugetlb=4"
# shellcheck disable=SC2086
start $parts
cat "$tmp/parts"

# Others use the machine meanwhile: what theirs say is read before and after
# ours, which has to be between the two but for a little; when it isn't, all is
# read again.  What never is, is wrong.
python3 - "$CONTIG" $pid <<'PYTHON' || wrong "see above"
import json, os, re, subprocess, sys, time
contig, pid = sys.argv[1:]
PAGE = os.sysconf("SC_PAGESIZE")
ALL = PAGE * os.sysconf("SC_PHYS_PAGES")
NEAR = ALL // 100 + (16 << 20)


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                          env=dict(os.environ, LC_ALL="C", COLUMNS="4096")).stdout


def phys(*more):
    return json.loads(run(contig, "phys", "--json", *more))


def uses(document):
    return {u["use"]: u["bytes"] for u in document["uses"]}


def meminfo():
    return {key: int(n) * 1024
            for key, n in re.findall(r"^(\S+): +(\d+) kB$", open("/proc/meminfo").read(), re.M)}


def numastat(*what):
    """{row: {column: bytes}}: its numbers are megabytes with two decimals."""
    columns, rows = [], {}
    for line in run("numastat", *what).splitlines():
        if "Node 0" in line:
            columns = re.findall(r"Node \d+|Total", line)
        elif columns and not line.startswith("-") and line.split():
            name, *numbers = line.split()
            if len(numbers) == len(columns):
                rows[name] = {c: float(n) * 2**20 for c, n in zip(columns, numbers)}
    assert rows, "numastat says nothing"
    return rows


def buddyinfo():
    free = {}
    for line in open("/proc/buddyinfo"):
        node, zone, blocks = re.match(r"Node (\d+), zone +(\S+)(.*)", line).groups()
        free[int(node), zone] = sum(int(n) * PAGE << order
                                    for order, n in enumerate(blocks.split()))
    return free


def agree(what, theirs, ours, near):
    """theirs() and ours() give {name: bytes} with the same names."""
    for attempt in range(30):
        before = theirs()
        got = ours()
        after = theirs()
        off = {}
        for name in before:
            low, high = sorted((before[name], after[name]))
            # Small numbers are held to more than a share of all memory; slab has
            # kmalloc's large pages, too, which carry no flag.
            room = near + (2 * (high - low) if near else 0)
            if name in ("slab", "tables"):
                room = (16 << 20 if name == "slab" else 4 << 20) + high // 10 + 2 * (high - low)
            if near == 0 and low != high:
                off[name] = "changes"
            elif not low - room <= got[name] <= high + room:
                off[name] = (got[name], low, high)
        if not off:
            print(f"{what}: {len(before)} numbers agree, attempt {attempt + 1}: {got}")
            return 0
        time.sleep(0.3)
    print(f"{what}: never between before and after (ours, theirs): {off}")
    return 1


def lru(m):  # every page on a list of those to reclaim
    return m["Active"] + m["Inactive"] + m["Unevictable"]


bad = 0
# The pools: to the byte.
bad += agree("hugetlb", lambda: {"hugetlb": meminfo()["Hugetlb"]},
             lambda: {"hugetlb": uses(phys())["hugetlb"]}, 0)
bad += agree("meminfo", lambda: (lambda m: {
    "free": m["MemFree"], "lru": lru(m), "tables": m["PageTables"], "slab": m["Slab"]})(meminfo()),
    lambda: (lambda u: {
        "free": u["free"], "lru": u["anonymous"] + u["thp"] + u["cache"],
        "tables": u["page-tables"], "slab": u["slab"]})(uses(phys())), NEAR)


def zone_free():
    return {(z["node"], z["zone"]): z["free"] for z in phys()["zones"]}


def buddy_free():
    return {key: free for key, free in buddyinfo().items() if key in known}


known = set(zone_free())
bad += agree("buddyinfo", buddy_free, zone_free, NEAR)


def present():
    found = {}
    for node, zone, text in re.findall(r"^Node (\d+), zone +(\S+)\n((?: .*\n)+)",
                                       open("/proc/zoneinfo").read(), re.M):
        found[int(node), zone] = int(re.search(r"^ +present +(\d+)", text, re.M)[1]) * PAGE
    return {key: n for key, n in found.items() if key in known}


bad += agree("zoneinfo", present,
             lambda: {(z["node"], z["zone"]): z["ram"] for z in phys()["zones"]}, ALL // 100)
for node in sorted({node for node, _ in known}):
    column = f"Node {node}"
    bad += agree(f"numastat -m, node {node}", lambda: (lambda rows: {
        "free": rows["MemFree"][column], "tables": rows["PageTables"][column]})(numastat("-m")),
        lambda: (lambda u: {"free": u["free"], "tables": u["page-tables"]})(
            uses(phys("--node", str(node)))), NEAR)

# The process stands still: all of it to the page, but for numastat's rounding
# of each number, and [vdso], which it leaves out.
def of_process():
    rows = numastat("-p", pid)
    return {c: n for c, n in rows["Total"].items()}


def map_of_process():
    document = json.loads(run(contig, "map", "--json", pid))
    got = {column: 0 for column in numastat("-p", pid)["Total"]}
    for node in document["nodes"]:
        got[f"Node {node['node']}"] = node["bytes"]
    got["Total"] = document["totals"]["present"]
    return got


bad += agree("numastat -p", of_process, map_of_process, 64 << 10)


def rollup():
    m = {key: int(n) * 1024 for key, n in re.findall(
        r"^(\S+): +(\d+) kB$", open(f"/proc/{pid}/smaps_rollup").read(), re.M)}
    huge = m["Private_Hugetlb"] + m["Shared_Hugetlb"]
    return {"present": m["Rss"] + huge, "superpages": huge + m["AnonHugePages"],
            "swapped": m["Swap"]}


def map_totals():
    t = json.loads(run(contig, "map", "--json", pid))["totals"]
    return {"present": t["present"], "superpages": t["superpage_bytes"], "swapped": t["swapped"]}


bad += agree("smaps_rollup", rollup, map_totals, 64 << 10)
sys.exit(bad != 0)
PYTHON
stop
pool_back
exit $status
