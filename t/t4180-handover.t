#!/bin/bash
# A connection changes hands within a family: each case of fault/handover.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 12

export KMAP_UPGRADE=now KMAP_RING=65536
lib=$(kmap_preload)
for how in closer grave atfork pairer poller cancel; do
	rm -f "$WORK/stats"
	timeout -k 2 50 env LD_PRELOAD="$lib" KMAP_STATS="$WORK/stats" \
		"$builddir/fault/handover" $how
	is "$?" 0 "$how"
	holds "$(stats_sum "$WORK/stats" ring_messages_in) > 40" \
		"$how: by the ring"
done
finish
