#!/bin/bash
# A server is killed and another process answers at its address, perhaps of
# another uid: who waits for it while the two are paired is woken.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 12

export KMAP_UPGRADE=now KMAP_RING=4096
lib=$(kmap_preload)
other=65533
[ "$(id -u)" = 0 ] && setpriv --reuid $other true 2>/dev/null || other=

for how in epoll poll recv; do
	for uid in 0 other; do
		name="$how, ${uid/#0/the same} uid"
		if [ $uid = other ] && [ -z "$other" ]; then
			skip "only root can be two uids" "$name: woken"
			skip "only root can be two uids" "$name: paired"
			continue
		fi
		free_port port
		rm -f "$WORK/stats.json"
		got=$(LD_PRELOAD=$lib KMAP_STATS=$WORK/stats.json timeout 40 \
			"$builddir/fault/restart" "$port" $how \
			${uid/#other/$other})
		is "$got" a "$name: woken"
		# The servers were killed: all of this is the client's.
		is "$(stats_sum "$WORK/stats.json" connections_paired)" 2 \
			"$name: both connections were paired"
	done
done
finish
