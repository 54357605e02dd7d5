// The calls as a table of windowed rows, and the summary. These are made of
// elements, for those who read with a screen reader or want to copy.

function el(tag, props, ...kids)
{
	const e = document.createElement(tag);
	for (const [k, v] of Object.entries(props || {})) {
		if (k.startsWith("on"))
			e.addEventListener(k.slice(2), v);
		else if (k === "css")
			for (const [n, x] of Object.entries(v))
				e.style.setProperty(n, x);
		else if (v === true)
			e.setAttribute(k, "");
		else if (v !== false && v !== null && v !== undefined)
			e.setAttribute(k, v);
	}
	e.append(...kids.filter((x) => x !== null && x !== undefined));
	return e;
}

class Windowed {
	constructor(box, rowH, make)
	{
		Object.assign(this, { box, rowH, make, n: 0, lo: -1, hi: -1 });
		this.inner = el("div", { role: "presentation" });
		this.inner.style.position = "relative";
		box.append(this.inner);
		box.addEventListener("scroll", () => this.draw());
	}

	set(n)
	{
		this.n = n;
		this.px = Math.min(n * this.rowH, MAX_PX);
		this.inner.style.height = this.px + "px";
		this.lo = -1;
		this.draw();
	}

	draw(force)
	{
		const h = this.box.clientHeight, all = this.n * this.rowH;
		const scale = this.px > h ? (all - h) / (this.px - h) : 1;
		const top = this.box.scrollTop * scale;
		const lo = Math.max(0, Math.floor(top / this.rowH) - 4);
		const hi = Math.min(this.n, Math.ceil((top + h) / this.rowH) + 4);
		if (!force && scale === 1 && lo === this.lo && hi === this.hi)
			return;
		this.lo = lo;
		this.hi = hi;
		const rows = [];
		for (let r = lo; r < hi; r++) {
			const e = this.make(r);
			e.style.top = r * this.rowH - top + this.box.scrollTop +
				"px";
			rows.push(e);
		}
		this.inner.replaceChildren(...rows);
	}

	show(r)
	{
		const h = this.box.clientHeight, all = this.n * this.rowH;
		const scale = this.px > h ? (all - h) / (this.px - h) : 1;
		const top = this.box.scrollTop * scale, y = r * this.rowH;
		if (y < top || y > top + h - 2 * this.rowH)
			this.box.scrollTop = (y - h / 2) / scale;
		this.draw(true);
	}
}

const GRID = [["t", "ms"], ["dur", "took"], ["proc", "process"],
	["fn", "call"], ["ret", "result"], ["ep", "endpoint"]];

class Grid {
	constructor(box, head)
	{
		this.box = box;
		this.head = head;
		this.sort = "t";
		this.down = false;
		this.rows = new Uint32Array(0);
		this.list = new Windowed(box, 22, (r) => this.make(r));
		for (const [k, text] of GRID)
			head.append(el("button", { type: "button", "data-k": k,
				onclick: () => this.order(k) },
			k === "t" ? unit() : text));
	}

	order(k)
	{
		this.down = k === this.sort ? !this.down : k === "dur" ||
			k === "ret";
		this.sort = k;
		this.apply();
	}

	set(rows)
	{
		this.all = rows;
		this.apply();
	}

	apply()
	{
		const key = { t: (i) => D.key[i], dur: (i) => D.dur[i],
			proc: (i) => D.proc[i] * 1e6 + D.th[i], fn: (i) => D.fn[i],
			ret: (i) => D.err[i] ? -D.err[i] : D.ret[i],
			ep: (i) => D.ep[i] }[this.sort];
		const s = this.down ? -1 : 1;
		this.rows = Uint32Array.from(this.all);
		if (this.sort !== "t" || this.down)
			this.rows.sort((a, b) => s * (key(a) - key(b)) || a - b);
		for (const b of this.head.children)
			b.setAttribute("aria-pressed", b.dataset.k === this.sort);
		this.box.setAttribute("aria-rowcount", this.rows.length);
		this.list.set(this.rows.length);
	}

	make(r)
	{
		const i = this.rows[r], sel = i === S.call;
		const cell = (text, cls) => el("span", { role: "gridcell",
			class: cls }, text);
		return el("div", { class: "row", role: "row", id: "row" + i,
			"aria-rowindex": r + 1, "aria-selected": sel,
			onclick: () => select(i, { keep: true }) },
		cell(stamp(D.key[i]), "num"), cell(dur(D.dur[i]), "num"),
		cell(threadName(i)),
		el("span", { role: "gridcell" },
			el("i", { class: "dot", css: { "--c": `var(--${
				CLASSES[D.cls[i]]})` } }), " ",
			D.esc[i] ? el("b", { class: "bang" }, "! ") : null,
			el("b", {}, callName(i)),
			"(" + D.args[D.arg[i]] + ")"),
		cell(result(i), D.err[i] && !D.later[i] ? "bad" : ""),
		cell(endpointName(D.ep[i])));
	}

	draw()
	{
		this.list.draw(true);
	}

	show(i)
	{
		const r = this.rows.indexOf(i);
		this.box.setAttribute("aria-activedescendant", "row" + i);
		if (r >= 0)
			this.list.show(r);
	}
}

function endpointName(id)
{
	const e = D.eps.get(id);
	return !e ? "" : (KINDS[e.kind] === "tcp" ? "" : KINDS[e.kind] + " ") +
		(e.local || (e.peer ? "" : "c" + id)) + (e.peer ?
		(e.side ? " ← " : " → ") + e.peer : "");
}

function quantile(sorted, q)
{
	return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];
}

// A table whose columns sort when their heading is pressed.
function sortable(heads, rows, first, limit = 500)
{
	let by = first, sign = -1;
	const body = el("tbody"), tr = el("tr");
	const fill = () => {
		const order = rows.slice().sort((a, b) => {
			const x = a[by].v, y = b[by].v;
			return sign * (x < y ? -1 : x > y ? 1 : 0);
		});
		body.replaceChildren(...order.slice(0, limit).map((r) => el("tr",
			{}, ...r.map((c) => el("td", { class: c.cls }, c.e ? c.e() :
				c.text !== undefined ? c.text : String(c.v))))));
		[...tr.children].forEach((th, k) => k === by ?
			th.setAttribute("aria-sort", sign < 0 ? "descending" :
				"ascending") : th.removeAttribute("aria-sort"));
	};
	heads.forEach((text, k) => tr.append(el("th", { scope: "col",
		class: /\bl$/.test(rows[0]?.[k].cls || "") ? "l" : null },
		el("button", { type: "button", onclick: () => {
			sign = k === by ? -sign : typeof rows[0]?.[k].v ===
				"string" ? 1 : -1;
			by = k;
			fill();
		} }, text))));
	fill();
	return el("table", {}, el("thead", {}, tr), body);
}

const zero = (n, text) => ({ v: n, text: n ? text || num(n) : "·",
	cls: n ? "" : "zero" });

function perFunction(rows)
{
	const by = new Map();
	for (const i of rows) {
		const f = D.fns[D.fn[i]];
		const k = (D.esc[i] ? "! " : "") + callName(i);
		let s = by.get(k);
		if (!s)
			by.set(k, s = { f, esc: 0, d: [], errs: 0, later: 0, by: 0,
				sum: 0, procs: new Map() });
		s.d.push(D.dur[i]);
		s.sum += D.dur[i];
		s.by += D.by[i];
		s.esc += D.esc[i] > 0;
		if (D.err[i])
			D.later[i] ? s.later++ : s.errs++;
		s.procs.set(D.proc[i], (s.procs.get(D.proc[i]) || 0) + 1);
	}
	return by;
}

function summary(rows)
{
	const by = perFunction(rows), procs = [...D.procs.values()]
		.filter((p) => p.n).sort((a, b) => b.n - a.n).slice(0, 8);
	const fn = (s, k) => ({ v: k, cls: "mono l", e: () => el("button", {
		type: "button", title: "Show only these", onclick: () =>
			filterTo({ fn: s.f.fn }) },
	el("i", { class: "dot", css: { "--c": `var(--${CLASSES[s.f.cls]})` } }),
	" " + k) });
	let most = 1;
	for (const s of by.values())
		most = Math.max(most, s.sum);
	const f = [...by].map(([k, s]) => {
		s.d.sort((a, b) => a - b);
		return [fn(s, k), { v: s.d.length, text: num(s.d.length) },
			...procs.map((p) => zero(s.procs.get(p.id) || 0)),
			zero(s.by, size(s.by)), zero(s.later), zero(s.errs),
			zero(s.esc), { v: quantile(s.d, 0.5), text:
				dur(quantile(s.d, 0.5)) },
			{ v: quantile(s.d, 0.99), text: dur(quantile(s.d, 0.99)) },
			{ v: s.d[s.d.length - 1], text: dur(s.d[s.d.length - 1]) },
			{ v: s.sum, cls: "l", e: () => el("span", {}, dur(s.sum),
				el("span", { class: "bar", css: { "--c": `var(--${
					CLASSES[s.f.cls]})`, width:
					80 * s.sum / most + "px" } })) }];
	});
	const out = [el("h2", {}, "Functions"), el("p", {}, "What the programs " +
		"called, as they named it. “Not yet” counts EAGAIN, EINPROGRESS " +
		"and EINTR, which are no errors. Press a name to see those " +
		"calls, a heading to sort.")];
	out.push(sortable(["function", "calls", ...procs.map((p) => p.label),
		"bytes", "not yet", "errors", "!", "median", "99 %",
		"longest", "time in it"], f, 1));
	const n = new Map();
	for (const i of rows)
		if (hopOf(i) >= 0)
			n.set(hopOf(i), (n.get(hopOf(i)) || 0) + 1);
	const h = [...n].map(([k, c]) => {
		const x = D.hops[k];
		return [{ v: x.name, cls: "l", e: () => el("button", {
			type: "button", onclick: () => pickHop(k) }, x.name) },
		{ v: x.addr, cls: "mono l" }, { v: KINDS[x.kind] },
		{ v: c, text: num(c) }, zero(x.ab, size(x.ab)),
		zero(x.ba, size(x.ba)), zero(x.errs), zero(x.escs),
		{ v: x.first, text: stamp(x.first) },
		{ v: x.last - x.first, text: dur(x.last - x.first) }];
	});
	out.push(el("h2", {}, "Endpoints"), el("p", {}, "A connection whose " +
		"two ends were both traced is one line; → is from the one that " +
		"connected." + (h.length > 500 ? " The first 500 of " +
		num(h.length) + "." : "")));
	if (h.length)
		out.push(sortable(["between", "addresses", "kind", "calls",
			"bytes →", "bytes ←", "errors", "!", "begins at",
			"lasts"], h, 3));
	out.push(el("h2", {}, "Processes"));
	out.push(sortable(["pid", "program", "command", "calls", "recorder",
		"ended"], [...D.procs.values()].map((p) => [
		{ v: p.pid }, { v: p.name, cls: "l" }, { v: p.cmd,
			cls: "mono l" }, zero(p.n), { v: p.recorded ? "loaded" :
			"not loaded" }, { v: p.status < 0 ? "–" : (p.status & 127) ?
			"signal " + (p.status & 127) : "status " +
			(p.status >> 8) }]), 3));
	return out;
}
