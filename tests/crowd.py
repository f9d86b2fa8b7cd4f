# SPDX-License-Identifier: GPL-2.0-or-later
"""A thousand connections in every state a server's can be in, with traffic on them, while the
guard comes, goes, comes back and forgets. With --without the same, and no guard. Prints what
became of them; what a run must not show more of than a run without is for the caller to judge.
"""
import argparse
import json
import resource
import socket
import sys
import threading
import time

import hosts
import maps
from hosts import PORT, Pair, check, eventually, retransmitted

SHARES = {"ESTABLISHED": 40, "FIN-WAIT-2": 12, "CLOSE-WAIT": 12, "TIME-WAIT": 12,
          "SYN-RECEIVED": 6, "LAST-ACK": 6, "FIN-WAIT-1": 6, "CLOSING": 6}
# held back by the gate, by the client's port: what it sends, and what it is sent
MUTE, DEAF = 50000, 54000


class Crowd:
    def __init__(self, lab, count):
        self.lab = lab
        self.of = {state: [] for state in SHARES}
        self.errors = []
        self.rounds = 0
        self.running = threading.Event()
        self.over = False
        self.lock = threading.Lock()
        self.build(count)
        self.thread = threading.Thread(target=self.talk)
        self.running.set()
        self.thread.start()

    def ports(self, state, count):
        base = {"SYN-RECEIVED": MUTE, "LAST-ACK": MUTE + 1000, "FIN-WAIT-1": MUTE + 2000,
                "CLOSING": DEAF}.get(state, 20000 + 1000 * list(SHARES).index(state))
        return [(4 + 2 * (n % 2), base + n // 2) for n in range(count * SHARES[state] // 100)]

    def build(self, count):
        for state, pairs in self.of.items():
            if state != "SYN-RECEIVED":
                pairs += [Pair(self.lab, *port) for port in self.ports(state, count)]
        for pair in self.of["FIN-WAIT-2"]:
            pair.s.shutdown(socket.SHUT_WR)
        for pair in self.of["CLOSE-WAIT"] + self.of["LAST-ACK"]:
            pair.c.shutdown(socket.SHUT_WR)
        for pair in self.of["TIME-WAIT"]:
            pair.s.close()
            pair.c.close()
        time.sleep(0.2)
        self.lab.gate("tcp sport %d-%d tcp flags & syn == 0" % (MUTE, MUTE + 2999),
                      "tcp dport %d-%d" % (DEAF, DEAF + 999))
        for port in self.ports("SYN-RECEIVED", count):
            pair = Pair(self.lab, *port, accept=False)
            pair.c.sendall(b"first words")
            self.of["SYN-RECEIVED"].append(pair)
        for pair in self.of["LAST-ACK"]:
            pair.s.close()
        for pair in self.of["FIN-WAIT-1"] + self.of["CLOSING"]:
            pair.s.shutdown(socket.SHUT_WR)
        for pair in self.of["CLOSING"]:
            pair.c.shutdown(socket.SHUT_WR)

    def talking(self):
        return self.of["ESTABLISHED"] + self.of["FIN-WAIT-2"] + self.of["CLOSE-WAIT"]

    def talk(self):
        """Round after round over all that may still send; echo where both sides may."""
        while not self.over:
            self.running.wait()
            with self.lock:
                for state in ("ESTABLISHED", "FIN-WAIT-2", "CLOSE-WAIT"):
                    for pair in self.of[state]:
                        try:
                            if state != "CLOSE-WAIT":
                                pair.send(b"c" * 300)
                            if state != "FIN-WAIT-2":
                                pair.send(b"s" * 300, back=True)
                        except (OSError, AssertionError) as error:
                            self.errors.append("%s, port %d: %s" % (state, pair.sport, error))
                self.rounds += 1
            time.sleep(0.02)

    def agree(self):
        """Guard and kernel name the same connections, in the same states."""
        mine = {key: conn["state"] for key, conn in self.lab.conns().items()
                if conn["state"] != "CLOSED"}
        host = self.lab.server.sockets()
        self.apart = [(key, mine.get(key), host.get(key)) for key in mine.keys() | host.keys()
                      if mine.get(key) != host.get(key)]
        return not self.apart

    def must_agree(self, when):
        try:
            eventually(when, self.agree, 5, 0.1)
        except AssertionError:
            check(False, "%s: guard and ss differ in %d" % (when, len(self.apart)),
                  self.apart[:5])

    def release(self):
        """The gate opens: all that was held back goes on to its end."""
        self.lab.gate()
        for pair in self.of["SYN-RECEIVED"]:
            pair.c.settimeout(10)
        for number in range(len(self.of["SYN-RECEIVED"])):
            listener = self.lab.listeners[4 + 2 * (number % 2)]
            listener.settimeout(10)
            sock, peer = listener.accept()
            sock.settimeout(10)
            pair = next(p for p in self.of["SYN-RECEIVED"] if p.sport == peer[1] and not p.s and
                        (":" in peer[0].removeprefix("::ffff:")) == (p.family == 6))
            pair.s = sock
            check(sock.recv(100) == b"first words", "first words")
            pair.send(b"welcome", back=True)
        for pair in self.of["FIN-WAIT-1"] + self.of["CLOSING"]:
            check(pair.c.recv(10) == b"", "the server's FIN")
            pair.c.close()
        eventually("LAST-ACK and CLOSING end", lambda: not {"LAST-ACK", "CLOSING", "FIN-WAIT-1"} &
                   set(self.lab.server.sockets().values()), 12, 0.1)

    def finish(self):
        self.over = True
        self.running.set()
        self.thread.join()
        for pair in self.talking() + self.of["SYN-RECEIVED"]:
            pair.c.close()
            check(pair in self.of["CLOSE-WAIT"] or pair.s.recv(10) == b"", "the client's FIN")
            pair.s.close()


def attach(lab):
    lab.guard("attach", "s0")
    lab.guard("service", "add", "any", str(PORT), "--mode", "always")


def counters(lab, name):
    return {host.name: host.counter(name) for host in (lab.client, lab.server)}


def since(lab, name, before):
    return {host: value - before[host] for host, value in counters(lab, name).items()}


def come_and_go(lab, crowd, without):
    """The guard's part of the story, with traffic all along but where the tables are emptied."""
    if without:
        time.sleep(3)
        return
    lab.guard("detach", "--all")
    time.sleep(0.5)
    attach(lab)
    crowd.must_agree("attached again")
    time.sleep(0.5)
    for words in (("adopt",), ()):
        with crowd.lock:
            maps.flush()
            if words:
                lab.guard(*words)
        if words:
            crowd.must_agree("adopted after a flush")
        time.sleep(0.5)
    # without adopt what speaks is learnt, and nothing that does not speak is needed
    talking = {pair.key for pair in crowd.talking()}
    eventually("learnt after a flush", lambda: talking <= set(lab.conns()), 5, 0.1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--without", action="store_true", help="no guard")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    lab = hosts.Lab()
    crowd = Crowd(lab, args.count)
    try:
        resets = counters(lab, "OutRsts")
        time.sleep(0.5)
        if not args.without:
            attach(lab)
            crowd.must_agree("attached")
        seen = {}
        for state in lab.server.sockets().values():
            seen[state] = seen.get(state, 0) + 1
        time.sleep(1)
        drops = {} if args.without else lab.drops()
        before = since(lab, "OutRsts", resets)
        crowd.release()
        # the FIN of a LAST-ACK may have been sent twice meanwhile: its second ACK finds no socket
        late = {} if args.without else lab.drops()
        check(set(late) <= {"drop_cookie"}, "dropped as the gate opened", late)
        settled, resets = counters(lab, "RetransSegs"), counters(lab, "OutRsts")
        come_and_go(lab, crowd, args.without)
        drops.update({} if args.without else lab.drops())
        again = {"talking": sum(retransmitted(sock) for pair in crowd.talking()
                                for sock in (pair.c, pair.s)),
                 "after_gate": since(lab, "RetransSegs", settled)}
        crowd.finish()
    except (OSError, AssertionError) as error:
        crowd.over = True
        crowd.running.set()
        sys.exit("crowd: %s; %s" % (error, crowd.errors[:3]))
    print(json.dumps({"states": seen, "rounds": crowd.rounds, "broken": len(crowd.errors),
                      "errors": crowd.errors[:3], "resets_before_gate": before,
                      "resets": since(lab, "OutRsts", resets), "late": late,
                      "retransmitted": again, "dropped": drops}))


main()
