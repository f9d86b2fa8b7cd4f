# SPDX-License-Identifier: GPL-2.0-or-later
"""Both ends of connections in one process: real sockets of the namespaces client and server,
a gate that holds back segments on the client's side, and what guard and kernel say of each
connection. Not here: what is tested; segments made by hand (rawtcp.py).
"""
import collections
import ctypes
import json
import os
import socket
import struct
import subprocess
import time

CLONE_NEWNET = 0x40000000
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21
REPAIR_ON, REPAIR_OFF_NO_WP, RECV_QUEUE, SEND_QUEUE = 1, -1, 1, 2
PORT = 80
# as ss names what the guard does
STATES = {"ESTAB": "ESTABLISHED", "SYN-RECV": "SYN-RECEIVED", "SYN-SENT": "SYN-SENT",
          "FIN-WAIT-1": "FIN-WAIT-1", "FIN-WAIT-2": "FIN-WAIT-2", "CLOSE-WAIT": "CLOSE-WAIT",
          "CLOSING": "CLOSING", "LAST-ACK": "LAST-ACK", "TIME-WAIT": "TIME-WAIT"}

libc = ctypes.CDLL(None, use_errno=True)


def check(ok, what, *seen):
    if not ok:
        raise AssertionError(what + "".join("; %s" % (item,) for item in seen))


def eventually(what, test, seconds=3.0, gap=0.01):
    """test() returns something true in time, which is returned; or says what it saw last."""
    end = time.monotonic() + seconds * (5 if os.environ.get("SW_SLOW") else 1)
    while not (seen := test()):
        check(time.monotonic() < end, what)
        time.sleep(gap)
    return seen


class Host:
    """One namespace. Sockets belong to where they are made, whoever uses them."""

    def __init__(self, name):
        self.name, self.path = name, "/run/netns/" + name
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def enter(self):
        check(not libc.setns(self.fd, CLONE_NEWNET), "setns", os.strerror(ctypes.get_errno()))

    def socket(self, family):
        self.enter()
        sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET)
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(5)
        return sock

    def listener(self, family, port=PORT, backlog=4096):
        sock = self.socket(family)
        sock.bind(("", port))
        sock.listen(backlog)
        return sock

    def run(self, *words, stdin=None):
        done = subprocess.run(["nsenter", "--net=" + self.path, *words], input=stdin, text=True,
                              capture_output=True, check=False)
        check(done.returncode == 0, " ".join(words), done.stderr, done.stdout)
        return done.stdout

    def counter(self, name):
        """Of /proc/net/snmp, Tcp."""
        lines = [line.split() for line in self.run("cat", "/proc/net/snmp").splitlines()
                 if line.startswith("Tcp:")]
        return int(lines[1][lines[0].index(name)])

    def sockets(self, port=PORT):
        """{(peer address, peer port): state} of the connections of a port."""
        found = {}
        for line in self.run("ss", "-tanHO", "sport", "=", ":%d" % port).splitlines():
            state, _, _, _, peer = line.split()[:5]
            if state != "LISTEN":
                address, _, number = peer.rpartition(":")
                address = address.strip("[]").removeprefix("::ffff:")
                found[address, int(number)] = STATES[state]
        return found


class Lab:
    def __init__(self, families=(4, 6)):
        self.client, self.server = Host("client"), Host("server")
        self.address = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd09::1", "fd09::2")}
        self.listeners = {family: self.server.listener(family) for family in families}

    def guard(self, *words):
        return self.server.run(os.environ["SW_BIN"], *words)

    def conns(self, port=PORT):
        """{(client address, client port): what `conns` says} of a port of the server"""
        found = {}
        for conn in json.loads(self.guard("conns", "-j")):
            if not conn["server"].endswith(":%d" % port):
                continue
            address, _, number = conn["client"].rpartition(":")
            found[address.strip("[]"), int(number)] = conn
        return found

    def gate(self, out="", in_=""):
        """Rules of nft, of what leaves and reaches the client: each ends in `drop` here."""
        table = "table inet gate%d" % os.getpid()
        rules = ["add " + table, "delete " + table]
        if out or in_:
            rules.append(table + " {")
            for hook, match in (("output", out), ("input", in_)):
                if match:
                    rules.append("chain %s { type filter hook %s priority 0; %s drop; }" % (
                        hook, hook, match))
            rules.append("}")
        self.client.run("nft", "-f", "-", stdin="\n".join(rules) + "\n")

    def hold(self, pair, out=False, in_=False):
        self.gate("tcp sport %d" % pair.sport if out else "",
                  "tcp dport %d" % pair.sport if in_ else "")

    def drops(self):
        """{reason: packets} of what the guard dropped."""
        return {row["reason"]: row["packets"] for row in json.loads(self.guard("stats", "-j"))
                if row["verdict"] == "drop" and row["packets"]}


class Pair:
    """One connection from client to server, both ends."""

    def __init__(self, lab, family, sport, accept=True, port=PORT):
        self.lab, self.family, self.sport = lab, family, sport
        self.key = (lab.address[family][0], sport)
        self.c = lab.client.socket(family)
        self.c.bind(("", sport))
        self.c.connect((lab.address[family][1], port))
        self.s = None
        if accept and port == PORT:
            self.accept(lab.listeners[family])

    def accept(self, listener):
        self.s, peer = listener.accept()
        self.s.settimeout(5)
        check(peer[1] == self.sport, "accepted another", peer)

    def send(self, data, back=False):
        """From client to server, or back, to the end."""
        source, sink = (self.s, self.c) if back else (self.c, self.s)
        source.sendall(data)
        got = b""
        while len(got) < len(data):
            part = sink.recv(65536)
            check(part, "closed after %d of %d bytes" % (len(got), len(data)))
            got += part
        check(got == data, "other data than sent")

    def echo(self, data=b"x" * 1000):
        self.send(data)
        self.send(data, back=True)


def hard(sock):
    """close() resets."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def repair(sock, on):
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, REPAIR_ON if on else REPAIR_OFF_NO_WP)


def vanish(sock):
    """The socket is gone; its peer hears nothing."""
    repair(sock, True)
    sock.close()


Numbers = collections.namedtuple("Numbers", "rcv_nxt snd_nxt")


def numbers(sock):
    """What an idle socket expects next and sends next."""
    found = []
    repair(sock, True)
    for queue in (RECV_QUEUE, SEND_QUEUE):
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, queue)
        found.append(sock.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xFFFFFFFF)
    repair(sock, False)
    return Numbers(*found)


def retransmitted(sock):
    """tcpi_total_retrans"""
    return struct.unpack_from("I", sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104),
                              100)[0]
