# SPDX-License-Identifier: BSD-2-Clause
# For tests that look at a process whose memory is known (layout.c).  Sourced
# after common.sh, by root or not.
#
#	pool_lend PAGES		so many superpages more in the pool: whether
#	pool_back		as it was
#	start PART...		a process of this layout, as $as; $pid, $tmp/parts
#	stop			its end
#	address PART		where it lies; nothing if it came not
#	has_part PART
#	layout_end		what the trap does, for a test with a trap of its own
layout=${top_builddir:-.}/tests/cli/layout
[ -x "$layout" ] || skip "$layout is not built"
pool_file=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
pool=
as=
fed=0

pool_lend()
{
	[ -w "$pool_file" ] || return 1
	pool=$(cat "$pool_file")
	echo $((pool + $1)) >"$pool_file"
	[ "$(cat "$pool_file")" -eq $((pool + $1)) ]
}

pool_back()
{
	[ -z "$pool" ] || echo "$pool" >"$pool_file"
	pool=
}

layout_end()
{
	exec 8>&-
	pool_back
	rm -rf "$tmp"
}
trap layout_end EXIT

start()
{
	fed=$((fed + 1))
	mkfifo "$tmp/feed$fed" && : >"$tmp/parts" && chmod 666 "$tmp/parts"
	$as "$layout" "$@" <"$tmp/feed$fed" >"$tmp/parts" &
	pid=$!
	exec 8>"$tmp/feed$fed"
	i=0
	until grep -q '^ready$' "$tmp/parts"; do
		i=$((i + 1))
		[ $i -gt 400 ] && {
			wrong "the layout $* does not come"
			break
		}
		sleep 0.05
	done
	# With setpriv it is a child of ours all the same: it execs.
}

stop()
{
	exec 8>&-
	wait $pid
}

address()
{
	sed -n "s/^$1 \(0x[0-9a-f]*\) .*/\1/p" "$tmp/parts"
}

has_part()
{
	grep -q "^$1 0x" "$tmp/parts"
}
