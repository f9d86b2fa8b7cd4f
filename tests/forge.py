# SPDX-License-Identifier: GPL-2.0-or-later
"""Segments forged with the true tuple of a live connection, around its window: the connection
goes on, and the guard's idea of it stays what the host's is.
"""
import itertools
import json
import socket
import struct
import sys
import time

import hosts
import rawtcp
from hosts import Lab, Pair, check, eventually, numbers
from rawtcp import ACK, FIN, PSH, RST, SYN

HALF, LONG_AGO = 1 << 31, 1 << 30
# acknowledgements the host refuses (RFC 5961 5.2), from what it has sent
BAD_ACKS = (1000, LONG_AGO, HALF - 1, -HALF, -LONG_AGO - 1000, -LONG_AGO // 2, -(1 << 24))


def window_of(sock):
    """tcpi_rcv_wnd"""
    return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 240),
                              232)[0]


class Forger:
    def __init__(self, lab, pair, state):
        self.lab, self.pair, self.state = lab, pair, state
        lab.client.enter()
        self.wire = rawtcp.Wire("c0", "02:00:00:00:09:01", "02:00:00:00:09:02")
        client, server = lab.address[pair.family]
        self.conn = rawtcp.Conn(self.wire, client, server, pair.sport, hosts.PORT)
        self.n, self.window = numbers(pair.s), window_of(pair.s)
        self.sent = 0

    def send(self, flags, seq, ack=0, data=b""):
        self.conn.send_raw(flags, self.n.rcv_nxt + seq, self.n.snd_nxt + ack, data)
        self.sent += 1

    def places(self):
        """Left of the window, its left edge, middle, right edge, right of it."""
        return (-2 * self.window, -1), (1,), (self.window // 2,), (self.window - 1,), (
            self.window + 1, self.window + (1 << 20), HALF - 1)

    def resets(self):
        for seq in itertools.chain(*self.places()):
            if seq == -1 and self.state == "CLOSE-WAIT":
                continue  # Linux takes it, for stacks that do not count their FIN
            for flags in (RST, RST | ACK):
                self.send(flags, seq)

    def syns(self):
        for seq in itertools.chain((0,), *self.places()):
            for flags in (SYN, SYN | ACK):
                self.send(flags, seq)

    def fins(self):
        for seq in itertools.chain((0,), *self.places()):
            for ack in BAD_ACKS:
                self.send(FIN | ACK, seq, ack)

    def data(self):
        for seq in itertools.chain((0,), *self.places()):
            for ack in BAD_ACKS:
                self.send(ACK | PSH, seq, ack, b"forged")

    def right_acks(self):
        """Nothing but the ACK field is right: no stack takes these either."""
        for seq in (-2 * self.window, self.window + 1, self.window + (1 << 20), HALF - 1):
            self.send(FIN | ACK, seq)
            self.send(ACK | PSH, seq, 0, b"forged")


def settle(lab, pair, state, what):
    seen = []

    def agree():
        conn = lab.conns().get(pair.key)
        seen[:] = [conn and conn["state"], lab.server.sockets().get(pair.key)]
        return seen == [state, state]
    try:
        eventually(what, agree, 1)
    except AssertionError:
        check(False, "%s in %s over IPv%d" % (what, state, pair.family),
              "guard %s, ss %s" % tuple(seen))


def use(pair, state):
    if state == "ESTABLISHED":
        pair.echo(b"e" * 30000)
    elif state == "FIN-WAIT-2":
        pair.send(b"c" * 30000)
    elif state == "CLOSE-WAIT":
        pair.send(b"s" * 30000, back=True)


def attack(lab, family, sport, state):
    pair = Pair(lab, family, sport)
    pair.echo(b"e" * 3000)
    sent = 0
    if state == "FIN-WAIT-2":
        pair.s.shutdown(socket.SHUT_WR)
    elif state == "CLOSE-WAIT":
        pair.c.shutdown(socket.SHUT_WR)
    settle(lab, pair, state, "before")
    for what in ("resets", "syns", "fins", "data", "right_acks"):
        time.sleep(0.05)
        forger = Forger(lab, pair, state)
        getattr(forger, what)()
        settle(lab, pair, state, "forged " + what)
        use(pair, state)
        settle(lab, pair, state, "traffic after forged " + what)
        sent += forger.sent
    pair.c.close()
    pair.s.close()
    return sent


def time_wait(lab, family, sport):
    """RST, FIN and old SYNs end no TIME-WAIT (RFC 1337)."""
    pair = Pair(lab, family, sport)
    pair.echo()
    forger = Forger(lab, pair, "TIME-WAIT")
    pair.s.close()
    pair.c.close()
    settle(lab, pair, "TIME-WAIT", "before")
    for seq in itertools.chain((0, 1), *forger.places()):
        forger.send(RST, seq)
        forger.send(RST | ACK, seq, 1)
        forger.send(FIN | ACK, seq, 1)
    settle(lab, pair, "TIME-WAIT", "forged segments")
    return forger.sent


def main():
    lab, sent = Lab(), 0
    try:
        for family in (4, 6):
            for n, state in enumerate(("ESTABLISHED", "FIN-WAIT-2", "CLOSE-WAIT")):
                sent += attack(lab, family, 46000 + n, state)
            sent += time_wait(lab, family, 46010)
    except (AssertionError, OSError) as error:
        sys.exit("forge: %s" % error)
    print(json.dumps({"forged": sent}))


main()
