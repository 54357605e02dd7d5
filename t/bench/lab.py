# SPDX-License-Identifier: LGPL-2.1-or-later
"""What make bench and make demo share: starting and ending programs with and
without the preload, their processor time, the byte counter of lo, medians,
and tables."""

import ctypes
import fcntl
import glob
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A program did not do what it was started for."""


def lo_up():
    """A new network namespace has lo, but down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        req = struct.pack("16sH22x", b"lo", 0)
        flags = struct.unpack("16sH22x", fcntl.ioctl(s, SIOCGIFFLAGS, req))[1]
        if not flags & IFF_UP:
            fcntl.ioctl(s, SIOCSIFFLAGS,
                        struct.pack("16sH22x", b"lo", flags | IFF_UP))


def lo_bytes():
    with open("/proc/net/dev", encoding="ascii") as f:
        for line in f:
            name, _, rest = line.partition(":")
            if name.strip() == "lo":
                return int(rest.split()[0])
    raise Failed("/proc/net/dev has no lo")


def sources():
    """The library's."""
    top = os.path.join(HERE, "..", "..")
    return [path for part in ("src", "emu") for kind in "ch"
            for path in glob.glob(os.path.join(top, part, "*." + kind))]


def cpu_ns(pid):
    """All threads of a process, also those that ended; 0 if it is gone."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def descendants(root):
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8",
                      errors="replace") as f:
                ppid = int(f.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        children.setdefault(ppid, []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def tree_cpu_ns(root):
    return sum(cpu_ns(pid) for pid in descendants(root))


def free_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def top_builddir():
    return os.environ.get("top_builddir") or os.path.join(HERE, "..", "..")


def find_lib():
    lib = os.environ.get("KMAP_LIB") or os.path.join(
        top_builddir(), "emu", ".libs", "libkmapemu.so")
    if not os.path.exists(lib):
        raise Failed("libkmapemu.so is not built: run `make` first "
                     "(or name it in KMAP_LIB)")
    # With a sanitizer its runtime has to come first.
    return os.environ.get("KMAP_PRELOAD") or os.path.abspath(lib)


def child_environment(preload, extra=None):
    """The environment as users have it: unset but for the preload."""
    env = {k: v for k, v in os.environ.items()
           if k != "LD_PRELOAD" and not k.startswith("KMAP_")
           and k not in ("MAKEFLAGS", "MFLAGS", "DEMO_ENV")}
    if preload:
        env["LD_PRELOAD"] = preload
        # make demo DEMO_ENV='KMAP_LOG=debug:FILE': to look into it.
        for item in os.environ.get("DEMO_ENV", "").split():
            name, _, value = item.partition("=")
            env[name] = value
    env.update(extra or {})
    return env


def _in_child():
    # Whatever happens to us, nothing stays behind.
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Lab:
    """Temporary directory and the programs that run in it."""

    def __init__(self, lib):
        self.lib = lib
        self.dir = tempfile.mkdtemp(prefix="kmap-bench.")
        self.servers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers[::-1]:
            server.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def start(self, name, argv, port, kmap, extra=None):
        server = Server(self, name, argv, port, kmap, extra)
        self.servers.append(server)
        server.wait_ready()
        return server

    def popen(self, argv, kmap, extra=None, **kw):
        return subprocess.Popen(
            argv, env=child_environment(self.lib if kmap else None, extra),
            stdin=subprocess.DEVNULL, cwd=self.dir, start_new_session=True,
            preexec_fn=_in_child, **kw)

    def run(self, argv, kmap, limit, extra=None, tick=None):
        """Runs a load to its end; its output. tick is called meanwhile."""
        with self.popen(argv, kmap, extra, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE, text=True) as p:
            end = time.monotonic() + limit
            try:
                while True:
                    try:
                        out, err = p.communicate(timeout=0.1 if tick
                                                 else limit)
                        break
                    except subprocess.TimeoutExpired:
                        if time.monotonic() >= end:
                            raise Failed(f"{os.path.basename(argv[0])} hung "
                                         f"for {limit:.0f} s") from None
                        tick()
            finally:
                if p.poll() is None:
                    kill_group(p.pid)
        if p.returncode:
            last = (err or out).strip().splitlines()[-1:] or ["no message"]
            raise Failed(f"{os.path.basename(argv[0])} ended with "
                         f"{p.returncode}: {last[0]}")
        return out


def kill_group(pid, sig=signal.SIGKILL):
    try:
        os.killpg(pid, sig)
    except ProcessLookupError:
        pass


class Server:
    def __init__(self, lab, name, argv, port, kmap, extra):
        self.name, self.port = name, port
        self.log = lab.path(f"{name}.{'kmap' if kmap else 'tcp'}.log")
        with open(self.log, "wb") as log:
            self.proc = lab.popen(argv, kmap, extra, stdout=log, stderr=log)

    def wait_ready(self, limit=15):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if self.proc.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise Failed(f"{self.name} did not start: {self.last_words()}")

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            lines = [x.strip() for x in f if x.strip()]
        return lines[-1] if lines else "it said nothing"

    def cpu_ns(self):
        return tree_cpu_ns(self.proc.pid)

    def stop(self, grace=5):
        if self.proc.poll() is None:
            self.proc.terminate()
            try:
                self.proc.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        kill_group(self.proc.pid)
        self.proc.wait()


# Statistics -----------------------------------------------------------------

def median(values):
    v = sorted(values)
    if not v:
        raise ValueError("median of nothing")
    mid = len(v) // 2
    return v[mid] if len(v) % 2 else (v[mid - 1] + v[mid]) / 2


class Ratio:
    """Of pairs measured one after the other: median, least and largest."""

    def __init__(self, new, old):
        if len(new) != len(old):
            raise ValueError("pairs that are none")
        r = [a / b for a, b in zip(new, old) if b]
        self.mid = median(r) if r else None
        self.min, self.max = (min(r), max(r)) if r else (None, None)

    def __str__(self):
        if self.mid is None:
            return "-"
        return f"{short(self.mid)} ({short(self.min)}..{short(self.max)})"


def interleave(arms, count, measure):
    """A B A B: {arm: [sample, ...]}, drift of the machine hits all alike."""
    samples = {arm: [] for arm in arms}
    for i in range(count):
        for arm in arms:
            samples[arm].append(measure(arm, i))
    return samples


# Figures and tables ---------------------------------------------------------

def short(x):
    """Three digits that mean something."""
    if x is None:
        return "-"
    if x >= 100:
        return f"{x:,.0f}"
    if x >= 10:
        return f"{x:.1f}"
    return f"{x:.2f}"


def count(x):
    if x >= 1e6:
        return f"{x / 1e6:.2f} M"
    if x >= 1e4:
        return f"{x / 1e3:.0f} k"
    if x >= 1e3:
        return f"{x / 1e3:.1f} k"
    return short(x)


def span(ns):
    if ns >= 1e6:
        return f"{short(ns / 1e6)} ms"
    if ns >= 1e3:
        return f"{short(ns / 1e3)} µs"
    return f"{short(ns)} ns"


def size(n):
    for unit, name in ((1 << 20, "MB"), (1 << 10, "KB")):
        if n >= unit and n % unit == 0:
            return f"{n // unit} {name}"
    return f"{n} B"


class Table:
    def __init__(self, title, head, note=""):
        self.title, self.head, self.note, self.rows = title, head, note, []

    def add(self, *cells):
        assert len(cells) == len(self.head)
        self.rows.append([str(c) for c in cells])

    def text(self):
        width = [max(len(r[i]) for r in [self.head] + self.rows)
                 for i in range(len(self.head))]

        def line(cells):
            return "  ".join(c.ljust(w) if i == 0 else c.rjust(w)
                             for i, (c, w) in enumerate(zip(cells, width))
                             ).rstrip()
        out = [self.title, "-" * len(self.title), line(self.head)]
        out += [line(r) for r in self.rows]
        if self.note:
            out.append(self.note)
        return "\n".join(out) + "\n"

    def markdown(self):
        def line(cells):
            return "| " + " | ".join(cells) + " |"
        out = [f"**{self.title}**", "", line(self.head),
               "|---" + "|---:" * (len(self.head) - 1) + "|"]
        out += [line(r) for r in self.rows]
        if self.note:
            out += ["", self.note]
        return "\n".join(out) + "\n"


def machine():
    """What the figures were taken on, without names of hosts or paths."""
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip() + ", "
                break
    virtual = ""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        if " hypervisor" in f.read():
            virtual = "virtual machine, "
    cores = len(os.sched_getaffinity(0))
    kernel = ".".join(os.uname().release.split("-")[0].split(".")[:2])
    return (f"{cores} core{'s' * (cores != 1)}, {model}{virtual}"
            f"Linux {kernel}, {os.uname().machine}")


class Progress:
    """On stderr: one line that changes on a terminal, else plain lines."""

    def __init__(self):
        self.tty = sys.stderr.isatty()
        self.begin = time.monotonic()

    def say(self, text, done=False):
        stamp = f"[{time.monotonic() - self.begin:4.0f} s] "
        if self.tty:
            cols = shutil.get_terminal_size().columns
            sys.stderr.write("\r\033[K" + (stamp + text)[:cols - 1])
            if done:
                sys.stderr.write("\n")
        else:
            sys.stderr.write(stamp + text + "\n")
        sys.stderr.flush()

    def clear(self):
        if self.tty:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def read_stats(path):
    """The lines that KMAP_STATS asked for; [] if there are none."""
    try:
        with open(path, encoding="utf-8") as f:
            return [json.loads(line) for line in f if line.strip()]
    except OSError:
        return []
