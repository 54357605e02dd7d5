# SPDX-License-Identifier: LGPL-2.1-or-later
"""lab.py, bench.py and demo.py without a measurement: figures that are known
go in, and what must come out is written beside them."""

import contextlib
import io
import json
import os
import random
import subprocess
import sys
import time
import unittest

import bench
import demo
import lab as L
import stacks


class Statistics(unittest.TestCase):
    def test_median(self):
        self.assertEqual(L.median([3, 1, 2]), 2)
        self.assertEqual(L.median([4, 1, 2, 3]), 2.5)
        with self.assertRaises(ValueError):
            L.median([])

    def test_ratio_is_of_pairs(self):
        # The machine became twice as slow in the middle: each pair still
        # says 2, which the ratio of any two means would not.
        r = L.Ratio([200, 100, 20], [100, 50, 10])
        self.assertEqual((r.min, r.mid, r.max), (2, 2, 2))
        self.assertEqual(str(L.Ratio([1, 3], [2, 2])), "1.00 (0.50..1.50)")
        with self.assertRaises(ValueError):
            L.Ratio([1], [1, 2])

    def test_the_same_against_itself(self):
        rnd = random.Random(1)

        def measure(_, i):
            # Noise of 10 % on a machine that slows down by half.
            return (1 - i / 200) * rnd.uniform(0.9, 1.1)
        s = L.interleave(("A", "B"), 100, measure)
        self.assertAlmostEqual(L.Ratio(s["B"], s["A"]).mid, 1, delta=0.03)

    def test_interleaved(self):
        order = []
        L.interleave(("A", "B"), 3, lambda a, i: order.append((a, i)))
        self.assertEqual(order, [("A", 0), ("B", 0), ("A", 1), ("B", 1),
                                 ("A", 2), ("B", 2)])

    def test_sample_is_per_operation(self):
        s = stacks.Sample(100, 2, cpu=[1000, 500], lo=5000)
        self.assertEqual((s.rate, s.cpu, s.cpu_sum, s.lo),
                         (50, [10, 5], 15, 50))


class Figures(unittest.TestCase):
    def test_units(self):
        self.assertEqual(L.span(1500), "1.50 µs")
        self.assertEqual(L.span(12_345_678), "12.3 ms")
        self.assertEqual(L.count(1_450_000), "1.45 M")
        self.assertEqual(L.size(65536), "64 KB")
        self.assertEqual(L.size(700), "700 B")

    def test_table(self):
        t = L.Table("T", ["", "a"], "note")
        t.add("row", 1)
        self.assertEqual(t.text(), "T\n-\n     a\nrow  1\nnote\n")
        self.assertIn("| row | 1 |", t.markdown())
        with self.assertRaises(AssertionError):
            t.add("too", 1, 2)


class Programs(unittest.TestCase):
    def test_a_hang_is_ended(self):
        begin = time.monotonic()
        with L.Lab(None) as lab:
            with self.assertRaisesRegex(L.Failed, "sleep hung"):
                lab.run(["sleep", "60"], False, 0.2)
        self.assertLess(time.monotonic() - begin, 10)

    def test_a_failure_is_told(self):
        with L.Lab(None) as lab:
            with self.assertRaisesRegex(L.Failed, "ended with 3: why"):
                lab.run(["sh", "-c", "echo why >&2; exit 3"], False, 9)

    def test_servers_end_with_their_children(self):
        with L.Lab(None) as lab:
            pid = lab.path("pid")
            with self.assertRaisesRegex(L.Failed, "did not start: oh"):
                lab.start("x", ["sh", "-c", f"sleep 60 & echo $! >{pid}; "
                                "echo oh"], L.free_port(), False)
            with open(pid, encoding="ascii") as f:
                orphan = int(f.read())
        time.sleep(0.1)
        try:
            with open(f"/proc/{orphan}/stat", encoding="ascii") as f:
                # Dead, and waiting for whoever adopted it.
                self.assertIn(") Z ", f.read())
        except FileNotFoundError:
            pass

    def test_environment(self):
        os.environ["KMAP_UPGRADE"] = "never"
        os.environ["LD_PRELOAD_X"] = "kept"
        try:
            env = L.child_environment("/x.so")
            self.assertEqual(env["LD_PRELOAD"], "/x.so")
            self.assertNotIn("KMAP_UPGRADE", env)
            self.assertIn("LD_PRELOAD_X", env)
            self.assertNotIn("LD_PRELOAD", L.child_environment(None))
        finally:
            del os.environ["KMAP_UPGRADE"], os.environ["LD_PRELOAD_X"]

    def test_processor_time(self):
        with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as p:
            time.sleep(0.5)
            spent = L.cpu_ns(p.pid)
            p.kill()
        self.assertGreater(spent, 2e7)
        self.assertLess(spent, 2e9)
        # Also of a child's child that has a parent in between.
        self.assertIn(os.getpid(), L.descendants(os.getppid()))


class Verdicts(unittest.TestCase):
    """The demo may say "on shared memory" only if it was."""

    class Stack:
        def __init__(self, stats, lo):
            self.stats = stats
            self.samples = {0: [stacks.Sample(100, 1, lo=lo * 100,
                                              nbytes=10 ** 6)]}

    def verdict(self, lo_kmap, rows, own_net=True):
        with L.Lab(None) as lab:
            path = lab.write("stats", "".join(json.dumps(r) + "\n"
                                              for r in rows))
            both = {"TCP": self.Stack("", 20000),
                    "Kmap": self.Stack(path, lo_kmap)}
            with contextlib.redirect_stdout(io.StringIO()) as out:
                good = demo.show_proof(demo.Screen(), both, own_net)
        self.assertEqual(good, "NOT on shared" not in out.getvalue())
        return good

    RING = {"exe": "/x/envoy", "ring_bytes_in": 990, "ring_bytes_out": 990,
            "tcp_bytes_in": 10, "tcp_bytes_out": 10}
    TCP = {"exe": "/x/wrk", "ring_bytes_in": 0, "tcp_bytes_in": 9000}

    def test_proof(self):
        self.assertTrue(self.verdict(200, [self.RING]))
        self.assertFalse(self.verdict(20000, [self.RING]), "lo says no")
        self.assertFalse(self.verdict(200, []), "nobody counted")
        self.assertFalse(self.verdict(200, [self.RING, self.TCP]), "TCP")
        self.assertTrue(self.verdict(20000, [self.RING], False))
        self.assertFalse(self.verdict(200, [self.TCP], False))

    def test_bars(self):
        class Args:
            quick, pairs, null = True, 1, False
        b = bench.Bench(Args, None)
        b.bar("good", 5.1, 5)
        b.bar("bad", 0.5, 0.9)
        for up, ticks, want in ((True, 0, "met"), (True, 1, "MISSED"),
                                (False, 0, "MISSED")):
            b.idle_bars, b.tables = [(up, ticks)], []
            with contextlib.redirect_stdout(io.StringIO()):
                b.show_bars()
            self.assertEqual([r[3] for r in b.tables[0].rows],
                             ["met", "MISSED", want])


class Tracing(unittest.TestCase):
    OUT = """\
events: Ir
ob=/x/libkmapemu.so
fl=/x/src/stream.c
fn=kmap_rx
10 90
11 5
cfi=ring.c
cfn=get
calls=5 3
12 1000
fi=/x/src/ring.c
11 100
fe=stream.c
11 5
ob=/x/libc.so.6
fl=stream.c
11 7000
"""

    def test_lines(self):
        costs = stacks.line_costs(self.OUT)
        self.assertEqual(costs[("/x/libkmapemu.so", "stream.c", 11)], 10)
        # A callee's cost stands where it is, once.
        self.assertNotIn(("/x/libkmapemu.so", "stream.c", 12), costs)
        self.assertEqual(stacks.share_of(
            costs, "libkmapemu.so",
            lambda name, n: (name, n) == ("stream.c", 11)), 0.05)
        self.assertIsNone(stacks.share_of(costs, "libkmapemu.so",
                                          lambda *_: False))
        self.assertIsNone(stacks.share_of({}, "libkmapemu.so",
                                          lambda *_: True))

    def test_ceilings(self):
        class Args:
            quick, pairs, null = True, 1, False
        b = bench.Bench(Args, None)
        b.ceiling("good", 400, 400, L.span)
        b.ceiling("bad", 1.2e6, 1e6, L.span)
        with contextlib.redirect_stdout(io.StringIO()):
            b.show_bars()
        self.assertEqual([r[1:] for r in b.tables[0].rows], [
            ["400 ns", "≤ 400 ns", "met"],
            ["1.20 ms", "≤ 1.00 ms", "MISSED"]])
        self.assertEqual((bench.signed(-20), bench.signed(1500)),
                         ("-20.0 ns", "+1.50 µs"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
