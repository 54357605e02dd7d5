#!/usr/bin/python3
"""Drives a Chromium through its debugging pipe: no package, no port.

    with Browser() as b:
        b.open("/tmp/x.html")
        b.eval("1 + 1")
        b.click(100, 200)
        b.shot("x.png")
        b.problems    # console errors, exceptions, requests that left

Run by itself: browser.py PAGE SHOT.png [WIDTH HEIGHT [dark] [SCRIPT]].
"""
import base64
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome",
         "google-chrome-stable")


def find():
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    return None


class Browser:
    def __init__(self, width=1440, height=900, dark=False, limit=90):
        self.limit = limit
        self.number = 0
        self.data = b""
        self.problems = []
        self.loaded = False
        self.home = tempfile.mkdtemp(prefix="kmap-browser.")
        down, self.out = os.pipe()
        self.back, up = os.pipe()

        def wire():
            # The browser reads commands from 3 and answers on 4.
            a, b = os.dup(down), os.dup(up)
            os.dup2(a, 3)
            os.dup2(b, 4)

        args = [find(), "--headless=new", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage", "--no-first-run",
                "--disable-background-networking", "--disable-extensions",
                "--disable-component-update", "--disable-sync",
                "--hide-scrollbars", "--disable-lcd-text", "--remote-debugging-pipe",
                "--user-data-dir=" + self.home,
                f"--window-size={width},{height}", "about:blank"]
        self.child = subprocess.Popen(
            args, preexec_fn=wire, close_fds=False, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, HOME=self.home))
        os.close(down)
        os.close(up)
        target = self.send("Target.createTarget",
                           url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target,
                                 flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(domain + ".enable")
        self.send("Emulation.setDeviceMetricsOverride", width=width,
                  height=height, deviceScaleFactor=1, mobile=False)
        self.media(dark)

    session = None

    def media(self, dark):
        self.send("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme",
             "value": "dark" if dark else "light"}])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def send(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        number = self.number
        end = time.monotonic() + self.limit
        while True:
            answer = self.read(end)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def read(self, end):
        while b"\0" not in self.data:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.back], [], [], left)[0]:
                raise TimeoutError("the browser does not answer")
            got = os.read(self.back, 1 << 20)
            if not got:
                raise RuntimeError("the browser died")
            self.data += got
        line, _, self.data = self.data.partition(b"\0")
        message = json.loads(line)
        self.note(message.get("method"), message.get("params", {}))
        return message

    def note(self, method, p):
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            d = p["exceptionDetails"]
            self.problems.append("exception: " + d.get("exception", {}).get(
                "description", d.get("text", "?")))
        elif method == "Runtime.consoleAPICalled" and p["type"] in (
                "error", "warning", "assert"):
            self.problems.append("console: " + str(
                [a.get("value", a.get("description")) for a in p["args"]]))
        elif method == "Log.entryAdded" and p["entry"]["level"] in (
                "error", "warning"):
            self.problems.append("log: " + p["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            url = p["request"]["url"]
            if not url.startswith(("file:", "about:", "data:")):
                self.problems.append("request: " + url)

    def open(self, path):
        self.loaded = False
        self.send("Page.navigate", url="file://" + os.path.abspath(path))
        end = time.monotonic() + self.limit
        while not self.loaded:
            self.read(end)

    def eval(self, script):
        r = self.send("Runtime.evaluate", expression=script,
                      returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in r:
            raise RuntimeError(str(r["exceptionDetails"].get(
                "exception", {}).get("description")))
        return r["result"].get("value")

    def settle(self):
        self.eval("new Promise((r) => requestAnimationFrame(() => "
                  "requestAnimationFrame(() => setTimeout(r, 60))))")

    def click(self, x, y, count=1):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y,
                      button="none" if kind == "mouseMoved" else "left",
                      clickCount=0 if kind == "mouseMoved" else count)
        self.settle()

    def wheel(self, x, y, dy, ctrl=False):
        self.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y,
                  deltaX=0, deltaY=dy, modifiers=2 if ctrl else 0)
        self.settle()

    def key(self, key):
        text = key if len(key) == 1 else None
        extra = {"text": text} if text else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **extra)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def shot(self, path):
        self.settle()
        r = self.send("Page.captureScreenshot", format="png")
        with open(path, "wb") as f:
            f.write(base64.b64decode(r["data"]))

    def pdf(self, path):
        r = self.send("Page.printToPDF", landscape=True,
                      printBackground=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(r["data"]))


if __name__ == "__main__":
    size = [int(x) for x in sys.argv[3:5]] or [1440, 900]
    with Browser(*size, dark="dark" in sys.argv[5:6]) as browser:
        browser.open(sys.argv[1])
        if len(sys.argv) > 6:
            print(browser.eval(sys.argv[6]))
        browser.shot(sys.argv[2])
        for problem in browser.problems:
            print(problem)
