# SPDX-License-Identifier: GPL-2.0-or-later
"""The page in headless Chromium with answers made up: page_made.py URL [PICTURE]

What a guard in a test seldom has: 127 services, one that is deleted, another day, a device that is
gone. The page is the real one; only its fetch() is answered here.
"""
import json
import sys
import tempfile
import time

import cdp

URL = sys.argv[1]
FETCH = """
window.made = { asked: [], fail: "", "api/v1/events": "", "api/v1/attacks": [], "api/v1/sources": [],
    "api/v1/status": { version: "1", engine: "reqsk", armed: true, devices: [
        { device: "e0", mode: "native", alive: true }, { device: "e1", mode: "native", alive: true }] },
    "api/v1/services": [], "api/v1/history": { samples: [] }, metrics: "" };
window.fetch = async (path) => {
    made.asked.push(path);
    if (made.fail) throw new TypeError(made.fail);
    const body = made[path.split("?")[0]];
    return new Response(typeof body === "string" ? body : JSON.stringify(body));
};
"""
ATTACHED = 'synwarden_device_attached{device="e0"} 1\nsynwarden_device_attached{device="e1"} %d\n'


def check(what, good, got=""):
    if not good:
        print(f"FAIL: {what}: {str(got)[:900]}")
        sys.exit(1)


def is_so(b, what, script, seconds=20):
    end = time.monotonic() + seconds
    while not b.evaluate(script):
        check(what, time.monotonic() < end, b.evaluate(
            "document.title + ' | ' + document.body.innerText.replace(/\\s+/g, ' ').slice(0, 700)"))
        time.sleep(0.1)


def give(b, **answers):
    for name, value in answers.items():
        b.evaluate("made[%s] = %s" % (json.dumps(name.replace("_", "/")), json.dumps(value)))


def service(name, mode="auto", armed=False):
    return {"service": name, "mode": mode, "armed": armed}


def words(b, want):
    is_so(b, f"state '{want}'", "document.querySelector('#state .words').textContent === " + json.dumps(want))


def states_are_told(b):
    give(b, metrics=ATTACHED % 1)
    words(b, "idle: no service is guarded")
    give(b, api_v1_services=[service("any 80", "monitor"), service("any 22", "off")])
    words(b, "watching: no service is in mode auto or always")
    give(b, api_v1_services=[service("any 80")])
    words(b, "armed: on guard, no attack")
    check("title", b.evaluate("document.title") == "● armed – synwarden", b.evaluate("document.title"))
    give(b, metrics=ATTACHED % 0)
    words(b, "armed: on guard, no attack; not guarded: e1")
    check("title", b.evaluate("document.title").startswith("✕ not guarded"), b.evaluate("document.title"))
    give(b, metrics=ATTACHED % 1)
    words(b, "armed: on guard, no attack")


def title_tells_no_old_state(b):
    b.evaluate("window.told = 0; new MutationObserver((all) => told += all.length).observe("
               "document.getElementById('stale'), { childList: true, characterData: true, subtree: true }); made.fail = 'gone'")
    is_so(b, "no answer", "document.title === '✕ no answer – synwarden'")
    time.sleep(2.5)
    told = b.evaluate("told")
    check("that nobody answers is said once", told <= 2, told)
    b.evaluate("made.fail = ''")
    is_so(b, "an answer again", "document.title === '● armed – synwarden'")
    hide = "Object.defineProperty(document, 'hidden', { configurable: true, get: () => %s });" \
           "document.dispatchEvent(new Event('visibilitychange'))"
    b.evaluate(hide % "true")
    is_so(b, "hidden", "document.title === 'synwarden'")
    b.evaluate(hide % "false")
    is_so(b, "seen again", "document.title === '● armed – synwarden'")
    b.evaluate("document.getElementById('pause').click()")
    is_so(b, "frozen", "document.title === 'frozen – synwarden'")
    b.evaluate("document.getElementById('pause').click()")


def rates_are_of_now(b):
    got = b.evaluate("""(async () => { const { Metrics } = await import("./metrics.js"), real = Date.now;
        let now = 1e12; Date.now = () => now; const m = new Metrics(), all = [];
        const add = (ms, text) => { now += ms; m.add(text); all.push(m.rate("x") ?? null); };
        add(0, 'x{s="a"} 900000\\nx{s="b"} 500'); add(1000, 'x{s="a"} 900100\\nx{s="b"} 500');
        add(1000, 'x{s="b"} 540'); add(1000, 'x{s="b"} 5');
        add(3600000, 'x{s="b"} 7200005'); add(1000, 'x{s="b"} 7200015'); add(-5000, 'x{s="b"} 7200025');
        Date.now = real; return all; })()""")
    # the first; 100 in 1 s; a deleted one counts no more; one that fell to 5 in 3 s; after an hour; the clock set back
    check("rates", got == [None, 100, 20, 5 / 3, None, 10, None], got)


def times_are_whole(b):
    got = b.evaluate("import('./charts.js').then((c) => [c.clock(1000000000 - 6390), c.moment(Date.now() / 1000), "
                     "c.moment(1000000000)])")
    check("a quarter past midnight", got[0] == "00:00:10", got)
    check("today", len(got[1]) == 8, got)
    check("another day", got[2] == "Sep 9 01:46:40", got)


def many_services(b):
    now = time.time()
    names = [f"2001:db8:{i:x}::/48 {1000 + i}" for i in range(127)]
    metric = "".join(f'synwarden_{m}{{service="{n}",{x}}} {i * 98765}\n' for i, n in enumerate(names) for m, x in (
        *(("syns_total", f'outcome="{o}"') for o in "passed answered dropped limited would_answer would_drop would_limit".split()),
        *(("connections", f'state="{s}"') for s in "established syn_recv time_wait close".split()),
        ("cookies_sent_total", ""), ("cookies_valid_total", "")))
    metric += 'synwarden_packets_total{hook="xdp",reason="drop_cookie",verdict="drop"} 987654321098765\n'
    samples = [{"time": now - 900 + i, "syns": i, "answered": 1, "finished": 0, "reasons": {}, "states": {}} for i in range(900)]
    give(b, api_v1_services=[service(n, armed=n == names[100]) for n in names], metrics=ATTACHED % 1 + metric,
         api_v1_history={"samples": samples}, api_v1_attacks=[
             {"service": names[100], "start": now - 60, "seconds": 60, "cause": "syns", "syns": 9, "peak_syns_per_s": 9},
             {"service": names[3], "start": now - 3 * 86400, "end": now - 3 * 86400 + 9, "seconds": 9, "cause": "syns",
              "syns": 9, "peak_syns_per_s": 9}])
    is_so(b, "a row for each", "document.querySelectorAll('#services tbody tr').length === 127")
    is_so(b, "the attacked one has a place in the timeline",
          "document.querySelectorAll('#timeline .hit').length === 1 && document.querySelectorAll('#timeline .row').length === 8")
    is_so(b, "how many have none", "document.getElementById('timeline').textContent.includes('and 119 more')")
    is_so(b, "the day of an old attack", "/since [A-Z][a-z]{2} \\d+ /.test(document.querySelectorAll('#attacks li')[1].textContent)")
    for width in (1240, 390, 320):
        b.view(width, 800)
        is_so(b, f"{width} px wide", f"new Promise((r) => setTimeout(() => r(document.documentElement.scrollWidth <= {width}), 200))")
    b.view(1240, 1250)
    busy = "performance.now"
    took = b.evaluate(f"""(async () => {{ let all = 0, last = {busy}(); const end = last + 3000;
        while (last < end) {{ await new Promise((r) => setTimeout(r, 5)); const now = {busy}(); if (now - last > 20) all += now - last; last = now; }}
        return all / 3; }})()""")
    print(f"MEASURED 127 services: the page is busy for {took:.0f} ms a second")


def what_stays_is_left_alone(b):
    select = "(() => { const s = getSelection(); s.selectAllChildren(document.querySelector('#services tbody td')); return String(s); })()"
    name = b.evaluate(select)
    time.sleep(2.5)
    check("a name that was selected stays so", name and b.evaluate("String(getSelection())") == name, b.evaluate("String(getSelection())"))


def server_with_another_clock(b):
    asked = b.evaluate("['api/v1/history', 'api/v1/history?limit=15'].map((path) => made.asked.filter((p) => p === path).length)")
    check("15 minutes are asked for once, and after a pause", asked[0] * 3 < asked[1], asked)
    now = time.time() - 7200
    # the same two seconds, told a microsecond apart
    for late in (0, 2e-6, 0, 4e-6):
        give(b, api_v1_history={"samples": [{"time": now + i + late, "syns": 7, "answered": 0, "finished": 0, "reasons": {}, "states": {}}
                                            for i in range(2)]})
        time.sleep(1.1)
    b.evaluate("document.getElementById('c-syns').focus()")
    first = b.evaluate("document.querySelector('#c-syns .when').textContent")
    b.key("ArrowLeft", 37)
    second = b.evaluate("document.querySelector('#c-syns .when').textContent")
    check("a second is there once", first != second, (first, second))


def main():
    profile = tempfile.mkdtemp()
    b = cdp.Browser(profile)
    try:
        b.call("Emulation.setTimezoneOverride", timezoneId="UTC")
        b.call("Emulation.setLocaleOverride", locale="en-US")
        b.call("Page.addScriptToEvaluateOnNewDocument", source=FETCH)
        b.view(1240, 900)
        b.go(URL)
        b.until("document.readyState === 'complete'")
        for case in (states_are_told, title_tells_no_old_state, rates_are_of_now, times_are_whole, many_services,
                     what_stays_is_left_alone, server_with_another_clock):
            case(b)
            if len(sys.argv) > 2:
                b.picture(f"{sys.argv[2]}/made-{case.__name__}.png", False)
        check("nothing in the console", not b.complaints(), b.complaints())
    finally:
        b.close()
        cdp.remove(profile)


main()
