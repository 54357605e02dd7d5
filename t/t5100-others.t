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

# best_time COMMAND...: the best of three, in ms
best_time()
{
	local i from t best=999999
	for i in 1 2 3; do
		from=$(date +%s%3N)
		"$@" >/dev/null || return 1
		t=$(($(date +%s%3N) - from))
		[ $t -ge $best ] || best=$t
	done
	echo $best
}

# Who has the library and meets somebody without it loses no speed.
full_speed()
{
	local plain half other
	local load=("$GET" -n 10 127.0.0.1)
	[ "$MODE" != tcp ] || return 0
	round full-speed
	free_port PORT
	serve_plain plain "$PORT" "$TINY" -t "$PORT" || return
	plain=$(best_time ask_plain "${load[@]}" "$PORT" $BIG)
	half=$(best_time ask client "${load[@]}" "$PORT" $BIG)
	free_port PORT
	serve tiny "$PORT" "$TINY" -t "$PORT" || return
	other=$(best_time ask_plain "${load[@]}" "$PORT" $BIG)
	round_end plain tiny
	diag "$(label "100 MB: plain $plain ms, client only $half ms," \
		"server only $other ms")"
	# Half as much again, for two cores that others use, too.
	holds "${half:-999999} <= 1.5 * ${plain:-0} + 50" \
		"$(label "a preloaded client at TCP's speed")"
	holds "${other:-999999} <= 1.5 * ${plain:-0} + 50" \
		"$(label "a preloaded server at TCP's speed")"
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
