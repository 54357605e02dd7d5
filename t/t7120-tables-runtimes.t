#!/bin/bash
# Limit: 300 s
# node and Java, whose code has no file: traced, and then run by their tables.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
. "$srcdir/programs/table.sh"
need node
export DOCS

load()
{
	curl_docs client "http://127.0.0.1:$PORT" curl -- $MID $BIG $BIG
}

free_port PORT
server node "$PORT" $((2 * BIG)) load node "$PROGRAMS/server.js" "$PORT"

# It alone of all programs may be missing.
if ! command -v java >/dev/null || ! command -v javac >/dev/null; then
	skip "no Java here" java
	finish
fi
mkdir "$WORK/classes"
ok "the classes compile" javac -d "$WORK/classes" \
	"$PROGRAMS/Server.java" "$PROGRAMS/Client.java" || finish
free_port PORT
server java "$PORT" $((2 * BIG)) load java -XX:+UseSerialGC \
	-XX:TieredStopAtLevel=1 -Xshare:auto -cp "$WORK/classes" Server "$PORT"

finish
