#!/bin/bash
# Where fds, memory or file sizes are short, a connection stays on TCP, the
# program is unharmed, and the reason is "limit". Each of the library's own
# system calls fails in turn.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"

serve=$builddir/fault/serve
inject=$builddir/fault/inject
export KMAP_UPGRADE=now KMAP_RING=65536 KMAP_LOG=error
lib=$(kmap_preload)

# LeakSanitizer looks for leaks at the end of a process by a tracer of its own:
# it gives up, with status 1, where somebody traces the process already, and
# where it gets no fd or no thread any more. So it is off for the processes that
# run under a limit or are traced, and for those alone.
leaky=(env)
! sanitized address ||
	leaky+=("ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0")

# limited LIMITS: the words before a process under them
limited()
{
	words=(env)
	[ "$1" = true ] || words=("${leaky[@]}")
}

# Whatever make and the harness have open counts, too.
bare='for f in {3..63}; do eval "exec $f>&-"; done; '

# pair NAME SERVER-LIMITS CLIENT-LIMITS: one exchange; what both say is in
# $WORK/NAME-server.json and -client.json
pair()
{
	local name=$1 port
	rm -f "$WORK/port"
	limited "$2"
	start server bash -c "$bare$2"'; exec "$@"' - "${words[@]}" \
		LD_PRELOAD="$lib" \
		KMAP_STATS="$WORK/$name-server.json" "$serve" echo "$WORK/port"
	port=$(port_of "$WORK/port")
	limited "$3"
	ok "$name: the bytes are right" timeout -k 2 30 \
		bash -c "$bare$3"'; exec "$@"' - "${words[@]}" \
		LD_PRELOAD="$lib" \
		KMAP_STATS="$WORK/$name-client.json" \
		"$serve" ask "$port" 60 0
	ok "$name: the server lives" running server
	stop server
}

reason()
{
	like "$(cat "$WORK/$1.json" 2>/dev/null)" "\"$2\":1" "$1 says: $2"
}

pair none true true
holds "$(stats_sum "$WORK/none-client.json" connections_upgraded) == 1" \
	"without a limit it is upgraded"

# bash itself holds 255.
pair server-fsize 'ulimit -f 64' true
reason server-fsize-server limit
if sanitized address; then
	skip "AddressSanitizer needs the address space" "RLIMIT_AS"
else
	pair server-as 'ulimit -v 100000' true
	reason server-as-server limit
	pair client-as true 'ulimit -v 100000'
	reason client-as-client limit
fi
# The numbers that the program and KMAP_STATS need, and not one more.
pair client-nofile true 'ulimit -n 5'
reason client-nofile-client limit
pair server-nofile 'ulimit -n 7' true
like "$(cat "$WORK/server-nofile-server.json")" '"limit":1' \
	"server-nofile-server says: limit"
pair server-nofile-9 'ulimit -n 9' true
pair client-nofile-7 true 'ulimit -n 7'

# No file of ours may grow where none may: not a signal at the end either.
rm -f "$WORK/port"
start server kmap_env "$serve" echo "$WORK/port"
ok "RLIMIT_FSIZE 0: the end is no signal" timeout -k 2 30 bash -c \
	'ulimit -f 0; exec "$@"' - "${leaky[@]}" LD_PRELOAD="$lib" \
	KMAP_STATS="$WORK/none.json" "$serve" ask "$(port_of "$WORK/port")" 60 0
stop server

# All numbers taken by connections: what TCP holds, Kmap holds but for few.
most()
{
	rm -f "$WORK/port"
	start server bash -c 'ulimit -n 64; exec "$@"' - "${leaky[@]}" "$1" \
		KMAP_STATS="$WORK/most.json" "$serve" echo "$WORK/port"
	timeout -k 2 30 env "$1" "$serve" hold "$(port_of "$WORK/port")" 80
	stop server
}
tcp=$(most A=b)
kmap=$(most "LD_PRELOAD=$lib")
diag "of 80 connections a server with 64 fds served $tcp on TCP," \
	"$kmap with the library"
holds "$kmap >= $tcp - 8" "hidden fds are few"

# The 1st, 2nd, ... nth of the library's own calls fails.
turns()
{
	local who=$1 n bad=0 hung=0 port rc
	: >"$WORK/$who-calls"
	for ((n = 1; n <= 120; n++)); do
		rm -f "$WORK/port" "$WORK/failed"
		if [ "$who" = server ]; then
			start server "${leaky[@]}" INJECT_PRELOAD="$lib" \
				KMAP_STATS="$WORK/$who.json" \
				"$inject" "$n" "$WORK/failed" \
				"$serve" echo "$WORK/port" $2
		elif [ "$n" = 1 ] || ! running server; then
			start server kmap_env "$serve" echo "$WORK/portc"
		fi
		if [ "$who" = server ]; then
			port=$(port_of "$WORK/port")
			timeout -k 2 6 env LD_PRELOAD="$lib" \
				"$serve" ask "$port" 30 0
		else
			port=$(port_of "$WORK/portc")
			timeout -k 2 6 "${leaky[@]}" INJECT_PRELOAD="$lib" \
				KMAP_STATS="$WORK/$who.json" \
				"$inject" "$n" "$WORK/failed" \
				"$serve" ask "$port" 30 0
		fi
		rc=$?
		[ "$who" = client ] || stop server
		[ -s "$WORK/failed" ] || [ $rc != 0 ] || break
		cat "$WORK/failed" >>"$WORK/$who-calls" 2>/dev/null
		[ $rc = 0 ] || {
			bad=$((bad + 1))
			diag "$who, call $n $(cat "$WORK/failed"): status $rc"
		}
	done
	stop server
	is "$bad" 0 "$who $2: unharmed by the failure of any of its calls"
	holds "$n > 10 && $n < 120" "$who $2: there were $((n - 1))"
	diag "$(sort "$WORK/$who-calls" | uniq -c | tr '\n' ' ')"
}
"$inject" 1 "$WORK/x" true 2>/dev/null
if [ $? = 99 ]; then
	skip "no ptrace here" "failing calls"
else
	turns client ""
	holds "$(stats_sum "$WORK/client.json" limit) > 0" \
		"client: counted as limit"
	turns server ""
	turns server block
	holds "$(stats_sum "$WORK/server.json" limit) > 0" \
		"server: counted as limit"
fi
finish
