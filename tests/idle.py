# SPDX-License-Identifier: GPL-2.0-or-later
"""Many connections, both ends held here: said nothing for longer than any limit (their entries
are made older by --age seconds), then, at each line in a fifo, one byte on each of them.
"""
import argparse
import os
import resource
import struct
import sys

import hosts
import maps
from hosts import check

OPENED_AT, STATE_AT, SIZE = 40, 36, 64  # struct sw_conn; three times from OPENED_AT on
TABLE = maps.mapped("conns", write=True)


def entries():
    return [at for at in range(0, len(TABLE) - SIZE + 1, SIZE) if TABLE[at + STATE_AT]]


def grow_old(seconds):
    """As if that long had passed, for every entry."""
    for at in entries():
        times = struct.unpack_from("3I", TABLE, at + OPENED_AT)
        struct.pack_into("3I", TABLE, at + OPENED_AT,
                         *((time - seconds) & 0xFFFFFFFF for time in times))


def serve(listener, count):
    """What comes is answered, connection by connection."""
    socks = [listener.accept()[0] for _ in range(count)]
    while True:
        for sock in socks:
            sock.sendall(sock.recv(1) or sys.exit())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("speak", help="a fifo")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--age", type=int, default=7500)
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (args.count + 100, args.count + 100))
    lab = hosts.Lab(families=(4,))
    if not os.fork():
        lab.listeners[4].settimeout(None)
        serve(lab.listeners[4], args.count)
    pairs = [hosts.Pair(lab, 4, 20000 + n, accept=False) for n in range(args.count)]
    hosts.eventually("entries", lambda: len(entries()) == args.count)
    grow_old(args.age)
    print("idle", len(pairs), flush=True)
    for _ in open(args.speak, encoding="ascii"):
        for pair in pairs:
            pair.c.sendall(b"a")
        for pair in pairs:
            check(pair.c.recv(1) == b"a", "answer", pair.sport)
        print("alive", len(pairs), flush=True)


main()
