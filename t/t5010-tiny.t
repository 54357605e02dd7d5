#!/bin/bash
# The small web server of our own - one connection at a time, a child for
# each, a thread for each - asked by curl, wrk and a blocking client in C.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
need wrk

tiny_start()
{
	free_port PORT
	URL=http://127.0.0.1:$PORT
	# shellcheck disable=SC2086
	serve tiny "$PORT" "$TINY" $HOW "$PORT"
}

kept()
{
	local n
	round "kept$HOW"
	tiny_start || return
	curl_docs client "$URL" curl -- $SMALL $BIG $MID $BIG $SMALL
	round_end tiny
	judge_kept $((2 * BIG + MID)) 1 client:1 tiny:1

	# Four connections, where the server can take as many; 5 MB up and
	# 10 MB down on each, every byte compared.
	round "both ways$HOW"
	tiny_start || return
	n=4
	[ -n "$HOW" ] || n=1
	is "$(ask client "$GET" -c $n -u $((BIG / 2)) 127.0.0.1 "$PORT" \
		$SMALL $BIG)" \
		$((n * (SMALL + BIG + BIG))) "$(label "get: every byte")"
	round_end tiny
	judge_kept $((n * BIG)) 1 client:$n tiny:$n
	[ "$MODE" != kmap ] || {
		moved client out $((n * BIG)) 99
		moved tiny in $((n * BIG)) 99
	}

	[ "$HOW" = -t ] || full || return 0
	n=8
	[ -n "$HOW" ] || n=1
	round "wrk$HOW"
	tiny_start || return
	wrk_load client "$URL" $SMALL $n 1
	round_end tiny
	judge_kept "$WRK_BYTES" 1 client:$n tiny:$n
}

once()
{
	local i free=1
	round "once big$HOW"
	tiny_start || return
	for i in 1 2 3; do
		curl_docs client "$URL" curl$i -H 'Connection: close' -- $BIG
	done
	round_end tiny
	judge_once $BIG 3 client tiny

	# All by one curl, so by the same two processes. A child that was
	# forked for one connection meets nobody twice.
	round "once$HOW"
	tiny_start || return
	curl_docs client "$URL" curl -H 'Connection: close' -- \
		$MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID
	round_end tiny
	if [ "$HOW" = -f ]; then
		report client tiny
	else
		judge_once $MID 11 client tiny $free
	fi
}

# New connections as fast as they come.
churn()
{
	round "churn$HOW"
	tiny_start || return
	wrk_load client "$URL" $SMALL 4 1 -H 'Connection: close'
	round_end tiny
	report client tiny
}

variants()
{
	for HOW in '' -f -t; do
		kept
		once
	done
	HOW=-t
	[ "$MODE" = tcp ] || churn
}

in_modes variants
finish
