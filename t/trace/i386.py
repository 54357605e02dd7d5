# SPDX-License-Identifier: LGPL-2.1-or-later
"""i386.py LOG: what the calls of "i386 all" should be in the JSON of a trace.

Says what is missing, in the order in which the program makes its calls.
"""

import json
import sys

TCP = 4  # the fd of each client
WANT = [
    ("socket", {"domain": "AF_INET", "type": ["SOCK_STREAM"],
                "protocol": "IPPROTO_IP"}, 3),
    ("bind", {"fd": 3, "addr": "127.0.0.1:0", "addrlen": 16}, 0),
    ("listen", {"fd": 3, "backlog": 5}, 0),
    ("getsockname", {"fd": 3, "addr": "$here", "addrlen": 16}, 0),
    # socketcall's
    ("connect", {"fd": 4, "addr": "$here", "addrlen": 16}, 0),
    ("accept", {"fd": 3, "addrlen": 16}, 5),
    ("getpeername", {"fd": 4, "addr": "$here", "addrlen": 16}, 0),
    ("sendto", {"fd": 4, "buf": "old send", "len": 8, "flags": [],
                "addr": 0, "addrlen": 0}, 8),
    ("recvfrom", {"fd": 5, "buf": "old send", "len": 60}, 8),
    ("sendto", {"fd": 5, "buf": "old sendto", "flags": ["MSG_NOSIGNAL"]}, 10),
    ("recvfrom", {"fd": 4, "buf": "old sendto", "len": 60}, 10),
    ("setsockopt", {"level": "SOL_SOCKET", "optname": "SO_RCVTIMEO",
                    "optval": {"sec": 7, "usec": 8000}, "optlen": 8}, 0),
    ("getsockopt", {"optname": "SO_RCVTIMEO",
                    "optval": {"sec": 7, "usec": 8000}, "optlen": 8}, 0),
    ("setsockopt", {"level": "SOL_TCP", "optname": "TCP_NODELAY",
                    "optval": 1, "optlen": 4}, 0),
    ("sendmsg", {"fd": 4, "msg": {
        "name": None, "fds": [],
        "iov": [{"base": "mes", "len": 3}, {"base": "sage", "len": 4}]}}, 7),
    ("recvmsg", {"fd": 5, "msg": {
        "name": None, "fds": [], "iov": [{"base": "message", "len": 60}]}}, 7),
    ("shutdown", {"fd": 4, "how": "SHUT_WR"}, 0),
    ("recvfrom", {"fd": 5, "buf": ""}, 0),
    ("recvfrom", {"fd": 4, "flags": ["MSG_DONTWAIT"]}, "EAGAIN"),
    ("close", {"fd": 4}, 0),
    ("close", {"fd": 5}, 0),
    # those with numbers of their own
    ("socket", {"type": ["SOCK_STREAM", "SOCK_CLOEXEC"]}, 4),
    ("setsockopt", {"optname": "SO_REUSEADDR", "optval": 1}, 0),
    ("getsockopt", {"optname": "SO_TYPE", "optval": 1, "optlen": 4}, 0),
    ("setsockopt", {"optname": "SO_RCVTIMEO_NEW", "optlen": 16,
                    "optval": {"sec": 9, "usec": 10000}}, 0),
    ("connect", {"fd": 4, "addr": "$here"}, 0),
    ("accept4", {"fd": 3, "flags": ["SOCK_NONBLOCK"]}, 5),
    ("getpeername", {"fd": 4, "addr": "$here"}, 0),
    ("getsockname", {"fd": 4}, 0),
    ("sendto", {"fd": 4, "buf": "new sendto"}, 10),
    ("recvfrom", {"fd": 5, "buf": "new sendto"}, 10),
    ("sendmmsg", {"fd": 4, "msgvec": [{"len": 3}, {"len": 5}], "vlen": 2}, 2),
    ("recvmmsg", {"fd": 5, "msgvec": [{"len": 3}, {"len": 5}],
                  "timeout": 5000000}, 2),
    ("sendto", {"buf": "four"}, 4),
    ("recvmmsg", {"msgvec": [{"len": 3}], "timeout": 6000000}, 1),
    ("recvfrom", {"buf": "r"}, 1),
    ("socketpair", {"domain": "AF_UNIX", "sv": [6, 7]}, 0),
    ("sendmsg", {"fd": 6, "msg": {
        "name": None, "fds": [4], "iov": [{"base": "fd", "len": 2}]}}, 2),
    ("recvmsg", {"fd": 7, "flags": ["MSG_CMSG_CLOEXEC"], "msg": {
        "name": None, "fds": [8], "iov": [{"base": "fd", "len": 2}]}}, 2),
    ("write", {"fd": 8, "buf": "through it", "len": 10}, 10),
    ("read", {"fd": 5, "buf": "through it", "len": 60}, 10),
    ("shutdown", {"fd": 6, "how": "SHUT_RDWR"}, 0),
    ("writev", {"fd": 4, "iovcnt": 2, "iov": [
        {"base": "vec", "len": 3}, {"base": "tors", "len": 4}]}, 7),
    ("readv", {"fd": 5, "iov": [{"base": "vectors", "len": 60}]}, 7),
    ("pwritev2", {"fd": 4, "iovcnt": 2, "offset": -1,
                  "flags": ["RWF_NOWAIT"]}, 7),
    ("preadv2", {"iov": [{"base": "vectors", "len": 60}], "offset": -1,
                 "flags": ["RWF_NOWAIT"]}, 7),
    ("sendfile", {"out": 4, "count": 3}, 3),
    ("sendfile", {"out": 4, "count": 3}, 3),
    ("splice", {"in": 5, "len": 6, "flags": []}, 6),
    ("splice", {"out": 4, "len": 6}, 6),
    ("read", {"fd": 5, "buf": "234456"}, 6),
    ("dup", {"fd": 4}, 6),
    ("dup2", {"fd": 4, "newfd": 40}, 40),
    ("dup3", {"fd": 4, "newfd": 41, "flags": ["O_CLOEXEC"]}, 41),
    ("fcntl", {"fd": 4, "cmd": "F_DUPFD", "arg": 42}, 42),
    ("fcntl", {"fd": 4, "cmd": "F_DUPFD_CLOEXEC", "arg": 43}, 43),
    ("fcntl", {"fd": 4, "cmd": "F_GETFL"}, 2),
    ("ioctl", {"fd": 4, "request": "FIONREAD"}, 0),
    ("close", {"fd": 6}, 0),
    ("close_range", {"first": 40, "last": 43, "flags": []}, 0),
    ("poll", {"nfds": 2, "timeout": -1, "fds": "$polled"}, 1),
    ("ppoll", {"nfds": 2, "timeout": 5000000, "fds": "$polled"}, 1),
    ("ppoll", {"nfds": 1, "timeout": 6000000}, 0),
    ("select", {"nfds": 6, "readfds": [5], "writefds": [4], "exceptfds": None,
                "timeout": 3000000}, 1),
    ("select", {"readfds": [5], "writefds": [4], "timeout": 1004000000}, 1),
    ("pselect6", {"readfds": [5], "writefds": None, "timeout": 5000000}, 0),
    ("pselect6", {"readfds": [5], "timeout": 6000000}, 0),
    ("epoll_create1", {"flags": ["EPOLL_CLOEXEC"]}, 6),
    ("epoll_create", {"size": 3}, 7),
    ("epoll_ctl", {"epfd": 6, "op": "EPOLL_CTL_ADD", "fd": 5,
                   "event": {"events": ["EPOLLIN"]}}, 0),
    ("epoll_wait", {"epfd": 6, "events": [], "timeout": 1}, 0),
    ("sendto", {"buf": "ready"}, 5),
    ("epoll_wait", {"epfd": 6, "timeout": -1}, 1),
    ("epoll_pwait", {"epfd": 6, "maxevents": 4}, 1),
    ("epoll_pwait2", {"epfd": 6, "maxevents": 4, "timeout": 6000000}, 1),
    ("close", {"fd": 6}, 0),
    # the child's
    ("recvfrom", {"fd": 5, "buf": "ready"}, 5),
    ("write", {"fd": 4, "buf": "kid"}, 3),
    ("read", {"fd": 5, "buf": "kid"}, 3),
]

lines = [json.loads(line) for line in open(sys.argv[1])]
calls = [c for c in lines if c["type"] == "call"]
here = next((c["args"]["addr"] for c in calls
             if c["sys"] == "getsockname"), None)


def same(want, got):
    if want == "$here":
        return got == here
    if want == "$polled":
        return [(p["fd"], p["events"], p["revents"]) for p in got] == [
            (5, ["POLLIN"], []), (4, ["POLLOUT"], ["POLLOUT"])]
    return want == got


def is_call(want, call):
    name, args, ret = want
    if name != call["sys"]:
        return False
    if ret != (call["errname"] or call["ret"]):
        return False
    return all(k in call["args"] and same(v, call["args"][k])
               for k, v in args.items())


at = 0
for want in WANT:
    i = at
    while i < len(calls) and not is_call(want, calls[i]):
        i += 1
    if i < len(calls):
        at = i + 1
        continue
    near = [c for c in calls[at:] if c["sys"] == want[0]][:1]
    print("missing:", want, "next of that name:",
          [(c["args"], c["ret"]) for c in near])

ends = {e["id"]: e for e in lines if e["type"] == "endpoint"}
tcp = [e for e in ends.values() if e["kind"] == "tcp"]
if {(e["origin"], e["connected"]) for e in tcp} != {
        ("accept", False), ("socket", True)}:
    print("endpoints:", tcp)
passed = [c["endpoint"] for c in calls
          if c["sys"] == "write" and c["fd"] in (TCP, 8)]
if len(set(passed)) != 1:
    print("a descriptor that was passed is another endpoint:", passed)
tids = {c["tid"] for c in calls} - {c["pid"] for c in calls}
if tids:
    print("threads that are none:", tids)
