#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# python3: a workload of ours, and python's own tests.
. "$(dirname "$0")/common.sh"

same workload $python "$srcdir/tests/programs/workload.py"
used workload "t['calls_large'] > 1000" "t['large_kept'] > 2**26 and t['largest_run'] > 2**20"
used forks "t['forks_pinned'] + t['forks_swapped'] + t['forks_bare'] + t['forks_cow'] >= 5"
used forks "t['forks_refused'] == 0"

# test_subprocess without its second half, which is the first with select(2) in
# place of poll(2).
tests='test_json test_mmap test_dict test_memoryview test_threading test_fork1
test_subprocess.ProcessTestCase test_subprocess.POSIXProcessTestCase
test_subprocess.RunFuncTestCase'
# Debian's python comes without; any other that has them will do.
for tested in $python "$(python3 -c 'import sys; print(sys.executable)')" ''; do
	[ -n "$tested" ] && $tested -c 'import test.test_json, test.test_fork1' 2>/dev/null && break
done
[ -n "$tested" ] || {
	echo "no python here has its own tests: left out"
	tests=
}
python=$tested
# What must differ: a child that lists its descriptors sees those of the shim.
known='test_pass_fds_redirected'
failures()
{
	grep -E '^(FAIL|ERROR): ' "$1" | sort -u
}
for test in $tests; do
	(cd "$tmp" && under -- $python -m unittest -q "test.$test") >"$tmp/out" 2>&1 </dev/null || {
		failures "$tmp/out" | grep -vE ": ($known) " >"$tmp/out.fails"
		# Not the shim's fault what fails now and then: on a busy machine some are too late.
		for try in 2 3; do
			[ -s "$tmp/out.fails" ] || break
			mv "$tmp/out.fails" "$tmp/before.fails"
			(cd "$tmp" && under -- $python -m unittest -q "test.$test") \
				>"$tmp/out" 2>&1 </dev/null
			failures "$tmp/out" | comm -12 "$tmp/before.fails" - >"$tmp/out.fails"
		done
		# Nor what fails without it.
		[ -s "$tmp/out.fails" ] && {
			(cd "$tmp" && $python -m unittest -q "test.$test") >"$tmp/plain" 2>&1 </dev/null
			failures "$tmp/plain" >"$tmp/plain.fails"
			more=$(comm -23 "$tmp/out.fails" "$tmp/plain.fails")
			[ -z "$more" ] || wrong "$test, with the shim only: $more"
		}
		grep -qE '^Ran [0-9]+ tests?' "$tmp/out" || wrong "$test: $(tail -5 "$tmp/out")"
	}
done
finish
