#!/bin/bash
# Limit: 300 s
# Threads fork, dup and close in the middle of checked connections, and leave
# them to children, on both sides at once.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 8

storm=$builddir/fault/storm
export KMAP_UPGRADE=now
lib=$(kmap_preload)
seconds=3
[ -z "${KMAP_LONG-}" ] || seconds=40

for ring in 4096 65536; do
	rm -f "$WORK"/*.json "$WORK/port"
	export KMAP_RING=$ring
	start server kmap_env "$storm" server "$WORK/port"
	for ((i = 0; i < 400; i++)); do
		[ ! -s "$WORK/port" ] || break
		sleep 0.025
	done
	seed=$RANDOM
	got=$(timeout -k 2 120 env LD_PRELOAD="$lib" \
		KMAP_STATS="$WORK/client.json" "$storm" client \
		"$(cat "$WORK/port")" $seconds $seed 2>"$WORK/client.log")
	is $? 0 "rings of $ring: every byte is right" || diag "seed $seed"
	diag "$got" "$(<"$WORK/client.log")"
	is "$(cat "$WORK/client.log" "$WORK/server.log" |
		grep -cE ', byte |a wrong length|a length that nobody')" 0 \
		"rings of $ring: and none that came is wrong"
	is "$(grep -c early "$WORK/server.log")" 0 \
		"rings of $ring: no connection ended early" ||
		show_log server
	holds "$(stats_sum "$WORK/client.json" ring_bytes_in) > 100000" \
		"rings of $ring: by the rings"
	stop server
done
finish
