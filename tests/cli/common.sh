# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# Shared by the tests of the command; read with ".".  $CONTIG is the program.
CONTIG=${CONTIG:-$CONTIG_TOOL}
srcdir=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
status=0
LC_ALL=C.UTF-8; export LC_ALL
unset COLUMNS NO_COLOR CONTIG_GROW CONTIG_SOURCES CONTIG_SIM CONTIG_NODE
unset CONTIG_LIMIT CONTIG_RESERVE CONTIG_DEBUG CONTIG_STATS CONTIG_PANIC

skip()
{
	echo "skipped: $*"
	exit 77
}

[ -x "$CONTIG" ] || skip "CONTIG does not name the program ('$CONTIG')"

# Nobody (uid 65534) can enter it: it holds a copy of the program.
tmp=$(mktemp -d) && chmod 755 "$tmp" || exit 99
trap 'rm -rf "$tmp"' EXIT
trap 'exit 99' HUP INT TERM

wrong()
{
	echo "wrong: $*"
	status=1
}

# run STATUS ARGUMENT...: $tmp/out, $tmp/err; checks the exit status.
run()
{
	run_want=$1
	shift
	"$CONTIG" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	run_got=$?
	[ $run_got -eq "$run_want" ] || {
		wrong "contig $*: exit $run_got, not $run_want"
		cat "$tmp/out" "$tmp/err"
	}
}

# Bad usage: exit 2 ($trouble), nothing on stdout, "contig X: object: reason" and a line
# with the way to the help on stderr, and nothing else.
refused()
{
	run "${trouble:-2}" "$@"
	[ -s "$tmp/out" ] && wrong "contig $*: writes on standard output"
	[ "$(wc -l <"$tmp/err")" -eq 2 ] || wrong "contig $*: $(wc -l <"$tmp/err") lines on stderr"
	head -1 "$tmp/err" | grep -qE '^contig( [a-z]+)?: [^:]+: .' ||
		wrong "contig $*: '$(head -1 "$tmp/err")'"
	tail -1 "$tmp/err" | grep -qE "^Try '(contig( [a-z]+)? --help|man contig-[a-z]+)'$" ||
		wrong "contig $*: '$(tail -1 "$tmp/err")'"
}

output_has()
{
	grep -qE -- "$1" "$tmp/out" || {
		wrong "standard output has no '$1':"
		cat "$tmp/out"
	}
}

error_has()
{
	grep -qE -- "$1" "$tmp/err" || wrong "stderr has no '$1': $(cat "$tmp/err")"
}

# Whether $tmp/out is one JSON object of ours for which the python expression
# holds; d is the document.
json_is()
{
	python3 - "$tmp/out" "$1" <<'EOF' || wrong "JSON: not so: $1"
import json, sys
try:
    d = json.load(open(sys.argv[1]))
    assert d["schema"] == 1 and isinstance(d["command"], str)
    sys.exit(0 if eval(sys.argv[2], {"d": d, "int": int}) else 1)
except (ValueError, KeyError, AssertionError, TypeError) as error:
    print(repr(error), open(sys.argv[1]).read()[:2000])
    sys.exit(1)
EOF
}

# The shim where libtool puts it.
shim_built()
{
	for shim_file in "${top_builddir:-.}"/.libs/libcontig-preload.so \
		"${top_builddir:-.}"/preload/.libs/libcontig-preload.so; do
		[ -e "$shim_file" ] && readlink -f "$shim_file" && return
	done
	return 1
}

# No escape sequences where standard output is no terminal.
plain()
{
	! grep -q "$(printf '\033')" "$tmp/out" "$tmp/err" || wrong "colour in a file: $*"
}

# No line of $tmp/out is wider than COLUMNS, commands that are to be pasted
# apart.
narrow()
{
	python3 - "$tmp/out" "$1" <<'EOF' || wrong "wider than $1: $2"
import sys
wide = [l for l in open(sys.argv[1], encoding="utf-8").read().split("\n")
        if len(l) > int(sys.argv[2])]
print("\n".join(wide), end="\n" if wide else "")
sys.exit(1 if wide else 0)
EOF
}

is_root()
{
	[ "$(id -u)" -eq 0 ]
}

# as_nobody STATUS ARGUMENT...: like run, without any privilege.
as_nobody()
{
	[ -x "$tmp/contig" ] || {
		cp "$CONTIG" "$tmp/contig" && chmod 755 "$tmp/contig"
	}
	run_want=$1
	shift
	(cd / && exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
		"$tmp/contig" "$@") >"$tmp/out" 2>"$tmp/err" </dev/null
	run_got=$?
	[ $run_got -eq "$run_want" ] || {
		wrong "as nobody: contig $*: exit $run_got, not $run_want"
		cat "$tmp/out" "$tmp/err"
	}
}

# libtool's wrapper of an uninstalled program is a script that can't be copied.
can_be_nobody()
{
	is_root && command -v setpriv >/dev/null && ! head -c 2 "$CONTIG" | grep -q '#!'
}

pool_numbers()
{
	cat /sys/kernel/mm/hugepages/hugepages-*/nr_hugepages \
		/sys/kernel/mm/hugepages/hugepages-*/surplus_hugepages \
		/sys/kernel/mm/hugepages/hugepages-*/nr_overcommit_hugepages 2>/dev/null
}

# Pinned pages reach the pool late: wait up to 10 s for what was there before.
pools_are()
{
	i=0
	while [ "$(pool_numbers)" != "$1" ]; do
		i=$((i + 1))
		[ $i -gt 200 ] && {
			wrong "pools changed: $2: were" $1 "are" $(pool_numbers)
			return
		}
		sleep 0.05
	done
}
