#!/bin/bash
# Many connections leave nothing behind: no fd, mapping or memfd more at the
# end than near the beginning; between two processes, and between a server
# and many clients that come and go.
#
# KMAP_CONNS: how many (5,000); KMAP_LONG=1: 20,000.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 15

serve=$builddir/fault/serve
conns=${KMAP_CONNS:-5000}
[ -z "${KMAP_LONG-}" ] || conns=20000
sanitized address && ! [ -n "${KMAP_CONNS-}" ] && conns=2000
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

settled()
{
	local i
	for ((i = 0; i < 100; i++)); do
		[ "$(wc -l </proc/net/tcp)" -gt 3 ] || break
		sleep 0.02
	done
}

# grew NAME BEFORE AFTER: by a few at most, however many connections
grew()
{
	local b a
	read -ra b <<<"$2"
	read -ra a <<<"$3"
	diag "$1: fds, mappings, memfds, segments: $2 -> $3"
	holds "${a[0]} <= ${b[0]} + 3" "$1: no fds leak"
	holds "${a[1]} <= ${b[1]} + 12" "$1: no mappings leak"
	holds "${a[2]} <= ${b[2]} && ${a[3]} <= ${b[3]} + 2" \
		"$1: no segments leak"
}

# A hundred connections at once, before any is paired: one link for all.
start server kmap_env "$serve" echo "$WORK/port"
for ((i = 0; i < 400; i++)); do [ ! -s "$WORK/port" ] || break; sleep 0.025; done
port=$(cat "$WORK/port")
one=$(LD_PRELOAD=$lib timeout 20 "$serve" burst "$port" 1)
all=$(LD_PRELOAD=$lib KMAP_STATS=$WORK/burst.json timeout 20 \
	env "$serve" burst "$port" 100)
is "${all#* }" 4000 "100 connections at once: every answer"
is "${all% *}" "${one% *}" "they share the segment of one"
is "$(stats_sum "$WORK/burst.json" connections_paired)" 100 \
	"all of them are paired"
stop server

for how in sets threads; do
	rm -f "$WORK/port"
	if [ $how = sets ]; then
		start server kmap_env KMAP_STATS="$WORK/$how.json" \
			"$serve" echo "$WORK/port"
	else
		start server kmap_env KMAP_STATS="$WORK/$how.json" \
			"$serve" echo "$WORK/port" block
	fi
	for ((i = 0; i < 400; i++)); do
		[ ! -s "$WORK/port" ] || break
		sleep 0.025
	done
	port=$(cat "$WORK/port")
	pid=$(pid_of server)
	# Between two processes: the client looks at itself, too.
	LD_PRELOAD=$lib "$serve" many "$port" 200 3000
	settled
	before=$(holdings "$pid")
	n=$conns
	[ $how = sets ] || n=$((conns / 4))
	LD_PRELOAD=$lib timeout 100 "$serve" many "$port" $n 3000 \
		>"$WORK/own" 2>&1
	settled
	grew "server, $how, one client of $n" "$before" "$(holdings "$pid")"
	if [ $how = sets ]; then
		like "$(cat "$WORK/own")" "grew (-[0-9]+|[0-3])$" \
			"the client itself holds no more at the end" ||
			diag "$(cat "$WORK/own")"
		# Clients that come and go.
		n=$((conns / 50))
		before=$(holdings "$pid")
		for ((i = 0; i < n; i++)); do
			LD_PRELOAD=$lib "$serve" many "$port" 3 3000 >/dev/null
		done
		settled
		# The control pages of those that left are kept for a while,
		# and go when somebody comes.
		sleep 11
		for ((i = 0; i < 3; i++)); do
			LD_PRELOAD=$lib "$serve" many "$port" 3 3000 >/dev/null
		done
		settled
		grew "server, $n clients" "$before" "$(holdings "$pid")"
	fi
	stop server
	seen=$(stats_sum "$WORK/$how.json" connections_seen)
	paired=$(stats_sum "$WORK/$how.json" connections_paired)
	holds "$paired > 0.9 * $seen" "$how: they were paired"
done
finish
