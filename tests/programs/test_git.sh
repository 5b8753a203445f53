#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# git: a repository made, repacked and read; threads, many processes, mmap.
. "$(dirname "$0")/common.sh"
need git
HOME=$tmp; export HOME
GIT_CONFIG_NOSYSTEM=1; export GIT_CONFIG_NOSYSTEM
for who in AUTHOR COMMITTER; do
	export GIT_${who}_NAME=somebody GIT_${who}_EMAIL=somebody@example.org
	export GIT_${who}_DATE='2020-02-02T02:02:02Z'
done

# Always the same history: sources of this tree, changed over and over.
history()
{
	git init -q -b main "$1" && cd "$1" || return 1
	i=0
	while [ $i -lt 25 ]; do
		i=$((i + 1))
		for f in "$srcdir"/lib/*/*.c "$srcdir"/include/contig/*.h; do
			sed "s/0/$i/g; ${i}d" "$f" >"${f##*/}" || return 1
		done
		git add -A && git commit -q -m "change $i" || return 1
	done
}
(history "$tmp/plain") || wrong "git without the shim"
cat >"$tmp/history.sh" <<SH
srcdir='$srcdir'
$(sed -n '/^history()/,/^}/p' "$0")
history "\$1"
SH
under -- sh "$tmp/history.sh" "$tmp/made" || wrong "git with the shim: exit $?"
used "commits" "len(d['processes']) > 50" "t['fallback_bytes'] == 0"
[ "$(git -C "$tmp/plain" rev-parse HEAD)" = "$(git -C "$tmp/made" rev-parse HEAD)" ] ||
	wrong "the same history has another name"

cd "$tmp/plain" || exit 99
same "git log -p" git --no-pager log -p --stat -M
used "git log -p"
same "git blame" git --no-pager blame vm_page.c
same "git grep" git --no-pager grep -n -e return HEAD~10 HEAD
cp -r "$tmp/plain" "$tmp/packed"
under -- git -C "$tmp/packed" gc -q --aggressive --prune=now 2>"$tmp/err" || {
	wrong "git gc: exit $?"
	cat "$tmp/err"
}
used "git gc" True "t['largest_run'] >= 2**18"
git -C "$tmp/packed" fsck --full --strict >"$tmp/out" 2>&1 || wrong "fsck: $(cat "$tmp/out")"
under -- git clone -q "file://$tmp/packed" "$tmp/clone" || wrong "git clone: exit $?"
[ "$(git -C "$tmp/clone" rev-parse HEAD^{tree})" = "$(git rev-parse HEAD^{tree})" ] ||
	wrong "the clone is another"
cd / || exit 99
finish
