#!/bin/bash
# Processes of a fork family that are killed with connections in their hands:
# the others do not wait for them, and what the dead held comes back, slots
# included: more connections than a segment has slots need one segment.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 18

family=$builddir/fault/family
export KMAP_UPGRADE=now KMAP_RING=4096
lib=$(kmap_preload)
# A segment has 1024.
conns=1150

KMAP_STATS=$WORK/server.json start server kmap_env "$family" server "$WORK/port"
for ((i = 0; i < 400; i++)); do [ ! -s "$WORK/port" ] || break; sleep 0.025; done
port=$(cat "$WORK/port")

client()
{
	rm -f "$WORK/client.json"
	# The loader's path is the client's alone: timeout is not counted.
	timeout -k 2 90 env LD_PRELOAD="$lib" KMAP_STATS="$WORK/client.json" \
		"$family" client "$port" "$@"
}

one=$(client 1 k)
is "$?" 0 "a survivor goes on with a connection that a dead one shared"
for how in c k; do
	all=$(client $conns $how)
	is "$? $all" "0 $one" \
		"$conns connections, each with a child killed ($how): one segment"
	paired=$(stats_sum "$WORK/client.json" connections_paired)
	holds "$paired > 0.95 * $conns" "$how: they were paired" ||
		diag "$paired"
	holds "$(grep -c memfd:kmap "/proc/$(pid_of server)/maps") <= 8" \
		"$how: few segments in the server"
done
client 1 l >/dev/null
is "$?" 0 "a connection that was shared by one killed early"
holds "$(stats_sum "$WORK/client.json" ring_bytes_out) > 0" \
	"moves when the dead one was found"
stop server

# A child that gets a dead one's place in the family's table, and who finds the
# dead one meanwhile.
for how in judged locked killed; do
	rm -f "$WORK/client.json"
	timeout -k 2 60 env LD_PRELOAD="$lib" KMAP_STATS="$WORK/client.json" \
		"$builddir/fault/takeover" $how
	is "$?" 0 "$how: the one that is left has the connection"
done
# (The loader's path is timeout's, too.)
holds "$(grep '"connections_seen":1' "$WORK/client.json" |
	sed 's/.*"ring_bytes_out":\([0-9]*\).*/\1/') > 0" \
	"killed: and is found to be alone"

rm -f "$WORK/client.json"
timeout -k 2 60 env LD_PRELOAD="$lib" KMAP_STATS="$WORK/client.json" \
	"$builddir/fault/noexec"
is "$?" 0 "an exec that fails: the child has not got its parent's next connection"
holds "$(stats_sum "$WORK/client.json" ring_messages_in) > 40" \
	"which goes on by the ring"

# A parent and its child in another pid namespace want one lock.
for how in slow child parent; do
	case $how in
	slow) name="a lock held for long is not taken from who lives" ;;
	*) name="a $how that was killed holding a lock holds it no longer" ;;
	esac
	name="pid namespaces: $name"
	timeout -k 2 60 env LD_PRELOAD="$lib" "$builddir/fault/pidns" $how
	case $? in
	0) pass "$name" ;;
	77) skip "no pid namespaces here" "$name" ;;
	*) fail "$name" ;;
	esac
done
finish
