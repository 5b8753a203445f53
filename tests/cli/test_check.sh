#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig check: where contiguity or a constraint breaks, to the byte; on
# captured trees, whose frames are chosen, and on this machine.
. "$(dirname "$0")/common.sh"

refused check
refused check self
refused check self 0
refused check self 0 0
refused check self 0 1 2
refused check self nowhere 1
refused check self 0 much
refused check self ~0 2
refused check self 0x7fffffffffffffff 2
refused check self 0 1 --align 3
refused check self 0 1 --align 0
refused check self 0 1 --boundary 3
refused check self 0 1 --high nowhere
run 2 check 999999999 0 1
error_has '^contig check: 999999999: no such process'
run 2 check 999999999 0 1 --json
json_is 'd["error"]["errno"] == "ENOENT"'

# Frames as chosen: 4 KiB pages, 0x100000 on; then a break, a hole, swap.
tree=$tmp/tree
mkdir -p "$tree" && cp -r "$srcdir/tests/trees/laptop/." "$tree" || exit 99
mkdir "$tree/proc/77" && echo fixed >"$tree/proc/77/comm" || exit 99
cat >"$tree/proc/77/maps" <<'END'
10000000-10010000 rw-p 00000000 00:00 0
10010000-10020000 rw-p 00000000 00:00 0
END
python3 "$srcdir/tests/cli/make_pagemap.py" "$tree/proc/77/pagemap" 4096 \
	0x10000000:0x100:17 0x10011000:0x120:1 0x10012000:0x121:2 0x10015000:swapped:1 ||
	exit 99

# check STATUS BYTE|- VERDICT ADDRESS LENGTH [OPTION...]
check()
{
	want_status=$1 want_byte=$2 want_verdict=$3
	shift 3
	run "$want_status" check --sysroot "$tree" -n -b -o verdict,breaks_at,good fixed "$@"
	# shellcheck disable=SC2046
	set -- $(cat "$tmp/out") "for $*"
	[ "$1 $2" = "$want_verdict $want_byte" ] ||
		wrong "'$1 $2', not '$want_verdict $want_byte' $4"
}
check 0 - contiguous 0x10000000 4096
check 0 - contiguous 0x10000000 1
check 0 - contiguous 0x10000fff 2
# Seventeen pages, through the end of a mapping.
check 0 - contiguous 0x10000000 69632
check 0 - contiguous 0x10000ffe 65537
check 1 69632 scattered 0x10000000 69633
check 1 69631 scattered 0x10000001 69632
check 1 2 scattered 0x10010ffe 3
check 0 - contiguous 0x10011000 12288
check 1 12288 absent 0x10011000 12289
check 1 0 absent 0x10014000 1
check 1 0 swapped 0x10015000 1
check 1 0 absent 0x20000000 1
# Constraints: physical 0x100000 is 1 MiB.
check 0 - contiguous 0x10000000 64K --align 1M
check 1 0 alignment 0x10000000 64K --align 2M
check 1 0 alignment 0x10000001 1 --align 2
check 0 - contiguous 0x10000002 1 --align 2
check 0 - contiguous 0x10000000 64K --boundary 64K
check 1 65536 boundary 0x10000000 65537 --boundary 64K
check 1 65535 boundary 0x10000001 64K --boundary 64K
check 0 - contiguous 0x10000000 4096 --low 1M
check 1 0 low 0x10000000 4096 --low 0x100001
check 0 - contiguous 0x10000001 4095 --low 0x100001
check 0 - contiguous 0x10000000 64K --high 0x110000
check 1 65535 high 0x10000000 64K --high 0x10ffff
check 1 0 high 0x10000000 1 --high 1M
# What breaks first is told.
check 1 4096 boundary 0x10000000 128K --boundary 4K
check 1 69632 scattered 0x10000000 128K --boundary 1M
check 1 69632 scattered 0x10000000 128K --high 0x111000
run 1 check --sysroot "$tree" 77 0x10000000 128K
output_has '^byte 69632 of 131072 \(0x10011000\): it lies at 0x120000, not at 0x111000$'
run 1 check --sysroot "$tree" 77 0x10000000 128K --json
json_is 'd["range"][0] == {"address": "0x10000000", "size": 131072, "start": "0x100000",
	"end": None, "good": 69632, "verdict": "scattered", "breaks_at": 69632,
	"next": "0x120000", "superpage_size": None}'
run 0 check --sysroot "$tree" 77 0x10000000 4K --json
json_is 'd["range"][0]["end"] == "0x101000" and d["range"][0]["breaks_at"] is None'
run 2 check --sysroot "$tree" self 0x400000 4K
error_has 'needs CAP_SYS_ADMIN'

# Pages of 64 KiB.
cp -r "$srcdir/tests/trees/arm64" "$tmp/arm64" || exit 99
python3 "$srcdir/tests/cli/make_pagemap.py" "$tmp/arm64/proc/4242/pagemap" 0x10000 \
	0x20000000:0x12000:2 0x20020000:0x13000:1
run 0 check --sysroot "$tmp/arm64" solverd 0x20000000 128K --align 64K
run 1 check --sysroot "$tmp/arm64" solverd 0x20000000 129K --json
json_is 'd["range"][0]["good"] == 131072 and d["range"][0]["start"] == "0x120000000"'

. "$(dirname "$0")/layout.sh"
is_root || skip "frames need root"

# This machine: a superpage is a run, whoever looks.
cp "$layout" "$tmp/layout" && chmod 755 "$tmp/layout"
layout=$tmp/layout
can_be_nobody && as='setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --'
start thp=3 small=64 zero=4 hugezero=1
thp=$(address thp)
small=$(address small)
if [ -n "$thp" ]; then
	second=$(printf '0x%x' $((thp + 2097152)))
	run 0 check $pid "$thp" 2M --align 2M
	run 0 check $pid "$second" 2M --align 2M --boundary 2M
	run 1 check $pid "$second" 2M --align 4G
	if [ -n "$as" ]; then
		as_nobody 0 check $pid "$second" 2M --align 2M --boundary 2M
		output_has contiguous
		as_nobody 0 check $pid "$second" 2M --json
		json_is 'd["range"][0]["start"] is None and d["range"][0]["superpage_size"] == 2**21'
		as_nobody 0 check $pid "$second" 8K --boundary 8K
		as_nobody 1 check $pid "$second" 8K --boundary 4K
		output_has '^byte 4096 of 8192 '
		as_nobody 1 check $pid "$(printf '0x%x' $((second + 1)))" 2 --align 4K
		output_has '^byte 0 of 2 .*not aligned to 0x1000$'
		# Before Linux 6.7 smaps must do.
		for way in scan query; do
			cp "${top_builddir:-.}/tests/cli/without_scan" "$tmp" &&
				chmod 755 "$tmp/without_scan"
			(cd / && $as "$tmp/without_scan" $way "$tmp/contig" check $pid "$second" 2M \
				--align 2M) >"$tmp/out" || wrong "check without $way"
			(cd / && $as "$tmp/without_scan" $way "$tmp/contig" check $pid "$small" 4K) \
				>"$tmp/out" 2>&1 && wrong "check without $way: a base page proven"
		done
		for bad in '--align 4M' '--low 1' '--high 4G'; do
			# shellcheck disable=SC2086
			as_nobody 2 check $pid "$second" 2M $bad
			error_has 'needs CAP_SYS_ADMIN'
		done
		as_nobody 2 check $pid "$(printf '0x%x' $((second + 4096)))" 2M
		as_nobody 2 check $pid "$small" 4K
		as_nobody 2 check $pid "$small" 4K --json
		json_is 'd["error"]["reason"] and d["range"][0]["verdict"] is None'
	fi
fi
# What was only read has no frames of its own, however large the page.
zero=$(address zero)
run 1 check $pid "$zero" 4K
output_has 'byte 0 of 4096 .*only read so far'
hugezero=$(address hugezero)
if [ -n "$hugezero" ] &&
	[ "$(cat /sys/kernel/mm/transparent_hugepage/use_zero_page 2>/dev/null)" = 1 ]; then
	run 1 check $pid "$hugezero" 2M --align 2M --json
	json_is 'd["range"][0]["verdict"] == "zero" and d["range"][0]["good"] == 0'
	# Of a small page of zeros, which it is where no superpage was free, the
	# next ones are not there.
	run 1 check $pid "$(printf '0x%x' $((hugezero + 8192)))" 8K --json
	json_is 'd["range"][0]["verdict"] in ("zero", "absent")'
	run 1 check $pid "$(printf '0x%x' $((hugezero + 2093056)))" 4K --json
	json_is 'd["range"][0]["verdict"] in ("zero", "absent")'
	[ -n "$as" ] && as_nobody 2 check $pid "$hugezero" 2M
fi
# Against pagemap as python reads it: how far the first run goes.
run_bytes=$(python3 - $pid "$small" <<'END'
import struct, sys
with open(f"/proc/{sys.argv[1]}/pagemap", "rb") as f:
    f.seek(int(sys.argv[2], 16) // 4096 * 8)
    frames = [e & (1 << 55) - 1 for (e,) in struct.iter_unpack("Q", f.read(64 * 8))]
n = 1
while n < 64 and frames[n] == frames[0] + n:
    n += 1
print(n * 4096)
END
)
"$CONTIG" check $pid "$small" 256K -n -b -o good >"$tmp/out"
got=$?
[ $((got == 0)) -eq $((run_bytes == 262144)) ] || wrong "check: exit $got, a run of $run_bytes"
[ "$(tr -d ' ' <"$tmp/out")" = "$run_bytes" ] || wrong "check: $(cat "$tmp/out"), not $run_bytes"
stop
run 2 check $pid "$small" 4K
exit $status
