# SPDX-License-Identifier: GPL-2.0-or-later
"""The guard's maps from outside, byte by byte: `digest MAP`, `flush` all tables, `end-grace`,
as if the guard had been attached for long, or `fill N`: as if so many connections to service 1
were established. No packet finds those, but whoever walks the table does.
"""
import ctypes
import hashlib
import mmap
import os
import struct
import sys
import time

PIN = "/sys/fs/bpf/synwarden/"
TABLES = ("conns", "half", "gauges", "tables")
SYS_BPF, LOOKUP, UPDATE, OBJ_GET, GET_INFO = 321, 1, 2, 7, 15
GRACE_AT = 56  # grace_until_ns in struct sw_settings
CONN, GAUGE, USE = "16s16sHHBBBBIIIIII", 128, 40  # struct sw_conn, sizes of sw_gauge, sw_table_use
ESTABLISHED, CONFIRMED, SERVICE = 6, 1, 1

libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    buf = ctypes.create_string_buffer(attr.ljust(128, b"\0"))
    got = libc.syscall(SYS_BPF, command, buf, 128)
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


def opened(name):
    path = ctypes.create_string_buffer((PIN + name).encode())
    return bpf(OBJ_GET, struct.pack("QII", ctypes.addressof(path), 0, 0))


def mapped(name, write=False):
    fd = opened(name)
    info = ctypes.create_string_buffer(80)
    bpf(GET_INFO, struct.pack("IIQ", fd, 80, ctypes.addressof(info)))
    value_size, entries = struct.unpack_from("II", info, 12)
    size = -(-value_size * entries // mmap.PAGESIZE) * mmap.PAGESIZE
    prot = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
    return mmap.mmap(fd, size, mmap.MAP_SHARED, prot)


def digest(name):
    return hashlib.sha256(mapped(name)).hexdigest()


def flush():
    """While nothing moves: gauges and tables are not changed together."""
    for name in TABLES:
        memory = mapped(name, write=True)
        memory[:] = bytes(len(memory))


def add(name, at, n):
    memory = mapped(name, write=True)
    struct.pack_into("Q", memory, at, struct.unpack_from("Q", memory, at)[0] + n)


def fill(count):
    """Spread over the whole table, and counted, so that a sweep can free them again."""
    memory, size = mapped("conns", write=True), struct.calcsize(CONN)
    slots = (len(memory) - mmap.PAGESIZE) // size  # not all of the last page is the table's
    now = time.monotonic_ns() // 10**9
    head, server = bytes(10) + b"\xff\xff", bytes(10) + b"\xff\xff" + bytes((10, 9, 0, 2))
    for n in range(count):
        client = head + (0x30000000 + n).to_bytes(4, "big")
        struct.pack_into(CONN, memory, n * slots // count * size, client, server, 0x4000, 0x5000,
                         ESTABLISHED, CONFIRMED, SERVICE, 0, now, now, now, 0, 0, 0)
    add("gauges", SERVICE * GAUGE + ESTABLISHED * 8, count)
    add("tables", 0, count)


def end_grace():
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(4096)
    attr = struct.pack("IIQQQ", opened("settings"), 0, ctypes.addressof(key),
                       ctypes.addressof(value), 0)
    bpf(LOOKUP, attr)
    value[GRACE_AT:GRACE_AT + 8] = bytes(8)
    bpf(UPDATE, attr)


if __name__ == "__main__":
    if sys.argv[1] == "flush":
        flush()
    elif sys.argv[1] == "fill":
        fill(int(sys.argv[2]))
    elif sys.argv[1] == "end-grace":
        end_grace()
    else:
        print(digest(sys.argv[2]))
