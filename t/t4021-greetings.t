#!/bin/bash
# Wrong greetings and strangers: whoever breaks the rendezvous, squats its
# name, or owns a socket on the same client port is never paired, and the
# connection goes on over TCP.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"

serve=$builddir/fault/serve
hostile=$builddir/fault/hostile
export KMAP_UPGRADE=now KMAP_LOG=error

paired()
{
	stats_sum "$1" connections_paired
}

# The control: the same program, with a greeting that is right, is paired.
variants="good magic version kind tuple ring-odd ring-0 ring-huge slots-0
	slots-huge slot unsealed shrinkable growable more-seals read-only
	small large short long empty no-fds one-fd three-fds many-fds
	segment-pipe segment-zero segment-dir bell-pipe bell-socket"

for v in $variants; do
	rm -f "$WORK/p" "$WORK/s.json"
	start greeter "$hostile" greet "$WORK/p" "$v"
	KMAP_STATS=$WORK/s.json ok "$v: the client's bytes are right" \
		timeout -k 2 20 env LD_PRELOAD="$(kmap_preload)" \
		"$serve" ask "$(port_of "$WORK/p")" 60 1
	ended greeter 10
	if [ $v = good ]; then
		holds "$(paired "$WORK/s.json") == 1" "$v: paired"
	else
		is "$STATUS $(paired "$WORK/s.json")" "0 0" \
			"$v: not paired, no fd stays" || show_log greeter
	fi
done

# A bell that would block whoever rings it hurts its own connection alone.
rm -f "$WORK/p" "$WORK/s.json"
start greeter "$hostile" greet "$WORK/p" bell-blocks
ok "bell-blocks: the client's bytes are right" \
	timeout -k 2 20 env LD_PRELOAD="$(kmap_preload)" \
	"$serve" ask "$(port_of "$WORK/p")" 60 1
ended greeter 10

if [ "$(id -u)" != 0 ] || ! "$PYTHON" -c 'import os; os.setuid(12345)' \
	2>/dev/null; then
	skip "needs other uids" "strangers"
	finish
fi
chmod 777 "$WORK"
# A stranger's greeting without a placeholder is right, one with it is not.
for v in one-fd good bell-blocks segment-pipe; do
	rm -f "$WORK/p" "$WORK/s.json"
	HOSTILE_UID=12345 start greeter "$hostile" greet "$WORK/p" "$v"
	KMAP_STATS=$WORK/s.json ok "stranger, $v: the client's bytes are right" \
		timeout -k 2 20 env LD_PRELOAD="$(kmap_preload)" \
		"$serve" ask "$(port_of "$WORK/p")" 60 1
	ended greeter 10
	if [ $v = one-fd ]; then
		holds "$(paired "$WORK/s.json") == 1" "stranger, $v: paired"
	else
		is "$(paired "$WORK/s.json")" 0 "stranger, $v: not paired"
	fi
done
free_port from
start server kmap_env KMAP_STATS="$WORK/server.json" \
	"$serve" echo "$WORK/port"
to=$(port_of "$WORK/port")
start squatter "$hostile" squat "$from" "$to" 12345 "$WORK/squat"
port_of "$WORK/squat" >/dev/null
FROM=$from ok "squatted: a client without the library is served" \
	timeout -k 2 20 "$serve" ask "$to" 60 1
stop squatter
is "$(grep -c met "$WORK/squat")" 1 "the server knocked at the squatter once"
is "$(grep -c greeted "$WORK/squat")" 0 "and left when it saw who it is"
start squatter "$hostile" squat "$((from + 1))" "$to" 12345 "$WORK/squat2"
port_of "$WORK/squat2" >/dev/null
rm -f "$WORK/s.json"
FROM=$((from + 1)) KMAP_STATS=$WORK/s.json \
	ok "squatted: a client with the library is served" \
	timeout -k 2 20 env LD_PRELOAD="$(kmap_preload)" "$serve" ask "$to" 60 1
stop squatter
like "$(cat "$WORK/s.json")" '"name_taken":1' "it says why it stays on TCP"
is "$(grep -c greeted "$WORK/squat2")" 0 "the server greets no squatter"
# The control: nobody is in the way.
rm -f "$WORK/s.json"
FROM=$((from + 2)) KMAP_STATS=$WORK/s.json \
	timeout -k 2 20 env LD_PRELOAD="$(kmap_preload)" "$serve" ask "$to" 60 1
holds "$(paired "$WORK/s.json") == 1" "with nobody in the way they are paired"
stop server
holds "$(paired "$WORK/server.json") == 1" "the server paired that one alone"

# A stranger greets the client of a server that has no library.
start plain plain_env "$serve" echo "$WORK/port3"
to=$(port_of "$WORK/port3")
start intruder "$hostile" intrude "$((from + 3))" "$to" 12345 "$WORK/in"
port_of "$WORK/in" >/dev/null
rm -f "$WORK/s.json"
FROM=$((from + 3)) KMAP_STATS=$WORK/s.json \
	ok "intruded: the client is served" \
	timeout -k 2 20 env LD_PRELOAD="$(kmap_preload)" "$serve" ask "$to" 99 2
stop intruder
is "$(grep -c met "$WORK/in")" 1 "the intruder found the name"
is "$(grep -c answered "$WORK/in") $(paired "$WORK/s.json")" "0 0" \
	"and was never answered"
holds "$(grep -c left "$WORK/in") > 0 && $(grep -c taken "$WORK/in") == 0" \
	"no fd of its was taken" || diag "$(sort "$WORK/in" | uniq -c)"
finish
