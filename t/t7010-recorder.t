#!/bin/bash
# The recorder: what it sees, what it calls that, and that nobody notices it.
# Limit: 240 s
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need "$PYTHON" nm strace "$CC"
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
! sanitized address || skip_all "ASan's runtime wants to be first"
plan 59
cd "$WORK" || exit 99
trace=$KMAP_TRACE
# The name of the recorder's memory goes by this name.
unset KMAP_TRACE
recorder=$KMAP_RECORDER

# The compiler's own flags decide what is called: fortified, 64-bit offsets.
"$CC" -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -D_GNU_SOURCE \
	-D_FILE_OFFSET_BITS=64 -w -o rec "$srcdir/trace/rec.c" -lpthread ||
	bail_out "rec does not compile"
strip -o stripped rec

# calls FILE: a line for each recorded call, "fn@version sys fd = ret errno"
calls()
{
	"$PYTHON" - "$1" <<'END'
import json, sys
for line in open(sys.argv[1]):
    c = json.loads(line)
    if c["type"] == "call":
        print("%s@%s %s %s = %s %s" % (c["fn"], c["version"], c["sys"],
            c["fd"], c["ret"], c["errname"]))
END
}

# count FILE REGEX
count()
{
	grep -Ec "$2" "$1"
}

# traced NAME PROGRAM...: its lines in NAME.json, NAME.calls; its output in
# NAME.out; STATUS
traced()
{
	local name=$1
	shift
	within 60 "$trace" -q -o "$name.kmap" --json "$name.json" "$@" \
		>"$name.out" 2>"$name.err"
	STATUS=$?
	calls "$name.json" >"$name.calls"
}

## What is exported

sed -n 's/^KT_NAME(\([^,]*\),.*/\1/p' "$top_srcdir/trace/recorder/names.def" |
	LC_ALL=C sort >names.def
nm -D --defined-only "$recorder" | awk '{ print $3 }' | LC_ALL=C sort >names.so
is "$(diff names.def names.so)" "" "the library exports names.def, no more"
sed -n 's/^\t\t\([A-Za-z_0-9]*\);$/\1/p' "$top_srcdir/trace/libkmaptrace.map" |
	LC_ALL=C sort >names.map
is "$(diff names.def names.map)" "" "and its map names the same"
# What the emulation takes because of an fd, the recorder sees.
"$CC" -E -P -I"$top_srcdir/emu" -D'KMAP_CALL(r, n, p, a, f, s)=name n f' \
	-D'KMAP_ALIAS(n, o, f)=name n f' -x c \
	"$top_srcdir/emu/calls.def" 2>/dev/null |
	grep -oE 'name [A-Za-z_0-9]+ "[a-z]+"' | tr -d '"' |
	grep -Ev ' (fork|exec|signal|mem|exit|stat)$' | awk '{ print $2 }' |
	grep -vxE 'lio_listio(64)?|prctl' | LC_ALL=C sort -u >names.emu
ok "the table of the emulation is read" test "$(wc -l <names.emu)" -gt 100
is "$(LC_ALL=C comm -23 names.emu names.def)" "" \
	"every name that the emulation takes because of an fd is recorded"
is "$(readelf -d "$recorder" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' |
	grep -v '^libubsan')" "libc.so.6" "it needs libc alone"

## Names

want_names='socketpair@GLIBC_2.2.5 socketpair
write@GLIBC_2.2.5 write
__read_chk@GLIBC_2.4 read
__recv_chk@GLIBC_2.4 recvfrom
__recvfrom_chk@GLIBC_2.4 recvfrom
__poll_chk@GLIBC_2.16 poll
fcntl64@GLIBC_2.28 fcntl
send@GLIBC_2.2.5 sendto
syscall@GLIBC_2.2.5 sendto
syscall@GLIBC_2.2.5 close
fdopen@GLIBC_2.2.5
__fprintf_chk@GLIBC_2.3.4
fclose@GLIBC_2.2.5 close
__dprintf_chk@GLIBC_2.8
socketpair@GLIBC_2.2.5 socketpair
syscall@GLIBC_2.2.5 close'
# Versions are those of the ABI that this libc began with.
[ "$(uname -m)" = x86_64 ] ||
	want_names=$(sed -E 's/@[^ ]*/@/' <<<"$want_names")
for p in rec stripped; do
	traced names "./$p" names
	is $STATUS 0 "$p: ends as it should"
	[ "$(uname -m)" = x86_64 ] || sed -i -E 's/@[^ ]*/@/' names.calls
	is "$(sed -E 's/ None .*//; s/^([^ ]+) ([a-z]*) ?-?[0-9]+ = .*/\1 \2/; s/ $//' \
		names.calls)" "$want_names" \
		"$p: fortified, 64-bit, by number, behind a tail call"
done
ok "an address of the stripped program is an offset in it" \
	grep -q '"path":"[^"]*/stripped"' names.json

## Nobody notices

for p in names closes calls kids shell cancel cuts pass strict filter; do
	./rec $p >plain 2>&1
	status=$?
	traced $p ./rec $p
	is "$STATUS $(<$p.out)" "$status $(<plain)" \
		"$p: output, numbers and exit status are the same"
	is "$(<$p.err)" "" "$p: and nobody said anything"
done

# The unwinder has to ask whether memory is there, and must not do so by
# descriptors that the program has closed and taken.
is "$(count filter.calls '^write@.* = 1 ')" 101 \
	"filter: calls under a filter that kills"
# There even reading the clock kills.
is "$(count strict.calls '^write@.* = 1 ')" 1 "strict: only those before"
# A call that its thread never came back from has no result, and stands before
# what the cleanup handlers of the thread did.
is "$(sed -n 's/@[^ ]* .* = \(None\|[0-9]*\) .*/ \1/p' cuts.calls |
	sed -n '/None/p; /^send/p' | tr '\n' ' ')" "recv None send 1 accept None\
 poll None select None epoll_wait None recvmsg None recv None " \
	"cuts: calls that were cut off"
ok "closes: all its sends are there" \
	test "$(count closes.calls '^send@.* = 1 ')" = 210

## Counts

# How often each system call is made on a socket or an epoll set, or makes
# one: by strace, of the program alone.
strace -f -qq -yy -o strace.out -e trace=%network,read,write,readv,writev,close,dup,dup2,fcntl,ioctl,poll,ppoll,pselect6,select,epoll_create1,epoll_ctl,epoll_wait,epoll_pwait \
	./rec calls >/dev/null 2>&1
sed -E 's/^[0-9]+ +//' strace.out | "$PYTHON" -c '
import re, sys, collections
n = collections.Counter()
for line in sys.stdin:
    m = re.match(r"(\w+)\((.*)", line)
    if not m:
        continue
    name, rest = m.groups()
    fd = re.match(r"-?\d+(<[^,)]*)?", rest)
    net = name in ("socket", "socketpair", "epoll_create1") or "EFAULT" in line
    if name in ("poll", "ppoll", "pselect6", "select"):
        # One that the kernel could not read is about no fd.
        net = "EFAULT" not in line
    elif fd and fd.group(1):
        net = re.search(r"<(TCP|UDP|UNIX|socket|anon_inode:\[eventpoll)",
            fd.group(0)) is not None
    elif "EBADF" in line:
        net = name == "sendto"
    if net:
        n[name] += 1
for k in sorted(n):
    print(k, n[k])' >want
awk '{ n[$2]++ } END { for (s in n) print s, n[s] }' calls.calls |
	LC_ALL=C sort >got
is "$(diff want got)" "" "counts are strace's, for each system call"
ok "of all kinds" test "$(wc -l <want)" -gt 20

## Handlers, threads, children

traced handlers ./rec handlers
is $STATUS 0 "handlers: ends as it should"
read -r sent handled <handlers.err
is "$(count handlers.calls '^(send|write)@.* = 1 ')" $((sent + handled)) \
	"every call of $handled handlers is there, and every one they broke"
# Four threads; fork, after vfork, clone, parent.
is "$(count kids.calls '^send@.* = 1 ')" 405 "kids: every call of theirs"
"$PYTHON" - kids.json >kids.got <<'END'
import json, sys
procs, n = {}, {}
for line in open(sys.argv[1]):
    c = json.loads(line)
    if c["type"] == "process":
        procs[c["pid"]] = c
    elif c["type"] == "call" and c["fn"] in ("send", "close", "socketpair"):
        n.setdefault(c["pid"], []).append(c["fn"])
top = min(n)
for pid in sorted(n):
    calls = n[pid]
    print("main" if pid == top else "child of main"
        if procs[pid]["ppid"] == top else "?",
        "threads" if len(calls) > 50 else " ".join(calls))
END
is "$(<kids.got)" "main threads
child of main send close close
child of main close close socketpair send
child of main send" \
	"kids: fork, vfork with exec and a clean environment, raw clone"
is "$(count shell.calls '^send@.* = 1 ')" 2 \
	"shell: system and popen after clearenv"
is "$(count pass.calls '^send@.* = 1 ')" 1 "pass: a socket that came by message"
like "$(<pass.json)" '"type":"call"[^
]*"fn":"recvmsg"' "pass: its message"

## With the emulation behind it

KMAP_STATS=stats LD_PRELOAD=$KMAP_LIB traced pair ./rec calls
is "$STATUS $(<pair.out)" "0 " "pair: with libkmapemu.so behind it"
awk '{ n[$2]++ } END { for (s in n) print s, n[s] }' pair.calls |
	LC_ALL=C sort >got
is "$(diff want got)" "" "pair: the counts are the same"
ok "pair: the emulation was there" test "$(stats_sum stats connections_seen)" -gt 0

## Ends

traced killed ./rec many 2000 0
is $STATUS 137 "killed: by the same signal"
is "$(count killed.calls '^send@')" 2000 "killed: all of it is there"

# The tracer dies, the program does not care.
mkdir region
export KMAP_TRACE_DIR=$WORK/region
start victim "$trace" -q -o victim.kmap --json victim.json \
	./rec many 300000 5
for ((i = 0; i < 500; i++)); do
	[ ! -s victim.json ] || break
	sleep 0.02
done
program=$(children_of "$(pid_of victim)" | head -1)
kill -KILL "$(pid_of victim)"
ended victim >/dev/null 2>&1
for ((i = 0; i < 1500; i++)); do
	state=$(awk '/^State:/ { print $2 }' "/proc/$program/status" 2>/dev/null)
	[ -n "$state" ] && [ "$state" != Z ] || break
	sleep 0.02
done
ok "the tracer killed: the program goes on to its end" \
	test -z "$state" -o "$state" = Z
like "$(head -c 200 victim.json)" '"type":' "what it wrote is kept"
is "$(ls region | wc -l)" 1 "what it recorded into is left"
"$trace" -q -o x.kmap ./rec one
is "$(ls region)" "" "and is swept away by the next"
unset KMAP_TRACE_DIR

# No room: said, and the program goes on.
small()
{
	unshare -m bash -c '
		mkdir -p small && mount -t tmpfs -o size='"$1"' none small &&
		export KMAP_TRACE_DIR=$PWD/small && shift && "$@"' small "$@"
}
if small 1m true 2>/dev/null; then
	# The head, a ring, a place for stacks: each fails once.
	for room in 8k 800k 940k; do
		small $room "$trace" -o full.kmap ./rec many 200 6 2>full.err
		is $? 6 "$room: the program runs to its end"
		like "$(<full.err)" "no room|No space left" "$room: it is said"
	done
	KMAP_TRACE_DIR=$PWD/none "$trace" -o none.kmap ./rec many 20 6 \
		2>none.err
	like "$(<none.err)" "no place for the recording in" \
		"no directory: it is said"
else
	for i in 1 2 3 4 5 6 7; do
		skip "no mount namespace here" "room"
	done
fi
finish
