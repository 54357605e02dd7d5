#!/bin/bash
# Peers that are not just like us: without the library on the same port, in
# both orders of start, in other pid, mount and ipc namespaces, and with other
# uids.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
. "$PROGRAMS/others.sh"
need setpriv unshare mount

# get_bytes CONNECTIONS TIMES SIZE: what get prints if all was right
get_bytes()
{
	echo $(($1 * $2 * $3))
}

one_sided()
{
	round server-only
	free_port PORT
	serve tiny "$PORT" "$TINY" -t "$PORT" || return
	is "$(ask_plain "$GET" -c 3 -n 2 127.0.0.1 "$PORT" $BIG)" \
		"$(get_bytes 3 2 $BIG)" "$(label "a plain client")"
	round_end tiny
	lo_saw $((6 * BIG))
	[ "$MODE" = tcp ] || on_tcp tiny

	round client-only
	free_port PORT
	serve_plain tiny "$PORT" "$TINY" -t "$PORT" || return
	is "$(ask client "$GET" -c 3 -n 2 127.0.0.1 "$PORT" $BIG)" \
		"$(get_bytes 3 2 $BIG)" "$(label "a plain server")"
	round_end tiny
	lo_saw $((6 * BIG))
	[ "$MODE" = tcp ] || on_tcp client
}

# At the same time on one port: one client on rings, one on TCP.
together()
{
	local plain
	round together
	free_port PORT
	serve tiny "$PORT" "$TINY" -t "$PORT" || return
	ask_plain "$GET" -c 2 -n 6 127.0.0.1 "$PORT" $BIG $SMALL \
		>"$R/plain" 2>&1 &
	plain=$!
	is "$(ask client "$GET" -c 2 -n 6 127.0.0.1 "$PORT" $BIG $SMALL)" \
		"$(get_bytes 2 6 $((BIG + SMALL)))" \
		"$(label "a client with the library")"
	wait $plain
	is "$(cat "$R/plain")" "$(get_bytes 2 6 $((BIG + SMALL)))" \
		"$(label "a plain client beside it")"
	round_end tiny
	[ "$MODE" != tcp ] || return 0
	report client tiny
	case $MODE in
	kmap)
		moved client in $((12 * BIG)) 99
		kept_out client in 99
		lo_saw $((12 * BIG))
		lo_below $((12 * BIG * 110 / 100)) "what the plain client got"
		;;
	earned)
		upgraded client 2
		;;
	esac
}

# calls_beside SIDE MESSAGES: what it asked of the kernel besides these; a
# start, the look-ups (later with each sixteenth call), and a call for each
# piece of the first megabytes, which may yet move; nothing for each message
calls_beside()
{
	local all
	all=$(awk '$1 == "total" { print $2 }' "$R/$1.calls")
	diag "$(label "$1: ${all:-no} system calls, $2 messages")"
	holds "${all:-0} >= $2 && ${all:-0} <= $2 * 17 / 16 + 1500" \
		"$(label "$1: no system call for each message")"
}

# Who has the library and meets somebody without it does what a plain program
# does: 200 MB, so that a system call more for each 64 KB would show.
full_speed()
{
	local n=20
	local load=("$GET" -n $n 127.0.0.1)
	[ "$MODE" != tcp ] || return 0
	need strace
	strace -f -c -o "$WORK/probe" true 2>/dev/null ||
		need_failed "no ptrace here"
	round full-speed
	free_port PORT
	serve_plain plain "$PORT" "$TINY" -t "$PORT" || return
	BEFORE=(strace -f -c -U name,calls -o "$R/client.calls")
	is "$(ask client "${load[@]}" "$PORT" $BIG)" $((n * BIG)) \
		"$(label "a preloaded client gets all")"
	BEFORE=(strace -f -c -U name,calls -o "$R/tiny.calls")
	free_port PORT
	serve tiny "$PORT" "$TINY" -t "$PORT" || {
		BEFORE=()
		return
	}
	BEFORE=()
	is "$(ask_plain "${load[@]}" "$PORT" $BIG)" $((n * BIG)) \
		"$(label "a preloaded server gives all")"
	round_end plain
	stop_inner tiny
	calls_beside client "$(sum client tcp_messages_in)"
	is "$(($(sum client sleeps) + $(sum client polls)))" 0 \
		"$(label "client: it waits in the kernel alone")"
	calls_beside tiny $((2 * n))
}

# The client is there before the server.
client_first()
{
	local client
	round client-first
	free_port PORT
	side_words client
	"${KMAP_WORDS[@]}" timeout 20 "$GET" -w -c 2 -n 2 127.0.0.1 \
		"$PORT" $BIG >"$R/got" 2>&1 &
	client=$!
	sleep 0.3
	serve tiny "$PORT" "$TINY" -t "$PORT" || return
	wait $client
	is "$(cat "$R/got")" "$(get_bytes 2 2 $BIG)" \
		"$(label "every byte")"
	round_end tiny
	judge_kept $((4 * BIG)) 1 client:2 tiny:2
}

# namespaces NAME: a server and a client behind the words in SERVER and CLIENT
namespaces()
{
	round "$1"
	free_port PORT
	BEFORE=("${SERVER[@]}")
	serve tiny "$PORT" "$TINY" -t "$PORT" || {
		BEFORE=()
		return
	}
	BEFORE=("${CLIENT[@]}")
	is "$(ask client "$GET" -c 2 -n 2 127.0.0.1 "$PORT" $BIG)" \
		"$(get_bytes 2 2 $BIG)" "$(label "every byte")"
	BEFORE=()
	lo_stop
	if [[ "${SERVER[*]-}" = *--fork* ]]; then
		stop_inner tiny
	else
		stop tiny
	fi
}

# uids SERVER CLIENT: - for the uid that we have
uids()
{
	SERVER=()
	CLIENT=()
	[ "$1" = - ] || { as "$1"; SERVER=("${AS[@]}"); }
	[ "$2" = - ] || { as "$2"; CLIENT=("${AS[@]}"); }
}

strangers()
{
	local words
	in_namespaces
	SERVER=("${AS[@]}") CLIENT=()
	namespaces "server's namespaces"
	judge_kept $((4 * BIG)) 1 client:2 tiny:2
	CLIENT=("${SERVER[@]}")
	namespaces "namespaces of each"
	judge_kept $((4 * BIG)) 1 client:2 tiny:2

	# Every uid is the overflow uid there, and that is nobody's.
	SERVER=(unshare -U --) CLIENT=()
	namespaces "server's user namespace"
	[ "$MODE" = tcp ] || on_tcp client tiny

	if ! drop_uid; then
		skip "this uid cannot change to another" "other uids"
		return
	fi
	for words in "1337 -" "- 1337" "1337 1000" "65534 -"; do
		# shellcheck disable=SC2086
		uids $words
		namespaces "uids $words"
		judge_kept $((4 * BIG)) 1 client:2 tiny:2
	done
	in_namespaces
	words=("${AS[@]}")
	as 1337
	SERVER=("${words[@]}" "${AS[@]}") CLIENT=()
	namespaces "namespaces and uid"
	judge_kept $((4 * BIG)) 1 client:2 tiny:2

	# Who does not want to meet others need not.
	uids 1337 -
	SERVER+=(env KMAP_PEERS=same-uid)
	namespaces "same-uid, and another comes"
	[ "$MODE" = tcp ] || on_tcp client tiny
	uids 1337 -
	SERVER+=(env KMAP_PEERS=1000,0)
	namespaces "peers by number"
	judge_kept $((4 * BIG)) 1 client:2 tiny:2
}

all()
{
	one_sided
	together
	full_speed
	client_first
	[ "$MODE" = tcp ] || strangers
}

in_modes all
finish
