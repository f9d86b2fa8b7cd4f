# SPDX-License-Identifier: GPL-2.0-or-later
"""TCP segments made and read by hand, from addresses no kernel answers for.

The tests own every bit of every frame; the client's kernel neither helps nor resets.
Not here: what is tested.
"""
import ipaddress
import select
import socket
import struct
import time

FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << n for n in range(8))
FLAG_NAMES = "FSRPAUEW"


def flag_text(flags):
    return "".join(name for n, name in enumerate(FLAG_NAMES) if flags & 1 << n) or "-"


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def pack_options(mss=None, sack=False, ts=None, ws=None, fastopen=None, raw=b""):
    """As Linux lays them out, then `raw`, padded to four bytes."""
    out = b""
    if mss is not None:
        out += struct.pack("!BBH", 2, 4, mss)
    if ts is not None:
        out += (b"\4\2" if sack else b"\1\1") + struct.pack("!BBII", 8, 10, *ts)
    elif sack:
        out += b"\1\1\4\2"
    if ws is not None:
        out += struct.pack("!BBBB", 1, 3, 3, ws)
    if fastopen is not None:
        out += struct.pack("!BB", 34, 2 + len(fastopen)) + fastopen
    out += raw
    return out + b"\1" * (-len(out) % 4)


def parse_options(data):
    found = {}
    while data:
        kind = data[0]
        if kind == 0:
            break
        if kind == 1:
            data = data[1:]
            continue
        if len(data) < 2 or data[1] < 2 or data[1] > len(data):
            raise ValueError("bad option in a reply: %s" % data.hex())
        body, data = data[2:data[1]], data[data[1]:]
        if kind == 2:
            found["mss"] = struct.unpack("!H", body)[0]
        elif kind == 3:
            found["ws"] = body[0]
        elif kind == 4:
            found["sack"] = True
        elif kind == 8:
            found["ts"] = struct.unpack("!II", body)
        elif kind == 34:
            found["fastopen"] = body
        else:
            found[kind] = body
    return found


class Segment:
    """One received TCP segment; checksums are verified where the sender filled them."""

    def __init__(self, frame):
        self.frame = frame
        ethertype = struct.unpack("!H", frame[12:14])[0]
        ip = frame[14:]
        if ethertype == 0x0800 and ip[9] == 6:
            hlen, total = (ip[0] & 15) * 4, struct.unpack("!H", ip[2:4])[0]
            self.src, self.dst = (ipaddress.ip_address(ip[n:n + 4]) for n in (12, 16))
            pseudo = ip[12:20] + struct.pack("!HH", 6, total - hlen)
            self.ip_ok = checksum(ip[:hlen]) == 0
            self.ttl, self.tos = ip[8], ip[1]
        elif ethertype == 0x86DD and ip[6] == 6:
            hlen, total = 40, 40 + struct.unpack("!H", ip[4:6])[0]
            self.src, self.dst = (ipaddress.ip_address(ip[n:n + 16]) for n in (8, 24))
            pseudo = ip[8:40] + struct.pack("!II", total - 40, 6)
            self.ip_ok = True
            self.ttl, self.tos = ip[7], struct.unpack("!H", ip[:2])[0] >> 4 & 255
        else:
            raise ValueError("not TCP")
        self.ip_len, self.padding = total, len(ip) - total
        tcp = ip[hlen:total]
        (self.sport, self.dport, self.seq, self.ack, off, self.flags, self.window,
         self.check, self.urgent) = struct.unpack("!HHIIBBHHH", tcp[:20])
        self.reserved = off & 15
        self.opts = parse_options(tcp[20:(off >> 4) * 4])
        self.data = tcp[(off >> 4) * 4:]
        self.tcp_ok = checksum(pseudo + tcp) == 0

    def __str__(self):
        return "%s seq=%d ack=%d win=%d len=%d %s" % (
            flag_text(self.flags), self.seq, self.ack, self.window, len(self.data), self.opts)


class Wire:
    """A packet socket on one device."""

    def __init__(self, dev, smac, dmac):
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.sock.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
        self.sock.bind((dev, 0))
        self.smac, self.dmac = mac_bytes(smac), mac_bytes(dmac)

    def send(self, payload, ethertype):
        self.sock.send(self.dmac + self.smac + struct.pack("!H", ethertype) + payload)

    def receive(self, timeout):
        """The next TCP segment, or None."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.sock], [], [], left)[0]:
                return None
            try:
                return Segment(self.sock.recv(65536))
            except (ValueError, IndexError, struct.error):
                continue
        return None


class Conn:
    """One tuple, seen from the client. Nothing is sent unless a method is called."""

    def __init__(self, wire, src, dst, sport, dport, isn=None, ts_clock=None):
        self.wire = wire
        self.src, self.dst = ipaddress.ip_address(src), ipaddress.ip_address(dst)
        self.sport, self.dport = sport, dport
        self.isn = isn if isn is not None else (sport * 2654435761) & 0xFFFFFFFF
        self.snd_nxt, self.rcv_nxt = self.isn, 0
        self.ts_clock = ts_clock or (lambda: int(time.monotonic() * 1000) & 0xFFFFFFFF)
        self.ts_recent = None
        self.synack = None

    def build(self, flags, seq, ack=0, data=b"", options=b"", window=64240, ip_id=1, reserved=0):
        header = struct.pack("!HHIIBBHHH", self.sport, self.dport, seq & 0xFFFFFFFF,
                             ack & 0xFFFFFFFF, (20 + len(options)) // 4 << 4 | reserved, flags,
                             window, 0, 0) + options
        tcp = header + data
        if self.src.version == 4:
            pseudo = self.src.packed + self.dst.packed + struct.pack("!HH", 6, len(tcp))
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), ip_id, 0x4000, 64, 6, 0)
            ip += self.src.packed + self.dst.packed
            ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        else:
            pseudo = self.src.packed + self.dst.packed + struct.pack("!II", len(tcp), 6)
            ip = struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64)
            ip += self.src.packed + self.dst.packed
        check = checksum(pseudo + tcp)
        return ip + tcp[:16] + struct.pack("!H", check) + tcp[18:]

    def send_raw(self, *args, **kwargs):
        self.wire.send(self.build(*args, **kwargs), 0x0800 if self.src.version == 4 else 0x86DD)

    def is_mine(self, seg):
        return (seg.src, seg.dst, seg.sport, seg.dport) == (
            self.dst, self.src, self.dport, self.sport)

    def expect(self, timeout=1.0, want=None):
        """Next segment of this tuple for which want() holds, or None."""
        end = time.monotonic() + timeout
        while (left := end - time.monotonic()) > 0:
            seg = self.wire.receive(left)
            if seg and self.is_mine(seg) and (want is None or want(seg)):
                return seg
        return None

    def syn(self, data=b"", flags=SYN, reserved=0, timeout=1.0, **options):
        """Send a SYN, return the SYN-ACK or None."""
        if options.pop("timestamps", False):
            options["ts"] = (self.ts_clock(), 0)
        self.send_raw(flags, self.isn, data=data, options=pack_options(**options),
                      reserved=reserved)
        seg = self.expect(timeout, lambda s: s.flags & SYN)
        if seg:
            self.synack = seg
            self.snd_nxt = self.isn + 1
            self.rcv_nxt = seg.seq + 1
            if "ts" in seg.opts:
                self.ts_recent = seg.opts["ts"][0]
        return seg

    def options(self):
        if self.ts_recent is None:
            return b""
        return pack_options(ts=(self.ts_clock(), self.ts_recent))

    def push(self, data=b"", flags=ACK, seq=None, ack=None, advance=True):
        """An ACK, with data if given. seq and ack only to send something odd."""
        at = self.snd_nxt if seq is None else seq
        self.send_raw(flags | (PSH if data else 0), at, self.rcv_nxt if ack is None else ack,
                      data, self.options())
        if advance and seq is None:
            self.snd_nxt += len(data) + bool(flags & FIN)

    def take(self, timeout=1.0, want=None):
        """Receive one segment and move on: data is acknowledged by the caller."""
        seg = self.expect(timeout, want)
        if seg:
            if "ts" in seg.opts:
                self.ts_recent = seg.opts["ts"][0]
            if seg.seq == self.rcv_nxt & 0xFFFFFFFF:
                self.rcv_nxt += len(seg.data) + bool(seg.flags & FIN)
        return seg

    def reset(self):
        self.send_raw(RST, self.snd_nxt)
