/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The page: asks once a second while it is seen, and shows. What comes from the network is only
 * ever set as text.
 */
import { Chart, count, element, moment, settle, span, timeline } from "./charts.js";
import { Metrics, expression } from "./metrics.js";

const WINDOW_S = 900, SECOND_MS = 1000, PATIENCE_MS = 5000, FRESH_MS = 10000;
const STATES = ["SYN-RECEIVED", "ESTABLISHED", "TIME-WAIT", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "CLOSED"];
const BIG = { armed: "▲", disarmed: "○", attack: "■", lost: "✕", table_full: "✕" };
const $ = (id) => document.getElementById(id);

const metrics = new Metrics();
let samples = [], services = [], attacks = [], status = null;
let frozen = false, wrong = null, answeredAt = null, sampledAt = 0, beat = 0, timer = 0, asking = false;

const charts = {
	syns: new Chart($("c-syns"), "SYNs per second", true),
	drops: new Chart($("c-drops"), "Drops by reason, per second"),
	conns: new Chart($("c-conns"), "Connections by state"),
};

/* --- figures ---------------------------------------------------------------------------- */

/* An element that shows a metric, or its rate, and says which. */
function figure(tag, name, want = {}, { rate = false, className = "" } = {}) {
	const e = element(tag, { class: className, title: expression(name, want, rate),
		data: { metric: name, labels: JSON.stringify(want), ...(rate ? { rate: "1" } : {}) } });
	return fill(e);
}

function fill(e) {
	const want = JSON.parse(e.dataset.labels);
	const value = e.dataset.rate ? metrics.rate(e.dataset.metric, want) : metrics.sum(e.dataset.metric, want);
	e.dataset.value = value ?? "";
	const words = value === undefined ? "–" : count.format(value);
	if (e.textContent !== words)
		e.textContent = words;
	return e;
}

function makeTiles() {
	const tile = (kind, title, now, unit, sum) => element("div", { class: `tile ${kind}` },
		element("h2", {}, title), element("p", { class: "now" }, now, " ", element("span", { class: "unit" }, unit)),
		element("p", { class: "sum" }, ...sum));
	const rate = { rate: true }, drop = { verdict: "drop" };
	const pair = (kind, title, name, want = {}) => tile(kind, title, figure("span", name, want, rate), "/s",
		[figure("span", name, want), " in all"]);
	$("tiles").replaceChildren(
		pair("syns", "SYNs", "synwarden_syns_total"),
		pair("answered", "Answered", "synwarden_cookies_sent_total"),
		pair("finished", "Handshakes finished", "synwarden_cookies_valid_total"),
		pair("dropped", "Dropped", "synwarden_packets_total", drop),
		tile("conns", "Connections", figure("span", "synwarden_table_entries", { table: "proven" }), "",
			["of ", figure("span", "synwarden_table_entries_limit", { table: "proven" }), " tracked"]),
		tile("half", "Half-open", figure("span", "synwarden_connections", { state: "syn_recv" }), "",
			[figure("span", "synwarden_bans"), " sources banned"]));
}

/* --- charts ----------------------------------------------------------------------------- */

/* The names with the highest sum, in a fixed order, so that a line keeps its colour; and the rest. */
function setTop(chart, field, most, order, accept = () => true) {
	const sums = {};
	for (const s of samples)
		for (const [name, n] of Object.entries(s[field] ?? {}))
			if (accept(name))
				sums[name] = (sums[name] ?? 0) + n;
	const names = Object.keys(sums).sort((a, b) => sums[b] - sums[a]);
	const shown = names.slice(0, most).sort((a, b) => order.indexOf(a) - order.indexOf(b) || a.localeCompare(b));
	const others = names.slice(most);
	const data = [samples.map((s) => s.time),
		...shown.map((name) => samples.map((s) => s[field]?.[name] ?? 0))];
	if (others.length)
		data.push(samples.map((s) => others.reduce((sum, name) => sum + (s[field]?.[name] ?? 0), 0)));
	chart.set(others.length ? [...shown, "others"] : shown, data);
}

function showCharts() {
	const of = (name) => samples.map((s) => s[name]);
	charts.syns.set(["SYNs", "answered", "finished"],
		[of("time"), of("syns"), of("answered"), of("finished")]);
	setTop(charts.drops, "reasons", 5, [], (name) => name.startsWith("drop_"));
	setTop(charts.conns, "states", 5, STATES);
	if (samples.length)
		timeline($("timeline"), services.map((s) => s.service), attacks, samples.at(-1).time,
			span(samples.map((s) => s.time)));
}

/*
 * What is told now stands for the time from its first on, also where the server's clock was set
 * back; the same second is not told to the microsecond each time.
 */
function addSamples(more) {
	const from = more.length ? more[0].time - 0.5 : Infinity;
	samples = samples.filter((s) => s.time < from).concat(more).slice(-WINDOW_S);
	sampledAt = Date.now();
}

/* --- tables ----------------------------------------------------------------------------- */

function stateOf(s) {
	if (s.armed)
		return ["attacked", "▲ attacked"];
	return s.mode === "always" ? ["armed", "● armed"] : ["idle", "○ idle"];
}

function serviceRow(s) {
	const [state, words] = stateOf(s), of = { service: s.service }, rate = { rate: true };
	const cell = (label, child, className = "") => element("td", { class: className, data: { label } }, child);
	const n = (label, name, want, options) => cell(label, figure("span", name, { ...of, ...want }, options), "n");
	return element("tr", {}, cell("Service", s.service), cell("State", words, `is-${state}`), cell("Mode", s.mode),
		n("SYN/s", "synwarden_syns_total", {}, rate),
		n("Answered/s", "synwarden_cookies_sent_total", {}, rate),
		n("Finished/s", "synwarden_cookies_valid_total", {}, rate),
		n("SYNs dropped/s", "synwarden_syns_total", { outcome: ["dropped", "limited"] }, rate),
		n("Half-open", "synwarden_connections", { state: "syn_recv" }),
		n("Connections", "synwarden_connections", {}));
}

function body(id, rows, columns, empty) {
	settle($(id).tBodies[0], element("tbody", {}, ...(rows.length ? rows :
		[element("tr", {}, element("td", { colspan: columns, class: "empty" }, empty))])));
}

function showServices() {
	body("services", services.map(serviceRow), 9, "No service is guarded: synwarden service add any 80");
}

function showSources(sources) {
	const n = (value) => element("td", { class: "n" }, count.format(value ?? 0));
	body("sources", sources.slice(0, 12).map((s) => element("tr", {},
		element("td", { class: "mono" }, s.source), element("td", {}, s.service),
		n(s.conns), n(s.half_closed), n(s.over_limit),
		element("td", { class: s.banned_s ? "is-attacked" : "" }, s.banned_s ? `✕ ${count.format(s.banned_s)} s` : "no"))),
	6, "None: sources are kept of services with limits (--per-source)");
}

function showReasons() {
	const rows = metrics.rows("synwarden_packets_total").filter((r) => r.value)
		.sort((a, b) => b.value - a.value).slice(0, 20);
	body("reasons", rows.map((r) => element("tr", {},
		element("td", { class: "mono" }, r.labels.reason),
		element("td", { class: r.labels.verdict === "would_drop" ? "would" : "" }, (r.labels.verdict ?? "").replace("_", " ")),
		element("td", {}, r.labels.hook ?? ""),
		element("td", { class: "n" }, figure("span", "synwarden_packets_total", r.labels)),
		element("td", { class: "n" }, figure("span", "synwarden_packets_total", r.labels, { rate: true })))),
	5, "No packet yet");
}

function duration(s) {
	const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]].filter(([n]) => s >= n).slice(0, 2);
	return parts.map(([n, unit], i) => `${Math.floor(i ? s % parts[0][0] / n : s / n)} ${unit}`).join(" ") || "0 s";
}

function showAttacks() {
	const items = attacks.slice(0, 5).map((a) => element("li", {},
		element("span", { class: a.end ? "" : "go" }, a.end ? "■ over" : "▲ now"),
		` ${a.service}: since ${moment(a.start)}, ${duration(a.seconds)}, ` +
		`peak ${count.format(a.peak_syns_per_s)} SYN/s, ${count.format(a.syns)} SYNs, cause ${a.cause}`));
	settle($("attacks"), element("ul", {}, ...(items.length ? items :
		[element("li", { class: "muted" }, "None since the guard was attached.")])));
}

function eventWords(e) {
	const of = e.service ?? "no service";
	switch (e.kind) {
	case "armed": return `${of}: ${e.cause}, ${count.format(e.syns_per_s)} SYN/s`;
	case "disarmed": return `${of}: ${count.format(e.syns_per_s ?? 0)} SYN/s at the most`;
	case "attack": return `${of}: over after ${duration(e.duration_s)}, peak ${count.format(e.peak_syns_per_s)} SYN/s` +
		(e.sources?.length ? `, most from ${e.sources[0].prefix}` : "");
	case "lost": return `${count.format(e.events)} events, at ${e.stage}`;
	case "state": return `${e.src} → ${e.dst}: ${e.from} → ${e.to}`;
	case "table_full": return `table ${e.table}: connections go untracked`;
	default: return `${e.src} → ${e.dst} ${e.flags ?? ""}${e.packets > 1 ? ` × ${count.format(e.packets)}` : ""}` +
		(e.would ? " (would)" : "");
	}
}

function showEvents(text) {
	const events = text.split("\n").filter(Boolean).map((line) => JSON.parse(line)).reverse();
	const items = events.map((e) => element("li", { class: BIG[e.kind] ? "big" : "" },
		element("time", {}, moment(e.time)),
		element("span", { class: "detail" },
			element("span", { class: "what" }, `${BIG[e.kind] ? `${BIG[e.kind]} ` : ""}${e.kind === "packet" ? e.reason : e.kind.replace("_", " ")}`),
			` ${eventWords(e)}`)));
	settle($("events"), element("ol", {}, ...(items.length ? items : [element("li", { class: "muted" }, "None yet.")])));
}

/* --- header ----------------------------------------------------------------------------- */

/* Of what is set up: a state, its symbol, its words. */
function stateNow() {
	const hit = services.filter((s) => s.armed).map((s) => s.service);
	if (!status)
		return ["unknown", "…", "asking"];
	if (!status.armed || !status.devices.some((d) => d.alive))
		return ["idle", "○", status.devices.length ? "idle: everything passes" : "idle: no device attached"];
	if (hit.length)
		return ["attacked", "▲", `attacked: ${hit.slice(0, 2).join(", ")}${hit.length > 2 ? ` and ${hit.length - 2} more` : ""}`];
	if (!services.length)
		return ["idle", "○", "idle: no service is guarded"];
	if (!services.some((s) => s.mode === "auto" || s.mode === "always"))
		return ["idle", "○", "watching: no service is in mode auto or always"];
	return ["armed", "●", "armed: on guard, no attack"];
}

/* Devices whose frames do not reach the guard, or are not for it. */
function unguarded() {
	return metrics.rows("synwarden_device_attached").filter((r) => !r.value).map((r) => r.labels.device);
}

function showState() {
	let [state, symbol, words] = stateNow();
	const out = state === "unknown" ? [] : unguarded();
	if (out.length) {
		words += `; not guarded: ${out.join(", ")}`;
		if (state !== "attacked")
			[state, symbol] = ["gap", "✕"];
	}
	const box = $("state");
	if (box.dataset.words === words)
		return; /* or it would be read aloud each second */
	box.dataset.state = state;
	box.dataset.words = words;
	box.querySelector(".symbol").textContent = symbol;
	box.querySelector(".words").textContent = words;
	showTitle();
}

/* What a tab that is not looked at still tells: no state that nobody asks for any more. */
function showTitle() {
	const box = $("state"), state = box.dataset.state === "gap" ? "not guarded" : box.dataset.state;
	let words = `${box.querySelector(".symbol").textContent} ${state} – synwarden`;
	if (wrong)
		words = "✕ no answer – synwarden";
	else if (document.hidden || frozen)
		words = frozen ? "frozen – synwarden" : "synwarden";
	document.title = words;
}

function showAbout() {
	if (!status)
		return;
	$("host").textContent = status.devices.map((d) => `${d.device} (${d.mode})`).join(", ");
	$("about").textContent = `synwarden ${status.version}, engine ${status.engine}.`;
}

function showStale() {
	const box = $("stale"), words = !wrong ? "" : `No answer (${wrong}). ` +
		(answeredAt ? `The figures are those of ${moment(answeredAt / 1000)}.` : "There are no figures yet.");
	box.hidden = !wrong;
	$("main").classList.toggle("old", Boolean(wrong));
	if (box.textContent !== words)
		box.textContent = words; /* not each second: it is read aloud */
	showTitle();
}

/* --- asking ----------------------------------------------------------------------------- */

async function ask(path) {
	const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
	if (!response.ok) {
		const told = await response.json().catch(() => null);
		throw new Error(told?.error?.message ?? `HTTP ${response.status}`);
	}
	return response;
}
const json = async (path) => (await ask(path)).json();
const text = async (path) => (await ask(path)).text();

async function askAll() {
	/* by this machine's clock alone: the server's may be another */
	const gap = Date.now() - sampledAt, slow = beat++ % 2 === 0;
	const [numbers, history, list] = await Promise.all([text("metrics"),
		json(gap >= 0 && gap < FRESH_MS ? "api/v1/history?limit=15" : "api/v1/history"), json("api/v1/services")]);
	const others = slow ? await Promise.all([json("api/v1/status"), json("api/v1/attacks"),
		json("api/v1/sources?limit=12"), text("api/v1/events?limit=60")]) : null;
	if (frozen)
		return;
	metrics.add(numbers);
	addSamples(history.samples);
	services = list;
	if (others) {
		[status, attacks] = others;
		showAttacks();
		showSources(others[2]);
		showEvents(others[3]);
		showAbout();
	}
	document.querySelectorAll("#tiles [data-metric]").forEach(fill);
	showServices();
	showReasons();
	showCharts();
	showState();
}

async function tick() {
	const began = performance.now();
	clearTimeout(timer);
	if (asking || document.hidden || frozen)
		return;
	asking = true;
	try {
		await askAll();
		wrong = null;
		answeredAt = Date.now();
	} catch (e) {
		wrong = e.name === "TimeoutError" ? "it takes too long" : e.message;
	}
	asking = false;
	showStale();
	timer = setTimeout(tick, Math.max(200, SECOND_MS - (performance.now() - began)));
}

$("scale").addEventListener("click", (e) => {
	const log = e.currentTarget.getAttribute("aria-pressed") !== "true";
	e.currentTarget.setAttribute("aria-pressed", String(log));
	Object.values(charts).forEach((c) => c.setLog(log));
});
$("pause").addEventListener("click", (e) => {
	frozen = !frozen;
	e.currentTarget.setAttribute("aria-pressed", String(frozen));
	showTitle();
	tick();
});
document.addEventListener("visibilitychange", () => {
	showTitle();
	tick();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
	() => Object.values(charts).forEach((c) => c.setLog(c.log)));
makeTiles();
tick();
