#!/bin/bash
# haproxy as a proxy that splices, in TCP and in HTTP mode.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
need haproxy wrk

# chain MODE: haproxy in that mode in front of the small server
chain()
{
	free_port PORT
	serve tiny "$PORT" "$TINY" -t "$PORT" || return
	free_port FRONT
	cat >"$R/haproxy.cfg" <<-END
	global
		maxconn 1000
		nbthread 2
		tune.pipesize 1048576
	defaults
		mode $1
		timeout connect 5s
		timeout client 30s
		timeout server 30s
		option splice-request
		option splice-response
		$([ "$1" = tcp ] || echo 'http-reuse always')
	listen front
		bind 127.0.0.1:$FRONT
		server tiny 127.0.0.1:$PORT
	END
	serve haproxy "$FRONT" haproxy -db -f "$R/haproxy.cfg"
}

# both_modes MODE
both_modes()
{
	round "$1-kept"
	chain "$1" || return
	curl_docs client "http://127.0.0.1:$FRONT" curl -- \
		$SMALL $BIG $MID $BIG
	round_end haproxy tiny
	judge_kept $((2 * BIG)) 2 client:1 haproxy tiny:1

	round "$1-up"
	chain "$1" || return
	is "$(ask client "$GET" -c 2 -n 2 -u $((BIG / 2)) 127.0.0.1 \
		"$FRONT" $((BIG / 2)))" $((4 * BIG)) \
		"$(label "get: every byte")"
	round_end haproxy tiny
	judge_kept $((2 * BIG)) 2 client:2 haproxy tiny:seen
	[ "$MODE" != kmap ] || moved tiny in $((2 * BIG)) 99

	round "$1-wrk"
	chain "$1" || return
	wrk_load client "http://127.0.0.1:$FRONT" $MID 8 1
	round_end haproxy tiny
	judge_kept "$WRK_BYTES" 2 client:8 haproxy tiny:seen

	full || return 0
	round "$1-wrk-small"
	chain "$1" || return
	wrk_load client "http://127.0.0.1:$FRONT" $SMALL 4 1
	round_end haproxy tiny
	judge_kept "$WRK_BYTES" 2 client:4 haproxy tiny:seen
}

all()
{
	both_modes tcp
	both_modes http
}

in_modes all
finish
