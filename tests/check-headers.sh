#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every header compiles alone, and twice: public ones as strict C11 and C++17,
# the library's own as the library is compiled.
cd "${top_srcdir:-$(dirname "$0")/..}" || exit 99
CC=${CC:-cc} CXX=${CXX:-c++}
strict='-Wall -Wextra -Werror -pedantic -fsyntax-only'

# compile NAME COMPILER... : NAME as an #include takes it, quotes and all.
compile()
{
	name=$1
	shift
	printf '#include %s\n#include %s\ntypedef int not_empty;\n' "$name" "$name" | "$@" -
}

public_c()   { compile "$1" $CC -x c -std=c11 $strict -Wstrict-prototypes -Iinclude; }
public_cxx() { compile "$1" $CXX -x c++ -std=c++17 $strict -Iinclude; }
# <contig/dpdk.h> is for programs that have DPDK, whose headers are GNU C and
# not ours to warn about; every function in it is inline.
dpdk_flags() { "${PKG_CONFIG:-pkg-config}" --cflags libdpdk | sed 's/-I/-isystem /g'; }
dpdk_c()     { compile "$1" $CC -x c -std=gnu11 $strict -Wstrict-prototypes \
			-Wmissing-prototypes -DALLOW_EXPERIMENTAL_API -Iinclude $(dpdk_flags); }
dpdk_cxx()   { compile "$1" $CXX -x c++ -std=gnu++17 $strict -DALLOW_EXPERIMENTAL_API \
			-Iinclude $(dpdk_flags); }
own()        { compile "$1" $CC -x c -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror \
			-Wstrict-prototypes -fsyntax-only -I. -Ilib -Itools -Ipreload -Iinclude; }

# It must be able to fail.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
echo 'size_t needs_stddef(void);' >"$tmp/alone.h"
echo 'static int class;' >"$tmp/cxx.h"
public_c "\"$tmp/alone.h\"" 2>/dev/null && { echo "self-test: alone.h compiled"; exit 1; }
own "\"$tmp/alone.h\"" 2>/dev/null && { echo "self-test: alone.h compiled"; exit 1; }
public_cxx "\"$tmp/cxx.h\"" 2>/dev/null && { echo "self-test: cxx.h compiled"; exit 1; }

status=0
count=0
for h in $(cd include && find . -name '*.h' | sed 's,^\./,,' | sort); do
	count=$((count + 1))
	if [ "$h" = contig/dpdk.h ]; then
		if "${PKG_CONFIG:-pkg-config}" --exists libdpdk; then
			dpdk_c "<$h>" || { echo "include/$h: not alone as C11"; status=1; }
			dpdk_cxx "<$h>" || { echo "include/$h: not alone as C++17"; status=1; }
		else
			echo "include/$h: not compiled, libdpdk is not installed"
		fi
		continue
	fi
	public_c "<$h>" || { echo "include/$h: not alone as C11"; status=1; }
	public_cxx "<$h>" || { echo "include/$h: not alone as C++17"; status=1; }
done
[ $count -gt 0 ] || { echo "no public header found"; status=1; }
for dir in lib tools preload; do
	for h in $(cd $dir && find . -name '*.h' | sed 's,^\./,,' | sort); do
		count=$((count + 1))
		own "\"$h\"" || { echo "$dir/$h: not alone"; status=1; }
	done
done
echo "$count headers"
exit $status
