#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig doctor: on this machine, on captured ones, without privilege.
. "$(dirname "$0")/common.sh"

before=$(pool_numbers)

# On this machine the verdict depends on the machine; the form does not.
"$CONTIG" doctor >"$tmp/out" 2>"$tmp/err"
got=$?
[ $got -le 1 ] || wrong "doctor: exit $got"
[ -s "$tmp/err" ] && wrong "doctor: $(cat "$tmp/err")"
plain doctor
narrow 80 doctor
output_has '^Verdict: '
for check in kernel 'frames visible' '2 MiB pool' surplus '1 GiB pool' collapse pinning \
	'memlock budget' 'memory available' 'memory cgroup' 'hugetlb cgroup' 'below 4 GiB' \
	hugetlbfs mappings IOMMU; do
	output_has "^(ok|limited|missing)  +$check  "
done
run $got doctor --json
json_is 'len(d["checks"]) >= 15 and all(c["state"] in ("ok", "limited", "missing") for c in d["checks"])'
json_is 'all(c["means"] for c in d["checks"] if c["state"] != "ok")'
json_is 'd["level"] in ("physical", "hidden") and d["wiring"] in ("pinned", "resident", "none")'
json_is "(d['level'], d['wiring']) == ('physical', 'pinned') or $got == 1"
run $got doctor -n -o check,state
[ "$(wc -l <"$tmp/out")" -ge 15 ] || wrong "doctor -n -o: $(cat "$tmp/out")"
grep -q CAPABILITY "$tmp/out" && wrong "doctor -n: a heading"
run $got doctor --verbose
[ "$(grep -c 'means: ' "$tmp/out")" -ge 12 ] || wrong "doctor -v says little"
for columns in 40 60 120 200; do
	COLUMNS=$columns "$CONTIG" doctor --verbose >"$tmp/out"
	narrow "$((columns < 60 ? 60 : columns))" "doctor, COLUMNS=$columns"
done
refused doctor argument

# What mends is a command that a shell can read, or a comment.
run $got doctor --json
python3 - "$tmp/out" >"$tmp/mend" <<'EOF'
import json, sys
for c in json.load(open(sys.argv[1]))["checks"]:
    if c["mend"]:
        print(c["mend"])
EOF
sh -n "$tmp/mend" || wrong "no shell: $(cat "$tmp/mend")"

# Captured machines: nothing is tried, and the numbers are the captured ones.
for tree in "$srcdir"/tests/trees/*/; do
	[ -e "$tree/proc/zoneinfo" ] || continue
	run 1 doctor --sysroot "$tree" --json
	json_is 'd["level"] is None and [c for c in d["checks"] if c["check"] == "collapse"][0]["state"] == "untried"'
	run 1 --sysroot "$tree" doctor
	narrow 80 "doctor $tree"
done
if [ -d "$srcdir/tests/trees/server2" ]; then
	run 1 doctor --sysroot "$srcdir/tests/trees/server2" --json
	json_is '"node 1" in [c for c in d["checks"] if c["check"] == "2 MiB pool"][0]["found"]'
fi
mkdir "$tmp/empty"
run 2 doctor --sysroot "$tmp/empty"
error_has '^contig doctor: /proc: '
run 2 doctor --sysroot "$tmp/empty" --json
json_is 'd["error"]["object"] == "/proc"'

if can_be_nobody; then
	as_nobody 1 doctor
	output_has '^limited  frames visible '
	output_has 'mend: sudo setpriv'
	as_nobody 1 doctor --json
	json_is 'd["level"] == "hidden"'
	# The mend holds what it promises.
	(cd / && setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+sys_admin \
		--ambient-caps=+sys_admin "$tmp/contig" doctor -o check,state -n) >"$tmp/out" 2>&1
	output_has '^frames visible +ok'
fi

# Colour on a terminal alone, and not with NO_COLOR.
if command -v script >/dev/null; then
	TERM=xterm script -qec "'$CONTIG' doctor" /dev/null >"$tmp/out" </dev/null
	grep -q "$(printf '\033')" "$tmp/out" || wrong "no colour on a terminal"
	NO_COLOR=1 TERM=xterm script -qec "'$CONTIG' doctor" /dev/null >"$tmp/out" </dev/null
	plain NO_COLOR
	TERM=dumb script -qec "'$CONTIG' doctor" /dev/null >"$tmp/out" </dev/null
	plain 'TERM=dumb'
fi
pools_are "$before" doctor
exit $status
