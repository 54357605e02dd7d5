#!/bin/bash
# Limit: 300 s
# The real Envoy between curl and the small server: traced, and then run by
# its table. And what Envoy, Flask and the small server call, in one table, as
# the README shows it: with KMAP_KEEP=1 it stays in the work directory.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/envoy.sh"
programs "$@"
. "$srcdir/programs/table.sh"
export DOCS PYTHONDONTWRITEBYTECODE=1

## Envoy

# small_buffers FILE: so that both forms of a read come in every run: recv into
# the one slice that may be there, readv when a part of it is full
small_buffers()
{
	sed -i '/^    connect_timeout:\|^  - name: http_/a\
    per_connection_buffer_limit_bytes: 16384' "$1"
}

free_port PORT
free_port FRONT
R=$WORK
envoy_conf "$(envoy_http "$FRONT" service)" "$(envoy_cluster service "$PORT")"
small_buffers "$R/envoy.yaml"

behind()
{
	serve tiny "$PORT" "$TINY" -t "$PORT"
}

# Whether Envoy reads and writes one slice (recv, send) or several (readv,
# writev) depends on how much is there: many requests of all sizes, so that
# each is called in every run.
load()
{
	curl_docs client "http://127.0.0.1:$FRONT" curl -- \
		$SMALL $SMALL $SMALL $SMALL $SMALL $SMALL $SMALL $SMALL \
		$MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID \
		$BIG $BIG
	is "$(ask client "$GET" -c 1 -n 20 -u $MID 127.0.0.1 "$FRONT" $SMALL)" \
		$((20 * (SMALL + MID))) "$(label "20 uploads")"
}

# The number keeps it apart from every other Envoy on the machine.
BEHIND=behind BESIDE=(tiny)
server envoy "$FRONT" $((4 * BIG)) load "$ENVOY" -c "$WORK/envoy.yaml" \
	--concurrency 1 -l error --base-id "$((FRONT % 8192))"
BEHIND=: BESIDE=()

## Envoy x Flask x the small server

need_module flask
begin summary first
free_port FRONT
free_port FLASK
free_port TO_FLASK
envoy_conf "$(envoy_http "$FRONT" service; envoy_http "$TO_FLASK" flask)" \
	"$(envoy_cluster service "$PORT"; envoy_cluster flask "$FLASK")"
small_buffers "$R/envoy.yaml"
summary=$WORK/summary
start all "$KMAP_TRACE" -q -o "$WORK/all.kmap" --summary="$summary" sh -c '
	stop() { kill $pids; }
	trap stop TERM
	"$1" -c "$2" --concurrency 1 -l error --base-id "$3" &
	pids=$!
	"$4" -t "$5" &
	pids="$pids $!"
	"$6" -m flask --app "$7" run --port "$8" &
	pids="$pids $!"
	wait; wait; wait; wait' sh \
	"$ENVOY" "$R/envoy.yaml" "$((FRONT % 8192))" "$TINY" "$PORT" \
	"$PYTHON" "$PROGRAMS/app.py" "$FLASK"
for port in "$PORT" "$FLASK" "$FRONT" "$TO_FLASK"; do
	wait_port "$port" all
done
load
# This one ends before the server does: it is seen to be closed.
curl_docs client "http://127.0.0.1:$PORT" tiny -- $SMALL
curl_docs client "http://127.0.0.1:$TO_FLASK" flask -- \
	$SMALL $MID $MID $MID $MID $MID $BIG
round_end all
"$PYTHON" "$srcdir/trace/calls.py" "$summary" >"$WORK/calls.md"
is $? 0 "what they call, beside what a paper says of them"
# The functions, and which programs call them: not how often.
shape()
{
	awk -F'|' '/<!-- CALLS: begin/, /<!-- CALLS: end/ {
		if (NF < 9)
			next
		gsub(/ /, "")
		for (i = 3; i < NF - 1; i++)
			sub(/^[0-9]+$/, "N", $i)
		print $2, $3, $4, $5, $6, $7, $8, $9
	}' OFS='|' "$1"
}
shape "$WORK/calls.md" >"$WORK/got"
shape "$top_srcdir/README.md" >"$WORK/want"
like "$(wc -l <"$WORK/got")" '^[1-9]' "there are calls"
ok "the README shows it" diff -u "$WORK/want" "$WORK/got"
[ -z "${KMAP_CALLS-}" ] || cp "$WORK/calls.md" "$KMAP_CALLS"

finish
