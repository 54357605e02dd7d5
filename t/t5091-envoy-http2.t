#!/bin/bash
# The real Envoy as a sidecar, both hops over shared memory: HTTP/2 by h2load
# and curl, and gRPC by Python's grpcio to an upstream that speaks HTTP/2.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/envoy.sh"
programs "$@"
need h2load "$PYTHON"
need_module grpc

tiny_start()
{
	free_port PORT
	serve tiny "$PORT" "$TINY" -t "$PORT"
}

# h2 REQUESTS CONNECTIONS STREAMS SIZE: h2load counts the bytes of the bodies
h2()
{
	local out want=$(($1 * $4)) seconds
	out=$(ask client h2load -n "$1" -c "$2" -m "$3" \
		"http://127.0.0.1:$FRONT/$4")
	EACH=$((want / $2))
	seconds=$(sed -n 's/^finished in \([^,]*\),.*/\1/p' <<<"$out")
	diag "$(label "h2load: $1 requests of $4 bytes in $seconds")"
	like "$out" " $1 succeeded, 0 failed, 0 errored" \
		"$(label "h2load: all succeed")" || diag "$out"
	like "$out" "\\($want\\) data" "$(label "h2load: all bytes come")" ||
		diag "$out"
	TOTAL=$want
}

http2()
{
	local size
	# One document for each: Debian 12's curl (7.88) fails to use such a
	# connection again.
	round h2-curl
	tiny_start && sidecar 1 "$PORT" || return
	for size in $SMALL $MID $BIG; do
		curl_docs client "http://127.0.0.1:$FRONT" curl-$size \
			--http2-prior-knowledge -- $size
	done
	round_end envoy tiny
	judge_once $BIG 1 client envoy

	round h2-mid
	tiny_start && sidecar 2 "$PORT" || return
	h2 4000 4 4 $MID
	round_end envoy tiny
	judge_kept "$TOTAL" 2 client:4 envoy tiny:seen

	round h2-small
	tiny_start && sidecar 2 "$PORT" || return
	h2 15000 2 4 $SMALL
	round_end envoy tiny
	judge_kept "$TOTAL" 2 client:2 envoy tiny:seen

	round h2-big
	tiny_start && sidecar 2 "$PORT" || return
	# Several each for the four connections to the service: one that serves
	# a single request has nothing to send the other way.
	h2 20 2 2 $BIG
	round_end envoy tiny
	judge_kept "$TOTAL" 2 client:2 envoy tiny:seen
}

grpc()
{
	local bytes=$((6 * (SMALL + MID + BIG)))
	round grpc
	free_port PORT
	serve service "$PORT" "$PYTHON" "$PROGRAMS/grpc_echo.py" serve \
		"$PORT" && sidecar "$1" "$PORT" h2 || return
	is "$(ask client "$PYTHON" "$PROGRAMS/grpc_echo.py" ask "$FRONT" \
		"$DOCS/$SMALL" "$DOCS/$MID" "$DOCS/$BIG")" $bytes \
		"$(label "grpcio: every byte comes back")"
	round_end envoy service
	judge_kept $bytes 2 client:1 envoy service:1
	[ "$MODE" != kmap ] || moved service in $bytes 99
}

all()
{
	http2
	grpc 2
}

in_modes all
finish
