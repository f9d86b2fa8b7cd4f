# SPDX-License-Identifier: GPL-2.0-or-later
"""What becomes of entries whose connection ended in ways no segment tells of, of more
connections than the table holds, and of live ones all the while.
"""
import json
import os
import socket
import sys
import time

import hosts
from hosts import PORT, Pair, check, eventually

CASES = {}
# by those the sweep must tell apart
TIMEOUTS = ("established", "fin-wait-1", "fin-wait-2", "close-wait", "closing", "last-ack",
            "syn-sent", "syn-received")


def case(function):
    CASES[function.__name__] = function
    return function


def states(lab, pairs):
    conns = lab.conns()
    return [conns[pair.key]["state"] if pair.key in conns else "none" for pair in pairs]


def several(lab, first, count):
    pairs = [Pair(lab, 4 + 2 * (n % 2), first + n) for n in range(count)]
    for pair in pairs:
        pair.echo()
    return pairs


@case
def swept(lab):
    """Held by the host, and silent: stays, whatever its age. Dropped by it: goes."""
    for name in TIMEOUTS:
        lab.guard("limit", "set", "timeout-" + name, "1")
    lab.server.run("sysctl", "-qw", "net.ipv4.tcp_fin_timeout=1")
    held = several(lab, 30000, 30)
    gone = several(lab, 31000, 20)
    orphans = several(lab, 32000, 10)
    for pair in held[10:20]:
        pair.s.shutdown(socket.SHUT_WR)  # FIN-WAIT-2 for as long as the client likes
    for pair in held[20:]:
        pair.c.shutdown(socket.SHUT_WR)  # CLOSE-WAIT, leaked by its application
    for pair in gone:
        hosts.vanish(pair.s)
    for pair in orphans:
        pair.s.close()  # FIN-WAIT-2 of nobody: the host forgets it after a second
    want = ["ESTABLISHED"] * 10 + ["FIN-WAIT-2"] * 10 + ["CLOSE-WAIT"] * 10
    eventually("orphans are forgotten", lambda: len(lab.server.sockets()) == len(held), 20, 0.2)
    check(states(lab, gone) == ["ESTABLISHED"] * 20, "before the sweep", states(lab, gone))
    # a timeout is passed after its last second, and may have begun in the middle of one
    time.sleep(2.2)
    swept_up = json.loads(lab.guard("sweep", "-j"))
    check(swept_up["freed_by_state"] == {"ESTABLISHED": 20, "FIN-WAIT-2": 10}, "freed", swept_up)
    check(swept_up["held"] == len(held), "held", swept_up)
    for _ in range(3):
        check(states(lab, held) == want, "held by the host", states(lab, held))
        check(json.loads(lab.guard("sweep", "-j"))["freed"] == 0, "freed what the host holds")
    for pair in held[:10]:
        pair.echo()
    for pair in held[10:20]:
        pair.send(b"still open this way")
    for pair in held[20:]:
        pair.send(b"still open that way", back=True)
    for pair in gone + orphans:
        hosts.vanish(pair.c)
    again = several(lab, 31000, 20) + several(lab, 32000, 10)  # the same tuples
    check(states(lab, again) == ["ESTABLISHED"] * 30, "the same ports again")
    return {"freed": swept_up["freed_by_state"], "held": swept_up["held"]}


def ended(lab, first, count):
    pairs = several(lab, first, count)
    for pair in pairs:
        pair.s.close()
        pair.c.close()
    return pairs


@case
def time_wait_cut_short(lab):
    """The host has no room for TIME-WAITs: the guard's may stay, new SYNs are served at once."""
    lab.server.run("sysctl", "-qw", "net.ipv4.tcp_max_tw_buckets=5")
    lab.guard("limit", "set", "timeout-time-wait", "60")
    first = ended(lab, 33500, 30)
    began, worst = time.monotonic(), 0
    for _ in range(2):
        pairs = ended(lab, 33000, 30)
        mine = {pair.key for pair in pairs}
        eventually("the host forgets", lambda: len(mine & set(lab.server.sockets())) <= 5, 5, 0.1)
        kept = states(lab, pairs)
        check(set(kept) <= {"TIME-WAIT", "CLOSED"}, "states", kept)
        start = time.monotonic()
        pairs = several(lab, 33000, 30)
        worst = max(worst, time.monotonic() - start)
        for pair in pairs:
            hosts.hard(pair.c)
            pair.c.close()
            pair.s.close()
        eventually("closed", lambda: set(states(lab, pairs)) == {"CLOSED"})
    check(worst < 0.9, "a second SYN was needed", worst)
    if os.environ.get("SW_LONG") == "1":
        kept = states(lab, first).count("TIME-WAIT")
        time.sleep(62.5 - time.monotonic() + began)
        lab.guard("sweep")
        left = states(lab, first).count("TIME-WAIT")
        check(kept == 30 and left <= 5, "TIME-WAIT after a minute", kept, left)
    return {"seconds_for_30": round(worst, 3)}


@case
def full(lab):
    """200 clients of a table for 64: each is served to the end."""
    pairs = several(lab, 34000, 200)
    for _ in range(3):
        for pair in pairs:
            pair.echo(b"f" * 5000)
    tables = json.loads(lab.guard("status", "-j"))["tables"]
    check(tables[0]["used"] <= tables[0]["slots"] and tables[0]["max"] == 64, "table", tables)
    check(tables[0]["full"] >= 200 - tables[0]["slots"], "segments that found no room", tables)
    tracked = len([key for key in lab.conns() if key[1] >= 34000])
    for pair in pairs[:100]:
        pair.s.close()
        check(pair.c.recv(10) == b"", "FIN of the server")
        pair.c.close()
    for pair in pairs[100:]:
        pair.c.close()
        check(pair.s.recv(10) == b"", "FIN of the client")
        pair.s.close()
    eventually("closed", lambda: set(lab.server.sockets().values()) == {"TIME-WAIT"})
    check(len(lab.server.sockets()) == 100, "TIME-WAIT", len(lab.server.sockets()))
    check(not lab.drops(), "dropped", lab.drops())
    return {"tracked": tracked, "full": tables[0]["full"]}


def main():
    lab = hosts.Lab()
    try:
        print(json.dumps(CASES[sys.argv[1]](lab)))
    except (AssertionError, OSError) as error:
        sys.exit("%s on port %d: %s" % (sys.argv[1], PORT, error))


main()
