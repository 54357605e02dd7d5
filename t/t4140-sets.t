#!/bin/bash
# Epoll sets that come and go leave nothing behind, whether they had a
# connection that moved, and whether somebody slept there as they were closed.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 4

export KMAP_UPGRADE=now KMAP_RING=65536
start server kmap_env "$builddir/fault/serve" echo "$WORK/port"
for ((i = 0; i < 400; i++)); do [ ! -s "$WORK/port" ] || break; sleep 0.025; done

KMAP_STATS=$WORK/sets.json timeout 100 env LD_PRELOAD="$(kmap_preload)" \
	"$builddir/fault/sets" "$(cat "$WORK/port")" 20000 >"$WORK/out" 2>&1
is $? 0 "20,000 sets, and every event under its own data"
read -r _ count _ maps _ pages <"$WORK/out"
diag "$(cat "$WORK/out")"
holds "${count:-0} == 20000 && ${maps:-99} <= 4" "no mappings leak"
# A page for each would be 18,000.
holds "${count:-0} == 20000 && ${pages:-999} <= 100" "no memory leaks"
is "$(stats_sum "$WORK/sets.json" connections_paired)" 1 \
	"and their connection had moved"
finish
