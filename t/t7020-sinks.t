#!/bin/bash
# The forms that kmap-trace writes, from a source that always says the same
# (events.c): what is compared is every byte of it.
. "${srcdir:-$(dirname "$0")}/lib.sh"
need diff "$PYTHON"
plan 39
events=$builddir/events
[ -x "$events" ] || bail_out "events is not built"
cd "$WORK" || exit 99

# golden FORM [EXPRESSION...]: the form is what stdin says
golden()
{
	local form=$1
	shift
	cat >want
	"$events" "$form" got "$@" || return
	diff want got
}

ok 'text as strace writes it' golden text <<'END'
+++ /usr/bin/client +++
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK, IPPROTO_TCP) = 3<#c1 TCP>
setsockopt(3<#c1>, SOL_TCP, TCP_NODELAY, [1], 4) = 0
setsockopt(3<#c1>, SOL_SOCKET, SO_LINGER, {l_onoff=1, l_linger=5}, 8) = 0
setsockopt(3<#c1>, SOL_SOCKET, SO_RCVTIMEO, {tv_sec=1, tv_usec=5}, 16) = 0
connect(3<#c1 TCP:[127.0.0.1:4711->127.0.0.1:80]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress) #1
 > client!f123+0x4
 > client!f200+0x1
getsockopt(3<#c1>, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0
fcntl64(3<#c1>, F_GETFL) = 0x802 (flags O_RDWR|O_NONBLOCK)
fcntl64(3<#c1>, F_SETFL, O_RDWR|O_NONBLOCK) = 0
fcntl(3<#c1>, F_DUPFD_CLOEXEC, 10) = 10<#c1>
getsockname(3<#c1>, {sa_family=AF_INET, sin_port=htons(4711), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
[pid 200] +++ /usr/bin/server +++
[pid 100] send(3<#c1>, "GET /\377\0011\r\n\"", 11, MSG_DONTWAIT|MSG_NOSIGNAL) = 11 #1
[pid 100] __recv_chk(3<#c1>, "0123456789"..., 100, 0) = 50 #2
 > client!f123+0x8
 > client!f200+0x1
[pid 100] recv(3<#c1>, 0x7000, 100, MSG_PEEK) = -1 EAGAIN (Resource temporarily unavailable)
[pid 100] read(3<#c1>, "", 100) = 0
[pid 100] writev(3<#c1>, [{iov_base="abcd", iov_len=4}, {iov_base="efgh"..., iov_len=100}], 2) = 104
[pid 100] readv(3<#c1>, [{iov_base="abcd", iov_len=4}, {iov_base="ef", iov_len=100}], 2) = 6
[pid 200] sendfile64(8, 7, NULL, 4096) = 4096
[pid 100] shutdown(3<#c1>, SHUT_WR) = 0
[pid 100] fclose(0x5550 /* 3<#c1> */) = 0
[pid 200] listen(6<#c2 TCPv6:[[::]:80 listening]>, 128) = 0
[pid 200] accept4(6<#c2>, {sa_family=AF_INET, sin_port=htons(4711), sin_addr=inet_addr("127.0.0.1")}, [28], SOCK_CLOEXEC) = 9<#c3 TCPv6:[127.0.0.1:80->127.0.0.1:4711]>
[pid 200] close(9<#c3>) = 0
[pid 100] poll([{fd=3<#c1>, events=POLLIN|POLLRDHUP}, {fd=5, events=POLLOUT}], 2, -1) = 1 ([{fd=3, revents=POLLIN}])
[pid 100] poll([{fd=3<#c1>, events=POLLIN|POLLRDHUP}, {fd=5, events=POLLOUT}], 2, 10) = 0 (Timeout)
[pid 100] select(6, [3<#c1>], [5], NULL, {tv_sec=0, tv_usec=250000}) = 1 (in [3])
[pid 200] epoll_create1(EPOLL_CLOEXEC) = 4<#c4 epoll>
[pid 200] epoll_ctl(4<#c4>, EPOLL_CTL_ADD, 9<#c3>, {events=EPOLLIN|EPOLLET}) = 0
[pid 200] epoll_wait(4<#c4>, [{events=EPOLLIN, fd=9<#c3>}], 64, -1) = 1
[pid 100] sendto(7<#c5 UDP:[127.0.0.1:53]>, "query", 5, 0, {sa_family=AF_INET6, sin6_port=htons(53), inet_pton(AF_INET6, "::1", &sin6_addr)}, 28) = 5
[pid 100] recvmmsg(7<#c5>, [{msg_len=512}, {msg_len=40}], 8, MSG_WAITFORONE, NULL) = 2
[pid 100] sendmsg(8<#c6 UNIX:[/run/socket]>, {msg_name=NULL, msg_iov=[{iov_base="hello", iov_len=5}], msg_iovlen=1, msg_control=[{cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[3, 10]}]}, 0) = 5
[pid 100] socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 10]) = 0
![pid 100] sendto(3<#c1>, 0x7000, 5, 0, NULL, 0) = 5 (inside fflush) #2
![pid 200] close(9<#c3>) = 0 (by a syscall instruction of its own)
[pid 100] syscall(SYS_close, 3<#c1>) = 0
[pid 100] +++ exited with 0 +++
[pid 200] +++ killed by SIGTERM +++
END

ok 'folded stacks' golden folded <<'END'
client;client!f200;client!f123;!sendto 1
client;client!f200;client!f123;__recv_chk 1
client;client!f200;client!f123;connect 1
client;client!f200;client!f123;send 1
client;fclose 1
client;fcntl 1
client;fcntl64 2
client;getsockname 1
client;getsockopt 1
client;poll 2
client;read 1
client;readv 1
client;recv 1
client;recvmmsg 1
client;select 1
client;sendmsg 1
client;sendto 1
client;setsockopt 3
client;shutdown 1
client;socket 1
client;socketpair 1
client;syscall 1
client;writev 1
server;accept4 1
server;close 2
server;epoll_create1 1
server;epoll_ctl 1
server;epoll_wait 1
server;listen 1
server;sendfile64 1
END

ok 'a summary: functions, programs, what is covered' golden summary <<'END'
| function      | client | server | libkmapemu |
|---------------|-------:|-------:|---|
| read          |      1 |        | emulated |
| readv         |      1 |        | emulated |
| recv          |      1 |        | emulated |
| __recv_chk    |      1 |        | emulated |
| writev        |      1 |        | emulated |
| send          |      1 |        | emulated |
| socket        |      1 |        | watched |
| listen        |        |      1 | watched |
| connect       |      1 |        | watched |
| accept4       |        |      1 | watched |
| getsockname   |      1 |        | watched |
| getsockopt    |      1 |        | emulated |
| setsockopt    |      3 |        | emulated |
| shutdown      |      1 |        | emulated |
| close         |        |      1 | emulated |
| fclose        |      1 |        | watched |
| fcntl         |      1 |        | emulated |
| fcntl64       |      2 |        | emulated |
| poll          |      2 |        | emulated |
| select        |      1 |        | emulated |
| epoll_create1 |        |      1 | emulated |
| epoll_ctl     |        |      1 | emulated |
| epoll_wait    |        |      1 | emulated |
| syscall       |      1 |        | emulated |
| !sendto       |      1 |        | not seen |
| !close        |        |      1 | not seen |

Beside these: 2 on no known endpoint, 2 on udp, 1 on unix.
END

ok '-e takes calls, by any of their names' golden text 'recv,close' <<'END'
+++ /usr/bin/client +++
[pid 200] +++ /usr/bin/server +++
[pid 100] __recv_chk(3<#c1 TCP:[127.0.0.1:4711->127.0.0.1:80]>, "0123456789"..., 100, 0) = 50 #2
 > client!f123+0x8
 > client!f200+0x1
[pid 100] recv(3<#c1>, 0x7000, 100, MSG_PEEK) = -1 EAGAIN (Resource temporarily unavailable)
[pid 100] fclose(0x5550 /* 3<#c1> */) = 0
[pid 200] close(9<#c3 TCPv6:[127.0.0.1:80->127.0.0.1:4711]>) = 0
![pid 200] close(9<#c3>) = 0 (by a syscall instruction of its own)
[pid 100] syscall(SYS_close, 3<#c1>) = 0
[pid 100] +++ exited with 0 +++
[pid 200] +++ killed by SIGTERM +++
END

ok '-e takes calls away' golden text '!setsockopt,fcntl' '!poll,select,epoll_ctl,epoll_wait,epoll_create1,listen,socket,socketpair,sendmsg,sendto,accept4,recv,getsockname,getsockopt,read,readv,writev,sendfile64,shutdown' <<'END'
+++ /usr/bin/client +++
connect(3<#c1 TCP:[127.0.0.1:4711->127.0.0.1:80]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = -1 EINPROGRESS (Operation now in progress) #1
 > client!f123+0x4
 > client!f200+0x1
[pid 200] +++ /usr/bin/server +++
[pid 100] fclose(0x5550 /* 3<#c1> */) = 0
[pid 200] close(9<#c3 TCPv6:[127.0.0.1:80->127.0.0.1:4711]>) = 0
[pid 100] recvmmsg(7<#c5 UDP:[127.0.0.1:53]>, [{msg_len=512}, {msg_len=40}], 8, MSG_WAITFORONE, NULL) = 2
![pid 200] close(9<#c3>) = 0 (by a syscall instruction of its own)
[pid 100] syscall(SYS_close, 3<#c1>) = 0
[pid 100] +++ exited with 0 +++
[pid 200] +++ killed by SIGTERM +++
END

ok '-e takes an endpoint by address, with its poll sets' golden folded 'endpoint=127.0.0.1:80' 'endpoint=!c3' <<'END'
client;client!f200;client!f123;!sendto 1
client;client!f200;client!f123;__recv_chk 1
client;client!f200;client!f123;connect 1
client;client!f200;client!f123;send 1
client;fclose 1
client;fcntl 1
client;fcntl64 2
client;getsockname 1
client;getsockopt 1
client;poll 2
client;read 1
client;readv 1
client;recv 1
client;select 1
client;shutdown 1
client;syscall 1
client;writev 1
END

ok '-e takes the name of a host' golden folded 'endpoint=localhost:53' \
	'endpoint=localhost' 'endpoint=!listen,127.0.0.1:80' <<'END'
client;recvmmsg 1
client;sendto 1
END

ok '-e takes an endpoint by port' golden folded 'endpoint=:53' <<'END'
client;recvmmsg 1
client;sendto 1
END

ok '-e takes an endpoint by kind' golden folded 'endpoint=udp,unix' <<'END'
client;recvmmsg 1
client;sendmsg 1
client;sendto 1
END

ok "-e takes strace's %network" golden folded 'trace=%network' \
	'!socket,setsockopt,getsockopt,sendto' '!getsockname,shutdown' <<'END'
client;client!f200;client!f123;__recv_chk 1
client;client!f200;client!f123;connect 1
client;recv 1
client;recvmmsg 1
client;sendmsg 1
client;socketpair 1
server;accept4 1
server;listen 1
END

ok 'both kinds of -e must hold' golden folded 'recv,send' 'endpoint=:80' <<'END'
client;client!f200;client!f123;__recv_chk 1
client;client!f200;client!f123;send 1
client;recv 1
END

not_ok "-e refuses a name that is no call" "$events" text got recv,recieve
like "$("$events" text got recieve 2>&1)" "no call is named 'recieve'" \
	"and says which"
not_ok "-e refuses an empty name" "$events" text got recv,
for e in 80 no.such.host.invalid [::1]x [] :x c3x tpc 127.0.0.1:x; do
	like "$("$events" text got "endpoint=$e" 2>&1)" \
		"is no endpoint: an address, a port as :80" \
		"-e refuses endpoint=$e"
done
for e in '#c2' [::1]:80 ::1 @name ./name; do
	ok "-e takes endpoint=$e" "$events" text got "endpoint=$e"
done

"$events" json got || fail "the form json"
cat >lines.py <<'END'
import json, sys
lines = [json.loads(l) for l in open("got", encoding="utf-8")]
keys = {
    "call": "type pid tid t dur fn version sys fd endpoint kind args ret "
            "errno errname stack escape",
    "stack": "type id process frames addresses",
    "endpoint": "type id cookie kind origin domain socktype protocol "
                "connected local peer listener",
    "process": "type id pid ppid t exe cmdline recorded exit signal modules",
}
calls = [l for l in lines if l["type"] == "call"]

def check_keys():
    for l in lines:
        assert list(l) == keys[l["type"]].split(), l

def check_numbers():
    for c in calls:
        for k in "pid tid t dur fd endpoint ret errno stack".split():
            assert type(c[k]) is int, (k, c)

def check_order():
    known = {"endpoint": set(), "stack": set()}
    for l in lines:
        if l["type"] in known:
            if l["type"] == "stack":
                assert l["id"] not in known["stack"], "a stack twice"
            known[l["type"]].add(l["id"])
        elif l["type"] == "call":
            for k in known:
                assert not l[k] or l[k] in known[k], (k, l)

def check_args():
    recv = [c for c in calls if c["fn"] == "__recv_chk"][0]
    assert recv["sys"] == "recvfrom" and recv["version"] == "GLIBC_2.2.5"
    assert recv["args"] == {"fd": 3, "buf": "0123456789", "len": 100,
                            "flags": []}, recv
    send = [c for c in calls if c["fn"] == "send"][0]
    assert send["args"]["flags"] == ["MSG_DONTWAIT", "MSG_NOSIGNAL"], send
    assert send["args"]["buf"].encode("latin-1") == b'GET /\xff\x011\r\n"'
    sock = [c for c in calls if c["fn"] == "socket"][0]
    assert sock["args"] == {
        "domain": "AF_INET",
        "type": ["SOCK_STREAM", "SOCK_CLOEXEC", "SOCK_NONBLOCK"],
        "protocol": "IPPROTO_TCP"}, sock
    con = [c for c in calls if c["fn"] == "connect"][0]
    assert con["errname"] == "EINPROGRESS" and con["errno"] == 115
    assert con["ret"] == -1 and con["args"]["addr"] == "127.0.0.1:80"
    ep = [c for c in calls if c["fn"] == "epoll_wait"][0]
    assert ep["args"]["events"] == [
        {"events": ["EPOLLIN"], "fd": 9, "endpoint": 3}], ep
    assert [c["escape"] for c in calls if c["escape"]] == ["libc", "inline"]
    assert [c["fn"] for c in calls if c["escape"]] == ["fflush", ""]

def check_processes():
    p = [l for l in lines if l["type"] == "process"]
    assert [x["exit"] for x in p] == [None, None, 0, None], p
    assert [x["signal"] for x in p] == [None, None, None, 15], p
    assert p[0]["cmdline"] == 'client "quoted" 127.0.0.1:80'
    assert p[1]["cmdline"] == "server \ufffd"

globals()[sys.argv[1]]()
END
for what in keys numbers order args processes; do
	ok "json: $what" "$PYTHON" lines.py "check_$what"
done

"$events" perfetto got || fail "the form perfetto"
cat >trace.py <<'END'
import json, sys
trace = json.load(open("got"))
events = trace["traceEvents"]
spans = [e for e in events if e["ph"] == "X"]
frames = trace["stackFrames"]

def check_events():
    assert {e["ph"] for e in events} == {"X", "M"}
    for e in spans:
        for k in "ts dur".split():
            assert type(e[k]) in (int, float), e
        for k in "pid tid".split():
            assert type(e[k]) is int, e
        assert e["name"] and e["cat"] and type(e["args"]) is dict, e
    assert spans[0]["ts"] == 5000000 and spans[0]["dur"] == 1.5
    assert spans[1]["ts"] == 5000002

def check_names():
    names = {e["pid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    assert names[100].startswith("client "), names

def check_stacks():
    assert trace["displayTimeUnit"] == "ns"
    send = [e for e in spans if e["name"] == "send"][0]
    leaf = frames[str(send["sf"])]
    assert leaf["name"] == "client!f123+0x4", leaf
    root = frames[str(leaf["parent"])]
    assert root == {"name": "client!f200+0x1"}, root
    assert len(frames) == 3, "stacks share their outer frames"
    assert send["args"]["stack"] == ["client!f123+0x4", "client!f200+0x1"]

globals()[sys.argv[1]]()
END
for what in events names stacks; do
	ok "perfetto: $what" "$PYTHON" trace.py "check_$what"
done

if [ -w /dev/full ]; then
	said=$("$events" full /dev/full 2>&1)
	is "$(printf '%s\n' "$said" | tail -n 1)" ENOSPC \
		"a full disk is the sink's error"
	is "$(printf '%s\n' "$said" | grep -c 'No space left')" 1 \
		"and is said once"
else
	skip "no /dev/full here" "a full disk is the sink's error"
	skip "no /dev/full here" "and is said once"
fi
ok "a file that can be written is no error" test "$("$events" full got)" = 0
is "$(wc -l <got)" 2001 "and holds all of it"

finish
