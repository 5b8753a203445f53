#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig run: what it says before it starts a program, statuses and signals
# that it passes on, and the report.
. "$(dirname "$0")/common.sh"
CC=${CC:-cc}
trouble=125

shim=${CONTIG_PRELOAD:-$(shim_built)} || skip "the shim has not been built"
CONTIG_PRELOAD=$shim; export CONTIG_PRELOAD
unset LD_PRELOAD CONTIG_REPORT CONTIG_RESTRICT
command -v "${CC%% *}" >/dev/null || skip "no compiler ($CC)"
before=$(pool_numbers)

# Bad usage is 125: 2 might be the program's.
refused run
refused run --
refused run --below nowhere true
refused run --below 0 true
refused run --align 3 true
refused run --align 2G true
refused run --limit 1M true
refused run --restrict /bin/true true
refused run --threshold 0 true
refused run --node 99999 true
refused run --fork maybe true
refused run --sources 4m true
refused run --grow much true
refused run --report=xml true
refused run --report=json:
refused run --restrict= true
refused run --require=nothing true
refused run --require=0 true

# What the program writes is its own, and its arguments are not ours.
run 0 run sh -c 'echo "$@"' sh --help -V --report
[ "$(cat "$tmp/out")" = "--help -V --report" ] || wrong "arguments: $(cat "$tmp/out")"
run 0 run -- sh -c 'echo --; echo complaint >&2'
[ "$(cat "$tmp/out")" = -- ] || wrong "--"
grep -qx complaint "$tmp/err" || wrong "stderr of the program"

# Statuses, with a waiting parent and without.
for report in '' --report=:"$tmp/report" --report=json:"$tmp/report"; do
	# shellcheck disable=SC2086
	for n in 0 1 2 77 125 255; do
		run $n run $report -- sh -c "exit $n"
	done
	# shellcheck disable=SC2086
	run 127 run $report -- /nonexistent
	error_has '^contig run: /nonexistent: '
	# shellcheck disable=SC2086
	run 127 run $report no-such-program-anywhere
	# shellcheck disable=SC2086
	run 126 run $report -- /
	: >"$tmp/plain"
	# shellcheck disable=SC2086
	run 126 run $report -- "$tmp/plain"
	printf '#!/nonexistent/interpreter\n' >"$tmp/orphan"
	chmod +x "$tmp/orphan"
	# shellcheck disable=SC2086
	run 127 run $report -- "$tmp/orphan"
	error_has "^contig run: $tmp/orphan: its interpreter /nonexistent/interpreter: No such"
	printf '#!/\n' >"$tmp/orphan"
	# shellcheck disable=SC2086
	run 126 run $report -- "$tmp/orphan"
	error_has "^contig run: $tmp/orphan: its interpreter /: Permission denied"
	# Text without #! is the shell's, as everywhere.
	echo 'exit 9' >"$tmp/text"
	chmod +x "$tmp/text"
	# shellcheck disable=SC2086
	run 9 run $report -- "$tmp/text"
	# A death by signal is a death by signal, not exit 128 + n.
	python3 - "$CONTIG" $report <<'PY' || wrong "signals ($report)"
import signal, subprocess, sys
for s in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE, signal.SIGUSR1):
    p = subprocess.run([sys.argv[1], "run", *sys.argv[2:], "--", "sh", "-c",
                        "kill -%d $$" % s], stderr=subprocess.DEVNULL)
    if p.returncode != -s:
        print("%s: %d" % (s.name, p.returncode))
        sys.exit(1)
PY
done

# What another process sends to us alone is for the program; SIGPIPE and
# ignored signals are as they were found.
python3 - "$CONTIG" <<'PY' || wrong "signals passed on"
import os, signal, subprocess, sys, time
# A shell's background jobs ignore them, and a program could not trap them.
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
contig = sys.argv[1]
script = "trap 'echo got; exit 4' %s; echo ready; n=0; while [ $n -lt 100 ]; do n=$((n+1)); sleep 0.05; done; exit 9"
for name in ("TERM", "INT", "HUP", "USR1", "QUIT"):
    p = subprocess.Popen([contig, "run", "--report=:/dev/null", "--", "sh", "-c",
                          script % name], stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    p.send_signal(getattr(signal, "SIG" + name))
    said, status = p.stdout.read(), p.wait(20)
    if (said, status) != ("got\n", 4):
        sys.exit("%s: %r, exit %d" % (name, said, status))
def dispositions(report, *before):
    out = subprocess.run([*before, contig, "run", *report, "--", "grep", "^SigIgn",
                          "/proc/self/status"], stdout=subprocess.PIPE, text=True).stdout
    return int(out.split()[1], 16)
for report in [], ["--report=:/dev/null"]:
    plain = int(subprocess.run(["grep", "^SigIgn", "/proc/self/status"],
                stdout=subprocess.PIPE, text=True).stdout.split()[1], 16)
    if dispositions(report) != plain:
        sys.exit("ignored signals differ")
    hup = 1 << (signal.SIGHUP - 1)
    if not dispositions(report, "nohup") & hup:
        sys.exit("nohup is lost")
blocked = subprocess.run([contig, "run", "--report=:/dev/null", "--", "grep", "^SigBlk",
                          "/proc/self/status"], stdout=subprocess.PIPE, text=True).stdout
if int(blocked.split()[1], 16):
    sys.exit("blocked signals: " + blocked)
PY

# The terminal's signals come once, and a killed program's report is written.
python3 - "$CONTIG" "$tmp/report" <<'PY' || wrong "job control"
import os, pty, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
pid, fd = pty.fork()
if not pid:
    os.execv(sys.argv[1], ["contig", "run", "--report=:" + sys.argv[2], "--", "sh", "-c",
             "n=0; trap 'n=$((n+1)); echo int $n' INT; echo ready; i=0; "
             "while [ $n = 0 ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i+1)); done; "
             "for i in 1 2 3 4 5 6; do sleep 0.1; done; exit 6"])
out = b""
while b"ready" not in out:
    out += os.read(fd, 1000)
os.write(fd, b"\x03")
try:
    while True:
        out += os.read(fd, 1000)
except OSError:
    pass
status = os.waitpid(pid, 0)[1]
if b"int 1" not in out or b"int 2" in out or os.waitstatus_to_exitcode(status) != 6:
    sys.exit("%r %r" % (out, status))
PY

# Environment.
run 0 run --below 4G --align 2M --node 0 --threshold 1M --limit 64M --strict \
	--fork cow --sources 2m,thp --grow never --restrict a:b -- env
for line in CONTIG_RUN_BELOW=4G CONTIG_RUN_ALIGN=2M CONTIG_NODE=0 CONTIG_RUN_THRESHOLD=1M \
	CONTIG_LIMIT=64M CONTIG_RUN_STRICT=1 CONTIG_RUN_FORK=cow CONTIG_SOURCES=2m,thp \
	CONTIG_GROW=never CONTIG_RESTRICT=a:b "LD_PRELOAD=$shim"; do
	grep -qxF "$line" "$tmp/out" || wrong "environment: no $line"
done
run 0 run --node 0x0 -- env
grep -qx CONTIG_NODE=0 "$tmp/out" || wrong "--node 0x0: $(grep NODE "$tmp/out")"
CONTIG_RUN_STRICT=1 run 0 run --fallback -- env
grep -q CONTIG_RUN_STRICT "$tmp/out" && wrong "--fallback leaves CONTIG_RUN_STRICT"
# What nobody understands is told of once, whatever the program starts, and
# goes no further; where an option stands for it, it doesn't matter.
CONTIG_NODE=zero CONTIG_LIMIT=1x CONTIG_SOURCES=4m CONTIG_PIN=glue CONTIG_RUN_ALIGN=3 \
	CONTIG_RUN_FORK=maybe CONTIG_RUN_BELOW=0 CONTIG_RUN_STRICT=2 CONTIG_RUN_MAP_LIMIT=all \
	CONTIG_RUN_THRESHOLD=-1 run 0 run sh -c 'env; env >/dev/null'
for name in NODE=zero LIMIT=1x SOURCES=4m PIN=glue RUN_ALIGN=3 RUN_FORK=maybe RUN_BELOW=0 \
	RUN_STRICT=2 RUN_MAP_LIMIT=all RUN_THRESHOLD=-1; do
	[ "$(grep -cF "CONTIG_$name" "$tmp/err")" -eq 1 ] || wrong "CONTIG_$name: $(cat "$tmp/err")"
	error_has "^contig run: CONTIG_$name: not .*; ignored"
	grep -q "CONTIG_${name%=*}" "$tmp/out" && wrong "CONTIG_$name is still there"
done
CONTIG_NODE=zero CONTIG_RUN_ALIGN=3 run 0 run --node 0 --align 64K -- env
grep -E 'zero|ALIGN=3' "$tmp/err" && wrong "complained of what an option stands for"
grep -qx CONTIG_NODE=0 "$tmp/out" || wrong "--node over a bad CONTIG_NODE"
CONTIG_RUN_BELOW=high run 125 run --require echo started
error_has '^contig run: echo: not started'
[ -s "$tmp/out" ] && wrong "CONTIG_RUN_BELOW=high --require: started"
# In front of what is there, and only once.
other=$(ldd "$(command -v sh)" | sed -n 's/.*libc\.so.* => \([^ ]*\).*/\1/p')
if [ -n "$other" ]; then
	LD_PRELOAD="$other" run 0 run "$CONTIG" run env
	[ "$(sed -n 's/^LD_PRELOAD=//p' "$tmp/out")" = "$shim:$other" ] ||
		wrong "LD_PRELOAD: $(grep LD_PRELOAD "$tmp/out")"
fi
CONTIG_PRELOAD=/nonexistent.so run 125 run true
error_has '^contig run: /nonexistent.so: '
CONTIG_PRELOAD=relative.so run 125 run true
mkdir "$tmp/a b" && cp "$shim" "$tmp/a b/x.so"
CONTIG_PRELOAD="$tmp/a b/x.so" run 125 run true
run 125 run --report=:/nonexistent/file true
error_has '^contig run: /nonexistent/file: '

# Programs that can't be helped: told, started; with --require not started.
cat >"$tmp/p.c" <<'C'
#include <stdio.h>
int main(void) { puts("ran"); return 3; }
C
helpless() # WHAT PROGRAM [CAN'T RUN HERE]
{
	"$CONTIG" run "$2" >"$tmp/out" 2>"$tmp/err"
	got=$?
	error_has "$1"
	[ -n "${3-}" ] || { [ $got -eq 3 ] && [ "$(cat "$tmp/out")" = ran ]; } ||
		wrong "$1: exit $got: $(cat "$tmp/out" "$tmp/err")"
	run 125 run --require "$2"
	error_has "$1"
	error_has '--require'
	[ -s "$tmp/out" ] && wrong "$1: started in spite of --require"
}
$CC -o "$tmp/p" "$tmp/p.c" || exit 99
run 3 run "$tmp/p"
grep -qF "$tmp/p" "$tmp/err" && wrong "a usual program: $(cat "$tmp/err")"
$CC -static -o "$tmp/static" "$tmp/p.c" && helpless 'is static' "$tmp/static"
printf '#!%s\n' "$tmp/static" >"$tmp/script"
chmod +x "$tmp/script"
helpless "^contig run: $tmp/static: is static" "$tmp/script"
printf '#!/usr/bin/env -S %s\n' "$tmp/static" >"$tmp/script"
helpless "^contig run: $tmp/static: is static" "$tmp/script"
$CC -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1 -o "$tmp/musl" "$tmp/p.c"
helpless 'another C library \(/lib/ld-musl' "$tmp/musl" broken
if [ ! -e /lib/ld-musl-x86_64.so.1 ]; then
	run 127 run "$tmp/musl"
	error_has "^contig run: $tmp/musl: its loader /lib/ld-musl-x86_64.so.1: No such file"
fi
if $CC -fsanitize=address -o "$tmp/asan" "$tmp/p.c" 2>/dev/null; then
	helpless 'address sanitizer' "$tmp/asan"
fi
if clang -fsanitize=address -o "$tmp/asan" "$tmp/p.c" 2>/dev/null; then
	helpless 'address sanitizer' "$tmp/asan"
fi
for sanitizer in address thread; do
	if $CC -fsanitize=$sanitizer -static-lib"${sanitizer%"${sanitizer#?}"}"san -o "$tmp/linked" \
		"$tmp/p.c" 2>/dev/null; then
		# Where the kernel puts things, gcc's own may not start.
		helpless "was built with the .*$sanitizer.* sanitizer" "$tmp/linked" broken
	fi
done
# Which brings no malloc of its own.
for compiler in "$CC" "$CC -static-libubsan" clang; do
	if $compiler -fsanitize=undefined -o "$tmp/undefined" "$tmp/p.c" 2>/dev/null; then
		run 3 run "$tmp/undefined"
		grep -q sanitizer "$tmp/err" && wrong "$compiler -fsanitize=undefined: $(cat "$tmp/err")"
	fi
done
# The class and the machine of its header changed, so that it can't run here.
cp "$tmp/p" "$tmp/narrow"
printf '\001' | dd of="$tmp/narrow" bs=1 seek=4 conv=notrunc 2>/dev/null
helpless 'is a 32-bit program' "$tmp/narrow" broken
cp "$tmp/p" "$tmp/foreign"
printf '\363\000' | dd of="$tmp/foreign" bs=1 seek=18 conv=notrunc 2>/dev/null
helpless 'another machine' "$tmp/foreign" broken
if [ ! -e /proc/sys/fs/binfmt_misc/qemu-riscv64 ]; then
	# Not for the shell to make sense of.
	run 126 run "$tmp/foreign"
	error_has "^contig run: $tmp/foreign: Exec format error"
fi
# What a file names is not for the terminal to obey.
printf '#!/\033[31mred\n' >"$tmp/red" && chmod +x "$tmp/red"
run 127 run "$tmp/red"
error_has 'its interpreter /\?\[31mred: No such file'
# Damaged headers are survived.
python3 - "$CONTIG" "$tmp/p" "$tmp/damaged" <<'PY' || wrong "a damaged header"
import os, random, subprocess, sys
contig, source, target = sys.argv[1:]
data = open(source, "rb").read()
random.seed(1)
for n in range(150):
    d = bytearray(data)
    for i in range(random.randrange(1, 6)):
        d[random.randrange(4, 1200)] = random.choice((0, 1, 127, 128, 255))
    with open(target, "wb") as f:
        f.write(d)
    os.chmod(target, 0o755)
    # Judged, and never started: a simulated machine keeps no promise.
    p = subprocess.run([contig, "run", "--require", target], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, env={**os.environ, "CONTIG_SIM": "1G-2G"})
    if p.returncode != 125:
        sys.exit("exit %d" % p.returncode)
PY
if can_be_nobody; then
	# For root, none of both changes anything.
	cp "$tmp/p" "$tmp/setid"
	chmod 4755 "$tmp/setid"
	run 3 run "$tmp/setid"
	grep -q set-id "$tmp/err" && wrong "set-id to root, called by root"
	cp "$shim" "$tmp/shim.so" && chmod 755 "$tmp/shim.so"
	CONTIG_PRELOAD=$tmp/shim.so
	if ! findmnt -n -o OPTIONS -T "$tmp" | grep -q nosuid; then
		as_nobody 3 run "$tmp/setid"
		error_has 'is set-id'
		as_nobody 125 run --require "$tmp/setid"
		# Where exec gives no rights, the shim gets in.
		(cd / && exec setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs \
			"$tmp/contig" run "$tmp/setid") >"$tmp/out" 2>"$tmp/err" ||
			[ $? -eq 3 ] || wrong "--no-new-privs: $(cat "$tmp/err")"
		grep -q set-id "$tmp/err" && wrong "set-id without effect: $(cat "$tmp/err")"
		if command -v setcap >/dev/null; then
			cp "$tmp/p" "$tmp/caps"
			setcap cap_net_raw+ep "$tmp/caps"
			as_nobody 3 run "$tmp/caps"
			error_has 'file capabilities'
			run 3 run "$tmp/caps"
			grep -q capabilities "$tmp/err" && wrong "file capabilities, called by root"
		fi
	fi
	# The promise needs what nobody hasn't.
	as_nobody 0 run true
	error_has 'the promise can.t be kept: frame numbers are hidden'
	as_nobody 125 run --require true
	error_has 'not started'
	# Of frames that can't be seen, those within a superpage are certain.
	as_nobody 125 run --limit 4M --require=4M true
	error_has 'frame numbers are hidden'
	(cd / && exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
		"$tmp/contig" run --limit 2M --require=2M true) 2>"$tmp/err" ||
		grep -qE 'no superpage is free|can( only)? be wired|can.t be wired' "$tmp/err" ||
		wrong "nobody, --require=2M: $(cat "$tmp/err")"
	grep -q 'frame numbers' "$tmp/err" && wrong "nobody, --require=2M: $(cat "$tmp/err")"
	CONTIG_PRELOAD=$shim
fi
CONTIG_SIM=1G-2G run 0 run true
error_has 'CONTIG_SIM'

# Said, and not refused: it is what was asked for.
CONTIG_SOURCES=2m run 0 run true
error_has 'mappings and shared memory only come from thp'
run 0 run --sources 2m,thp true
grep -q 'only come from thp' "$tmp/err" && wrong "--sources 2m,thp: $(cat "$tmp/err")"
CONTIG_SOURCES=1g "$CONTIG" run --sources 2m --require=2M true 2>"$tmp/err" ||
	grep -qE 'no superpage of the sources allowed is free' "$tmp/err" ||
	wrong "--sources 2m --require: $(cat "$tmp/err")"
# Without addresses for superpages there are none, however short blocks are.
(ulimit -v 200000 && exec "$CONTIG" run --require=2M echo started) >"$tmp/out" 2>"$tmp/err"
[ $? -eq 125 ] && [ ! -s "$tmp/out" ] || wrong "ulimit -v: $(cat "$tmp/out" "$tmp/err")"
error_has 'no superpage is (to be had: direct map: no .* of address space|free)'
(ulimit -f 1000 && exec "$CONTIG" run --report true) >"$tmp/out" 2>"$tmp/err"
[ $? -eq 125 ] || wrong "ulimit -f: $(cat "$tmp/err")"
error_has '^contig run: report: no room under the limit on files \(ulimit -f\)'

# What is asked of a place is tried before the start, by what the program will
# find: the first superpage has never been anybody's.
run 125 run --node 63 true
error_has '^contig run: --node 63: no such node'
CONTIG_NODE=63 run 125 run true
error_has '^contig run: CONTIG_NODE=63: no such node'
CONTIG_LIMIT=1M run 0 run true
error_has 'the limit of 1 MiB is less than a superpage'
run 125 run --require=64M --limit 32M true
error_has 'the limit of 32 MiB is less than a block of 64 MiB'
if can_be_nobody; then
	run 0 run --below 2M true
	error_has 'no superpage (below 2 MiB|is free)'
	CONTIG_RUN_BELOW=2M run 0 run true
	error_has 'no superpage (below 2 MiB|is free)'
	run 125 run --require --below 2M echo started
	[ -s "$tmp/out" ] && wrong "--below 2M --require: started"
	# A search that may hold 2 MiB finds no run of 4; nobody who is content
	# with 2 is told so.
	CONTIG_RECLAIM_MAX=2M run 0 run true
	error_has 'no run of 4 MiB was found|no superpage is free'
	CONTIG_RECLAIM_MAX=2M run 125 run --require true
	error_has 'not started \(--require'
	# Nor one who needs no longer ones.
	CONTIG_RECLAIM_MAX=2M "$CONTIG" run --require=2M true 2>"$tmp/err" ||
		grep -qE 'no superpage is free|wired' "$tmp/err" ||
		wrong "--require=2M: $(cat "$tmp/err")"
	grep -qE 'no run of' "$tmp/err" && wrong "--require=2M: $(cat "$tmp/err")"
	run 125 run --require=1P true
	error_has 'no run of 1 PiB is to be had|no superpage is free'
	CONTIG_RECLAIM_MAX=2M run 0 run --limit 2M true
	grep -q 'no run of' "$tmp/err" && wrong "--limit 2M: $(cat "$tmp/err")"
fi

# The report.
python=$(python3 -c 'import sys; print(sys.executable)') # no wrapper of it
run 0 run --report -- true
error_has '^contig run: true: exit 0, 1 process, '
[ -s "$tmp/out" ] && wrong "the report is on standard output"
error_has '^Asked: '
run 7 run --report=:"$tmp/report" -- sh -c '/bin/true; /bin/true; exit 7'
grep -q 'exit 7, [2-9] processes' "$tmp/report" || wrong "--report=:FILE: $(cat "$tmp/report")"
"$CONTIG" run --report=json:"$tmp/out" -- sh -c '/bin/true & wait; (:); kill -9 $$' 2>"$tmp/err"
json_is 'd["command"] == "run" and d["signal"] == 9 and d["exit_status"] is None'
json_is 'd["program"] == "sh" and d["elapsed_ns"] > 0 and d["threshold"] == 65536'
json_is '{p["name"] for p in d["processes"]} >= {"sh", "true"}'
json_is '[p["state"] for p in d["processes"] if p["name"] == "true"] == ["exited"]'
json_is 'sum(p["asked"] for p in d["processes"]) == d["total"]["asked"]'
json_is 'd["total"]["asked"] > 0 and d["total"]["calls"] > 0'
"$CONTIG" run --report=json:"$tmp/out" -- sh -c 'exec true' 2>"$tmp/err"
json_is 'sorted(p["state"] for p in d["processes"]) == ["exited", "replaced"]'
# Nothing is lost of what a program asks for at last, however it ends.
cat >"$tmp/last.c" <<'C'
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char *volatile p;
	for (int i = 0; i < 3; i++)
		p = malloc(100000);
	p = aligned_alloc(4096, 8192);
	memset(p, argc, 8192);
	if (!strcmp(argv[1], "_exit"))
		_exit(0);
	if (!strcmp(argv[1], "quick_exit"))
		quick_exit(0);
	if (!strcmp(argv[1], "kill"))
		raise(SIGKILL);
	if (!strcmp(argv[1], "exec"))
		execlp("true", "true", (char *)NULL);
	return 0;
}
C
$CC -o "$tmp/last" "$tmp/last.c" || exit 99
for way in exit _exit quick_exit exec kill; do
	"$CONTIG" run --report=json:"$tmp/out" -- "$tmp/last" $way 2>"$tmp/err" || [ $way = kill ] ||
		wrong "$way"
	json_is 'd["total"]["calls_large"] == 4 and d["total"]["asked_large"] == 308192'
	json_is 'd["total"]["large_kept"] + d["total"]["large_broken"] == 308192'
	json_is 'd["processes"][0]["name"] == "last" and d["processes"][0]["asked"] >= 308192'
	json_is 'd["total"]["metadata"] >= 65536'
done
# A node that is not there is not asked for, of heap or of mappings.
"$CONTIG" run --report=json:"$tmp/out" -- env CONTIG_NODE=63 \
	"$top_builddir/tests/integration/victim_mmap" sizes >/dev/null 2>"$tmp/err"
json_is 'd["total"]["calls_large"] and not any("node 63" in r["what"] for r in d["reasons"])'
# A reason says each thing once, and nothing by half.
"$CONTIG" run --sources 1g --report=json:"$tmp/out" -- "$tmp/last" exit 2>"$tmp/err"
json_is 'all(len(set(w)) == len(w) for w in [r["what"].split("; ") for r in d["reasons"]])'
# Those that are left out are told of, and count nothing.
"$CONTIG" run --restrict other:true --report=json:"$tmp/out" -- \
	sh -c '/bin/true; /bin/true; exec sleep 0' 2>"$tmp/err"
json_is 'sorted(p["name"] for p in d["processes"]) == ["sh", "sleep", "true", "true"]'
json_is 'all((p["state"] == "aside") == (p["name"] != "true") for p in d["processes"])'
json_is 'd["aside"] == 2'
json_is 'not any(p["asked"] for p in d["processes"] if p["state"] == "aside")'
json_is '[r["times"] for r in d["reasons"] if "CONTIG_RESTRICT" in r["what"]] == [2]'
run 0 run --restrict true --report -- sh -c '/bin/true; :'
error_has '^contig run: sh: exit 0, 2 processes'
error_has '^Aside: +1 process'
printf '#!/bin/sh\n:\n' >"$tmp/job" && chmod +x "$tmp/job"
"$CONTIG" run --restrict job --report=json:"$tmp/out" -- "$tmp/job" 2>"$tmp/err"
json_is '[(p["name"], p["state"]) for p in d["processes"]] == [("job", "exited")]'
run 0 run --restrict nothing --report -- sh -c '/bin/true; :'
error_has '^Nothing: +all stand aside'
# And leave the others room: beyond some, they are counted only.
"$CONTIG" run --restrict nothing --report=json:"$tmp/out" -- "$python" -c '
import mmap, os, subprocess
m = mmap.mmap(os.open(os.environ["CONTIG_REPORT"], os.O_RDWR), 0)
m[20:24] = (1024).to_bytes(4, "little")
subprocess.run(["true"], check=True)' 2>"$tmp/err"
json_is 'd["aside"] == 2 and len(d["processes"]) == 1024'
json_is '"true" not in [p["name"] for p in d["processes"]]'
# What outlives the program is seen to.
"$CONTIG" run --report=json:"$tmp/out" -- sh -c 'sleep 30 >/dev/null 2>&1 &
	echo $! >"$1"; until grep -q sleep /proc/$!/comm && grep -q contig-preload /proc/$!/maps
	do sleep 0.02; done; sleep 1' \
	sh "$tmp/pid" 2>"$tmp/err"
json_is '"running" in [p["state"] for p in d["processes"] if p["name"] == "sleep"]'
kill "$(cat "$tmp/pid")"
"$CONTIG" run --report=json:"$tmp/out" -J -- true 2>/dev/null
json_is 'd["processes"][0]["state"] == "exited"'
# Without a program that loads the shim there is nothing to tell, and no crash.
if [ -x "$tmp/static" ]; then
	run 3 run --report=json:"$tmp/json" "$tmp/static"
	mv "$tmp/json" "$tmp/out"
	json_is 'd["processes"] == [] and d["total"]["asked"] == 0'
	run 3 run --report "$tmp/static"
	error_has '^Nothing: '
fi
run 0 run -o name,state --report=:"$tmp/report" -- true
mv "$tmp/report" "$tmp/out"
output_has '^PROGRAM  STATE'
[ "$(wc -l <"$tmp/out")" -eq 2 ] || wrong "-o: $(cat "$tmp/out")"
COLUMNS=80 run 0 run --report=:"$tmp/report" -- sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do /bin/true; done'
mv "$tmp/report" "$tmp/out"
narrow 80 "the report"
output_has '^and [0-9]+ more'
# What is not wired is not as promised, contiguous or not: the kernel says what
# a program that may lock 4 MiB has pinned.
if can_be_nobody; then
	wired() # OPTION...
	{
		(ulimit -l 4096 && exec setpriv --bounding-set -ipc_lock "$CONTIG" run \
			--report=json:"$tmp/report" "$@" -- "$top_builddir/tests/integration/victim_malloc" \
			wired 20000000) >"$tmp/out" 2>"$tmp/err" || wrong "wired: $(cat "$tmp/out" "$tmp/err")"
		read -r _ got _ pinned <"$tmp/out"
		mv "$tmp/report" "$tmp/out"
		json_is "d['total']['large_kept'] <= $pinned"
		json_is "d['total']['large_wired'] <= $pinned"
		json_is 'd["total"]["large_kept"] <= d["total"]["large_contiguous"]'
		json_is 'd["total"]["large_kept"] <= d["total"]["large_wired"]'
	}
	wired
	error_has 'only 4 MiB can be wired'
	[ "$got" -ge 20000000 ] || wrong "only $got bytes"
	json_is 'd["total"]["large_kept"] + d["total"]["large_broken"] == d["total"]["asked_large"]'
	json_is 'd["total"]["fallback_bytes"] >= d["total"]["large_broken"]'
	json_is "d['total']['large_contiguous'] >= $got"
	json_is 'any("not wired: io_uring: RLIMIT_MEMLOCK" in r["what"] for r in d["reasons"])'
	json_is 'not d["promised"]'
	wired --strict
	[ "$got" -le "$pinned" ] || wrong "--strict: $got bytes, of which $pinned are pinned"
	json_is 'd["total"]["refused"] > 0 and not d["total"]["large_broken"] and not d["total"]["fallback_bytes"]'
	json_is 'any("can'\''t be wired" in r["what"] for r in d["reasons"])'
fi
# The program can write into what it counts in, and can't hurt the reader.
cat >"$tmp/hostile.py" <<'PY'
import mmap, os, random
fd = os.open(os.environ["CONTIG_REPORT"], os.O_RDWR)
try:
    os.ftruncate(fd, 0)
    raise SystemExit(9)
except PermissionError:
    pass
m = mmap.mmap(fd, 0)
random.seed(2)
m[:] = random.randbytes(len(m))
m[24:28] = b"\x40\x00\x00\x00"
os._exit(5)
PY
for form in json: :; do
	run 5 run --report=$form"$tmp/report" -- "$python" "$tmp/hostile.py"
	[ -s "$tmp/report" ] || wrong "no report after a hostile program"
done
pools_are "$before" run
exit $status
