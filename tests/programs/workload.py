# SPDX-License-Identifier: BSD-2-Clause
"""Memory of all shapes, as programs use it; prints digests, the same always."""
import hashlib, json, mmap, multiprocessing, os, random, re, sqlite3, subprocess, sys
import threading, zlib

random.seed(12)


def digest(what, data):
    if isinstance(data, str):
        data = data.encode()
    print(what, hashlib.sha256(data).hexdigest(), flush=True)


def documents(n):
    return [{"id": i, "name": "n" * (i % 97), "tags": [str(i * k) for k in range(9)],
             "deep": {"x": [i / 3, None, True]}} for i in range(n)]


def json_and_back():
    text = json.dumps(documents(20000))
    assert json.loads(text) == documents(20000)
    digest("json", json.dumps(json.loads(text), sort_keys=True))


def growing():
    data = bytearray()
    for i in range(3000):
        data += bytes([i & 255]) * (i % 8191)
    digest("bytearray", bytes(data))
    big = b"".join(bytes([i & 255]) * 70000 for i in range(300))
    digest("zlib", zlib.decompress(zlib.compress(big, 1)))
    many = {str(i): [i] * (i % 50) for i in range(100000)}
    for i in range(0, 100000, 3):
        del many[str(i)]
    digest("dict", repr(sorted(many.items())[::100]))
    digest("re", " ".join(re.findall(r"\b\w*7\w*\b", " ".join(map(str, range(200000))))))


def mapped():
    # A shared one could not be touched beyond its first size.
    m = mmap.mmap(-1, 10 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, 10 << 20, 4096):
        m[at] = at // 4096 & 255
    m.resize(20 << 20)
    m[15 << 20] = 7
    digest("mmap", bytes(m))
    private = mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    private[:] = b"p" * (4 << 20)
    private.madvise(mmap.MADV_DONTNEED, 4096, 8192)
    digest("dontneed", private[:])


def thread(results, i):
    blocks = []
    r = random.Random(i)
    for _ in range(3000):
        if blocks and r.random() < 0.4:
            blocks.pop(r.randrange(len(blocks)))
        else:
            blocks.append(bytes([i]) * r.randrange(1, 200000))
        if len(blocks) > 100:
            blocks = blocks[50:]
    results[i] = hashlib.sha256(b"".join(blocks)).hexdigest()


def threads():
    results = [None] * 8
    all_of_them = [threading.Thread(target=thread, args=(results, i)) for i in range(8)]
    for t in all_of_them:
        t.start()
    for t in all_of_them:
        t.join()
    digest("threads", repr(results))


def child(n):
    return hashlib.sha256(b"%d" % n * 100000 + bytes(inherited)).hexdigest()


inherited = bytearray(b"from the parent" * 100000)


def processes():
    with multiprocessing.get_context("fork").Pool(4) as pool:
        digest("fork", repr(pool.map(child, range(40))))
    pid = os.fork()
    if not pid:
        inherited[:] = b"c" * len(inherited)
        os._exit(inherited.count(b"c") % 251)
    status = os.waitpid(pid, 0)[1]
    digest("copied", repr((status, bytes(inherited[:100]))))
    out = subprocess.run(["sh", "-c", "seq 1 20000 | sort -r | md5sum"],
                         stdout=subprocess.PIPE).stdout
    digest("subprocess", out)


def database():
    db = sqlite3.connect(":memory:")
    db.execute("create table t (a integer primary key, b text, c blob)")
    db.executemany("insert into t values (?, ?, ?)",
                   ((i, str(i * i), b"x" * (i % 3000)) for i in range(20000)))
    rows = db.execute("select count(*), sum(length(c)), max(b) from t where b like '%7%'")
    digest("sqlite", repr(rows.fetchall()))


for part in json_and_back, growing, mapped, threads, processes, database:
    part()
sys.stderr.write("done\n")
