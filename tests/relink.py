#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Update links between two sets of programs, again and again, as `upgrade` does once.

relink.py --rate N --seconds S LINK=PROG=OTHER...   (paths of pins; PROG stays at the end)
"""
import argparse
import ctypes
import os
import struct
import time

SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
BPF_OBJ_GET, BPF_LINK_UPDATE = 7, 29
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attr):
    attr = ctypes.create_string_buffer(attr.ljust(64, b"\0"), 64)
    result = libc.syscall(SYS_BPF, command, attr, 64)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def open_pin(path):
    name = ctypes.create_string_buffer(path.encode())
    return bpf(BPF_OBJ_GET, struct.pack("=QII", ctypes.addressof(name), 0, 0))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("links", nargs="+")
    args = parser.parse_args()
    links = [[open_pin(path) for path in link.split("=")] for link in args.links]
    begin, updates = time.monotonic(), 0
    while time.monotonic() - begin < args.seconds or updates % 2:
        updates += 1
        for link, prog, other in links:
            bpf(BPF_LINK_UPDATE, struct.pack("=IIII", link, other if updates % 2 else prog, 0, 0))
        time.sleep(max(0, begin + updates / args.rate - time.monotonic()))
    print(updates)


main()
