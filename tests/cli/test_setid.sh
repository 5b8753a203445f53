#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Programs that change their rights as they start: whatever the environment
# says, they are what they would be without, and contig run says so before.
# That holds for the shim, too, where something else than LD_PRELOAD loads it.
. "$(dirname "$0")/common.sh"
CC=${CC:-cc}

shim=${CONTIG_PRELOAD:-$(shim_built)} || skip "the shim has not been built"
unset LD_PRELOAD CONTIG_REPORT CONTIG_RESTRICT
case ${CONTIG_SANITIZE-} in ?*) skip "a sanitizer's malloc can't be replaced" ;; esac
command -v "${CC%% *}" >/dev/null || skip "no compiler ($CC)"
can_be_nobody || skip "root only, with setpriv: a program is given another user"
findmnt -n -o OPTIONS -T "$tmp" | grep -q nosuid && skip "set-id means nothing in $tmp"
before=$(pool_numbers)

# The shim as a file that all may read.
cp "$shim" "$tmp/libcontig-preload.so" && chmod 755 "$tmp/libcontig-preload.so" && cp "$CONTIG" "$tmp/contig" || exit 99
chmod 755 "$tmp/contig"
CONTIG_PRELOAD=$tmp/libcontig-preload.so; export CONTIG_PRELOAD
cp "${top_builddir:-.}/tests/cli/rights" "$tmp/preloaded" 2>/dev/null ||
	skip "tests/cli/rights has not been built"
(cd "$tmp" && $CC -std=gnu11 -D_GNU_SOURCE -O1 -o linked "$srcdir/tests/cli/rights.c" -Wl,--no-as-needed "$tmp/libcontig-preload.so" \
		-Wl,-rpath,"$tmp") || exit 99

# As an ordinary user of little locked memory, and with settings that the shim
# would obey: nearly every allocation would fail.
as_user() # COMMAND...
{
	(cd / && exec prlimit --memlock=65536:65536 setpriv --reuid=65534 --regid=65534 \
		--clear-groups --inh-caps=-all "$@") >"$tmp/out" 2>"$tmp/err" </dev/null
	got=$?
	[ $got -eq 3 ] || wrong "$*: exit $got: $(cat "$tmp/out" "$tmp/err")"
}

"$tmp/preloaded" >"$tmp/plain"
[ $? -eq 3 ] || exit 99
grep -q '^secure 0, shim 0, usable [0-9]*, held 0, passed on 0$' "$tmp/plain" ||
	wrong "without the shim: $(cat "$tmp/plain")"
usable=$(sed -n 's/.*usable \([0-9]*\),.*/\1/p' "$tmp/plain")

mkdir "$tmp/user" && chown 65534:65534 "$tmp/user" || exit 99

# Output as it was; WHAT is the pattern of its first line.
saw() # WHO PATTERN
{
	grep -qxE "$2" "$tmp/out" || wrong "$1: not \"$2\" but: $(head -n 1 "$tmp/out")"
	[ "$(tail -n 1 "$tmp/out")" = "$(tail -n 1 "$tmp/plain")" ] ||
		wrong "$1: other work: $(cat "$tmp/plain" "$tmp/out")"
}

# rights FILE HOW: as a file of that kind.
rights()
{
	cp "$tmp/$1" "$tmp/$2-$1" && chown 0:0 "$tmp/$2-$1" || exit 99
	case $2 in
	plain) chmod 755 "$tmp/$2-$1" ;;
	setuid) chmod 4755 "$tmp/$2-$1" ;;
	setuser) chown 1:1 "$tmp/$2-$1" && chmod 4755 "$tmp/$2-$1" ;;
	setgid) chown 0:1 "$tmp/$2-$1" && chmod 2755 "$tmp/$2-$1" ;;
	caps)
		chmod 755 "$tmp/$2-$1"
		# The kernel's vfs_cap_data, revision 2: cap_ipc_lock=ep.
		python3 -c 'import os, struct, sys
os.setxattr(sys.argv[1], "security.capability", struct.pack("<5I", 0x02000001, 1 << 14, 0, 0, 0))' \
			"$tmp/$2-$1" || wrong "no file capabilities in $tmp"
		;;
	esac
}

for how in plain setuid setuser setgid caps; do
	for file in preloaded linked; do
		rights $file $how
		program=$tmp/$how-$file
		case $how-$file in
		plain-*) want="secure 0, shim 1, usable [0-9]+, held [0-9]+, passed on 1" ;;
		*-preloaded) want="secure 1, shim 0, usable $usable, held 0, passed on 0" ;;
		*-linked) want="secure 1, shim 1, usable $usable, held 0, passed on 0" ;;
		esac

		# Settings that allow hardly anything would be felt.
		if [ $how != plain ]; then
			as_user env LD_PRELOAD="$tmp/libcontig-preload.so" CONTIG_RUN_STRICT=1 CONTIG_LIMIT=1 \
				CONTIG_RUN_THRESHOLD=1 CONTIG_RUN_BELOW=1 CONTIG_DEBUG=all \
				CONTIG_REPORT="$tmp/plain" "$program"
			saw "$how-$file, by its environment" "$want"
			[ -s "$tmp/err" ] && wrong "$how-$file complains: $(cat "$tmp/err")"
		fi

		# By the command, which says so before.  Its report's file could be
		# opened by a shim with root's rights, and must not be.
		as_user "$tmp/contig" run --report=json:"$tmp/user/report" -- "$program"
		saw "$how-$file, by contig run" "$want"
		cp "$tmp/user/report" "$tmp/out"
		case $how in
		plain)
			grep -qE 'set-id|capabilities' "$tmp/err" && wrong "usual: $(cat "$tmp/err")"
			json_is 'sum(not p["forked"] for p in d["processes"]) == 1 == len(d["processes"]) - 1'
			;;
		*)
			[ $how = caps ] && why='has file capabilities' || why='is set-id'
			error_has "^contig run: $program: $why: .* in what it starts\$"
			json_is 'd["processes"] == [] and d["total"]["calls"] == 0'
			;;
		esac
	done
done
pools_are "$before" setid
exit $status
