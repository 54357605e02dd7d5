#!/bin/bash
# 32-bit x86 programs: no library can be preloaded into them, and ptrace sees
# their calls as it sees those of 64-bit ones.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need strace "$CC" "$PYTHON"
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
[ "$(uname -m)" = x86_64 ] || skip_all "another machine than x86-64"
trace=$KMAP_TRACE
# The name of the recorder's memory goes by this name.
unset KMAP_TRACE
cd "$WORK" || exit 99
strace -f -c -o probe true 2>/dev/null || need_failed "no ptrace here"
"$CC" -O1 -w -o by64 "$srcdir/trace/i386.c" || bail_out "i386.c does not compile"
"$CC" -m32 -O1 -w -o i386 "$srcdir/trace/i386.c" 2>err ||
	need_failed "no libc for 32 bits here"
"$CC" -m32 -O1 -w -static -o static "$srcdir/trace/i386.c" ||
	bail_out "it does not link statically"
./i386 wait </dev/null >out 2>&1
[ $? = 42 ] || skip_all "this kernel runs no 32-bit programs"
plan 36

# What the kernel has other names for, and strace shows.
calls='socket|socketpair|bind|listen|connect|accept4?|shutdown|getsockname'
calls="$calls|getpeername|[gs]etsockopt|sendto|send|recvfrom|recv|sendmsg"
calls="$calls|recvmsg|sendmmsg|recvmmsg(_time64)?|read|write|readv|writev"
calls="$calls|preadv2|pwritev2|sendfile(64)?|splice|close|close_range|dup"
calls="$calls|dup2|dup3|fcntl(64)?|ioctl|poll|ppoll(_time64)?|_newselect"
calls="$calls|select|pselect6(_time64)?|epoll_create1?|epoll_ctl|epoll_wait"
calls="$calls|epoll_pwait2?|pipe2"

# by_strace COMMAND...: "name count" lines of all calls that ended
by_strace()
{
	strace -f -o st "$@" >out.st 2>&1
	sed -n -E "s/^[0-9]+ +(<\.\.\. )?($calls)(\(| resumed).*/\2 &/p" st |
		grep -v 'unfinished' |
		sed -E 's/^(send|recv) /\1X /; s/^sendX/sendto/; s/^recvX/recvfrom/
			s/^([a-z0-9]+)_time64 /\1 /; s/^_newselect/select/
			s/^(fcntl|sendfile)64 /\1 /' |
		awk '{ n[$1]++ } END { for (c in n) print c, n[c] }' | sort
}

# by_verify: the same from the report in the file err
by_verify()
{
	sed -n -E "s/^kmap-trace: +($calls): .*, ([0-9]+) calls .*/\1 &/p" err |
		sed -E 's/ .*, ([0-9]+) calls .*/ \1/' | sort
}

said="i386 is a 32-bit program for i386.*: it is traced by ptrace instead"

## By itself

./i386 all echo hi >out.plain 2>&1
is "$?" 42 "the program untraced"
want=$(by_strace ./i386 all echo hi)
"$trace" --summary=sum --json log -ttext -o t.kmap ./i386 all echo hi >out 2>err
is "$?" 42 "its exit status"
ok "its output" cmp out out.plain
is "$(grep -c "$said" err)" 1 "what is the matter, in a sentence"
is "$(grep -v '^kmap-trace:' err)" "" "the loader complains of nothing"
is "$(by_verify)" "$want" "as many calls as strace counts"
is "$("$PYTHON" "$srcdir/trace/i386.py" log 2>&1)" "" "what the calls are"
for c in sendto recvfrom sendmsg poll epoll_wait select; do
	echo "$c $(grep -c "\"sys\":\"$c\"" log)"
done | sort >mine
is "$(<mine)" "$(grep -E '^(sendto|recvfrom|sendmsg|poll|epoll_wait|select) ' \
	<<<"$want")" "each of them is a line of the record"
is "$(grep '"type":"call"' log | grep -vc '"escape":"inline"')" 0 \
	"each is an escape"
like "$(<text)" '!sendto\(4<[^>]*>, "old send", 8, 0, NULL, 0\) = 8' "as text"
like "$(<text)" '!select\(6, \[5.*\], \[4.*\], NULL, \{tv_sec=0, tv_usec=3000\}\)' \
	"its time-out as it was asked for"
like "$(grep -A9 -m1 '^!bind' text | tr '\n' ' ')" \
	"vdso32.*libc.so.6!syscall.*i386!sub.*i386!main.*libc_start.*i386!_start" \
	"its stacks"
like "$(<sum)" "sendto" "in the summary"
ok "there is a table" "$trace" --check t.kmap
is "$(grep -c '^decision = "emulate"' t.kmap)" 0 "nothing of it moves"
like "$(grep -A5 '^\[\[endpoint' t.kmap)" 'role = "connect"' \
	"its endpoints are there"

"$trace" -q --json log -o t.kmap ./static all echo hi >out 2>err
is "$?" 42 "static: its exit status"
ok "static: its output" cmp out out.plain
is "$("$PYTHON" "$srcdir/trace/i386.py" log 2>&1)" "" "static: what the calls are"

like "$(grep 'call = "bind"' t.kmap)" 'static!sub.*static!main' \
	"static: its stacks"
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 .
	mkdir -m 777 other
	(cd other && setpriv --reuid 65534 --regid 65534 --clear-groups \
		"$trace" -q -ttext -o t.kmap ../i386 all echo hi >out 2>err)
	like "$(grep -A9 -m1 '^!bind' other/text | tr '\n' ' ')" \
		"libc.so.6!syscall.*i386!main" "stacks for another user"
else
	skip "not root" "stacks for another user"
fi

## Between 64-bit programs

cat >kid.py <<'END'
import socket, subprocess, sys
a, b = socket.socketpair()
a.send(b"sixty-four")
b.recv(10)
sys.exit(subprocess.run(["./i386", "wait"], input=b"third").returncode)
END
./i386 all "$PYTHON" kid.py >out.plain 2>&1
"$trace" -q --verify --json log -o t.kmap \
	sh -c './i386 all "$0" kid.py; exit 5' "$PYTHON" >out 2>err
is "$?" 5 "a shell that runs it: its exit status"
ok "and its output" cmp out out.plain
is "$(grep -v '^kmap-trace:' err)" "" "and no complaint"
is "$("$PYTHON" "$srcdir/trace/i386.py" log 2>&1)" "" "its calls"
is "$(grep '"buf":"sixty-four"' log |
	grep -o '"\(sys\|ret\|escape\)":[^,}]*' | tr '\n' ' ')" \
	'"sys":"sendto" "ret":10 "escape":"" "sys":"recvfrom" "ret":10 "escape":"" ' \
	"a 64-bit child: its own"
is "$(grep '"type":"process"' log | grep '"exit":42' |
	grep -c '"cmdline":"./i386 wait"')" 1 "and that one's 32-bit child"
"$trace" -o t.kmap sh -c './i386 all echo hi; exit 0' >out 2>err
is "$(grep -c "i386 is a 32-bit.*: nothing of it was seen, use --verify" err)" \
	1 "without --verify it is named"

## int $0x80 in a 64-bit program

./by64 int80 >out.plain
if [ "$(<out.plain)" = 0 ]; then
	"$trace" --verify --json log -o t.kmap ./by64 int80 >out 2>err
	is "$?, $(<out)" "42, 0" "int80: it runs"
	is "$(grep -o '"sys":"[a-z]*"\|"escape":"[a-z]*"' log | tr '\n' ' ')" \
		'"sys":"socket" "escape":"inline" "sys":"dup" "escape":"inline" "sys":"close" "escape":"inline" ' \
		"int80: its calls"
else
	skip "no int80 here" "int80"
	skip "no int80 here" "int80"
fi

## One that runs

mkfifo in
./i386 wait <in >out &
pid=$!
exec 7>in
until_line out ready
"$trace" --attach $pid --json log -ttext -o t.kmap >out.trace 7>&- 2>err &
tpid=$!
ok "attached" until_line err "attached to"
sleep 0.2
echo first >&7
ok "it goes on" until_line out "done"
exec 7>&-
wait $pid
is "$?" 42 "to its end"
wait $tpid
like "$(grep '"sys":"sendto"' log)" '"buf":"first.n"' "what it sent"
is "$(grep -o '"sys":"[a-z0-9]*"' log | grep -v '"read\|"write' | tr '\n' ' ')" \
	'"sys":"socket" "sys":"bind" "sys":"listen" "sys":"getsockname" "sys":"socket" "sys":"connect" "sys":"accept" "sys":"sendto" "sys":"recvfrom" "sys":"close" "sys":"close" "sys":"close" ' \
	"attached: its calls"
like "$(<text)" 'sendto\(.*, "first.n", 6, 0, NULL, 0\) = 6' "as text"

finish
