# SPDX-License-Identifier: GPL-2.0-or-later
"""Each way a connection opens and closes, by real stacks: after each step the guard's state of
it is that of the server's socket, as ss says it, and the one the step must lead to.
"""
import errno
import json
import socket
import sys
import time

import hosts
from hosts import PORT, Pair, check, eventually, hard

HOST_SYNS = 81  # the service whose SYNs the host answers
CASES = []


def case(function):
    CASES.append(function)
    return function


class Walk:
    """One case in one family."""
    sport = 41000
    host_port = {4: 1000, 6: 1050}
    steps = 0

    def __init__(self, lab, family):
        self.lab, self.family, self.port = lab, family, PORT

    def open(self):
        pair = self.pair = Pair(self.lab, self.family, self.next_port())
        self.at("ESTABLISHED", pair)
        pair.echo()
        return pair

    def next_port(self):
        Walk.sport += 1
        return Walk.sport

    def at(self, state, pair=None, key=None):
        """Guard and kernel agree on `state`."""
        key = key or (pair or self.pair).key
        seen = []

        def agree():
            conn = self.lab.conns(self.port).get(key)
            mine = conn["state"] if conn else "CLOSED"
            host = self.lab.server.sockets(self.port).get(key, "CLOSED")
            seen[:] = [mine, host]
            return mine == host == state
        try:
            eventually("state", agree, 4)
        except AssertionError:
            check(False, "expected %s" % state, "guard %s, ss %s" % tuple(seen))
        Walk.steps += 1

    def call(self, peer_port):
        """The host's own connection, from the next of its guarded ports without listener."""
        Walk.host_port[self.family] += 1
        self.port = Walk.host_port[self.family]
        sock = self.lab.server.socket(self.family)
        sock.bind(("", self.port))
        sock.setblocking(False)
        sock.connect_ex((self.lab.address[self.family][0], peer_port))
        return sock

    def shut(self, sock):
        sock.shutdown(1)

    def release(self):
        self.lab.gate()


@case
def client_closes_first(w):
    pair = w.open()
    w.shut(pair.c)
    w.at("CLOSE-WAIT")
    w.lab.hold(pair, out=True)
    pair.s.close()
    w.at("LAST-ACK")
    w.release()  # the FIN is sent again, and acknowledged this time
    w.at("CLOSED")


@case
def server_closes_first(w):
    pair = w.open()
    w.lab.hold(pair, out=True)
    w.shut(pair.s)
    w.at("FIN-WAIT-1")
    w.release()
    w.at("FIN-WAIT-2")
    pair.c.close()
    w.at("TIME-WAIT")


@case
def at_once_without_gate(w):
    """The usual close of a web server, nothing held back: only the end can be seen."""
    pair = w.open()
    pair.s.close()
    pair.c.close()
    w.at("TIME-WAIT")
    pair = w.open()
    pair.c.close()
    pair.s.close()
    w.at("CLOSED")


@case
def simultaneous_close(w):
    pair = w.open()
    w.lab.hold(pair, in_=True)  # the client hears nothing of the server's FIN
    w.shut(pair.s)
    w.at("FIN-WAIT-1")
    w.shut(pair.c)
    w.at("CLOSING")
    w.release()
    w.at("TIME-WAIT")


@case
def simultaneous_close_ack_lost(w):
    """The last segment, which moves CLOSING on, is lost at first."""
    pair = w.open()
    w.lab.hold(pair, in_=True)
    w.shut(pair.s)
    w.shut(pair.c)
    w.at("CLOSING")
    w.lab.hold(pair, out=True)
    time.sleep(0.6)  # the server's FIN is sent again; its ACK does not come
    w.at("CLOSING")
    w.release()
    w.at("TIME-WAIT")


@case
def last_ack_lost_in_time_wait(w):
    pair = w.open()
    w.shut(pair.s)
    w.at("FIN-WAIT-2")
    w.lab.hold(pair, in_=True)
    w.shut(pair.c)
    w.at("TIME-WAIT")
    time.sleep(0.5)  # the client's FIN again, and again
    w.at("TIME-WAIT")
    w.release()
    eventually("the client's end closes", lambda: pair.c.getsockopt(6, 11, 1) == b"\x07", 4)
    w.at("TIME-WAIT")


@case
def reset_by_client(w):
    pair = w.open()
    hard(pair.c)
    pair.c.close()
    w.at("CLOSED")
    pair = w.open()
    w.shut(pair.s)
    w.at("FIN-WAIT-2")
    hard(pair.c)
    pair.c.close()
    w.at("CLOSED")


@case
def reset_by_server(w):
    pair = w.open()
    hard(pair.s)
    pair.s.close()
    w.at("CLOSED")
    pair = w.open()
    w.shut(pair.c)
    w.at("CLOSE-WAIT")
    hard(pair.s)
    pair.s.close()
    w.at("CLOSED")
    pair = w.open()
    pair.c.sendall(b"never read")
    eventually("data at the server", lambda: pair.s.recv(1, 2))  # MSG_PEEK
    pair.s.close()  # with data unread: Linux resets
    w.at("CLOSED")


@case
def half_closed_by_client(w):
    """The server goes on sending for a while, then the last FIN ends it."""
    pair = w.open()
    w.shut(pair.c)
    w.at("CLOSE-WAIT")
    for _ in range(5):
        pair.send(b"s" * 20000, back=True)
        time.sleep(0.05)
    w.at("CLOSE-WAIT")
    pair.s.close()
    w.at("CLOSED")


@case
def half_closed_by_server(w):
    pair = w.open()
    w.shut(pair.s)
    w.at("FIN-WAIT-2")
    for _ in range(5):
        pair.send(b"c" * 20000)
        time.sleep(0.05)
    w.at("FIN-WAIT-2")
    pair.c.close()
    w.at("TIME-WAIT")


@case
def fin_with_data(w):
    """Data and FIN leave together, by either side."""
    for back, state, end in ((False, "CLOSE-WAIT", "CLOSED"), (True, "FIN-WAIT-2", "TIME-WAIT")):
        pair = w.open()
        source, sink = (pair.s, pair.c) if back else (pair.c, pair.s)
        source.setsockopt(6, 3, 1)  # TCP_CORK: what is sent waits for the FIN
        source.sendall(b"the end")
        w.shut(source)
        check(sink.recv(100) == b"the end" and not sink.recv(100), "data before the FIN")
        w.at(state)
        sink.close()
        w.at(end)


@case
def opened_by_the_host_s_own_syn_queue(w):
    """Peace time: the host answers the SYN."""
    w.port, sport = HOST_SYNS, w.next_port()
    listener = w.lab.server.listener(w.family, HOST_SYNS)
    w.lab.gate("tcp sport %d tcp flags & syn == 0" % sport)
    pair = w.pair = Pair(w.lab, w.family, sport, port=HOST_SYNS)
    w.at("SYN-RECEIVED")
    check(w.lab.conns(w.port)[pair.key]["table"] == "half-open", "table")
    w.release()
    pair.c.sendall(b"x" * 10)
    pair.accept(listener)
    w.at("ESTABLISHED")
    check(w.lab.conns(w.port)[pair.key]["table"] == "proven", "table")
    hard(pair.c)
    pair.c.close()
    w.at("CLOSED")


@case
def host_connects(w):
    lab, peer = w.lab, w.next_port()
    key = (lab.address[w.family][0], peer)
    listener = lab.client.listener(w.family, peer)
    for first in ("host", "peer"):
        lab.gate("tcp sport %d" % peer)
        ours = w.call(peer)
        w.at("SYN-SENT", key=key)
        check(lab.conns(w.port)[key]["outbound"], "outbound")
        w.release()
        theirs, _ = listener.accept()
        w.at("ESTABLISHED", key=key)
        (ours if first == "host" else theirs).shutdown(1)
        w.at("FIN-WAIT-2" if first == "host" else "CLOSE-WAIT", key=key)
        (theirs if first == "host" else ours).close()
        w.at("TIME-WAIT" if first == "host" else "CLOSED", key=key)
    listener.close()


@case
def host_is_refused(w):
    """The RST that answers our SYN."""
    peer = w.next_port()
    ours = w.call(peer)
    w.at("CLOSED", key=(w.lab.address[w.family][0], peer))
    check(ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED, "not refused")


@case
def crossing_syns(w):
    """Both connect to each other at once (RFC 9293 3.5)."""
    peer = w.next_port()
    key = (w.lab.address[w.family][0], peer)
    w.lab.gate("tcp sport %d" % peer, "tcp dport %d" % peer)
    ours = w.call(peer)
    w.at("SYN-SENT", key=key)
    theirs = w.lab.client.socket(w.family)
    theirs.bind(("", peer))
    theirs.setblocking(False)
    theirs.connect_ex((w.lab.address[w.family][1], w.port))
    w.release()
    eventually("both connect", lambda: w.lab.server.sockets(w.port).get(key) == "ESTABLISHED")
    theirs.settimeout(5)
    theirs.sendall(b"crossed")
    ours.settimeout(5)
    check(ours.recv(100) == b"crossed", "data over crossed SYNs")
    w.at("ESTABLISHED", key=key)
    theirs.close()
    w.at("CLOSE-WAIT", key=key)
    ours.close()
    w.at("CLOSED", key=key)


def main():
    """states.py 4|6 [CASE]"""
    family, wanted = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    lab = hosts.Lab((family,))
    for run in CASES:
        if wanted not in run.__name__:
            continue
        try:
            run(Walk(lab, family))
        except (AssertionError, OSError) as error:
            sys.exit("%s over IPv%d: %s" % (run.__name__, family, error))
    print(json.dumps({"cases": len(CASES), "steps": Walk.steps}))


main()
