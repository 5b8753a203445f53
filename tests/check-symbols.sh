#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Three lists are one: what the public headers declare, what
# lib/libcontig.map lists, what libcontig.so exports.  And the static library,
# which no map protects, has no global name outside our prefix and the
# kernel's names.
# check-symbols.sh --declared prints the first list (check-man.sh uses it).
srcdir=${top_srcdir:-$(dirname "$0")/..}
builddir=${top_builddir:-.}
CC=${CC:-cc} NM=${NM:-nm}
LC_ALL=C; export LC_ALL
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# declared INCLUDEDIR: functions and variables with external linkage that its
# headers declare, as the compiler's preprocessor sees them.
declared()
{
	(cd "$1" && find . -name '*.h') | sed 's,^\./,,' | sort |
	while read -r h; do
		# Not to be read without DPDK, and inline as a whole: check-headers.sh
		# sees to that.
		[ "$h" != contig/dpdk.h ] || continue
		echo "#include <$h>" | $CC -std=c11 -E -I"$1" -x c - || exit 1
	done | awk -v root="$1/" '
	# Keep lines that come from our headers.
	/^# [0-9]+ "/ { split($0, q, "\""); ours = index(q[2], root) == 1; next }
	/^#/ { next }
	ours {
		for (i = 1; i <= length($0); i++) {
			c = substr($0, i, 1)
			# extern "C" { is not there in C; other braces are bodies.
			if (c == "{") { depth++; continue }
			if (c == "}") {
				depth--
				# An inline function ends here, without ";".
				if (!depth && text ~ /\)[ \t]*$/) text = ""
				continue
			}
			if (depth) continue
			if (c == ";") { declaration(text); text = ""; continue }
			text = text c
		}
		text = text " "
	}
	function declaration(d,   name) {
		while (match(d, /__attribute__[ \t]*\(\(/)) {
			# Cut the balanced brackets that follow.
			start = RSTART; level = 0
			for (i = RSTART; i <= length(d); i++) {
				c = substr(d, i, 1)
				if (c == "(") level++
				if (c == ")" && !--level) break
			}
			d = substr(d, 1, start - 1) substr(d, i + 1)
		}
		gsub(/[ \t]+/, " ", d)
		if (d ~ /^ ?(typedef|static|_Static_assert)/ || d ~ /^ ?(__extension__ )?static /)
			return
		if (match(d, /[A-Za-z_][A-Za-z_0-9]* ?\(/)) {
			name = substr(d, RSTART, RLENGTH)
			sub(/ ?\($/, "", name)
		} else if (d ~ /^ ?extern /) {
			sub(/ ?(\[[^]]*\])* ?$/, "", d)
			name = d
			sub(/.*[ *]/, "", name)
		} else
			return # a struct or enum alone
		print name
	}' | sort -u
}

mapped() # MAP
{
	sed -e 's,/\*.*\*/,,' -e '/\/\*/,/\*\//d' "$1" |
	awk '/global:/ { on = 1; next } /local:/ { on = 0 }
	     on { gsub(/[ \t;]/, ""); if ($0 != "") print }' | sort
}

exported() # LIBRARY
{
	$NM -D --defined-only "$1" | awk '$2 != "A" { print $3 }' |
		sed 's/@.*//' | sort -u
}

# The names that an archive shows to the linker and that aren't ours.  Kernel
# names are exactly those which the public headers declare.
strangers() # ARCHIVE DECLARED
{
	$NM -g --defined-only "$1" | awk 'NF == 3 { print $3 }' |
	grep -vE '^(contig_|__asan_|__ubsan_|__odr_asan|__tsan_)' | sort -u | comm -23 - "$2"
}

same() # NAME-A A NAME-B B
{
	comm -23 "$2" "$4" >"$tmp/left"
	comm -13 "$2" "$4" >"$tmp/right"
	[ -s "$tmp/left" ] && sed "s,^,$1 but not $3: ," "$tmp/left"
	[ -s "$tmp/right" ] && sed "s,^,$3 but not $1: ," "$tmp/right"
	[ ! -s "$tmp/left" ] && [ ! -s "$tmp/right" ]
}

if [ "$1" = --declared ]; then
	declared "$srcdir/include"
	exit
fi

# Self-test: the reader of headers, on every form of declaration, and that a
# difference is one.
mkdir "$tmp/include"
cat >"$tmp/include/a.h" <<'EOF'
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif
struct hidden { int (*f1)(void); };
enum e { E1, E2 };
typedef void (*f2)(int);
static inline int f3(int x) { if (x) { return 1; } return f3(x); }
void *yes_1(struct hidden *h,
	    int (*f4)(void));
extern struct hidden yes_2[1];
extern const char *const yes_3;
f2 yes_4(f2 h) __attribute__((warn_unused_result, alloc_size(1)));
__attribute__((format(printf, 1, 2))) int yes_5(const char *f, ...);
extern int yes_6(void);
EOF
printf 'yes_%s\n' 1 2 3 4 5 6 >"$tmp/want"
declared "$tmp/include" >"$tmp/got"
if ! same 'expected' "$tmp/want" 'read' "$tmp/got"; then
	echo "self-test: headers are misread"
	exit 1
fi
sed 1d "$tmp/want" >"$tmp/less"
same a "$tmp/want" b "$tmp/less" >/dev/null && { echo "self-test: no difference seen"; exit 1; }

status=0
declared "$srcdir/include" >"$tmp/declared"
mapped "$srcdir/lib/libcontig.map" >"$tmp/mapped"
echo "$(wc -l <"$tmp/declared") declared, $(wc -l <"$tmp/mapped") in the map"
uniq -d "$tmp/mapped" | sed 's/^/twice in the map: /' | grep . && status=1
same 'declared' "$tmp/declared" 'in the map' "$tmp/mapped" || status=1

so=$builddir/.libs/libcontig.so
if [ -e "$so" ]; then
	exported "$so" >"$tmp/exported"
	same 'in the map' "$tmp/mapped" 'exported' "$tmp/exported" || status=1
	if $NM -D --defined-only "$so" | awk '$2 != "A"' | grep -v '@@CONTIG_'; then
		echo "exported without a version (above)"
		status=1
	fi
fi
archive=$builddir/.libs/libcontig.a
if [ -e "$archive" ]; then
	strangers "$archive" "$tmp/declared" >"$tmp/strangers"
	if [ -s "$tmp/strangers" ]; then
		sed 's/^/global in libcontig.a without our prefix: /' "$tmp/strangers"
		status=1
	fi
fi

# The shim: the library's names under its version, libc's without any, and
# nothing else.  Its copy of the core asks libc for no memory.
shim=$builddir/.libs/libcontig-preload.so
core=$builddir/.libs/libcontig-preload-core.a
if [ -e "$shim" ]; then
	$NM -D --defined-only "$shim" | awk '$2 != "A" { print $3 }' >"$tmp/shim"
	sed -n 's/@@CONTIG_.*//p' "$tmp/shim" | sort -u >"$tmp/api"
	grep -v @ "$tmp/shim" | sort -u >"$tmp/overrides"
	grep -v '^#' "$srcdir/preload/overrides.txt" | sort >"$tmp/wanted"
	same 'in the map' "$tmp/mapped" 'exported by the shim' "$tmp/api" || status=1
	same 'in overrides.txt' "$tmp/wanted" 'exported by the shim' "$tmp/overrides" || status=1
fi
if [ -e "$core" ] && $NM -u "$core" | awk '{ print $2 }' | sort -u |
   grep -xE 'malloc|calloc|realloc|free|aligned_alloc|strdup|qsort|mmap|munmap|mremap|mprotect|madvise|pthread_create|pthread_atfork|fopen|opendir|getline|asprintf|scandir|numa_.*'; then
	echo "called by the shim's copy of the core, past preload/redirect.h (above)"
	status=1
fi
[ -e "$so" ] || [ -e "$archive" ] || { echo "no library in $builddir"; status=1; }
exit $status
