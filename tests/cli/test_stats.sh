#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig stats: another process's counters, as a table, JSON and for Prometheus.
. "$(dirname "$0")/common.sh"

refused stats 1 2
refused stats ''
run 2 stats --prometheus --json
json_is 'd["error"]["object"] == "--prometheus"'
refused --sysroot "$tmp" stats
run 2 stats 999999999
error_has '^contig stats: 999999999: no such process$'
run 2 stats --json 999999999
json_is 'd["error"]["object"] == "999999999"'
run 2 stats no-such-name
error_has 'no-such-name: no such process'
run 2 stats $$
error_has "^contig stats: process $$: no libcontig in this process$"

# A process that holds memory: this command.
cp "$CONTIG" "$tmp/a name" 2>/dev/null || skip "the program can't be copied"
head -c 2 "$CONTIG" | grep -q '#!' && skip "the program is a script of libtool's"
CONTIG_SIM=4G-4608M "$tmp/a name" alloc 4M --hold=60 --no-picture >/dev/null 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null; rm -rf "$tmp"' EXIT
i=0
until "$CONTIG" stats -n -b -o allocated $pid 2>/dev/null | head -1 | grep -q 4194304; do
	i=$((i + 1))
	[ $i -gt 400 ] && {
		wrong "it never held 4 MiB"
		exit $status
	}
	sleep 0.05
done

run 0 stats $pid
narrow 80 stats
plain stats
output_has "^ *$pid +a name +[0-9]+ MiB +4 MiB +"
output_has "^ *$pid +default +default +[0-9]+ MiB +4 MiB +"
# A list of columns is of processes, and nothing else is printed.
run 0 stats -o pid,allocated $pid
[ "$(sed 's/  */ /g; s/^ //' "$tmp/out")" = "PID IN-USE
$pid 4 MiB" ] || wrong "stats -o prints more: $(cat "$tmp/out")"
# What is left out on a narrow screen is there on a wide one.
run 0 stats $pid
grep -q 'IN-USE.* PINNED.*UNWIRED' "$tmp/out" && wrong "too wide for the longest names"
COLUMNS=100 "$CONTIG" stats $pid | grep -q 'IN-USE.* PINNED.*UNWIRED' || wrong "no PINNED on 100"
# By its name, in two ways.
run 0 stats 'a name'
output_has "^ *$pid "
run 0 stats --json $pid
json_is 'len(d["processes"]) == 1 and d["processes"][0]["pid"] == '$pid
json_is 'd["processes"][0]["allocated"] == 4 << 20 and d["processes"][0]["level"] == "simulated"'
json_is 'd["processes"][0]["held"] == d["processes"][0]["unwired"] == sum(p["held"] for p in d["pools"])'
json_is 'd["processes"][0]["taken"] * (2 << 20) >= d["processes"][0]["held"] and d["invalid"] == 0'
json_is 'd["pools"][0]["live"] + d["pools"][0]["free"] == d["pools"][0]["held"]'
json_is '0 < d["processes"][0]["age_ns"] < 600 * 10**9'
run 0 stats
output_has "^ *$pid "

# Prometheus: each sample has its HELP and TYPE before it, and a number.
run 0 stats --prometheus $pid
python3 - "$tmp/out" $pid <<'END' || wrong "not what Prometheus reads"
import re, sys
kinds, helps, samples = {}, set(), {}
for line in open(sys.argv[1]):
    m = re.match(r'# (HELP|TYPE) (\w+) (.+)$', line)
    if m:
        assert m[2] not in samples, line
        if m[1] == "TYPE":
            assert m[2] not in kinds and m[3] in ("gauge", "counter"), line
            kinds[m[2]] = m[3]
        else:
            helps.add(m[2])
        continue
    m = re.match(r'(\w+)\{((?:\w+="(?:[^"\\]|\\.)*",?)+)\} (\d+)$', line)
    assert m and m[1] in kinds and m[1] in helps, line
    assert (kinds[m[1]] == "counter") == m[1].endswith("_total"), line
    assert 'pid="%s"' % sys.argv[2] in m[2] and 'command="a name"' in m[2], line
    samples[m[1]] = int(m[3])
assert samples["libcontig_allocated_bytes"] == 4 << 20
assert samples["libcontig_pool_live_bytes"] == 4 << 20
assert samples["libcontig_taken_total"] >= 2
END

if can_be_nobody; then
	as_nobody 2 stats $pid
	error_has 'not permitted'
	as_nobody 2 stats 'a name'
	error_has 'not permitted'
fi

kill $pid
wait $pid 2>/dev/null
run 2 stats $pid
exit $status
