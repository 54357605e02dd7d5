#!/bin/bash
# Limit: 300 s
# Flask's development server, gunicorn and uvicorn: traced, and then run by
# their tables.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
. "$srcdir/programs/table.sh"
need_module flask gunicorn uvicorn
export DOCS PYTHONDONTWRITEBYTECODE=1

load()
{
	curl_docs client "http://127.0.0.1:$PORT" curl -- $MID $BIG $BIG
}

free_port PORT
server flask "$PORT" $((2 * BIG)) load \
	"$PYTHON" -m flask --app "$PROGRAMS/app.py" run --port "$PORT"

# TERM would wait for the next tick of the workers' clocks.
STOP_SIGNAL=QUIT
free_port PORT
server gunicorn "$PORT" $((2 * BIG)) load \
	"$PYTHON" -m gunicorn.app.wsgiapp -w 1 -k gthread --threads 2 \
	-b "127.0.0.1:$PORT" --chdir "$PROGRAMS" --graceful-timeout 2 app:app
STOP_SIGNAL=TERM

free_port PORT
server uvicorn "$PORT" $((2 * BIG)) load \
	"$PYTHON" -m uvicorn --app-dir "$PROGRAMS" --port "$PORT" asgi:app

finish
