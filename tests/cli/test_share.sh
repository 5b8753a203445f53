#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig share: usage, and processes that share nothing.  What they do share is
# tests/integration/test_board's.
. "$(dirname "$0")/common.sh"

refused share 1 2
refused share ''
refused --sysroot "$tmp" share
run 2 share 999999999
error_has '^contig share: 999999999: no such process$'
run 2 share --json 999999999
json_is 'd["error"]["object"] == "999999999"'
run 2 share $$
error_has "^contig share: process $$: no libcontig in this process$"

head -c 2 "$CONTIG" | grep -q '#!' && skip "the program is a script of libtool's"
CONTIG_SIM=4G-4608M "$CONTIG" alloc 4M --hold=60 --no-picture >/dev/null 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null; rm -rf "$tmp"' EXIT
i=0
until "$CONTIG" stats $pid >/dev/null 2>&1; do
	i=$((i + 1))
	[ $i -gt 400 ] && {
		wrong "it never had statistics"
		exit $status
	}
	sleep 0.05
done
run 1 share $pid
output_has '^No vma is shared by this process$'
plain share
run 1 share --json $pid
json_is 'd["shared"] == [] and d["pools"] == []'
if can_be_nobody; then
	as_nobody 2 share $pid
	error_has 'not permitted'
fi
kill $pid
wait $pid 2>/dev/null
run 2 share $pid
exit $status
