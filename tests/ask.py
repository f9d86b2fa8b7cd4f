# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask the daemon by its socket, well and badly; or be the journal's socket.

ask.py ask PATH WORD...       the answer, with its first line
ask.py raw PATH HEX           these bytes, then the answer
ask.py idle PATH N SECONDS    N connections that ask nothing; prints how many were refused
ask.py slow PATH WORD...      takes the answer at 100 bytes a second, for 3 s
ask.py nap PATH S WORD...     reads nothing for S seconds, then what is there
ask.py cut PATH FILE WORD...  asks as the commands do, reads on when FILE is there, and prints whether
                              the end of the answer was one
ask.py half PATH TEXT         is a daemon that ends within its answer, which begins with TEXT
ask.py journal PATH           prints each datagram between lines of "--"
"""
import os
import socket
import sys
import time


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    sock.settimeout(15)
    return sock


def answer(sock):
    while True:
        data = sock.recv(65536)
        if not data:
            return
        sys.stdout.buffer.write(data)


def ask(path, *words):
    sock = connect(path)
    try:
        sock.sendall("\t".join(words).encode() + b"\n")
    except BrokenPipeError:
        pass # sent away; why is to be read
    answer(sock)


def raw(path, data):
    sock = connect(path)
    sock.sendall(bytes.fromhex(data))
    answer(sock)


def idle(path, number, seconds):
    socks = [connect(path) for _ in range(int(number))]
    time.sleep(float(seconds))
    said = 0
    for sock in socks:
        sock.settimeout(0.01)
        try:
            said += sock.recv(100).startswith(b"error busy")
        except OSError:
            pass
    print(said)


def slow(path, *words):
    sock = connect(path)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sock.sendall("\t".join(words).encode() + b"\n")
    for _ in range(30):
        sock.recv(10)
        time.sleep(0.1)


def nap(path, seconds, *words):
    sock = connect(path)
    sock.sendall("\t".join(words).encode() + b"\n")
    time.sleep(float(seconds))
    end = time.monotonic() + 3
    sock.settimeout(0.5)
    while time.monotonic() < end:
        try:
            sys.stdout.buffer.write(sock.recv(65536))
        except TimeoutError:
            pass


def cut(path, go, *words):
    sock = connect(path)
    sock.sendall("\t".join(words).encode() + b"\n.")
    size = len(sock.recv(100))
    print("asked", flush=True)
    while not os.path.exists(go):
        time.sleep(0.02)
    try:
        while more := sock.recv(65536):
            size += len(more)
        print("whole", size)
    except ConnectionResetError:
        print("cut off", size)


def half(path, text):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    print("ready", flush=True)
    while True:
        sock, _ = listening.accept()
        while sock.recv(1) != b"\n":
            pass
        sock.sendall(b"ok\n" + text.encode() + b"\n")
        sock.close()


def journal(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    print("ready", flush=True)
    while True:
        print(sock.recv(65536).decode() + "--", flush=True)


if __name__ == "__main__":
    {f.__name__: f for f in (ask, raw, idle, slow, nap, cut, half, journal)}[sys.argv[1]](*sys.argv[2:])
