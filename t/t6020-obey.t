#!/bin/bash
# KMAP_TABLE: what the library does with a table, seen by its statistics and
# by the byte counter of lo, in real programs.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/nginx.sh"
private_net "$@"
need curl nginx redis-server redis-benchmark
STRICT=$builddir/table/strict
[ -x "$STRICT" ] || bail_out "$STRICT is not built"
[ -e "$KMAP_LIB" ] || bail_out "$KMAP_LIB is not built"
unset KMAP_UPGRADE KMAP_RING KMAP_PEERS KMAP_STATS KMAP_TABLE KMAP_LOG
unset http_proxy https_proxy all_proxy HTTP_PROXY no_proxy
T=$WORK/table.kmap

# table EXE: the beginning of a table
table()
{
	printf 'kmap-table = 1\n[program]\nexe = "%s"\n' "$1" >"$T"
}

# rule ROLE ADDRESS DECISION
rule()
{
	printf '[[endpoint]]\nrole = "%s"\naddress = "%s"\ndecision = "%s"\n' \
		"$@" >>"$T"
}

# pair LISTENER'S-ENVIRONMENT… -- CLIENT'S-MODE [ITS-ENVIRONMENT…]: an
# exchange of two strict; statistics in l.stats and c.stats, stderr in
# client.err, the client's status in STATUS
pair()
{
	local env=() mode
	while [ "$1" != -- ]; do
		env+=("$1")
		shift
	done
	mode=$2
	shift 2
	rm -f "$WORK"/*.stats "$WORK"/client.err
	free_port PORT
	# The rules speak of the port, which is known only now.
	[ ! -e "$T" ] || sed -i "s/PORT/$PORT/" "$T"
	start listener kmap_env KMAP_UPGRADE=now \
		KMAP_STATS="$WORK/l.stats" "${env[@]}" "$STRICT" listen "$PORT"
	wait_port "$PORT" listener || return
	within 20 kmap_env KMAP_STATS="$WORK/c.stats" "$@" \
		"$STRICT" "$mode" "$PORT" 2>"$WORK/client.err"
	STATUS=$?
	local status=$STATUS
	ended listener 10
	STATUS=$status
}

ring()
{
	stats_sum "$WORK/$1.stats" ring_bytes_out
}

why()
{
	stats_reasons "$WORK/$1.stats" | tr '\n' ' '
}

NOW=KMAP_UPGRADE=now

## Without a table

rm -f "$T"
pair -- connect $NOW
holds "$(ring c) > 1000" "without a table everything moves"

## Decisions, on the connecting side

table "$STRICT"
rule connect 127.0.0.1:PORT emulate
pair -- connect $NOW KMAP_TABLE="$T"
holds "$STATUS == 0 && $(ring c) > 1000" "connect: emulate moves"
is "$(cat "$WORK/client.err")" "" "nothing is said"

table "$STRICT"
rule connect 127.0.0.1:PORT tcp
pair -- connect $NOW KMAP_TABLE="$T"
is "$STATUS $(ring c) $(ring l) $(why c)" "0 0 0 1 table " "connect: tcp stays"

table "$STRICT"
pair -- connect $NOW KMAP_TABLE="$T" KMAP_LOG=warn
is "$STATUS $(ring c) $(why c)" "0 0 1 unknown " "connect: unknown stays"
is "$(sed 's/^kmap[^:]*: //' "$WORK/client.err")" \
	"the program connects to 127.0.0.1:$PORT, which its table does not know: that stays on TCP" \
	"and is logged"
pair -- connect $NOW KMAP_TABLE="$T"
is "$(cat "$WORK/client.err")" "" "but only in the log"

# The rule that says most wins, whatever its place.
table "$STRICT"
rule connect '*:*' tcp
rule connect 127.0.0.1:PORT emulate
rule connect '127.0.0.1:*' tcp
pair -- connect $NOW KMAP_TABLE="$T"
holds "$(ring c) > 1000" "host and port win over any"
table "$STRICT"
rule connect '*:*' emulate
rule connect '*:PORT' tcp
rule connect '127.0.0.1:*' emulate
pair -- connect $NOW KMAP_TABLE="$T"
is "$(ring c) $(why c)" "0 1 table " "the port wins over the host"
table "$STRICT"
rule connect '*:1' tcp
rule connect '[::1]:PORT' tcp
rule accept 127.0.0.1:PORT tcp
rule connect '*:*' emulate
pair -- connect $NOW KMAP_TABLE="$T"
holds "$(ring c) > 1000" "other ports, hosts and roles are others"

## On the accepting side

table "$STRICT"
rule listen 127.0.0.1:PORT emulate
pair KMAP_TABLE="$T" -- connect $NOW
holds "$(ring l) > 1000" "accepted: the listener's emulate moves"
table "$STRICT"
rule listen 0.0.0.0:PORT emulate
pair KMAP_TABLE="$T" -- connect $NOW
holds "$(ring l) > 1000" "0.0.0.0 is every address"
table "$STRICT"
rule listen '[::]:PORT' emulate
rule listen 0.0.0.0:PORT tcp
pair KMAP_TABLE="$T" -- connect $NOW
is "$(ring l) $(why l)" "0 1 table " "0.0.0.0 says more than [::]"
table "$STRICT"
rule listen 127.0.0.1:PORT emulate
rule accept '*:PORT' tcp
pair KMAP_TABLE="$T" -- connect $NOW
is "$(ring l) $(why l)" "0 1 table " "accepted: a rule of its own comes first"
table "$STRICT"
pair KMAP_TABLE="$T" KMAP_LOG=warn -- connect $NOW
is "$(ring l) $(why l)" "0 1 unknown " "accepted: unknown stays"
like "$(cat "$WORK/listener.log")" \
	"listens at 127.0.0.1:$PORT, which its table does not know" \
	"and is logged when it listens"
is "$(grep -c . "$WORK/listener.log")" 1 "once"

## Settings

# own NAME=VALUE…: a table that allows all, with settings
own()
{
	table "$STRICT"
	rule connect '*:*' emulate
	rule listen '*:*' emulate
	printf '[settings]\n' >>"$T"
	printf '%s\n' "$@" >>"$T"
}

own 'upgrade = "never"'
pair -- connect KMAP_TABLE="$T"
is "$(ring c) $(why c)" "0 1 never " "upgrade = never"
pair -- connect $NOW KMAP_TABLE="$T"
holds "$(ring c) > 1000" "the environment wins"
own 'upgrade = "now"'
pair -- connect KMAP_TABLE="$T" KMAP_UPGRADE=never
is "$(ring c) $(why c)" "0 1 never " "both ways"
pair -- connect KMAP_TABLE="$T" KMAP_UPGRADE=whatever
holds "$(ring c) > 1000" "what is not understood has not won"
own 'peers = [4294967294]'
pair -- connect $NOW KMAP_TABLE="$T"
holds "$(ring c) > 1000" "peers: the own uid is always among them"

# The acceptor makes the segment: its size tells the rings'.
segment()
{
	local i
	free_port PORT
	start listener kmap_env $NOW "$@" "$STRICT" listen "$PORT"
	wait_port "$PORT" listener || return
	exec 7<>/dev/null
	kmap_env $NOW "$PYTHON" -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
for i in range(200):
    s.sendall(b"x" * 20)
    n = 0
    while n < 20:
        n += len(s.recv(20))
for l in open("/proc/self/maps"):
    if "memfd:kmap" in l:
        a, b = l.split()[0].split("-")
        print((int(b, 16) - int(a, 16)) >> 20)
' "$PORT" | sort -n | tail -n 1
	ended listener 10
}
own 'ring = 4096'
small=$(segment KMAP_TABLE="$T")
own 'ring = "1M"'
large=$(segment KMAP_TABLE="$T")
env=$(segment KMAP_TABLE="$T" KMAP_RING=4096)
diag "segments of ${small:-no} and ${large:-no} MB, with KMAP_RING ${env:-no}"
holds "${small:-0} > 0 && ${large:-0} > 20 * ${small:-0}" "ring"
is "$env" "$small" "the environment's wins"

## Bad tables

# refused NAME MESSAGE: the table is in $T
refused()
{
	pair -- connect $NOW KMAP_TABLE="$T"
	is "$STATUS $(ring c) $(why c)" "0 0 1 table " "$1: plain TCP"
	is "$(sed 's/^kmap[^:]*: //' "$WORK/client.err")" \
		"KMAP_TABLE is refused, connections stay on TCP: $T$2" \
		"$1: it is said"
}
rm -f "$T"
refused "no table" ": there is no such file"
own
echo 'upgrade = "soon"' >>"$T"
refused "a bad table" ':14:1: "upgrade" is earned, now or never, not "soon"'
: >"$T"
refused "an empty table" ':1:1: a table begins with "kmap-table = 1"'
is "$(kmap_env KMAP_TABLE="$T" "$BASH" -c 'echo out; exit 3' 2>"$WORK/err"
	echo $?)" "out
3" "stdout and status are the program's"
like "$(head -n 1 "$WORK/err")" 'KMAP_TABLE is refused' "before main"

## Tables for others

table /usr/bin/other
pair -- connect $NOW KMAP_TABLE="$T"
holds "$(ring c) > 1000" "a table for another program is ignored"
is "$(sed 's/^kmap[^:]*: //' "$WORK/client.err")" \
	"KMAP_TABLE=$T is ignored: it is for other, and this is strict" \
	"and that is said"
table "/elsewhere/strict"
rule connect '*:*' tcp
pair -- connect $NOW KMAP_TABLE="$T"
is "$(ring c) $(why c)" "0 1 table " "the directory does not count"
sed -i 's/^exe/build-id = "00"\nexe/' "$T"
pair -- connect $NOW KMAP_TABLE="$T"
holds "$(ring c) > 1000" "another build is another program"
like "$(cat "$WORK/client.err")" 'another build of strict .build id 00, not [0-9a-f]{8,}' \
	"and that is said"
id=$(readelf -n "$STRICT" | sed -n 's/.*Build ID: //p')
sed -i "s/\"00\"/\"$id\"/" "$T"
pair -- connect $NOW KMAP_TABLE="$T"
is "$(ring c) $(why c)" "0 1 table " "its own build id is its own"
table /usr/bin/other
printf '[child]\n"%s" = { build-id = "%s" }\n' "$STRICT" "$id" >>"$T"
rule connect '*:*' tcp
pair -- connect $NOW KMAP_TABLE="$T"
is "$(ring c) $(why c)$(cat "$WORK/client.err")" "0 1 table " \
	"it is a child's table, too"
# What the table's program starts inherits the variable, and is not asked.
table "$(readlink -f "$BASH")"
is "$(kmap_env KMAP_TABLE="$T" "$BASH" -c 'true; ls /dev/null; true' 2>&1)" \
	/dev/null "nothing is said of children that were not traced"

## Inert

own 'inert = true'
pair -- filter $NOW KMAP_TABLE="$T"
is "$STATUS $(ring l) $(why l)" "0 0 1 no_peer " \
	"inert: it lives under a filter that kills"
is "$(cat "$WORK/c.stats" 2>/dev/null)" "" "and no line is written"
own
pair -- filter $NOW KMAP_TABLE="$T"
diag "without inert: status $STATUS"

## What a trace would have shown

own
pair -- stdio $NOW KMAP_TABLE="$T" KMAP_LOG=warn
is "$STATUS $(sed 's/^kmap[^:]*: //' "$WORK/client.err")" \
	"0 the table does not know of this: stdio or aio on a connection" \
	"stdio on an endpoint that may move is logged, once"
table "$STRICT"
rule connect '*:*' tcp
pair -- stdio $NOW KMAP_TABLE="$T" KMAP_LOG=warn
is "$STATUS $(cat "$WORK/client.err")" "0 " "what stays may do what it likes"

## Real programs

free_port A
free_port B
mkdir "$WORK/html"
head -c 3000000 /dev/urandom >"$WORK/html/doc"
nginx_conf "$WORK/nginx.conf" "$A" "root $WORK/html;" \
	"server { listen $B; root $WORK/html; }"
chmod 755 "$WORK/html"
: >"$WORK/nginx.stats"
: >"$WORK/curl.stats"
chmod 666 "$WORK/nginx.stats"
table "$(command -v nginx)"
rule listen "127.0.0.1:$A" emulate
rule listen "0.0.0.0:$B" tcp
start nginx kmap_env $NOW KMAP_STATS="$WORK/nginx.stats" KMAP_TABLE="$T" \
	nginx -c "$WORK/nginx.conf"
wait_port "$B" nginx
lo=$(lo_bytes)
for p in "$A" "$B"; do
	is "$(kmap_env $NOW KMAP_STATS="$WORK/curl.stats" curl -sS \
		"http://127.0.0.1:$p/doc" "http://127.0.0.1:$p/doc" |
		sha256sum)" "$(cat "$WORK"/html/doc{,} | sha256sum)" \
		"nginx: port $([ "$p" = "$A" ] && echo A || echo B)"
	eval "lo_$p=\$(($(lo_bytes) - lo))"
	lo=$(lo_bytes)
done
stop nginx
stats_wait "$WORK/nginx.stats" 3
is "$(stats_reasons "$WORK/nginx.stats" nginx | grep table)" "1 table" \
	"nginx: the denied endpoint stays"
holds "$(stats_sum "$WORK/nginx.stats" tcp_bytes_out nginx) >= 6000000" \
	"nginx: its bytes went by TCP"
holds "$(stats_sum "$WORK/nginx.stats" ring_bytes_out nginx) >= 5400000" \
	"nginx: the allowed endpoint's went by rings"
if [ "$NET" = private ]; then
	eval "holds \"\$lo_$A < 900000 && \$lo_$B > 6000000\" \
		\"nginx: and lo says so\""
else
	skip "lo is not ours alone" "nginx: and lo says so"
fi

free_port A
for side in server client both; do
	for d in emulate tcp; do
		rm -f "$WORK"/redis.stats
		table "$(readlink -f "$(command -v redis-server)")"
		printf '[child]\n"%s" = {}\n' \
			"$(command -v redis-benchmark)" >>"$T"
		[ $side = client ] && other=emulate || other=$d
		rule listen "0.0.0.0:$A" $other
		[ $side = server ] && other=emulate || other=$d
		rule connect "127.0.0.1:$A" $other
		start redis kmap_env $NOW KMAP_STATS="$WORK/redis.stats" \
			KMAP_TABLE="$T" redis-server --port "$A" --save '' \
			--bind 0.0.0.0
		wait_port "$A" redis
		within 30 kmap_env $NOW KMAP_STATS="$WORK/redis.stats" \
			KMAP_TABLE="$T" redis-benchmark -p "$A" -n 3000 -c 3 \
			-d 500 -t set -q >"$WORK/bench" 2>&1
		stop redis
		ring=$(stats_sum "$WORK/redis.stats" ring_bytes_in)
		[ $d = emulate ] && want='>= 1400000' || want='== 0'
		holds "$ring $want" "redis: $side says $d" ||
			diag "$ring bytes by ring" \
				"$(stats_reasons "$WORK/redis.stats")"
	done
done

finish
