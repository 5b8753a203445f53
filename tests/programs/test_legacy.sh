#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A driver that believes its buffers contiguous: wrong without the shim, right
# with it.
. "$(dirname "$0")/common.sh"
CC=${CC:-cc}
need "${CC%% *}"
is_root || skip "pagemap shows frames to root only"

(cd "$tmp" && $CC -O1 -o driver "$srcdir/tests/programs/legacy_driver.c") || exit 99
"$tmp/driver" >"$tmp/out"
got=$?
[ $got -eq 1 ] || wrong "without the shim: exit $got: is this test able to fail?"
under -- "$tmp/driver" >"$tmp/out" 2>&1
got=$?
[ $got -eq 0 ] || wrong "with the shim: exit $got: $(cat "$tmp/out")"
used driver True "t['large_kept'] >= 4 * 21 * 2**20 and t['largest_run'] >= 2**24"
under --align 2M -- "$tmp/driver" >"$tmp/out" 2>&1 || wrong "--align 2M: $(cat "$tmp/out")"
[ $runs -gt 0 ] || finish
# Where nothing may be taken the driver is as wrong as ever, and the report says so.
under --limit 2M -- "$tmp/driver" >"$tmp/out" 2>&1 && wrong "--limit 2M keeps 16 MiB contiguous"
$python - "$tmp/report" <<'PY' || wrong "--limit: the report"
import json, sys
t = json.load(open(sys.argv[1]))
sys.exit(not (t["total"]["large_broken"] > 0 and t["total"]["fallback_bytes"] > 0 and t["reasons"]))
PY
under --limit 2M --strict -- "$tmp/driver" >"$tmp/out" 2>&1
got=$?
[ $got -eq 2 ] || wrong "--strict --limit 2M: exit $got, not that of ENOMEM"
finish
