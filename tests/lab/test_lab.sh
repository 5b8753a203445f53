#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The lab itself can fail: a program's status comes back, arguments arrive as
# they are, a machine that dies or hangs or whose kernel warns is no success.
run=$top_srcdir/tests/lab/run
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# expect STATUS TEXT ARGUMENT...: run any ARGUMENT..., and what comes of it
expect()
{
	wanted=$1
	text=$2
	shift 2
	"$run" any "$@" >"$log" 2>&1
	status=$?
	if [ $status -eq 77 ]; then
		cat "$log"
		exit 77
	fi
	if [ $status -ne "$wanted" ] || ! grep -qF "$text" "$log"; then
		cat "$log"
		echo "any $*: exit $status instead of $wanted, or no \"$text\""
		exit 1
	fi
	tail -n 1 "$log"
}

expect 42 'a  b*c' sh -c 'printf "%s\n" "$1"; exit 42' sh 'a  b*c'
expect 1 'kernel complains' sh -c 'echo "<4>WARNING: CPU: 0 PID: 1 at x.c:1" >/dev/kmsg'
expect 1 'went down before' sh -c 'echo c >/proc/sysrq-trigger; sleep 60'
CONTIG_LAB_LIMIT=20
export CONTIG_LAB_LIMIT
expect 1 'not done after 20 s' sleep 60
exit 0
