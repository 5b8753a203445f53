#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Run one test.  Tests that may use hugetlb pages take turns (the pools belong
# to the whole machine), also with those of another tree.  Emulated machines
# have pools of their own: they run beside one another, but not beside a test
# that needs this machine for itself.  Checks of the source don't wait.  With
# CONTIG_TEST_NOSKIP=1 a skipped test has failed.
test=$1
lock=${CONTIG_TEST_LOCK:-${TMPDIR:-/tmp}/libcontig-test.lock}

case $test in
*/check-install.sh) turns=exclusive ;;
*/check-*) turns= ;;
*/lab/run | */lab/test_lab.sh) turns=shared ;;
*) turns=exclusive ;;
esac

if [ -n "$turns" ]; then
	# Opened for reading: the file may be another user's.  The test itself
	# must not inherit the lock, or a process it leaves behind keeps it.
	[ -e "$lock" ] || (umask 0 && : >"$lock")
	exec 9<"$lock" || exit 99
	flock --$turns 9 || exit 99
	"$@" 9<&-
else
	"$@"
fi
status=$?

if [ $status -eq 77 ] && [ "${CONTIG_TEST_NOSKIP:-0}" = 1 ]; then
	echo "$test: skipped, and CONTIG_TEST_NOSKIP=1 forbids that"
	status=1
fi
exit $status
