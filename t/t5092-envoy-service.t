#!/bin/bash
# The real Envoy as a sidecar, both hops over shared memory, in front of
# Flask's development server (the paper's own experiment), and as a TCP proxy.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/envoy.sh"
programs "$@"
need wrk redis-server redis-benchmark redis-cli
need_module flask
export DOCS PYTHONDONTWRITEBYTECODE=1

# Flask closes after each answer; the client's connection is kept.
flask()
{
	round "flask-$1"
	free_port PORT
	serve flask "$PORT" "$PYTHON" -m flask --app "$PROGRAMS/app.py" \
		run --port "$PORT" && sidecar "$1" "$PORT" || return
	curl_docs client "http://127.0.0.1:$FRONT" curl -- $SMALL \
		$MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID
	round_end envoy flask
	other_hop client
	judge_once $MID 11 envoy flask 1

	round "flask-big-$1"
	free_port PORT
	serve flask "$PORT" "$PYTHON" -m flask --app "$PROGRAMS/app.py" \
		run --port "$PORT" && sidecar "$1" "$PORT" || return
	curl_docs client "http://127.0.0.1:$FRONT" curl -- $BIG $BIG
	curl_docs client "http://127.0.0.1:$FRONT/file" file -- $BIG
	round_end envoy flask
	judge_once $BIG 3 envoy flask
	[ "$MODE" != kmap ] || moved client in $((3 * BIG)) 90
}

# tcp_sidecar WORKERS PORT: Envoy passes on bytes that it does not understand
tcp_sidecar()
{
	free_port FRONT
	envoy_conf "$(envoy_tcp "$FRONT" service)" \
		"$(envoy_cluster service "$2")"
	envoy_serve "$1" "$FRONT"
}

tcp_proxy()
{
	local out
	round "tcp-get-$1"
	free_port PORT
	serve tiny "$PORT" "$TINY" -t "$PORT" && tcp_sidecar "$1" "$PORT" ||
		return
	is "$(ask client "$GET" -c 3 -n 2 -u $((BIG / 2)) 127.0.0.1 "$FRONT" \
		$SMALL $((BIG / 2)))" \
		$((6 * (SMALL + BIG / 2 + BIG))) \
		"$(label "get: every byte")"
	round_end envoy tiny
	judge_kept $((3 * BIG)) 2 client:3 envoy tiny:3
	[ "$MODE" != kmap ] || moved tiny in $((6 * BIG)) 99
}

redis()
{
	local out n=40000
	# 10 MB for each connection matter in the full run alone.
	full || n=$((n / 4))
	round "tcp-redis"
	free_port PORT
	serve redis "$PORT" redis-server --port "$PORT" --bind 127.0.0.1 \
		--save '' --appendonly no --dir "$R" &&
		tcp_sidecar 2 "$PORT" || return
	EACH=$((n * 8192 / 32))
	out=$(ask client redis-benchmark -h 127.0.0.1 -p "$FRONT" -c 32 \
		-n $n -d 8192 -t set,get --csv)
	like "$out" '"SET".*"GET"' "$(label "redis-benchmark runs")"
	diag "$(label "requests/s:" \
		"$(awk -F'"' '/SET|GET/ { print $2, $4 }' <<<"$out" |
			tr '\n' ' ')")"
	is "$(ask client redis-cli -h 127.0.0.1 -p "$FRONT" \
		strlen key:__rand_int__)" 8192 "$(label "redis-cli beside it")"
	round_end envoy redis
	judge_kept $((n * 8192)) 2 client:64 envoy redis:64
	[ "$MODE" != kmap ] || moved redis in $((n * 8192)) 99
}

all()
{
	flask 1
	tcp_proxy 2
	redis
}

in_modes all
finish
