#!/bin/bash
# Flask's development server and gunicorn (sync and gthread workers), asked by
# curl and by Python.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
need_module flask gunicorn
export DOCS PYTHONDONTWRITEBYTECODE=1

flask()
{
	free_port PORT
	URL=http://127.0.0.1:$PORT
	serve service "$PORT" "$PYTHON" -m flask --app "$PROGRAMS/app.py" \
		run --port "$PORT"
}

# gunicorn WORKERS OPTION...
gunicorn()
{
	local n=$1
	shift
	free_port PORT
	URL=http://127.0.0.1:$PORT
	serve service "$PORT" "$PYTHON" -m gunicorn.app.wsgiapp -w "$n" \
		-b "127.0.0.1:$PORT" --chdir "$PROGRAMS" \
		--graceful-timeout 2 --worker-tmp-dir "$R" "$@" app:app
}

python_client()
{
	ask client "$PYTHON" "$PROGRAMS/client.py" "$@"
}

# big_and_mid NAME WORKERS START...: connections of one exchange each; every
# worker may be met for a first time
big_and_mid()
{
	local name=$1 workers=$2 i
	shift 2
	round "$name-big"
	"$@" || return
	for i in 1 2; do
		curl_docs client "$URL" curl$i -H 'Connection: close' -- $BIG
	done
	curl_docs client "$URL/file" curl-file -H 'Connection: close' -- $BIG
	round_end service
	judge_once $BIG 3 client service

	round "$name-curl"
	"$@" || return
	curl_docs client "$URL" curl -H 'Connection: close' -- \
		$MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID
	round_end service
	judge_once $MID 12 client service "$workers"

	round "$name-python"
	"$@" || return
	is "$(python_client once "$PORT" "" 12 $MID)" $((12 * MID)) \
		"$(label "urllib: every body is right")"
	round_end service
	judge_once $MID 12 client service "$workers"
}

gthread()
{
	round gthread
	gunicorn 2 -k gthread --threads 4 || return
	curl_docs client "$URL" curl -- $SMALL $BIG $MID $BIG
	is "$(python_client kept "$PORT" "" 2 $SMALL $MID $BIG)" \
		$((2 * (SMALL + MID + BIG))) \
		"$(label "http.client: every body is right")"
	round_end service
	judge_kept $((4 * BIG)) 1 client:2 service:2
	[ "$MODE" != kmap ] || moved service in $BIG 99

	# A file goes out by sendfile.
	round gthread-file
	gunicorn 1 -k gthread --threads 4 || return
	curl_docs client "$URL/file" curl -- $MID $BIG $BIG
	round_end service
	judge_kept $((2 * BIG)) 1 client:1 service:1
}

all()
{
	big_and_mid flask 1 flask
	# TERM would wait for the next tick of the workers' clocks.
	local STOP_SIGNAL=QUIT
	big_and_mid sync 2 gunicorn 2 -k sync
	gthread
}

in_modes all
finish
