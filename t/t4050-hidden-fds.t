#!/bin/bash
# Programs that close, overwrite or ask about every number there is: what
# they see is what they see without the library, and their connections go on.
# Limit: 300 s
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"

hidden=$builddir/fault/hidden
export KMAP_UPGRADE=now KMAP_RING=65536
start server kmap_env "$builddir/fault/serve" echo "$WORK/port"
start plain plain_env "$builddir/fault/serve" echo "$WORK/port2"
for ((i = 0; i < 400; i++)); do
	[ ! -s "$WORK/port" ] || [ ! -s "$WORK/port2" ] || break
	sleep 0.025
done
port=$(cat "$WORK/port")
ulimit -n 8192
# What dprintf and fdopen take for numbers that are not open, libc keeps.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0"

for op in nothing calls close getfd setfd fstat dup poll dup2 \
	close_range cloexec_range closefrom syscall daemon second; do
	rm -f "$WORK/s.json"
	timeout -k 2 100 "$hidden" $op "$(cat "$WORK/port2")" >"$WORK/tcp" 2>&1 \
		</dev/null || diag "$op: status $? without the library"
	KMAP_STATS=$WORK/s.json timeout -k 2 100 env \
		LD_PRELOAD="$(kmap_preload)" "$hidden" $op "$port" \
		>"$WORK/kmap" 2>&1 </dev/null || diag "$op: status $?"
	# A daemon's parent ended before.
	for ((i = 0; i < 400; i++)); do
		! grep -q 'done\|hidden:' "$WORK/kmap" || break
		sleep 0.025
	done
	if [ $op = dup2 ]; then
		# Onto a hidden number: EBADF, where without the library there
		# is nothing (doc/COVERAGE.md); and nothing then is there.
		read -r good bad < <(sed -n \
			's/^dup2: \([0-9]*\) good, \([0-9]*\) .*/\1 \2/p' \
			"$WORK/kmap")
		holds "$good + $bad == 8188 && $bad > 0 && $bad < 16" \
			"dup2: all but the hidden numbers"
		is "$(grep -c "$good good, $bad EBADF, 0" "$WORK/kmap")" 3 \
			"dup2: the others are there, and close"
	else
		is "$(cat "$WORK/kmap")" "$(cat "$WORK/tcp")" "$op: as without"
	fi
	like "$(tail -n 1 "$WORK/kmap")" '^done$' "$op: goes on"
	sleep 0.05
	holds "$(stats_sum "$WORK/s.json" directions_up) > 0" \
		"$op: it was on rings"
done
ok "the server lives" running server
finish
