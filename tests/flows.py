# SPDX-License-Identifier: GPL-2.0-or-later
"""Connections with something odd about their traffic or path, by real stacks."""
import json
import socket
import struct
import sys
import time

import hosts
import rawtcp
from hosts import Lab, Pair, check, eventually

CASES = {}
QUIET_S = 30


def case(function):
    CASES[function.__name__] = function
    return function


def keepalive(sock):
    """Every second; two without an answer end the connection."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1),
                          (socket.TCP_KEEPCNT, 2)):
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def fill(sock):
    """Until the peer's window and our buffer are full."""
    sock.setblocking(False)
    sent = 0
    while True:
        try:
            sent += sock.send(b"f" * 65536)
        except BlockingIOError:
            sock.setblocking(True)
            sock.settimeout(10)
            return sent


@case
def quiet():
    """Keepalives of either side, and probes of a window of nothing, for half a minute."""
    lab = Lab()
    idle, stuck = [], []
    for family in (4, 6):
        for n in range(4):
            pair = Pair(lab, family, 43000 + n)
            pair.echo()
            if n < 2:
                keepalive(pair.s if n else pair.c)
                idle.append(pair)
            else:
                source, sink = (pair.s, pair.c) if n == 3 else (pair.c, pair.s)
                stuck.append((fill(source), source, sink))
    time.sleep(QUIET_S)
    check(not lab.drops(), "dropped", lab.drops())
    for pair in idle:
        pair.echo()
    for sent, source, sink in stuck:
        got = 0
        while got < sent:
            part = sink.recv(1 << 20)
            check(part, "closed after %d of %d bytes" % (got, sent))
            got += len(part)
        sink.sendall(b"done")
        check(source.recv(10) == b"done", "no answer")
    states = {conn["state"] for conn in lab.conns().values()}
    check(states == {"ESTABLISHED"}, "states", states)
    check(not lab.drops(), "dropped", lab.drops())
    print(json.dumps({"seconds": QUIET_S, "connections": len(idle) + len(stuck)}))


def half_closed(lab, family, sport, back):
    pair = Pair(lab, family, sport)
    pair.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(40):
        pair.echo(b"o" * 50000)
    (pair.s if back else pair.c).shutdown(socket.SHUT_WR)
    for _ in range(20):
        pair.send(b"h" * 50000, back=not back)
    return pair


@case
def offloads():
    """Large segments or small ones, sums by the device or the host: states are the same."""
    lab = Lab()
    seen = []
    for number, on in enumerate(("on", "off", "on")):
        for host, dev in ((lab.client, "c0"), (lab.server, "s0")):
            host.run("ethtool", "-K", dev, "tx", on, "tso", on, "gso", on)
        pairs = [half_closed(lab, family, 44000 + 10 * number + back, bool(back))
                 for family in (4, 6) for back in (0, 1)]

        def look():
            conns = lab.conns()
            return [(conns[pair.key]["state"], conns[pair.key]["confirmed"],
                     conns[pair.key]["rst_seen"], conns[pair.key]["client_fin"] is not None,
                     conns[pair.key]["server_fin"] is not None) for pair in pairs]
        want = 2 * [("CLOSE-WAIT", True, False, True, False),
                    ("FIN-WAIT-2", True, False, False, True)]
        eventually("states with offloads %s: %s" % (on, look()), lambda: look() == want)
        seen.append(look())
        for pair in pairs:
            pair.c.close()
            pair.s.close()
    check(not lab.drops(), "dropped", lab.drops())
    print(json.dumps({"same": seen[0] == seen[1] == seen[2]}))


def icmp(lab, pair, kind, code, extra, seq):
    """As a router would send it about a segment of the server's."""
    client, server = lab.address[pair.family]
    if pair.family == 4:
        inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1500, 1, 0x4000, 64, 6, 0,
                            socket.inet_aton(server), socket.inet_aton(client))
    else:
        inner = struct.pack("!IHBB16s16s", 6 << 28, 1460, 6, 64,
                            socket.inet_pton(socket.AF_INET6, server),
                            socket.inet_pton(socket.AF_INET6, client))
    inner += struct.pack("!HHII", hosts.PORT, pair.sport, seq, 0) + b"\x50\x10" + bytes(6)
    message = struct.pack("!BBHI", kind, code, 0, extra) + inner
    lab.client.enter()
    if pair.family == 6:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    else:
        message = message[:2] + struct.pack("!H", rawtcp.checksum(message)) + message[4:]
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.sendto(message, (server, 0))
    sock.close()


def mtu_of(sock, family):
    return sock.getsockopt(*((socket.IPPROTO_IP, 14) if family == 4 else (socket.IPPROTO_IPV6, 24)))


@case
def path_mtu():
    """A narrow link behind a router is found; forged reports change nothing."""
    lab = Lab()
    lab.address = {4: ("10.8.0.1", "10.9.0.2"), 6: ("fd08::1", "fd09::2")}
    found = {}
    for family in (4, 6):
        pair = Pair(lab, family, 45000)
        lab.server.enter()
        wide = mtu_of(pair.s, family)
        seq = hosts.numbers(pair.s).snd_nxt
        for kind, code in ((3, 4), (3, 3)) if family == 4 else ((2, 0), (1, 4)):
            for off in (1 << 30, 1 << 31, -(1 << 20)):
                icmp(lab, pair, kind, code, 600 if code == 4 or kind == 2 else 0,
                     (seq + off) & 0xFFFFFFFF)
        time.sleep(0.2)
        check(mtu_of(pair.s, family) == wide, "a forged report was believed")
        pair.send(b"m" * 300000, back=True)
        pair.echo(b"m" * 5000)
        found[family] = mtu_of(pair.s, family)
        check(found[family] == 1300, "path MTU", found[family])
        check(lab.conns()[pair.key]["state"] == "ESTABLISHED", "state")
        pair.c.close()
        pair.s.close()
    check(not lab.drops(), "dropped", lab.drops())
    print(json.dumps({"path_mtu": found}))


def main():
    try:
        CASES[sys.argv[1]]()
    except (AssertionError, OSError) as error:
        sys.exit("%s: %s" % (sys.argv[1], error))


main()
