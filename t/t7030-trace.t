#!/bin/bash
# kmap-trace with real programs: what it shows, and that they do not notice.
# Limit: 240 s
. "${srcdir:-$(dirname "$0")}/lib.sh"
case " $KMAP_SANITIZE " in
*' address '*) skip_all "a preloaded ASan runtime tells another story" ;;
esac
private_net "$@"
need curl "$PYTHON" diff
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
plan 73
cd "$WORK" || exit 99
trace=$KMAP_TRACE
# The name of the recorder's memory goes by this name.
unset KMAP_TRACE

free_port port
start tiny plain_env "$builddir/tiny" "$port"
wait_port "$port" tiny || bail_out "tiny does not listen"

# What differs from run to run goes: ephemeral ports, addresses in memory,
# process ids, stacks.
plainly()
{
	sed -E -e '/^ > /d' -e 's/ #[0-9]+$//' -e "s/:$port\b/:PORT/g" \
		-e "s/htons\($port\)/htons(PORT)/g" \
		-e 's/htons\([0-9]+\)/htons(N)/g' \
		-e 's/127\.0\.0\.1:[0-9]+/127.0.0.1:N/g' \
		-e 's/python3\.[0-9]+/python3.N/' \
		-e 's/0x[0-9a-f]{6,}/0xADDR/g' \
		-e 's/^(!?)\[pid [0-9]+( tid [0-9]+)?\] /\1[pid] /' "$@"
}

cat >client.py <<'END'
import os, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
s.sendall(b"GET /10 HTTP/1.0\r\n\r\n")
while s.recv(4096):
    pass
s.shutdown(socket.SHUT_WR)
d = s.dup()
s.close()
d.close()
if len(sys.argv) > 2:
    if os.fork() == 0:
        c = socket.socket()
        c.connect(("127.0.0.1", int(sys.argv[1])))
        os._exit(5)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
END

## A bare run

out=$("$trace" curl -s "http://127.0.0.1:$port/100" 2>err)
is $? 0 "curl: its exit status"
is "$out" "$("$builddir/tiny" -o 100)" "its output"
ok "a table is left" test -s curl.kmap
like "$(<err)" "curl: [0-9]+ calls of 1 program" "the report: what was seen"
like "$(<err)" "1 of 2 endpoints .*not unix pair: only TCP" \
	"what can be moved"
like "$(<err)" "next: KMAP_TABLE=[$]PWD/curl.kmap LD_PRELOAD=libkmapemu.so curl -s" \
	"what to run next"
is "$(ls)" "$(printf '%s\n' client.py curl.kmap err tiny.log)" \
	"and nothing else is left"
cat >preloads <<-END
	#!/bin/sh
	LD_PRELOAD=$(kmap_preload)
	export LD_PRELOAD KMAP_TABLE
	KMAP_STATS=$PWD/stats KMAP_LOG=warn:$PWD/warn exec "\$@"
END
chmod +x preloads
"$trace" -o "a table" sh -c "cd / && curl -s http://127.0.0.1:$port/100" \
	2>err >out
next=$(sed -n 's/.*next: \(KMAP_TABLE=.*\) LD_PRELOAD=libkmapemu.so /\1 .\/preloads /p' err)
eval "$next" >again
ok "what to run next, taken at its word" cmp out again
ok "the library runs in it" test -s stats
is "$(cat warn)" "" "and finds the table after a chdir"
rm -f preloads stats warn out again err a\ table
free_port other
start listener plain_env "$builddir/table/strict" listen "$other"
wait_port "$other" listener
"$trace" -o t.kmap "$builddir/table/strict" allow "$other" 2>err >/dev/null
ended listener
like "$(<err)" "0 of [0-9]+ endpoints? can move .*seccomp filter" \
	"a seccomp filter: nothing moves"
is "$(grep -c 'next:' err)" 0 "and there is nothing to run next"
rm -f t.kmap err listener.log
ok "the table is in order" "$trace" --check curl.kmap
"$trace" -q curl -s "http://127.0.0.1:$port/100" >/dev/null 2>err
is "$(<err)" "" "-q says nothing"

## The forms

"$trace" -q -tgot --json lines --perfetto trace --folded folded \
	--html picture.html "$PYTHON" client.py "$port" \
	3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
plainly got >seen
cat >want <<'END'
+++ /usr/bin/python3.N +++
epoll_create1(EPOLL_CLOEXEC) = 3<#c1 epoll>
close(3<#c1>) = 0
socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_TCP) = 3<#c2 TCP>
connect(3<#c2 TCP:[127.0.0.1:N->127.0.0.1:PORT]>, {sa_family=AF_INET, sin_port=htons(PORT), sin_addr=inet_addr("127.0.0.1")}, 16) = 0
setsockopt(3<#c2>, SOL_TCP, TCP_NODELAY, [1], 4) = 0
send(3<#c2>, "GET /10 HTTP/1.0\r\n\r\n", 20, 0) = 20
recv(3<#c2>, "HTTP/1.1 200 OK\r\nServer: tiny\r\nC"..., 4096, 0) = 122
recv(3<#c2>, "", 4096, 0) = 0
shutdown(3<#c2>, SHUT_WR) = 0
fcntl64(3<#c2>, F_DUPFD_CLOEXEC, 0) = 4<#c2>
getsockname(4<#c2>, {sa_family=AF_INET, sin_port=htons(N), sin_addr=inet_addr("127.0.0.1")}, [16]) = 0
ioctl(4<#c2>, FIONBIO, [0]) = 0
close(3<#c2>) = 0
close(4<#c2>) = 0
+++ exited with 0 +++
END
ok "the live trace of a client" diff want seen
ok "has stacks" grep -Eq '^ > .*!' got
is "$(awk '/^ > / && id { print id } { id = "" }
	match($0, / #[0-9]+$/) { id = substr($0, RSTART) }' got | sort | uniq -d)" \
	"" "each once"
ok "JSON: every line" "$PYTHON" -c '
import json
lines = [json.loads(l) for l in open("lines")]
calls = [l for l in lines if l["type"] == "call"]
names = [c["fn"] for c in calls]
assert names[2:4] == ["socket", "connect"], names
assert [c for c in calls if c["fn"] == "send"][0]["ret"] == 20
stacks = {l["id"] for l in lines if l["type"] == "stack"}
assert all(c["stack"] in stacks for c in calls), "stacks"
assert all(c["dur"] > 0 and c["t"] > 0 for c in calls), "times"
assert sorted(c["t"] for c in calls) == [c["t"] for c in calls], "order"
'
ok "Perfetto: spans of one thread lie one after another" "$PYTHON" -c '
import json
spans = [e for e in json.load(open("trace"))["traceEvents"] if e["ph"] == "X"]
assert spans
for a, b in zip(spans, spans[1:]):
    assert a["ts"] + a["dur"] <= b["ts"] + 0.001, (a, b)
'
ok "folded: stacks end in the function called" \
	grep -Eq '^python3[^;]*;.*;connect [0-9]+$' folded
ok "the picture is there" grep -q '</html>' picture.html

cat >families.py <<'END'
import ctypes, socket
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
s.bind((0, 0))
s.close()
s = socket.socket()
s.bind(("0.0.0.0", 0))
s.close()
s = socket.socket(type=socket.SOCK_DGRAM)
s.connect(("127.0.0.1", 9))
ctypes.CDLL(None).connect(s.fileno(), bytes(16), 16)
s.close()
s = socket.socket(socket.AF_UNIX)
s.bind("")
END
"$trace" -q -tgot -o t.kmap "$PYTHON" families.py
plainly got | sed -n -E 's/^(bind|connect)\([^{]*(\{[^}]*\}).*/\1 \2/p' >seen
cat >want <<'END'
bind {sa_family=AF_NETLINK}
bind {sa_family=AF_INET, sin_port=htons(N), sin_addr=inet_addr("0.0.0.0")}
connect {sa_family=AF_INET, sin_port=htons(N), sin_addr=inet_addr("127.0.0.1")}
connect {sa_family=AF_UNSPEC}
bind {sa_family=AF_UNIX}
END
ok "an address has its own family" diff want seen

cat >accepts.py <<'END'
import socket
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen()
c = socket.create_connection(l.getsockname())
a = l.accept()
END
"$trace" -q -tgot -o t.kmap "$PYTHON" accepts.py
like "$(grep '^accept' got)" ' = [0-9]+<#c[0-9]+ TCP:\[127.0.0.1:.*\]>' \
	"what accept returned"

"$trace" -o unused.kmap "$PYTHON" -c 'import socket
socket.socket().close()' 2>err
like "$(<err)" "no connection came about" "a socket that is not used, in words"

## Children, and the summary

"$trace" -q -tgot "$PYTHON" client.py "$port" fork >out
is "$(<out)" 5 "a child's exit status is its own"
plainly got >seen
is "$(grep -c '^\[pid\] connect' seen)" 1 "the child's call says whose it is"
like "$(<seen)" '\+\+\+ exited with 0 \+\+\+' "the end of the program is told"
"$trace" -q --summary=got -o both.kmap sh -c "
	'$builddir/tiny' -1 $((port + 1)) & server=\$!
	for i in 1 2 3 4 5 6 7 8 9 10; do
		curl -s http://127.0.0.1:$((port + 1))/100 >out && break
		sleep 0.2
	done
	kill \$server"
ok "the summary has both programs" \
	grep -Eq '^\| function +\|.* tiny \|.* curl \||\| curl \|.* tiny \|' got
ok "and what libkmapemu does" grep -Eq '^\| connect .*\| watched \|$' got
ok "both in one table" grep -q 'role = "listen"' both.kmap

cp "$builddir/tiny" real-tiny
ln -s real-tiny other-tiny
"$trace" -q --summary=got -o other.kmap ./other-tiny -1 $((port + 2)) & tracer=$!
for i in 1 2 3 4 5 6 7 8 9 10; do
	curl -s http://127.0.0.1:$((port + 2))/100 >out && break
	sleep 0.2
done
pkill -P "$tracer" -x other-tiny
wait "$tracer"
ok "a program is called what it was started as" \
	grep -Eq '^\| function +\| other-tiny \|' got

## Whose table it is

# busy kid: a few calls, and 5 as its exit status.
for c in one two; do
	cp "$builddir/trace/busy" $c
done
exe()
{
	sed -n 's/^exe = .*\/\(.*\)"$/\1/p' "$1"
}
"$trace" -q -o a.kmap sh -c './one kid; ./two kid'
"$trace" -q -o b.kmap sh -c './two kid; ./one kid'
is "$(exe a.kmap) $(exe b.kmap)" "one one" "whichever child calls first"
sed -i '/^command = /d' a.kmap b.kmap
ok "it is the same table" "$trace" --diff a.kmap b.kmap
"$trace" -q -o a.kmap "$PYTHON" -c 'import os
os.system("./one kid")
import socket
socket.socketpair()'
like "$(exe a.kmap)" "^python3" "a program that calls something itself"
"$trace" -q -o a.kmap sh -c './one kid; exec ./two kid'
is "$(exe a.kmap)" two "and what the command becomes"

## What the program notices

"$trace" -q -o t.kmap sh -c 'ls /proc/self/fd' >seen
sh -c 'ls /proc/self/fd' >want
ok "fd numbers" diff want seen
"$trace" -q -o t.kmap env | grep -v '^_=' | sort >seen
env | grep -v '^_=' | sort >want
is "$(diff want seen | sed -n 's/^[<>] \([A-Z_]*\)=.*/\1/p' | tr '\n' ' ')" \
	"KMAP_TRACE LD_PRELOAD " "only these two variables are new"
is "$(echo hello | "$trace" -q -o t.kmap cat)" hello "standard input"
for sig in TERM SEGV KILL; do
	{ "$trace" -q -o t.kmap sh -c "kill -$sig \$\$"; } 2>/dev/null
	is $? $((128 + $(kill -l $sig))) "killed by SIG$sig as the program was"
done
"$trace" -q -o t.kmap -- "$PYTHON" -c '
import os
assert os.getpgrp() == os.getpgid(os.getppid())'
is $? 0 "the process group"
(trap '' HUP; exec "$trace" -q -o t.kmap grep SigIgn /proc/self/status) >seen
(trap '' HUP; exec grep SigIgn /proc/self/status) >want
ok "signals that are ignored stay so" diff want seen

## Signals

# Every signal is counted where it arrives: Python's own handlers run once for
# several.
cat >waits.py <<'END'
import os, select, signal, socket, sys, time
port = int(sys.argv[1])
r, w = os.pipe()
os.set_blocking(w, False)
signal.set_wakeup_fd(w)
for sig in signal.SIGTERM, signal.SIGINT:
    signal.signal(sig, lambda sig, frame: None)
s = socket.create_connection(("127.0.0.1", port))
print("ready", flush=True)
select.select([r], [], [], 60)
time.sleep(0.5)
print("got", *os.read(r, 100) if select.select([r], [], [], 0)[0] else (),
      flush=True)
sys.exit(3)
END
until_ready()
{
	local i
	for ((i = 0; i < 600; i++)); do
		! grep -qs ready "$1" || return 0
		sleep 0.05
	done
	return 1
}
"$trace" -o term.kmap "$PYTHON" waits.py "$port" >seen 2>err &
tracer=$!
until_ready seen
kill -TERM $tracer
wait $tracer
is $? 3 "SIGTERM: the program's own exit status"
is "$(tail -n 1 seen)" "got 15" "it reached the program, once"
ok "the table is written" "$trace" --check term.kmap

cat >terminal.py <<'END'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
out = b""
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    if b"ready" in data:
        os.write(fd, b"\x03")
    out += data
sys.stdout.write(out.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
"$PYTHON" terminal.py "$trace" -q -o int.kmap "$PYTHON" waits.py "$port" >seen
is $? 3 "^C: the program's own exit status"
is "$(sed -n 's/.*\(got [0-9 ]*\).*/\1/p' seen)" "got 2" "it reached the program, once"
ok "the table is written" "$trace" --check int.kmap

## What goes wrong

for form in --json --folded --perfetto --html -o; do
	not_ok "$form that cannot be written: nothing is run" \
		"$trace" $form nowhere/file touch ran
done
ok "indeed" test ! -e ran
"$trace" -q nosuchprogram 2>err
is $? 127 "no such program"
like "$(<err)" "nosuchprogram: No such file" "and it says so"
"$trace" -q ./client.py 2>err
is $? 126 "a file that is no program"
"$trace" -q -o t.kmap --json=/dev/full --perfetto=trace sh -c '
	curl -s http://127.0.0.1:'"$port"'/100 >out; exit 4' 2>err
is $? 4 "a full disk: the program's exit status"
is "$(grep -c 'No space left' err)" 1 "it is said, once"
ok "the other files are whole" "$PYTHON" -c \
	'import json; json.load(open("trace"))'

# A program that the one started leaves behind.
rm -f seen
"$trace" -o left.kmap sh -c "
	'$PYTHON' waits.py $port >seen & echo \$! >pid" 2>err &
tracer=$!
until_ready seen
for ((i = 0; i < 600; i++)); do
	! grep -q 'runs on' err || break
	sleep 0.05
done
like "$(<err)" "sh has ended, what it started runs on .pid $(<pid)" \
	"a daemon: it says so"
kill -TERM $tracer
wait $tracer
is $? 0 "SIGTERM ends the trace"
ok "not the daemon" kill -0 "$(<pid)"
ok "its table is written" grep -q waits.py left.kmap
kill -TERM "$(<pid)"

# One that forks twice, as daemons do: the process in between may end while
# kmap-trace looks who is left.
cat >twice.py <<'END'
import os, socket, sys, time
if os.fork():
    time.sleep(0.1)
    os._exit(0)
time.sleep(0.1)
os.setsid()
if os.fork():
    os._exit(0)
time.sleep(0.3)
socket.create_connection(("127.0.0.1", int(sys.argv[1])))
END
for ((i = 0; i < 12; i++)); do
	"$trace" -q -o t.kmap -tseen "$PYTHON" twice.py "$port"
	grep -q 'connect(' seen || break
done
is "$i" 12 "a daemon that forks twice is followed"

# The numbers of another pid namespace are those of others here: 1 never ends.
if unshare -pf true 2>/dev/null; then
	timeout 30 "$trace" -q -o t.kmap -tseen unshare -pf \
		"$PYTHON" client.py "$port" fork >out
	is $? 0 "a pid namespace: kmap-trace ends with the program"
	is "$(grep -c 'connect(' seen)" 2 "and has seen the fork's child, too"
	cat >inside.py <<'END'
import ctypes, os, socket, sys
assert ctypes.CDLL(None).unshare(0x20000000) == 0
s = socket.socket()
if os.fork() == 0:
    s.connect(("127.0.0.1", int(sys.argv[1])))
    os._exit(0)
os.wait()
END
	timeout 30 "$trace" -q -o t.kmap -tseen "$PYTHON" inside.py "$port"
	is $? 0 "the same of a fork without an exec"
else
	skip "no pid namespaces here" "a pid namespace: kmap-trace ends"
	skip "no pid namespaces here" "the fork's child"
	skip "no pid namespaces here" "a fork without an exec"
fi

# Two names that are not UTF-8 are written alike, in one line.
cp "$(type -P true)" $'a\xff'
cp "$(type -P true)" $'a\xfe'
"$trace" -q -o t.kmap sh -c '"$1"; "$2"' sh \
	$'./a\xff' $'./a\xfe'
ok "names that are not UTF-8" "$trace" --check t.kmap
rm -f $'a\xff' $'a\xfe'

# The tracer is killed.
cat >long.py <<'END'
import os, socket, sys, time
end = time.time() + 60
while not os.path.exists("stop") and time.time() < end:
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(b"GET /10 HTTP/1.0\r\n\r\n")
    while s.recv(4096):
        pass
    s.close()
    time.sleep(0.01)
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
open("done", "w")
END
"$trace" -q -o long.kmap --json=long.json "$PYTHON" long.py "$port" &
tracer=$!
for ((i = 0; i < 600; i++)); do
	[ ! -e long.kmap.part ] || break
	sleep 0.05
done
kill -KILL $tracer
wait $tracer 2>/dev/null
touch stop
for ((i = 0; i < 600; i++)); do
	[ ! -e done ] || break
	sleep 0.05
done
ok "kmap-trace killed: the program goes on" test -e done
ok "a table is kept" "$trace" --check long.kmap.part
ok "and the calls" grep -q '"fn":"connect"' long.json

finish
