#!/bin/bash
# --verify: every network call of a program is either recorded or named with
# the way it escapes; counts are strace's; the program is not disturbed, also
# when kmap-trace or its tracer is killed.
# Limit: 240 s
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/nginx.sh"
private_net "$@"
need strace curl nginx redis-server redis-benchmark "$CC" "$PYTHON"
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
trace=$KMAP_TRACE
# The name of the recorder's memory goes by this name.
unset KMAP_TRACE
busy=$builddir/trace/busy
cd "$WORK" || exit 99
ulimit -c 0
strace -f -c -o probe true 2>/dev/null || need_failed "no ptrace here"
plan 56

# What a socket call is by its name; read, write and close are also files'.
calls='socketpair|sendto|recvfrom|sendmsg|recvmsg|readv|poll|pselect6|dup'
calls="$calls|epoll_create1|epoll_ctl|epoll_wait|shutdown|fcntl|getsockopt"

# by_strace COMMAND...: "name count" lines of all calls that ended
by_strace()
{
	strace -f -o st "$@" >/dev/null
	sed -n -E "s/^[0-9]+ +(<\.\.\. )?($calls)(\(| resumed).*/\2 &/p" st |
		grep -v 'unfinished' | awk '{ n[$1]++ }
			END { for (c in n) print c, n[c] }' | sort
}

# by_verify: the same from the report in the file err
by_verify()
{
	sed -n -E "s/^kmap-trace: +($calls): .*, ([0-9]+) calls .*/\1 \2/p" \
		err | sort
}

## All of it is recorded, and counted

"$busy" all >out.plain
is "$?" 42 "the program by itself"
"$trace" --verify --summary=sum --json log -o - "$busy" all >out 2>err
is "$?" 42 "its exit status under --verify"
like "$(<out)" "fine" "its output"
counts=$(by_verify)
is "$counts" "$(by_strace "$busy" all)" "as many calls as strace counts"
like "$(<err)" "coverage: ([0-9]+) of ([0-9]+) .*100\.0 %" "all are covered"
[[ $(<err) =~ coverage:\ ([0-9]+)\ of\ ([0-9]+) ]]
is "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "recorded are as many as were made"
is "$(grep -c '"escape":"[a-z]' log)" 0 "nothing escaped"
# A call that a signal made the kernel restart is one for the program.
for c in sendto readv sendmsg recvmsg socketpair shutdown; do
	echo "$c $(grep -c "\"sys\":\"$c\"" log)"
done | sort >mine
is "$(<mine)" "$(grep -E '^(sendto|readv|sendmsg|recvmsg|socketpair|shutdown) ' \
	<<<"$counts")" "each of them is a line of the record"

## What escapes is named

"$trace" --verify -ttext --json log -o - "$busy" escapes >out 2>err
is "$?" 0 "a program with escapes: its exit status"
escaped=$(grep '^!' text)
is "$(wc -l <<<"$escaped")" "$(grep -c '"escape":"[a-z]' log)" \
	"the text has a ! for each escape, and no other"
like "$escaped" '!write\([0-9]+[^)]*, "own", 3\) = 3 .*instruction' "inline"
like "$escaped" '!write\([0-9]+[^)]*, "file", 4\) = 4 .*fflush' "in fflush"
like "$escaped" '!write\([0-9]+[^)]*, "last", 4\) = 4 .*fclose' "in fclose"
like "$escaped" '!io_uring_setup\(.*io_uring' "io_uring"
is "$(grep -c '"seen"' text)" 1 "what does not escape is there, once"
like "$(grep -A3 '^!.*"own"' text)" "busy!(by_itself|escapes)" \
	"the stack of an escape"

# A ring made by syscall(2) is seen by the recorder, too.
cat >ring.py <<'END'
import ctypes, socket
fd = ctypes.CDLL(None).syscall(425, 4, (ctypes.c_char * 256)())
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
l.accept()[0].sendall(b"x")
c.recv(1)
print(fd >= 0)
END
for how in "" --verify; do
	# shellcheck disable=SC2086
	"$trace" $how -ttext -o ring.kmap "$PYTHON" ring.py >out 2>err
	is "$(grep -c '^!io_uring_setup' text)" 1 "a ring, marked once $how"
	if [ "$(<out)" != True ]; then
		skip "no io_uring here" "endpoints stay $how"
		skip "no io_uring here" "because of it $how"
		continue
	fi
	is "$(grep -E '^(decision|reason)' ring.kmap | sort | uniq -c |
		tr -s ' ')" ' 3 decision = "tcp"
 3 reason = "io-uring"' "endpoints stay $how"
	like "$(grep '^"io_uring' ring.kmap)" 'verdict = "tcp"' \
		"because of it $how"
done

## Programs that cannot be preloaded are followed by ptrace alone

if "$CC" -O1 -g -pthread -static -o static "$srcdir/trace/busy.c" 2>/dev/null
then
	"$trace" --json log -o - ./static all >out 2>err
	is "$?" 42 "static: its exit status"
	like "$(<err)" "linked statically.*ptrace" "static: what is the matter"
	for c in sendto readv sendmsg recvmsg recvfrom socketpair epoll_wait; do
		echo "$c $(grep -c "\"sys\":\"$c\"" log)"
	done | sort >mine
	is "$(<mine)" "$(by_strace ./static all | grep -E \
		'^(sendto|readv|sendmsg|recvmsg|recvfrom|socketpair|epoll_wait) ')" \
		"static: as many records as strace has"
	is "$(grep '"sys":"send' log | grep -vc '"escape":"inline"')" 0 \
		"static: each is an escape"
	like "$(grep -m1 '"sys":"sendto"' log)" '"buf":".*"len":10' \
		"static: its arguments"
	# It has no index to its unwind tables.
	"$trace" -q -ttext -o t.kmap ./static kid >out 2>err
	like "$(grep -A4 'socketpair' text)" 'static!main' "static: its stacks"
	like "$(grep 'call = "socketpair"' t.kmap)" 'static!main' \
		"static: and in the table"
	# One that another program starts is followed with --verify alone.
	unseen="static is linked statically.*: nothing of it was seen, use --verif"
	"$trace" -o - sh -c './static kid; ./static kid; cd /; "$OLDPWD"/static kid
		exit 0' >out 2>err
	is "$(grep -c "$unseen" err)" 1 "a static child: said once"
	"$trace" -o - "$PYTHON" -c 'import os
os.waitpid(os.posix_spawnp("./static", ["./static", "kid"], os.environ), 0)
' >out 2>err
	is "$(grep -c "$unseen" err)" 1 "and when it was spawned"
	"$trace" -o - sh -c 'PATH=$PATH:$PWD; (exec static kid); exit 0' \
		>out 2>err
	like "$(<err)" "it used no network endpoint that was seen" \
		"what is not known is not said"
	"$trace" --verify -o - sh -c './static kid; exit 0' >out 2>err
	is "$(grep -c "$unseen" err)" 0 "with --verify it is seen"
else
	for c in 1 2 3 4 5 6 7 8 9 10 11; do
		lacking "no static libc here" "static"
	done
fi

## Killed

# tracer: the process that kmap-trace, process $1, has for ptrace
tracer()
{
	local p
	for p in $(cat "/proc/$1/task/$1/children"); do
		[ "$(<"/proc/$p/comm")" != kmap-ptrace ] || echo "$p"
	done
}

: >out	# what an earlier one said is no sign
"$trace" -q --verify -o - "$busy" loop 1500 >out 2>err &
pid=$!
ok "the program runs" until_line out ready
t=$(tracer $pid)
like "$t" '^[0-9]+$' "it has a tracer"
{ kill -KILL $pid; wait $pid; } 2>/dev/null
ok "kmap-trace is killed: the program gets to its end" until_line out failed
is "$(grep failed out)" "failed 0, last 0" "and none of its calls has failed"
for ((i = 0; i < 250; i++)); do
	kill -0 "$t" 2>/dev/null || break
	sleep 0.02
done
not_ok "the tracer ends with it" kill -0 "$t"

: >out	# what an earlier one said is no sign
"$trace" -q --verify -o - "$busy" loop 4000 >out 2>err &
pid=$!
until_line out ready
kill -KILL "$(tracer $pid)"
wait $pid
# Calls made before another tracer is there do fail, and no later ones.
like "$(grep failed out)" "^failed [0-9]+, last 0" \
	"the tracer is killed: the program goes on"
like "$(<err)" "tracer|traces was killed" "which is said"

## No permission

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 .
	mkdir -m 777 other
	(cd other && setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$trace" -q --verify -o - "$busy" plain 10 >../out 2>../err)
	is "$?" 0 "another user may --verify what is its own"
else
	skip "not root" "another user"
fi
# What gains privileges takes no library, or is traced without them.
cat >marks.py <<'END'
import socket
l = socket.create_server(("127.0.0.1", 0))
c = socket.create_connection(l.getsockname())
END
for mark in "chmod u+s" "setcap cap_net_bind_service+ep"; do
	rm -f marked
	if [ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null ||
		! cp "$(readlink -f "$PYTHON")" marked || ! $mark marked; then
		without=skip
		command -v ${mark%% *} >/dev/null || without=lacking
		for c in 1 2 3; do
			$without "not root, or no $mark" "$mark"
		done
		continue
	fi
	(cd other && setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$trace" -o - ../marked ../marks.py >../out 2>../err)
	like "$(<err)" "marked .*gains privileges: .* gives it none" \
		"$mark: what is the matter"
	like "$(<err)" "0 of [23] endpoints can move .*no library can be" \
		"$mark: nothing moves"
	case $mark in chmod*) undo="chmod u-s" ;; *) undo="setcap -r" ;; esac
	is "$(sed -n 's/.*next: //p' err)" "$undo ../marked, and trace it again" \
		"$mark: what would help"
done

# As a container's filter denies them.
# denied CALL COMMAND...
denied()
{
	local nr
	nr=$(printf '#include <sys/syscall.h>\nSYS_%s\n' "$1" |
		"$CC" -E -P - | tail -n 1)
	"$PYTHON" "$srcdir/trace/deny.py" "$1=$nr" "${@:2}"
}

denied setns true || need_failed "no seccomp(2) here"
declare -A why=(
	[seccomp]="touch cannot be followed by ptrace, seccomp.2. is not permitted"
	[ptrace]="the kernel does not permit it .*a container forbids ptrace"
)
for call in seccomp ptrace; do
	rm -f ran
	denied $call "$trace" --verify -o denied.kmap touch ran >out 2>err
	is "$?" 1 "--verify without $call(2) fails"
	not_ok "and runs nothing" test -e ran
	like "$(<err)" "kmap-trace: .*${why[$call]}" "and says so"
done
if [ -e static ]; then
	denied ptrace "$trace" -o denied.kmap ./static all >out 2>err
	like "$?, $(<err)" "^1, .*linked statically.*does not permit" \
		"a static program without ptrace(2)"
else
	lacking "no static libc here" "a static program without ptrace(2)"
fi

## Real programs: the same run by strace and by the recorder alone

# Whose fd it is strace says by -yy; what the recorder itself asks of sockets
# is left out.
cat >compare.py <<'END'
import collections, json, re, sys
own = {"getsockopt", "getsockname", "getpeername"}
theirs, ours = collections.Counter(), collections.Counter()
for line in open("st", errors="replace"):
    m = re.match(r"\d+ +(\w+)\(\d+<TCP", line)
    if m and m[1] not in own:
        theirs[m[1]] += 1
for line in open("log"):
    c = json.loads(line)
    if (c["type"] == "call" and c["kind"] in ("tcp", "listen") and
            c["sys"] not in own | {"socket"}):
        ours[c["sys"]] += 1
print("strace:", *("%s %d" % i for i in sorted(theirs.items())))
print("recorded:", *("%s %d" % i for i in sorted(ours.items())))
sys.exit(ours != theirs or not set(sys.argv[1:]) <= set(theirs))
END

# both NAME PROGRAM...: it is started under the two
both()
{
	local name=$1
	shift
	rm -f st log
	start "$name" plain_env "$trace" -q --json log -o both.kmap \
		strace -f -yy -o st "$@"
	wait_port "$port" "$name"
}

free_port port
both redis redis-server --port "$port" --save '' --dir "$WORK"
redis-benchmark -p "$port" -n 500 -c 10 -t set,get,lrange_100 -q >out 2>&1
redis-cli -p "$port" shutdown nosave
ended redis 20
ok "redis: read, write, close … as often as strace says" \
	"$PYTHON" compare.py accept4 read write close

free_port port
head -c 300000 /dev/zero >file
nginx_conf "$WORK/n.conf" "$port" "root $WORK;"
both nginx nginx -e n.err -c "$WORK/n.conf"
for i in 1 2 3 4 5; do
	curl -s "http://127.0.0.1:$port/file" "http://127.0.0.1:$port/none" >out
done
kill -QUIT "$(<n.d/pid)"
ended nginx 20
ok "nginx: its two workers, too" \
	"$PYTHON" compare.py accept4 recvfrom writev sendfile ioctl close

finish
