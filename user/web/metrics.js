/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What /metrics says, and how fast it grows. Every figure of the page is one of these, so that a
 * figure and the metric it names can never differ.
 */
const SPAN_S = 3; /* a rate is that of so many seconds */

/* name{label="value",...} number */
export function parse(text) {
	const all = new Map();
	const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
	const label = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
	for (const row of text.split("\n")) {
		const m = row.startsWith("#") ? null : line.exec(row);
		if (!m)
			continue;
		const labels = {};
		for (const [, name, value] of (m[2] ?? "").matchAll(label))
			labels[name] = value.replace(/\\n/g, "\n").replace(/\\(.)/g, "$1");
		if (!all.has(m[1]))
			all.set(m[1], []);
		all.get(m[1]).push({ labels, value: Number(m[3]) });
	}
	return all;
}

function matches(labels, want) {
	return Object.entries(want).every(([name, value]) =>
		Array.isArray(value) ? value.includes(labels[name]) : labels[name] === value);
}

export class Metrics {
	constructor() {
		this.taken = []; /* the latest last: { at, all } */
	}

	add(text) {
		const now = performance.now() / 1000;
		this.taken.push({ at: now, all: parse(text) });
		while (this.taken.length > 2 && now - this.taken[1].at >= SPAN_S)
			this.taken.shift();
	}

	get all() {
		return this.taken.at(-1)?.all ?? new Map();
	}

	rows(name) {
		return this.all.get(name) ?? [];
	}

	static sumOf(all, name, want) {
		const rows = (all.get(name) ?? []).filter((r) => matches(r.labels, want));
		return rows.length ? rows.reduce((sum, r) => sum + r.value, 0) : undefined;
	}

	sum(name, want = {}) {
		return Metrics.sumOf(this.all, name, want);
	}

	/* A second; a counter that fell began anew. */
	rate(name, want = {}) {
		const first = this.taken[0], last = this.taken.at(-1);
		if (!last)
			return undefined;
		const now = Metrics.sumOf(last.all, name, want);
		if (now === undefined || first === last)
			return now === undefined ? undefined : 0;
		const before = Metrics.sumOf(first.all, name, want) ?? 0;
		return Math.max(0, now < before ? now : now - before) / (last.at - first.at);
	}
}

/* As a query of Prometheus would be written. */
export function expression(name, want = {}, rate = false) {
	const labels = Object.entries(want).map(([key, value]) =>
		Array.isArray(value) ? `${key}=~"${value.join("|")}"` : `${key}="${value}"`).join(",");
	const series = labels ? `${name}{${labels}}` : name;
	return rate ? `sum(rate(${series}))` : `sum(${series})`;
}
