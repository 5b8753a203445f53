#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig phys: a machine whose every frame is known, and this one against a
# reading of kpageflags that shares no code with ours.
. "$(dirname "$0")/common.sh"

refused phys word
refused phys --node x
refused phys --node -1
refused phys --sysroot /nonexistent

# A small machine: 1 MiB to 3 MiB of a first zone, 4 MiB to 1 GiB + 16 MiB of
# a second one on node 0, and a node 1 that begins at 2 GiB with 8 MiB.
make_tree() # DIR
{
	mkdir -p "$1/proc" && python3 - "$1" <<'EOF'
import struct, sys
root = sys.argv[1] + "/proc/"
M = 256  # frames of a MiB
zones = [(0, "DMA", 1 * M, 2 * M), (0, "Normal", 4 * M, 1036 * M), (1, "Normal", 2048 * M, 8 * M)]
BUDDY, HUGE, HEAD, TAIL, SLAB, ANON, LRU, THP = (1 << b for b in (10, 17, 15, 16, 7, 12, 5, 22))
PGTABLE, RESERVED, POISON, SWAPBACKED = (1 << b for b in (26, 32, 19, 14))
flags = {}
def put(mib, offset, n, value):
    for f in range(mib * M + offset, mib * M + offset + n):
        flags[f] = value
for node, name, start, n in zones:
    for f in range(start, start + n):
        flags[f] = BUDDY
put(4, 0, 1, HUGE | HEAD); put(4, 1, 511, HUGE | TAIL)            # hugetlb
put(6, 0, 1, THP | HEAD | ANON | LRU); put(6, 1, 511, THP | TAIL)  # THP, tails as Linux 6.1 shows them
put(8, 100, 1, SLAB)                                               # one in the way
put(10, 0, 256, ANON | LRU | SWAPBACKED)                           # can be moved
put(12, 0, 300, LRU)
put(14, 7, 1, PGTABLE)
put(16, 0, 512, 0)                                                 # blank
put(18, 0, 3, 0)                                                   # kernel
put(20, 0, 10, RESERVED)
put(22, 5, 1, POISON)
put(1034, 0, 1, SLAB | HEAD); put(1034, 1, 7, TAIL)                # a compound page of slab
put(2048, 0, 1, HUGE | HEAD); put(2048, 1, 511, HUGE | TAIL)
with open(root + "kpageflags", "wb") as out:
    for f in sorted(flags):
        out.seek(f * 8)
        out.write(struct.pack("<Q", flags[f]))
with open(root + "zoneinfo", "w") as out:
    for node, name, start, n in zones:
        free = sum(1 for f in range(start, start + n) if flags[f] & BUDDY)
        out.write(f"Node {node}, zone {name:>8}\n  pages free     {free}\n        min      1\n"
                  f"        low      2\n        high     3\n        spanned  {n}\n"
                  f"        present  {n}\n        managed  {n}\n  start_pfn:           {start}\n")
with open(root + "iomem", "w") as out:
    for node, name, start, n in zones:
        out.write(f"{start * 4096:08x}-{(start + n) * 4096 - 1:08x} : System RAM\n")
with open(root + "meminfo", "w") as out:
    out.write(f"MemTotal: {sum(z[3] for z in zones) * 4} kB\nHugepagesize: 2048 kB\n")
with open(root + "buddyinfo", "w") as out:
    for node, name, start, n in zones:
        out.write(f"Node {node}, zone {name:>8} " + "0 " * 9 + "2 3\n")
EOF
}
make_tree "$tmp/tree" || wrong "no tree"
run 0 phys --sysroot "$tmp/tree" --json
json_is 'd["source"] == "kpageflags" and d["page_size"] == 4096 and d["superpage_size"] == 2 << 20'
json_is '[(z["node"], z["zone"], z["ram"]) for z in d["zones"]] == [(0, "DMA", 2 << 20), (0, "Normal", 1036 << 20), (1, "Normal", 8 << 20)]'
# DMA: 1 to 3 MiB, in which only 512 frames from 2 MiB on could be a superpage,
# and half of them are.
json_is 'd["zones"][0]["superpages_free"] == 0 and d["zones"][0]["longest_free"] == 2 << 20'
normal='d["zones"][1]'
json_is "$normal['superpages'] == 2"
# 518 places: 2 taken, 6 spoiled in the first 24 MiB and one at 1034, 2 movable.
json_is "$normal['superpages_free'] == 518 - 2 - 6 - 1 - 2"
json_is "$normal['superpages_most'] == 518 - 2 - 6 - 1"
json_is "$normal['longest_free_at'] == hex(22 * 2**20 + 6 * 4096) and $normal['longest_free'] == (1034 - 22) * 2**20 - 6 * 4096"
json_is "$normal['gigapages_free'] is None"
json_is 'd["zones"][2]["superpages"] == 1 and d["zones"][2]["superpages_free"] == 3'
json_is '{u["use"]: u["bytes"] // 4096 for u in d["uses"] if u["use"] != "free"} == {"hugetlb": 1024, "thp": 512, "anonymous": 256, "cache": 300, "slab": 9, "page-tables": 1, "kernel": 3, "blank": 512, "reserved": 10, "lost": 1}'
json_is '{u["use"]: u["in_the_way"] for u in d["uses"] if u["in_the_way"]} == {"slab": 2, "page-tables": 1, "kernel": 1, "blank": 1, "reserved": 1, "lost": 1}'
run 0 phys --sysroot "$tmp/tree" --node 1 -n -o node,superpages
[ "$(tr -s ' ' <"$tmp/out" | sed 's/^ //')" = '1 1' ] || wrong "node 1: $(cat "$tmp/out")"
run 2 phys --sysroot "$tmp/tree" --node 2
error_has 'no such node'

# The map: node 0's first row begins with a cell of 2 MiB without memory.
run 0 phys --sysroot "$tmp/tree"
narrow 80 phys
plain phys
output_has '^one cell is 2 MiB'
output_has '^node 1: 8 MiB, 6 MiB free$'
output_has '^2 GiB +H···( Normal)?'
output_has 'no memory for|^0 +[.·]'
COLUMNS=200 run 0 phys --sysroot "$tmp/tree"
narrow 200 phys
run 0 phys --sysroot "$tmp/tree" --svg "$tmp/map.svg"
python3 - "$tmp/map.svg" <<'EOF' || wrong "the SVG"
import sys, xml.etree.ElementTree as E
root = E.parse(sys.argv[1]).getroot()
n = "{http://www.w3.org/2000/svg}"
cells = [r for r in root.iter(n + "rect") if r.find(n + "title") is not None]
assert len(cells) == 1 + 518 + 4 + 1, len(cells)
huge = [r for r in cells if r.get("class") == "hugetlb"]
assert len(huge) == 2 and "0x400000 to 0x600000, node 0" in huge[0].find(n + "title").text
texts = [t.text for t in root.iter(n + "text")]
assert "hugetlb" in texts and "node 1: 8 MiB, 6 MiB free" in texts
EOF
run 2 phys --sysroot "$tmp/tree" --svg "$tmp/none/map.svg"

# A tree that doesn't say its page size: where RAM ends tells, whatever meminfo has.
run 0 phys --sysroot "$srcdir/tests/trees/node8" --json
json_is 'd["page_size"] == 4096 and d["zones"][0]["ram"] == 3998 * 4096'

# Base pages of 64K and superpages of 512M are what the zones make of them.
mkdir -p "$tmp/arm/proc" && python3 - "$tmp/arm/proc/" <<'EOF'
import struct, sys
root = sys.argv[1]
n = 3 * 8192  # three superpages of 512 MiB
with open(root + "kpageflags", "wb") as out:
    out.write(b"\0" * 8192 * 8)
    for f in range(n):
        out.write(struct.pack("<Q", 1 << 10 if f != 8192 else 1 << 7))
open(root + "zoneinfo", "w").write(f"Node 0, zone Normal\n  pages free {n}\n spanned {n}\n present {n}\n managed {n}\n start_pfn: 8192\n")
open(root + "iomem", "w").write(f"{8192 * 65536:08x}-{(8192 + n) * 65536 - 1:08x} : System RAM\n")
open(root + "meminfo", "w").write(f"MemTotal: {n * 64} kB\nHugepagesize: 524288 kB\n")
EOF
run 0 phys --sysroot "$tmp/arm" --json
json_is 'd["page_size"] == 65536 and d["superpage_size"] == 512 << 20'
json_is 'd["zones"][0]["ram"] == 1536 << 20 and d["zones"][0]["superpages_free"] == 2 and d["zones"][0]["gigapages_free"] is None'

# Zones that interleave: blocks of 8 MiB, of which each is known to be one
# zone's of one node, and block i has i + 1 frames that are not free.
interleave() # DIR WHAT
{
	rm -rf "$1" && mkdir -p "$1/proc" && python3 - "$1" "$2" <<'EOF'
import os, struct, sys
root, what = sys.argv[1:]
B = 2048  # frames of a block
owner = ["0 Normal", "0 Normal", "0 Movable", "0 Normal", "0 Movable", "1 Normal", "0 Normal",
         "offline", "1 Normal", "1 Movable", "1 Normal"]
zones = {}
for i, o in enumerate(owner):
    if o != "offline":
        zones.setdefault(o, []).append(i)
def put(path, text):
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    open(root + path, "w").write(text)
with open(root + "/proc/kpageflags", "wb") as out:
    for i, o in enumerate(owner):
        for f in range(B):
            out.write(struct.pack("<Q", 1 << 20 if o == "offline" else 1 << 7 if f <= i else 1 << 10))
with open(root + "/proc/zoneinfo", "w") as out:
    for o, blocks in sorted(zones.items(), key=lambda z: (z[0][0], z[0][2:] != "Normal")):
        start, end = blocks[0] * B, (blocks[-1] + 1) * B
        out.write(f"Node {o[0]}, zone {o[2:]:>8}\n  pages free     1\n        spanned  {end - start}\n"
                  f"        present  {len(blocks) * B}\n        managed  1\n  start_pfn:           {start}\n")
n = len(owner) * B
put("/proc/meminfo", f"MemTotal: {(n - B) * 4} kB\nHugepagesize: 2048 kB\n")
if what != "holes":
    put("/proc/iomem", f"00000000-{n * 4096 - 1:08x} : System RAM\n")
put("/sys/devices/system/memory/block_size_bytes", "800000\n")
for i, o in enumerate(owner):
    if what == "bare":
        break
    d = f"/sys/devices/system/memory/memory{i}/"
    put(d + "state", "offline\n" if o == "offline" else "online\n")
    # Of one block that several zones might own nothing tells, but the counts.
    silent = what == "counts" and i == 3
    put(d + "valid_zones", "none\n" if silent else "Normal Movable\n" if o == "offline" else o[2:] + "\n")
    if o != "offline" and not silent:
        put(f"/sys/devices/system/node/node{o[0]}/memory{i}", "")
EOF
}
by_zone='{f"{z['"'node'"']} {z['"'zone'"']}": (z["ram"] // 2**23, z["ram"] - z["free"]) for z in d["zones"]}'
# Blocks and the frames in them that are not free: 1 + 2 + 4 + 7, 3 + 5, ...
exactly='{"0 Normal": (4, 14 * 4096), "0 Movable": (2, 8 * 4096), "1 Normal": (3, 26 * 4096), "1 Movable": (1, 10 * 4096)}'
for what in known counts; do
	interleave "$tmp/mixed" $what || wrong "no tree"
	run 0 phys --sysroot "$tmp/mixed" --json
	json_is "$by_zone == $exactly and not any(z['estimated'] for z in d['zones'])"
done
run 0 phys --sysroot "$tmp/mixed" --node 1 --json
json_is "$by_zone == {'1 Normal': (3, 26 * 4096), '1 Movable': (1, 10 * 4096)}"
# The map goes by address, and names each zone where it begins anew.
run 0 phys --sysroot "$tmp/mixed" --svg "$tmp/mixed.svg"
python3 - "$tmp/mixed.svg" <<'EOF' || wrong "the SVG of zones that interleave"
import re, sys
at = [(int(n), int(a, 16)) for a, n in re.findall(r"(0x[0-9a-f]+) to 0x[0-9a-f]+, node (\d)", open(sys.argv[1]).read())]
assert at == sorted(set(at)) and len(at) == 10 * 4, at
EOF
# What nothing tells is an estimate, and called one; all is counted once.
interleave "$tmp/mixed" bare || wrong "no tree"
run 0 phys --sysroot "$tmp/mixed" --json
json_is 'sum(z["ram"] for z in d["zones"]) == 11 << 23'
json_is '0 < sum(z["estimated"] for z in d["zones"]) <= 9 << 23 and d["zones"][0]["ram"] >= 2 << 23'
run 0 phys --sysroot "$tmp/mixed"
output_has '^Of [0-9]+ MiB nothing tells'
narrow 80 "phys, zones that interleave"
interleave "$tmp/mixed" holes || wrong "no tree"
run 0 phys --sysroot "$tmp/mixed" --json
json_is "all(z['estimated'] == z['ram'] for z in d['zones'])"
run 0 phys --sysroot "$tmp/mixed"
output_has '^/proc/iomem tells no addresses'

# A bar while it takes long, on a terminal alone, and nothing left of it.
if command -v script >/dev/null; then
	mkdir -p "$tmp/large/proc" && python3 - "$tmp/large/proc/" <<'EOF' || wrong "no tree"
import sys
n = 1 << 29  # 2 TiB, of which no frame has a record
put = lambda name, text: open(sys.argv[1] + name, "w").write(text)
put("kpageflags", "")
put("zoneinfo", f"Node 0, zone Normal\n  pages free 0\n spanned {n}\n present {n}\n managed {n}\n start_pfn: 0\n")
put("iomem", f"00000000-{4096 * n - 1:x} : System RAM\n")
put("meminfo", f"MemTotal: {4 * n} kB\nHugepagesize: 2048 kB\n")
EOF
	TERM=xterm script -qec "'$CONTIG' phys --no-map --sysroot '$tmp/large'" /dev/null >"$tmp/out" </dev/null
	grep -q 'looking: .* of 2 TiB' "$tmp/out" || wrong "no bar on a terminal"
	run 0 phys --sysroot "$tmp/large" --json
	[ -s "$tmp/err" ] && wrong "a bar where no terminal is: $(cat "$tmp/err")"
	json_is 'd["zones"][0]["ram"] == 2 << 40'
	rm -r "$tmp/large"
fi

# Without kpageflags: the kernel's own counts, and why.
rm "$tmp/tree/proc/kpageflags"
run 0 phys --sysroot "$tmp/tree"
output_has 'kpageflags: No such file'
output_has '^ +0 +Normal +[0-9].* \? '
run 0 phys --sysroot "$tmp/tree" --json
json_is 'd["source"] == "buddyinfo" and d["zones"][1]["superpages_free"] == 2 + 3 * 2 and d["zones"][1]["longest_free"] is None'
run 2 phys --sysroot "$tmp/tree" --svg "$tmp/map.svg"
run 2 phys --sysroot "$tmp/nowhere"

# Whose the hugetlb pages are every process tells itself: the five that have
# most are listed without being asked for, in JSON all.
for i in 1 2 3 4 5 6 7; do
	mkdir -p "$tmp/tree/proc/$i" && echo "p$i" >"$tmp/tree/proc/$i/comm" &&
		printf 'Name:\tp%d\nVmRSS:\t    9 kB\nHugetlbPages:\t    %d kB\n' $i \
			$((i % 7 * 2048)) >"$tmp/tree/proc/$i/status" || exit 99
done
run 0 phys --sysroot "$tmp/tree" --json
json_is '[(o["pid"], o["name"], o["hugetlb"] >> 21) for o in d["owners"]] == [(i, f"p{i}", i) for i in (6, 5, 4, 3, 2, 1)]'
run 0 phys --sysroot "$tmp/tree"
output_has '^ *2 +p2 +4 MiB$'
output_has '^and 1 more process'
grep -q ' p1 ' "$tmp/out" && wrong "more than five owners"
run 0 phys --sysroot "$tmp/tree" -o node,zone
grep -q PID "$tmp/out" && wrong "owners in a table cut to columns"

is_root || { [ $status -eq 0 ] || exit $status; skip "the frames of this machine need root"; }
as_nobody 0 phys
output_has 'needs root'

# This machine: what python reads of the same file.  It changes meanwhile.
run 0 phys --json --owners
python3 - "$tmp/out" <<'EOF' || wrong "this machine"
import json, os, struct, sys
d = json.load(open(sys.argv[1]))
ram = []
for line in open("/proc/iomem"):
    if line.rstrip().endswith(": System RAM") and line[0] != " ":
        a, b = (int(x, 16) for x in line.split(" : ")[0].split("-"))
        ram.append(((a + 4095) // 4096, (b + 1) // 4096))
import array
free = slab = huge = all = 0
fd = os.open("/proc/kpageflags", os.O_RDONLY)
for first, end in ram:
    while first < end:
        n = min(end - first, 1 << 16)
        for f in array.array("Q", os.pread(fd, n * 8, first * 8)):
            free += f >> 10 & 1
            slab += (f >> 7 | f >> 17) & 1 and not f >> 10 & 1
        all += n
        first += n
uses = {u["use"]: u["bytes"] // 4096 for u in d["uses"]}
def near(a, b, what):
    assert abs(a - b) <= all * 0.03 + 4096, (what, a, b)
assert sum(uses.values()) <= all and sum(uses.values()) > all * 0.98, (sum(uses.values()), all)
near(uses["free"], free, "free")
near(uses["slab"] + uses["hugetlb"], slab, "slab and hugetlb")
hugetlb = 0
for name in os.listdir("/sys/kernel/mm/hugepages"):
    size = int(name.split("-")[1][:-2]) * 1024
    hugetlb += size * int(open("/sys/kernel/mm/hugepages/%s/nr_hugepages" % name).read())
near(uses["hugetlb"], hugetlb // 4096, "hugetlb")
assert isinstance(d["owners"], list) and d["owners_hidden"] is not None
EOF

# Memory that is held meanwhile, each kind of it: what is more now is ours.
. "$(dirname "$0")/layout.sh"
parts='small=20000 thp=4'
pool_lend 4 && parts="$parts hugetlb=4"
# shellcheck disable=SC2086
start $parts
cat "$tmp/parts"

run 0 phys --json
has_part hugetlb && json_is "[o['hugetlb'] for o in d['owners'] if o['pid'] == $pid] == [8 << 20]"
run 0 phys --json --owners --svg "$tmp/map.svg"
has_part hugetlb && json_is "[o['hugetlb_private'] for o in d['owners'] if o['pid'] == $pid] == [8 << 20]"
has_part thp && json_is "[o['thp'] for o in d['owners'] if o['pid'] == $pid] == [8 << 20]"
# The map says whose superpages a cell holds, by pagemap: where they are in
# fact, the oracle reads itself.  Frames of THP can move meanwhile.
python3 - "$tmp/map.svg" "$tmp/parts" $pid <<'EOF' || wrong "whose superpages, see above"
import os, re, struct, sys
svg, parts, pid = open(sys.argv[1]).read(), open(sys.argv[2]).read(), int(sys.argv[3])
cells = [(int(a, 16), int(b, 16), text) for a, b, text in
         re.findall(r"<title>(0x[0-9a-f]+) to (0x[0-9a-f]+),(.*?)</title>", svg, re.S)]
assert cells
release = tuple(int(n) for n in re.findall(r"\d+", os.uname().release)[:2])
named = {(a, b): int(n) for a, b, text in cells
         for n in re.findall(rf"layout \({pid}\) (\d+)", text)}
if release < (6, 7):
    sys.exit(0)
found = re.findall(r"^(?:hugetlb|thp) (0x[0-9a-f]+) (\d+)", parts, re.M)
assert sum(named.values()) == sum(int(n) >> 21 for _, n in found), (named, found)
fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
page = os.sysconf("SC_PAGESIZE")
for start, n in re.findall(r"^hugetlb (0x[0-9a-f]+) (\d+)", parts, re.M):
    for at in range(int(start, 16), int(start, 16) + int(n), 2 << 20):
        entry, = struct.unpack("Q", os.pread(fd, 8, at // page * 8))
        pa = (entry & (1 << 55) - 1) * page
        assert pa and [1 for a, b in named if a <= pa < b], (hex(pa), named)
EOF
stop
pool_back
exit $status
