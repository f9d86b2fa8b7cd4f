/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pictures of the last 15 minutes: uPlot's where the build has it, plain lines where not, and the
 * timeline of attacks. What is drawn is told in words as well, in a legend that follows the cursor.
 */
const SPAN_MIN_S = 120, SPAN_MAX_S = 900, ROWS = 8;
const DASHES = [[], [8, 4], [2, 3], [8, 3, 2, 3], [4, 4], [1, 4]];
const COLOURS = ["orange", "blue", "teal", "violet", "sky", "grey"];
const SVG = "http://www.w3.org/2000/svg";

export const count = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export function clock(seconds, withSeconds = true) {
	return new Date(seconds * 1000).toLocaleTimeString([], {
		hour: "2-digit", minute: "2-digit", second: withSeconds ? "2-digit" : undefined, hourCycle: "h23",
	});
}

/* With the day, where that is not today. */
export function moment(seconds) {
	const at = new Date(seconds * 1000), today = at.toDateString() === new Date().toDateString();
	return (today ? "" : `${at.toLocaleDateString("en", { day: "numeric", month: "short" })} `) + clock(seconds);
}

export function element(name, properties = {}, ...children) {
	const e = document.createElement(name);
	for (const [key, value] of Object.entries(properties)) {
		if (key === "class")
			e.className = value;
		else if (key === "data")
			Object.assign(e.dataset, value);
		else
			e.setAttribute(key, value);
	}
	e.append(...children);
	return e;
}

/*
 * Makes what is shown like what is wanted, node by node. What stays as it was keeps its selection,
 * the tooltip under the pointer and the place of a screen reader.
 */
export function settle(shown, wanted) {
	const old = [...shown.childNodes], fresh = [...wanted.childNodes];
	old.slice(fresh.length).forEach((o) => o.remove());
	fresh.forEach((f, i) => {
		const o = old[i];
		if (!o || o.nodeName !== f.nodeName) {
			o ? o.replaceWith(f) : shown.append(f);
		} else if (o.nodeType === Node.TEXT_NODE) {
			if (o.data !== f.data)
				o.data = f.data;
		} else {
			for (const { name } of [...o.attributes])
				if (!f.hasAttribute(name))
					o.removeAttribute(name);
			for (const { name, value } of f.attributes)
				if (o.getAttribute(name) !== value)
					o.setAttribute(name, value);
			settle(o, f);
		}
	});
}

function svg(name, attributes = {}, text = "") {
	const e = document.createElementNS(SVG, name);
	for (const [key, value] of Object.entries(attributes))
		e.setAttribute(key, value);
	e.textContent = text;
	return e;
}

/* Seconds that are shown: all there are, in steps, so that the picture does not creep. */
export function span(times) {
	const known = times.length ? times.at(-1) - times[0] : 0;
	return Math.min(SPAN_MAX_S, Math.max(SPAN_MIN_S, Math.ceil(known / 30) * 30));
}

function colour(name) {
	return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/* One chart: a legend, and lines below it. `lines` are names; data is [times, values, ...]. */
export class Chart {
	constructor(box, label, filled = false) {
		this.box = box;
		this.filled = filled;
		this.label = label;
		this.lines = null;
		this.data = [[]];
		this.log = true;
		this.at = null;
		this.legend = element("ul", { class: "legend" });
		this.area = element("div");
		box.append(this.legend, this.area);
		box.tabIndex = 0;
		box.setAttribute("role", "group");
		box.addEventListener("keydown", (e) => this.onKey(e));
		box.addEventListener("blur", () => this.moveTo(null));
		new ResizeObserver(() => this.resize()).observe(this.area);
	}

	set(lines, data) {
		const anew = lines.join() !== this.lines?.join();
		this.lines = lines;
		this.data = data;
		if (anew)
			this.rebuild();
		else if (this.plot)
			this.plot.setData(data);
		else if (lines.length)
			this.drawPlain();
		this.tell();
	}

	setLog(log) {
		this.log = log;
		if (this.lines)
			this.rebuild();
	}

	rebuild() {
		if (this.plot)
			this.plot.destroy();
		this.plot = null;
		this.area.replaceChildren();
		this.legend.replaceChildren(...this.lines.map((name, i) => this.legendItem(name, i)),
			element("li", { class: "when" }));
		if (!this.lines.length) {
			this.area.append(element("p", { class: "empty" }, "Nothing in the last 15 minutes."));
			return;
		}
		if (window.uPlot)
			this.plot = new window.uPlot(this.options(), this.data, this.area);
		else
			this.drawPlain();
		this.tell();
	}

	legendItem(name, i) {
		const sample = svg("svg", { width: 26, height: 8, "aria-hidden": "true" });
		sample.append(svg("line", { x1: 0, x2: 26, y1: 4, y2: 4, class: `line-${i}`, "stroke-width": 3,
			"stroke-dasharray": DASHES[i].join(" ") || "none" }));
		return element("li", {}, sample, `${name} `, element("b", {}, ""));
	}

	/* The values under the cursor, or the last ones. */
	tell() {
		const last = this.data[0].length - 1;
		const at = this.at === null ? last : Math.min(this.at, last);
		const items = [...this.legend.children];
		if (at < 0 || !items.length)
			return;
		this.lines.forEach((name, i) => {
			items[i].querySelector("b").textContent = count.format(this.data[i + 1][at] ?? 0);
		});
		items[items.length - 1].textContent = clock(this.data[0][at]);
		this.box.setAttribute("aria-label", `${this.label}. ${clock(this.data[0][at])}: ` +
			this.lines.map((name, i) => `${name} ${count.format(this.data[i + 1][at] ?? 0)}`).join(", "));
	}

	moveTo(at) {
		this.at = at;
		if (this.plot && at !== null)
			this.plot.setCursor({ left: this.plot.valToPos(this.data[0][at], "x"), top: 10 }, false);
		else if (this.plot)
			this.plot.setCursor({ left: -10, top: -10 }, false);
		this.tell();
	}

	onKey(e) {
		const last = this.data[0].length - 1;
		const at = this.at ?? last;
		const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -60, PageDown: 60 }[e.key];
		if (e.key === "Escape")
			this.moveTo(null);
		else if (e.key === "Home" || e.key === "End")
			this.moveTo(e.key === "Home" ? 0 : last);
		else if (step)
			this.moveTo(Math.max(0, Math.min(last, at + step)));
		else
			return;
		e.preventDefault();
	}

	size() {
		return { width: Math.max(200, this.area.clientWidth), height: 200 };
	}

	resize() {
		if (this.plot && this.area.clientWidth)
			this.plot.setSize(this.size());
	}

	options() {
		const axis = { stroke: colour("muted"), font: "12px system-ui, sans-serif",
			grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
		const y = this.log ? { distr: 4, asinh: 1, range: (u, min, max) => [0, Math.max(10, max * 1.3)] } :
			{ range: (u, min, max) => [0, Math.max(10, max * 1.08)] };
		const powers = (u, i, min, max) => {
			const all = [0];
			for (let v = 10; v <= max; v *= 10)
				all.push(v);
			return all;
		};
		return {
			...this.size(),
			padding: [6, 28, 0, 0], /* for the half of a time behind the last line */
			legend: { show: false },
			cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
			scales: { x: { time: true, range: () => {
				const end = this.data[0].at(-1) ?? Date.now() / 1000;
				return [end - span(this.data[0]), end];
			} }, y },
			axes: [
				{ ...axis, space: 80, size: 26, values: (u, all, axisAt, space, step) => all.map((v) => clock(v, step < 60)) },
				{ ...axis, size: 46, splits: this.log ? powers : undefined,
					values: (u, all) => all.map((v) => v === null ? "" : compact.format(v)) },
			],
			series: [{}, ...this.lines.map((name, i) => ({
				label: name, stroke: colour(COLOURS[i]), width: 2, dash: DASHES[i], points: { show: false },
				fill: this.filled && i === 0 ? colour(COLOURS[i]) + "22" : undefined,
			}))],
			hooks: { setCursor: [(u) => {
				if (u.cursor.event || u.cursor.left < 0) {
					this.at = u.cursor.left >= 0 ? u.cursor.idx : null;
					this.tell();
				}
			}] },
		};
	}

	/* Without the library: the same lines, no cursor. */
	drawPlain() {
		const times = this.data[0], end = times.at(-1) ?? 0, width = 600, height = 180;
		const scale = (v) => this.log ? Math.asinh(v) : v;
		const most = Math.max(10, ...this.data.slice(1).flat());
		const picture = svg("svg", { class: "plain", viewBox: `0 0 ${width} ${height}`,
			preserveAspectRatio: "none", "aria-hidden": "true" });
		this.lines.forEach((name, i) => {
			const points = times.map((t, k) =>
				`${(width * (1 - (end - t) / span(times))).toFixed(1)} ` +
				`${(height - 6 - (height - 16) * scale(this.data[i + 1][k]) / scale(most)).toFixed(1)}`);
			picture.append(svg("path", { class: `line-${i}`, d: `M${points.join("L")}`,
				"stroke-dasharray": DASHES[i].join(" ") || "none" }));
		});
		const top = element("p", { class: "empty" }, `${span(times) / 60} minutes; the top is ${compact.format(most)}`);
		this.area.replaceChildren(picture, top);
	}
}

/* One row a service, a block for each time it was under attack. */
export function timeline(box, services, attacks, end, seconds) {
	const known = [...new Set([...services, ...attacks.map((a) => a.service)])];
	const during = attacks.filter((a) => (a.end ?? end) > end - seconds);
	/* those that were attacked, when not all have room */
	const shown = [...new Set([...during.map((a) => a.service), ...known])].slice(0, ROWS);
	const names = known.filter((name) => shown.includes(name));
	const width = Math.max(260, box.clientWidth), left = width < 500 ? 92 : 190, row = 24;
	const picture = svg("svg", { viewBox: `0 0 ${width} ${names.length * row + 18}`, role: "img",
		height: names.length * row + 18, "aria-label": "When services were under attack, listed below" });
	const x = (t) => left + (width - left) * Math.max(0, Math.min(1, 1 - (end - t) / seconds));
	names.forEach((name, i) => {
		const hits = during.filter((a) => a.service === name);
		const short = name.length > left / 7.2 ? `${name.slice(0, left / 7.2 - 1)}…` : name;
		const text = svg("text", { x: 0, y: i * row + 16, class: hits.length ? "on" : "" }, short);
		text.append(svg("title", {}, name));
		picture.append(text, svg("rect", { x: left, y: i * row + 3, width: width - left, height: row - 7, rx: 3, class: "row" }));
		for (const a of hits) {
			const from = x(a.start), to = Math.max(from + 3, x(a.end ?? end));
			const block = svg("rect", { x: from, y: i * row + 3, width: to - from, height: row - 7, rx: 3, class: "hit" });
			block.append(svg("title", {}, `${name}: from ${moment(a.start)} ${a.end ? `to ${moment(a.end)}` : "on"}`));
			picture.append(block);
		}
	});
	if (known.length > names.length)
		picture.append(svg("text", { x: 0, y: names.length * row + 14 }, `and ${known.length - names.length} more`));
	for (const part of width < 500 ? [1, 0] : [1, 0.5, 0])
		picture.append(svg("text", { x: x(end - part * seconds), y: names.length * row + 14,
			"text-anchor": part === 1 ? "start" : part ? "middle" : "end" },
		part ? `−${part * seconds / 60} min` : "now"));
	settle(box, element("div", {}, picture));
}
