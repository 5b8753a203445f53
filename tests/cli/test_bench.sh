#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig bench: what it reports is possible, its plots are whole, and the pools
# are as before.  Speed is not judged here.
. "$(dirname "$0")/common.sh"

refused bench nonsense
refused bench --size 1
refused bench --size nothing
refused bench --plot "$tmp/plot.png"
run 2 --sysroot "$srcdir/tests/trees/laptop" bench

before=$(pool_numbers)
run 0 bench --quick --size 16M contiguity alloc translate insert tlb --plot "$tmp/plot.svg"
narrow 80 bench
plain bench
python3 - "$tmp/plot.svg" <<'EOF' || wrong "the SVG"
import sys, xml.etree.ElementTree as E
n = "{http://www.w3.org/2000/svg}"
root = E.parse(sys.argv[1]).getroot()
texts = [t.text for t in root.iter(n + "text")]
width, height = (float(root.get(k)) for k in ("width", "height"))
assert height == 3 * 420, height
for title in ("Contiguity by source", "Latency of single calls", "Pointer chase by page size"):
    assert title in texts, title
assert "base pages" in texts and "length of a physically contiguous run, at least" in texts
lines = list(root.iter(n + "polyline"))
assert len(lines) >= 10, len(lines)
for line in lines:
    for point in line.get("points").split():
        x, y = (float(v) for v in point.split(","))
        assert 0 <= x <= width and 0 <= y <= height, point
EOF
run 0 bench --quick --size 16M --json contiguity alloc translate insert tlb --plot "$tmp/plot.html"
grep -q '</html>' "$tmp/plot.html" || wrong "the HTML is cut"
json_is 'all(r["longest"] is None or 4096 <= r["longest_by_address"] <= r["longest"] for r in d["contiguity"])'
json_is 'all(r["taken"] is None or r["source"] == "libcontig" or r["longest"] <= r["taken"] <= 16 << 20 for r in d["contiguity"])'
json_is 'all(r["taken"] is not None or r["why"] for r in d["contiguity"])'
# What libcontig says is its longest block is the longest run there was.
json_is 'd["contiguity"][-1]["source"] == "libcontig"'
is_root && json_is 'd["contiguity"][-1]["longest_by_address"] == d["contiguity"][-1]["longest"] >= 2 << 20'
json_is 'all(r["p50_ns"] is None or r["p50_ns"] <= r["p99_ns"] <= r["p999_ns"] <= r["most_ns"] for p in ("alloc", "translate", "insert") for r in d[p])'
json_is '[r["1m"] is not None and r["1g"] is None for r in d["tlb"] if r["pages"] == "4K pages"] == [True]'
run 2 bench --quick --size 2M tlb --plot "$tmp/none/plot.svg"
pools_are "$before" bench
exit $status
