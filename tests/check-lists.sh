#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every source, test and page is in a Makemodule.am: a test that nobody runs
# and a source that isn't in the tarball both look fine otherwise.  And README.md
# names every package that bootstrap installs.
cd "${top_srcdir:-$(dirname "$0")/..}" || exit 99

# unlisted DIR-WITH-MAKEMODULES: print the files that no fragment names.
unlisted()
{
	(
		cd "$1" || exit 99
		find include lib tools preload tests bench examples man \
			\( -name '*.[ch]' -o -name '*.map' -o -name '*.sh' -o \
			-name '*.cc' -o -name '*.py' -o -name '*.bash' -o -name '*.lab' -o -name '*.[1-9]' \) \
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

status=0
missing=$(unlisted .)
if [ -n "$missing" ]; then
	echo "in no Makemodule.am:"
	echo "$missing"
	status=1
fi

plain=$(find tests -name 'test_*.sh' -o -name 'check-*.sh' | while read -r f; do
	[ -x "$f" ] || echo "$f"
done)
if [ -n "$plain" ]; then
	echo "tests that can't be executed (chmod +x):" $plain
	status=1
fi

packages=$(sed -n "/^packages='/,/^'/s/^\([a-z][a-z0-9+-]*\) .*/\1/p" bootstrap)
[ -n "$packages" ] || { echo "bootstrap's list of packages can't be read"; status=1; }
for package in $packages; do
	# As a word of its own: "gcc" is not in "gcc-doc".
	tr -cs 'a-z0-9+-' '\n' <README.md | grep -qxF "$package" ||
		{ echo "README.md does not name the package $package"; status=1; }
done
exit $status
