#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every source, test and page is in a Makemodule.am: a test that nobody runs
# and a source that isn't in the tarball both look fine otherwise.
cd "${top_srcdir:-$(dirname "$0")/..}" || exit 99

# unlisted DIR-WITH-MAKEMODULES: print the files that no fragment names.
unlisted()
{
	(
		cd "$1" || exit 99
		find include lib tools preload tests bench examples man \
			\( -name '*.[ch]' -o -name '*.map' -o -name '*.sh' -o \
			-name '*.cc' -o -name '*.py' -o -name '*.bash' -o -name '*.[1-9]' \) \
			-type f 2>/dev/null | sort |
		while read -r f; do
			# A test program is listed by its name without ".c".
			case $f in
			tests/*.c | bench/*.c | examples/*.c) name=${f%.c} ;;
			*) name=$f ;;
			esac
			cat Makefile.am ./*/Makemodule.am |
				grep -qE "(^|[[:space:]=/])$(echo "$name" | sed 's/[.]/[.]/g')(\.c)?([[:space:]\\]|\$)" ||
				echo "$f"
		done
	)
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/lib/base" "$tmp/tests/unit"
: >"$tmp/Makefile.am"
: >"$tmp/lib/base/a.c"
: >"$tmp/lib/base/ba.c"
: >"$tmp/tests/unit/test_a.c"
echo 'core = lib/base/ba.c' >"$tmp/lib/Makemodule.am"
echo 'unit = tests/unit/test_ab' >"$tmp/tests/Makemodule.am"
found=$(unlisted "$tmp" | tr '\n' ' ')
if [ "$found" != "lib/base/a.c tests/unit/test_a.c " ]; then
	echo "self-test: expected two unlisted files, found: $found"
	exit 1
fi

missing=$(unlisted .)
[ -z "$missing" ] && exit 0
echo "in no Makemodule.am:"
echo "$missing"
exit 1
