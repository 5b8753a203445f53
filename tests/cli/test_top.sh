#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# contig top: once, as JSON, and live on a terminal with its keys.
. "$(dirname "$0")/common.sh"

refused top word
refused top --delay 0
refused top --sort colour
run 2 --sysroot "$srcdir/tests/trees/laptop" top

run 0 top --once
narrow 80 top
plain top
output_has '^ *POOL +TOTAL +FREE'
output_has '^ *NODE +ZONE +FREE +2M FREE +FRAGMENTED$'
run 0 top --json
json_is '[p["total"] for p in d["pools"] if p["size"] == 2 << 20] == [int(open("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages").read())]'
json_is 'all(p["hugetlb"] > 0 or p["held"] is not None for p in d["processes"])'
json_is 'sum(z["free"] for z in d["zones"]) > 1 << 20'

# A process of ours appears, with what it holds; then it is gone.
CONTIG_SOURCES=2m,thp "$CONTIG" alloc 3M --grow system --hold >"$tmp/alloc" 2>&1 &
child=$!
i=0
until grep -q 'held by process' "$tmp/alloc" || ! kill -0 $child 2>/dev/null || [ $i -gt 400 ]; do
	i=$((i + 1))
	sleep 0.05
done
if kill -0 $child 2>/dev/null; then
	run 0 top --json
	json_is "[p['held'] >= 4 << 20 and p['in_use'] >= 3 << 20 and p['pinned'] <= p['held'] for p in d['processes'] if p['pid'] == $child] == [True]"
	run 0 top --once -n -o pid,held --sort pid
	output_has "^ *$child +[0-9]+ MiB$"
	grep -q POOL "$tmp/out" && wrong "top -o prints pools"
	run 0 top --once --sort name
	output_has "^ *$child +contig "
fi
kill -TERM $child 2>/dev/null
wait $child || skip "no superpages here: $(cat "$tmp/alloc")"
run 0 top --json
json_is "[p for p in d['processes'] if p['pid'] == $child] == []"

# On a terminal: it paints, takes keys, and leaves the terminal as it was.
python3 - "$CONTIG" <<'EOF' || wrong "live"
import fcntl, os, pty, select, struct, sys, termios, time
pid, fd = pty.fork()
if not pid:
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], [sys.argv[1], "top", "--delay", "60"])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
seen = b""
def until(text, seconds=20):
    global seen
    end = time.time() + seconds
    while text not in seen:
        assert time.time() < end, (text, seen[-2000:])
        if select.select([fd], [], [], 0.2)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                break
    assert text in seen, (text, seen[-2000:])
until(b"by size")
assert b"\x1b[?1049h" in seen
until(b"FRAGMENTED")
seen = b""
os.write(fd, b"s"); until(b"by use")
os.write(fd, b"+"); until(b"every 61 s")
raw = termios.tcgetattr(fd)
assert not raw[3] & termios.ECHO
os.write(fd, b"q"); until(b"\x1b[?1049l")
deadline = time.time() + 10
while not termios.tcgetattr(fd)[3] & termios.ECHO:
    assert time.time() < deadline, "no echo afterwards"
    time.sleep(0.05)
status = os.waitpid(pid, 0)[1]
assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, status
EOF
exit $status
