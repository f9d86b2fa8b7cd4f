# SPDX-License-Identifier: GPL-2.0-or-later
"""A TCP server for the tests: echoes, or speaks first, or never accepts; odd listeners.

Prints "ready", then a line for each connection: "accepted PEER PORT LISTENER".
"""
import argparse
import socket
import sys
import threading

TCP_FASTOPEN = 23


def say(*words):
    print(*words, flush=True)


def listener(args):
    family = socket.AF_INET if args.family == "4" else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_STREAM, 262 if args.mptcp else 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, args.family == "6")
    if args.reuseport > 1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if args.device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, args.device.encode())
    if args.rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, args.rcvbuf)
    if args.maxseg:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, args.maxseg)
    if args.fastopen:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN, args.fastopen)
    if args.defer:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, args.defer)
    if args.cc:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, args.cc.encode())
    sock.bind((args.address, args.port))
    sock.listen(args.backlog)
    return sock


def serve(conn, args):
    try:
        if args.banner:
            conn.sendall(args.banner.encode() + b"\n")
        while data := conn.recv(65536):
            conn.sendall(data)
            if args.close_first:
                break
    except OSError as error:
        say("error", error.strerror)
    conn.close()


def accept_all(sock, number, args):
    while True:
        conn, peer = sock.accept()
        say("accepted", peer[0], peer[1], number)
        threading.Thread(target=serve, args=(conn, args), daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--family", choices=["4", "6", "dual"], default="dual")
    parser.add_argument("--address", default="")
    parser.add_argument("--backlog", type=int, default=1024)
    parser.add_argument("--banner")
    parser.add_argument("--close-first", action="store_true")
    parser.add_argument("--never-accept", action="store_true")
    parser.add_argument("--reuseport", type=int, default=1)
    parser.add_argument("--device")
    parser.add_argument("--rcvbuf", type=int)
    parser.add_argument("--maxseg", type=int)
    parser.add_argument("--fastopen", type=int)
    parser.add_argument("--defer", type=int)
    parser.add_argument("--cc", help="congestion control, which connections inherit")
    parser.add_argument("--mptcp", action="store_true")
    args = parser.parse_args()
    socks = [listener(args) for _ in range(args.reuseport)]
    say("ready")
    if args.never_accept:
        threading.Event().wait()
    for number, sock in enumerate(socks[1:], 1):
        threading.Thread(target=accept_all, args=(sock, number, args), daemon=True).start()
    accept_all(socks[0], 0, args)


main()
