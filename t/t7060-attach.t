#!/bin/bash
# --attach: a running program is followed from then on, is left as it was, and
# does not notice when kmap-trace is killed; what cannot be attached to.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need strace
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
trace=$KMAP_TRACE
unset KMAP_TRACE
busy=$builddir/trace/busy
cd "$WORK" || exit 99
strace -f -c -o probe true 2>/dev/null || need_failed "no ptrace here"
plan 20

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
# Not INT: the shell lets what it starts with & ignore that.
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

## A killed tracer

begin two
"$trace" -q --attach "$prog" -o - >out 2>err &
pid=$!
until_ok grep -q "TracerPid:	[1-9]" /proc/"$prog"/status
{ kill -KILL $pid; wait $pid; } 2>/dev/null
ok "kmap-trace killed: nobody traces the program soon" until_ok untraced
echo >&"$GO"
ok "which goes on" until_ok grep -q "done" two.out

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
