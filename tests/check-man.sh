#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Manual pages are well-formed, and there is one, or an alias, for every
# public function and every subcommand of contig; none for what doesn't exist.
srcdir=${top_srcdir:-$(dirname "$0")/..}
cd "$srcdir" || exit 99
MANDOC=${MANDOC:-mandoc}
LC_ALL=C; export LC_ALL
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# Functions that need no page of their own.  Empty, and to stay so.
exempt=''

status=0
wrong()
{
	echo "$*"
	status=1
}

if ! command -v "$MANDOC" >/dev/null; then
	echo "mandoc is not installed"
	exit 77
fi

lint() # PAGE
{
	"$MANDOC" -Tlint -Wwarning "$1"
}

printf '.Dd March 1, 2020\n.Dt X 3\n.Os\n.Sh NAME\n.Nm x\n.Nd y\n.Sh SYNOPSIS\n.Foo\n' >"$tmp/x.3"
lint "$tmp/x.3" >/dev/null 2>&1 && { echo "self-test: a bad page passed"; exit 1; }

# The names that a page's NAME section lists.
names_of() # PAGE
{
	sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([^ ]*\).*/\1/p' "$1"
}

# Pages, and aliases (".so man3/page.3").
pages=0
for page in man/*.[1-9]; do
	[ -e "$page" ] || continue
	pages=$((pages + 1))
	name=${page##*/}
	section=${name##*.}
	name=${name%.*}
	alias=$(sed -n 's/^\.so //p' "$page")
	if [ -n "$alias" ]; then
		target=man/${alias##*/}
		[ "$alias" = "man$section/${alias##*/}" ] ||
			wrong "$page: write .so man$section/name.$section"
		[ -e "$target" ] && ! grep -q '^\.so ' "$target" ||
			wrong "$page: $target is no page"
		names_of "$target" 2>/dev/null | grep -qx "$name" ||
			wrong "$page: $target does not have it in NAME"
		continue
	fi
	lint "$page" || wrong "$page: see above"
	# Whoever types a name that the page lists must get there.
	for other in $(names_of "$page"); do
		[ -e "man/$other.$section" ] || [ -e "man/$(echo "$other" | tr ' ' -).$section" ] ||
			wrong "$page: no alias man/$other.$section"
	done
	sed -n 's/^\.Xr \(contig[a-z_-]*\|libcontig\) \([137]\).*/\1.\2/p' "$page" |
		sort -u >"$tmp/targets"
	while read -r target; do
		[ -e "man/$target" ] || wrong "$page: refers to $target, which is not there"
	done <"$tmp/targets"
done
[ $pages -gt 0 ] || wrong "no page in man/"

# Every public function, and the command with all its subcommands.
sh tests/check-symbols.sh --declared >"$tmp/declared"
[ -s "$tmp/declared" ] || wrong "no public function found"
# Variables are described where their functions are.
for name in $(grep -vE '^(M_[A-Z]+|contig_direct_map)$' "$tmp/declared"); do
	case " $exempt " in *" $name "*) continue ;; esac
	[ -e "man/$name.3" ] || wrong "$name: no man/$name.3"
done
for source in tools/cmd_*.c; do
	[ -e "$source" ] || continue
	name=${source##*/cmd_}
	name=contig-$(echo "${name%.c}" | tr _ -)
	[ -e "man/$name.1" ] || wrong "$source: no man/$name.1"
done
if [ -d tools ] && ls tools/*.c >/dev/null 2>&1; then
	[ -e man/contig.1 ] || wrong "contig: no man/contig.1"
fi
[ -e man/libcontig.7 ] || wrong "no man/libcontig.7"

# And the other way round: a page of what was removed.
for page in man/*.3; do
	name=${page##*/}
	name=${name%.3}
	grep -qx "$name" "$tmp/declared" || grep -qrw "$name" include ||
		wrong "$page: no header knows $name"
done
echo "$pages pages"
exit $status
