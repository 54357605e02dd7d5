#!/usr/bin/python3
"""Opens the pictures in a browser and uses them; TAP lines, no plan.

look.py FIRST-NUMBER SMALL LARGE HOSTILE CUT REAL
"""
import sys

from browser import Browser

number = int(sys.argv[1])
failed = False


def check(good, name, detail=""):
    global number, failed
    number += 1
    print(("ok" if good else "not ok"), number, "-", name, flush=True)
    if not good:
        failed = True
        print("#", str(detail)[:600])


def text(b, what):
    return b.eval(f"document.getElementById({what!r}).textContent")


def place(b, test):
    """Where the sequence shows the first call that passes, in the window."""
    return b.eval("""(() => {
        const i = [...S.rows].find((i) => %s);
        select(i);
        const r = $("seq").getBoundingClientRect();
        const c = ladder.cols[ladder.colOf.get(D.proc[i])];
        const y = r.top + ladder.head - ladder.top +
            (ladder.rowOf[i] + 0.5) * ladder.rowH;
        select(-1);
        return [r.left + c.x + 40, y];
    })()""" % test)


small, large, hostile, cut, real = sys.argv[2:7]
with Browser() as b:
    b.open(small)
    b.settle()
    check(b.eval("D.n") == 30, "all calls are there", b.eval("D.n"))
    check(b.eval("D.hops.filter((h) => h.a && h.b).map((h) => h.name)") ==
          ["curl → envoy", "envoy → server"],
          "the two ends of each hop are joined", b.eval(
              "D.hops.map((h) => h.name)"))
    # Bytes that arrive are those that were sent.
    check(b.eval("[...D.flows.bytes].join()") ==
          "83,1602,0,0,211,96,1450,0" or
          sorted(b.eval("[...D.flows.bytes]")) ==
          [0, 0, 0, 83, 96, 211, 1450, 1602],
          "arrows carry the bytes", b.eval("[...D.flows.bytes].join()"))
    check(b.eval("[...D.flows.from].every((f, k) => f < 0 || "
                 "D.flows.to[k] < 0 || f < D.flows.to[k])"),
          "no arrow points back in time")
    check("first look" in text(b, "detail"), "a first look explains")
    b.click(*place(b, "D.fns[D.fn[i]].fn === 'writev'"))
    got = text(b, "detail")
    check("IoSocketHandleImpl::readv" in got and "start_thread" in got and
          "writev(33" in got, "a click shows the call and its stack", got)
    check("211 B received" in got, "and who received its bytes", got)
    b.click(*place(b, "D.fns[D.fn[i]].fn === 'connect'"))
    got = text(b, "detail")
    check("EINPROGRESS" in got and "in progress" in got,
          "a click shows errno and its meaning", got)
    b.key("x")
    got = text(b, "detail")
    check("escaped" in got and "write(4" in got, "x goes to an escape", got)
    b.key("e")
    check("ECONNRESET" in text(b, "detail"), "e goes to an error",
          text(b, "detail"))
    b.key("ArrowUp")
    check("ECONNRESET" not in text(b, "detail"), "an arrow key walks on")
    check("recv(5" in text(b, "live"), "and it is said to who cannot see",
          text(b, "live"))
    b.key("ArrowLeft")
    check("writev(31" in text(b, "live"), "left goes back along the bytes",
          text(b, "live"))
    b.eval("$('f-err').value = 'real'; "
           "$('f-err').dispatchEvent(new Event('change'))")
    b.eval("new Promise((r) => setTimeout(r, 100))")
    check(b.eval("S.rows.length") == 1 and "1 of" in text(b, "f-count"),
          "the filter for errors", text(b, "f-count"))
    b.click(*b.eval("(() => { const r = $('f-clear')"
                    ".getBoundingClientRect(); "
                    "return [r.x + 9, r.y + 9]; })()"))
    check(b.eval("S.rows.length") > 20, "and clear takes it away")
    for key, tab in (("2", "time"), ("3", "calls"), ("4", "sum"), ("1", "seq")):
        b.key(key)
        check(b.eval(f"$('view-{tab}').classList.contains('on')"),
              f"{key} shows the view {tab}")
    b.eval("window.dispatchEvent(new Event('beforeprint'))")
    check(b.eval("document.querySelectorAll('#print canvas').length > 0 && "
                 "document.querySelectorAll('#print table').length === 3"),
          "on paper: the sequence and the summary")
    b.eval("window.dispatchEvent(new Event('afterprint'))")
    check(b.eval("$('print').childNodes.length") == 0, "and it goes again")
    check(b.problems == [], "the console has no word, nothing was fetched",
          b.problems)

    b.open(large)
    b.settle()
    check(b.eval("D.n") > 99900, "100,000 calls load", b.eval("D.n"))
    print("# loaded in", b.eval("document.documentElement.dataset.loaded"),
          "ms,", len(open(large).read()), "bytes")
    # Generous: the machine may be busy; it takes about a second.
    check(int(b.eval("document.documentElement.dataset.loaded")) < 30000,
          "in under 30 s")
    b.key("End")
    check(text(b, "live") != "", "the last call is reached")
    b.key("0")
    b.key("2")
    b.key("0")
    draws = b.eval("(() => { const t = performance.now(); "
                   "for (let k = 0; k < 5; k++) lanes.draw(); "
                   "tab('seq'); for (let k = 0; k < 5; k++) ladder.draw(); "
                   "return (performance.now() - t) / 10; })()")
    print("# everything at once is drawn in", round(draws, 1), "ms")
    check(draws < 3000, "everything in sight is drawn in under 3 s", draws)
    check(b.eval("document.querySelectorAll('*').length") < 3000,
          "few elements, however many calls")
    check(b.problems == [], "no word on the console", b.problems)

    b.open(hostile)
    b.settle()
    b.key("ArrowDown")
    for key in "1234":
        b.key(key)
    check(b.eval("window.hacked === undefined && !document.querySelector("
                 "'img') && D.n") == 3, "hostile names stay text",
          b.eval("D.n"))
    check("</script>" in text(b, "hops") or
          "</script>" in b.eval("D.args[1]"), "and are shown as they are")
    check(b.problems == [], "no word on the console", b.problems)

    b.open(cut)
    b.settle()
    check(b.eval("D.n") == 30 and "cut off" in text(b, "warn"),
          "a file that was cut off opens, and says so", text(b, "warn"))
    check(b.problems == [], "no word on the console", b.problems)

    b.open(real)
    b.settle()
    got = b.eval("D.hops.filter((h) => h.a && h.b)"
                 ".map((h) => [h.name, h.ba > 1000])")
    check(got[-1:] == [["curl → tiny", True]] and b.problems == [],
          "a real hop is joined, with the bytes it carried", got)
sys.exit(failed)
