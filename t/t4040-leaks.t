#!/bin/bash
# Many connections leave nothing behind: no fd, mapping or memfd more at the
# end than near the beginning; between two processes, and between a server
# and many clients that come and go.
#
# KMAP_CONNS: how many (20,000); KMAP_LONG=1: 100,000.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 15

serve=$builddir/fault/serve
conns=20000
[ -z "${KMAP_LONG-}" ] || conns=100000
conns=${KMAP_CONNS:-$conns}
clients=4
export KMAP_UPGRADE=now KMAP_RING=65536
lib=$(kmap_preload)

# "fds maps memfds": what a process holds
holdings()
{
	local p=/proc/$1
	echo "$(ls "$p/fd" | wc -l) $(wc -l <"$p/maps")" \
		"$(ls -l "$p/fd" | grep -c memfd:kmap)" \
		"$(awk '/memfd:kmap/ { n++ } END { print n + 0 }' "$p/maps")"
}

# Until nobody has a connection: what is left listens, or is the kernel's.
settled()
{
	local i
	for ((i = 0; i < 100; i++)); do
		awk 'NR > 1 && $4 != "0A" && $4 != "06" { exit 1 }' \
			/proc/net/tcp && break
		sleep 0.02
	done
	sleep 0.2
}

# grew NAME BEFORE AFTER: by a few at most, however many connections. (Threads
# that were there at the same time have a placeholder and a stack each; on a
# busy machine there are more of them at once.)
grew()
{
	local b a
	read -ra b <<<"$2"
	read -ra a <<<"$3"
	diag "$1: fds, mappings, memfds, segments: $2 -> $3"
	holds "${a[0]} <= ${b[0]} + 8" "$1: no fds leak"
	holds "${a[1]} <= ${b[1]} + 24" "$1: no mappings leak"
	holds "${a[2]} <= ${b[2]} && ${a[3]} <= ${b[3]} + 2" \
		"$1: no segments leak"
}

# serve_as NAME ARGUMENT...: a server; its port is in PORT
serve_as()
{
	local name=$1 i
	shift
	start "$name" kmap_env KMAP_STATS="$WORK/$name.json" \
		"$serve" echo "$WORK/$name.port" "$@"
	for ((i = 0; i < 400; i++)); do
		[ ! -s "$WORK/$name.port" ] || break
		sleep 0.025
	done
	PORT=$(cat "$WORK/$name.port")
}

# many PORT COUNT: so many connections of one client, one after the other
many()
{
	LD_PRELOAD=$lib timeout 100 "$serve" many "$1" "$2" 3000 2>&1
}

# some COUNT: so many clients, one after the other
some()
{
	local i
	for ((i = 0; i < $1; i++)); do
		many "$PORT" 3 >/dev/null
	done
}

# A hundred connections at once, before any is paired: one link for all.
serve_as server
one=$(LD_PRELOAD=$lib timeout 20 "$serve" burst "$PORT" 1)
all=$(LD_PRELOAD=$lib KMAP_STATS=$WORK/burst.json timeout 20 \
	env "$serve" burst "$PORT" 100)
is "${all#* }" 4000 "100 connections at once: every answer"
is "${all% *}" "${one% *}" "they share the segment of one"
is "$(stats_sum "$WORK/burst.json" connections_paired)" 100 \
	"all of them are paired"
stop server

# Between processes: each client looks at itself, too.
serve_as sets
many "$PORT" 200
some 3
settled
before=$(holdings "$(pid_of sets)")
for ((i = 0; i < clients; i++)); do
	many "$PORT" $((conns / clients)) >"$WORK/own.$i" &
	own[i]=$!
done
wait "${own[@]}"
cat "$WORK"/own.* >"$WORK/own"
is "$(grep -cE '^grew (-[0-9]+|[0-3])$' "$WORK/own")" $clients \
	"no client holds more at the end" || diag "$(cat "$WORK/own")"

# Clients that come and go.
comers=$((conns / 200))
some $comers
gone=$SECONDS

port=$PORT
serve_as threads block
many "$PORT" 200
settled
b=$(holdings "$(pid_of threads)")
many "$PORT" $((conns / 4)) >/dev/null
is $? 0 "a client of threads"
settled
grew "threads, one client of $((conns / 4))" "$b" \
	"$(holdings "$(pid_of threads)")"

# The control pages of those that left are kept for a while, and go when
# somebody comes.
while ((SECONDS - gone < 12)); do sleep 0.2; done
PORT=$port
some 3
settled
grew "sets, $conns connections, $comers clients" "$before" "$(holdings "$(pid_of sets)")"

for how in sets threads; do
	stop $how
	seen=$(stats_sum "$WORK/$how.json" connections_seen)
	paired=$(stats_sum "$WORK/$how.json" connections_paired)
	n=$conns
	[ $how = sets ] || n=$((conns / 4))
	holds "$seen >= $n" "$how: all connections were made"
	holds "$paired > 0.9 * $seen" "$how: they were paired"
done
finish
