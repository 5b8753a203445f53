# SPDX-License-Identifier: BSD-2-Clause
# For the scenarios suite*.lab: runs test programs, one line for each, and of
# those that failed what says why (tests/failures.awk).
#
#	suite_allows='test_facts_memory fact_26: no PAGEMAP_SCAN
#	...'				skips that are right on this machine
#	suite_without_uring=EPERM	io_uring_setup(2) answers that
#	suite 'unit/NAME [CASE...]'...	programs below tests/; 1 when one failed
#
# Long and random tests run a small part of their length (CONTIG_TEST_SCALE): it
# is the kernel and the machine that differ here.
#
# A skip is reported as "PROGRAM CASE: REASON"; a line of suite_allows allows
# those that begin with its part before the colon and contain the part
# behind.
# All others are failures: what silently doesn't run here runs nowhere.
suite_allows=
suite_without_uring=
CK_DEFAULT_TIMEOUT=240
CONTIG_TEST_PATIENCE=4
CONTIG_TEST_SCALE=${CONTIG_TEST_SCALE:-3}
export CK_DEFAULT_TIMEOUT CONTIG_TEST_PATIENCE CONTIG_TEST_SCALE

# The skips in a program's output, whichever way it has of telling them.
skips_of() # NAME LOG
{
	awk -v name="$1" '
	/^ *skipped: .*: / && !/^    / { sub(/^skipped: /, ""); print name " " $0; next }
	/^    (skipped|left out): / { reason = $0; sub(/^    [a-z ]*: /, "", reason); next }
	/^lack  / { sub(/^lack  /, ""); print name " " $0 ": " reason }
	/^skip  [^:]*: / { sub(/^skip  /, ""); print name " " $0; next }
	/^skip  / { sub(/^skip  /, ""); print name " " $0 ": " reason; next }
	/^[a-z_0-9]*: skipped: / { sub(/: skipped/, ""); print name " " $0 }' "$2"
}

# Whether a skip is expected.
allowed() # "NAME CASE: REASON"
{
	printf '%s\n' "$suite_allows" | sed 's/^[ 	]*//' | {
		while IFS= read -r line; do
			case $line in
			*': '*) ;;
			*) continue ;;
			esac
			case $1 in
			"${line%%: *}"*": "*"${line#*: }"*) exit 0 ;;
			esac
		done
		exit 1
	}
}

suite_one() # PROGRAM [CASE...]
{
	suite_path=$1
	shift
	name=${suite_path##*/}
	started=$(date +%s)
	rc=0
	suite_path=$top_builddir/$suite_path
	[ ! -x "${suite_path%/*}/.libs/$name" ] || suite_path=${suite_path%/*}/.libs/$name
	if [ -n "$suite_without_uring" ]; then
		program tests/lab/without_uring "$suite_without_uring" "$suite_path" "$@"
	else
		LD_LIBRARY_PATH=$top_builddir/.libs "$suite_path" "$@"
	fi >/tmp/suite.log 2>&1 || rc=$?
	took=$(($(date +%s) - started))
	skips_of "$name" /tmp/suite.log >/tmp/suite.skips
	verdict=passed
	[ -s /tmp/suite.skips ] && verdict=skipped
	[ $rc -eq 0 ] || [ $rc -eq 77 ] || verdict=failed
	[ $rc -ne 77 ] || [ -s /tmp/suite.skips ] || verdict=failed
	while IFS= read -r skip; do
		allowed "$skip" || {
			verdict=failed
			echo "not to be skipped: $skip" >>/tmp/suite.log
		}
	done </tmp/suite.skips
	printf '%-8s %-20s %4d s  %s\n' "$verdict" "$name" $took \
		"$(grep -E '^[0-9]+ passed|^[0-9]+%: Checks' /tmp/suite.log | tail -n 1)"
	if [ $verdict = failed ]; then
		awk -v most=40 -f "$top_srcdir/tests/failures.awk" /tmp/suite.log
		echo "exit status $rc of $name"
		return 1
	fi
	sed 's/^/         /' /tmp/suite.skips
}

suite() # PROGRAM...
{
	suite_status=0
	for suite_program; do
		suite_one tests/$suite_program || suite_status=1
	done
	return $suite_status
}
