#!/bin/bash
# Java, whose sockets are IPv6 with mapped addresses: the JDK's http server
# asked by the JDK's http client, by a blocking java.net.Socket, and by curl.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
# It alone of all programs may be missing.
command -v java >/dev/null && command -v javac >/dev/null ||
	skip_all "no Java here"
programs "$@"
export DOCS

mkdir "$WORK/classes"
ok "the classes compile" javac -d "$WORK/classes" \
	"$PROGRAMS/Server.java" "$PROGRAMS/Client.java" || finish
JAVA=(java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto
	-cp "$WORK/classes")

java_serve()
{
	free_port PORT
	serve java "$PORT" "${JAVA[@]}" Server "$PORT"
}

kept()
{
	round client
	java_serve || return
	is "$(ask client "${JAVA[@]}" Client "$PORT" 2 $SMALL $MID $BIG)" \
		$((4 * (SMALL + MID + BIG))) \
		"$(label "every body is right")"
	round_end java
	judge_kept $((4 * BIG)) 1 client:2 java:2
	[ "$MODE" != kmap ] || moved java in $BIG 90

	round curl
	java_serve || return
	curl_docs client "http://127.0.0.1:$PORT" curl -- \
		$SMALL $BIG $MID $BIG
	round_end java
	judge_kept $((2 * BIG)) 1 client:1 java:1
}

once()
{
	round once
	java_serve || return
	curl_docs client "http://127.0.0.1:$PORT" curl \
		-H 'Connection: close' -- \
		$MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID $MID
	round_end java
	judge_once $MID 12 client java 1
}

all()
{
	kept
	once
}

in_modes all
finish
