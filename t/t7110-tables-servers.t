#!/bin/bash
# Limit: 300 s
# nginx, redis, memcached, haproxy and its spliced bytes, curl and wrk:
# traced, and then run by their tables.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/nginx.sh"
programs "$@"
. "$srcdir/programs/table.sh"
need nginx redis-server redis-benchmark memcached haproxy wrk
export DOCS

documents()
{
	curl_docs client "http://127.0.0.1:$FRONT" curl -- $SMALL $MID $BIG $BIG
}

## nginx

free_port FRONT
nginx_conf "$WORK/nginx.conf" "$FRONT" "root $DOCS;"
server nginx "$FRONT" $((2 * BIG)) documents \
	nginx -e "$WORK/nginx.err" -c "$WORK/nginx.conf"

## redis

bench()
{
	ok "$(label "redis-benchmark")" ask client redis-benchmark \
		-h 127.0.0.1 -p "$FRONT" -c 3 -n 1500 -d 10000 -t set,get -q
}

free_port FRONT
server redis "$FRONT" $((2 * 1500 * 10000)) bench \
	redis-server --port "$FRONT" --bind 127.0.0.1 --save '' \
	--appendonly no --dir "$WORK"

## memcached

values()
{
	is "$(ask client "$PYTHON" "$PROGRAMS/memcache.py" "$FRONT" 2 2 \
		9000000 $MID $SMALL)" \
		$((2 * (2 * 2 * (9000000 + MID + SMALL) + 500 * 100))) \
		"$(label "every value is right")"
}

user=root
! drop_uid || user=nobody
free_port FRONT
server memcached "$FRONT" 72000000 values \
	memcached -l 127.0.0.1 -p "$FRONT" -U 0 -t 2 -m 512 -I 16m -u $user

## haproxy

free_port PORT
behind()
{
	serve tiny "$PORT" "$TINY" -t "$PORT"
}

# A client that takes its time fills all buffers: haproxy stops to wait for
# bytes that it has no room for, in every run. Its pauses are short ones: what
# sleeps longer at a full ring is rightly left to TCP (curl's own --limit-rate
# does, some 100 ms at a time).
slowly()
{
	local size urls=() docs=()
	for size in $SMALL $MID $BIG $BIG; do
		urls+=("http://127.0.0.1:$FRONT/$size")
		docs+=("$DOCS/$size")
	done
	ask client curl -sS -f "${urls[@]}" | "$PYTHON" -c '
import sys, time
while data := sys.stdin.buffer.read(65536):
    sys.stdout.buffer.write(data)
    time.sleep(0.002)
' >"$R/slow"
	ok "$(label "curl: 4 bodies, taken slowly, are right")" \
		cmp "$R/slow" <(cat "${docs[@]}")
	rm -f "$R/slow"
}

free_port FRONT
cat >"$WORK/haproxy.cfg" <<END
global
	maxconn 1000
	nbthread 1
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	option splice-response
	http-reuse always
listen front
	bind 127.0.0.1:$FRONT
	server tiny 127.0.0.1:$PORT
END
BEHIND=behind BESIDE=(tiny)
server haproxy "$FRONT" $((4 * BIG)) slowly \
	haproxy -db -f "$WORK/haproxy.cfg"
BEHIND=: BESIDE=()

## curl and wrk

tiny_server()
{
	serve server "$PORT" "$TINY" -t "$PORT"
}

client curl tiny_server $((2 * BIG)) curl -sS -f \
	-o "$WORK/one" "http://127.0.0.1:$PORT/$BIG" \
	-o "$WORK/two" "http://127.0.0.1:$PORT/$BIG"
MODE=kmap ROUND=curl same "$WORK/one" "$DOCS/$BIG" "its bytes"
export DOC=$DOCS/$MID
client wrk tiny_server $((2 * BIG)) wrk -t1 -c2 -d1s \
	-s "$PROGRAMS/check.lua" "http://127.0.0.1:$PORT/$MID"

finish
