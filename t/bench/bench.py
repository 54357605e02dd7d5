# SPDX-License-Identifier: LGPL-2.1-or-later
"""make bench: Kmap against TCP, AF_UNIX, pipe and FIFO, on C programs and on
real ones, all in one run and interleaved. Never fails for a slow figure."""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import time

import lab as L
import stacks
from lab import Failed, Ratio, Table, count, median, short, span

KINDS = (("AF_UNIX", "unix"), ("pipe", "pipe"), ("FIFO", "fifo"))
NOTE_LO = ("lo: bytes on the loopback device for each operation, Kmap's "
           "part of TCP's.")


def children_cpu():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def signed(ns):
    return ("+" if ns >= 0 else "-") + span(abs(ns))


def binary(name):
    path = os.path.abspath(os.path.join(L.top_builddir(), "t", "bench", name))
    if not os.path.exists(path):
        raise Failed(f"{name} is not built: run `make bench`")
    return path


class Bench:
    def __init__(self, args, lab):
        self.args, self.lab, self.quick = args, lab, args.quick
        self.pairs = args.pairs or (3 if args.quick else 5)
        self.progress = L.Progress()
        self.tables, self.failures = [], []
        self.bars, self.idle_bars, self.ceilings = [], [], []
        self.new = "TCP again" if args.null else "Kmap"
        cores = sorted(os.sched_getaffinity(0))
        self.places = [("one core", f"{cores[0]},{cores[0]}")]
        if len(cores) > 1:
            self.places.append(("two cores", f"{cores[0]},{cores[1]}"))
        self.hosts = 0

    def kmap(self, arm):
        return arm == "Kmap" and not self.args.null

    def host(self):
        """A destination of its own for each run that makes connections:
        the last run's ports in TIME_WAIT are not in its way."""
        self.hosts += 1
        return f"127.0.{1 + self.hosts // 250}.{1 + self.hosts % 250}"

    def table(self, title, head, note=""):
        self.progress.say(title)
        t = Table(title, head, note)
        self.tables.append(t)
        return t

    def show(self, t):
        self.progress.clear()
        if t.rows:
            print(t.text(), flush=True)

    def cell(self, t, label, fn):
        """One row; a program that breaks costs this row, not the rest."""
        self.progress.say(f"{t.title}: {label}")
        try:
            t.add(label, *fn())
        except (Failed, OSError, ValueError, KeyError, IndexError) as e:
            self.failures.append(f"{t.title}: {label}: {e}")
            self.progress.say(f"{t.title}: {label}: FAILED: {e}", True)
            t.add(label, "failed", *["-"] * (len(t.head) - 2))

    def bar(self, name, value, least):
        self.bars.append((name, value, least))

    def ceiling(self, name, value, most, show):
        """A cost: value and most in one unit, which show writes."""
        self.ceilings.append((name, value, most, show))

    # C programs -------------------------------------------------------------

    def program(self, name, argv, kmap, limit=30, extra=None):
        lo = L.lo_bytes()
        r = json.loads(self.lab.run([binary(name)] + argv, kmap, limit,
                                    extra))
        r["lo"] = L.lo_bytes() - lo
        return r

    def arms(self, kinds):
        arms = {"TCP": ("tcp", False), "Kmap": ("tcp", self.kmap("Kmap"))}
        arms.update({name: (kind, False) for name, kind in KINDS
                     if kind in kinds})
        return arms

    def transports(self, name, argv, secs, kinds):
        arms = self.arms(kinds)

        def measure(arm, _):
            kind, kmap = arms[arm]
            return self.program(name, ["-t", kind, "-d", str(secs)] + argv,
                                kmap)
        return L.interleave(arms, self.pairs, measure)

    def variants(self, sizes):
        for place, cpus in self.places:
            for how, flag in (("blocking", []), ("epoll", ["-e"])):
                for n in sizes:
                    yield (f"{L.size(n)}, {how}, {place}",
                           ["-s", str(n), "-c", cpus] + flag)

    @staticmethod
    def others(s, kinds, show):
        return [show(s[name]) if kind in kinds else "-"
                for name, kind in KINDS]

    def lo_part(self, s):
        """Of the medians: how much of TCP's traffic lo still sees."""
        tcp = median([x["lo"] / x["all"] for x in s["TCP"]])
        new = median([x["lo"] / x["all"] for x in s["Kmap"]])
        return f"{100 * new / tcp:.1f} %" if tcp else "-"

    def round_trips(self):
        sizes = (64, 16384) if self.quick else (1, 64, 1024, 16384, 65536)
        kinds = ("unix", "pipe") if self.quick else ("unix", "pipe", "fifo")
        secs = 0.06 if self.quick else 0.1
        t = self.table(
            "Round trip, median", ["", "TCP", self.new, "times as fast",
                                   "AF_UNIX", "pipe", "FIFO", "p99 TCP",
                                   f"p99 {self.new}", "CPU TCP",
                                   f"CPU {self.new}", "lo"],
            "times as fast: TCP's median against Kmap's, pair by pair: median "
            "(least..largest). CPU: of both processes for each round trip. " +
            NOTE_LO)

        def row(argv):
            s = self.transports("pingpong", argv, secs, kinds)

            def p(q):
                return lambda v: span(median([x[q] for x in v]))

            def cpu(v):
                return span(median([x["cpu_a"] + x["cpu_b"] for x in v]))
            return [p("p50")(s["TCP"]), p("p50")(s["Kmap"]),
                    Ratio([x["p50"] for x in s["TCP"]],
                          [x["p50"] for x in s["Kmap"]]),
                    *self.others(s, kinds, p("p50")),
                    p("p99")(s["TCP"]), p("p99")(s["Kmap"]),
                    cpu(s["TCP"]), cpu(s["Kmap"]), self.lo_part(s)]
        for label, argv in self.variants(sizes):
            self.cell(t, label, lambda a=argv: row(a))
        self.show(t)

    def streams(self):
        sizes = ((64, 65536) if self.quick else
                 (64, 1024, 16384, 65536, 1 << 20))
        kinds = ("unix", "pipe") if self.quick else ("unix", "pipe", "fifo")
        secs = 0.08 if self.quick else 0.12
        t = self.table(
            "Stream, MB/s", ["", "TCP", self.new, "times as fast", "AF_UNIX",
                             "pipe", "FIFO", "CPU TCP", f"CPU {self.new}",
                             "lo"],
            "Written in pieces of this size, counted where they are read. "
            "CPU: of both processes for each piece. " + NOTE_LO)

        def row(argv):
            n = int(argv[1])
            s = self.transports("stream", argv, secs, kinds)

            def mb(v):
                return short(median([x["rate"] for x in v]) * n / 1e6)

            def cpu(v):
                return span(median([x["cpu_a"] + x["cpu_b"] for x in v]))
            return [mb(s["TCP"]), mb(s["Kmap"]),
                    Ratio([x["rate"] for x in s["Kmap"]],
                          [x["rate"] for x in s["TCP"]]),
                    *self.others(s, kinds, mb), cpu(s["TCP"]),
                    cpu(s["Kmap"]), self.lo_part(s)]
        for label, argv in self.variants(sizes):
            self.cell(t, label, lambda a=argv: row(a))
        self.show(t)

    # Connections per second -------------------------------------------------

    def connections(self):
        t = self.table(
            "Connections per second", ["", "TCP", self.new, "Kmap/TCP",
                                       "CPU TCP", f"CPU {self.new}"],
            "Connect, one exchange, close. CPU: of both processes (nginx: of "
            "the server) for each connection.")
        secs = 0.3 if self.quick else 0.6
        for label, argv in (("C, blocking, one after the other", []),
                            ("C, epoll server, 16 at once",
                             ["-e", "-w", "16"])):
            self.cell(t, label,
                      lambda a=argv, n=label: self.connrate(n, a, secs))
        self.cell(t, "nginx, 32 clients, Connection: close",
                  self.nginx_close)
        self.show(t)

    def rates(self, name, s):
        r = Ratio([x.rate for x in s["Kmap"]], [x.rate for x in s["TCP"]])
        if r.mid is not None:
            self.bar(f"connections/s ({name})", r.mid, 0.9)
        return [count(median([x.rate for x in s["TCP"]])),
                count(median([x.rate for x in s["Kmap"]])), r,
                span(median([x.cpu_sum for x in s["TCP"]])),
                span(median([x.cpu_sum for x in s["Kmap"]]))]

    def connrate(self, name, argv, secs):
        def measure(arm, _):
            r = self.program("connrate", argv + ["-d", str(secs), "-a",
                                                 self.host()],
                             self.kmap(arm))
            return stacks.Sample(r["n"], r["secs"],
                                 cpu=[r["cpu_a"] * r["n"],
                                      r["cpu_b"] * r["n"]])
        return self.rates(name, L.interleave(("TCP", "Kmap"), self.pairs,
                                             measure))

    def nginx_close(self):
        with L.Lab(self.lab.lib) as lab:
            servers = {a: stacks.nginx(lab, self.kmap(a))
                       for a in ("TCP", "Kmap")}

            def measure(arm, _):
                url = f"http://{self.host()}:{servers[arm].port}/700"
                return stacks.watched([servers[arm]], lambda: stacks.wrk(
                    lab, self.kmap(arm), url, 32, 1, ["Connection: close"]))
            return self.rates("nginx", L.interleave(servers, self.pairs,
                                                    measure))

    # Real programs ----------------------------------------------------------

    def real(self):
        t = self.table(
            "Real programs, requests per second",
            ["", "TCP", self.new, "Kmap/TCP", "p50 TCP", f"p50 {self.new}",
             "p99 TCP", f"p99 {self.new}", "CPU TCP", f"CPU {self.new}",
             "lo"],
            "Environment unset. CPU: of all servers for each request. " +
            NOTE_LO)
        self.redis(t)
        self.nginx(t)
        self.envoy(t)
        self.show(t)

    def compare(self, arms, measure, bar=None):
        s = L.interleave(arms, self.pairs, measure)
        r = Ratio([x.rate for x in s["Kmap"]], [x.rate for x in s["TCP"]])
        if bar and r.mid is not None:
            self.bar(bar[0], r.mid, bar[1])

        def mid(key, show):
            return [show(median([getattr(x, key) for x in s[a]]))
                    for a in ("TCP", "Kmap")]
        lo = mid("lo", float)
        return [*mid("rate", count), r, *mid("p50", span), *mid("p99", span),
                *mid("cpu_sum", span),
                f"{100 * lo[1] / lo[0]:.1f} %" if lo[0] else "-"]

    def stack(self, t, labels, build, fill):
        """Both stacks up, the rows, both down; if one cannot start, all
        of its rows say so."""
        try:
            with L.Lab(self.lab.lib) as lab:
                self.progress.say(f"{t.title}: starting {labels[0]}")
                both = {a: build(lab, self.kmap(a)) for a in ("TCP", "Kmap")}
                fill(lab, both)
        except (Failed, OSError) as e:
            for label in labels:
                self.failures.append(f"{t.title}: {label}: {e}")
                t.add(label, "failed", *["-"] * (len(t.head) - 2))
            self.progress.say(f"{labels[0]}: FAILED: {e}", True)

    def redis(self, t):
        secs = 0.4 if self.quick else 1.0
        cells = ((50, 1, ("redis GET, 50 connections", 5)), (1, 1, None),
                 (50, 16, None))

        def fill(lab, both):
            for connections, pipeline, bar in cells:
                n = {}

                def run(arm, count_, c=connections, p=pipeline):
                    server = both[arm]
                    return stacks.watched(
                        [server], lambda: stacks.redis_benchmark(
                            lab, self.kmap(arm), server.port, count_, c, p))

                def measure(arm, i, n=n, run=run, c=connections):
                    if not i:
                        n[arm] = max(2000, int(
                            run(arm, 4000 if c == 1 else 20000).rate * secs))
                    return run(arm, n[arm])
                label = (f"redis GET, {connections} connection" +
                         "s" * (connections > 1) +
                         (f", pipeline {pipeline}" if pipeline > 1 else ""))
                self.cell(t, label, lambda m=measure, b=bar:
                          self.compare(both, m, b))
        self.stack(t, ["redis"], stacks.redis, fill)

    def wrk_cell(self, t, lab, label, url, servers, c, bar=None):
        secs = 1 if self.quick else 2

        def measure(arm, _):
            return stacks.watched(servers[arm], lambda: stacks.wrk(
                lab, self.kmap(arm), url[arm], c, secs))
        self.cell(t, label, lambda: self.compare(servers, measure, bar))

    def nginx(self, t):
        def build(lab, kmap):
            service = stacks.nginx(lab, kmap)
            return service, stacks.nginx(lab, kmap, service.port)

        def fill(lab, both):
            for path, what in (("memory", ""), ("700", ", a file")):
                self.wrk_cell(
                    t, lab, f"wrk → nginx, 32 connections{what}",
                    {a: f"http://127.0.0.1:{b[0].port}/{path}"
                     for a, b in both.items()},
                    {a: [b[0]] for a, b in both.items()}, 32)
            if self.quick:
                return
            self.wrk_cell(
                t, lab, "wrk → nginx proxy → nginx, 32",
                {a: f"http://127.0.0.1:{b[1].port}/memory"
                 for a, b in both.items()}, both, 32)
        self.stack(t, ["nginx"], build, fill)

    def envoy(self, t):
        rows = [("tcp", 32, "memory", ("Envoy TCP proxy, 32 connections", 4)),
                ("http", 32, "memory", None), ("tcp", 1, "memory", None),
                ("http", 1, "memory", None), ("tcp", 32, "700", None)]
        names = {"tcp": "TCP proxy", "http": "HTTP router"}
        if self.quick:
            rows = rows[:2]

        def build(lab, kmap):
            binary = stacks.find_envoy()
            service = stacks.nginx(lab, kmap)
            return (stacks.envoy(lab, kmap, binary, service.port), service)

        def fill(lab, both):
            for kind, c, path, bar in rows:
                url = {a: "http://127.0.0.1:{}/{}".format(
                    b[0].tcp_port if kind == "tcp" else b[0].http_port, path)
                    for a, b in both.items()}
                what = ", a file" if path == "700" else ""
                self.wrk_cell(t, lab, f"wrk → Envoy {names[kind]} → nginx, "
                              f"{c}{what}", url, both, c, bar)
        self.stack(t, ["wrk → Envoy → nginx"], build, fill)
        self.envoy_redis(t)

    def envoy_redis(self, t):
        secs = 0.4 if self.quick else 1.0
        n = {}

        def build(lab, kmap):
            binary = stacks.find_envoy()
            service = stacks.redis(lab, kmap)
            return (stacks.envoy(lab, kmap, binary, service.port), service)

        def fill(lab, both):
            def run(arm, requests):
                return stacks.watched(both[arm], lambda:
                                      stacks.redis_benchmark(
                                          lab, self.kmap(arm),
                                          both[arm][0].tcp_port, requests,
                                          32, 1))

            def measure(arm, i):
                if not i:
                    n[arm] = max(2000, int(run(arm, 20000).rate * secs))
                return run(arm, n[arm])
            label = "redis-benchmark → Envoy TCP proxy → redis, 32"
            self.cell(t, label, lambda: self.compare(both, measure))
        self.stack(t, ["redis → Envoy → redis"], build, fill)

    # What Kmap costs those who do not use it --------------------------------

    def others_cost(self):
        t = self.table(
            "What it costs where it brings nothing",
            ["", "without", "preloaded", "preloaded/without"],
            "Processor time; smaller is better. Read and write of 64 bytes by "
            "a program that has no socket; the whole life of a process.")
        secs = 0.1 if self.quick else 0.3

        def row(measure):
            s = L.interleave(("TCP", "Kmap"), self.pairs, measure)
            return [span(median(s["TCP"])), span(median(s["Kmap"])),
                    Ratio(s["Kmap"], s["TCP"])]

        def pair(how):
            return lambda arm, _: self.program(
                "plain", ["-m", how, "-d", str(secs)],
                self.kmap(arm))["cpu_a"]

        def start(arm, _):
            n = 40 if self.quick else 100
            begin = children_cpu()
            self.lab.run(["/bin/sh", "-c", f"i=0; while [ $i -lt {n} ]; do "
                          "/bin/true; i=$((i+1)); done"], self.kmap(arm), 30)
            return (children_cpu() - begin) / n * 1e9
        for how, name in (("pipe", "a pipe"), ("file", "a file"),
                          ("null", "/dev/zero and /dev/null")):
            self.cell(t, f"write + read, {name}",
                      lambda h=how: row(pair(h)))
        self.cell(t, "fork, exec and exit of true", lambda: row(start))
        self.show(t)

    # Idle connections -------------------------------------------------------

    def idle(self):
        t = self.table(
            "Idle connections, processor time of both sides in 5 s",
            ["", "upgraded", "ticks", "CPU"],
            "Both talked before and wait for each other's next word.")
        cases = [("read", 1), ("poll", 1), ("epoll", 50 if self.quick
                                            else 500)]
        runs = []
        # They are idle: all at once, in the same five seconds.
        for how, n in cases:
            stats = self.lab.path(f"idle.{how}")
            runs.append((how, n, stats, self.lab.popen(
                [binary("idle"), "-m", how, "-i", str(n), "-d", "5"],
                self.kmap("Kmap"),
                {"KMAP_STATS": stats}, stdout=subprocess.PIPE, text=True)))
            time.sleep(0.05)

        def row(n, stats, p):
            try:
                out = p.communicate(timeout=30)[0]
            except subprocess.TimeoutExpired:
                raise Failed("hung") from None
            finally:
                L.kill_group(p.pid)
            if p.returncode:
                raise Failed(f"idle ended with {p.returncode}")
            r = json.loads(out)
            up = sum(x.get("connections_upgraded", 0) for x in
                     L.read_stats(stats))
            # Both ends count a connection. Idle on TCP proves nothing.
            good = up == 2 * n or self.args.null
            self.idle_bars.append((good, r["ticks"]))
            return [f"{up // 2} of {n}", r["ticks"],
                    span(r["cpu_a"] + r["cpu_b"])]
        for how, n, stats, p in runs:
            label = (f"{n} connection{'s' * (n > 1)}, both in "
                     f"{'epoll_wait' if how == 'epoll' else how}")
            self.cell(t, label, lambda n=n, s=stats, p=p: row(n, s, p))
        self.show(t)

    def many(self):
        t = self.table(
            "One busy connection beside idle ones, epoll, 64 B, one core",
            ["", "TCP", self.new, "times as fast", "server CPU TCP",
             f"server CPU {self.new}"],
            "Round trips in a second; the idle ones talked before.")
        secs = 0.1 if self.quick else 0.3
        most = (300,) if self.quick else (1000, 5000)

        def row(n):
            # On one core: where the scheduler puts the two would decide.
            argv = ["-e", "-i", str(n), "-d", str(secs), "-c",
                    self.places[0][1]]
            # Making thousands takes longer than the measurement.
            s = L.interleave(("TCP", "Kmap"), min(self.pairs, 3),
                             lambda arm, _: self.program(
                                 "pingpong", argv, self.kmap(arm)))
            cpu = [span(median([x["cpu_b"] for x in s[a]]))
                   for a in ("TCP", "Kmap")]
            rate = {a: [x["rate"] for x in s[a]] for a in s}
            return [count(median(rate["TCP"])), count(median(rate["Kmap"])),
                    Ratio(rate["Kmap"], rate["TCP"]), *cpu]
        for n in (0, *most):
            self.cell(t, f"{n} idle", lambda n=n: row(n))
        self.show(t)

    # Tracing ----------------------------------------------------------------

    def tracing(self):
        self.traced_redis()
        self.traced_calls()
        self.table_and_counters()

    def traced_redis(self):
        t = self.table(
            "Tracing: redis GET, 50 connections",
            ["", "GET/s", "of untraced", "server CPU", "answers seen"],
            "The server is traced, the load is not. Every line next to an "
            "untraced run of its own. CPU: of server and tracer for each "
            "request. Answers seen: calls of write that the tracer has, of "
            "those that answered a request.")
        try:
            with L.Lab(None) as lab:
                plain = stacks.redis(lab, False)
                rate = self.get(lab, plain, 20000).rate
                n = max(2000, int(rate * (0.4 if self.quick else 1)))
                t.add("untraced", count(rate), "1", "-", "-")
                for label, words, most, seen in stacks.tracers(lab):
                    self.progress.say(f"{t.title}: {label}")
                    t.add(label, *self.traced_row(
                        lab, plain, label, words, min(n, most or n), seen))
        except (Failed, OSError) as e:
            self.failures.append(f"{t.title}: {e}")
            t.add("redis", "failed", "-", "-", "-")
        self.show(t)

    @staticmethod
    def get(lab, server, n):
        return stacks.watched([server], lambda: stacks.redis_benchmark(
            lab, False, server.port, n, 50, 1))

    def traced_row(self, lab, plain, label, words, n, seen):
        """What is not installed, or may not trace here, says why; and a
        tracer is fast that sees little."""
        own = label.startswith("kmap-trace")
        try:
            if not own:
                stacks.need(words[0], words[0])
            server = stacks.redis(lab, False, words)
            try:
                few = n < 5000
                arms = {"untraced": (plain, max(n, 20000)),
                        "traced": (server, n)}
                s = L.interleave(arms, 1 if few else self.pairs,
                                 lambda arm, _: self.get(lab, *arms[arm]))
                stacks.redis_ends(server)
            finally:
                server.stop()
            writes = seen()
        except (Failed, OSError, subprocess.TimeoutExpired) as e:
            if own:
                self.failures.append(f"{label}: {e}")
            return ["-", str(e), "-", "-"]
        part = writes / sum(x.n for x in s["traced"])
        if own and part < 1:
            self.failures.append(f"{label}: {100 * part:.2f} % of the "
                                 "answers were recorded")
        r = Ratio([x.rate for x in s["traced"]],
                  [x.rate for x in s["untraced"]])
        if label == "kmap-trace, with stacks":
            self.bar("redis GET traced, with stacks", r.mid, 0.8)
        return [count(median([x.rate for x in s["traced"]])),
                f"{r.mid:.3f}" if r.mid < 0.1 else str(r),
                span(median([x.cpu_sum for x in s["traced"]])),
                f"{min(100, 100 * part):.4g} %"]

    def traced_calls(self):
        t = self.table(
            "Tracing: send and recv of 64 B within one process, pinned",
            ["", "a call", "more than untraced", "CPU of the caller",
             "more CPU"],
            "Time and processor time of the thread that calls, for each "
            "call. The tracer runs where it likes; with --verify on the same "
            "core.")
        secs = "0.1" if self.quick else "0.2"
        cpu = self.places[0][1].split(",", maxsplit=1)[0]
        calls = [binary("calls"), "-d", secs, "-c", cpu]
        rows = (("recorder, no table, 7 frames", 7, []),
                ("recorder, no table, 27 frames", 27, []),
                ("--verify, 7 frames", 7, ["--verify"]))

        def row(frames, options):
            here = calls + ["-f", str(frames)]
            words = [stacks.kmap_trace(), "-q", "-o", "/dev/null"] + options
            if options:
                words = ["taskset", "-c", cpu] + words
            arms = {"untraced": here, "traced": words + here}
            s = L.interleave(arms, self.pairs, lambda arm, _: json.loads(
                self.lab.run(arms[arm], False, 60)))
            more = {k: median([b[k] - a[k] for a, b in zip(
                s["untraced"], s["traced"])]) for k in ("ns", "cpu")}
            if options:
                self.ceiling("a call under --verify, more than untraced",
                             more["ns"], 10000, span)
            elif frames == 27:
                self.ceiling("a recorded call with 27 frames, more CPU",
                             more["cpu"], 400, span)
            return [span(median([x["ns"] for x in s["traced"]])),
                    signed(more["ns"]),
                    span(median([x["cpu"] for x in s["traced"]])),
                    signed(more["cpu"])]
        for label, frames, options in rows:
            self.cell(t, label, lambda f=frames, o=options: row(f, o))
        self.show(t)

    def table_and_counters(self):
        t = self.table("Tables, and what kmap-stat reads",
                       ["", "measured", ""],
                       "Instructions: of the library, for a send and a recv "
                       "that move by shared memory, under callgrind.")
        self.cell(t, "Envoy's table is loaded", self.table_load)
        if stacks.shutil.which("valgrind"):
            self.cell(t, "counters that are published", self.published)
            self.cell(t, "a call by a table", self.by_table)
        else:
            t.add("instructions", "-", "no valgrind here")
        self.show(t)

    def table_load(self):
        """The table that a trace of Envoy writes, with traffic of both of
        its listeners."""
        with L.Lab(None) as lab:
            envoy = stacks.find_envoy()
            service = stacks.nginx(lab, False)
            path = lab.path("envoy.kmap")
            server = stacks.envoy(lab, False, envoy, service.port, None,
                                  [stacks.kmap_trace(), "-q", "-o", path])
            for port in (server.http_port, server.tcp_port):
                stacks.wrk(lab, False, f"http://127.0.0.1:{port}/memory", 8, 1)
            server.stop(20)
            r = json.loads(self.lab.run([binary("tableload"), path], False,
                                        20))
            size = os.path.getsize(path)
        self.ceiling("Envoy's table is loaded", r["median"], 1e6, span)
        return [span(r["median"]), f"{size / 1000:.0f} kB, the first time "
                f"{span(r['first'])}"]

    def instructions(self, times, table=None):
        """Of so many sends and recvs that move by shared memory."""
        out, stats = self.lab.path("callgrind"), self.lab.path("cg.stats")
        extra = {"KMAP_UPGRADE": "now", "KMAP_STATS": stats}
        if table:
            extra["KMAP_TABLE"] = table
        self.lab.run(
            ["valgrind", "-q", "--tool=callgrind", "--compress-pos=no",
             "--compress-strings=no", f"--callgrind-out-file={out}",
             binary("calls"), "-n", str(times)], True, 60, extra)
        moved = L.read_stats(stats)[-1]["ring_messages_in"]
        os.unlink(stats)
        if moved < 0.9 * times:
            raise Failed("it did not move by shared memory")
        with open(out, encoding="utf-8", errors="replace") as f:
            return stacks.line_costs(f.read())

    def by_table(self):
        """What a table adds to each call: the start is in both counts."""
        path = self.lab.path("calls.kmap")
        self.lab.run([stacks.kmap_trace(), "-q", "-o", path,
                      binary("calls"), "-n", "100"], False, 20)
        few, many = 1000, 11000
        plain, table = [
            (sum(self.instructions(many, p).values()) -
             sum(self.instructions(few, p).values())) / (many - few)
            for p in (None, path)]
        more = 100 * abs(table / plain - 1)
        self.ceiling("instructions of a message for a table", more, 0.1,
                     lambda x: f"{short(x)} %")
        return [f"{table - plain:+.1f}",
                f"instructions for a send and a recv, of {plain:.0f}"]

    def published(self):
        """All of the library's lines that have to do with a record."""
        costs = self.instructions(20000)
        lines = set()
        for path in L.sources():
            name = os.path.basename(path)
            with open(path, encoding="utf-8") as f:
                lines.update((name, n) for n, line in enumerate(f, 1)
                             if name == "publish.h" or "->pub" in line)
        share = stacks.share_of(costs, "libkmapemu.so",
                                lambda name, n: (name, n) in lines)
        if share is None:
            raise Failed("no line numbers: is the library built with -g?")
        self.ceiling("instructions of a message for kmap-stat",
                     100 * share, 1, lambda x: f"{short(x)} %")
        return [f"{short(100 * share)} %", "of the instructions"]

    # ------------------------------------------------------------------------

    def show_bars(self):
        t = Table("What it should reach", ["", "measured", "wanted", ""])
        for name, value, least in self.bars:
            t.add(name, f"{short(value)} ×", f"≥ {short(least)} ×",
                  "met" if value >= least else "MISSED")
        for name, value, most, show in self.ceilings:
            t.add(name, show(value), f"≤ {show(most)}",
                  "met" if value <= most else "MISSED")
        if self.idle_bars:
            good = all(up and not ticks for up, ticks in self.idle_bars)
            t.add("an idle process uses no CPU",
                  f"{sum(ticks for _, ticks in self.idle_bars)} ticks" +
                  ("" if all(up for up, _ in self.idle_bars)
                   else ", not upgraded"), "0 ticks",
                  "met" if good else "MISSED")
        self.tables.append(t)
        self.show(t)


SECTIONS = (("roundtrip", Bench.round_trips), ("stream", Bench.streams),
            ("connections", Bench.connections), ("real", Bench.real),
            ("cost", Bench.others_cost), ("idle", Bench.idle),
            ("many", Bench.many), ("tracing", Bench.tracing))


def parse():
    p = argparse.ArgumentParser(
        prog="run", description="Kmap against TCP, AF_UNIX, pipe and FIFO. "
        "With make: make bench BENCH_FLAGS='-q -o FILE'")
    p.add_argument("-q", "--quick", action="store_true",
                   help="about a minute instead of up to eight")
    p.add_argument("-n", "--pairs", type=int, help="runs of each kind "
                   "(default 5, quick 3)")
    p.add_argument("-o", "--output", help="the tables as Markdown, too")
    p.add_argument("-s", "--section", action="append",
                   choices=[name for name, _ in SECTIONS],
                   help="only this one (can be repeated)")
    p.add_argument("--null", action="store_true",
                   help="TCP against TCP: what the ratios say of nothing")
    return p.parse_args()


def main():
    args = parse()
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(1))
    try:
        if os.environ.get("KMAP_BENCH_NET"):
            L.lo_up()
        lib = None if args.null else L.find_lib()
        binary("idle")
    except (Failed, OSError) as e:
        sys.exit(f"bench: {e}")
    head = (f"{L.machine()}; medians of "
            f"{args.pairs or (3 if args.quick else 5)} interleaved pairs")
    print(head + "\n", flush=True)
    with L.Lab(lib) as lab:
        bench = Bench(args, lab)
        if not os.environ.get("KMAP_BENCH_NET"):
            bench.progress.say("no network namespace of our own: lo counts "
                               "strangers' bytes, too", True)
        for name, fn in SECTIONS:
            if not args.section or name in args.section:
                fn(bench)
        if bench.bars or bench.idle_bars or bench.ceilings:
            bench.show_bars()
    if args.output:
        with open(args.output, "w", encoding="utf-8") as f:
            f.write(head + ".\n\n" +
                    "\n".join(t.markdown() for t in bench.tables if t.rows))
    for failure in bench.failures:
        print(f"FAILED: {failure}")
    sys.exit(1 if bench.failures else 0)


if __name__ == "__main__":
    main()
