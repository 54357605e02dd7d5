#!/bin/bash
# A setting that is not understood is said once on standard error and ignored,
# and the program runs as ever.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
unset KMAP_UPGRADE KMAP_RING KMAP_PEERS KMAP_STATS KMAP_TABLE KMAP_LOG
serve=$builddir/fault/serve
cd "$WORK" || bail_out "no directory"

start server kmap_env "$serve" echo "$WORK/port"
port=$(port_of "$WORK/port")

# without_pid FILE: what the library said there
without_pid()
{
	sed 's/^kmap\[[0-9]*\]: //' "$1"
}

# asks NAME=VALUE...: an exchange of a program with these settings
asks()
{
	rm -f stats
	within 20 kmap_env KMAP_STATS="$WORK/stats" "$@" \
		"$serve" ask "$port" 60 0 >out 2>err
}

# bad NAME VALUE EXPECTED: not understood
bad()
{
	local want="$1=$2 is ignored: $3"
	ok "$1=$2: the program runs as ever" asks "$1=$2"
	is "$(without_pid err)" "$want" "which is said once"
	[ "$1" != KMAP_STATS ] || return
	is "$(stats_sum stats connections_upgraded)" 1 "as if it were unset"
}

# good NAME VALUE: understood, and nothing is said
good()
{
	asks "$1=$2"
	is "$?$(cat out err)" 0 "$1=$2 is understood"
}

many=$(seq -s , 16)
for v in soon NOW "now " earned,now; do
	bad KMAP_UPGRADE "$v" "expected now, earned or never"
done
for v in 4095 64 65M 67108865 -1 12x 0x10000 1G 18446744073709617152; do
	bad KMAP_RING "$v" "expected bytes from 4096 to 64M"
done
for v in root 0, ,0 4294967295 "$many,17" same-uid,0 0:1; do
	bad KMAP_PEERS "$v" "expected same-uid or uid,uid..."
done
for v in loud Warn 3 debug:/nowhere/log :log; do
	bad KMAP_LOG "$v" "expected error, warn, info or debug[:file]"
done
bad KMAP_STATS /nowhere/stats \
	"cannot be opened for appending (errno 2)"
bad KMAP_STATS / "cannot be opened for appending (errno 21)"

for v in earned now never ""; do
	good KMAP_UPGRADE "$v"
done
for v in 4096 4K 5000 64M 64m 67108864 ""; do
	good KMAP_RING "$v"
done
for v in same-uid 0 0,1000 "$many" 4294967294 ""; do
	good KMAP_PEERS "$v"
done
for v in error warn "error:$WORK/log" ""; do
	good KMAP_LOG "$v"
done
good KMAP_STATS ""

# All of them at once, in a program and its children.
kmap_env KMAP_UPGRADE=a KMAP_RING=b KMAP_PEERS=c KMAP_LOG=d \
	KMAP_STATS=/nowhere/e "$BASH" -c '(echo child); echo out; exit 3' \
	>out 2>err
is "$? $(tr '\n' ' ' <out)" "3 child out " "all at once: it runs as ever"
is "$(without_pid err | sed 's/=.*//' | sort | tr '\n' ' ')" \
	"KMAP_LOG KMAP_PEERS KMAP_RING KMAP_STATS KMAP_UPGRADE " \
	"each is said once, and a fork says nothing again"

# The rings' size: by KMAP_RING, else by what a listener has made of the
# kernel's buffers, as kmap-stat sees it. Two listeners of one process, one
# client: who asks for another size gets another segment.
cat >rings.py <<'END'
import json, os, socket, subprocess, sys
sizes = [tuple(map(int, a.split(","))) for a in sys.argv[2:]]
listeners = []
for snd, rcv in sizes:
    l = socket.socket()
    for name, v in (socket.SO_SNDBUF, snd), (socket.SO_RCVBUF, rcv):
        if v:
            l.setsockopt(socket.SOL_SOCKET, name, v)
    l.bind(("127.0.0.1", 0))
    l.listen()
    listeners.append(l)
kept = []
if os.fork() == 0:
    for l in listeners * 2:
        s, _ = l.accept()
        for _ in range(200):
            s.sendall(s.recv(1))
        kept.append(s)
    s.recv(1)
    os._exit(0)
for l in listeners * 2:
    c = socket.create_connection(l.getsockname())
    for _ in range(200):
        c.sendall(b"x")
        c.recv(1)
    kept.append(c)
out = json.loads(subprocess.run([sys.argv[1], "-jc", "-p", str(os.getpid())],
    env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"},
    stdout=subprocess.PIPE).stdout)
port = {l.getsockname()[1]: i for i, l in enumerate(listeners)}
rings = [[] for _ in sizes]
for c in out["processes"][0]["connections"]:
    rings[port[int(c["peer"].rpartition(":")[2])]].append(c["ring_size"])
print(*(",".join(map(str, r)) for r in rings))
END
sizes="0,0 100000,100000 200000,0 5000,5000 5000,0"
is "$(kmap_env "$PYTHON" rings.py "$KMAP_STAT" $sizes 2>&1)" \
	"131072,131072 131072,131072 262144,262144 8192,8192 131072,131072" \
	"rings as the listeners' buffers"
is "$(kmap_env KMAP_RING=64K "$PYTHON" rings.py "$KMAP_STAT" $sizes 2>&1)" \
	"65536,65536 65536,65536 65536,65536 65536,65536 65536,65536" \
	"rings as KMAP_RING says"

rm -f log
asks KMAP_RING=b KMAP_LOG="debug:$WORK/log"
holds "$(grep -c 'KMAP_RING=b is ignored' err) == 1 &&
	$(grep -c 'KMAP_RING=b' log) == 0" \
	"on standard error also with a log elsewhere"
kmap_env KMAP_RING=b KMAP_STATS="$WORK/stats" "$BASH" -c \
	'ls /proc/self/fd' >out 2>&-
is "$(head -n 4 out | tr '\n' ' ')" \
	"$(ls /proc/self/fd 2>&- | head -n 4 | tr '\n' ' ')" \
	"where it is closed, it stays so"
finish
