#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every file begins with its licence: line 1, or line 2 after "#!".
# Captured machines and other data need none.
cd "${top_srcdir:-$(dirname "$0")/..}" || exit 99

# Written files, by their names: so it works in a clone, in a tarball, and in a
# tree that was built in place.
files()
{
	find . \( -path ./.git -o -path ./build -o -path ./m4 -o \
		-path ./build-aux -o -path ./autom4te.cache -o -path ./_build -o \
		-path ./_inst -o -path ./tests/trees -o -name '*.libs' -o \
		-name .deps -o -path './libcontig-[0-9]*' \) -prune -o -type f \( \
		-name '*.[ch]' -o -name '*.cc' -o -name '*.map' -o -name '*.am' -o \
		-name '*.ac' -o -name '*.in' -o -name '*.sh' -o -name '*.bash' -o \
		-name '*.py' -o -name '*.awk' -o -name '*.md' -o -name '*.[1-9]' -o \
		-name '*.yml' -o -name '*.supp' -o -path ./bootstrap -o \
		-path ./.ci/run -o -path ./.gitignore -o -path ./.clang-format -o \
		-path ./LICENSE -o -path ./NEWS -o -path './tests/lab/*' \) \
		! -name Makefile.in ! -name 'config.h*' -print
}

has_spdx()
{
	awk 'NR == 1 && /^#!/ { next }
	     { found = /SPDX-License-Identifier: BSD-2-Clause/; exit }
	     END { exit !found }' "$1"
}

good=$(mktemp) bad=$(mktemp)
trap 'rm -f "$good" "$bad"' EXIT
printf '#!/bin/sh\n# SPDX-License-Identifier: BSD-2-Clause\n' >"$good"
printf '#!/bin/sh\n\n# SPDX-License-Identifier: BSD-2-Clause\n' >"$bad"
has_spdx "$good" || { echo "self-test: a good file was refused"; exit 1; }
has_spdx "$bad" && { echo "self-test: a late line was accepted"; exit 1; }

status=0
count=0
for f in $(files); do
	count=$((count + 1))
	has_spdx "$f" || { echo "$f: no SPDX line at its top"; status=1; }
done
[ $count -gt 50 ] || { echo "found only $count files"; status=1; }
echo "$count files"
exit $status
