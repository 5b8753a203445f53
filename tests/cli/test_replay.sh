#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig replay: file format, outcomes, and its own judgement of refusals.
. "$(dirname "$0")/common.sh"

before=$(pool_numbers)

# One line from its fields.
tuple()
{
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s' "$1" "$2" "$3" "$4" "$5" "$6" "$7"
	[ $# -gt 7 ] && printf '\t%s' "$8"
	printf '\n'
}

refused replay
refused replay a b
refused replay --size 0 a
refused replay --order 99 a
run 2 replay /nonexistent
error_has '^contig replay: /nonexistent: '
run 2 replay /nonexistent --json
json_is 'd["error"]["errno"] == "ENOENT"'

# Files that are wrong say where.
malformed()
{
	run 2 replay "$tmp/bad"
	error_has "^contig replay: $tmp/bad: line $1: "
}
{ echo '# comment'; tuple 1 x 4096 0 '~0' 1; } >"$tmp/bad"
malformed 2
tuple 1 x 0 0 '~0' 1 0 >"$tmp/bad"; malformed 1
tuple 1 x many 0 '~0' 1 0 >"$tmp/bad"; malformed 1
tuple 1 x 4096 0 '~0' 3 0 >"$tmp/bad"; malformed 1
tuple 1 x 4096 0 '~0' 1 5000 >"$tmp/bad"; malformed 1
tuple 1 x 4096 low '~0' 1 0 >"$tmp/bad"; malformed 1
tuple 1 x '4096<<99' 0 '~0' 1 0 >"$tmp/bad"; malformed 1
{ tuple 1 x 4096 0 '~0' 1 0; tuple 1 x 4096 0 '~0' 1 0; } >"$tmp/bad"
malformed 2
head -c 4096 /bin/sh >"$tmp/bad"
run 2 replay "$tmp/bad"

# No calls: nothing refused.
: >"$tmp/none"
run 0 replay "$tmp/none"
output_has '^Summary: 0 of 0 met'

# What no machine can meet.
{
	tuple a x S 0 0xffffffff 1 1 'boundary 1'
	tuple b x 4096 8192 4096 1 0
	tuple c x 8192 4096 8192 1 0
	tuple d x 4096 0x500 0xa0000 4096 0
	tuple e x 4096 0xffff00000000000 '~0' 4096 0
} >"$tmp/never"
run 0 replay "$tmp/never" --json
json_is 'd["summary"]["impossible"] == 5 and d["summary"]["met"] == 0'
json_is 'all(t["errno"] and t["reason"] and t["judged"] for t in d["tuples"])'
json_is 'all(t["time_ns"] < 10**9 for t in d["tuples"])'

"$CONTIG" alloc 4K >/dev/null 2>"$tmp/err" ||
	skip "this machine has no memory for it: $(head -1 "$tmp/err")"

# What every machine can.
{
	tuple 1 site:1 S 0 '~0' S S 'M_ZERO'
	tuple 2 site:2 '4096<<order' 0 '~0' 1 0
	tuple 3 site:3 '4096<<2' 0 '~0' 4096 16K
	tuple 4 site:4 100 0 '~0' 64 4096
} >"$tmp/easy"
run 0 replay "$tmp/easy"
plain replay
narrow 80 replay
output_has '^Summary: 4 of 4 met, 0 refused, 0 wrong'
run 0 replay "$tmp/easy" --json --size 12K --order 3 --keep
json_is '[t["size"] for t in d["tuples"]] == [12288, 32768, 16384, 100]'
json_is 'd["tuples"][0]["alignment"] == 16384'
json_is 'd["summary"]["met"] == 4 and d["summary"]["wrong"] == 0'
"$CONTIG" replay - <"$tmp/easy" >"$tmp/out" || wrong "replay -: exit $?"
run 0 replay "$tmp/easy" -n -o id,outcome
[ "$(head -1 "$tmp/out" | tr -s ' ')" = '1 met' ] || wrong "-o id,outcome: $(cat "$tmp/out")"

# The calls of real drivers: none may come out wrong; what is missing depends
# on the machine, and is said.
corpus=$srcdir/tests/corpus/contigmalloc_calls.tsv
run 0 replay "$corpus" --json
json_is 'd["summary"]["tuples"] == 30 and d["summary"]["wrong"] == 0 and d["summary"]["unmet"] == 0'
json_is '[t for t in d["tuples"] if t["id"] == "16"][0]["outcome"] == "impossible"'
json_is 'all(t["reason"] for t in d["tuples"] if t["errno"])'
COLUMNS=80 "$CONTIG" replay "$corpus" >"$tmp/out"
narrow 80 'replay, 80 columns'

# --expect-refused takes precedence over no-memory.
refusal=$("$CONTIG" replay "$corpus" -n -o id,outcome |
	awk '$2 == "no-memory" { print $1; exit }')
if [ -n "$refusal" ]; then
	run 0 replay "$corpus" --json --expect-refused "99,$refusal"
	json_is "[t for t in d['tuples'] if t['id'] == '$refusal'][0]['outcome'] == 'expected'"
fi

if can_be_nobody; then
	cp "$corpus" "$tmp/corpus" && chmod 644 "$tmp/corpus"
	as_nobody 0 replay "$tmp/corpus" --json
	json_is 'd["summary"]["no-privilege"] >= 10 and d["summary"]["wrong"] == 0'
	json_is 'all(t["start"] is None for t in d["tuples"])'
fi
pools_are "$before" replay
exit $status
