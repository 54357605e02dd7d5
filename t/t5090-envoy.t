#!/bin/bash
# The real Envoy as a sidecar, client -> Envoy -> service with both hops over
# shared memory: HTTP/1.1 kept alive by curl and wrk, in front of the small
# server and of nginx; its admin interface and an ordinary client beside it.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/envoy.sh"
. "$srcdir/programs/nginx.sh"
programs "$@"
need nginx wrk

tiny_start()
{
	free_port PORT
	# shellcheck disable=SC2086
	serve tiny "$PORT" "$TINY" $1 "$PORT"
}

kept()
{
	round kept
	tiny_start -t && sidecar 1 "$PORT" || return
	curl_docs client "http://127.0.0.1:$FRONT" curl -- \
		$SMALL $BIG $MID $BIG
	round_end envoy tiny
	judge_kept $((2 * BIG)) 2 client:1 envoy tiny:seen

	round wrk-small
	tiny_start -t && sidecar 2 "$PORT" || return
	wrk_load client "http://127.0.0.1:$FRONT" $SMALL 4 1
	round_end envoy tiny
	# The bodies: Envoy's heads are longer than the service's.
	judge_kept $((WRK_REQUESTS * SMALL)) 2 client:4 envoy tiny:seen
}

# A server of one connection at a time, as in the paper: Envoy opens a new one
# for each request, and only the client's is kept.
one_at_a_time()
{
	round one-at-a-time
	tiny_start -1 && sidecar 1 "$PORT" once || return
	curl_docs client "http://127.0.0.1:$FRONT" curl -- \
		$MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID
	round_end envoy tiny
	other_hop client
	judge_once $MID 11 envoy tiny 1

	round one-at-a-time-big
	tiny_start -1 && sidecar 1 "$PORT" once || return
	curl_docs client "http://127.0.0.1:$FRONT" curl -- $BIG $BIG
	round_end envoy tiny
	[ "$MODE" = tcp ] || report client
	judge_once $BIG 2 envoy tiny
	[ "$MODE" != kmap ] || moved client in $((2 * BIG)) 99
}

nginx_behind()
{
	round nginx
	free_port PORT
	nginx_conf "$R/nginx.conf" "$PORT" "root $DOCS;"
	nginx_serve nginx "$PORT" && sidecar 2 "$PORT" || return
	wrk_load client "http://127.0.0.1:$FRONT" $MID 8 1
	round_end envoy nginx
	judge_kept "$WRK_BYTES" 2 client:8 envoy nginx:seen
}

# An ordinary TCP client, and who asks the admin interface, while others are
# on rings.
beside()
{
	round beside
	tiny_start -t && sidecar 2 "$PORT" || return
	(wrk_load client "http://127.0.0.1:$FRONT" $MID 4 1) >"$R/wrk" 2>&1 &
	local load=$!
	sleep 0.3
	ask_plain curl -sS -f -o "$R/plain" "http://127.0.0.1:$FRONT/$BIG"
	same "$R/plain" "$DOCS/$BIG" "an ordinary client"
	like "$(ask_plain curl -sS "http://127.0.0.1:$ADMIN/server_info")" \
		'"state": "LIVE"' "$(label "admin: server_info")"
	like "$(ask_plain curl -sS "http://127.0.0.1:$ADMIN/stats")" \
		'cluster.service.upstream_rq_200: [1-9]' \
		"$(label "admin: stats")"
	like "$(ask_plain curl -sS "http://127.0.0.1:$ADMIN/ready")" LIVE \
		"$(label "admin: ready")"
	# And preloaded, too, it is only another server.
	like "$(ask asker curl -sS "http://127.0.0.1:$ADMIN/clusters")" \
		service:: "$(label "admin: asked by a preloaded client")"
	wait $load
	is "$(sed -n 's/ok .*/ok/p' "$R/wrk")" ok "$(label "the load beside")" ||
		cat "$R/wrk"
	round_end envoy tiny
	report client envoy tiny
}

all()
{
	kept
	one_at_a_time
	nginx_behind
	beside
}

in_modes all
finish
