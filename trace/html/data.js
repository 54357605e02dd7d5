"use strict";
// What was recorded, in columns. One array for each property of a call, all
// in the order in which calls took effect: one that gives (send, close,
// connect) when it starts, one that takes (receive, wait, accept) when it
// returns. In that order a byte is always sent before it is received, and the
// calls of one thread stay as they were. The lines are those of html.c.

const CLASSES = ["open", "send", "receive", "wait", "settings", "close",
	"other"];
const CLASS_TEXT = {
	open: "make a connection or an fd", send: "send bytes",
	receive: "receive bytes", wait: "wait for readiness",
	settings: "look at or change settings", close: "end, shut down",
	other: "anything else",
};
const KINDS = ["unknown", "tcp", "listener", "udp", "unix", "socket", "epoll",
	"eventfd", "pipe", "timerfd", "signalfd", "file"];
const STREAMS = new Set([1, 3, 4, 5]);
const ORIGINS = ["", "made here", "accepted", "inherited",
	"passed from another process", "made by no recorded call",
	"older than the trace"];
const ESCAPES = ["", "made inside another libc function, which the recorder " +
	"does not see", "made through syscall(2)", "made by a syscall " +
	"instruction in the program's own text", "made by io_uring",
	"made before the recorder started or after it ended"];
// What only says "not now".
const LATER = new Set(["EAGAIN", "EWOULDBLOCK", "EINPROGRESS", "EINTR"]);

const D = {
	meta: {}, procs: new Map(), threads: [], eps: new Map(), args: [""],
	fns: [], errnos: new Map(), addrs: [], names: [], stacks: [[]],
	n: 0, complete: false, total: 0,
};

function parseLines(text)
{
	// A killed tracer leaves half a line at the end.
	const lines = text.split("\n").filter((l) => l.length > 1);
	try {
		return JSON.parse("[" + lines.join(",") + "]");
	} catch (e) {
		const out = [];
		for (const l of lines) {
			try {
				out.push(JSON.parse(l));
			} catch (e2) {
				break;
			}
		}
		return out;
	}
}

function load(text)
{
	const items = parseLines(text);
	const calls = [];
	let t = 0;
	for (const x of items) {
		if (typeof x[0] === "number") {
			t += x[2];
			x[2] = t;
			calls.push(x);
			continue;
		}
		switch (x[0]) {
		case "m": D.meta = x[1]; break;
		case "p":
			D.procs.set(x[1], { id: x[1], pid: x[2], ppid: x[3],
				t: t + x[4], cmd: x[6],
				recorded: x[7], status: x[8], n: 0,
				name: x[5] || "pid " + x[2] });
			break;
		case "t": D.threads.push({ proc: x[1], tid: x[2] }); break;
		case "e": addEndpoint(x); break;
		case "s": D.args.push(x[1]); break;
		case "f": D.fns.push({ fn: x[1] || x[3], version: x[2],
			sys: x[3], cls: x[4], n: 0 }); break;
		case "a": D.addrs.push({ proc: x[1], addr: x[2] }); break;
		case "k": D.stacks.push(x.slice(1)); break;
		case "r": D.errnos.set(x[1], { name: x[2] || "errno " + x[1],
			text: x[3] }); break;
		case "n":
			for (let i = 2; i < x.length; i++)
				D.names[x[1] + i - 2] = x[i];
			break;
		case "z": D.total = x[1]; D.complete = true; break;
		}
	}
	if (!D.complete)
		D.total = calls.length;
	columns(calls);
}

// Addresses vanish when a socket is closed: the last that were known stay.
function addEndpoint(x)
{
	const old = D.eps.get(x[1]);
	const e = { id: x[1], kind: x[2], origin: x[3], domain: x[4],
		type: x[5], connected: !!x[6], local: x[7], peer: x[8],
		listener: x[9], hop: -1, side: 0, procs: new Set() };
	if (old) {
		e.local = e.local || old.local;
		e.peer = e.peer || old.peer;
		e.connected = e.connected || old.connected;
		e.listener = e.listener || old.listener;
	}
	D.eps.set(e.id, e);
}

function givesAtStart(fn)
{
	const c = CLASSES[fn.cls];
	return c === "send" || c === "close" || fn.sys === "connect";
}

function columns(calls)
{
	const n = D.n = calls.length;
	const key = new Float64Array(n), perm = new Uint32Array(n);
	for (let i = 0; i < n; i++) {
		const x = calls[i];
		key[i] = givesAtStart(D.fns[x[1]]) ? x[2] : x[2] + x[3];
		perm[i] = i;
	}
	perm.sort((a, b) => key[a] - key[b] || a - b);
	let t0 = Infinity;
	for (const x of calls)
		t0 = Math.min(t0, x[2]);
	D.key = new Float64Array(n);
	D.t = new Float64Array(n);
	D.dur = new Float64Array(n);
	D.th = new Uint32Array(n);
	D.fn = new Uint32Array(n);
	D.cls = new Uint8Array(n);
	D.fd = new Int32Array(n);
	D.ep = new Uint32Array(n);
	D.ret = new Float64Array(n);
	D.arg = new Uint32Array(n);
	D.st = new Uint32Array(n);
	D.err = new Uint16Array(n);
	D.esc = new Uint8Array(n);
	D.by = new Float64Array(n);
	D.proc = new Uint32Array(n);
	D.later = new Uint8Array(n);
	D.also = new Map();
	D.end = 0;
	const later = new Set();
	for (const [no, e] of D.errnos)
		if (LATER.has(e.name))
			later.add(no);
	for (let i = 0; i < n; i++) {
		const x = calls[perm[i]], f = D.fns[x[1]];
		D.key[i] = key[perm[i]] - t0;
		D.t[i] = x[2] - t0;
		D.dur[i] = x[3];
		D.end = Math.max(D.end, D.t[i] + x[3]);
		D.th[i] = x[0];
		D.fn[i] = x[1];
		D.cls[i] = f.cls;
		f.n++;
		D.fd[i] = x[4];
		D.ep[i] = x[5];
		D.ret[i] = x[6];
		D.arg[i] = x[7];
		D.st[i] = x[8];
		D.err[i] = x[9] || 0;
		D.later[i] = later.has(D.err[i]) ? 1 : 0;
		D.esc[i] = x[10] || 0;
		if ((f.cls === 1 || f.cls === 2) && x[6] > 0)
			D.by[i] = x[11] > 0 ? x[11] : x[11] < 0 ? 0 : x[6];
		D.proc[i] = D.threads[x[0]].proc;
		if (x.length > 12)
			D.also.set(i, x.slice(12));
	}
	for (let i = 0; i < n; i++) {
		const p = D.procs.get(D.proc[i]) || noProcess(D.proc[i]);
		p.n++;
		const e = D.eps.get(D.ep[i]);
		if (e) {
			e.procs.add(D.proc[i]);
			e.moved = e.moved || D.by[i] > 0;
		}
	}
	twins();
	created();
	hops();
	flows();
}

function noProcess(id)
{
	const p = { id, pid: 0, ppid: 0, t: 0, cmd: "", status: -1,
		recorded: 0, n: 0, name: "process " + id };
	D.procs.set(id, p);
	return p;
}

// Processes of one name are told apart by their pid.
function twins()
{
	const seen = new Map();
	for (const p of D.procs.values())
		seen.set(p.name, (seen.get(p.name) || 0) + (p.n > 0));
	for (const p of D.procs.values())
		p.label = seen.get(p.name) > 1 ? p.name + " " + p.pid : p.name;
}

// accept returned an fd: the endpoint that this fd is in the process's next
// call on it is the one that accept made.
function created()
{
	const next = new Map();
	D.made = new Map();
	for (let i = D.n - 1; i >= 0; i--) {
		const p = D.proc[i];
		const f = D.fns[D.fn[i]].sys || D.fns[D.fn[i]].fn;
		if (f.startsWith("accept") && D.ret[i] >= 0) {
			const e = next.get(p * 1048576 + D.ret[i]);
			if (e && e !== D.ep[i] && D.eps.has(e) &&
				D.eps.get(e).listener === D.ep[i])
				D.made.set(i, e);
		}
		if (D.ep[i] && D.fd[i] >= 0)
			next.set(p * 1048576 + D.fd[i], D.ep[i]);
	}
}

// Two endpoints are one connection when each one's peer is the other. A port
// may come again: then the one that began nearest in time.
function hops()
{
	const first = new Map(), by = new Map();
	for (let i = 0; i < D.n; i++)
		if (D.ep[i] && !first.has(D.ep[i]))
			first.set(D.ep[i], D.t[i]);
	for (const e of D.eps.values()) {
		e.first = first.has(e.id) ? first.get(e.id) : Infinity;
		if (!STREAMS.has(e.kind) || !e.local || !e.peer ||
			e.first === Infinity)
			continue;
		const k = e.kind + " " + e.local + " " + e.peer;
		if (!by.has(k))
			by.set(k, []);
		by.get(k).push(e);
	}
	D.hops = [];
	const taken = new Set();
	const sorted = [...D.eps.values()].filter((e) => e.first < Infinity)
		.sort((a, b) => a.first - b.first);
	for (const e of sorted) {
		if (taken.has(e.id))
			continue;
		taken.add(e.id);
		let mate = null;
		if (STREAMS.has(e.kind) && e.local && e.peer) {
			for (const m of by.get(e.kind + " " + e.peer + " " +
				e.local) || []) {
				if (taken.has(m.id))
					continue;
				if (!mate || Math.abs(m.first - e.first) <
					Math.abs(mate.first - e.first))
					mate = m;
			}
		}
		if (mate)
			taken.add(mate.id);
		let a = e, b = mate;
		// The one that connected stands left.
		if (b && (b.connected && !a.connected ||
			a.origin === 2 && b.origin !== 2))
			[a, b] = [b, a];
		else if (!b && STREAMS.has(e.kind) && !e.connected &&
			(e.origin === 2 || e.listener))
			[a, b] = [null, e];
		addHop(a, b);
	}
	relate();
}

function addHop(a, b)
{
	const any = a || b, h = { i: D.hops.length, a, b, kind: any.kind,
		stream: STREAMS.has(any.kind) && !!(b && a || any.peer),
		own: [], extra: [], ab: 0, ba: 0,
		errs: 0, escs: 0, n: 0, first: Infinity, last: 0 };
	if (a) {
		a.hop = h.i;
		a.side = 0;
	}
	if (b) {
		b.hop = h.i;
		b.side = 1;
	}
	// Bytes without an address: a socketpair, one that was inherited.
	if (!h.stream && (h.kind === 1 || h.kind === 4) && any.moved) {
		h.stream = true;
		h.nameless = true;
	}
	const names = (e) => [...e.procs].map((p) => D.procs.get(p).label)
		.join(", ");
	if (h.stream && !h.nameless) {
		h.name = (a ? names(a) : any.peer ? "outside" : "?") + " → " +
			(b ? names(b) : any.peer ? "outside" : "?");
		h.addr = (a ? a.local || "?" : b.peer) + " → " +
			(b ? b.local || "?" : a.peer || "?");
		// Loopback is the rule here: ports say enough then.
		h.short = h.addr.split(" → ").every((x) => LOOPBACK.test(x)) ?
			h.addr.replace(/(127\.0\.0\.1|\[::1\]):/g, ":") : h.addr;
	} else {
		h.name = names(any);
		h.short = h.addr = KINDS[h.kind] + (any.local ? " " +
			any.local : " c" + any.id);
	}
	D.hops.push(h);
}

const LOOPBACK = /^(127\.0\.0\.1|\[::1\]):\d+$/;

function hopOf(i)
{
	const e = D.eps.get(D.ep[i]);
	return e ? e.hop : -1;
}

// Besides the calls on its own fds a connection has those that wait for it,
// register it or make it.
function relate()
{
	D.inStream = new Uint8Array(D.n);
	for (let i = 0; i < D.n; i++) {
		const at = hopOf(i);
		if (at >= 0) {
			const h = D.hops[at];
			h.own.push(i);
			h.n++;
			if (D.err[i] && !D.later[i])
				h.errs++;
			if (D.esc[i])
				h.escs++;
			h.first = Math.min(h.first, D.t[i]);
			h.last = Math.max(h.last, D.t[i] + D.dur[i]);
			if (h.stream) {
				const e = D.eps.get(D.ep[i]);
				if (D.cls[i] === 1)
					e.side ? h.ba += D.by[i] : h.ab += D.by[i];
				else if (e.side ? !h.a : !h.b)
					e.side ? h.ab += D.by[i] : h.ba += D.by[i];
				D.inStream[i] = 1;
			}
		}
		const other = [];
		const al = D.also.get(i);
		for (let k = 0; al && k < al.length; k += 2)
			other.push(al[k]);
		if (D.made.has(i))
			other.push(D.made.get(i));
		let last = -1;
		for (const id of other) {
			const e = D.eps.get(id);
			if (!e || e.hop < 0 || e.hop === at || e.hop === last)
				continue;
			last = e.hop;
			D.hops[e.hop].extra.push(i);
			if (D.hops[e.hop].stream)
				D.inStream[i] = 1;
		}
	}
}

// Bytes of a stream arrive in the order in which they were sent: a send and a
// receive share an arrow when they share bytes of the stream. Receives that
// are older than what was sent took bytes from before the recording.
function flows()
{
	const from = [], to = [], bytes = [], type = [];
	const add = (f, t, n, k) => {
		from.push(f);
		to.push(t);
		bytes.push(n);
		type.push(k);
	};
	for (const h of D.hops) {
		if (!h.stream)
			continue;
		for (const dir of [0, 1]) {
			const S = dir ? h.b : h.a, R = dir ? h.a : h.b;
			const sends = [], recvs = [];
			let eof = -1, end = -1;
			for (const i of h.own) {
				const e = D.eps.get(D.ep[i]);
				if (e === S && D.cls[i] === 1 && D.by[i] > 0)
					sends.push(i);
				if (e === R && D.cls[i] === 2 && D.by[i] > 0)
					recvs.push(i);
				if (e === R && D.cls[i] === 2 && !D.ret[i] &&
					!D.err[i] && eof < 0)
					eof = i;
				if (e === S && D.cls[i] === 5 && !D.err[i] &&
					end < 0)
					end = i;
			}
			if (!R || !S) {
				for (const i of R ? recvs : sends)
					R ? add(-1, i, D.by[i], 0) :
						add(i, -1, D.by[i], 0);
				continue;
			}
			match(sends, recvs, add);
			if (eof >= 0 && end >= 0 && D.key[end] <= D.key[eof])
				add(end, eof, 0, 2);
		}
		let conn = -1, acc = -1;
		for (const i of h.own)
			if (h.a && D.ep[i] === h.a.id &&
				D.fns[D.fn[i]].sys === "connect")
				conn = conn < 0 ? i : conn;
		for (const i of h.extra)
			if (h.b && D.made.get(i) === h.b.id)
				acc = i;
		if (conn >= 0 && acc >= 0)
			add(conn, acc, 0, 1);
	}
	D.flows = { from: Int32Array.from(from), to: Int32Array.from(to),
		bytes: Float64Array.from(bytes), type: Uint8Array.from(type),
		n: from.length };
	D.outOf = index(D.flows.from);
	D.into = index(D.flows.to);
}

function match(sends, recvs, add)
{
	let s = 0, left = sends.length ? D.by[sends[0]] : 0;
	for (const r of recvs) {
		let want = D.by[r];
		while (want > 0 && s < sends.length &&
			D.key[sends[s]] <= D.key[r]) {
			const n = Math.min(want, left);
			add(sends[s], r, n, 0);
			want -= n;
			left -= n;
			if (left <= 0 && ++s < sends.length)
				left = D.by[sends[s]];
		}
	}
}

// For each call, the flows at one of its ends.
function index(ends)
{
	const at = new Uint32Array(D.n + 1);
	for (const c of ends)
		if (c >= 0)
			at[c + 1]++;
	for (let i = 0; i < D.n; i++)
		at[i + 1] += at[i];
	const fill = at.slice(), list = new Uint32Array(at[D.n]);
	ends.forEach((c, f) => {
		if (c >= 0)
			list[fill[c]++] = f;
	});
	return { at, list };
}

function flowsAt(ix, c)
{
	return ix.list.subarray(ix.at[c], ix.at[c + 1]);
}

function frameOf(a)
{
	const name = D.names[a] || D.addrs[a].addr;
	const m = /^(.*?)!(.*?)(\+0x[0-9a-f]+)?$/.exec(name);
	return m ? { mod: m[1], fn: m[2], off: m[3] || "" } :
		{ mod: "", fn: name, off: "" };
}

function dur(ns)
{
	const s = (x) => x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) :
		x.toFixed(2);
	if (ns < 0)
		return "-" + dur(-ns);
	return ns < 1000 ? Math.round(ns) + " ns" :
		ns < 999500 ? s(ns / 1e3) + " µs" :
		ns < 999.5e6 ? s(ns / 1e6) + " ms" : s(ns / 1e9) + " s";
}

function num(n)
{
	return String(n).replace(/\B(?=(\d{3})+$)/g, " ");
}

function stamp(ns)
{
	return D.end < 9.9e9 ? Math.floor(ns / 1e6) + "." +
		String(Math.floor(ns / 1e3) % 1000).padStart(3, "0") :
		(ns / 1e9).toFixed(D.end < 99e9 ? 5 : 4);
}

function unit()
{
	return D.end < 9.9e9 ? "ms" : "s";
}

function size(n)
{
	return n < 1000 ? n + " B" : n < 1e6 ? (n / 1e3).toFixed(n < 1e4 ? 1 : 0) +
		" kB" : n < 1e9 ? (n / 1e6).toFixed(n < 1e7 ? 1 : 0) + " MB" :
		(n / 1e9).toFixed(2) + " GB";
}

function result(i)
{
	return D.err[i] ? "−1 " + D.errnos.get(D.err[i]).name :
		String(D.ret[i]);
}

// An escape has the name of the syscall, and of the function of libc that hid
// it when that is known.
function callName(i)
{
	const f = D.fns[D.fn[i]];
	return D.esc[i] && f.sys && f.fn !== f.sys ? f.fn + ":" + f.sys : f.fn;
}

function sentence(i)
{
	return (D.esc[i] ? "! " : "") + callName(i) + "(" +
		D.args[D.arg[i]] + ") = " + result(i);
}

function threadName(i)
{
	const t = D.threads[D.th[i]], p = D.procs.get(t.proc);
	return p.name + " " + p.pid + (t.tid !== p.pid ? "/" + t.tid : "");
}
