#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# stress-ng's memory stressors, which verify what they read back.
. "$(dirname "$0")/common.sh"
need stress-ng

# Counted, not timed: the same work on any machine.
stress() # NAME OPERATIONS OPTION...
{
	name=$1
	operations=$2
	shift 2
	(cd "$tmp" && under -- stress-ng --quiet --verify --oomable --temp-path "$tmp" --timeout 60 \
		--"$name" 2 --"$name-ops" "$operations" "$@") >"$tmp/out" 2>&1 </dev/null
	got=$?
	# 3: this machine can't do that one; 4: it ended too soon.
	case $got in
	0) ;;
	*)
		wrong "stress-ng --$name: exit $got:"
		tail -20 "$tmp/out"
		;;
	esac
	grep -E 'fail:|error:' "$tmp/out" && wrong "$name: a complaint"
}

stress malloc 20000 --malloc-bytes 1M --malloc-max 64 --malloc-touch --malloc-pthreads 4
used malloc "t['calls_large'] > 20"
stress mmap 20 --mmap-bytes 16M
stress mmapfork 2
stress mremap 50 --mremap-bytes 16M
stress bigheap 300 --bigheap-growth 1M
stress fork 100
stress vfork 100
stress vm 500 --vm-bytes 16M
stress shm-sysv 5 --shm-sysv-bytes 8M
stress madvise 4
stress mprotect 500
stress tree 2 --tree-size 20000
finish
