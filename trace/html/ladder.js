// The sequence: a column for each process, a row for each call, arrows for
// bytes. Only what is in sight is drawn; the browser's own scroll bar moves
// over a spacer as high as all rows.

const C = {};

function readColours()
{
	const s = getComputedStyle(document.documentElement);
	for (const k of ["bg", "panel", "line", "soft", "text", "dim", "accent",
		"sel", "err", "again", "esc", "right", "left", "mono", "sans",
		...CLASSES])
		C[k] = s.getPropertyValue("--" + k).trim();
	C.cls = CLASSES.map((k) => C[k]);
}

function fit(canvas, w, h)
{
	const r = Math.min(3, window.devicePixelRatio || 1);
	if (canvas.width !== Math.round(w * r) ||
		canvas.height !== Math.round(h * r)) {
		canvas.width = Math.round(w * r);
		canvas.height = Math.round(h * r);
		canvas.style.width = w + "px";
		canvas.style.height = h + "px";
	}
	const g = canvas.getContext("2d");
	g.setTransform(r, 0, 0, r, 0, 0);
	g.clearRect(0, 0, w, h);
	return g;
}

function cut(text, chars)
{
	return text.length <= chars ? text : chars < 2 ? "" :
		text.slice(0, chars - 1) + "…";
}

const MAX_PX = 8e6; // browsers limit how high an element is

class Ladder {
	constructor(box)
	{
		this.box = box;
		this.canvas = box.querySelector("canvas");
		this.spacer = box.querySelector(".spacer");
		this.rowH = 22;
		this.head = 40;
		this.gutter = 126;
		this.rows = new Uint32Array(0);
		this.rowOf = new Int32Array(D.n).fill(-1);
		this.cols = [];
		box.addEventListener("scroll", () => repaint());
		box.addEventListener("wheel", (e) => {
			if (!e.ctrlKey && !e.metaKey)
				return;
			e.preventDefault();
			this.zoom(Math.exp(-e.deltaY / 300), this.y(e));
		}, { passive: false });
		box.addEventListener("click", (e) => {
			const i = this.at(e);
			if (i >= 0)
				select(i, { keep: true });
		});
		box.addEventListener("dblclick", () => {
			if (this.rowH < 18)
				this.zoom(22 / this.rowH);
		});
		box.addEventListener("mousemove", (e) => {
			const i = this.at(e);
			tip(e, this.rowH < 16 || i >= 0 &&
				this.cutOff(i) ? i : -1);
		});
		box.addEventListener("mouseleave", () => tip(null, -1));
	}

	y(e)
	{
		return e.clientY - this.box.getBoundingClientRect().top;
	}

	set(rows)
	{
		this.rowOf.fill(-1);
		this.rows = rows;
		for (let r = 0; r < rows.length; r++)
			this.rowOf[rows[r]] = r;
		this.columns();
		this.layout();
	}

	// Clients stand left of their servers; who only waits stands last.
	columns()
	{
		const n = new Map(), threads = new Map();
		let outL = false, outR = false;
		for (const i of this.rows) {
			n.set(D.proc[i], (n.get(D.proc[i]) || 0) + 1);
			if (!threads.has(D.proc[i]))
				threads.set(D.proc[i], new Map());
			const t = threads.get(D.proc[i]);
			if (!t.has(D.th[i]))
				t.set(D.th[i], t.size);
			const h = D.hops[hopOf(i)];
			if (h && h.stream && !(h.a && h.b)) {
				outL = outL || !h.a;
				outR = outR || !h.b && h.b !== undefined &&
					!!(h.a.peer || h.ab || h.ba);
			}
		}
		const rank = new Map([...n.keys()].map((p) => [p, 0]));
		for (let k = 0; k < rank.size; k++) {
			let moved = false;
			for (const h of D.hops) {
				if (!h.a || !h.b || !h.stream)
					continue;
				for (const p of h.a.procs)
					for (const q of h.b.procs)
						if (p !== q && rank.has(p) &&
							rank.has(q) && rank.get(q) <
							rank.get(p) + 1 &&
							rank.get(p) < rank.size) {
							rank.set(q, rank.get(p) + 1);
							moved = true;
						}
			}
			if (!moved)
				break;
		}
		const ids = [...n.keys()].sort((a, b) =>
			rank.get(a) - rank.get(b) || a - b);
		this.cols = ids.map((id) => ({ id, p: D.procs.get(id),
			n: n.get(id), threads: threads.get(id) }));
		if (outL)
			this.cols.unshift({ id: -1, out: true, n: 0 });
		if (outR)
			this.cols.push({ id: -2, out: true, n: 0 });
		this.colOf = new Map(this.cols.map((c, k) => [c.id, k]));
	}

	layout(width = this.box.clientWidth)
	{
		const w = Math.max(200, width);
		const h = Math.max(80, this.box.clientHeight);
		const k = this.cols.length, outs = this.cols.filter((c) => c.out)
			.length;
		const gap = k > 1 ? k > 3 ? 60 : 76 : 0;
		const room = w - this.gutter - 10 - gap * (k - 1) - outs * 70;
		const each = Math.max(160, room / Math.max(1, k - outs));
		let x = this.gutter;
		for (const c of this.cols) {
			c.x = x;
			c.w = c.out ? 70 : each;
			x += c.w + gap;
		}
		this.gap = gap;
		this.w = w;
		this.h = h;
		this.contentW = Math.max(w, x - gap + 10);
		this.total = this.rows.length * this.rowH + this.head + 20;
		this.px = Math.min(this.total, MAX_PX);
		this.spacer.style.height = this.px + "px";
		this.spacer.style.width = (this.contentW > w + 1 ?
			this.contentW + "px" : "100%");
	}

	// Where the scroll bar stands, in pixels of all rows.
	get top()
	{
		const max = this.px - this.h;
		return max <= 0 ? 0 : this.box.scrollTop / max *
			Math.max(0, this.total - this.h);
	}

	set top(v)
	{
		const max = this.total - this.h;
		this.box.scrollTop = max <= 0 ? 0 : v / max * (this.px - this.h);
	}

	zoom(f, y = this.h / 2)
	{
		const row = (this.top + y - this.head) / this.rowH;
		const least = Math.min(22, (this.h - this.head - 20) /
			Math.max(1, this.rows.length));
		this.rowH = Math.max(least, Math.min(34, this.rowH * f));
		this.layout();
		this.top = row * this.rowH + this.head - y;
		repaint();
	}

	fit()
	{
		this.zoom(1e-9, 0);
	}

	at(e)
	{
		const y = this.y(e);
		if (y < this.head)
			return -1;
		const r = Math.floor((this.top + y - this.head) / this.rowH);
		return r >= 0 && r < this.rows.length ? this.rows[r] : -1;
	}

	cutOff(i)
	{
		const c = this.cols[this.colOf.get(D.proc[i])];
		return sentence(i).length * this.cw + 70 > c.w;
	}

	show(i)
	{
		const r = this.rowOf[i];
		if (r < 0)
			return;
		const y = r * this.rowH, top = this.top;
		if (y < top + 2 * this.rowH || y > top + this.h - this.head -
			4 * this.rowH)
			this.top = y - (this.h - this.head) / 2;
	}

	window()
	{
		const lo = Math.max(0, Math.floor((this.top) / this.rowH));
		const hi = Math.min(this.rows.length, Math.ceil((this.top +
			this.h - this.head) / this.rowH) + 1);
		return [lo, hi];
	}

	draw()
	{
		const g = fit(this.canvas, this.w, this.h);
		this.paint(g, this.top, this.box.scrollLeft, this.w, this.h);
	}

	paint(g, top, left, w, h)
	{
		g.font = "12px " + C.mono;
		this.cw = g.measureText("0000000000").width / 10;
		g.textBaseline = "middle";
		g.save();
		g.translate(-left, 0);
		const lo = Math.max(0, Math.floor(top / this.rowH));
		const hi = Math.min(this.rows.length,
			Math.ceil((top + h - this.head) / this.rowH) + 1);
		this.y0 = this.head - top;
		this.lanes(g, h);
		if (this.rowH >= 3) {
			for (let r = lo; r < hi; r++)
				this.row(g, r);
			this.arrows(g, lo, hi, h);
		} else {
			this.dense(g, lo, hi, h);
		}
		this.heads(g, left, w);
		g.restore();
		if (!this.rows.length) {
			g.fillStyle = C.dim;
			g.font = "14px " + C.sans;
			g.textAlign = "center";
			g.fillText("No call passes the filter.", w / 2, h / 3);
			g.textAlign = "left";
		}
	}

	lanes(g, h)
	{
		this.cols.forEach((c, k) => {
			g.fillStyle = c.out ? C.bg : C.panel;
			g.fillRect(c.x, this.head, c.w, h - this.head);
			if (c.out) {
				g.strokeStyle = C.line;
				g.setLineDash([4, 4]);
				g.beginPath();
				const x = k ? c.x + 14 : c.x + c.w - 14;
				g.moveTo(x, this.head);
				g.lineTo(x, h);
				g.stroke();
				g.setLineDash([]);
			}
		});
	}

	heads(g, left, w)
	{
		g.fillStyle = C.bg;
		g.fillRect(left, 0, w, this.head);
		g.fillStyle = C.line;
		g.fillRect(left, this.head - 1, w, 1);
		g.fillStyle = C.dim;
		g.font = "11px " + C.sans;
		g.textAlign = "right";
		g.fillText(unit(), 56, this.head - 10);
		g.fillText("after", this.gutter - 6, this.head - 10);
		g.textAlign = "left";
		for (const c of this.cols) {
			g.save();
			g.beginPath();
			g.rect(c.x, 0, c.w, this.head);
			g.clip();
			g.fillStyle = c.out ? C.dim : C.text;
			g.font = "600 13px " + C.sans;
			g.fillText(c.out ? "outside" : c.p.name, c.x + 6, 13);
			g.fillStyle = C.dim;
			if (!c.out) {
				const x = c.x + 14 + g.measureText(c.p.name).width;
				g.font = "11px " + C.sans;
				g.fillText("pid " + c.p.pid + (c.threads.size > 1 ?
					", " + c.threads.size + " threads" : ""),
					x, 13);
			}
			g.font = "11px " + C.mono;
			g.fillText(c.out ? "not traced" : c.p.cmd, c.x + 6, 29);
			g.restore();
		}
	}

	colour(i)
	{
		return D.err[i] ? D.later[i] ? C.again : C.err : C.cls[D.cls[i]];
	}

	// Threads of one process are a little indented, each its own way.
	box4(i)
	{
		const c = this.cols[this.colOf.get(D.proc[i])];
		const ind = Math.min(6, c.threads.get(D.th[i])) * 7;
		return [c.x + 2 + ind, c.w - 4 - ind];
	}

	row(g, r)
	{
		const i = this.rows[r], H = this.rowH;
		const y = this.y0 + r * H, mid = y + H / 2;
		const pad = H > 12 ? 1.5 : H > 6 ? 0.5 : 0;
		const [x, w] = this.box4(i);
		const col = this.colour(i), sel = i === S.call;
		if (sel) {
			g.fillStyle = C.sel;
			g.fillRect(0, y, this.contentW, H);
		}
		g.globalAlpha = sel ? 0.34 : H > 12 ? 0.13 : 0.5;
		g.fillStyle = col;
		g.beginPath();
		g.roundRect(x, y + pad, w, H - 2 * pad, H > 12 ? 4 : 1);
		g.fill();
		g.globalAlpha = 1;
		g.fillRect(x, y + pad, H > 6 ? 3 : 2, H - 2 * pad);
		if (D.dur[i] > 0 && H > 8) {
			// Its length says how long, in powers of ten from 100 ns.
			const l = Math.max(0, Math.min(1,
				Math.log10(D.dur[i] / 100) / 8));
			g.globalAlpha = 0.75;
			g.fillRect(x + 3, y + H - pad - 2, (w - 6) * l, 2);
			g.globalAlpha = 1;
		}
		if (sel) {
			g.strokeStyle = C.accent;
			g.lineWidth = 1.5;
			g.strokeRect(x, y + pad, w, Math.max(2, H - 2 * pad));
		}
		if (H >= 13)
			this.words(g, i, r, x, w, mid, col);
		else if (D.esc[i] && H > 5) {
			g.fillStyle = C.esc;
			g.fillRect(x + w - 5, y + pad, 5, H - 2 * pad);
		}
	}

	words(g, i, r, x, w, mid, col)
	{
		const small = this.rowH < 17, cw = this.cw * (small ? 10 / 12 : 1);
		g.font = (small ? "10px " : "12px ") + C.mono;
		const bold = "600 " + g.font, plain = g.font;
		let at = x + 8, room = Math.floor((w - 14) / cw);
		const d = dur(D.dur[i]);
		if (room > 26) {
			g.fillStyle = C.dim;
			g.textAlign = "right";
			g.fillText(d, x + w - 5, mid);
			g.textAlign = "left";
			room -= d.length + 1;
		}
		const put = (text, style, font) => {
			const s = cut(text, room);
			g.fillStyle = style;
			g.font = font;
			g.fillText(s, at, mid);
			at += s.length * cw;
			room -= s.length;
		};
		if (D.esc[i])
			put("! ", C.esc, bold);
		const f = callName(i);
		const res = " = " + (room < 34 ? result(i).replace("−1 ", "") :
			result(i));
		put(f, C.text, bold);
		const args = "(" + D.args[D.arg[i]] + ")";
		// The result matters more than the last argument.
		if (room < res.length + 3)
			room = Math.max(room, Math.min(res.length, room + 1));
		else if (args.length + res.length > room)
			put(cut(args, room - res.length - 1) + ")", C.dim, plain);
		else
			put(args, C.dim, plain);
		put(res, D.err[i] ? col : C.text, bold);
		g.fillStyle = C.dim;
		g.font = (small ? "9px " : "11px ") + C.mono;
		g.textAlign = "right";
		g.fillText(stamp(D.key[i]), 56, mid);
		if (r > 0) {
			const gap = D.key[i] - D.key[this.rows[r - 1]];
			if (gap >= 1e6) {
				g.fillStyle = C.text;
				g.fillRect(0, mid - this.rowH / 2, this.gutter - 8, 1);
			}
			g.globalAlpha = gap < 1e5 ? 0.7 : 1;
			g.fillText("+" + dur(gap), this.gutter - 6, mid);
			g.globalAlpha = 1;
		}
		g.textAlign = "left";
	}

	arrows(g, lo, hi, h)
	{
		let drawn = 0;
		for (let r = lo; r < hi && drawn < 3000; r++) {
			const i = this.rows[r];
			for (const f of flowsAt(D.outOf, i))
				drawn += this.arrow(g, f, i, D.flows.to[f], h);
			for (const f of flowsAt(D.into, i)) {
				const s = D.flows.from[f];
				if (s < 0 || this.rowOf[s] < lo)
					drawn += this.arrow(g, f, s, i, h);
			}
		}
	}

	// An end that is not in these rows is a stub.
	arrow(g, f, from, to, h)
	{
		const F = D.flows, H = this.rowH;
		const rf = from >= 0 ? this.rowOf[from] : -1;
		const rt = to >= 0 ? this.rowOf[to] : -1;
		if (rf < 0 && rt < 0)
			return 0;
		const one = rf < 0 ? to : from;
		const hop = D.hops[hopOf(one)] || D.hops[hopOf(to)];
		const c = this.colOf.get(D.proc[one]);
		let k, other;
		if (rf >= 0 && rt >= 0) {
			k = this.colOf.get(D.proc[from]);
			other = this.colOf.get(D.proc[to]);
		} else {
			const side = hop && D.ep[one] && D.eps.get(D.ep[one]).side;
			const outward = side ? -1 : 1;
			const far = hop && hop.a && hop.b ? -3 : side ? -1 : -2;
			const there = this.colOf.has(far) ? this.colOf.get(far) :
				c + outward;
			k = rf >= 0 ? c : there;
			other = rf >= 0 ? there : c;
		}
		const stub = rf < 0 || rt < 0;
		const X = (q, towards) => {
			const col = this.cols[q];
			if (!col)
				return towards > q ? this.cols[0].x - 18 :
					this.cols[this.cols.length - 1].x +
					this.cols[this.cols.length - 1].w + 18;
			if (col.out)
				return q ? col.x + 14 : col.x + col.w - 14;
			return towards > q || towards === q ? col.x + col.w :
				col.x;
		};
		let x1 = X(k, other), x2 = X(other, k);
		let y1 = this.y0 + ((rf < 0 ? rt : rf) + 0.5) * H;
		let y2 = this.y0 + ((rt < 0 ? rf : rt) + 0.5) * H;
		const sel = S.call >= 0 && (from === S.call || to === S.call);
		if (stub && this.cols[k] && this.cols[other] &&
			!this.cols[k].out && !this.cols[other].out) {
			if (rf >= 0)
				x2 = x1 + (x2 > x1 ? 26 : -26);
			else
				x1 = x2 + (x1 > x2 ? 26 : -26);
		}
		g.strokeStyle = g.fillStyle = F.type[f] === 1 ? C.open :
			F.type[f] === 2 ? C.close : x2 >= x1 ? C.right : C.left;
		g.globalAlpha = sel ? 1 : Math.abs(k - other) > 1 ? 0.35 :
			H < 9 ? 0.45 : 0.85;
		g.lineWidth = sel ? 2.6 : F.type[f] ? 1.2 :
			Math.min(4, 1 + Math.log10(1 + F.bytes[f]) / 4);
		if (H < 9)
			g.lineWidth = Math.min(g.lineWidth, 1);
		g.setLineDash(F.type[f] ? [4, 3] : []);
		g.beginPath();
		g.moveTo(x1, y1);
		if (k === other) {
			const b = this.gap ? this.gap * 0.4 : 20;
			g.bezierCurveTo(x1 + b, y1, x1 + b, y2, x2, y2);
		} else {
			g.lineTo(x2, y2);
		}
		g.stroke();
		g.setLineDash([]);
		if (H > 6) {
			const a = k === other ? Math.PI :
				Math.atan2(y2 - y1, x2 - x1);
			const L = Math.min(8, H * 0.5);
			g.beginPath();
			g.moveTo(x2, y2);
			g.lineTo(x2 - L * Math.cos(a - 0.42),
				y2 - L * Math.sin(a - 0.42));
			g.lineTo(x2 - L * Math.cos(a + 0.42),
				y2 - L * Math.sin(a + 0.42));
			g.closePath();
			g.fill();
		}
		g.globalAlpha = 1;
		if (H >= 13 && Math.abs(x2 - x1) > 40 && k !== other)
			this.label(g, f, x1, y1, x2, y2, h);
		return 1;
	}

	label(g, f, x1, y1, x2, y2, h)
	{
		const F = D.flows, text = F.type[f] === 1 ? "connect" :
			F.type[f] === 2 ? "end" : size(F.bytes[f]);
		// Near the end that is in sight.
		let u = 0.38;
		if (Math.abs(y2 - y1) > 90)
			u = y2 > h || y1 > this.head && y1 < h ? 0.25 : 0.75;
		if (Math.abs(x2 - x1) > 200)
			u = 30 / Math.abs(x2 - x1);
		const x = x1 + (x2 - x1) * u, y = y1 + (y2 - y1) * u;
		if (y < this.head || y > h)
			return;
		g.font = "10px " + C.sans;
		const w = g.measureText(text).width;
		const c = g.strokeStyle;
		g.fillStyle = C.bg;
		g.globalAlpha = 0.9;
		g.beginPath();
		g.roundRect(x - w / 2 - 3, y - 6.5, w + 6, 13, 4);
		g.fill();
		g.globalAlpha = 1;
		g.fillStyle = c;
		g.textAlign = "center";
		g.fillText(text, x, y + 0.5);
		g.textAlign = "left";
	}

	// Many rows a pixel: the kinds of each pixel's calls side by side, and
	// between the columns how many bytes went over.
	dense(g, lo, hi, h)
	{
		const H = this.rowH, K = CLASSES.length, step = 2;
		const n = Math.ceil((h - this.head) / step) + 1;
		const cols = this.cols.length;
		const cnt = new Uint32Array(n * cols * K);
		const bad = new Uint8Array(n * cols), by = new Float64Array(
			n * cols * 2);
		for (let r = lo; r < hi; r++) {
			const i = this.rows[r];
			const b = Math.floor((this.y0 + r * H - this.head) / step);
			if (b < 0 || b >= n)
				continue;
			const k = b * cols + this.colOf.get(D.proc[i]);
			cnt[k * K + D.cls[i]]++;
			if (D.esc[i])
				bad[k] |= 2;
			if (D.err[i] && !D.later[i])
				bad[k] |= 1;
			for (const f of flowsAt(D.outOf, i)) {
				const to = D.flows.to[f];
				const c = to >= 0 ? this.colOf.get(D.proc[to]) :
					this.colOf.get(-2) !== undefined ?
					this.colOf.get(-2) : 0;
				if (c > k % cols)
					by[k * 2] += D.flows.bytes[f];
				else if (c < k % cols)
					by[(k - 1) * 2 + 1] += D.flows.bytes[f];
			}
		}
		let top = 1, most = 1;
		for (let k = 0; k < n * cols; k++) {
			let s = 0;
			for (let c = 0; c < K; c++)
				s += cnt[k * K + c];
			top = Math.max(top, s);
			most = Math.max(most, by[k * 2], by[k * 2 + 1]);
		}
		for (let b = 0; b < n; b++)
			for (let c = 0; c < cols; c++)
				this.densePixel(g, b, c, step, cnt, K, top, bad,
					by, most);
		if (S.call >= 0 && this.rowOf[S.call] >= 0) {
			g.fillStyle = C.accent;
			g.fillRect(0, this.y0 + this.rowOf[S.call] * H - 1,
				this.contentW, 2);
		}
		g.font = "11px " + C.mono;
		g.textAlign = "right";
		g.fillStyle = C.dim;
		for (let y = this.head + 14; y < h; y += 28) {
			const r = Math.floor((y - this.y0) / H);
			if (r >= 0 && r < this.rows.length)
				g.fillText(stamp(D.key[this.rows[r]]), 56, y);
		}
		g.textAlign = "left";
	}

	densePixel(g, b, c, step, cnt, K, top, bad, by, most)
	{
		const col = this.cols[c], k = b * this.cols.length + c;
		const y = this.head + b * step;
		let x = col.x + 2;
		for (let q = 0; q < K; q++) {
			const w = (col.w - 14) * cnt[k * K + q] / top;
			if (!w)
				continue;
			g.fillStyle = C.cls[q];
			g.globalAlpha = 0.72;
			g.fillRect(x, y, w, step);
			x += w;
		}
		g.globalAlpha = 1;
		if (bad[k]) {
			g.fillStyle = bad[k] & 2 ? C.esc : C.err;
			g.fillRect(col.x + col.w - 9, y, 7, step);
		}
		if (c + 1 === this.cols.length || !this.gap)
			return;
		const mid = col.x + col.w + this.gap / 2;
		const R = by[k * 2] / most, L = by[k * 2 + 1] / most;
		g.globalAlpha = 0.8;
		g.fillStyle = C.right;
		g.fillRect(mid, y, Math.sqrt(R) * this.gap * 0.42, step);
		g.fillStyle = C.left;
		const l = Math.sqrt(L) * this.gap * 0.42;
		g.fillRect(mid - l, y, l, step);
		g.globalAlpha = 1;
	}

	// A page of n rows from `from`, for the printer.
	page(from, n)
	{
		const canvas = document.createElement("canvas");
		const old = this.rowH;
		this.rowH = 22;
		const h = this.head + Math.min(n, this.rows.length - from) * 22 + 4;
		canvas.width = this.contentW * 2;
		canvas.height = h * 2;
		const g = canvas.getContext("2d");
		g.scale(2, 2);
		g.fillStyle = C.bg;
		g.fillRect(0, 0, this.contentW, h);
		this.paint(g, from * 22, 0, this.contentW, h);
		this.rowH = old;
		return canvas;
	}
}
