#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# gcc, sort, perl, and pipelines of small programs.
. "$(dirname "$0")/common.sh"
need gcc sort perl awk sed xz tar

# gcc: real sources, optimised; the object must be the same to the byte.
for way in plain shim; do
	with=
	[ $way = shim ] && with="under --"
	for source in "$srcdir/tools/emitter.c" "$srcdir/lib/phys/extent.c"; do
		# shellcheck disable=SC2086
		$with gcc -std=gnu11 -D_GNU_SOURCE -O3 -g -fipa-pta -funroll-loops \
			-I"$srcdir/lib" -I"$srcdir/include" -I"$srcdir/tools" \
			-c "$source" -o "$tmp/$way-$(basename "$source").o" ||
			wrong "gcc ($way): exit $?"
		[ $way = shim ] && used "gcc" "any(p['name'] == 'cc1' and p['on_superpages'] >= 2**21 for p in d['processes'])"
	done
done
for source in emitter.c extent.c; do
	cmp "$tmp/plain-$source.o" "$tmp/shim-$source.o" || wrong "gcc: $source: other code"
done
# Generated: one large function.
$python - >"$tmp/large.c" <<'PY'
print("int f(int x){switch(x){")
for i in range(4000):
    print("case %d: x = x * %d + %d; if (x %% %d) x ^= %d; break;" % (i, i + 3, i * 7, i + 2, i))
print("} return x;}")
PY
same "a large file" gcc -O2 -S -o - "$tmp/large.c"
used "a large file" "t['asked'] > 2**24"

# sort: memory in one large block, threads, and temporary files.
seq 1 400000 | awk '{ print ($1 * 7919) % 1000003, $1, "some text that makes lines longer" }' \
	>"$tmp/large"
same sort env LC_ALL=C sort -S 64M --parallel=2 -k1,1n -k2,2r "$tmp/large"
used sort "t['calls_large'] > 0" "t['largest_run'] >= 2**23"
same "sort, with files" env LC_ALL=C sort -S 2M -T "$tmp" -r "$tmp/large"

# perl: hashes, strings that grow, fork.
cat >"$tmp/work.pl" <<'PL'
use strict;
my (%h, @a, $s);
for my $i (1 .. 120000) { $h{"k" . ($i * 7919 % 100003)} .= "v$i"; push @a, [$i, "x" x ($i % 100)]; }
delete $h{$_} for grep { /7$/ } keys %h;
$s .= chr(65 + $_ % 26) x 1000 for 1 .. 3000;
print length($s), " ", scalar(keys %h), " ", unpack("%32C*", $s), "\n";
my $sum = 0; $sum += length($_->[1]) for @a; print "$sum\n";
$| = 1;
for my $n (1 .. 8) {
	my $pid = fork // die "fork: $!";
	if (!$pid) { $h{child} = "c" x 100000; exit(scalar(keys %h) % 100); }
	waitpid($pid, 0); print $? >> 8, exists $h{child} ? " shared" : " own", "\n";
}
print join(",", (sort keys %h)[0 .. 20]), "\n";
PL
same perl perl "$tmp/work.pl"
used perl "t['forks_refused'] == 0"

# Pipelines: each a process of its own, ten at a time.
cat >"$tmp/pipe.sh" <<'SH'
set -e
for i in 1 2 3 4 5; do
	seq 1 30000 | sed 's/7/seven/' | awk '{ print $1, length($1) }' | sort -u |
		tr a-z A-Z | cut -d' ' -f1 | grep -v 99 | head -20000 | uniq -c | cksum
done
tar -C "$1" -cf - --sort=name --mtime=@0 --owner=0 --group=0 lib include | xz -1 -T2 | xz -dc | cksum
SH
same pipelines sh "$tmp/pipe.sh" "$srcdir"
used pipelines "len(d['processes']) >= 50 and t['peak'] <= 2**28"
finish
