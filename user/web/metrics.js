/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What /metrics says, and how fast it grows. Every figure of the page is one of these, so that a
 * figure and the metric it names can never differ.
 */
const SPAN_S = 3; /* a rate is that of so many seconds */
const KEEP_S = 10; /* what is older says nothing of now: the page was hidden, asleep, not answered */

/* name{label="value",...} number: by name, then by what stands in the braces */
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
			all.set(m[1], new Map());
		all.get(m[1]).set(m[2] ?? "", { labels, value: Number(m[3]) });
	}
	return all;
}

/* [key, row] of each series with these labels. */
function* series(all, name, want) {
	const wanted = Object.entries(want);
	for (const one of all.get(name) ?? [])
		if (wanted.every(([label, value]) =>
			Array.isArray(value) ? value.includes(one[1].labels[label]) : one[1].labels[label] === value))
			yield one;
}

export class Metrics {
	constructor() {
		this.taken = []; /* the latest last: { at, all } */
	}

	add(text) {
		const now = Date.now() / 1000; /* which goes on while the machine sleeps */
		this.taken = this.taken.filter((t) => t.at < now && now - t.at < KEEP_S);
		this.taken.push({ at: now, all: parse(text) });
		while (this.taken.length > 2 && now - this.taken[1].at >= SPAN_S)
			this.taken.shift();
	}

	get all() {
		return this.taken.at(-1)?.all ?? new Map();
	}

	rows(name) {
		return [...(this.all.get(name)?.values() ?? [])];
	}

	sum(name, want = {}) {
		let sum;
		for (const [, row] of series(this.all, name, want))
			sum = (sum ?? 0) + row.value;
		return sum;
	}

	/*
	 * A second; undefined: not known yet. Series by series: a sum falls when a service is deleted,
	 * but only a counter that fell itself began anew.
	 */
	rate(name, want = {}) {
		const first = this.taken[0], last = this.taken.at(-1);
		if (first === last)
			return undefined;
		let grown;
		for (const [key, { value }] of series(last.all, name, want)) {
			const before = first.all.get(name)?.get(key)?.value ?? 0;
			grown = (grown ?? 0) + (value < before ? value : value - before);
		}
		return grown === undefined ? undefined : grown / (last.at - first.at);
	}
}

/* As a query of Prometheus would be written. */
export function expression(name, want = {}, rate = false) {
	const labels = Object.entries(want).map(([key, value]) =>
		Array.isArray(value) ? `${key}=~"${value.join("|")}"` : `${key}="${value}"`).join(",");
	const series = labels ? `${name}{${labels}}` : name;
	return rate ? `sum(rate(${series}))` : `sum(${series})`;
}
