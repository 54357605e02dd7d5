#!/bin/bash
# Peers of two uids: a doorbell wakes all who wait, even if another process of
# their family has thrown it away before they run.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
[ "$(id -u)" = 0 ] && setpriv --reuid 65533 true 2>/dev/null ||
	skip_all "only root can be two uids"
plan 3

export KMAP_UPGRADE=now KMAP_RING=4096
lib=$(kmap_preload)
LD_PRELOAD=$lib KMAP_STATS=$WORK/stats.json timeout 60 \
	"$builddir/fault/strangers" 65533 500
is $? 0 "a parent and its child: each answer wakes"
holds "$(stats_sum "$WORK/stats.json" ring_messages_in) > 500" \
	"by the ring"
LD_PRELOAD=$lib timeout 60 "$builddir/fault/strangers" 65533 nap
is $? 0 "a signal before the sleep of a thread without a place ends it"
finish
