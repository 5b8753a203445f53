#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# README.md's C example is examples/hello-contig.c, and compiles.
cd "${top_srcdir:-$(dirname "$0")/..}" || exit 99
CC=${CC:-cc}
LC_ALL=C; export LC_ALL

# extract FILE: the lines of its C blocks.
extract()
{
	awk '/^```c$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$1"
}

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

printf 'text\n```c\nint a;\n\nint b;\n```\nmore\n```sh\nls\n```\n' >"$tmp/self.md"
printf 'int a;\n\nint b;\n' >"$tmp/self.c"
extract "$tmp/self.md" | cmp -s - "$tmp/self.c" || {
	echo "self-test: the block was not found as it is"
	exit 1
}

blocks=$(grep -c '^```c$' README.md)
[ "$blocks" = 1 ] || {
	echo "README.md: $blocks C blocks, expected 1"
	exit 1
}
extract README.md >"$tmp/readme.c"
diff -u examples/hello-contig.c "$tmp/readme.c" || {
	echo "README.md: its example is not examples/hello-contig.c"
	exit 1
}
for std in c11 gnu11; do
	$CC -std=$std -Wall -Wextra -Werror -Iinclude -c -o "$tmp/readme.o" "$tmp/readme.c" || {
		echo "README.md: its example doesn't compile as $std"
		exit 1
	}
done
