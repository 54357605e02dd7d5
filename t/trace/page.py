#!/usr/bin/python3
"""Checks of one page of kmap-trace --html, by a parser.

page.py PAGE: exits 1 and says what is wrong with it.
"""
import json
import re
import sys
from html.parser import HTMLParser

VOID = {"meta", "br", "input", "link", "img", "hr"}


class Page(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open = []
        self.wrong = []
        self.scripts = []
        self.data = None

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        names = [k for k, _ in attrs]
        if len(set(names)) != len(names):
            self.wrong.append(f"<{tag}> has an attribute twice")
        for k, v in attrs:
            if k in ("src", "href", "action", "srcset", "data") and \
                    not (v or "").startswith(("data:", "#")):
                self.wrong.append(f"<{tag} {k}={v!r}> leaves the file")
            if k.startswith("on"):
                self.wrong.append(f"<{tag} {k}>")
        if tag == "script":
            self.scripts.append([dict(attrs), ""])

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing, line "
                              f"{self.getpos()[0]}")

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1][1] += data


def check(path):
    raw = open(path, "rb").read()
    text = raw.decode("utf-8")  # valid, or this fails
    p = Page()
    p.feed(text)
    p.close()
    wrong = p.wrong
    if p.open:
        wrong.append(f"never closed: {p.open}")
    bad = [b for b in raw if b < 32 and b not in b"\n\t"]
    if bad or b"\x7f" in raw:
        wrong.append(f"control bytes: {sorted(set(bad))}")
    if re.search("[\u202a-\u202e\u2066-\u2069]", text):
        wrong.append("a character that turns text round")
    if len(p.scripts) != 2:
        wrong.append(f"{len(p.scripts)} scripts, not one of code, one of data")
    code, data = p.scripts[0], p.scripts[-1]
    if data[0] != {"type": "application/json", "id": "data"}:
        wrong.append(f"the data's script has {data[0]}")
    # Addresses in the data are the traced program's words; code and styles
    # hold none, nor any way to fetch one.
    style = re.search("(?s)<style>(.*?)</style>", text).group(1)
    for what, where in (("code", code[1]), ("style", style)):
        for word in ("http:", "https:", "@import", "url(", "fetch(",
                     "XMLHttpRequest", "import(", "eval(", "innerHTML",
                     "document.write", "WebSocket"):
            if word in where:
                wrong.append(f"{word} in the {what}")
    if "default-src 'none'" not in text.split("<style>")[0]:
        wrong.append("no policy that forbids to load anything")
    kinds = set()
    calls = 0
    for n, line in enumerate(data[1].strip("\n").split("\n")):
        try:
            x = json.loads(line)
        except ValueError as e:
            wrong.append(f"line {n} of the data: {e}")
            break
        if isinstance(x[0], str):
            kinds.add(x[0])
        else:
            calls += 1
    if not {"m", "p", "t", "e", "f", "z"} <= kinds:
        wrong.append(f"definitions: {sorted(kinds)}")
    return wrong, calls


if __name__ == "__main__":
    found, count = check(sys.argv[1])
    for line in found:
        print(line)
    print(count, "calls")
    sys.exit(bool(found))
