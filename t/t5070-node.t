#!/bin/bash
# node's http server, asked by node's client with an agent that keeps its
# connections, by one that does not, and by wrk and curl.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
need node wrk
export DOCS

node_serve()
{
	free_port PORT
	URL=http://127.0.0.1:$PORT
	serve node "$PORT" node "$PROGRAMS/server.js" "$PORT"
}

client()
{
	ask client node "$PROGRAMS/client.js" "$@"
}

kept()
{
	round agent
	node_serve || return
	is "$(client kept "$PORT" 2 6 $SMALL $MID $BIG)" \
		$((6 * (SMALL + MID + BIG))) \
		"$(label "http.Agent: every body is right")"
	round_end node
	judge_kept $((6 * (MID + BIG))) 1 client:2 node:2
	[ "$MODE" != kmap ] || moved node in $BIG 99

	round curl
	node_serve || return
	curl_docs client "$URL" curl -- $SMALL $BIG $MID $BIG
	round_end node
	judge_kept $((2 * BIG)) 1 client:1 node:1

	round wrk
	node_serve || return
	wrk_load client "$URL/file" $MID 4 1
	round_end node
	judge_kept "$WRK_BYTES" 1 client:4 node:4
}

once()
{
	round once
	node_serve || return
	is "$(client once "$PORT" 1 12 $MID)" $((12 * MID)) \
		"$(label "no agent: every body is right")"
	round_end node
	judge_once $MID 12 client node 1

	round once-big
	node_serve || return
	is "$(client once "$PORT" 1 2 $BIG)" $((2 * BIG)) \
		"$(label "no agent: every body is right")"
	round_end node
	judge_once $BIG 2 client node
}

all()
{
	kept
	once
}

in_modes all
finish
