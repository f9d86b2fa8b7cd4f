# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel TCP clients for the tests; each prints one JSON object, or a line and waits."""
import argparse
import errno
import hashlib
import json
import random
import socket
import sys
import threading
import time

MSG_FASTOPEN = 0x20000000


def connect(args, sport=0):
    family = socket.AF_INET6 if ":" in args.dst else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, 262 if args.mptcp else 0)
    sock.settimeout(args.timeout)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if args.maxseg:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, args.maxseg)
    if args.cc:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, args.cc.encode())
    if sport or args.bind:
        sock.bind((args.bind, sport))
    sock.connect((args.dst, args.port))
    return sock


def echo(sock, data):
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        part = sock.recv(65536)
        if not part:
            raise OSError("closed after %d of %d bytes" % (len(got), len(data)))
        got += part
    if got != data:
        raise OSError("echo differs")


def hold(args):
    """Connect, exchange some bytes, keep the connection for --seconds."""
    sock = connect(args, args.sport)
    echo(sock, b"x" * args.bytes)
    print("connected %d" % sock.getsockname()[1], flush=True)
    time.sleep(args.seconds)
    sock.close()


def banner(args):
    """How long until a server that speaks first is heard."""
    start = time.monotonic()
    sock = connect(args, args.sport)
    connected = time.monotonic()
    if args.keepalive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, args.keepalive)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, args.keepalive)
    heard = sock.recv(4096)
    print(json.dumps({"heard": heard.decode(), "connect_s": round(connected - start, 3),
                      "banner_s": round(time.monotonic() - start, 3)}))


def connect_again(args):
    """The client's own socket is in LAST-ACK for a moment yet."""
    for _ in range(1000):
        try:
            return connect(args, args.sport)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            time.sleep(0.001)
    raise OSError("the port stays taken")


def again(args):
    """Many connections from one port, which the server closes first."""
    worst, retried = 0, 0
    for number in range(args.count):
        start = time.monotonic()
        sock = connect_again(args)
        sock.sendall(b"%d" % number)
        got = b""
        while part := sock.recv(4096):
            got += part
        if got != b"%d" % number:
            raise OSError("connection %d: got %r" % (number, got))
        sock.close()
        took = time.monotonic() - start
        worst, retried = max(worst, took), retried + (took > 0.9)
    print(json.dumps({"connections": args.count, "worst_s": round(worst, 3),
                      "retried": retried}))


def many(args):
    """Connections one after the other; each echoes. Counts, never gives up."""
    good, took = 0, []
    for _ in range(args.count):
        start = time.monotonic()
        try:
            sock = connect(args)
            echo(sock, b"x" * args.bytes)
            sock.close()
            good += 1
        except OSError as error:
            print(error, file=sys.stderr)
        took.append(time.monotonic() - start)
    took.sort()
    print(json.dumps({"tried": args.count, "ok": good, "p50_s": round(took[len(took) // 2], 4),
                      "worst_s": round(took[-1], 3)}))


def fastopen(args):
    """Data in the SYN if a Fast Open cookie is cached; says how long it took."""
    family = socket.AF_INET6 if ":" in args.dst else socket.AF_INET
    took = []
    for _ in range(args.count):
        start = time.monotonic()
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.sendto(b"hello", MSG_FASTOPEN, (args.dst, args.port))
        sock.settimeout(args.timeout)
        got = sock.recv(100)
        if got != b"hello":
            raise OSError("got %r" % got)
        sock.close()
        took.append(time.monotonic() - start)
    print(json.dumps({"connections": args.count, "worst_s": round(max(took), 3)}))


def fill(args):
    """Open connections and leave them open: how many complete within the timeout."""
    socks, refused = [], 0
    for _ in range(args.count):
        try:
            socks.append(connect(args))
        except OSError:
            refused += 1
    print(json.dumps({"connected": len(socks), "failed": refused}), flush=True)
    time.sleep(args.seconds)


def keys(args):
    """A line every 50 ms, each waited for, for --seconds; then closes."""
    sock = connect(args, args.sport)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    echo(sock, b"login")
    print("connected %d" % sock.getsockname()[1], flush=True)
    end, worst, lines = time.monotonic() + args.seconds, 0, 0
    while time.monotonic() < end:
        start = time.monotonic()
        echo(sock, b"line %d\n" % lines)
        worst, lines = max(worst, time.monotonic() - start), lines + 1
        time.sleep(0.05)
    sock.close()
    print(json.dumps({"lines": lines, "worst_ms": round(worst * 1000, 1)}))


def transfer(args):
    """Both ways at once: --bytes are sent and echoed; then idle for --seconds, then the end."""
    sock = connect(args, args.sport)
    data = random.randbytes(args.bytes)
    start = time.monotonic()
    sender = threading.Thread(target=sock.sendall, args=(data,))
    sender.start()
    got = hashlib.sha256()
    left = args.bytes
    while left:
        part = sock.recv(1 << 16)
        if not part:
            raise OSError("closed with %d bytes to come" % left)
        got.update(part)
        left -= len(part)
    sender.join()
    if got.digest() != hashlib.sha256(data).digest():
        raise OSError("echo differs")
    took = time.monotonic() - start
    print(json.dumps({"bytes": args.bytes, "seconds": round(took, 2),
                      "mbit_s": round(args.bytes * 8 / took / 1e6, 1)}), flush=True)
    time.sleep(args.seconds)
    sock.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=["hold", "banner", "again", "many", "fastopen", "fill",
                                        "keys", "transfer"])
    parser.add_argument("dst")
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--sport", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--timeout", type=float, default=5)
    parser.add_argument("--maxseg", type=int)
    parser.add_argument("--keepalive", type=int)
    parser.add_argument("--cc")
    parser.add_argument("--bind", default="", help="address to come from")
    parser.add_argument("--mptcp", action="store_true")
    args = parser.parse_args()
    try:
        globals()[args.job](args)
    except OSError as error:
        print("%s %s: %s" % (args.job, args.dst, error), file=sys.stderr)
        sys.exit(1)


main()
