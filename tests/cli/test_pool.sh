#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig pool: showing, dry runs, and as root every change and its undoing.
. "$(dirname "$0")/common.sh"

before=$(pool_numbers)
h2=/sys/kernel/mm/hugepages/hugepages-2048kB
h1=/sys/kernel/mm/hugepages/hugepages-1048576kB

refused pool nonsense
refused pool grow
refused pool grow 0
refused pool grow -1
refused pool grow many
refused pool grow 1 2
refused pool compact 1
refused pool below 4G
refused pool below 0 1
refused pool below 4G 1 1
refused pool grow 1 --size 3M
refused pool demote 1 --size 2M
refused pool below 4G 1 --size 1G
refused pool keep-contiguous 1 --runs 0
refused pool --node x
refused pool grow 1 --sysroot "$tmp"

# Captured machines.
tree=$srcdir/tests/trees/server2
if [ -d "$tree" ]; then
	run 0 --sysroot "$tree" pool
	narrow 80 pool
	plain pool
	output_has '^2 MiB +all +8192 +6144 +128 +512 +1024$'
	run 0 pool --sysroot "$tree" --json
	json_is '[p for p in d["pools"] if p["size"] == 2**21 and p["node"] is None][0] == {"size": 2**21, "node": None, "total": 8192, "free": 6144, "reserved": 128, "surplus": 512, "overcommit": 1024, "bytes": 8192 << 21, "bytes_free": 6144 << 21}'
	json_is '[p["total"] for p in d["pools"] if p["size"] == 2**30 and p["node"] is not None] == [16, 16]'
	run 0 pool --sysroot "$tree" --node 1 --size 2M -n -o total,free
	[ "$(tr -s ' ' <"$tmp/out" | sed 's/^ //')" = '3072 2048' ] || wrong "one node: $(cat "$tmp/out")"
	run 2 pool --sysroot "$tree" --node 7
	# Surplus pages are not made permanent: 8192 - 512 + 10.
	run 0 pool --sysroot "$tree" --dry-run grow 10
	output_has "^echo 7690 > $h2/nr_hugepages$"
	run 2 pool --sysroot "$tree" --contiguity
fi

[ -d $h2 ] || skip "no pool of 2 MiB pages here"
run 0 pool
run 0 pool show --json
json_is "[p for p in d['pools'] if p['size'] == 2**21][0]['total'] == $(cat $h2/nr_hugepages)"

# Dry runs are for everybody, print shell, and change nothing.
for action in 'grow 3' compact 'keep-contiguous 4' 'below 4G 2'; do
	[ "${action%% *}" = below ] && [ ! -d $h1 ] && continue
	# shellcheck disable=SC2086
	run 0 pool --dry-run $action
	sh -n "$tmp/out" || wrong "dry run of $action is no shell"
	output_has '^echo [0-9]+ > /'
	grep -vqE '^(echo [0-9]+ > /[a-z0-9/_A-Z-]+|# .*)$' "$tmp/out" &&
		wrong "dry run of $action: $(cat "$tmp/out")"
	# shellcheck disable=SC2086
	run 0 pool --dry-run $action --json
	json_is 'd["commands"] and all(c["command"] or c["comment"] for c in d["commands"])'
done
pools_are "$before" "dry runs"

# Shrinking beyond what is free, and memory that nobody has.
run 1 pool shrink $(($(cat $h2/free_hugepages) + 1)) --dry-run
error_has '\(EBUSY\)$'

if can_be_nobody; then
	for action in 'grow 1' compact 'keep-contiguous 1'; do
		# shellcheck disable=SC2086
		as_nobody 2 pool $action
		error_has '^contig pool: .*(EACCES|EPERM)'
		error_has '^Try it with sudo'
		# shellcheck disable=SC2086
		as_nobody 2 pool $action --json
		json_is 'd["error"]["errno"] in ("EACCES", "EPERM") and d["error"]["way_out"]'
	done
	as_nobody 0 pool
	as_nobody 0 pool --dry-run grow 1
	pools_are "$before" "nobody"
fi

is_root && [ -w $h2/nr_hugepages ] || {
	[ $status -eq 0 ] || exit $status
	skip "changing pools needs root"
}
total=$(cat $h2/nr_hugepages)

# Whatever happens, the pool ends as it was found.
trap 'echo "$total" >$h2/nr_hugepages; rm -rf "$tmp"' EXIT

run 1 pool grow 100000000
error_has '\(ENOMEM\)$'
pools_are "$before" "grow too much"
run 1 pool keep-contiguous 100000000
pools_are "$before" "keep too much"

run 0 pool grow 4
output_has '^pages of 2 MiB: '
[ "$(cat $h2/nr_hugepages)" -eq $((total + 4)) ] || wrong "grow 4: $(cat $h2/nr_hugepages)"
run 0 pool --contiguity --json --size 2M
json_is 'sum(r["pages"] for r in d["runs_2m"]) >= 4'
json_is 'all(int(r["end"], 16) - int(r["start"], 16) == r["length"] == r["pages"] << 21 for r in d["runs_2m"])'
json_is '[r["pages"] for r in d["runs_2m"]] == sorted((r["pages"] for r in d["runs_2m"]), reverse=True)'
run 0 pool --contiguity
narrow 80 --contiguity
run 0 pool shrink 4 --json
json_is 'd["total_before"] - d["total"] == 4'
pools_are "$before" "grow and shrink"

# Eight in a row: where memory has no such run, it says so and changes nothing.
"$CONTIG" pool keep-contiguous 8 --json >"$tmp/out" 2>"$tmp/err"
got=$?
case $got in
0)
	json_is 'd["total"] - d["total_before"] == 8 and d["kept"][0]["pages"] >= 8'
	run 0 pool --contiguity --json --size 2M
	json_is 'd["runs_2m"][0]["pages"] >= 8'
	run 0 pool shrink 8
	;;
1) json_is 'd["error"]["errno"] == "ENOMEM" and d["error"]["reason"]' ;;
*) wrong "keep-contiguous: exit $got: $(cat "$tmp/out" "$tmp/err")" ;;
esac
pools_are "$before" "keep-contiguous and shrink"

# Below an address: either it works, or it says why and changes nothing.
if [ -w $h1/demote ]; then
	"$CONTIG" pool below 4G 4 --json >"$tmp/out" 2>"$tmp/err"
	got=$?
	case $got in
	0)
		json_is 'd["total"] - d["total_before"] == 4'
		json_is 'sum(r["pages"] for r in d["kept"]) == 4 and all(int(r["end"], 16) <= 2**32 for r in d["kept"])'
		run 0 pool shrink 4
		;;
	1) json_is 'd["error"]["errno"] == "ENOMEM" and d["error"]["reason"]' ;;
	*) wrong "below 4G: exit $got: $(cat "$tmp/out" "$tmp/err")" ;;
	esac
	pools_are "$before" "below 4G"
	run 1 pool below 2M 1
	pools_are "$before" "below 2M"
	run 1 pool demote 100000
	error_has '\(EBUSY\)$'
fi

# Killed at any moment, the pools go back.
finished=0
for delay in 0.01 0.03 0.06 0.1 0.15 0.2; do
	timeout -s KILL $delay "$CONTIG" pool keep-contiguous 16 >/dev/null 2>&1 && {
		"$CONTIG" pool shrink 16 >/dev/null
		continue
	}
	i=0
	while [ "$(pool_numbers)" != "$before" ] && [ $i -lt 100 ]; do
		i=$((i + 1))
		sleep 0.1
	done
	# Once it may have been done, and dead before it could say so.
	[ "$(cat $h2/nr_hugepages)" -eq $((total + 16)) ] && [ $finished -eq 0 ] && {
		finished=1
		"$CONTIG" pool shrink 16 >/dev/null
	}
done
pools_are "$before" "kill -9"

exit $status
