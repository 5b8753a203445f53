#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Write a pagemap as a captured tree has it: a file with holes.

usage: make_pagemap.py FILE PAGE-SIZE ADDRESS:FRAME:N...

N pages from ADDRESS on lie in frames from FRAME on; FRAME "hidden": present,
frames withheld; "swapped".
"""
import struct, sys

page = int(sys.argv[2], 0)
with open(sys.argv[1], "wb") as f:
    for word in sys.argv[3:]:
        address, frame, n = word.split(":")
        entry = {"hidden": 1 << 63, "swapped": 1 << 62 | 5 << 5}.get(frame)
        f.seek(int(address, 0) // page * 8)
        for i in range(int(n, 0)):
            f.write(struct.pack("<Q", 1 << 63 | int(frame, 0) + i if entry is None else entry))
