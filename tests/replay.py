# SPDX-License-Identifier: GPL-2.0-or-later
"""The same attack again, of each kind of packet the same number: --seed says which.

Each segment has a tuple of its own, but those forged into a connection that this opens first,
whose distance from what the host expects is the same in each run. Not here: what is expected.
"""
import argparse
import ipaddress
import random
import sys
import time

import rawtcp
from rawtcp import ACK, FIN, PSH, RST, SYN, URG

LINUX = dict(mss=1460, sack=True, ws=7)
STRAY = [ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, SYN | ACK, 0, SYN | FIN, SYN | RST, FIN,
         FIN | PSH | URG, SYN | FIN | RST | PSH | ACK | URG]


def source(rng, version):
    """Somewhere that is neither ours nor refused for its address."""
    if version == 4:
        return ipaddress.ip_address(bytes([rng.randrange(20, 99), *rng.randbytes(2),
                                           rng.randrange(1, 255)]))
    return ipaddress.ip_address(b"\x26\x10" + rng.randbytes(14))


def spoil(packet, at):
    """One bit wrong at `at`, which no checksum makes good."""
    return packet[:at] + bytes([packet[at] ^ 0x40]) + packet[at + 1:]


def one(rng, wire, dst, port):
    """A packet of no connection."""
    kind = rng.randrange(8)
    sport = 0 if kind == 7 else rng.randrange(1024, 65536)
    conn = rawtcp.Conn(wire, source(rng, dst.version), dst, sport, port, rng.getrandbits(32))
    header = 20 if dst.version == 4 else 40
    data = rng.randbytes(rng.choice([0, 0, 1, 400]))
    options = rawtcp.pack_options(ts=(rng.getrandbits(32), 0), **LINUX)
    if kind < 3:
        return conn.build(SYN, conn.isn, 0, data, options if kind else b"")
    if kind < 6:
        return conn.build(rng.choice(STRAY), conn.isn, rng.getrandbits(32), data)
    if kind == 6:  # the checksum of TCP and, of IPv4, that of its header
        return spoil(conn.build(SYN, conn.isn, options=options),
                     header + 16 if rng.random() < 0.5 or dst.version == 6 else 10)
    return conn.build(SYN, conn.isn, options=options)


def forge(rng, conn):
    """Beyond what the host expects of this connection."""
    flags, data = rng.choice([(RST, b""), (RST | ACK, b""), (ACK, b"forged"), (SYN | ACK, b""),
                              (FIN | ACK, b"")])
    far = rng.randrange(1 << 28, 1 << 30)
    return conn.build(flags, conn.snd_nxt + far, conn.rcv_nxt + (far if flags & SYN else 0), data)


def opened(wire, src, dst, sport, port):
    conn = rawtcp.Conn(wire, src, dst, sport, port)
    if not conn.syn(mss=1460):
        sys.exit("no SYN-ACK")
    conn.push()
    conn.push(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    if not conn.take(want=lambda s: s.data):
        sys.exit("no answer")
    conn.push()
    return conn


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=lambda word: int(word, 0), required=True)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--dev", default="c0")
    parser.add_argument("--smac", required=True)
    parser.add_argument("--dmac", required=True)
    parser.add_argument("--src", required=True)
    parser.add_argument("--dst", required=True)
    parser.add_argument("--port", type=int, default=80)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    dst = ipaddress.ip_address(args.dst)
    wire = rawtcp.Wire(args.dev, args.smac, args.dmac)
    conn = opened(wire, args.src, dst, 40000 + args.seed % 1000, args.port)
    start = time.monotonic()
    for n in range(args.count):
        packet = forge(rng, conn) if n % 8 == 7 else one(rng, wire, dst, args.port)
        wire.send(packet, 0x0800 if dst.version == 4 else 0x86DD)
        time.sleep(max(0, start + (n + 1) / args.rate - time.monotonic()))
    # and it lives
    conn.push(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    if not conn.take(want=lambda s: s.data):
        sys.exit("the connection was harmed")
    conn.push()
    conn.reset()
    print(args.count)


if __name__ == "__main__":
    main()
