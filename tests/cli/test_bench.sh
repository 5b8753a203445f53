#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig bench: what it reports is possible, its plots are whole, and the pools
# are as before.  Speed is not judged here.
. "$(dirname "$0")/common.sh"

refused bench nonsense
refused bench --size 1
refused bench --size nothing
refused bench --fill 1M
refused bench --worker=0
refused bench --output "$tmp/plot.png"
run 2 --sysroot "$srcdir/tests/trees/laptop" bench

before=$(pool_numbers)
run 0 bench --quick --size 16M --json contiguity alloc translate insert tlb -o "$tmp/plot.svg"
# Without privilege there are no runs to draw.
is_root && { python3 - "$tmp/plot.svg" <<'EOF' || wrong "the SVG"; }
import sys, xml.etree.ElementTree as E
n = "{http://www.w3.org/2000/svg}"
root = E.parse(sys.argv[1]).getroot()
texts = [t.text for t in root.iter(n + "text")]
width, height = (float(root.get(k)) for k in ("width", "height"))
for title in ("Largest contiguous run in 16 MiB, against the optimum",
              "Runs in 16 MiB, sorted by frame", "Time to take 16 MiB",
              "Allocate and free 64 KiB", "Virtual to physical address",
              "Pointer chase by page size"):
    assert texts.count(title) == 1, title
assert "mmap, base pages" in texts and "length of a physically contiguous run, at least" in texts
for text in root.iter(n + "text"):
    assert 0 <= float(text.get("x")) < width and 0 <= float(text.get("y")) <= height, text.text
for kind in ("rect", "line", "circle"):
    for shape in root.iter(n + kind):
        for k in ("x", "x1", "x2", "cx"):
            assert 0 <= float(shape.get(k, 0)) <= width, (kind, shape.attrib)
        for k in ("y", "y1", "y2", "cy"):
            assert 0 <= float(shape.get(k, 0)) <= height, (kind, shape.attrib)
lines = list(root.iter(n + "polyline"))
assert len(lines) >= 10, len(lines)
for line in lines:
    for point in line.get("points").split():
        x, y = (float(v) for v in point.split(","))
        assert 0 <= x <= width and 0 <= y <= height, point
EOF
json_is 'all(r["longest"] is None or 4096 <= r["longest_by_address"] <= r["longest"] for r in d["contiguity"])'
json_is 'all(r["taken"] is None or r["source"] == "libcontig" or r["longest"] <= r["taken"] <= 16 << 20 for r in d["contiguity"])'
json_is 'all(r["taken"] is not None or r["why"] for r in d["contiguity"])'
# What libcontig says is its longest block is the longest run there was.
json_is 'd["contiguity"][-1]["source"] == "libcontig"'
is_root && json_is 'd["contiguity"][-1]["longest_by_address"] == d["contiguity"][-1]["longest"] >= 2 << 20'
json_is 'all(r["p50_ns"] is None or r["p50_ns"] <= r["p99_ns"] <= r["p999_ns"] <= r["most_ns"] for p in ("alloc", "translate", "insert") for r in d[p])'
# The other allocators: measured, or a reason.  What comes with the build is there.
json_is '{"glibc malloc", "jemalloc", "get_huge_pages", "DPDK"} < {r["source"] for r in d["contiguity"]}'
json_is '{"contigmalloc", "rte_malloc", "rte_memzone", "get_huge_pages", "mmap", "glibc malloc", "jemalloc"} == {r["work"] for r in d["alloc"]}'
json_is 'all(r["p50_ns"] is not None or r["why"] for p in ("alloc", "translate", "insert") for r in d[p])'
json_is 'all(r["p50_ns"] is not None for r in d["alloc"] if r["work"] == "glibc malloc")'
# All but the first page, which has the block's header.
is_root && json_is '[r["taken"] > 15 << 20 for r in d["contiguity"] if r["source"] == "glibc malloc"] == [True]'
# They print nothing, and DPDK's files vanish with it.
[ -s "$tmp/err" ] && wrong "on stderr: $(cat "$tmp/err")"
if is_root && unshare -m true 2>/dev/null; then
	# shellcheck disable=SC2016
	found=$(unshare -m sh -c 'mount -t tmpfs none /run && "$1" bench -q -s 2M translate >/dev/null
		find /run -path "*dpdk*"' sh "$CONTIG")
	[ -z "$found" ] || wrong "DPDK left $found"
fi
json_is '[r["1m"] is not None and r["1g"] is None for r in d["tlb"] if r["pages"] == "4K pages"] == [True]'
# Fragmented on purpose: no more than was allowed, and what is asked for at most.
if is_root; then
	run 0 bench --quick --size 4M --fill 64M --json fragment -o "$tmp/fragment.svg"
	json_is '0 < d["fragmented_bytes"] <= 64 << 20'
	json_is 'all(r["taken_before"] <= 4 << 20 and (r["longest"] or 0) <= r["taken"] <= 4 << 20 for r in d["fragment"])'
	json_is 'all(r["taken"] and r["taken_before"] or r["why"] for r in d["fragment"])'
	json_is 'len(d["fragment"]) == 5 and d["superpages_free_after"] >= 0'
	grep -q '>What is had of 4 MiB, ' "$tmp/fragment.svg" || wrong "no plot of fragments"
fi
# For people; the page has the same tables.
run 0 bench --quick --size 4M contiguity insert tlb --output "$tmp/tables.html"
narrow 80 bench
plain bench
grep -q '</html>' "$tmp/tables.html" || wrong "the HTML is cut"
grep -q '^4K pages ' "$tmp/out" && grep -qF "$(grep '^4K pages ' "$tmp/out")" "$tmp/tables.html" ||
	wrong "the HTML has not the table"
run 2 bench --quick --size 2M tlb --output "$tmp/none/plot.svg"
# Nothing is measured for a file that can't be written.
error_has 'plot.svg: No such file or directory'
[ -s "$tmp/out" ] && wrong "measured for a plot that can't be written"
pools_are "$before" bench
exit $status
