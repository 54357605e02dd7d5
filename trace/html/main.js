// The page: what is chosen, filtered, selected; keys; details; help; print.

const $ = (id) => document.getElementById(id);
const S = { call: -1, tab: "seq", hop: "conns", rows: new Uint32Array(0),
	off: new Set(), text: "", fn: "", proc: "", err: "", dur: 0, esc: false };
let ladder, lanes, grid, hopList, hopOrder = [], painting = false;

const HINTS = {
	seq: ["Each column is a process, each row one call, time runs ",
		"downwards. Arrows are bytes on their way to the call that ",
		"received them. Press a call for its stack. ", "wheel", " scrolls, ",
		"Ctrl", "+", "wheel", " or ", "+", " ", "-", " zooms."],
	time: ["Each lane is one end of a connection, each bar a call as long ",
		"as it took. ", "wheel", " zooms (", "Ctrl", " when there are many ",
		"lanes), drag or ", "←", " ", "→", " moves, a double click zooms ",
		"to a call."],
	calls: ["Every call as text. Press a heading to sort, a row for its ",
		"stack."],
	sum: ["What was called how often, by whom, and how long it took, of ",
		"the calls that pass the filter above."],
};
const KEYS = new Set(["wheel", "Ctrl", "+", "-", "←", "→"]);

function repaint()
{
	if (painting)
		return;
	painting = true;
	requestAnimationFrame(() => {
		painting = false;
		paint();
	});
}

function paint()
{
	if (S.tab === "seq")
		ladder.draw();
	else if (S.tab === "time")
		lanes.draw();
	overview();
}

// Which calls are chosen by the list of connections, before the filter.
function chosen()
{
	if (typeof S.hop === "number") {
		const h = D.hops[S.hop];
		return Uint32Array.from(new Set([...h.own, ...h.extra])).sort();
	}
	const all = new Uint32Array(D.n);
	let n = 0;
	for (let i = 0; i < D.n; i++)
		if (S.hop === "all" || D.inStream[i])
			all[n++] = i;
	return all.subarray(0, n);
}

function passes()
{
	const text = S.text.toLowerCase();
	const has = (s) => s.toLowerCase().includes(text);
	const flag = (list, f) => text ? list.map(f) : null;
	const arg = flag(D.args, has);
	const fn = flag(D.fns, (f) => has(f.fn) || has(f.sys));
	const addr = flag(D.addrs, (a, k) => has(D.names[k] || a.addr));
	const stack = flag(D.stacks, (s) => s.some((a) => addr[a]));
	const err = new Map();
	const ep = new Map();
	for (const [no, e] of D.errnos)
		err.set(no, text && has(e.name));
	for (const e of D.eps.values())
		ep.set(e.id, text && (has(e.local) || has(e.peer) ||
			has(KINDS[e.kind])));
	return (i) => {
		if (S.off.has(D.cls[i]) || D.dur[i] < S.dur || S.esc && !D.esc[i])
			return false;
		if (S.fn && D.fns[D.fn[i]].fn !== S.fn)
			return false;
		if (S.proc && D.proc[i] !== +S.proc)
			return false;
		if (S.err === "any" ? !D.err[i] : S.err === "real" ?
			!D.err[i] || D.later[i] : S.err && D.err[i] !== +S.err)
			return false;
		return !text || fn[D.fn[i]] || arg[D.arg[i]] ||
			err.get(D.err[i]) || ep.get(D.ep[i]) || stack[D.st[i]];
	};
}

function apply()
{
	const from = chosen(), ok = passes(), out = new Uint32Array(from.length);
	let n = 0;
	for (const i of from)
		if (ok(i))
			out[n++] = i;
	S.rows = out.slice(0, n);
	const on = n !== from.length;
	$("f-count").classList.toggle("on", on);
	$("f-clear").hidden = !on;
	$("f-count").textContent = on ? num(n) + " of " + num(from.length) +
		" calls" : num(n) + " calls";
	ladder.set(S.rows);
	lanes.set(S.rows);
	lanes.fit();
	grid.set(S.rows);
	if (S.tab === "sum")
		$("sum").replaceChildren(...summary(S.rows));
	if (S.call >= 0)
		current().show?.(S.call);
	repaint();
}

function current()
{
	return { seq: ladder, time: lanes, calls: grid, sum: {} }[S.tab];
}

function tab(name, focus)
{
	S.tab = name;
	for (const k of ["seq", "time", "calls", "sum"]) {
		$("view-" + k).classList.toggle("on", k === name);
		$("tab-" + k).setAttribute("aria-selected", k === name);
		$("tab-" + k).tabIndex = k === name ? 0 : -1;
	}
	$("zoom").style.visibility = name === "seq" || name === "time" ?
		"" : "hidden";
	$("hint").replaceChildren(...HINTS[name].map((s) => KEYS.has(s) ?
		el("kbd", {}, s) : s));
	tip(null, -1);
	ladder.layout();
	lanes.layout();
	if (name === "sum")
		$("sum").replaceChildren(...summary(S.rows));
	if (name === "calls")
		grid.draw();
	if (S.call >= 0)
		current().show?.(S.call);
	if (focus)
		$(name === "calls" ? "grid" : name).focus({ preventScroll: true });
	repaint();
}

function select(i, how = {})
{
	S.call = i;
	if (i < 0) {
		welcome();
		repaint();
		return;
	}
	if (!how.keep)
		current().show?.(i);
	else if (S.tab === "calls")
		grid.show(i);
	detail(i);
	$("live").textContent = sentence(i) + ", " + threadName(i) + ", " +
		dur(D.dur[i]);
	repaint();
}

// A call that the filter hides is shown all the same when it is asked for.
function jump(i)
{
	if (!S.rows.includes(i)) {
		clearFilters();
		if (!S.rows.includes(i))
			pickHop(D.inStream[i] ? "conns" : "all");
	}
	select(i);
}

function step(d)
{
	const rows = S.tab === "calls" ? grid.rows : S.rows;
	if (!rows.length)
		return;
	const at = rows.indexOf(S.call);
	let to = at + d;
	if (at < 0 && S.tab === "seq")
		to = ladder.window()[0];
	select(rows[Math.max(0, Math.min(rows.length - 1, to))]);
}

function find(test, d = 1)
{
	const n = S.rows.length, at = S.rows.indexOf(S.call);
	for (let k = 1; k <= n; k++) {
		const i = S.rows[(at + d * k + n * 2) % n];
		if (test(i)) {
			select(i);
			return;
		}
	}
	$("live").textContent = "none";
}

function follow(out)
{
	if (S.call < 0)
		return;
	for (const f of flowsAt(out ? D.outOf : D.into, S.call)) {
		const i = out ? D.flows.to[f] : D.flows.from[f];
		if (i >= 0) {
			jump(i);
			return;
		}
	}
}

function pickHop(h)
{
	S.hop = h;
	ladder.box.scrollTop = 0;
	lanes.box.scrollTop = 0;
	apply();
	hopList.show(hopOrder.indexOf(h));
	$("hops").setAttribute("aria-activedescendant", "hop-" + h);
}

function stepHop(d)
{
	const at = hopOrder.indexOf(S.hop);
	const to = Math.max(0, Math.min(hopOrder.length - 1, at + d));
	pickHop(hopOrder[to]);
}

function orderHops()
{
	const k = $("hopsort").value;
	const val = { first: (h) => h.first, n: (h) => -h.n, bytes: (h) =>
		-h.ab - h.ba, errs: (h) => -h.errs - h.escs, span: (h) =>
		h.first - h.last }[k];
	const list = D.hops.slice().sort((a, b) => (b.stream - a.stream) ||
		val(a) - val(b) || a.i - b.i).map((h) => h.i);
	hopOrder = ["conns", "all", ...list];
	hopList.set(hopOrder.length);
}

function hopItem(r)
{
	const h = hopOrder[r], x = D.hops[h];
	const props = { class: "hop" + (x ? "" : " group"), role: "option",
		id: "hop-" + h, "aria-selected": S.hop === h, "aria-setsize":
		hopOrder.length, "aria-posinset": r + 1,
		onclick: () => pickHop(h) };
	if (!x) {
		let n = 0;
		for (const s of D.inStream)
			n += s;
		const streams = D.hops.filter((y) => y.stream).length;
		return el("div", props, el("div", { class: "a" }, el("b", {},
			h === "all" ? "Everything" : "All connections"),
		el("span", {}, num(h === "all" ? D.n : n))), el("div",
			{ class: "b" }, h === "all" ? "with listeners, polling, " +
			"pipes …" : num(streams) + " with the calls about them"));
	}
	return el("div", { ...props, title: x.name + "\n" + x.addr },
		el("div", { class: "a" }, el("b", {}, x.name), x.escs ?
			el("b", { class: "bang" }, "!") : null,
		el("span", {}, num(x.n) + (x.errs ? ", " : "") + "",
			x.errs ? el("b", { class: "bad" }, x.errs + " err") :
			null)),
		el("div", { class: "b" }, x.stream ? x.short + "  " + size(x.ab) +
			" ⇄ " + size(x.ba) : x.addr));
}

function link(i, what)
{
	return el("li", {}, el("button", { type: "button", title: sentence(i),
		onclick: () => jump(i) }, what + " " + threadName(i) + ": " +
		callName(i) + " = " + result(i)));
}

function detail(i)
{
	const f = D.fns[D.fn[i]], e = D.eps.get(D.ep[i]), out = [];
	const btn = (text, title, go) => el("button", { type: "button", title,
		onclick: go }, text);
	const near = (test, d) => {
		for (let k = i + d; k >= 0 && k < D.n; k += d)
			if (test(k)) {
				jump(k);
				return;
			}
	};
	out.push(el("div", { class: "nav" },
		btn("‹ thread", "The call before in this thread", () =>
			near((k) => D.th[k] === D.th[i], -1)),
		btn("thread ›", "The next call of this thread", () =>
			near((k) => D.th[k] === D.th[i], 1)),
		e ? btn("‹ endpoint", "The call before on this endpoint", () =>
			near((k) => D.ep[k] === D.ep[i], -1)) : null,
		e ? btn("endpoint ›", "The next call on this endpoint", () =>
			near((k) => D.ep[k] === D.ep[i], 1)) : null));
	out.push(el("div", { class: "call", css: { "--c": `var(--${D.err[i] ?
		D.later[i] ? "again" : "err" : CLASSES[f.cls]})` } },
	el("b", {}, callName(i)), "(" + D.args[D.arg[i]] + ") = ",
	el("b", { class: D.err[i] && !D.later[i] ? "bad" : "" }, result(i))));
	if (D.esc[i])
		out.push(el("p", { class: "flag bang" }, "! This call escaped " +
			"the recorder: it was " + ESCAPES[D.esc[i]] + "."));
	const dl = el("dl");
	const put = (k, ...v) => dl.append(el("dt", {}, k), el("dd", {}, ...v));
	if (D.err[i])
		put("errno", D.errnos.get(D.err[i]).name + ": " +
			D.errnos.get(D.err[i]).text);
	put("took", dur(D.dur[i]), el("span", { class: "dim" }, "  from " +
		stamp(D.t[i]) + " " + unit()));
	put("thread", threadName(i));
	put("symbol", el("code", {}, (f.fn || "–") + (f.version ? "@" +
		f.version : "")), f.sys ? el("span", { class: "dim" },
		"  stands for " + f.sys) : "");
	if (D.fd[i] >= 0)
		put("fd", String(D.fd[i]));
	if (e) {
		put("endpoint", "c" + e.id + " " + KINDS[e.kind] + ", " +
			(ORIGINS[e.origin] || "origin unknown"));
		if (e.local || e.peer)
			put("addresses", el("code", {}, (e.local || "–") + " ⇄ " +
				(e.peer || "–")));
		if (e.hop >= 0 && S.hop !== e.hop)
			put("", btn("Show this connection alone", "", () => {
				pickHop(e.hop);
				select(i);
			}));
	}
	out.push(dl);
	const links = [];
	const F = D.flows;
	for (const k of flowsAt(D.into, i))
		if (F.from[k] >= 0)
			links.push(link(F.from[k], F.type[k] ? "from" :
				size(F.bytes[k]) + " sent " + dur(D.t[i] + D.dur[i] -
				D.t[F.from[k]]) + " before by"));
	for (const k of flowsAt(D.outOf, i))
		if (F.to[k] >= 0)
			links.push(link(F.to[k], F.type[k] ? "seen by" :
				size(F.bytes[k]) + " received after " +
				dur(D.t[F.to[k]] + D.dur[F.to[k]] - D.t[i]) + " by"));
	if (links.length)
		out.push(el("h3", {}, "The other side"), el("ul",
			{ class: "links" }, ...links.slice(0, 12)));
	const al = D.also.get(i), ready = [];
	for (let k = 0; al && k < al.length && ready.length < 16; k += 2)
		ready.push(el("li", {}, el("code", {}, endpointName(al[k]) +
			(al[k + 1] ? " " + events(al[k + 1], f) : ""))));
	if (ready.length)
		out.push(el("h3", {}, f.sys === "epoll_ctl" ? "Registers" :
			"Ready"), el("ul", { class: "links" }, ...ready));
	const frames = D.stacks[D.st[i]] || [];
	out.push(el("h3", {}, frames.length ? "Call stack, innermost first" :
		"No call stack was recorded"));
	if (frames.length)
		out.push(el("ol", { class: "stack" }, ...frames.map((a) => {
			const m = frameOf(a);
			return el("li", { title: D.addrs[a].addr }, el("b", {},
				m.fn), m.off, m.mod ? el("span", {}, m.mod) : null);
		})));
	$("detail").replaceChildren(...out);
	$("detail").scrollTop = 0;
}

// Poll's and epoll's events share their low bits.
function events(bits, f)
{
	const names = [[1, "IN"], [2, "PRI"], [4, "OUT"], [8, "ERR"],
		[16, "HUP"], [32, "NVAL"], [0x2000, "RDHUP"]];
	return names.filter(([b]) => bits & b).map(([, n]) =>
		(f.sys.startsWith("epoll") ? "EPOLL" : "POLL") + n).join("|");
}

function welcome()
{
	const d = (k) => el("i", { class: "dot", css: { "--c": `var(--${k})` } });
	$("detail").replaceChildren(el("h2", {}, "A first look"), el("p", {},
		"This is every call that the traced programs made on the " +
		"network. In the sequence, a column is a process and a row is " +
		"one call; the colour says what it does:"),
	el("p", { class: "first" }, ...CLASSES.slice(0, 6).map((k) =>
		el("span", {}, d(k), " " + k))),
	el("p", {}, "An arrow leads from the call that sent bytes to the call " +
		"that received them. The thin line under a call is its " +
		"duration: each eighth of the width is ten times as long, from " +
		"100 ns."),
	el("p", {}, el("b", { class: "bad" }, "Red"), " calls failed; ",
		el("b", { css: { color: "var(--again)" } }, "amber"),
		" ones only said “not yet” (EAGAIN …); ",
		el("b", { class: "bang" }, "!"), " marks a call that the " +
		"recorder did not see, and that a preloaded library would miss."),
	el("p", {}, "Press any call to see its call stack here, or ",
		el("kbd", {}, "↓"), " to walk; a connection on the left shows " +
		"it alone."),
	el("p", {}, el("button", { type: "button", onclick: help },
		"More, and all keys")));
}

function help()
{
	const box = $("help"), kbd = (...k) => el("span", {}, ...k.flatMap((s) =>
		[el("kbd", {}, s), " "]));
	const li = (...t) => el("li", {}, ...t);
	box.replaceChildren(
		el("h2", { id: "help-title" }, "What am I looking at?"),
		el("p", {}, "kmap-trace recorded the network calls of a program " +
			"and its children: which function of libc was called with " +
			"what, what it returned, how long it took, and from where " +
			"in the program. This file holds all of it and needs " +
			"nothing else."),
		el("h3", {}, "Four views of the same calls"),
		el("ul", {},
			li(el("b", {}, "Sequence"), ": who talks to whom, in order. " +
				"Columns are processes, clients left of servers. A call " +
				"that gives (send, close, connect) stands where it " +
				"started, one that takes (receive, wait, accept) where " +
				"it returned: so arrows never point back in time. Dashed " +
				"arrows are connect → accept and close → end of stream."),
			li(el("b", {}, "Time line"), ": how long and how dense. " +
				"Both ends of a connection lie above each other."),
			li(el("b", {}, "Calls"), ": text to sort. ",
				el("b", {}, "Summary"), ": counts for each function, " +
				"connection and process.")),
		el("h3", {}, "Colours"),
		el("div", { class: "legend" }, ...CLASSES.flatMap((k) => [
			el("span", {}, el("i", { class: "dot", css: { "--c":
				`var(--${k})` } }), " " + k), el("span", {},
				CLASS_TEXT[k])])),
		el("p", {}, "Press them in the bar above to hide or show that " +
			"kind. Red is an error, amber “not yet” (EAGAIN, " +
			"EINPROGRESS, EINTR)."),
		el("h3", {}, "What ! means"),
		el("p", {}, "The recorder sits in front of libc's functions. A " +
			"syscall that does not come through them (from inside " +
			"libc, by syscall(2), inline, by io_uring) escapes it; " +
			"kmap-trace --verify finds those and says why."),
		el("h3", {}, "Joined ends"),
		el("p", {}, "Two endpoints are one connection when the local " +
			"address of each is the peer of the other. An end that was " +
			"not traced is “outside”. Bytes are followed by their place " +
			"in the stream; what a process had received before the " +
			"recording began has no arrow."),
		el("h3", {}, "Keys"),
		el("div", { class: "keys" },
			kbd("↓", "↑"), "next, previous call",
			kbd("→", "←"), "in the sequence: along the arrow of the " +
				"call's bytes, and back; in the time line: later, " +
				"earlier",
			kbd("PgUp", "PgDn", "Home", "End"), "further",
			kbd("+", "-", "0"), "zoom in, out, everything",
			kbd("e", "E"), "next, previous error",
			kbd("x"), "next escape",
			kbd("[", "]"), "previous, next connection",
			kbd("1", "2", "3", "4"), "the views",
			kbd("/"), "search", kbd("Esc"), "leave a field, nothing " +
				"selected"),
		el("p", {}, el("button", { type: "button", autofocus: true,
			onclick: () => box.close() }, "Close")));
	box.showModal();
	box.scrollTop = 0;
}

function tip(e, i)
{
	const t = $("tip");
	if (i < 0 || !e) {
		t.hidden = true;
		return;
	}
	t.replaceChildren(el("b", {}, sentence(i)), el("br"),
		el("span", { class: "dim" }, threadName(i) + ", at " +
		stamp(D.t[i]) + ", took " + dur(D.dur[i])), el("br"),
		el("span", { class: "dim" }, endpointName(D.ep[i])));
	t.hidden = false;
	const m = $("middle").getBoundingClientRect();
	const x = e.clientX - m.left, y = e.clientY - m.top;
	t.style.left = Math.max(4, Math.min(x + 14, m.width - t.offsetWidth -
		8)) + "px";
	t.style.top = (y + 20 + t.offsetHeight > m.height ? y - t.offsetHeight -
		10 : y + 18) + "px";
}

// The whole trace: how many calls of which kind when, and what is in sight.
function overview()
{
	const c = $("over"), w = c.parentNode.clientWidth, h = 46;
	const g = fit(c, w, h), n = Math.ceil(w / 3), K = CLASSES.length;
	if (over.rows !== S.rows || over.n !== n) {
		over.rows = S.rows;
		overRange();
		over.n = n;
		over.bins = new Uint32Array(n * K);
		over.bad = new Uint8Array(n);
		for (const i of S.rows) {
			const b = Math.min(n - 1, Math.max(0,
				Math.floor(overX(D.key[i]) * n)));
			over.bins[b * K + D.cls[i]]++;
			if (D.esc[i])
				over.bad[b] |= 2;
			if (D.err[i] && !D.later[i])
				over.bad[b] |= 1;
		}
		over.top = 1;
		for (let b = 0; b < n; b++) {
			let s = 0;
			for (let k = 0; k < K; k++)
				s += over.bins[b * K + k];
			over.top = Math.max(over.top, s);
		}
	}
	// Square roots: a single call beside a burst is seen, too.
	for (let b = 0; b < n; b++) {
		let s = 0, y = h - 1;
		for (let k = 0; k < K; k++)
			s += over.bins[b * K + k];
		if (!s)
			continue;
		const full = Math.max(2, Math.sqrt(s / over.top) * (h - 8));
		for (let k = 0; k < K; k++) {
			const p = full * over.bins[b * K + k] / s;
			g.fillStyle = C.cls[k];
			g.fillRect(b * 3, y - p, 2.4, p);
			y -= p;
		}
		if (over.bad[b]) {
			g.fillStyle = over.bad[b] & 2 ? C.esc : C.err;
			g.fillRect(b * 3, 0, 2.4, 4);
		}
	}
	let a = over.t0, z = over.t1;
	if (S.tab === "time") {
		[a, z] = [lanes.t0, lanes.t1];
	} else if (S.tab === "seq" && S.rows.length) {
		const [lo, hi] = ladder.window();
		a = D.key[S.rows[Math.min(lo, S.rows.length - 1)]];
		z = D.key[S.rows[Math.max(0, hi - 1)]];
	}
	const x1 = Math.max(0, overX(a) * w), x2 = Math.min(w, overX(z) * w);
	g.fillStyle = C.bg;
	g.globalAlpha = 0.6;
	g.fillRect(0, 0, x1, h);
	g.fillRect(x2, 0, w - x2, h);
	g.globalAlpha = 1;
	g.strokeStyle = C.accent;
	g.lineWidth = 1.5;
	g.strokeRect(x1 + 0.75, 0.75, Math.max(3, x2 - x1 - 1.5), h - 1.5);
	if (S.call >= 0) {
		g.fillStyle = C.text;
		g.fillRect(overX(D.key[S.call]) * w - 0.5, 0, 1.5, h);
	}
}
const over = {};

// Only the time of what is chosen: a server may have waited for hours.
function overRange()
{
	const n = S.rows.length;
	over.t0 = n ? D.key[S.rows[0]] : 0;
	over.t1 = Math.max(over.t0 + 1e3, n ? D.key[S.rows[n - 1]] : D.end);
	const pad = (over.t1 - over.t0) * 0.01;
	over.t0 -= pad;
	over.t1 += pad;
}

function overX(t)
{
	return (t - over.t0) / (over.t1 - over.t0);
}

function overGo(e)
{
	const r = $("over").getBoundingClientRect();
	const t = over.t0 + (e.clientX - r.left) / r.width *
		(over.t1 - over.t0);
	if (S.tab === "time") {
		const s = (lanes.t1 - lanes.t0) / 2;
		lanes.frame(t - s, t + s);
		return;
	}
	let a = 0, b = S.rows.length;
	while (a < b) {
		const m = (a + b) >> 1;
		if (D.key[S.rows[m]] < t)
			a = m + 1;
		else
			b = m;
	}
	if (S.tab === "seq")
		ladder.top = a * ladder.rowH - ladder.h / 2;
	else if (S.rows.length)
		select(S.rows[Math.min(a, S.rows.length - 1)]);
	repaint();
}

function parseDur(s)
{
	const m = /^\s*([0-9.]+)\s*(ns|us|µs|ms|s)?\s*$/.exec(s);
	return m ? m[1] * { ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9 }[
		m[2] || "us"] : 0;
}

function filterTo(set)
{
	Object.assign(S, set);
	$("f-fn").value = S.fn;
	tab("seq");
	apply();
}

function clearFilters()
{
	Object.assign(S, { text: "", fn: "", proc: "", err: "", dur: 0,
		esc: false });
	S.off.clear();
	for (const k of ["text", "dur", "fn", "proc", "err"])
		$("f-" + k).value = "";
	$("f-esc").checked = false;
	for (const b of $("f-class").children)
		b.setAttribute("aria-pressed", "true");
	apply();
}

function filters()
{
	const opts = (id, list) => $(id).replaceChildren(...list.map(([v, t]) =>
		el("option", { value: v }, t)));
	const names = new Map();
	for (const f of D.fns)
		names.set(f.fn, (names.get(f.fn) || 0) + f.n);
	opts("f-fn", [["", "all"], ...[...names].sort().map(([k, n]) =>
		[k, k + " (" + num(n) + ")"])]);
	opts("f-proc", [["", "all"], ...[...D.procs.values()].filter((p) => p.n)
		.map((p) => [p.id, p.name + " " + p.pid])]);
	opts("f-err", [["", "all"], ["real", "errors"], ["any", "any errno"],
		...[...D.errnos].map(([no, e]) => [no, e.name])]);
	const used = new Set(D.cls);
	CLASSES.forEach((k, n) => used.has(n) && $("f-class").append(el("button",
		{ type: "button", class: "chip", "aria-pressed": "true",
			title: CLASS_TEXT[k], css: { "--c": `var(--${k})` },
			onclick: (e) => {
				const b = e.currentTarget;
				S.off.has(n) ? S.off.delete(n) : S.off.add(n);
				b.setAttribute("aria-pressed", !S.off.has(n));
				apply();
			} }, el("i"), k)));
	let timer;
	const on = (id, ev, f) => $(id).addEventListener(ev, () => {
		f($(id));
		clearTimeout(timer);
		timer = setTimeout(apply, ev === "input" ? 150 : 0);
	});
	on("f-text", "input", (e) => S.text = e.value);
	on("f-dur", "input", (e) => {
		S.dur = parseDur(e.value);
		e.classList.toggle("bad", !!e.value && !S.dur);
	});
	on("f-fn", "change", (e) => S.fn = e.value);
	on("f-proc", "change", (e) => S.proc = e.value);
	on("f-err", "change", (e) => S.err = e.value);
	on("f-esc", "change", (e) => S.esc = e.checked);
	$("f-clear").addEventListener("click", clearFilters);
	$("filters").addEventListener("submit", (e) => {
		e.preventDefault();
		apply();
		$("seq").focus();
	});
}

function keydown(e)
{
	const field = /^(INPUT|SELECT|TEXTAREA)$/.test(e.target.tagName);
	if (e.key === "Escape" && !$("help").open) {
		if (field)
			e.target.blur();
		else
			select(-1);
		return;
	}
	if (field || e.ctrlKey || e.metaKey || e.altKey || $("help").open)
		return;
	const inHops = e.target === $("hops");
	const press = e.target.tagName === "BUTTON" || e.target.tagName === "A";
	const view = current(), page = Math.max(4, S.tab === "seq" ?
		Math.floor(ladder.h / Math.max(1, ladder.rowH)) - 3 : 25);
	const acts = {
		ArrowDown: () => inHops ? stepHop(1) : step(1),
		ArrowUp: () => inHops ? stepHop(-1) : step(-1),
		j: () => step(1), k: () => step(-1),
		PageDown: () => inHops ? stepHop(10) : step(page),
		PageUp: () => inHops ? stepHop(-10) : step(-page),
		Home: () => inHops ? stepHop(-1e9) : step(-1e9),
		End: () => inHops ? stepHop(1e9) : step(1e9),
		ArrowRight: () => S.tab === "time" ? lanes.pan(0.15) : follow(true),
		ArrowLeft: () => S.tab === "time" ? lanes.pan(-0.15) :
			follow(false),
		"+": () => view.zoom?.(1.5), "=": () => view.zoom?.(1.5),
		"-": () => view.zoom?.(1 / 1.5), 0: () => view.fit?.(),
		e: () => find((i) => D.err[i] && !D.later[i]),
		E: () => find((i) => D.err[i] && !D.later[i], -1),
		x: () => find((i) => D.esc[i]), "[": () => stepHop(-1),
		"]": () => stepHop(1), 1: () => tab("seq", true),
		2: () => tab("time", true), 3: () => tab("calls", true),
		4: () => tab("sum", true), "?": help,
		"/": () => { $("f-text").focus(); $("f-text").select(); },
		Enter: () => $("detail").focus(),
	};
	if (!acts[e.key] || press && (e.key === "Enter" || e.key === " "))
		return;
	if ((S.tab === "sum" || $("detail").contains(e.target)) && !inHops &&
		/^(Arrow|Page|Home|End)/.test(e.key))
		return;
	e.preventDefault();
	acts[e.key]();
}

function tabKeys(e)
{
	const all = ["seq", "time", "calls", "sum"];
	const d = e.key === "ArrowRight" ? 1 : e.key === "ArrowLeft" ? -1 : 0;
	if (!d || e.target.getAttribute("role") !== "tab")
		return;
	e.preventDefault();
	e.stopPropagation();
	const to = all[(all.indexOf(S.tab) + d + 4) % 4];
	tab(to);
	$("tab-" + to).focus();
}

const PRINT_ROWS = 40, PRINT_PAGES = 10;

// On paper: what is chosen, from the row in sight, in pages of rows.
function paper()
{
	const out = [el("h1", {}, D.meta.title || "kmap-trace"), el("p", {},
		$("facts").textContent)];
	document.documentElement.dataset.paper = "1";
	document.documentElement.style.colorScheme = "light";
	readColours();
	const from = S.tab === "seq" ? ladder.window()[0] : 0;
	const n = Math.min(S.rows.length - from, PRINT_ROWS * PRINT_PAGES);
	out.push(el("h2", {}, "Calls " + num(from + 1) + " to " + num(from + n) +
		" of " + num(S.rows.length)));
	ladder.layout(1250);
	for (let r = from; r < from + n; r += PRINT_ROWS)
		out.push(ladder.page(r, Math.min(PRINT_ROWS, from + n - r)));
	if (S.call >= 0)
		out.push(el("h2", {}, "The selected call"), ...[...$("detail")
			.children].filter((e) => e.className !== "nav")
			.map((e) => e.cloneNode(true)));
	out.push(...summary(S.rows));
	$("print").replaceChildren(...out);
}

function start()
{
	const block = $("data"), began = performance.now();
	load(block.textContent);
	block.remove();
	readColours();
	// Attached: no command was named.
	if (!D.meta.title || D.meta.title === "kmap-trace")
		D.meta.title = [...new Set([...D.procs.values()].filter((p) =>
			p.n).map((p) => p.name))].join(", ") || "kmap-trace";
	$("title").textContent = D.meta.title;
	document.title = D.meta.title + " – kmap-trace";
	const streams = D.hops.filter((h) => h.stream);
	const some = (n, one, many) => num(n) + " " + (n === 1 ? one : many);
	$("facts").textContent = [some(D.n, "call", "calls"),
		some([...D.procs.values()].filter((p) => p.n).length, "process",
			"processes"), some(streams.length, "connection",
			"connections"), dur(D.end), D.meta.when].join(" · ");
	const warn = [];
	if (!D.complete)
		warn.push("The recording was cut off: what follows is missing, " +
			"and so are the names of functions.");
	if (D.total > D.n)
		warn.push("Only the first " + num(D.n) + " of " + num(D.total) +
			" calls are in this file.");
	$("warn").hidden = !warn.length;
	$("warn").textContent = warn.join(" ");
	ladder = new Ladder($("seq"));
	lanes = new Lanes($("time"));
	grid = new Grid($("grid"), $("gridhead"));
	hopList = new Windowed($("hops"), 46, hopItem);
	filters();
	orderHops();
	$("hopsort").addEventListener("change", orderHops);
	for (const k of ["seq", "time", "calls", "sum"])
		$("tab-" + k).addEventListener("click", () => tab(k));
	$("tabs").addEventListener("keydown", tabKeys);
	$("z-in").addEventListener("click", () => current().zoom(1.6));
	$("z-out").addEventListener("click", () => current().zoom(1 / 1.6));
	$("z-fit").addEventListener("click", () => current().fit());
	$("helpbutton").addEventListener("click", help);
	document.addEventListener("keydown", keydown);
	let dragging = false;
	$("over").addEventListener("pointerdown", (e) => {
		dragging = true;
		e.target.setPointerCapture(e.pointerId);
		overGo(e);
	});
	$("over").addEventListener("pointermove", (e) => dragging && overGo(e));
	$("over").addEventListener("pointerup", () => dragging = false);
	new ResizeObserver(() => {
		ladder.layout();
		lanes.layout();
		hopList.draw(true);
		if (S.tab === "calls")
			grid.draw();
		repaint();
	}).observe($("middle"));
	matchMedia("(prefers-color-scheme: dark)").addEventListener("change",
		() => {
			readColours();
			repaint();
		});
	window.addEventListener("beforeprint", paper);
	window.addEventListener("afterprint", () => {
		delete document.documentElement.dataset.paper;
		document.documentElement.style.colorScheme = "";
		ladder.layout();
		$("print").replaceChildren();
		readColours();
		repaint();
	});
	welcome();
	if (!streams.length)
		S.hop = "all";
	tab("seq");
	pickHop(S.hop);
	document.documentElement.dataset.loaded = Math.round(
		performance.now() - began);
}

document.addEventListener("DOMContentLoaded", start);
