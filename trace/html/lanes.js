// The time line: time runs to the right, each connection has a lane for each
// of its ends, each call is a bar as long as it took.

class Lanes {
	constructor(box)
	{
		this.box = box;
		this.canvas = box.querySelector("canvas");
		this.spacer = box.querySelector(".spacer");
		this.t0 = 0;
		this.t1 = 1;
		this.axis = 26;
		this.left = 168;
		this.lanes = [];
		this.laneOf = new Int32Array(D.n).fill(-1);
		this.h = 100;
		this.w = 100;
		box.addEventListener("scroll", () => repaint());
		box.addEventListener("wheel", (e) => this.wheel(e),
			{ passive: false });
		box.addEventListener("pointerdown", (e) => this.down(e));
		box.addEventListener("pointermove", (e) => this.move(e));
		box.addEventListener("pointerup", (e) => this.up(e));
		box.addEventListener("pointerleave", () => tip(null, -1));
		box.addEventListener("dblclick", (e) => {
			const i = this.at(e);
			if (i >= 0)
				this.frame(D.t[i] - D.dur[i] * 4 - 2e3,
					D.t[i] + D.dur[i] * 5 + 2e3);
			else
				this.zoom(4, this.xy(e)[0]);
		});
	}

	set(rows)
	{
		this.rows = rows;
		const by = new Map();
		this.laneOf.fill(-1);
		for (const i of rows) {
			const e = D.eps.get(D.ep[i]);
			const k = e && e.hop >= 0 ? e.hop * 2 + e.side :
				-1 - D.proc[i];
			if (!by.has(k))
				by.set(k, []);
			by.get(k).push(i);
		}
		// Hops by the time of their first call, other calls at the end.
		const keys = [...by.keys()].sort((a, b) => (a < 0) - (b < 0) ||
			(a < 0 ? b - a : this.order(a) - this.order(b) || a - b));
		this.lanes = [];
		const H = keys.length < 13 ? 30 : 22;
		let y = 6, hop = -9;
		for (const k of keys) {
			const h = k >= 0 ? D.hops[k >> 1] : null;
			if (!h || h.i !== hop)
				y += 10;
			hop = h ? h.i : -9;
			const calls = Uint32Array.from(by.get(k)).sort((a, b) =>
				D.t[a] - D.t[b] || a - b);
			let most = 0;
			for (const i of calls)
				most = Math.max(most, D.dur[i]);
			this.lanes.push({ k, h, y, calls, most, H,
				e: h ? k & 1 ? h.b : h.a : null, first: !h ||
				!this.lanes.length || this.lanes[
				this.lanes.length - 1].h !== h });
			y += h && h.stream && h.a && h.b && !(k & 1) &&
				by.has(k + 1) ? H * 2 : H + 2;
		}
		this.lanes.forEach((l, n) => {
			for (const i of l.calls)
				this.laneOf[i] = n;
		});
		this.high = y + 20;
		this.layout();
	}

	order(k)
	{
		const h = D.hops[k >> 1];
		return (h.stream ? 0 : 1e15) + h.first;
	}

	layout()
	{
		this.w = Math.max(200, this.box.clientWidth);
		this.h = Math.max(80, this.box.clientHeight);
		this.spacer.style.height = Math.max(this.h - 1, Math.min(MAX_PX,
			this.high + this.axis)) + "px";
	}

	fit()
	{
		let a = Infinity, b = 0;
		// What counts is when calls took effect: a first accept may have
		// waited for hours.
		for (const i of this.rows) {
			a = Math.min(a, D.key[i]);
			b = Math.max(b, D.t[i] + D.dur[i]);
		}
		if (a === Infinity)
			[a, b] = [0, D.end];
		for (const i of this.rows)
			if (a - D.t[i] < (b - a) * 0.05)
				a = Math.min(a, D.t[i]);
		const pad = (b - a) * 0.02 + 500;
		this.frame(a - pad, b + pad);
	}

	frame(a, b)
	{
		const least = 200, most = D.end * 1.2 + 1e4;
		let s = Math.max(least, Math.min(most, b - a));
		const m = (a + b) / 2;
		this.t0 = Math.max(-D.end * 0.1 - 5e3, m - s / 2);
		this.t1 = this.t0 + s;
		repaint();
	}

	x(t)
	{
		return this.left + (t - this.t0) / (this.t1 - this.t0) *
			(this.w - this.left);
	}

	t(x)
	{
		return this.t0 + (x - this.left) / (this.w - this.left) *
			(this.t1 - this.t0);
	}

	zoom(f, x = (this.w + this.left) / 2)
	{
		const t = this.t(x), s = (this.t1 - this.t0) / f;
		const u = (t - this.t0) / (this.t1 - this.t0);
		this.frame(t - s * u, t + s * (1 - u));
	}

	pan(part)
	{
		const d = (this.t1 - this.t0) * part;
		this.frame(this.t0 + d, this.t1 + d);
	}

	wheel(e)
	{
		const fits = this.high + this.axis <= this.h;
		if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
			e.preventDefault();
			this.pan((e.deltaX || e.deltaY) / 1000);
		} else if (e.ctrlKey || e.metaKey || fits) {
			e.preventDefault();
			this.zoom(Math.exp(-e.deltaY / 400), this.xy(e)[0]);
		}
	}

	xy(e)
	{
		const r = this.box.getBoundingClientRect();
		return [e.clientX - r.left, e.clientY - r.top];
	}

	down(e)
	{
		const [x, y] = this.xy(e);
		if (e.button || x > this.box.clientWidth)
			return;
		this.drag = { x, y, t0: this.t0, t1: this.t1,
			top: this.box.scrollTop, moved: false };
		this.box.setPointerCapture(e.pointerId);
	}

	move(e)
	{
		const [x, y] = this.xy(e), d = this.drag;
		if (!d) {
			tip(e, this.at(e));
			return;
		}
		if (!d.moved && Math.abs(x - d.x) + Math.abs(y - d.y) < 4)
			return;
		d.moved = true;
		this.box.classList.add("drag");
		const s = (d.t1 - d.t0) * (d.x - x) / (this.w - this.left);
		this.box.scrollTop = d.top + d.y - y;
		this.frame(d.t0 + s, d.t1 + s);
	}

	up(e)
	{
		const d = this.drag;
		this.drag = null;
		this.box.classList.remove("drag");
		if (d && !d.moved) {
			const i = this.at(e);
			if (i >= 0)
				select(i, { keep: true });
		}
	}

	// The first call of a lane that may reach into what is seen.
	start(l)
	{
		const from = this.t0 - l.most;
		let a = 0, b = l.calls.length;
		while (a < b) {
			const m = (a + b) >> 1;
			if (D.t[l.calls[m]] < from)
				a = m + 1;
			else
				b = m;
		}
		return a;
	}

	at(e)
	{
		const [x, y0] = this.xy(e), y = y0 - this.axis +
			this.box.scrollTop;
		if (x < this.left || y0 < this.axis)
			return -1;
		const l = this.lanes.find((q) => y >= q.y && y < q.y + q.H);
		if (!l)
			return -1;
		let best = -1, near = 5;
		for (let k = this.start(l); k < l.calls.length; k++) {
			const i = l.calls[k], a = this.x(D.t[i]);
			if (a > x + 5)
				break;
			const b = Math.max(a + 1, this.x(D.t[i] + D.dur[i]));
			const d = x < a ? a - x : x > b ? x - b : 0;
			if (d < near || d === near && best >= 0 &&
				D.dur[i] <= D.dur[best]) {
				near = d;
				best = i;
			}
		}
		return best;
	}

	show(i)
	{
		if (this.laneOf[i] < 0)
			return;
		const s = this.t1 - this.t0, a = D.t[i], b = a + D.dur[i];
		if (b < this.t0 + s * 0.02 || a > this.t1 - s * 0.02)
			this.frame((a + b) / 2 - s / 2, (a + b) / 2 + s / 2);
		const y = this.lanes[this.laneOf[i]].y;
		if (y < this.box.scrollTop || y > this.box.scrollTop + this.h -
			this.axis - 30)
			this.box.scrollTop = y - this.h / 2;
	}

	draw()
	{
		const g = fit(this.canvas, this.w, this.h);
		const top = this.box.scrollTop;
		g.textBaseline = "middle";
		g.font = "11px " + C.mono;
		this.cw = g.measureText("0000000000").width / 10;
		this.grid(g);
		this.few = 0;
		const seen = [];
		for (const l of this.lanes) {
			const y = this.axis + l.y - top;
			if (y > this.h || y + l.H + 30 < this.axis)
				continue;
			this.lane(g, l, y, seen);
		}
		this.arrows(g, seen, top);
		if (!seen.length && this.lanes.length) {
			g.fillStyle = C.dim;
			g.font = "13px " + C.sans;
			g.fillText("Nothing happens in these " + dur(this.t1 -
				this.t0) + ".", (this.left + this.w) / 2 - 90, 60);
		}
		this.names(g, top);
		this.scale(g);
	}

	step()
	{
		const rough = (this.t1 - this.t0) / (this.w - this.left) * 110;
		const p = Math.pow(10, Math.floor(Math.log10(rough)));
		return [1, 2, 5, 10].map((m) => m * p).find((s) => s >= rough);
	}

	grid(g)
	{
		const s = this.step();
		g.fillStyle = C.soft;
		for (let t = Math.ceil(this.t0 / s) * s; t < this.t1; t += s)
			g.fillRect(Math.round(this.x(t)), this.axis, 1, this.h);
	}

	scale(g)
	{
		const s = this.step();
		g.fillStyle = C.bg;
		g.fillRect(0, 0, this.w, this.axis);
		g.fillStyle = C.line;
		g.fillRect(0, this.axis - 1, this.w, 1);
		g.fillStyle = C.dim;
		g.font = "11px " + C.mono;
		const unit = s < 1e3 ? [1, "ns"] : s < 1e6 ? [1e3, "µs"] :
			s < 1e9 ? [1e6, "ms"] : [1e9, "s"];
		for (let t = Math.ceil(this.t0 / s) * s; t < this.t1; t += s) {
			const x = this.x(t);
			if (x > this.left)
				g.fillText(num(Math.round(t / unit[0])) + " " +
					unit[1], x + 4, 12);
		}
		g.font = "11px " + C.sans;
		g.fillText("seen: " + dur(this.t1 - this.t0), 10, 12);
	}

	lane(g, l, y, seen)
	{
		g.fillStyle = C.panel;
		g.fillRect(this.left, y, this.w - this.left, l.H);
		const right = this.w;
		let px = -1, rank = -1, n = 0;
		for (let k = this.start(l); k < l.calls.length; k++) {
			const i = l.calls[k], a = this.x(D.t[i]);
			if (a > right)
				break;
			const b = this.x(D.t[i] + D.dur[i]);
			if (b < this.left)
				continue;
			n++;
			if (seen.length < 6000)
				seen.push(i);
			// One bar a pixel: what matters most is what is seen.
			const p = Math.round(a), w = b - a;
			const r = D.esc[i] ? 4 : D.err[i] && !D.later[i] ? 3 :
				D.cls[i] === 3 ? 0 : 1;
			if (w < 1.5 && p === px && r <= rank)
				continue;
			if (p !== px)
				rank = -1;
			px = p;
			rank = Math.max(rank, r);
			this.bar(g, i, Math.max(a, this.left - 4), b, y, l.H);
		}
		l.seen = n;
	}

	bar(g, i, a, b, y, H)
	{
		const w = Math.max(1.2, Math.min(b, this.w + 4) - a);
		const bad = D.err[i] && !D.later[i];
		g.fillStyle = bad ? C.err : D.later[i] ? C.again :
			C.cls[D.cls[i]];
		const wait = D.cls[i] === 3 || D.dur[i] > 1e6;
		g.globalAlpha = i === S.call ? 1 : wait ? 0.32 : 0.82;
		const inset = D.cls[i] === 3 ? 6 : 2;
		if (w > 5) {
			g.beginPath();
			g.roundRect(a, y + inset, w, H - 2 * inset, 3);
			g.fill();
			g.globalAlpha = 1;
			g.fillRect(a, y + inset, 2, H - 2 * inset);
		} else {
			g.fillRect(a, y + inset, w, H - 2 * inset);
			g.globalAlpha = 1;
		}
		if (D.esc[i]) {
			g.fillStyle = C.esc;
			g.fillRect(a, y, Math.max(2, w), 3);
		}
		if (i === S.call) {
			g.strokeStyle = C.text;
			g.lineWidth = 2;
			g.strokeRect(a - 1, y, Math.max(3, w) + 2, H);
		}
		const chars = Math.floor((w - 10) / this.cw);
		if (chars >= 3) {
			const f = callName(i), full = f + " " + (D.err[i] ?
				D.errnos.get(D.err[i]).name : D.by[i] ?
				size(D.by[i]) : D.ret[i]);
			g.fillStyle = wait && !bad ? C.text : C.bg;
			g.fillText(cut(full.length <= chars ? full : f, chars),
				Math.max(a, this.left) + 6, y + H / 2);
		}
	}

	arrows(g, seen, top)
	{
		const F = D.flows;
		if (seen.length >= 6000)
			return;
		let drawn = 0;
		const done = new Set();
		g.save();
		g.beginPath();
		g.rect(this.left, this.axis, this.w, this.h);
		g.clip();
		for (const i of seen) {
			for (const f of [...flowsAt(D.outOf, i),
				...flowsAt(D.into, i)]) {
				if (done.has(f) || drawn > 2500)
					continue;
				done.add(f);
				const a = F.from[f], b = F.to[f];
				if (a < 0 || b < 0 || this.laneOf[a] < 0 ||
					this.laneOf[b] < 0)
					continue;
				drawn++;
				this.arrow(g, f, a, b, top, seen.length);
			}
		}
		g.restore();
		g.globalAlpha = 1;
	}

	arrow(g, f, a, b, top, many)
	{
		const A = this.lanes[this.laneOf[a]];
		const B = this.lanes[this.laneOf[b]];
		if (A === B)
			return;
		const F = D.flows, down = B.y > A.y;
		const x1 = this.x(D.t[a]) + 1;
		const x2 = Math.max(x1, this.x(D.t[b] + D.dur[b]) - 1);
		const y1 = this.axis + A.y - top + (down ? A.H - 2 : 2);
		const y2 = this.axis + B.y - top + (down ? 2 : B.H - 2);
		const sel = S.call === a || S.call === b;
		g.strokeStyle = g.fillStyle = F.type[f] === 1 ? C.open :
			F.type[f] === 2 ? C.close : down ? C.right : C.left;
		g.globalAlpha = sel ? 1 : many > 800 ? 0.3 : 0.8;
		g.lineWidth = sel ? 2.4 : 1.2;
		g.setLineDash(F.type[f] ? [4, 3] : []);
		g.beginPath();
		g.moveTo(x1, y1);
		g.lineTo(x2, y2);
		g.stroke();
		g.setLineDash([]);
		if (many > 800)
			return;
		const q = Math.atan2(y2 - y1, x2 - x1);
		g.beginPath();
		g.moveTo(x2, y2);
		g.lineTo(x2 - 7 * Math.cos(q - 0.4), y2 - 7 * Math.sin(q - 0.4));
		g.lineTo(x2 - 7 * Math.cos(q + 0.4), y2 - 7 * Math.sin(q + 0.4));
		g.fill();
		if (many < 160 && F.type[f] === 0) {
			g.font = "10px " + C.sans;
			const text = size(F.bytes[f]);
			const tw = g.measureText(text).width;
			const x = (x1 + x2) / 2, y = (y1 + y2) / 2;
			const c = g.strokeStyle;
			g.globalAlpha = 0.85;
			g.fillStyle = C.bg;
			g.fillRect(x + 5, y - 6, tw + 4, 12);
			g.globalAlpha = 1;
			g.fillStyle = c;
			g.fillText(text, x + 7, y);
			g.font = "11px " + C.mono;
		}
	}

	names(g, top)
	{
		g.fillStyle = C.bg;
		g.fillRect(0, this.axis, this.left - 4, this.h);
		for (const l of this.lanes) {
			const y = this.axis + l.y - top;
			if (y > this.h || y + l.H < 0)
				continue;
			const h = l.h;
			g.save();
			g.beginPath();
			g.rect(0, this.axis, this.left - 8, this.h);
			g.clip();
			g.fillStyle = C.text;
			g.font = "600 12px " + C.sans;
			g.fillText(h ? [...l.e.procs].map((p) => D.procs.get(p)
				.label).join(", ") : D.procs.get(-1 - l.k).label,
				10, y + l.H / 2 - 5);
			g.fillStyle = C.dim;
			g.font = "10px " + C.mono;
			g.fillText(!h ? "other calls" : h.stream ? (l.e.local ||
				KINDS[h.kind]) : KINDS[h.kind] + " " +
				(l.e.local || "c" + l.e.id), 10, y + l.H / 2 + 7);
			if (h && l.first && h.stream) {
				g.fillStyle = C.line;
				g.fillRect(0, y - 6, this.left - 8, 1);
			}
			g.restore();
		}
	}
}
