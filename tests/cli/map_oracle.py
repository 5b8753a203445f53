#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Hold "contig map --json" of a process against what /proc says of it.

usage: map_oracle.py PID MAP.json [hidden]

Reads smaps, numa_maps and pagemap of the process by itself, which must not
change meanwhile.  Prints what differs; exit 1 if anything does.
"""
import json, os, re, struct, sys

PAGE = os.sysconf("SC_PAGESIZE")
PRESENT, SWAPPED, FRAME = 1 << 63, 1 << 62, (1 << 55) - 1
wrong = 0


def differ(where, what, ours, theirs):
    global wrong
    wrong += 1
    print(f"{where}: {what} is {ours}, {theirs} by the oracle")


def smaps(pid):
    mappings, now = {}, None
    for line in open(f"/proc/{pid}/smaps", errors="replace"):
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) (\S+) \S+ \d+ *(.*)", line)
        if head:
            now = {"start": int(head[1], 16), "end": int(head[2], 16),
                   "permissions": head[3], "name": head[5]}
            mappings[now["start"]] = now
            continue
        key, value = line.split(":", 1)
        if value.endswith(" kB\n"):
            now[key] = int(value.split()[0]) * 1024
    return mappings


def numa(pid):
    nodes = {}
    for line in open(f"/proc/{pid}/numa_maps", errors="replace"):
        size = re.search(r" kernelpagesize_kB=(\d+)", line)
        size = int(size[1]) * 1024 if size else PAGE
        nodes[int(line.split()[0], 16)] = {
            int(n): int(pages) * size for n, pages in re.findall(r" N(\d+)=(\d+)", line)}
    return nodes


def zero_frame():
    import mmap
    m = mmap.mmap(-1, PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ)
    # The address: of the newest mapping that is one page, read-only, private.
    m[0]
    for line in open("/proc/self/maps"):
        a, b = (int(x, 16) for x in line.split()[0].split("-"))
        if b - a == PAGE and line.split()[1] == "r--p" and line.split()[4] == "0":
            with open("/proc/self/pagemap", "rb") as f:
                f.seek(a // PAGE * 8)
                e = struct.unpack("Q", f.read(8))[0]
                if e & PRESENT:
                    return e & FRAME
    return None


def is_zero(frame):
    """The page of zeros, or a frame of the superpage of zeros."""
    if frame == ZERO:
        return True
    if frame not in zeros:
        zeros[frame] = bool(struct.unpack("Q", os.pread(kpageflags, 8, frame * 8))[0] >> 24 & 1) \
            if kpageflags is not None else False
    return zeros[frame]


def pages(fd, start, end, superpages):
    """(present, swapped, runs, longest, list of runs) of one mapping."""
    present = swapped = 0
    runs, last = [], None
    data = os.pread(fd, (end - start) // PAGE * 8, start // PAGE * 8)
    for i, (e,) in enumerate(struct.iter_unpack("Q", data)):
        if not e & PRESENT:
            swapped += bool(e & SWAPPED)
            last = None
            continue
        frame = e & FRAME
        present += 1
        if frame == ZERO or superpages and is_zero(frame):
            last = None
            continue
        if last is not None and frame == last + 1:
            runs[-1][2] += 1
        else:
            runs.append([start + i * PAGE, frame, 1])
        last = frame
    return present, swapped, runs


pid, document = int(sys.argv[1]), json.load(open(sys.argv[2]))
hidden = sys.argv[3:] == ["hidden"]
theirs, nodes = smaps(pid), numa(pid)
ZERO, zeros = zero_frame(), {}
try:
    kpageflags = os.open("/proc/kpageflags", os.O_RDONLY)
except OSError:
    kpageflags = None
fd = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
ours = {int(m["start"], 16): m for m in document["mappings"]}
if set(ours) != set(theirs):
    differ("mappings", "set", sorted(set(ours) - set(theirs)), sorted(set(theirs) - set(ours)))
total, joined, sizes = 0, [], {}
for start in sorted(set(ours) & set(theirs)):
    m, s = ours[start], theirs[start]
    where = f"{start:x} {s['name']}"
    for key in "name", "permissions":
        if (m[key] or "") != s[key]:
            differ(where, key, m[key], s[key])
    if int(m["end"], 16) != s["end"] or m["size"] != s["end"] - start:
        differ(where, "end", m["end"], hex(s["end"]))
    if s["name"] in ("[vvar]", "[vvar_vclock]", "[vdso]", "[vsyscall]"):
        continue
    huge = s["Private_Hugetlb"] + s["Shared_Hugetlb"]
    rss = s["Rss"] + huge
    if m["present"] != rss:
        differ(where, "present", m["present"], rss)
    if m["swapped"] != s["Swap"]:
        differ(where, "swapped", m["swapped"], s["Swap"])
    huge += s["AnonHugePages"] + s.get("ShmemPmdMapped", 0) + s.get("FilePmdMapped", 0)
    if m["superpage_bytes"] != huge:
        differ(where, "superpage_bytes", m["superpage_bytes"], huge)
    kernel = s["KernelPageSize"]
    size = None if not huge else kernel if kernel > PAGE else 2 << 20
    if m["superpage_size"] != size:
        differ(where, "superpage_size", m["superpage_size"], size)
    if huge:
        sizes[size] = sizes.get(size, 0) + huge
    if rss > huge:
        sizes[PAGE] = sizes.get(PAGE, 0) + rss - huge
    on = {n: b for n, b in nodes.get(start, {}).items() if b}
    if len(on) == 1 and m["nodes"] != str(list(on)[0]):
        differ(where, "nodes", m["nodes"], on)
    if rss and sum(on.values()) != rss:
        differ(where, "numa_maps (the oracle itself)", sum(on.values()), rss)
    total += rss
    if hidden:
        if m["hidden"] != m["present"] or (m["present"] and m["runs"] is not None):
            differ(where, "hidden", m["hidden"], m["present"])
        continue
    if not rss and not s["Swap"] and s["end"] - start > 1 << 30:
        runs = []
    else:
        present, swapped, runs = pages(fd, start, s["end"], kernel == PAGE and s["end"] - start >= 2 << 20)
        frames = sum(r[2] for r in runs)
        if frames * PAGE != m["present"] or (present - frames) * PAGE != m["zero"]:
            differ(where, "present, zero", (m["present"], m["zero"]), (frames, present))
        if swapped * PAGE != m["swapped"]:
            differ(where, "swapped (pagemap)", m["swapped"], swapped * PAGE)
    longest = max((r[2] for r in runs), default=0) * PAGE
    if m["runs"] != len(runs) or (m["longest"] or 0) != longest:
        differ(where, "runs, longest", (m["runs"], m["longest"]), (len(runs), longest))
    if runs and m["mean"] != sum(r[2] for r in runs) * PAGE // len(runs):
        differ(where, "mean", m["mean"], runs)
    for r in runs:
        if joined and joined[-1][0] + joined[-1][2] * PAGE == r[0] and \
                joined[-1][1] + joined[-1][2] == r[1]:
            joined[-1][2] += r[2]
        else:
            joined.append(list(r))

special = sum(m["present"] for m in document["mappings"] if m["name"] == "[vdso]")
t = document["totals"]
if t["present"] != total + special:
    differ("totals", "present", t["present"], total + special)
if {p["page_size"]: p["bytes"] for p in document["page_sizes"]} != \
        {k: v + (special if k == PAGE else 0) for k, v in sizes.items()}:
    differ("totals", "page_sizes", document["page_sizes"], sizes)
if not hidden:
    # [vdso] has runs, too, which the oracle doesn't look at.
    vdso = sum(m["runs"] for m in document["mappings"] if m["name"] == "[vdso]")
    if t["runs"] != len(joined) + vdso:
        differ("totals", "runs", t["runs"], len(joined) + vdso)
    if t["longest"] != max(r[2] for r in joined) * PAGE:
        differ("totals", "longest", t["longest"], max(r[2] for r in joined) * PAGE)
    for run in document.get("runs", []):
        if [int(run["address"], 16), int(run["start"], 16) // PAGE, run["size"] // PAGE] \
                not in joined:
            differ("runs", "run", run, "none such")
    if "runs" in document:
        n = len(document["runs"])
        least = min(r["size"] for r in document["runs"]) // PAGE
        if n < len(joined) and sorted(r[2] for r in joined)[-n] != least:
            differ("runs", "shortest listed", least, sorted(r[2] for r in joined)[-n])
sys.exit(1 if wrong else 0)
