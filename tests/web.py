# SPDX-License-Identifier: GPL-2.0-or-later
"""What clients do to `synwarden web`: good ones, odd ones, hostile ones; and a daemon made up.

    web.py fake SOCKET LOG      a daemon that answers anything and notes each question
    web.py CASE [ARG]...        one of the functions case_* below; exit 1 says what was wrong
"""
import http.client
import json
import os
import random
import socket
import sys
import threading
import time

HOST, PORT = "127.0.0.1", 9857
API = "status stats services attacks sources bans limits allow deny conns history events".split()


def check(what, good, got=""):
    if not good:
        print(f"FAIL: {what}: {str(got)[:600]}")
        sys.exit(1)


class Reply:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


def ask(path, method="GET", headers=None, patience=8):
    c = http.client.HTTPConnection(HOST, PORT, timeout=patience)
    try:
        c.request(method, path, headers=headers or {})
        return Reply(c.getresponse())
    finally:
        c.close()


def raw(data, patience=5):
    """Whatever comes back for these bytes, up to the end or until nothing comes."""
    s = socket.create_connection((HOST, PORT), timeout=patience)
    got = b""
    try:
        s.sendall(data)
        while True:
            more = s.recv(65536)
            if not more:
                break
            got += more
    except (TimeoutError, ConnectionError):
        pass
    finally:
        s.close()
    return got


def is_well(what, seconds=2.0):
    began = time.monotonic()
    r = ask("/metrics")
    took = time.monotonic() - began
    check(f"/metrics {what}", r.status == 200, (r.status, r.body))
    check(f"/metrics {what} in {seconds} s", took < seconds, took)
    return took


# --- a daemon ----------------------------------------------------------------------------------
def fake(path, log):
    answers = {
        "status": {"version": "x", "armed": True, "engine": "reqsk",
                   "devices": [{"device": "\"alive\":true", "mode": "native", "alive": False}]},
        "history": {"version": 1, "interval_s": 1,
                    "samples": [{"time": i, "reasons": {"a]},": i}, "states": {}} for i in range(900)]},
    }
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    os.chmod(path, 0o666)
    s.listen(64)
    print("ready", flush=True)

    def one(c):
        words = b""
        while b"\n" not in words:
            more = c.recv(4096)
            if not more:
                return
            words += more
        words = words[:words.index(b"\n") + 1]  # CONTROL_MARK is behind it
        with open(log, "ab") as f:
            f.write(words)
        question = words.decode().rstrip("\n")
        name = question.split("\t")[0]
        if name == "follow":
            c.sendall(b"ok\n")
            for i in range(50):
                c.sendall(json.dumps({"kind": "packet", "n": i}).encode() + b"\n")
                time.sleep(0.02)
            c.recv(1)  # until the reader goes
        elif name == "ban":
            c.sendall(b"error busy: 32 are being answered\n")
        elif name == "deny":  # more than is taken
            try:
                c.sendall(b"ok\n" + b"x" * (40 << 20))
            except OSError:
                pass
        elif name == "allow":  # ends without a word
            pass
        else:
            c.sendall(b"ok\n" + json.dumps(answers.get(name, [question]), separators=(",", ":")).encode() + b"\n")
        c.close()

    while True:
        threading.Thread(target=one, args=(s.accept()[0],), daemon=True).start()


# --- cases: without a token, whatever the daemon is ---------------------------------------------
def case_methods():
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"):
        r = ask("/metrics", method)
        check(method, r.status == 405, r.status)
        check(f"Allow of {method}", r.headers["Allow"] == "GET, HEAD", r.headers)
    for path in ("/", "/metrics", "/api/v1/status", "/healthz"):
        got, head = ask(path), ask(path, "HEAD")
        check(f"HEAD {path}", head.status == got.status == 200 and not head.body, head.status)
        check(f"length of {path}", head.headers["Content-Length"] == got.headers["Content-Length"])
        for name in ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"):
            check(f"{name} of {path}", got.headers[name], got.headers)
        check("CSP", "default-src 'none'" in got.headers["Content-Security-Policy"]
              and "frame-ancestors 'none'" in got.headers["Content-Security-Policy"]
              and "unsafe" not in got.headers["Content-Security-Policy"], got.headers)
    for path in ("/x", "/api/v1/", "/api/v1/run", "/api/v1/detach", "/../etc/passwd", "//", "/%00", "/index.html"):
        r = ask(path)
        check(f"{path} is nowhere", r.status == 404 and r.json()["error"]["code"] == "not_found", r.status)
    # a body is none of our business
    check("GET with a body", b" 400 " in raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"))


def case_types():
    check("metrics", ask("/metrics").headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8")
    r = ask("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"})
    check("OpenMetrics", r.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0"))
    first = ask("/app.js")
    check("tag", first.headers["ETag"] and first.headers["Cache-Control"] == "no-cache", first.headers)
    again = ask("/app.js", headers={"If-None-Match": first.headers["ETag"]})
    check("not modified", again.status == 304 and not again.body, again.status)
    import gzip
    small = ask("/app.js", headers={"Accept-Encoding": "gzip"})
    check("no gzip", not ask("/app.js", headers={"Accept-Encoding": "gzip;q=0"}).headers["Content-Encoding"])
    check("gzip", small.headers["Content-Encoding"] == "gzip" and gzip.decompress(small.body) == first.body)
    check("API is not kept", ask("/api/v1/status").headers["Cache-Control"] == "no-store")


def case_hosts():
    for host, good in (("localhost", 1), ("localhost:9857", 1), ("127.0.0.1:9857", 1), ("127.9.9.9", 1),
                       ("[::1]:9857", 1), ("LOCALHOST:80", 1), ("evil.example", 0), ("localhost.evil.example", 0),
                       ("127.0.0.1.evil.example", 0), ("10.0.0.1", 0), ("localhost:80:90", 0), ("[::1].evil", 0),
                       ("127.0.0.1@evil", 0)):
        r = ask("/api/v1/status", headers={"Host": host})
        check(f"Host {host}", (r.status == 200) == bool(good) and r.status in (200, 421), r.status)
    check("health for all", ask("/healthz", headers={"Host": "evil.example"}).status == 200)


EVIL = ["limit=5%09--pin%09/tmp", "limit=5%0Astatus", "limit=5%0a", "state=ESTABLISHED%09--count", "source=--help",
        "source=-j", "service=any%2080%09--count", "service=any", "service=--pin%20/x", "sort=age%00", "limit=1001",
        "limit=-1", "limit=", "limit", "limit=1e3", "limit=0x10", "offset=99999999999999999999", "pin=/tmp", "json=1",
        "socket=/x", "count=1", "older=5", "help=1", "%09=5", "=5", "state=NOPE", "sort=size", "reverse=no",
        "reverse=true", "limit=5;status", "source=10.0.0.0/8%0d", "state=" + "A" * 4000, "source=%c0%af",
        "&".join("state=established" for _ in range(60))]


def case_arguments(log=""):
    for words in EVIL:
        r = ask(f"/api/v1/conns?{words}")
        check(f"?{words[:60]}", r.status == 400, (r.status, r.body))
        check(f"?{words[:60]} is JSON", "error" in r.json())
    for path in ("status?x=1", "status?", "stats?limit=1", "events?limit=0", "events?limit=1001", "history?limit=901",
                 "events?limit=%2d-help", "sources?banned=1", "sources?limit=2000", "follow?x=y"):
        r = ask(f"/api/v1/{path}")
        check(path, r.status == (200 if path == "status?" else 400), (r.status, r.body))
    for words, want in (
            ("", "conns\t--limit\t1000"),
            ("state=ESTABLISHED,syn-sent&limit=5&offset=2",
             "conns\t--state\tESTABLISHED,syn-sent\t--limit\t5\t--offset\t2"),
            ("service=any%2080&sort=age&reverse=true&limit=9",
             "conns\t--service\tany 80\t--sort\tage\t--reverse\t--limit\t9"),
            ("source=2001:db8::/32&limit=1", "conns\t--source\t2001:db8::/32\t--limit\t1"),
            ("source=192.0.2.0%2F24&limit=1", "conns\t--source\t192.0.2.0/24\t--limit\t1")):
        r = ask(f"/api/v1/conns?{words}")
        check(f"?{words}", r.status == (200 if log else r.status), (r.status, r.body))
        if log:
            check(f"?{words}", r.json() == [want], r.body)
    if log:
        known = {"status", "conns", "recent", "history", "sources", "metrics"}
        with open(log) as f:
            for line in f:
                check("a word of a stranger's", line.split("\t")[0].strip() in known and "--pin" not in line, line)


def case_odd_daemon():
    """With the one made up: what is wrong with its answers is told, and costs nothing."""
    check("busy", ask("/api/v1/bans").status == 503 and ask("/api/v1/bans").json()["error"]["code"] == "busy")
    check("too large", ask("/api/v1/deny", patience=30).json()["error"]["code"] == "too_large")
    check("silent", ask("/api/v1/allow").status == 503)
    check("no device", ask("/readyz").status == 503, ask("/readyz").body)
    samples = ask("/api/v1/history?limit=3").json()["samples"]
    check("the last samples", [s["time"] for s in samples] == [897, 898, 899], samples)
    check("all samples", len(ask("/api/v1/history").json()["samples"]) == 900)
    s = socket.create_connection((HOST, PORT), timeout=5)
    s.sendall(b"GET /api/v1/follow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    got = b""
    while b'"n": 9}' not in got:
        got += s.recv(4096)
    check("events", b"text/event-stream" in got and b'data: {"kind": "packet", "n": 0}\n\n' in got, got)
    s.close()
    many = []
    for _ in range(12):
        many.append(socket.create_connection((HOST, PORT), timeout=5))
        many[-1].sendall(b"GET /api/v1/follow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    heads = [c.recv(20) for c in many]
    check("followers are few", sum(b" 503 " in h for h in heads) >= 3 and sum(b" 200 " in h for h in heads) >= 5, heads)
    for c in many:
        c.close()
    time.sleep(1.5)
    again = []
    for _ in range(8):
        again.append(socket.create_connection((HOST, PORT), timeout=5))
        again[-1].sendall(b"GET /api/v1/follow HTTP/1.1\r\nHost: localhost\r\n\r\n")
    heads = [c.recv(20) for c in again]
    check("the places of those who have gone", all(b" 200 " in h for h in heads), heads)
    # nothing more to ask is not gone
    again[0].shutdown(socket.SHUT_WR)
    got = b""
    while b'"n": 49}' not in got:
        more = again[0].recv(4096)
        check("a reader who is half closed", more, got)
        got += more
    for c in again:
        c.close()
    is_well("after followers")


def case_token(token):
    import base64
    check("no token", ask("/metrics").status == 401)
    check("scheme", "Bearer" in ask("/").headers["WWW-Authenticate"])
    for path in ["/", "/app.js", "/readyz", "/x", *(f"/api/v1/{name}" for name in API)]:
        check(f"{path} without", ask(path).status == 401, path)
    check("health", ask("/healthz").status == 200)
    for bad in (token[:-1], token + "x", "", " ", token.upper(), "Bearer"):
        check(f"token '{bad}'", ask("/metrics", headers={"Authorization": f"Bearer {bad}"}).status == 401)
    good = {"Authorization": f"Bearer {token}", "Host": "guard.example"}
    check("token", ask("/metrics", headers=good).status == 200)
    basic = base64.b64encode(f"anyone:{token}".encode()).decode()
    check("as a password", ask("/", headers={"Authorization": f"Basic {basic}"}).status == 200)
    check("another password", ask("/", headers={"Authorization": "Basic YTpi"}).status == 401)


def case_away():
    for name in API:
        r = ask(f"/api/v1/{name}")
        check(f"{name} without a daemon", r.status == 503 and r.headers["Retry-After"] == "1", r.status)
        check(name, r.json()["error"]["code"] == "daemon_away", r.body)
    check("metrics", ask("/metrics").status == 503)
    check("ready", ask("/readyz").status == 503)
    check("health", ask("/healthz").status == 200)
    check("page", ask("/").status == 200)


def case_stopped():
    """The daemon is there and does not answer: what needs it not is served at once."""
    waiting = []
    for i in range(40):
        waiting.append(socket.create_connection((HOST, PORT), timeout=5))
        waiting[-1].sendall(b"GET /api/v1/conns?limit=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % i)
    began = time.monotonic()
    check("health", ask("/healthz").status == 200 and ask("/").status == 200)
    check("at once", time.monotonic() - began < 1, time.monotonic() - began)
    for c in waiting:
        c.close()


# --- hostile ---------------------------------------------------------------------------------
def case_malformed():
    big = b"A" * 70000
    for data in (b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 100,
                 b"GET /" + big + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + big + b"\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 9000 + b"\r\n",
                 b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
                 b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
                 b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        got = raw(data, 1)
        check(f"{data[:40]}", not got or b" 4" in got[:13] or b" 5" in got[:13], got[:80])
    is_well("after malformed requests")


def case_fuzz(seed, seconds):
    rng = random.Random(int(seed, 0))
    good = [b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
            b"GET /api/v1/conns?limit=5&state=established HTTP/1.1\r\nHost: localhost\r\n\r\n",
            b"HEAD / HTTP/1.0\r\n\r\n", b"GET /api/v1/history?limit=3 HTTP/1.1\r\nHost: [::1]:9857\r\n"
            b"Authorization: Basic YTpi\r\nIf-None-Match: \"x\"\r\nAccept-Encoding: gzip\r\n\r\n",
            b"GET /%61pi/v1/status?x=%00%09 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"]
    odd = [b"\0", b"\r", b"\n", b"%", b"%00", b"\t", b" ", b":", b"\xff", b"?", b"&", b"=", b"/..", b"HTTP/1.1", b"Host:"]
    end, n = time.monotonic() + float(seconds), 0
    while time.monotonic() < end:
        data = bytearray(b"".join(rng.choices(good, k=rng.randint(1, 4))))
        for _ in range(rng.randint(1, 8)):
            at, kind = rng.randrange(len(data) + 1), rng.randrange(4)
            if kind == 0:
                data[at:at] = rng.choice(odd) * rng.randint(1, 3)
            elif kind == 1:
                del data[at:at + rng.randint(1, 12)]
            elif kind == 2 and at < len(data):
                data[at] = rng.randrange(256)
            else:
                data[at:at] = data[max(0, at - 40):at]
        s = socket.create_connection((HOST, PORT), timeout=5)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0" if rng.random() < .3 else b"\0" * 8)
        try:
            s.sendall(data[:rng.randint(1, len(data))] if rng.random() < .3 and len(data) > 1 else data)
            if rng.random() < .7:
                s.settimeout(0.02)
                s.recv(512)
        except OSError:
            pass
        s.close()
        n += 1
    is_well("after the fuzz")
    print(f"MEASURED {n} requests of the fuzz, seed {seed}")


def case_crowd(pid):
    """1,000 idle, 200 that send a byte now and then, 50 that take nothing: the rest is served."""
    def fds():
        return len(os.listdir(f"/proc/{pid}/fd"))

    def rss_mb():
        with open(f"/proc/{pid}/status") as f:
            return [int(line.split()[1]) // 1024 for line in f if line.startswith("VmRSS")][0]

    crowd = []

    def come(data=b""):
        s = socket.create_connection((HOST, PORT), timeout=5)
        s.sendall(data)
        crowd.append(s)

    worst = 0
    for i in range(1000):
        come()
        if i % 100 == 99:
            worst = max(worst, is_well(f"with {i + 1} idle clients"))
    slow = []
    for _ in range(200):
        come(b"GET /metrics HTTP/1.1\r\nHost: local")
        slow.append(crowd[-1])
    for _ in range(50):
        come(b"GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
    most_fds, most_mb = fds(), rss_mb()
    end, sent = time.monotonic() + 13, 0
    while time.monotonic() < end:
        worst = max(worst, is_well("in the crowd"))
        for s in slow:
            try:
                sent += s.send(b"h")
            except OSError:
                pass
        most_fds, most_mb = max(most_fds, fds()), max(most_mb, rss_mb())
        time.sleep(0.4)
    check("descriptors", most_fds < 1200, most_fds)
    check("memory in MB", most_mb < 100, most_mb)
    check("who only sent a byte now and then is gone after 13 s", fds() < 150, fds())
    for s in crowd:
        s.close()
    print(f"MEASURED crowd of 1250: /metrics in {worst * 1000:.0f} ms at worst, "
          f"{most_fds} descriptors, {most_mb} MB resident")


if __name__ == "__main__":
    if sys.argv[1] == "fake":
        fake(*sys.argv[2:])
    else:
        globals()[f"case_{sys.argv[1]}"](*sys.argv[2:])
