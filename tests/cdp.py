# SPDX-License-Identifier: GPL-2.0-or-later
"""Headless Chromium by its own protocol over a pipe (fds 3 and 4): a page, its script, its picture."""
import base64
import json
import os
import select
import shutil
import subprocess
import time

# a browser of root's, in a namespace with one page of our own: the sandbox needs what is not there
ARGS = """--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run
    --disable-extensions --disable-background-networking --disable-component-update --disable-sync
    --no-default-browser-check --hide-scrollbars --mute-audio --remote-debugging-pipe""".split()


def remove(profile):
    """Helpers of a browser that was killed write for a moment more."""
    for _ in range(100):
        shutil.rmtree(profile, ignore_errors=True)
        if not os.path.exists(profile):
            return
        time.sleep(0.1)
    raise RuntimeError("somebody writes to %s" % profile)


class Browser:
    def __init__(self, profile, chromium="chromium"):
        down, to_chromium = os.pipe()
        from_chromium, up = os.pipe()
        # the numbers it looks for, whatever ours are
        low = [os.dup2(fd, 100 + i) for i, fd in enumerate((down, up))]

        def child():
            os.dup2(low[0], 3)
            os.dup2(low[1], 4)

        self.process = subprocess.Popen(
            [chromium, *ARGS, f"--user-data-dir={profile}", "about:blank"], preexec_fn=child,
            pass_fds=(3, 4), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "HOME": profile, "XDG_CONFIG_HOME": profile})
        for fd in (down, up, *low):
            os.close(fd)
        self.write, self.read = to_chromium, from_chromium
        self.rest, self.last, self.session = b"", 0, None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def receive(self, patience):
        end = time.monotonic() + patience
        while b"\0" not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.read], [], [], left)[0]:
                return None
            more = os.read(self.read, 1 << 20)
            if not more:
                raise RuntimeError("the browser has ended")
            self.rest += more
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, **params):
        self.last += 1
        words = {"id": self.last, "method": method, "params": params}
        if self.session:
            words["sessionId"] = self.session
        os.write(self.write, json.dumps(words).encode() + b"\0")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            got = self.receive(1)
            if got is None:
                continue
            if got.get("id") != self.last:
                self.events.append(got)
            elif "error" in got:
                raise RuntimeError(f"{method}: {got['error']}")
            else:
                return got["result"]
        raise RuntimeError(f"{method}: no answer")

    def evaluate(self, script):
        got = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in got:
            raise RuntimeError(str(got["exceptionDetails"]))
        return got["result"].get("value")

    def until(self, script, seconds=20):
        end = time.monotonic() + seconds
        while not self.evaluate(script):
            if time.monotonic() > end:
                raise RuntimeError(f"waited in vain for: {script}")
            time.sleep(0.1)

    def view(self, width, height, dark=False, scale=1, motion="no-preference"):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=width < 500)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": motion}])

    def go(self, url):
        self.call("Page.navigate", url=url)

    def key(self, name, code=0, shift=False):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name,
                      windowsVirtualKeyCode=code, modifiers=8 if shift else 0)

    def picture(self, path, whole=True):
        got = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as f:
            f.write(base64.b64decode(got["data"]))

    def complaints(self):
        """What a console would show in red: errors, exceptions, broken rules of the CSP."""
        bad = []
        for e in self.events:
            p = e.get("params", {})
            if e.get("method") == "Runtime.exceptionThrown":
                bad.append(str(p["exceptionDetails"])[:400])
            elif e.get("method") == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning", "assert"):
                bad.append(str(p["args"])[:400])
            elif e.get("method") == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
                bad.append(f"{p['entry']['text']} {p['entry'].get('url', '')}"[:400])
        return bad

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.write)
        os.close(self.read)
