#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The machine is left as it was found.
#   check-machine.sh record FILE    before the first test
#   check-machine.sh compare FILE   after the last; waits up to 10 s, because
#                                   pinned pages reach the pool late
# Without arguments (as the last test): compare with tests/machine.before.
LC_ALL=C; export LC_ALL

values() # FILE...: "file: contents" of those that can be read
{
	for f; do
		[ -f "$f" ] && contents=$(cat "$f" 2>/dev/null) && echo "$f: $contents"
	done
}

# Processes that carry the mark of this run and aren't this script or those
# who wait for it.
left_behind()
{
	[ -n "$CONTIG_TEST_RUN" ] || return 0
	family=" "
	pid=$$
	while [ "${pid:-0}" -gt 1 ]; do
		family="$family$pid "
		pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
	done
	grep -lzxF "CONTIG_TEST_RUN=$CONTIG_TEST_RUN" /proc/[0-9]*/environ 2>/dev/null |
	while IFS=/ read -r _ _ pid _; do
		case $family in *" $pid "*) continue ;; esac
		# A child of this script (grep, while) is part of it.
		parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
		[ -z "$parent" ] || [ "$parent" = $$ ] && continue
		case $(cat "/proc/$pid/stat" 2>/dev/null) in *') Z '*) continue ;; esac
		# Only those whose line of parents doesn't lead to make (tests that
		# run beside this one do; an orphan's leads to init).
		up=$parent
		while [ "${up:-0}" -gt 1 ]; do
			case $family in *" $up "*) continue 2 ;; esac
			up=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$up/status" 2>/dev/null)
		done
		echo "process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
	done
}

state()
{
	echo "hugetlb pools"
	values /sys/kernel/mm/hugepages/*/* /sys/devices/system/node/node*/hugepages/*/*
	grep -E '^(HugePages_|Hugetlb:|Hugepagesize:)' /proc/meminfo
	echo "transparent hugepages"
	for f in /sys/kernel/mm/transparent_hugepage/* \
		 /sys/kernel/mm/transparent_hugepage/hugepages-*/* \
		 /sys/kernel/mm/transparent_hugepage/khugepaged/*; do
		# Not counters, which only go up.
		case $f in
		*/full_scans | */pages_collapsed | */stats) continue ;;
		esac
		values "$f"
	done
	echo "settings"
	for f in nr_hugepages nr_hugepages_mempolicy nr_overcommit_hugepages \
		 hugetlb_shm_group max_map_count overcommit_memory overcommit_ratio \
		 overcommit_kbytes min_free_kbytes compaction_proactiveness \
		 compact_unevictable_allowed extfrag_threshold zone_reclaim_mode \
		 lowmem_reserve_ratio watermark_boost_factor watermark_scale_factor \
		 swappiness unprivileged_userfaultfd; do
		values /proc/sys/vm/$f
	done
	for f in numa_balancing io_uring_disabled io_uring_group randomize_va_space \
		 yama/ptrace_scope shmmax shmall shmmni; do
		values /proc/sys/kernel/$f
	done
	values /proc/sys/user/max_user_namespaces /sys/kernel/mm/numa/demotion_enabled
	echo "left lying about"
	awk '$3 == "hugetlbfs" || $2 ~ /contig/ { print "mount: " $1, $2, $3 }' /proc/mounts
	find /dev/shm -mindepth 1 -maxdepth 1 2>/dev/null | sort
	awk 'NR > 1 { print "System V segment: key " $1 ", id " $2 ", size " $4 }' \
		/proc/sysvipc/shm 2>/dev/null
	find /sys/fs/cgroup -maxdepth 3 -type d -name '*contig*' 2>/dev/null | sort
	left_behind
}

# compare_files BEFORE AFTER: print what differs.
compare_files()
{
	diff -U0 "$1" "$2" | grep -vE '^(---|\+\+\+|@@)' | sed -e 's/^-/was: /' -e 's/^+/is:  /'
	cmp -s "$1" "$2"
}

compare() # FILE
{
	before=$1
	after=${1%.before}.after
	end=$(($(date +%s) + 10))
	while :; do
		state >"$after"
		cmp -s "$before" "$after" && return 0
		[ "$(date +%s)" -lt $end ] || break
		sleep 0.1
	done
	echo "the machine is not as it was found:"
	compare_files "$before" "$after"
	return 1
}

# It must be able to fail: a changed number, and a process left behind.
self_test()
{
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	state >"$tmp/one"
	sed '0,/[0-9] *$/s/[0-9] *$/77777/' "$tmp/one" >"$tmp/two"
	if compare_files "$tmp/one" "$tmp/two" >/dev/null; then
		echo "self-test: a difference was not seen"
		exit 1
	fi
	mark=$CONTIG_TEST_RUN
	CONTIG_TEST_RUN=$tmp
	# Two forks, so that init adopts it.
	(CONTIG_TEST_RUN=$tmp sleep 5 >/dev/null 2>&1 & echo $! >"$tmp/pid")
	n=0
	until left_behind | grep -q "process $(cat "$tmp/pid")"; do
		n=$((n + 1))
		[ $n -lt 20 ] || { echo "self-test: a process left behind was not seen"; exit 1; }
		sleep 0.1
	done
	kill "$(cat "$tmp/pid")"
	CONTIG_TEST_RUN=$mark
}

# A process killed while its pool was being lowered can leave pages that are
# free and surplus at once.  No mapping can be given them and the next writer of
# nr_hugepages makes them persistent: a state that no test could give back.
settle_surplus()
{
	for pool in /sys/kernel/mm/hugepages/*; do
		total=$(cat "$pool/nr_hugepages")
		[ "$(cat "$pool/surplus_hugepages")" -gt 0 ] &&
			[ "$(cat "$pool/free_hugepages")" = "$total" ] &&
			[ "$(cat "$pool/resv_hugepages")" = 0 ] || continue
		persistent=$((total - $(cat "$pool/surplus_hugepages")))
		echo "$pool: $total surplus pages that nobody has: given to the kernel"
		for value in "$total" "$persistent"; do
			echo "$value" >"$pool/nr_hugepages" || break
		done 2>/dev/null
	done
}

case $1 in
record)
	settle_surplus
	mkdir -p "$(dirname "$2")" && state >"$2"
	;;
compare)
	compare "$2"
	;;
'')
	file=${top_builddir:-.}/tests/machine.before
	if [ ! -e "$file" ]; then
		echo "no $file to compare with"
		exit 1
	fi
	self_test
	compare "$file" || exit 1
	echo "$(grep -c . "$file") lines compared"
	;;
*)
	echo "usage: check-machine.sh [record|compare FILE]" >&2
	exit 99
	;;
esac
