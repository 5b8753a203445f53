#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig map: against smaps, numa_maps and pagemap of processes with known
# layouts; without PAGEMAP_SCAN; without privilege; while they change and die.
. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/layout.sh"

without=${top_builddir:-.}/tests/cli/without_scan
[ -x "$without" ] || skip "$without is not built"

refused map
refused map 1 2
refused map ''
refused map self --vma ''
refused map self --runs=0
refused map self --runs=x
refused map self --runs=99999999999
run 2 map 999999999
error_has '^contig map: 999999999: no such process \(ENOENT\)$'
run 2 map 99999999999999999999
error_has 'no process has this number'
run 2 map no-such-name-anywhere
error_has 'no process has this name'
error_has 'first 15 characters'
run 2 map no-such-name --json
json_is 'd["error"]["object"] == "no-such-name"'
run 1 map self --vma no-such-mapping
error_has '^contig map: no-such-mapping: no mapping has such a name$'
run 1 map self --vma 0x10
run 2 map 2 # a thread of the kernel
error_has 'no memory of its own|ESRCH'

# Captured trees.  A machine with base pages of 64 KiB and superpages of 512
# MiB; its frames are written here.
make_pagemap=$srcdir/tests/cli/make_pagemap.py
arm=$tmp/arm64
cp -r "$srcdir/tests/trees/arm64" "$arm" && chmod -R u+w "$arm" || exit 99
"$make_pagemap" "$arm/proc/4242/pagemap" 0x10000 0x400000:0x9000:2 0x20000000:0x12000:8192 \
	0x50000000:0x110003:10 0x60000000:0x100020:64 0x60400000:0x9100:4 \
	0x60440000:swapped:2 0x60460000:0x9104:4 || exit 99
run 0 map solverd --sysroot "$arm" --json --runs
json_is 'd["process"] == {"pid": 4242, "name": "solverd", "page_size": 65536}'
json_is '[m["page_sizes"] for m in d["mappings"]] == ["64K", "64K+512M", "2M", "64K"]'
json_is '[m["present"] for m in d["mappings"]] == [2 << 16, 8202 << 16, 64 << 16, 8 << 16]'
json_is '[m["superpage_bytes"] for m in d["mappings"]] == [0, 2**29, 2**22, 0]'
json_is '[m["runs"] for m in d["mappings"]] == [1, 2, 1, 2]'
json_is '[m["longest"] for m in d["mappings"]] == [2 << 16, 2**29, 2**22, 4 << 16]'
json_is '[m["nodes"] for m in d["mappings"]] == ["0", "0:512 MiB, 1:640 KiB", "1", "0"]'
json_is 'd["mappings"][3]["swapped"] == 2 << 16 and d["totals"]["swapped"] == 2 << 16'
json_is 'd["nodes"] == [{"node": 0, "bytes": 8202 << 16}, {"node": 1, "bytes": 74 << 16}]'
json_is '{p["page_size"]: p["bytes"] for p in d["page_sizes"]} == {
	2**16: 20 << 16, 2**21: 2**22, 2**29: 2**29}'
json_is 'd["runs"][1] == {"address": "0x20000000", "size": 2**29, "start": "0x120000000",
	"end": "0x140000000", "node": 0}'
run 0 map solverd --sysroot "$arm"
narrow 80 "map of a tree"
run 0 map 4242 --sysroot "$arm" --summary -n -o name,mappings
[ "$(wc -l <"$tmp/out")" -eq 4 ] || wrong "--summary: $(cat "$tmp/out")"
# Without smaps the sizes are unknown where a superpage is possible, only there.
rm "$arm/proc/4242/smaps"
run 0 map 4242 --sysroot "$arm" --json
json_is 'd["process"]["page_size"] == 65536'
json_is '[m["page_sizes"] for m in d["mappings"]][:3] == ["64K", None, None]'
json_is 'd["mappings"][1]["superpage_bytes"] is None and d["totals"]["superpage_bytes"] is None'
run 0 map 4242 --sysroot "$arm"
output_has '^Pages: .* of \?$'
output_has '^Pages: \?: smaps: '

# A container: no kpageflags, and a root that sees no frames.
box=$tmp/container
cp -r "$srcdir/tests/trees/container" "$box" && chmod -R u+w "$box" || exit 99
"$make_pagemap" "$box/proc/self/pagemap" 4096 0x55d0ffbc4000:hidden:2 || exit 99
run 0 map self --sysroot "$box" --json
json_is 'd["totals"]["hidden"] == 8192 == d["totals"]["present"] and d["totals"]["runs"] is None'
json_is 'd["mappings"][0]["runs"] is None and d["mappings"][0]["longest"] is None'
run 0 map self --sysroot "$box" --folios
output_has '^\?: pagemap hides frame numbers .*needs CAP_SYS_ADMIN'
output_has '^Folios: \?: /proc/kpageflags: No such file'
run 2 map 4711 --sysroot "$box"
rm "$box/proc/self/pagemap"
run 2 map self --sysroot "$box"
error_has '^contig map: pagemap of process self: .*ENOENT'

# A laptop, as it was captured.
run 0 map self --sysroot "$srcdir/tests/trees/laptop" --json
json_is 'len(d["mappings"]) == 9 and d["process"]["page_size"] == 4096'
python3 - "$srcdir/tests/trees/laptop/proc/self" "$tmp/out" <<'PYTHON' || wrong "laptop: see above"
import json, struct, sys
entries = struct.unpack(f"<{len(open(sys.argv[1] + '/pagemap', 'rb').read()) // 8}Q",
                        open(sys.argv[1] + "/pagemap", "rb").read())
for line, m in zip(open(sys.argv[1] + "/maps"), json.load(open(sys.argv[2]))["mappings"]):
    a, b = (int(x, 16) // 4096 for x in line.split()[0].split("-"))
    mine = entries[a:b]
    present = [e for e in mine if e >> 63]
    assert m["present"] == 4096 * len(present), line
    assert m["hidden"] == 4096 * sum(not e & (1 << 55) - 1 for e in present), line
    assert m["swapped"] == 4096 * sum(e >> 62 == 1 for e in mine), line
PYTHON

before=$(pool_numbers)
swap=
cleanup()
{
	exec 8>&-
	[ -n "$swap" ] && swapoff "$tmp/swap"
	layout_end
}
trap cleanup EXIT

# The row of a part of the layout.
row() # PART
{
	echo "[m for m in d['mappings']
		if int(m['start'], 16) <= $(address "$1") < int(m['end'], 16)][0]"
}

# What the process has, by $look: a command that writes $tmp/out.  The kernel may
# move a frame between that and the oracle's look: then both look once more.
look=
oracle() # WHAT [hidden]
{
	what=$1
	shift
	for try in 1 2 3; do
		eval "$look"
		python3 "$srcdir/tests/cli/map_oracle.py" $pid "$tmp/out" "$@" && return
	done
	wrong "$what: see above"
}

if ! is_root; then
	skip "frames need root"
fi

parts='small=700 sparse=300 zero=60 hugezero=3 thp=4 none=1T'
pool_lend 8 && parts="$parts hugetlb=4 many=4"
# A little swap, if this file system can hold it.
if dd if=/dev/zero of="$tmp/swap" bs=1M count=4 2>/dev/null && chmod 600 "$tmp/swap" &&
	mkswap "$tmp/swap" >/dev/null 2>&1 && swapon "$tmp/swap" 2>/dev/null; then
	swap=yes
	parts="$parts swapped=200"
fi
# shellcheck disable=SC2086
start $parts
cat "$tmp/parts"

look='run 0 map $pid --json --runs=30'
oracle "map"
json_is "d['process']['pid'] == $pid and d['process']['name'] == 'layout'"
json_is "d['process']['page_size'] == $(getconf PAGESIZE) and not d['totals']['ended']"
json_is "d['totals']['missed'] == 0 and d['totals']['changed'] == 0 and len(d['runs']) == 30"
page=$(getconf PAGESIZE)
json_is "$(row small)['present'] == 700 * $page and $(row small)['page_sizes'] == '4K'"
json_is "$(row sparse)['present'] == 150 * $page and $(row sparse)['runs'] == 150"
json_is "$(row zero)['present'] == 0 and $(row zero)['zero'] == 60 * $page"
# Superpages that were only read: the oracle, too, has it that they are none.
[ "$(cat /sys/kernel/mm/transparent_hugepage/use_zero_page 2>/dev/null)" != 1 ] ||
	json_is "$(row hugezero)['zero'] > 0 and $(row hugezero)['present'] <= 2 << 20"
json_is "$(row none)['present'] == 0 and $(row none)['size'] >= 2**40"
if [ -n "$(address thp)" ]; then
	json_is "$(row thp)['page_sizes'] == '2M' and $(row thp)['superpage_bytes'] == 2**23"
fi
case $parts in *hugetlb*)
	json_is "$(row hugetlb)['page_sizes'] == '2M' and $(row hugetlb)['present'] == 2**23"
	run 0 map $pid --json --summary --vma 'memfd:layout'
	json_is "len(d['mappings']) == 1 and d['mappings'][0]['mappings'] == 4"
	# Through the mappings of one name a run goes on.
	json_is "d['mappings'][0]['runs'] == d['totals']['runs']"
	json_is "d['mappings'][0]['longest'] == d['totals']['longest']"
	json_is "d['mappings'][0]['start'] is None and d['mappings'][0]['present'] == 2**23"
	;;
esac
if [ -n "$swap" ]; then
	run 0 map $pid --json --vma "$(address swapped)"
	json_is "d['totals']['swapped'] > 0"
	run 0 map $pid --no-picture
	output_has SWAPPED
	output_has '^Swapped out: '
	narrow 80 "map, something swapped"
fi

# All ways of reading say the same.
look='"$without" scan "$CONTIG" map $pid --json --runs >"$tmp/out" 2>&1 ||
	wrong "map without PAGEMAP_SCAN"'
oracle "map without PAGEMAP_SCAN"
look='"$without" query "$CONTIG" map $pid --json >"$tmp/out" || wrong "map without PROCMAP_QUERY"'
oracle "map without PROCMAP_QUERY"
look='run 0 map layout --json'
oracle "map by name"
run 0 map $pid --json --no-page-sizes
json_is 'all(m["superpage_bytes"] is None and m["page_sizes"] is None
	for m in d["mappings"] if m["present"]) and d["totals"]["superpage_bytes"] is None'

# Folios, where kpageflags can be read: what a page was allocated in.
run 0 map $pid --json --folios --vma "$(address small)"
if [ -r /proc/kpageflags ]; then
	json_is 'sum(f["bytes"] for f in d["folios"]) == d["totals"]["present"]'
fi
[ -n "$(address thp)" ] && {
	run 0 map $pid --json --folios --vma "$(address thp)"
	json_is 'd["folios"] == [{"page_size": 2**21, "bytes": 2**23}]'
}

# Holes are not read, whatever the kernel has: 60 TiB would take half a minute
# of processor time.
stop
start small=10 none=60T
run 0 map $pid --json
json_is 'd["totals"]["size"] > 60 * 2**40'
look='(ulimit -t 10 && exec "$without" scan "$CONTIG" map $pid --json) >"$tmp/out" ||
	wrong "a hole is read"'
oracle "map of a hole, without PAGEMAP_SCAN"
stop
# shellcheck disable=SC2086
start $parts

# Selecting.
run 0 map $pid --vma '[heap]' -J
json_is '[m["name"] for m in d["mappings"]] == ["[heap]"]'
run 0 map $pid --vma '*/libc*' -J
json_is 'd["mappings"] and all("/libc" in m["name"] for m in d["mappings"])'
run 0 map $pid --vma anonymous -J
json_is 'd["mappings"] and all(not m["name"] for m in d["mappings"])'
run 0 map $pid --vma "$(address small)" -n -b -o present,start,name
[ "$(tr -s ' ' <"$tmp/out" | sed 's/^ //')" = "$((700 * page)) $(address small) anonymous" ] ||
	wrong "map -n -b -o: $(cat "$tmp/out")"

# For people.
run 0 map $pid
plain map
narrow 80 map
output_has '^ +START +(SIZE +PRESENT|PRESENT +SWAPPED) +PAGES +RUNS +LONGEST +NAME$'
output_has '^Total: [0-9]+ mappings of 1 TiB, '
output_has '^Runs: [0-9]+, the longest '
output_has '^Pages: '
output_has '▒▒ scattered'
output_has '^0x[0-9a-f]+ +[█▓▒]'
run 0 map $pid --no-picture
grep -q '▒' "$tmp/out" && wrong "--no-picture draws"
COLUMNS=200 "$CONTIG" map $pid >"$tmp/out" || wrong "map, 200 columns"
narrow 200 "map, 200 columns"
output_has ' MEAN +NODES +NAME$'
COLUMNS=60 "$CONTIG" map $pid --summary >"$tmp/out" || wrong "map, 60 columns"
run 0 map $pid --runs=3 --no-picture
output_has '^The 3 longest of [0-9]+ runs, by address:$'
run 0 map $pid --svg "$tmp/a.svg" --no-picture
python3 - "$tmp/a.svg" <<'PYTHON' || wrong "the SVG is none"
import sys, xml.dom.minidom
d = xml.dom.minidom.parse(sys.argv[1])
boxes = d.getElementsByTagName("rect")
kinds = {b.getAttribute("class") for b in boxes}
assert d.documentElement.tagName == "svg" and {"run", "next", "scattered"} <= kinds, kinds
titles = [t.firstChild.data for t in d.getElementsByTagName("title")]
assert all(t.startswith("0x") and " of " in t or "," in t for t in titles) and titles
PYTHON
run 2 map $pid --svg /nonexistent/a.svg --no-picture
error_has '^contig map: /nonexistent/a.svg: '

# Without privilege: another's process not at all.
if can_be_nobody; then
	as_nobody 2 map $pid
	error_has "^contig map: .* of process $pid \(layout\): not this user's process \(E(ACCES|PERM)\)$"
	error_has CAP_SYS_PTRACE
	as_nobody 2 map $pid --json
	json_is 'd["error"]["errno"] in ("EACCES", "EPERM")'
fi
stop

# Two of one name.
start small=1
first=$pid
"$layout" small=1 <"$tmp/feed$fed" >/dev/null 8>&- &
second=$!
i=0
until grep -q '^layout$' "/proc/$second/comm" || [ $i -gt 400 ]; do
	i=$((i + 1))
	sleep 0.05
done
run 2 map layout
error_has '^contig map: layout: 2 processes have this name$'
error_has "^Try one of these numbers: .*$first"
run 2 map layout -J
json_is "sorted(p['pid'] for p in d['processes']) == sorted([$first, $second])"
stop
wait $second

# By the name of the program's file, of which the kernel keeps 15 characters,
# when nobody is called so.
cp "$layout" "$tmp/name-longer-than-fifteen" && layouts=$layout
layout=$tmp/name-longer-than-fifteen
start small=1
run 0 map name-longer-than-fifteen -J
json_is "d['process']['pid'] == $pid and d['process']['name'] == 'name-longer-tha'"
run 0 map name-longer-tha -J
json_is "d['process']['pid'] == $pid"
stop
layout=$layouts

# One's own, whose frames are hidden: what can be known is known.
if can_be_nobody; then
	cp "$layout" "$without" "$tmp" && chmod 755 "$tmp/layout" "$tmp/without_scan"
	layout=$tmp/layout
	as='setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --'
	mine='small=700 thp=4 none=1T'
	case $parts in *hugetlb*) mine="$mine hugetlb=2" ;; esac
	# shellcheck disable=SC2086
	start $mine
	look='as_nobody 0 map $pid --json'
	oracle "map as nobody" hidden
	json_is 'd["totals"]["runs"] is None and d["totals"]["hidden"] == d["totals"]["present"] > 0'
	as_nobody 0 map $pid
	output_has '^\?: pagemap hides frame numbers .*needs CAP_SYS_ADMIN'
	output_has '^Runs: \?$'
	output_has '\?\? hidden'
	narrow 80 'map, hidden'
	look='(cd / && $as "$tmp/without_scan" scan "$tmp/contig" map $pid --json) >"$tmp/out" ||
		wrong "as nobody, without PAGEMAP_SCAN"'
	oracle "map as nobody, without PAGEMAP_SCAN" hidden
	stop
	as=
fi

# Large enough for threads to read it.
start small=80000 sparse=3000
look='run 0 map $pid --json --runs=50'
oracle "map with threads"
look='"$without" scan "$CONTIG" map $pid --json >"$tmp/out" || wrong "threads, no PAGEMAP_SCAN"'
oracle "map with threads, without PAGEMAP_SCAN"
stop

# It changes under our eyes, and it dies.
start small=2000 churn
for i in 1 2 3 4 5 6 7 8 9 10; do
	run 0 map $pid --json
	json_is "$(row small)['present'] == 2000 * $page"
done
stop
for part in exec exit; do
	start small=70000 $part=1
	for i in 1 2 3 4 5 6; do
		"$CONTIG" map $pid --json >"$tmp/out" 2>"$tmp/err"
		got=$?
		case $got in
		0) json_is '"totals" in d and not d["totals"]["ended"]' ;;
		2) json_is 'd["error"]["reason"]' ;;
		*) wrong "map of a process that goes: exit $got" ;;
		esac
	done
	stop
done
# In the middle of reading, which a large hole without PAGEMAP_SCAN makes long:
# said, and what is missing isn't taken for nothing.
for part in kill exec=300; do
	# shellcheck disable=SC2086
	start hole=2T small=10 ${part#kill}
	"$without" scan "$CONTIG" map $pid --json >"$tmp/out" 2>"$tmp/err" &
	reader=$!
	sleep 0.4
	[ $part = kill ] && kill -KILL $pid
	wait $reader
	got=$?
	if [ $got -eq 0 ]; then
		echo "$part: read before it went"
	else
		[ $got -eq 2 ] || wrong "map of a process that goes: exit $got"
		json_is 'd["totals"]["ended"] and d["totals"]["missed"] > 0'
		json_is 'd["error"]["reason"].startswith("ended or began another program")'
		json_is 'any(m["present"] is None for m in d["mappings"])'
		json_is 'd["totals"]["runs"] is None'
	fi
	stop 2>/dev/null
	[ $part = kill ] && run 2 map $pid
done

# A bar while it takes long, on a terminal alone, and nothing left of it.
if command -v script >/dev/null; then
	start hole=2T
	TERM=xterm script -qec "'$without' scan '$CONTIG' map $pid" /dev/null >"$tmp/out" </dev/null
	grep -q 'reading: ' "$tmp/out" || wrong "no bar on a terminal"
	"$without" scan "$CONTIG" map $pid >"$tmp/out" 2>"$tmp/err"
	[ -s "$tmp/err" ] && wrong "a bar where no terminal is: $(cat "$tmp/err")"
	stop
fi

pool_back
pools_are "$before" map
exit $status
