#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Install into an empty root, use it as a stranger would (C and C++, shared
# and static, with pkg-config's flags only), uninstall, find nothing left.
srcdir=${top_srcdir:-$(dirname "$0")/..}
builddir=${top_builddir:-.}
CC=${CC:-cc} CXX=${CXX:-c++} MAKE=${MAKE:-make} PKG_CONFIG=${PKG_CONFIG:-pkg-config}
# We are inside a make; this is another one.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root
die()
{
	echo "$*"
	exit 1
}

(cd "$builddir" && $MAKE install DESTDIR="$root") >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	die "make install failed"
}
pc=$(find "$root" -name libcontig.pc)
[ -n "$pc" ] || die "libcontig.pc was not installed"
PKG_CONFIG_PATH=${pc%/*}
PKG_CONFIG_LIBDIR=$PKG_CONFIG_PATH
PKG_CONFIG_SYSROOT_DIR=$root
export PKG_CONFIG_PATH PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR
libdir=$root$($PKG_CONFIG --variable=libdir libcontig | sed "s,^$root,,")
cflags=$($PKG_CONFIG --cflags libcontig) || die "pkg-config does not like libcontig.pc"
libs=$($PKG_CONFIG --libs libcontig)
static_libs=$($PKG_CONFIG --static --libs libcontig)

# Every header that is in the source is there.
(cd "$srcdir/include" && find . -name '*.h' | sort) >"$tmp/want"
(cd "$root$($PKG_CONFIG --variable=includedir libcontig | sed "s,^$root,,")" &&
	find . -name '*.h' | sort) >"$tmp/got"
cmp -s "$tmp/want" "$tmp/got" || { diff "$tmp/want" "$tmp/got"; die "headers differ"; }

# No superpage is asked for: it must run where there is none.
cat >"$tmp/user.c" <<'EOF'
#include <contig.h>
#include <stdio.h>

MALLOC_DEFINE(M_USER, "user", "check-install");

int main(void)
{
	struct contig_stats stats;

	stats.struct_size = sizeof(stats);
	contig_stats_get(&stats);
	contigfree(NULL, 4096, M_USER);
	if (contig_virt_to_phys(NULL) != CONTIG_PADDR_NONE)
		return 1;
	printf("level %d, %llu bytes held\n", (int)stats.level,
	       (unsigned long long)stats.held);
	return stats.held != 0;
}
EOF
cp "$tmp/user.c" "$tmp/user.cc"

built=0
# try NAME COMMAND...: compile and run.
try()
{
	name=$1
	shift
	"$@" -o "$tmp/$name" || die "$name: does not compile: $*"
	LD_LIBRARY_PATH=$libdir "$tmp/$name" || die "$name: failed with $?"
	built=$((built + 1))
}
if [ -e "$libdir/libcontig.so" ]; then
	try c-shared $CC $CONTIG_SANITIZE -std=c11 -Wall -Wextra -Werror -pedantic \
		$cflags "$tmp/user.c" $libs
	try cxx-shared $CXX $CONTIG_SANITIZE -std=c++17 -Wall -Wextra -Werror -pedantic \
		$cflags "$tmp/user.cc" $libs
	# What the program needs is the soname, not a path of ours.
	readelf -d "$tmp/c-shared" | grep -q 'NEEDED.*\[libcontig\.so\.0\]' ||
		die "the program does not need libcontig.so.0"
	readelf -d "$libdir/libcontig.so" | grep -E 'RPATH|RUNPATH' &&
		die "libcontig.so has a run path"
fi
if [ -e "$libdir/libcontig.a" ]; then
	# The archive by name: the linker would prefer the shared library.
	flags=$(echo " $static_libs" | sed 's, -lcontig, -l:libcontig.a,')
	try c-static $CC $CONTIG_SANITIZE -std=c11 $cflags "$tmp/user.c" $flags
	try cxx-static $CXX $CONTIG_SANITIZE -std=c++17 $cflags "$tmp/user.cc" $flags
fi
[ $built -gt 0 ] || die "no library was installed"

# What else was installed works from there.
for tool in $(find "$root" -path '*/bin/contig' -type f); do
	LD_LIBRARY_PATH=$libdir "$tool" --version | grep -q . || die "$tool --version failed"
	LD_LIBRARY_PATH=$libdir "$tool" --help | grep -q . || die "$tool --help failed"
done
find "$root" -name '*.[1-9]' -path '*/man/*' | sed "s,^$root,," >"$tmp/pages"

(cd "$builddir" && $MAKE uninstall DESTDIR="$root") >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	die "make uninstall failed"
}
left=$(find "$root" ! -type d)
[ -z "$left" ] || die "left after uninstall: $left"
echo "$built programs built and run, $(grep -c . "$tmp/pages") manual pages, nothing left"
