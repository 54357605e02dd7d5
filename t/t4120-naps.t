#!/bin/bash
# A signal between the last look and the sleep: the thread that ran the handler
# is interrupted, and nobody else in its epoll set is woken.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 10

export KMAP_UPGRADE=now KMAP_RING=4096
lib=$(kmap_preload)
for how in epoll pwait nested poll recv; do
	rm -f "$WORK/stats.json"
	got=$(LD_PRELOAD=$lib KMAP_STATS=$WORK/stats.json timeout 60 \
		"$builddir/fault/naps" $how)
	is $? 0 "$how: interrupted before each instruction ($got of them)"
	holds "$(stats_sum "$WORK/stats.json" ring_messages_in) > 10" \
		"$how: by the ring"
done
finish
