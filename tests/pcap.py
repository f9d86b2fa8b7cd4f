# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures made and changed by hand, for netns_replay.sh: no library has all these forms.

    pcap.py flood FILE                  one of each kind of a stray segment, many times
    pcap.py handshakes FILE GAP COUNT [SIZE]    from one client, so many seconds apart, to a server
                                        that speaks, as it is captured without a guard; the ACK
                                        has so much data
    pcap.py forged FILE                 one handshake, and segments forged into its connection
    pcap.py syns FILE GAP COUNT         that nobody finishes, each from elsewhere
    pcap.py answered FILE GAP COUNT REST    the same, by a server; then one in 2 s, so many
    pcap.py set_back FILE               100 SYN/s, the clock set back by an hour on the way
    pcap.py stalled FILE                two connections whose client takes nothing, and a third
    pcap.py again FILE                  a SYN once more, which by then is over a rate of 1:1
    pcap.py datagrams FILE              of UDP, a segment's last fragment, a segment
    pcap.py convert KIND IN OUT [N]     pcapng, raw, sll, sll2, null; in: to the server alone;
                                        skip or keep N packets;
                                        snap to N bytes; cut N bytes off the end; lie: a length
    pcap.py send FILE DEV               its frames out of a device
"""
import random
import socket
import struct
import sys
import time

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
EN10MB, RAW, SLL, SLL2, NULL = 1, 101, 113, 276, 0
MAGIC_NS = 0xa1b23c4d
START = 1_790_000_000 * 10**9
SERVER, CMAC, SMAC = "10.9.0.2", "020000000901", "020000000902"
SYN_OPTIONS = bytes.fromhex("020405b40402080a0000100000000000" "01030307")


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def timestamps(value, echo):
    return struct.pack(">BBBBII", 1, 1, 8, 10, value, echo)


def segment(src, sport, dst, dport, flags, seq, ack=0, options=b"", data=b""):
    """An Ethernet frame, all checksums right."""
    size = 20 + len(options)
    tcp = struct.pack(">HHIIBBHHH", sport, dport, seq & 0xffffffff, ack & 0xffffffff,
                      size // 4 << 4, flags, 64240, 0, 0) + options + data
    ends = socket.inet_aton(src) + socket.inet_aton(dst)
    tcp = tcp[:16] + struct.pack(">H", checksum(
        ends + struct.pack(">HH", 6, len(tcp)) + tcp)) + tcp[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + ends
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    from_server = src == SERVER
    macs = bytes.fromhex(CMAC + SMAC if from_server else SMAC + CMAC)
    return macs + b"\x08\0" + ip + tcp


class Writer:
    def __init__(self, path, link=EN10MB):
        self.file, self.ns = open(path, "wb"), START
        self.file.write(struct.pack("<IHHIIII", MAGIC_NS, 2, 4, 0, 0, 262144, link))

    def add(self, frame, ns=None, length=None, claim=None):
        ns = self.ns if ns is None else ns
        self.file.write(struct.pack("<IIII", ns // 10**9, ns % 10**9, claim or len(frame),
                                    length or len(frame)) + frame)


def read(path):
    """(ns, captured, length) of each packet of a pcap in this machine's order."""
    with open(path, "rb") as f:
        data = f.read()
    unit = 1 if struct.unpack_from("<I", data)[0] == MAGIC_NS else 1000
    at = 24
    while at + 16 <= len(data):
        s, part, caplen, length = struct.unpack_from("<IIII", data, at)
        yield s * 10**9 + part * unit, data[at + 16:at + 16 + caplen], length
        at += 16 + caplen


STRAYS = [SYN, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, SYN | ACK, 0, SYN | FIN,
          FIN | PSH | URG]


def flood(path, rounds=40):
    out, rng = Writer(path), random.Random(1)
    for _ in range(rounds):
        for flags in STRAYS:
            src = f"{rng.randrange(20, 99)}.{rng.randrange(256)}.{rng.randrange(256)}.7"
            out.add(segment(src, rng.randrange(1024, 65535), SERVER, 80, flags,
                            rng.getrandbits(32), rng.getrandbits(32) if flags & ACK else 0,
                            SYN_OPTIONS if flags == SYN else b""))
            out.ns += 1_000_000


def forged(path):
    """In the order of the test's list of reasons."""
    out, (up, a, b) = handshakes(path, 1, 1)
    for flags, seq, ack in ((RST, a + 26, 0), (RST, a + 21 + (1 << 30), 0),
                            (FIN | ACK, a + 21, b + 7 + (1 << 30)),
                            (FIN | ACK, a + 21 + (1 << 30), b + 7), (SYN, a + 5000, 0),
                            (SYN | ACK, a + 5000, b + 7), (ACK, a + 21, b + 7),
                            (RST, a + 21, 0), (RST, a + 21, 0)):
        out.add(segment(*up, flags, seq, ack))
        out.ns += 1_000_000


def handshakes(path, gap, count, size=20):
    out, rng, size = Writer(path), random.Random(2), int(size)
    for n in range(int(count)):
        out.ns = START + int(n * float(gap) * 10**9)
        a, b, port = rng.getrandbits(32), rng.getrandbits(32), 20000 + n
        up, down = ("10.9.0.1", port, SERVER, 80), (SERVER, 80, "10.9.0.1", port)
        for way, flags, seq, ack, options, data in (
                (up, SYN, a, 0, SYN_OPTIONS, b""),
                (down, SYN | ACK, b, a + 1, bytes.fromhex("020405b40402080a") +
                 struct.pack(">II", 77777, 4096) + bytes.fromhex("01030307"), b""),
                (up, ACK | PSH, a + 1, b + 1, timestamps(4097, 77777), b"x" * size),
                (down, ACK | PSH, b + 1, a + 1 + size, timestamps(77778, 4097), b"hello\n"),
                (up, ACK, a + 1 + size, b + 7, timestamps(4098, 77778), b""))[:4 + (size > 20)]:
            out.add(segment(*way, flags, seq, ack, options, data))
            out.ns += 1_000_000
    return out, (up, a, b)


def syns(path, gap, count):
    out = Writer(path)
    for n in range(int(count)):
        out.ns = START + int(n * float(gap) * 10**9)
        out.add(segment(f"30.{n >> 16}.{n >> 8 & 255}.{n & 255}", 1024 + n % 60000, SERVER, 80,
                        SYN, n * 7919, 0, SYN_OPTIONS))


def answered(path, gap, count, rest):
    out = Writer(path)
    times = [int(n * float(gap) * 10**9) for n in range(int(count))]
    for n, at in enumerate(times + [times[-1] + 2 * 10**9 * n for n in range(1, int(rest) + 1)]):
        client, port = f"30.{n >> 16}.{n >> 8 & 255}.{n & 255}", 1024 + n % 60000
        out.ns = START + at
        out.add(segment(client, port, SERVER, 80, SYN, n * 7919, 0, SYN_OPTIONS))
        out.ns += 20_000
        out.add(segment(SERVER, 80, client, port, SYN | ACK, n * 31, n * 7919 + 1))


def set_back(path):
    out = Writer(path)
    for n in range(1300):
        out.ns = START + n * 10**7 - (3600 * 10**9 if n >= 300 else 0)
        out.add(segment(f"30.0.{n >> 8}.{n & 255}", 1024 + n, SERVER, 80, SYN, n * 7919))


def asked(up, down):
    return ((up, SYN, 100, 0, b""), (down, SYN | ACK, 500, 101, b""), (up, ACK, 101, 501, b"GET"),
            (down, ACK, 501, 104, b"x" * 1000))


def stalled(path):
    out = Writer(path)
    for n in range(2):
        up, down = ("10.9.0.1", 20000 + n, SERVER, 80), (SERVER, 80, "10.9.0.1", 20000 + n)
        for way, flags, seq, ack, data in asked(up, down):
            out.add(segment(*way, flags, seq, ack, b"", data))
            out.ns += 1_000_000
    # whoever takes what there is does not stall
    up, down = ("10.9.1.1", 20000, SERVER, 80), (SERVER, 80, "10.9.1.1", 20000)
    for way, flags, seq, ack, data in (*asked(up, down), (up, ACK, 104, 1501, b"")):
        out.add(segment(*way, flags, seq, ack, b"", data))
    for wait in (4, 30):
        out.ns += wait * 10**9
        for client in ("10.9.0.1", "10.9.1.1"):
            out.add(segment(client, 21000 + wait, SERVER, 80, SYN, 9000))


def again(path):
    out = Writer(path)
    up, down = ("10.9.0.1", 20000, SERVER, 80), (SERVER, 80, "10.9.0.1", 20000)
    for at, way, flags, seq, ack in (
            (0, (*up[:1], 20001, *up[2:]), SYN, 700, 0),
            (0.01, (*down[:3], 20001), SYN | ACK, 800, 701), (0.1, up, SYN, 100, 0),
            (0.2, (*up[:1], 20001, *up[2:]), ACK, 701, 801), (0.3, up, SYN, 100, 0),
            (0.31, down, SYN | ACK, 500, 101), (3, up, ACK, 101, 501)):
        out.add(segment(*way, flags, seq, ack), START + int(at * 10**9))


def datagrams(path):
    out = Writer(path)
    frame = bytearray(segment("10.9.0.1", 20000, SERVER, 80, ACK, 1, 1, b"", b"x" * 400))
    for proto, offset in ((17, 0), (6, 100), (6, 0)):
        frame[23] = proto
        frame[20:22] = struct.pack(">H", offset)
        frame[24:26] = bytes(2)
        frame[24:26] = struct.pack(">H", checksum(bytes(frame[14:34])))
        out.add(bytes(frame))


def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def to_pcapng(path, packets):
    with open(path, "wb") as f:
        f.write(block(0x0a0d0d0a, struct.pack("<IHHq", 0x1a2b3c4d, 1, 0, -1)))
        # nanoseconds: option if_tsresol
        f.write(block(1, struct.pack("<HHI", EN10MB, 0, 262144) + struct.pack(
            "<HHBBBBHH", 9, 1, 9, 0, 0, 0, 0, 0)))
        for ns, data, length in packets:
            f.write(block(6, struct.pack("<IIIII", 0, ns >> 32, ns & 0xffffffff, len(data),
                                         length) + data))


def to_link(kind, path, packets):
    link = dict(raw=RAW, sll=SLL, sll2=SLL2, null=NULL)[kind]
    out = Writer(path, link)
    for ns, data, length in packets:
        proto = data[12:14]
        if proto not in (b"\x08\0", b"\x86\xdd"):
            continue
        front = dict(raw=b"", sll=struct.pack(">HHH8s", 0, 1, 6, data[6:12] + b"\0\0") + proto,
                     sll2=proto + struct.pack(">HIHBB8s", 0, 1, 1, 0, 6, data[6:12] + b"\0\0"),
                     null=struct.pack("<I", 2 if proto == b"\x08\0" else 10))[kind]
        out.add(front + data[14:], ns, length - 14 + len(front))


def convert(kind, source, target, number="0"):
    packets, number = list(read(source)), int(number)
    if kind == "pcapng":
        to_pcapng(target, packets)
    elif kind in ("raw", "sll", "sll2", "null"):
        to_link(kind, target, packets)
    elif kind == "in":
        out = Writer(target)
        for ns, data, length in packets:
            if data[26:30] != socket.inet_aton(SERVER):
                out.add(data, ns, length)
    elif kind == "cut":
        with open(source, "rb") as f, open(target, "wb") as out:
            out.write(f.read()[:-number])
    else:
        out = Writer(target, 147 if kind == "user" else EN10MB)
        for n, (ns, data, length) in enumerate(packets):
            if (kind == "skip" and n < number) or (kind == "keep" and n >= number):
                continue
            data = data[:number] if kind == "snap" else data
            out.add(data, ns, length, 0x7fffffff if kind == "lie" and n == number else None)


def send(path, device):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind((device, 0))
    for _, data, _ in read(path):
        sock.send(data)
        time.sleep(0.0005)


if __name__ == "__main__":
    dict(flood=flood, forged=forged, handshakes=handshakes, syns=syns, answered=answered,
         set_back=set_back, stalled=stalled, again=again, datagrams=datagrams, convert=convert,
         send=send)[sys.argv[1]](*sys.argv[2:])
