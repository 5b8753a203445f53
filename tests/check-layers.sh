#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Includes point down only.  From the bottom:
#   include/  public headers: <contig/...> and the C library, nothing else
#   lib/base  lib/host  lib/phys  lib/kpi  lib/share   each those below it
#   preload/  public headers, and what shared_with_preload names
#   tools/ tests/ bench/  anything of lib/; nothing in lib/ includes them
#   examples/ and tests/integration/  public headers, as a user would
# libnuma, libhugetlbfs and io_uring are reached from lib/host alone.
cd "${top_srcdir:-$(dirname "$0")/..}" || exit 99

# What preload/ may use of the core, of which it has a copy of its own.
shared_with_preload='base/cancel.h base/clock.h base/lock.h base/page.h base/size.h base/log.h base/reason.h
base/panic.h host/buddy.h host/maps.h host/pagemap.h host/pin.h host/self.h host/superpage.h host/superpage_touch.h
host/threads.h phys/attempt.h phys/fork.h phys/fork_plan.h phys/limit.h phys/machine.h phys/physmap.h phys/pool.h
phys/reclaim.h phys/segment.h phys/settings.h phys/start.h phys/trim.h'
shared_with_preload=$(echo $shared_with_preload)

# violations ROOT: one line for each wrong include.
violations()
{
	(
		cd "$1" || exit 99
		find include lib preload tools tests bench examples -type f \
			\( -name '*.[ch]' -o -name '*.cc' \) 2>/dev/null |
		sort | xargs grep -nE '^[[:space:]]*#[[:space:]]*include' /dev/null |
		awk -v shared=" $shared_with_preload " '
		BEGIN { for (i = split("base host phys kpi share", name); i; i--) order[name[i]] = i }
		function rank(layer) { return layer in order ? order[layer] : 0 }
		function bad(why) { print file ":" line ": includes " target ": " why }
		{
			split($0, part, ":")
			file = part[1]; line = part[2]
			match($0, /[<"][^>"]*[>"]/)
			target = substr($0, RSTART + 1, RLENGTH - 2)
			angle = substr($0, RSTART, 1) == "<"
			n = split(file, dir, "/")
			split(target, to, "/")
			public = target == "contig.h" || to[1] == "contig"
			system_seam = target ~ /^(numa|numaif|hugetlbfs|linux\/io_uring)\.h$/

			if (target ~ /\.\./)
				bad("no way up with \"..\"")
			if (dir[1] == "include") {
				if (!angle)
					bad("public headers include with <>")
				else if (rank(to[1]) || to[1] == "tools")
					bad("public headers see only public headers")
				else if (system_seam || target ~ /^(jansson|check|linux\/|asm\/)/)
					bad("public headers need the C library only")
				next
			}
			if (dir[1] == "examples" || dir[2] == "integration") {
				if (rank(to[1]) || to[1] == "tools")
					bad("this uses the public interface only")
				next
			}
			if (dir[1] == "preload") {
				if (rank(to[1]) && !index(shared, " " target " "))
					bad("not in the list shared with preload/")
				if (system_seam)
					bad("the shim must start fast")
				next
			}
			if (dir[1] != "lib")
				next
			if (to[1] == "tools" || to[1] == "preload" || to[1] == "tests")
				bad("the library knows nothing of its users")
			if (to[1] == "lib" || to[1] == "include")
				bad("paths start below lib/ and include/")
			if (target == "jansson.h" || target == "check.h")
				bad("not a library of libcontig")
			if (system_seam && dir[2] != "host")
				bad("only lib/host talks to the system through it")
			if (!rank(dir[2])) {
				bad("lib/" dir[2] " is no layer known here")
				next
			}
			if (public)
				next
			# A name without a directory is a neighbour, or the C library.
			if (rank(to[1]) && !angle && rank(to[1]) > rank(dir[2]))
				bad("lib/" dir[2] " lies below lib/" to[1])
		}'
	)
}

# The check must be able to fail: a tree in which every line breaks a rule,
# next to one in which none does.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
put() # FILE INCLUDE...
{
	mkdir -p "$tmp/$(dirname "$1")"
	file=$1
	shift
	for i; do echo "#include $i"; done >"$tmp/$file"
}
put bad/lib/base/a.c '"host/root.h"' '"tools/emitter.h"' '"../host/root.h"' '<check.h>'
put bad/lib/host/a.c '"phys/extent.h"' '"lib/base/log.h"'
put bad/lib/phys/a.h '"kpi/config.h"' '<numa.h>' '<hugetlbfs.h>' '<linux/io_uring.h>'
put bad/lib/kpi/a.c '"share/wire.h"' '<jansson.h>'
put bad/lib/odd/a.c '<stdio.h>'
put bad/include/contig/a.h '"contig/types.h"' '<base/page.h>' '<linux/types.h>'
put bad/preload/a.c '"phys/backing.h"' '<numa.h>'
put bad/examples/a.c '"phys/pool.h"'
put bad/tests/integration/a.c '"base/page.h"'
put good/lib/base/a.c '"base/log.h"' '<stdio.h>' '"contig/types.h"'
put good/lib/host/a.c '"base/log.h"' '<numa.h>' '<linux/io_uring.h>' '"pin_impl.h"'
put good/lib/phys/a.c '"host/root.h"' '"phys/extent.h"' '<sys/mman.h>'
put good/lib/kpi/a.c '"phys/pool.h"' '<contig/pool.h>'
put good/lib/share/a.c '"kpi/config.h"'
put good/tests/unit/a.c '"phys/pool.h"' '<check.h>'
put good/tests/integration/a.c '<contig.h>'
put good/tools/a.c '"phys/pool.h"' '<jansson.h>'
put good/include/contig/a.h '<contig/types.h>' '<stdint.h>'
put good/preload/a.c '<contig.h>' '"base/page.h"' '"phys/pool.h"'
expected=$(cat $(find "$tmp/bad" -type f) | grep -c include)
found=$(violations "$tmp/bad" | grep -c .)
if [ "$found" -ne "$expected" ]; then
	echo "self-test: $found of $expected wrong includes found:"
	violations "$tmp/bad"
	exit 1
fi
if [ -n "$(violations "$tmp/good")" ]; then
	echo "self-test: good includes refused:"
	violations "$tmp/good"
	exit 1
fi

wrong=$(violations .)
[ -z "$wrong" ] && exit 0
echo "$wrong"
exit 1
