#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What nvme-rw should have left in an image file, checked from outside.

    check-image.py fill  IMAGE FIRST:COUNT:SEED...   write it, for --read-only
    check-image.py check IMAGE FIRST:COUNT:SEED...   compare; the rest is zero

FIRST and COUNT are MiB; SEED "any" is not looked at.  The pattern is described
in examples/nvme-transfer.h; this is a second writing of it.
"""

import struct
import sys

SECTOR = 512
MIB = 1 << 20
MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
WORDS = range(2, SECTOR // 8)
LAYOUT = struct.Struct("<64Q")


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def sector_of(number, seed):
    a = mix((seed * GOLDEN + number) & MASK)
    b = mix(a) | 1
    return LAYOUT.pack(number, seed, *[(a + i * b) & MASK for i in WORDS])


def describe(data):
    if not any(data):
        return "zero"
    number, seed = struct.unpack_from("<2Q", data)
    if data == sector_of(number, seed):
        return f"what belongs to sector {number}, seed {seed}"
    return f"other bytes, {data[:16].hex()}..."


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("fill", "check"):
        sys.exit(__doc__)
    areas = []
    for area in sys.argv[3:]:
        first, count, seed = area.split(":")
        areas.append((int(first), int(count), None if seed == "any" else int(seed)))
    if sys.argv[1] == "fill":
        with open(sys.argv[2], "r+b") as image:
            for first, count, seed in areas:
                image.seek(first * MIB)
                start = first * MIB // SECTOR
                for n in range(start, start + count * MIB // SECTOR):
                    image.write(sector_of(n, seed))
        return 0

    wrong = good = zeros = 0
    with open(sys.argv[2], "rb") as image:
        mib = 0
        while chunk := image.read(MIB):
            seeds = [seed for first, count, seed in areas if first <= mib < first + count]
            mib += 1
            if seeds == [None] or (not seeds and not any(chunk)):
                zeros += 0 if seeds else len(chunk) // SECTOR
                continue
            for at in range(0, len(chunk), SECTOR):
                data = chunk[at : at + SECTOR]
                number = ((mib - 1) * MIB + at) // SECTOR
                expected = sector_of(number, seeds[0]) if seeds else bytes(len(data))
                if data != expected:
                    wrong += 1
                    if wrong <= 5:
                        what = f"what seed {seeds[0]} says" if seeds else "zero"
                        print(f"sector {number}: {describe(data)}, not {what}")
                elif seeds:
                    good += 1
                else:
                    zeros += 1
    print(f"image: {good} sectors as written, {zeros} zero, {wrong} wrong")
    expected = sum(count for _, count, seed in areas if seed is not None) * MIB // SECTOR
    return 0 if not wrong and good == expected else 1


if __name__ == "__main__":
    sys.exit(main())
