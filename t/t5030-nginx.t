#!/bin/bash
# nginx with two workers, sendfile and keep-alive, asked by wrk and curl; and
# as a proxy in front of another nginx.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/nginx.sh"
programs "$@"
need nginx wrk

origin()
{
	free_port ORIGIN
	nginx_conf "$R/origin.conf" "$ORIGIN" "root $DOCS;"
	nginx_serve origin "$ORIGIN"
}

front()
{
	free_port PROXY
	nginx_conf "$R/proxy.conf" "$PROXY" '
		proxy_pass http://origin;
		proxy_http_version 1.1;
		proxy_set_header Connection "";
		proxy_max_temp_file_size 0;' \
		"upstream origin { server 127.0.0.1:$ORIGIN; keepalive 64; }"
	nginx_serve proxy "$PROXY"
}

direct()
{
	round kept
	origin || return
	curl_docs client "http://127.0.0.1:$ORIGIN" curl -- \
		$SMALL $BIG $MID $BIG
	round_end origin
	judge_kept $((2 * BIG)) 1 client:1 origin:1

	round wrk
	origin || return
	wrk_load client "http://127.0.0.1:$ORIGIN" $MID 16 1
	round_end origin
	judge_kept "$WRK_BYTES" 1 client:16 origin:16

	full || return 0
	round wrk-small
	origin || return
	wrk_load client "http://127.0.0.1:$ORIGIN" $SMALL 4 1
	round_end origin
	judge_kept "$WRK_BYTES" 1 client:4 origin:4
}

once()
{
	local i
	round once-big
	origin || return
	for i in 1 2 3; do
		curl_docs client "http://127.0.0.1:$ORIGIN" curl$i \
			-H 'Connection: close' -- $BIG
	done
	round_end origin
	judge_once $BIG 3 client origin

	# curl meets each of the two workers for a first time.
	round once
	origin || return
	curl_docs client "http://127.0.0.1:$ORIGIN" curl \
		-H 'Connection: close' -- \
		$MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID
	round_end origin
	judge_once $MID 12 client origin 2
}

proxied()
{
	round proxy-kept
	origin && front || return
	curl_docs client "http://127.0.0.1:$PROXY" curl -- \
		$SMALL $BIG $MID $BIG
	round_end proxy origin
	judge_kept $((2 * BIG)) 2 client:1 proxy origin:seen

	round proxy-wrk
	origin && front || return
	wrk_load client "http://127.0.0.1:$PROXY" $MID 8 1
	round_end proxy origin
	judge_kept "$WRK_BYTES" 2 client:8 proxy origin:seen

	full || return 0
	round proxy-wrk-small
	origin && front || return
	wrk_load client "http://127.0.0.1:$PROXY" $SMALL 4 1
	round_end proxy origin
	judge_kept "$WRK_BYTES" 2 client:4 proxy origin:seen
}

all()
{
	direct
	once
	proxied
}

in_modes all
finish
