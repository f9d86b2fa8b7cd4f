# SPDX-License-Identifier: GPL-2.0-or-later
"""The page in headless Chromium: page.py URL DIR live|still|away

live: under a flood; figures rise, the state is told; pictures of it go to DIR.
still: nothing moves; each figure equals the metric it names.
away: nobody answers; the page says so and keeps what it has.
"""
import json
import os
import sys
import tempfile
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import cdp  # noqa: E402

URL, DIR, MODE = sys.argv[1:4]

# name, labels (a list is "any of"), or undefined: no such series
SUM = """(text, name, want) => { let sum; for (const row of text.split("\\n")) {
    const m = /^([a-z_A-Z:]+)(?:\\{(.*)\\})? (\\S+)/.exec(row); if (!m || m[1] !== name) continue;
    const labels = Object.fromEntries([...(m[2] ?? "").matchAll(/(\\w+)="([^"]*)"/g)].map((x) => [x[1], x[2]]));
    if (Object.entries(want).every(([k, v]) => [].concat(v).includes(labels[k]))) sum = (sum ?? 0) + Number(m[3]); }
    return sum; }"""

# contrast of text to what is behind it, by the formula of WCAG; 3 suffices for large text
CONTRAST = """(() => { const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
    const lum = (c) => { const f = c.slice(0, 3).map((v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
    const bad = [];
    for (const e of document.querySelectorAll("body *")) {
        if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || e.closest("[hidden], noscript, .skip")
            || ["SCRIPT", "TITLE"].includes(e.tagName.toUpperCase()) || !e.getClientRects().length) continue;
        const style = getComputedStyle(e), svg = e instanceof SVGElement;
        let behind = e; while (behind.parentElement && parse(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
        const a = lum(parse(svg ? style.fill : style.color)), b = lum(parse(getComputedStyle(behind).backgroundColor));
        const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05), big = parseFloat(style.fontSize) >= 24;
        if (ratio < (big ? 3 : 4.5)) bad.push(`${e.tagName}.${e.className} "${e.textContent.trim().slice(0, 30)}" ${ratio.toFixed(2)}`); }
    return bad; })()"""

NAMES = """(() => { const bad = [], ids = new Set();
    for (const e of document.querySelectorAll("[id]")) ids.has(e.id) ? bad.push(`id ${e.id} twice`) : ids.add(e.id);
    for (const e of document.querySelectorAll("button, a, [tabindex='0'], [role=img], section, [role=region], [role=group]")) {
        const by = e.getAttribute("aria-labelledby");
        const name = e.getAttribute("aria-label") || (by && document.getElementById(by)?.textContent) || (/BUTTON|^A$/.test(e.tagName) && e.textContent.trim());
        if (!name) bad.push(`${e.tagName}#${e.id} has no name`); }
    if (document.querySelectorAll("h1").length !== 1) bad.push("not one h1");
    if (!document.documentElement.lang) bad.push("no lang");
    for (const t of document.querySelectorAll("th")) if (!t.scope) bad.push(`th ${t.textContent} has no scope`);
    for (const e of document.querySelectorAll("[style]:not(.uplot *):not(.uplot), [onclick]")) bad.push(`${e.tagName} has inline style or script`);
    return bad; })()"""


def check(what, good, got=""):
    if not good:
        print(f"FAIL: {what}: {str(got)[:900]}")
        sys.exit(1)


def figures_equal_metrics(b):
    """The text of each figure that is no rate, against /metrics as another client reads it."""
    with urllib.request.urlopen(f"{URL}metrics") as r:
        text = r.read().decode()
    wrong = b.evaluate(f"""((text) => {{ const sum = {SUM}; const wrong = [];
        for (const e of document.querySelectorAll("[data-metric]:not([data-rate])")) {{
            const want = sum(text, e.dataset.metric, JSON.parse(e.dataset.labels));
            const shown = e.textContent === "–" ? undefined : Number(e.textContent.replace(/\\D/g, ""));
            if (shown !== want) wrong.push(`${{e.title}}: ${{e.textContent}}, ${{want}}`);
            if (!e.title.includes(e.dataset.metric)) wrong.push(`${{e.dataset.metric}} is not named`); }}
        return wrong; }})({json.dumps(text)})""")
    known = b.evaluate("[...document.querySelectorAll('[data-metric]')].map((e) => e.dataset.metric)")
    for name in set(known):
        check(f"{name} is exported", f"# TYPE {name} " in text, name)
    return wrong


def keyboard_reaches(b):
    reached = []
    b.evaluate("document.activeElement.blur()")
    for _ in range(40):
        b.key("Tab", 9)
        at = b.evaluate("(document.activeElement.id || document.activeElement.getAttribute('aria-labelledby') || "
                        "document.activeElement.getAttribute('href') || document.activeElement.tagName)")
        if at in reached[:1] and len(reached) > 3:
            break
        reached.append(at)
    for want in ("#main", "scale", "pause", "c-syns", "c-drops", "c-conns", "h-services", "h-sources", "h-events"):
        check(f"{want} by Tab", want in reached, reached)
    b.evaluate("document.getElementById('scale').focus()")
    b.key(" ", 32)
    check("log scale by a key", b.evaluate("document.getElementById('scale').getAttribute('aria-pressed')") == "false")
    b.key(" ", 32)
    b.evaluate("document.getElementById('c-syns').focus()")
    before = b.evaluate("document.querySelector('#c-syns .when').textContent")
    for _ in range(3):
        b.key("ArrowLeft", 37)
    check("chart by arrow keys", b.evaluate("document.querySelector('#c-syns .when').textContent") != before, before)
    b.key("Escape", 27)


def still(b):
    # a rate needs two readings
    b.until("document.querySelectorAll('#services tbody tr').length > 0 && Boolean(document.querySelector('[data-rate]:not([data-value=\"\"])'))")
    for _ in range(20):
        wrong = figures_equal_metrics(b)
        if not wrong:
            break
        b.until("new Promise((r) => setTimeout(() => r(true), 500))")
    check("figures equal metrics", not wrong, wrong)
    empty = b.evaluate("[...document.querySelectorAll('#tiles [data-value=\"\"]')].map((e) => e.title)")
    check("each figure of the tiles is exported", not empty, empty)
    check("names", not b.evaluate(NAMES), b.evaluate(NAMES))
    for dark in (False, True):
        b.view(1240, 900, dark, motion="reduce")  # nothing on its way from one colour to another
        b.until("new Promise((r) => setTimeout(() => r(true), 300))")
        check("contrast", not b.evaluate(CONTRAST), b.evaluate(CONTRAST))
    for width in (1240, 390, 320):
        b.view(width, 800)
        # charts take the new width in a frame of their own
        fits = f"document.documentElement.scrollWidth <= {width}"
        b.until(f"new Promise((r) => setTimeout(() => r({fits}), 100))")
    b.view(1240, 900)
    keyboard_reaches(b)


def live(b):
    b.until("document.getElementById('state').dataset.state === 'attacked'", 25)
    b.until("Number(document.querySelector('.tile.syns .now [data-metric]').dataset.value) > 1000")
    b.until("document.querySelectorAll('#events li').length > 1 && document.querySelectorAll('#attacks li .go').length", 10)
    check("symbol", "▲" in b.evaluate("document.getElementById('state').textContent + document.title"))
    lines = "canvas" if b.evaluate("Boolean(window.uPlot)") else "svg.plain"
    b.until(f"document.querySelectorAll('.chart {lines}').length === 3")
    b.until("new Promise((r) => setTimeout(() => r(true), 3000))")
    for name, width, height, dark in (("page-light", 1240, 980, False), ("page-dark", 1240, 980, True),
                                      ("page-phone", 390, 844, True)):
        b.view(width, height, dark)
        b.until("new Promise((r) => setTimeout(() => r(true), 400))")
        b.picture(f"{DIR}/{name}.png", False)
    b.view(1240, 900)
    b.until("Number(document.querySelector('.tile.syns .sum [data-metric]').dataset.value) > 1000")


def away(b):
    """In one browser: it answers until the file DIR/go-on is there, then it does not."""
    b.until("document.getElementById('state').dataset.state !== 'unknown'")
    print("shown", flush=True)
    b.until("!document.getElementById('stale').hidden", 30)
    check("what is shown stays", b.evaluate("document.querySelectorAll('#services tbody tr td').length") > 1)
    check("it is told", "No answer" in b.evaluate("document.getElementById('stale').textContent"))
    check("and dimmed", b.evaluate("document.getElementById('main').classList.contains('old')"))


def main():
    profile = tempfile.mkdtemp()
    b = cdp.Browser(profile)
    try:
        b.view(1240, 900)
        b.go(URL)
        b.until("document.readyState === 'complete'")
        {"still": still, "live": live, "away": away}[MODE](b)
        complaints = b.complaints()
        if MODE == "away":  # that an answer failed is told by the browser as well
            complaints = [c for c in complaints if "503" not in c and "ERR_" not in c]
        check("nothing in the console", not complaints, complaints)
    finally:
        b.close()
        cdp.remove(profile)


main()
