# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# Shared by the tests with programs that others wrote; read with ".".  Each is
# run without and with the shim: the same output, the same status, and the
# report must show that superpages were really used.
. "$(dirname "$0")/../cli/common.sh"

shim=${CONTIG_PRELOAD:-$(shim_built)} || skip "the shim has not been built"
CONTIG_PRELOAD=$shim; export CONTIG_PRELOAD
unset LD_PRELOAD CONTIG_REPORT CONTIG_RESTRICT
case ${CONTIG_SANITIZE-} in ?*) skip "a sanitizer's malloc can't be replaced" ;; esac

need() # PROGRAM...
{
	for program; do
		command -v "$program" >/dev/null || skip "no $program"
	done
}

# Debian's own where there is one: a version manager's is a script.
need python3
python=/usr/bin/python3
[ -x $python ] || python=$(python3 -c 'import sys; print(sys.executable)')

before=$(pool_numbers)

# Where memory is fragmented nothing is contiguous by luck.  A page of 1 GiB,
# demoted, is a run of 512 superpages: root makes two, and puts things back.
hugepages=/sys/kernel/mm/hugepages
runs=0
small_before=$(cat $hugepages/hugepages-2048kB/nr_hugepages 2>/dev/null)
large_before=$(cat $hugepages/hugepages-1048576kB/nr_hugepages 2>/dev/null)
if is_root && [ -w $hugepages/hugepages-1048576kB/demote ]; then
	echo $((large_before + 2)) >$hugepages/hugepages-1048576kB/nr_hugepages
	runs=$(($(cat $hugepages/hugepages-1048576kB/nr_hugepages) - large_before))
	# Put back by a process that sees the end of this one, however it comes.
	mkfifo "$tmp/guard" || exit 99
	(
		trap '' HUP INT
		cat "$tmp/guard"
		sleep 0.2
		echo "$small_before" >$hugepages/hugepages-2048kB/nr_hugepages
		echo "$large_before" >$hugepages/hugepages-1048576kB/nr_hugepages
	) >/dev/null 2>&1 &
	guard=$!
	exec 8>"$tmp/guard"
	[ $runs -gt 0 ] && echo $runs >$hugepages/hugepages-1048576kB/demote
fi

put_back()
{
	[ -n "${guard-}" ] || return
	# Pinned pages come back late; a pool can't shrink by what is in use.
	put_back_tries=0
	while [ $put_back_tries -lt 100 ]; do
		put_back_tries=$((put_back_tries + 1))
		echo "$small_before" >$hugepages/hugepages-2048kB/nr_hugepages
		if [ "$(cat $hugepages/hugepages-2048kB/nr_hugepages)" = "$small_before" ]; then
			kill "$guard"
			guard=
			return
		fi
		sleep 0.1
	done
	wrong "the pool can't be put back: superpages are still in use"
}
trap 'put_back; rm -rf "$tmp"' EXIT

# under OPTION... -- COMMAND...: with the shim; the report is in $tmp/report.
under()
{
	"$CONTIG" run --report=json:"$tmp/report" "$@"
}

# What a report must hold of a program that allocated: nearly all of its memory
# on superpages and wired, nothing refused; the promise kept where it can be.
used() # WHAT [EXPRESSION [EXPRESSION THAT NEEDS LONG RUNS]]
{
	$python - "$tmp/report" "${2:-True}" $runs "${3:-True}" <<'PY' || wrong "$1: the report"
import json, sys
d = json.load(open(sys.argv[1]))
t = d["total"]
taken = t["on_superpages"] + t["base_pages"]
rules = ["t['on_superpages'] >= 2**21", "t['wired'] > 0", "t['refused'] == 0",
         "t['calls'] > 0 and t['asked'] > 0", sys.argv[2]]
if sys.argv[3] != "0":
    # Mappings of more than a superpage depend on how free memory lies.
    lucky = sum(r["bytes"] for r in d["reasons"] if r["what"].startswith("mappings: no run"))
    rules += ["t['asked_large'] - t['large_kept'] <= lucky", "t['large_broken'] <= lucky",
              "t['fallback_bytes'] <= taken // 50", sys.argv[4]]
wrong = [r for r in rules if not eval(r)]
if wrong:
    print("not so:", *wrong, sep="\n  ")
    print(json.dumps({k: d[k] for k in ("total", "reasons")}, indent=1))
sys.exit(bool(wrong))
PY
}

# same WHAT COMMAND...: both ways; output and status equal.
same()
{
	what=$1
	shift
	"$@" >"$tmp/plain.out" 2>"$tmp/plain.err" </dev/null
	plain=$?
	[ $plain -eq 0 ] || wrong "$what: exit $plain without the shim"
	under -- "$@" >"$tmp/shim.out" 2>"$tmp/shim.err" </dev/null
	shimmed=$?
	[ $plain -eq $shimmed ] || {
		wrong "$what: exit $plain without the shim, $shimmed with it"
		tail -20 "$tmp/shim.err"
	}
	cmp "$tmp/plain.out" "$tmp/shim.out" || wrong "$what: the output differs"
	# What contig run says before the start, as of memory in pieces, is not the
	# program's.
	sed -i '/^contig run: /d; /^  mend: /d' "$tmp/shim.err"
	cmp "$tmp/plain.err" "$tmp/shim.err" || {
		wrong "$what: standard error differs:"
		head -5 "$tmp/shim.err"
	}
}

finish()
{
	put_back
	pools_are "$before" "$0"
	exit $status
}
