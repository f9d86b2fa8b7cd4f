# SPDX-License-Identifier: GPL-2.0-or-later
"""Handshakes by hand from addresses no kernel owns: each case asserts, exit 0 or 1.

The server is tests/server.py, echoing (or speaking first in the cases that say so).
"""
import argparse
import json
import os
import random
import signal
import sys
import time

import rawtcp
from rawtcp import ACK, CWR, ECE, FIN, PSH, RST, SYN

CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def check(ok, what, *seen):
    if not ok:
        raise AssertionError(what + "".join("; %s" % item for item in seen))


class Lab:
    def __init__(self, args):
        self.args = args
        self.wire = rawtcp.Wire(args.dev, args.smac, args.dmac)
        self.sport = random.randrange(20000, 60000)
        self.options = dict(mss=1460 if ":" not in args.src else 1440)
        if not args.bare:
            self.options.update(sack=True, ws=7)
        if not args.no_timestamps and not args.bare:
            self.options.update(timestamps=True)

    def conn(self, src=None, isn=None):
        self.sport += 1
        isn = random.getrandbits(32) if isn is None else isn
        return rawtcp.Conn(self.wire, src or self.args.src, self.args.dst, self.sport,
                           self.args.port, isn)

    def half(self, **changes):
        """A connection that got its SYN-ACK and has not answered it."""
        conn = self.conn()
        seg = conn.syn(**{**self.options, **changes})
        check(seg, "no SYN-ACK")
        check_synack(conn, seg)
        return conn

    def open(self):
        conn = self.half()
        conn.push()
        echo(conn)
        return conn


def check_synack(conn, seg):
    check(seg.flags & (SYN | ACK | RST | FIN) == SYN | ACK, "not a SYN-ACK", seg)
    check(seg.ack == (conn.isn + 1) & 0xFFFFFFFF, "SYN-ACK acknowledges other than ISN + 1", seg)
    check(not seg.data, "SYN-ACK carries data", seg)
    check(seg.ip_ok and seg.tcp_ok, "wrong checksum in SYN-ACK", seg)


def echo(conn, data=b"hello world", timeout=2.0):
    """Send, and read the same back; acknowledges."""
    conn.push(data)
    read(conn, data, timeout)


def read(conn, data, timeout=2.0):
    got, end = b"", time.monotonic() + timeout
    while got != data and time.monotonic() < end:
        before = conn.rcv_nxt
        seg = conn.take(end - time.monotonic(), lambda s: s.data or s.flags & RST)
        check(seg, "silence instead of an echo", "got %d bytes" % len(got))
        check(not seg.flags & RST, "reset", seg)
        if conn.rcv_nxt != before:
            got += seg.data
        conn.push()
    check(got == data, "echo differs", got)


def silence(conn, seconds=0.4):
    seg = conn.expect(seconds)
    check(seg is None, "an answer where there must be none", seg)


@case
def plain(lab):
    """A whole life: open, echo, close."""
    conn = lab.open()
    conn.push(flags=ACK | FIN)
    check(conn.take(1.0, lambda s: s.flags & FIN), "no FIN")
    conn.push()


@case
def syn_with_data(lab):
    """Data in a SYN, odd and even lengths: ignored, sent again, echoed."""
    for size in (1, 2, 3, 100, 501, 1000):
        data = bytes(random.randrange(256) for _ in range(size))
        conn = lab.conn()
        seg = conn.syn(data=data, **lab.options)
        check(seg, "no SYN-ACK to a SYN with %d bytes" % size)
        check_synack(conn, seg)
        check(seg.padding == 0, "bytes behind the SYN-ACK", seg.padding)
        echo(conn, data)
        conn.reset()


@case
def fastopen_syn(lab):
    """Fast Open with a cookie nobody gave and data: no cookie back, no data acknowledged."""
    for cookie in (b"", b"\x11" * 8):
        conn = lab.conn()
        options = {**lab.options, "ts": (conn.ts_clock(), 0), "fastopen": cookie}
        options.pop("timestamps", None)
        seg = conn.syn(data=b"early" if cookie else b"", **options)
        check(seg, "no SYN-ACK")
        check_synack(conn, seg)
        check("fastopen" not in seg.opts, "a Fast Open option in the reply", seg)
        echo(conn, b"early and more")
        conn.reset()


@case
def tiny_mss(lab):
    """MSS from absent to 65535: no segment is larger than what the client can take."""
    smallest = 1220 if ":" in lab.args.src else 536
    for mss in (48, 88, 200, 535, 536, 1000, 1220, 1300, 1459, 9000, 65535, None):
        conn = lab.half(mss=mss)
        limit = mss if mss is not None else smallest
        data = b"m" * 3000
        conn.push(data[:1000])
        conn.push(data[1000:2000])
        conn.push(data[2000:])
        got, end = 0, time.monotonic() + 5
        while got < len(data) and time.monotonic() < end:
            seg = conn.take(1.0, lambda s: s.data)
            if not seg:
                continue
            extra = 12 if "ts" in seg.opts else 0
            # the kernel never goes below 48 (net.ipv4.tcp_min_snd_mss)
            check(len(seg.data) + extra <= max(limit, 48), "segment above MSS %s" % mss, seg)
            got = (conn.rcv_nxt - conn.synack.seq - 1) & 0xFFFFFFFF
            conn.push()
        check(got == len(data), "MSS %s: %d of %d bytes came" % (mss, got, len(data)))
        conn.reset()


@case
def ecn_syn(lab):
    """ECE only to a classic ECN SYN; CWR and the reserved bits never come back."""
    for flags, reserved in ((SYN, 0), (SYN | ECE | CWR, 0), (SYN | ECE | CWR, 1), (SYN | ECE, 0)):
        conn = lab.conn()
        seg = conn.syn(flags=flags, reserved=reserved, **lab.options)
        check(seg, "no SYN-ACK to %s" % rawtcp.flag_text(flags))
        check_synack(conn, seg)
        # tcp_ecn at its default 2 answers a classic request; AccECN (reserved bit) is newer
        classic = flags == SYN | ECE | CWR and not reserved
        check(classic or not seg.flags & ECE or reserved, "ECE was not asked for", seg)
        check(not seg.flags & CWR or reserved, "CWR echoed", seg)
        check(lab.args.bare or not classic or seg.flags & ECE, "ECE was asked for", seg)
        echo(conn)
        conn.reset()


@case
def lost_ack_client_first(lab):
    """The final ACK is lost; the first data segment opens the connection."""
    conn = lab.half()
    echo(conn, b"first words")
    conn.reset()


@case
def lost_ack_server_first(lab):
    """The final ACK is lost and the server speaks first: what is heard, and when."""
    conn = lab.half()
    start = time.monotonic()
    heard = None
    while heard is None and time.monotonic() - start < lab.args.wait:
        seg = conn.take(lab.args.wait - (time.monotonic() - start))
        if seg and seg.flags & SYN:  # a host that remembers the SYN asks again
            conn.push()
        elif seg and seg.data:
            heard = time.monotonic() - start
    result = {"alone_s": heard and round(heard, 2)}
    if heard is None:
        start = time.monotonic()
        conn.push(seq=conn.snd_nxt - 1)
        seg = conn.take(1.0, lambda s: s.data or s.flags & RST)
        check(seg and seg.data, "a keepalive does not open", seg)
        result["after_keepalive_s"] = round(time.monotonic() - start, 3)
    print(json.dumps(result))
    conn.push()
    conn.reset()


@case
def duplicate_ack(lab):
    """The same ACK several times makes one connection that works."""
    conn = lab.half()
    for _ in range(4):
        conn.push()
    echo(conn)
    conn.reset()


@case
def data_before_ack(lab):
    """The second segment overtakes the first: silence, no reset; the first opens."""
    conn = lab.half()
    start = conn.snd_nxt
    conn.push(b"world", seq=start + 6)
    seg = conn.expect(0.3)
    check(not seg or not seg.flags & RST, "reset for a segment out of order", seg)
    conn.push(b"hello ", seq=start)
    conn.snd_nxt = start + 6
    read(conn, b"hello ")
    conn.push(b"world")
    read(conn, b"world")
    conn.reset()


@case
def fin_with_first_ack(lab):
    """FIN on the first segment, with and without data: opened, and closed in order."""
    for data in (b"", b"all in one"):
        conn = lab.half()
        conn.push(data, flags=ACK | FIN)
        if data:
            read(conn, data)
        seg = conn.take(1.0, lambda s: s.flags & (FIN | RST))
        check(seg and seg.flags & FIN, "no FIN in answer to ours", seg)
        conn.push()


@case
def flags_with_cookie(lab):
    """A valid cookie with RST, SYN or junk flags opens nothing; with PSH, ECE, CWR it does."""
    for flags in (RST | ACK, SYN | ACK, FIN | SYN | ACK, RST | SYN | ACK, FIN, 0, PSH):
        conn = lab.half()
        conn.push(flags=flags, advance=False)
        conn.push(b"x", seq=conn.snd_nxt + 5, advance=False)
        seg = conn.expect(0.15, lambda s: s.data)
        check(not seg, "data after %s" % rawtcp.flag_text(flags), seg)
    for flags in (ACK | PSH, ACK | ECE, ACK | CWR, ACK | PSH | ECE | CWR):
        conn = lab.half()
        conn.push(flags=flags)
        echo(conn)
        conn.reset()


@case
def replay_after_close(lab):
    """The ACK that opened a connection, sent again after its end, opens no second one."""
    conn = lab.half()
    stamp = conn.ts_clock()
    conn.ts_clock = lambda: stamp
    first = (conn.snd_nxt, conn.rcv_nxt, conn.ts_recent)
    conn.push()
    echo(conn)
    conn.reset()
    for pause in (0.2, 2.3):  # while the tuple is known, and past that
        time.sleep(pause)
        conn.snd_nxt, conn.rcv_nxt, conn.ts_recent = first
        conn.push(b"again", advance=False)
        seg = conn.expect(0.5, lambda s: not s.flags & RST)
        check(not seg, "a spent cookie was answered", seg)


@case
def blind_acks(lab):
    """ACKs nobody asked for: no answer, not even a reset."""
    for _ in range(200):
        conn = lab.conn()
        conn.rcv_nxt = random.getrandbits(32)
        conn.push(b"x" * random.choice((0, 1, 100)))
    end = time.monotonic() + 0.5
    while (seg := lab.wire.receive(end - time.monotonic())):
        check(seg.sport != lab.args.port, "an answer to a blind ACK", seg)


@case
def listener_gone(lab):
    """The listener ends between SYN-ACK and ACK: the client hears a reset, at once."""
    conn = lab.half()
    os.kill(lab.args.pid, signal.SIGKILL)
    time.sleep(0.3)
    conn.push(b"anyone?")
    seg = conn.expect(1.0)
    check(seg and seg.flags & RST, "no reset after the listener went", seg)


@case
def scan(lab):
    """SYN scan of ports 60 to 100 and 8080: prints the open ones; nothing may be silent."""
    found = {}
    for port in list(range(60, 101)) + [8080]:
        conn = lab.conn()
        conn.dport = port
        conn.send_raw(SYN, conn.isn, options=rawtcp.pack_options(mss=1460))
        seg = conn.expect(1.0)
        check(seg, "port %d is silent" % port)
        found[port] = "open" if seg.flags & SYN else "closed"
        if seg.flags & SYN:
            conn.snd_nxt = conn.isn + 1
            conn.reset()
    print(json.dumps([port for port, state in found.items() if state == "open"]))


@case
def slow_ack(lab):
    """Round trip of --wait seconds: the ACK still opens."""
    conns = [lab.half() for _ in range(4)]
    time.sleep(lab.args.wait)
    for conn in conns:
        conn.push()
        echo(conn)
        conn.reset()


@case
def expired_ack(lab):
    """A cookie older than two epochs: silence, never a reset."""
    conns = [lab.half() for _ in range(4)]
    time.sleep(lab.args.wait)
    for conn in conns:
        conn.push(b"late")
        silence(conn)


@case
def retransmitted_syn(lab):
    """The same SYN again gets the same SYN-ACK but for the clock; a new ISN another."""
    conn = lab.conn()
    first = conn.syn(**lab.options)
    time.sleep(1)
    second = conn.syn(**lab.options)
    check(first and second, "no SYN-ACK")
    # the epoch's edge may lie between: then both are good, and that is checked below
    same = first.seq == second.seq
    check(first.opts.keys() == second.opts.keys() and first.opts["mss"] == second.opts["mss"],
          "options differ", first, second)
    # what a client that took the first does: the second is no segment of its window, and the
    # timestamp to echo stays (RFC 7323 section 4.3); two epochs' clocks have different offsets
    conn.ts_recent = first.opts["ts"][0] if "ts" in first.opts else None
    conn.rcv_nxt = first.seq + 1
    conn.push()
    echo(conn)
    conn.reset()
    conn = lab.conn()
    a = conn.syn(**lab.options)
    conn.isn += 1000003
    b = conn.syn(**lab.options)
    check(a.seq != b.seq, "the client's ISN does not matter")
    print(json.dumps({"same_isn": same}))


@case
def timestamps(lab):
    """1,000 SYN-ACKs: the rate of TSval is known, its offset is not; the host goes on from it."""
    seen = []
    for n in range(1000):
        src = lab.args.src.rsplit(":" if ":" in lab.args.src else ".", 1)[0]
        src += "::%x" % (n + 256) if ":" in src else ".%d" % (100 + n % 100)
        src = src.replace(":::", "::")
        conn = lab.conn(src)
        seg = conn.syn(**lab.options)
        check(seg and "ts" in seg.opts, "SYN-ACK %d without timestamp" % n, seg)
        seen.append((time.monotonic(), seg.opts["ts"][0]))
    offsets = sorted((ts - int(at * 1e9 / 2**20)) & 0xFFFFFFFF for at, ts in seen)
    # 1,000 offsets over 2^32: each of 16 equal parts must have some 62
    parts = [sum(1 for o in offsets if o >> 28 == part) for part in range(16)]
    check(min(parts) >= 20 and max(parts) <= 130, "offsets are not spread", parts)
    conn = lab.conn()
    first, at = conn.syn(**lab.options), time.monotonic()
    time.sleep(1.5)
    second, then = conn.syn(**lab.options), time.monotonic()
    ticks = (second.opts["ts"][0] - first.opts["ts"][0]) & 0xFFFFFFFF
    rate = ticks / (then - at)
    check(900 <= rate <= 1050, "TSval of one tuple ticks %d times a second" % rate)
    time.sleep(0.3)
    conn.push(b"go on")
    last = second.opts["ts"][0]
    for _ in range(3):
        seg = conn.take(1.0, lambda s: s.data)
        check(seg, "no echo")
        step = (seg.opts["ts"][0] - last) & 0xFFFFFFFF
        check(step < 3000, "the host's TSval steps by %d" % (step - (step >> 31 << 32)))
        last = seg.opts["ts"][0]
        conn.push(b"more")
    conn.reset()
    print(json.dumps({"ticks_per_s": round(rate), "parts": [min(parts), max(parts)]}))


@case
def host_address(lab):
    """LAND and other addresses no wire carries: no answer."""
    v6 = ":" in lab.args.src
    sources = ["::1", "::", "ff02::1", "::ffff:10.9.0.77"] if v6 else [
        "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "239.1.2.3"]
    for src in [lab.args.dst] + sources:
        conn = lab.conn(src)
        conn.send_raw(SYN, conn.isn, options=rawtcp.pack_options(mss=1460))
        silence(conn, 0.1)


@case
def foreign_mac(lab):
    """A frame for another station is never answered."""
    lab.wire.dmac = rawtcp.mac_bytes("02:00:00:00:99:99")
    conn = lab.conn()
    conn.send_raw(SYN, conn.isn, options=rawtcp.pack_options(mss=1460))
    silence(conn)


@case
def reply_sizes(lab):
    """No answer takes more of a wire than its SYN; none is sent twice."""
    sizes = []
    for options in ({}, dict(mss=1460), dict(mss=1460, ws=7), dict(mss=1460, sack=True, ws=7),
                    dict(mss=1460, sack=True, ws=7, ts=(1, 0)), dict(raw=b"\1" * 40)):
        conn = lab.conn()
        seg = conn.syn(**options)
        check(seg, "no SYN-ACK")
        asked = len(conn.build(SYN, conn.isn, options=rawtcp.pack_options(**options)))
        sizes.append([asked, seg.ip_len])
        # on a wire no frame is shorter than 60 bytes (and the checksum behind them)
        check(seg.ip_len + 14 <= max(60, asked + 14), "longer than the SYN", seg, asked)
        check(conn.expect(1.2 if not options else 0.05) is None, "SYN-ACK sent again")
    print(json.dumps({"bytes": sizes}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("case", choices=sorted(CASES))
    parser.add_argument("--dev", default="c0")
    parser.add_argument("--src", required=True)
    parser.add_argument("--dst", required=True)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--smac", required=True)
    parser.add_argument("--dmac", required=True)
    parser.add_argument("--wait", type=float, default=1)
    parser.add_argument("--pid", type=int)
    parser.add_argument("--no-timestamps", action="store_true")
    parser.add_argument("--bare", action="store_true", help="MSS is the only option")
    args = parser.parse_args()
    try:
        CASES[args.case](Lab(args))
    except AssertionError as error:
        print("%s from %s: %s" % (args.case, args.src, error), file=sys.stderr)
        sys.exit(1)


main()
