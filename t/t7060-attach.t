#!/bin/bash
# --attach: a running program is followed from then on, is left as it was, and
# does not notice when kmap-trace is killed; what cannot be attached to.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need strace curl
need_module tomllib
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
trace=$KMAP_TRACE
unset KMAP_TRACE
busy=$builddir/trace/busy
cd "$WORK" || exit 99
strace -f -c -o probe true 2>/dev/null || need_failed "no ptrace here"
plan 29

# until COMMAND...: holds within some seconds
until_ok()
{
	local i
	for ((i = 0; i < 500; i++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.02
	done
	return 1
}

# begin NAME: busy wait, with the fd of its standard input in GO
begin()
{
	rm -f "$1.in"
	mkfifo "$1.in"
	"$busy" wait 100 <"$1.in" >"$1.out" &
	prog=$!
	exec {GO}>"$1.in"
	until_ok grep -q ready "$1.out"
}

untraced()
{
	! grep -h TracerPid /proc/"$prog"/task/*/status | grep -qv '	0$'
}

begin one
"$trace" --attach "$prog" -ttext --json log -o - >out 2>err &
pid=$!
ok "it attaches" until_ok grep -q "attached to $prog" err
until_ok grep -q "TracerPid:	[1-9]" /proc/"$prog"/status
echo >&"$GO"
ok "the program goes on" until_ok grep -q "done" one.out
# The last calls are told when the tracer has nothing else to do.
until_ok eval '[ "$(grep -c "\"sys\":\"recvfrom\"" log)" = 200 ]'
kill -TERM $pid
wait $pid
is "$?" 0 "SIGTERM (or ^C) ends the trace"
ok "no thread is traced any more" untraced
is "$(grep -c '"fn":"send","version":"GLIBC_[0-9.]*","sys":"sendto"' log)" 200 \
	"each send of both threads is there"
is "$(grep -c '"sys":"recvfrom"' log)" 200 "and each recv"
is "$(grep '"sys":"sendto"' log | grep -vc '"escape":""')" 0 \
	"a recorder would have seen them"
is "$(grep '"sys":"sendto"' log | sed 's/.*"tid":\([0-9]*\).*/\1/' | sort -u |
	wc -l)" 2 "by two threads"
like "$(grep -m1 '^send(\|^\[.*\] send(' text)" \
	'send\([0-9]+<#c[0-9]+.*>, .*, 16, 0\) = 16' "as text"
like "$(grep -A1 '^send(\|^\[.*\] send(' text)" 'busy!plain_thread' \
	"with its caller"
ok "the program still runs" kill -0 "$prog"
echo >&"$GO"
wait "$prog"
is "$?" 7 "and ends as ever"
exec {GO}>&-

## Connections that are older than the trace

# ask PORT: a connection; a request on it for each line of standard input.
cat >ask.py <<'END'
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
for line in sys.stdin:
    s.sendall(b"GET /10 HTTP/1.1\r\n\r\n")
    got = b""
    while not got.endswith(b"\r\n\r\n") and len(got) < 10:
        got += s.recv(4096)
    print("done", flush=True)
END

# older NAME: the table NAME.kmap of the process $WHO, while a request is made
older()
{
	"$trace" --attach "$WHO" -o "$1.kmap" >out 2>"$1.err" &
	pid=$!
	until_ok grep -q "TracerPid:	[1-9]" /proc/"$WHO"/status
	until_ok grep -q "attached to $WHO" "$1.err"
	echo >&"$GO"
	until_ok eval '[ "$(grep -c "done" ask.out)" -gt '"$2"' ]'
	# It may have ended with the program.
	kill -TERM $pid 2>/dev/null
	wait $pid
}

# rules TABLE: its endpoints of TCP, one a line
rules()
{
	"$PYTHON" -c 'import sys, tomllib
for e in tomllib.load(open(sys.argv[1], "rb"))["endpoint"]:
    print(e["role"], e["address"], e["decision"], *[e[k] for k in ["reason"]
          if k in e])' "$1" | sort
}

free_port port
start tiny plain_env "$builddir/tiny" "$port"
wait_port "$port" tiny
mkfifo ask.in
"$PYTHON" ask.py "$port" <ask.in >ask.out &
ask=$!
exec {GO}>ask.in
until_ok grep -q ready ask.out
WHO=$(pid_of tiny)
older server 0
is "$(rules server.kmap)" "accept 127.0.0.1:$port emulate
listen 127.0.0.1:$port emulate" "a server: its older connection is accepted, and moves"
is "$(grep ' not ' server.err)" "" "nothing is said against it"
WHO=$ask
older client 1
is "$(rules client.kmap)" "connect 127.0.0.1:$port emulate" \
	"a client: its older connection is one that it made"
exec {GO}>&-
wait "$ask"
stop tiny

# One that is brought in by a message is another's.
cat >brought.py <<'END'
import os, socket, sys
a, b = socket.socketpair()
if os.fork() == 0:
    a.close()
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    sys.stdin.readline()
    socket.send_fds(b, [b"x"], [s.fileno()])
    b.recv(1)
    os._exit(0)
b.close()
print("ready", flush=True)
fd = socket.recv_fds(a, 1, 1)[1][0]
s = socket.socket(fileno=fd)
s.sendall(b"GET /10 HTTP/1.0\r\n\r\n")
while s.recv(4096):
    pass
print("done", flush=True)
a.sendall(b"x")
os.wait()
END
start tiny plain_env "$builddir/tiny" "$port"
wait_port "$port" tiny
rm -f ask.in
mkfifo ask.in
"$PYTHON" brought.py "$port" <ask.in >ask.out &
WHO=$!
exec {GO}>ask.in
until_ok grep -q ready ask.out
older brought 0
exec {GO}>&-
wait "$WHO"
is "$(grep -c '^reason = "passed"' brought.kmap)" 1 \
	"one that came in by a message stays: it is another's"
is "$(grep -c '"in .*127.0.0.1' brought.kmap)" 1 "which is told"
stop tiny

## A killed tracer

begin two
"$trace" -q --attach "$prog" -o - >out 2>err &
pid=$!
until_ok grep -q "TracerPid:	[1-9]" /proc/"$prog"/status
{ kill -KILL $pid; wait $pid; } 2>/dev/null
ok "kmap-trace killed: nobody traces the program soon" until_ok untraced
echo >&"$GO"
ok "which goes on" until_ok grep -q "done" two.out

## A server

free_port port
start tiny plain_env "$builddir/tiny" "$port"
wait_port "$port" tiny || bail_out "tiny does not listen"
"$trace" -q --attach "$(pid_of tiny)" -ttext -o - >out 2>err &
pid=$!
until_ok grep -q "TracerPid:	[1-9]" /proc/"$(pid_of tiny)"/status
curl -s "http://127.0.0.1:$port/10" >/dev/null
until_ok grep -q '^accept4\?(' text
# The shell lets what it starts with & ignore it.
kill -INT $pid
ok "SIGINT by kill ends the trace, ignored or not" \
	until_ok eval '! kill -0 $pid'
kill -TERM $pid 2>/dev/null
wait $pid
like "$(grep -m1 -E '^accept4?\(.* = [0-9]' text)" \
	" = [0-9]+<#c[0-9]+ TCP:\[127.0.0.1:$port->127.0.0.1:[0-9]+\]>" \
	"what accept returned"

# Files that may not grow beyond a KB.
(
	ulimit -f 1
	exec "$trace" --attach "$(pid_of tiny)" -tshort -o - >out 2>err
) &
pid=$!
until_ok grep -q "TracerPid:	[1-9]" /proc/"$(pid_of tiny)"/status
for i in 1 2 3 4; do
	curl -s "http://127.0.0.1:$port/10" >/dev/null
done
until_ok grep -q 'short: File too large; it ends here' err
kill -TERM $pid
wait $pid
is $? 0 "a file that reaches RLIMIT_FSIZE does not end kmap-trace"
like "$(<err)" 'short: File too large; it ends here, the program goes on' \
	"it is said"

## What cannot be attached to

strace -o /dev/null -p "$prog" 2>/dev/null &
other=$!
until_ok grep -q "TracerPid:	[1-9]" /proc/"$prog"/status
not_ok "a program that strace has" "$trace" --attach "$prog" -o - 2>err
like "$("$trace" --attach "$prog" -o - 2>&1)" "process $other .*already" \
	"says who has it"
kill $other
wait $other
until_ok untraced
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	as="setpriv --reuid 65534 --regid 65534 --clear-groups"
	# shellcheck disable=SC2086
	like "$($as "$trace" --attach "$prog" -o - 2>&1)" \
		"another user's \(uid 0\).*as root" "another user's"
else
	skip "not root" "another user's"
fi
echo >&"$GO"
wait "$prog"
is "$?" 7 "the program ends as ever"
like "$("$trace" --attach "$prog" -o - 2>&1)" "No such process" "one that ended"
not_ok "and its exit status" "$trace" --attach "$prog" -o -

finish
