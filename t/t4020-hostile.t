#!/bin/bash
# A hostile peer writes every word that it shares with a program, all the
# time: the program neither dies nor hangs, and another client's checked
# streams go on unharmed.
#
# KMAP_WRITES: how many writes of each (10,000,000); KMAP_LONG=1: ten times as
# many of the client.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 15

some=${KMAP_WRITES:-10000000}
writes=$some
[ -z "${KMAP_LONG-}" ] || writes=$((some * 10))
serve=$builddir/fault/serve
hostile=$builddir/fault/hostile
export KMAP_UPGRADE=now KMAP_RING=65536

# The hostile client against a server, one thread with one epoll set.
KMAP_STATS=$WORK/server.json start server kmap_env "$serve" echo "$WORK/port"
for ((i = 0; i < 200; i++)); do [ ! -s "$WORK/port" ] || break; sleep 0.05; done
port=$(cat "$WORK/port")
start streams bash -c '
	while [ ! -e "$2/stop" ]; do
		"${@:3}" "$1" 2 3000000 || exit 1
		echo round
	done' - "$port" "$WORK" env LD_PRELOAD="$(kmap_preload)" \
	KMAP_STATS="$WORK/streams.json" "$serve" stream
sleep 0.3
ok "a client makes $writes writes" timeout -k 5 90 \
	"$hostile" client "$port" "$writes"
ok "a client sends nonsense on the link's socket" timeout -k 5 60 \
	"$hostile" flood "$port"
ok "a client announces bytes that never come" timeout -k 5 20 \
	"$hostile" stuck "$port" 0
ok "a client publishes records for ever" timeout -k 5 20 \
	"$hostile" stuck "$port" 1
# A peer of another uid must have nothing by which a doorbell can block.
if [ "$(id -u)" = 0 ] && "$PYTHON" -c 'import os; os.setuid(12345)' \
	2>/dev/null; then
	HOSTILE_UID=12345 timeout -k 5 60 "$hostile" clog "$port" \
		>"$WORK/clog" 2>&1
	is $? 0 "a stranger that clogs its doorbells holds nobody"
	like "$(cat "$WORK/clog")" "no placeholder was passed" \
		"and shares no placeholder with the server"
	diag "$(cat "$WORK/clog")"
else
	skip "needs another uid" "a stranger that clogs its doorbells"
	skip "needs another uid" "and shares no placeholder"
fi
touch "$WORK/stop"
ended streams 60
is $STATUS 0 "the streams beside are unharmed" || show_log streams
holds "$(grep -c round "$WORK/streams.log") >= 1" "they went on meanwhile"
ok "the server lives" running server
ok "and serves" timeout 20 "$serve" ask "$port" 50 0
stop server
is "$STATUS" $((128 + 15)) "it ends by our signal alone" || show_log server
holds "$(stats_sum "$WORK/streams.json" ring_bytes_out) > 1000000" \
	"the streams went by rings"

# The hostile server against a client that reads and writes in many ways,
# until the server made all its writes.
start bad "$hostile" server "$WORK/port2" "$some"
for ((i = 0; i < 200; i++)); do [ ! -s "$WORK/port2" ] || break; sleep 0.05
done
KMAP_STATS=$WORK/poke.json ok "a client of a hostile server goes on" \
	timeout -k 5 90 env LD_PRELOAD="$(kmap_preload)" \
	"$serve" poke "$(cat "$WORK/port2")" 80000
ended bad 5
is $STATUS 0 "the server made $some writes" || show_log bad
holds "$(stats_sum "$WORK/poke.json" directions_up) > 0" \
	"it was on rings with it"
finish
