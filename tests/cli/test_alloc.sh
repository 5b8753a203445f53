#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig alloc: blocks, constraints, refusals, pictures, holding.
. "$(dirname "$0")/common.sh"

before=$(pool_numbers)

refused alloc
refused alloc 0
refused alloc x
refused alloc 4K 4K
refused alloc 4K --align 3
refused alloc 4K --align 0
refused alloc 4K --boundary 12K
refused alloc 4K --count 0
refused alloc 4K --count -1
refused alloc 4K --low nowhere
refused alloc 4K --grow much
refused alloc 4K --hold=soon
refused alloc 4K --node 99999
refused alloc 999999999999999999999
refused alloc ~0

# A described machine says so, and needs no memory of this one.
CONTIG_SIM=16M-1G,4G-5G
export CONTIG_SIM
run 0 alloc 64K --high 1G --json
json_is 'd["blocks"][0]["level"] == "simulated" and d["blocks"][0]["check"] == "ok"'
json_is '0x1000000 <= int(d["blocks"][0]["start"], 16) < 2**30'
run 0 alloc 64K
output_has CONTIG_SIM
unset CONTIG_SIM

"$CONTIG" alloc 4K >"$tmp/out" 2>"$tmp/err"
got=$?
[ $got -eq 1 ] && skip "this machine has no memory for it: $(head -1 "$tmp/err")"

run 0 alloc 64K --zero
plain alloc
narrow 80 alloc
COLUMNS=200 "$CONTIG" alloc 64K >"$tmp/out" || wrong "alloc, 200 columns"
narrow 200 alloc

run 0 alloc 64K --json --count 3 --align 64K --boundary 64K --zero
json_is '[b["block"] for b in d["blocks"]] == [0, 1, 2]'
json_is 'all(b["size"] == 65536 and b["check"] in ("ok", "unseen") for b in d["blocks"])'
json_is 'all(b["start"] is None or int(b["start"], 16) % 65536 == 0 for b in d["blocks"])'
json_is 'all(b["address"].startswith("0x") and b["time_ns"] > 0 for b in d["blocks"])'
json_is 'len(set(b["address"] for b in d["blocks"])) == 3'

# Sizes are rounded to pages.
run 0 alloc 5000 --json
json_is 'd["blocks"][0]["size"] == 8192'
run 0 alloc 0x1000 -b -n -o size
[ "$(cat "$tmp/out")" = 4096 ] || wrong "alloc -b -n -o size: $(cat "$tmp/out")"

# What can never be met: errno, reason, at once.
run 1 alloc 64K --boundary 4K
error_has '^contig alloc: contigmalloc: .*\(ERANGE\)'
run 1 alloc 64K --low 2G --high 1G --json
json_is 'd["error"]["errno"] == "ERANGE" and d["error"]["reason"] and d["blocks"] == []'
run 1 alloc 64K --low 0xffff00000000000
# So much memory nobody has.
run 1 alloc 64T
if [ "$(id -u)" -eq 0 ]; then
	error_has '\((ERANGE|ENOMEM)\)$'
else
	error_has '\((ERANGE|ENOMEM|EPERM)\)$'
fi

if is_root && "$CONTIG" doctor --json >"$tmp/out"; then
	# The window is kept: wherever the block lies, around it and no more.
	run 0 alloc 64K --json --low 0x1000000
	json_is 'int(d["blocks"][0]["start"], 16) >= 0x1000000'
	json_is 'd["blocks"][0]["level"] == "physical" and d["blocks"][0]["check"] == "ok"'
	run 0 alloc 64K
	output_has '^node 0 '
	output_has 'close up: 0x'
	run 0 alloc 64K --no-picture
	grep -q 'close up' "$tmp/out" && wrong "--no-picture draws"
	run 0 alloc 64K --svg "$tmp/a.svg"
	python3 -c 'import sys, xml.dom.minidom as m
d = m.parse(sys.argv[1]); assert d.documentElement.tagName == "svg"
assert [r for r in d.getElementsByTagName("rect") if r.getAttribute("class") == "ours"]' \
		"$tmp/a.svg" || wrong "the SVG is none"
	run 2 alloc 64K --svg /nonexistent/a.svg
	error_has '^contig alloc: /nonexistent/a.svg: '
fi

# Holding: memory is there until a signal, and frames have not moved.
run 0 alloc 64K --hold=1
"$CONTIG" alloc 64K --hold >"$tmp/hold" 2>"$tmp/err" &
pid=$!
i=0
until grep -q 'held by process' "$tmp/hold" || [ $i -gt 400 ]; do
	i=$((i + 1))
	sleep 0.05
done
kill -TERM $pid 2>/dev/null || wrong "--hold did not hold"
wait $pid || wrong "--hold and SIGTERM: exit $?: $(cat "$tmp/err")"

if can_be_nobody; then
	as_nobody 0 alloc 64K
	output_has ' hidden '
	output_has '^\?: pagemap hides'
	grep -q 0x "$tmp/out" && wrong "as nobody: an address from nowhere"
	as_nobody 0 alloc 64K --json
	json_is 'd["blocks"][0]["start"] is None and d["blocks"][0]["level"] == "hidden"'
	as_nobody 1 alloc 64K --high 4G
	error_has '\(EPERM\)$'
fi
pools_are "$before" alloc
exit $status
