#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig capture: what is packed serves the reading commands as this machine
# does, byte for byte where nothing changes.
. "$(dirname "$0")/common.sh"

refused capture
refused capture "$tmp/a.zip"
refused capture "$tmp/a.tar" "$tmp/b.tar"
refused capture --process 0 "$tmp/a.tar"
refused capture --no-addresses --frames "$tmp/a.tar"
refused capture --no-addresses --process $$ "$tmp/a.tar"
TMPDIR=$tmp/scratch; export TMPDIR
mkdir "$TMPDIR" || exit 99

run 0 capture "$tmp/a.tar"
narrow 80 capture
plain capture
mkdir "$tmp/a" && tar -C "$tmp/a" -xf "$tmp/a.tar" || wrong "not an archive"
for f in /proc/version /proc/iomem /proc/sys/vm/max_map_count \
	 /sys/kernel/mm/hugepages/*/nr_overcommit_hugepages \
	 /sys/devices/system/node/node0/distance /sys/devices/system/node/possible; do
	[ "$(cat "$f")" = "$(cat "$tmp/a$f")" ] || wrong "$f is not in it as it is"
done
[ "$(cat "$tmp/a/contig/page_size")" = "$(getconf PAGESIZE)" ] || wrong "page size"
grep -qE '^MemTotal:' "$tmp/a/proc/meminfo" || wrong "meminfo"
[ ! -e "$tmp/a/proc/kpageflags" ] || wrong "kpageflags without --frames"

# The same answers from the copy.
run 0 --sysroot "$tmp/a" pool show --json
sed -n '/"total"/p; /"size"/p' "$tmp/out" >"$tmp/copy"
run 0 pool show --json
sed -n '/"total"/p; /"size"/p' "$tmp/out" | cmp -s - "$tmp/copy" || wrong "pool differs"
run 0 --sysroot "$tmp/a" phys
# Whatever doctor finds on this machine, it finds in the copy, or less.
"$CONTIG" --sysroot "$tmp/a" doctor >"$tmp/out" 2>"$tmp/err" </dev/null
[ $? -le 1 ] || wrong "doctor of the copy fails: $(cat "$tmp/out" "$tmp/err")"
output_has "Linux $(uname -r | cut -d. -f1)"

# Nothing is overwritten, nothing is left lying about.
cp "$tmp/a.tar" "$tmp/before"
run 2 capture "$tmp/a.tar"
error_has 'there already'
cmp -s "$tmp/a.tar" "$tmp/before" || wrong "overwritten without --force"
run 0 capture --force --json "$tmp/a.tar"
json_is 'd["files"] > 30 and d["bytes_packed"] > 0 and isinstance(d["missing"], list)'
run 2 capture "$tmp/none/a.tar"
run 2 capture --process 999999999 "$tmp/b.tar"
run 2 --sysroot "$tmp/a" capture "$tmp/b.tar"
[ ! -e "$tmp/b.tar" ] && [ ! -e "$tmp/b.tar.partial" ] || wrong "a file after a failure"
"$CONTIG" capture --frames "$tmp/c.tar" >/dev/null 2>&1 &
child=$!
while [ -z "$(ls "$TMPDIR")" ] && kill -0 $child 2>/dev/null; do :; done
kill -TERM $child
wait $child
[ -z "$(ls "$TMPDIR")" ] || wrong "left in TMPDIR: $(ls "$TMPDIR")"

# Without addresses: no digit but 0 before the colon of a range.
run 0 capture --no-addresses "$tmp/d.tar.gz"
mkdir "$tmp/d" && tar -C "$tmp/d" -xzf "$tmp/d.tar.gz" || wrong "not compressed by gzip"
sed 's/:.*//' "$tmp/d/proc/iomem" | grep -q '[1-9a-f]' && wrong "addresses in iomem"
grep -q 'System RAM' "$tmp/d/proc/iomem" || wrong "iomem lost its words"

if command -v zstd >/dev/null; then
	run 0 capture "$tmp/e.tar.zst"
	zstd -q -t "$tmp/e.tar.zst" || wrong "not compressed by zstd"
else
	run 2 capture "$tmp/e.tar.zst"
	error_has 'zstd'
fi

# A cgroup whose name reads as a pattern: its limits are in it, not those of
# another that the pattern would match.
group=$(sed -n 's|^[0-9]*:memory:|/sys/fs/cgroup/memory|p' /proc/self/cgroup)
[ -n "$group" ] || group=$(sed -n 's|^0::|/sys/fs/cgroup|p' /proc/self/cgroup)
group=${group%/}/contig-test-$$-'[ab]*'
if is_root && mkdir "$group" 2>/dev/null; then
	# Where a process can't be moved there is nothing to see.
	sh -c 'echo $$ 2>/dev/null >"$1/cgroup.procs" || exit 77; shift; exec "$@"' sh "$group" \
		"$CONTIG" capture "$tmp/g.tar" >"$tmp/out" 2>"$tmp/err"
	got=$?
	if [ $got -ne 77 ]; then
		mkdir "$tmp/g" && tar -C "$tmp/g" -xf "$tmp/g.tar" || wrong "exit $got in $group"
		for f in memory.limit_in_bytes memory.max memory.stat; do
			[ ! -e "$group/$f" ] || [ -e "$tmp/g$group/$f" ] ||
				wrong "$group/$f is not in it"
		done
	fi
	rmdir "$group"
fi

is_root || { [ $status -eq 0 ] || exit $status; skip "frames need root"; }
sleep 60 &
child=$!
# It is no sleep(1) yet: wait until its mappings are what they will be.
i=0
mapped=
until grep -q '^sleep$' "/proc/$child/comm" && [ "$(cat "/proc/$child/maps")" = "$mapped" ] ||
	[ $i -gt 100 ]; do
	mapped=$(cat "/proc/$child/maps")
	i=$((i + 1))
	sleep 0.2
done
run 0 capture --frames --process $child "$tmp/f.tar"
mkdir "$tmp/f" && tar -C "$tmp/f" -xf "$tmp/f.tar" || wrong "not an archive"
[ "$(cat "/proc/$child/maps")" = "$(cat "$tmp/f/proc/$child/maps")" ] || wrong "maps"
python3 - $child "$tmp/f" <<'EOF' || wrong "pagemap"
import os, sys
pid, root = sys.argv[1:]
there = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
copy = os.open(f"{root}/proc/{pid}/pagemap", os.O_RDONLY)
n = 0
for line in open(f"/proc/{pid}/maps"):
    a, b = (int(x, 16) for x in line.split()[0].split("-"))
    if a >> 63:
        continue
    x, y = (os.pread(f, (b - a) // 4096 * 8, a // 4096 * 8) for f in (there, copy))
    assert len(x) == len(y), line
    n += sum(x[i:i + 8] == y[i:i + 8] != bytes(8) for i in range(0, len(x), 8))
assert n > 50, n
assert os.stat(f"{root}/proc/{pid}/pagemap").st_blocks * 512 < 64 << 20, "not sparse"
EOF
kill $child
run 0 --sysroot "$tmp/f" phys --json
json_is 'd["source"] == "kpageflags" and sum(u["bytes"] for u in d["uses"]) > 0.9 * sum(z["ram"] for z in d["zones"])'
unset TMPDIR
as_nobody 0 capture /tmp/contig-test-$$.tar
rm -f /tmp/contig-test-$$.tar
exit $status
