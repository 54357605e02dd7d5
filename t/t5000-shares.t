#!/bin/bash
# The judges of the program tests, judged: with statistics that were made up,
# each of them must refuse what is not a connection on rings; and behind a
# relay that spoils one byte, each client must notice.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
need wrk "$PYTHON"
real_net=$NET
NET=private

# stats SIDE RING-IN RING-OUT TCP-IN TCP-OUT UPGRADED UP [REASONS]
stats()
{
	local why=${8-} n
	n=$(grep -oE '[0-9]+' <<<"$why" | awk '{ n += $1 } END { print n + 0 }')
	printf '{"pid":%d,"exe":"/usr/bin/%s","connections_seen":%d,' \
		$$ "$1" $(($6 + n + ${UNTOLD-0}))
	printf '"connections_paired":4,"connections_upgraded":%d,' "$6"
	printf '"directions_up":%d,"directions_down":0,"bounces":0,' "$7"
	printf '"spills":0,"not_upgraded":{%s},"ring_bytes_in":%d,' \
		"$why" "$2"
	printf '"ring_bytes_out":%d,"tcp_bytes_in":%d,"tcp_bytes_out":%d,' \
		"$3" "$4" "$5"
	printf '"ring_messages_in":1,"ring_messages_out":1}\n'
}

# put SIDE ...: as stats, into the file of that side
put()
{
	stats "$@" >>"$R/$1.stats"
}

# accepted NAME JUDGE...: no check in it fails
accepted()
{
	local name=$1 out
	shift
	out=$("$@")
	case $out in
	*"not ok "*) fail "$name"; diag "$out" ;;
	*"ok "*) pass "$name" ;;
	*) fail "$name: no check was made" ;;
	esac
}

# refused NAME HOW-OFTEN JUDGE...: that many checks of it fail, and no known
# difference excuses them
refused()
{
	local name=$1 want=$2 out got
	shift 2
	nears=0
	out=$("$@")
	got=$(grep '^not ok ' <<<"$out" | grep -vc '# TODO')
	is "$got" "$want" "$name" || diag "$out"
}

# near_by NAME HOW-OFTEN JUDGE...: that many checks of it are near
near_by()
{
	local name=$1 want=$2 out got
	shift 2
	nears=0
	out=$("$@")
	got=$(grep '^not ok ' <<<"$out" | grep -c '(near) # TODO')
	is "$got $(grep '^not ok ' <<<"$out" | grep -vc '# TODO')" "$want 0" \
		"$name" || diag "$out"
}

begin()
{
	round "$1"
	rm -f "$R"/*
	LO=$2
}

MODE=tcp
begin tcp 10500000
accepted "tcp: lo saw it" judge_kept $BIG 1 client:1 server:1
LO=9000000
refused "tcp: lo missed a tenth" 1 judge_kept $BIG 1 client:1 server:1

MODE=kmap
begin kmap 100000
put client 9950000 100 50000 100 1 2
put server 100 9950000 100 50000 1 2
accepted "kept: 99.5 %" judge_kept $BIG 1 client:1 server:1
LO=300000
near_by "kept: lo saw 3 %" 1 judge_kept $BIG 1 client:1 server:1
LO=600000
refused "kept: lo saw 6 %" 1 judge_kept $BIG 1 client:1 server:1

begin never 10500000
put client 0 0 $BIG 100 0 0 '"switched off":1'
put server 0 0 100 $BIG 0 0 '"switched off":1'
refused "kept: all on TCP" 5 judge_kept $BIG 1 client:1 server:1
refused "once: all on TCP" 3 judge_once $BIG 1 client server

begin absent 10500000
refused "kept: no statistics at all" 5 judge_kept $BIG 1 client:1 server:1

begin "one end" 100000
put client 9950000 100 50000 100 1 2
put server 0 0 100 $BIG 0 0
refused "kept: the ends disagree" 2 judge_kept $BIG 1 client:1 server:1

begin "two percent" 100000
put client 9800000 100 200000 100 1 2
put server 100 9800000 100 200000 1 2
near_by "kept: 98 %" 4 judge_kept $BIG 1 client:1 server:1
nears=2
got=$(judge_kept $BIG 1 client:1 server:1 | grep '^not ok')
is "$(grep -c TODO <<<"$got") $(grep -vc TODO <<<"$got")" "2 2" \
	"and is excused four times, no more"
nears=0
EACH=1000000
accepted "kept: 98 % where less than 10 MB were carried" \
	judge_kept $BIG 1 client:1 server:1

EACH=$BIG
begin "five percent" 100000
put client 9500000 100 500000 100 1 2
put server 100 9500000 100 500000 1 2
refused "kept: 95 %" 4 judge_kept $BIG 1 client:1 server:1

begin untold 100000
UNTOLD=1
put client 9950000 100 50000 100 1 2
UNTOLD=0
put server 100 9950000 100 50000 1 2
refused "kept: one without an answer" 1 judge_kept $BIG 1 client:1 server:1

begin "one hop" 10200000
put client 9950000 100 50000 100 1 2
put proxy 100 9950000 $BIG 50000 1 2
put server 0 0 100 $BIG 0 0
refused "proxy: its second hop on TCP" 5 \
	judge_kept $BIG 2 client:1 proxy server:1

begin "once" 1500000
put client 9100000 0 900000 100 0 1
put server 0 9100000 100 900000 0 1
near_by "once: 91 %, but lo saw 15 %" 1 judge_once $BIG 1 client server
LO=3100000
refused "once: 91 %, but lo saw 31 %" 1 judge_once $BIG 1 client server
LO=950000
accepted "once: 91 %" judge_once $BIG 1 client server

# Eleven of 100 KB, of which the first may stay on TCP.
begin "once more" 110000
put client 1000000 0 100000 1100 0 11
put server 0 1000000 1100 100000 0 11
accepted "once: all but the first" judge_once $MID 11 client server 1
near_by "once: the first, too, was due" 2 judge_once 120000 11 client server
refused "once: and more" 2 judge_once 140000 11 client server

MODE=earned
begin earned 1000000
put client 9000000 100 1000000 100 19 38
put server 100 9000000 100 1000000 19 38
accepted "earned: 19 of 20" judge_kept $BIG 1 client:20 server:20
near_by "earned: 19 of 21" 2 judge_kept $BIG 1 client:21 server:21
refused "earned: 19 of 23" 2 judge_kept $BIG 1 client:23 server:23
accepted "earned: one exchange, moved" judge_once $BIG 38 client server
refused "earned: one exchange, not moved" 1 judge_once $BIG 50 client server

begin "two processes" 0
put client 100 200 300 400 1 2 '"fork":2,"no peer":1'
put client 10 20 30 40 1 2 '"fork":3'
is "$(sum client ring_bytes_in)" 110 "the sum over processes"
like "$(report client)" '2 processes: seen 8 .* ring in 110 ring out 220 tcp' \
	"what is reported"
is "$(stats_reasons "$R/client.stats" | tr '\n' ';')" "5 fork;1 nopeer;" \
	"the reasons, with their numbers"

MODE=tcp
NET=$real_net
for how in none flip drop double swap; do
	round "spoil-$how"
	free_port port
	serve tiny "$port" "$TINY" -t "$port"
	free_port front
	serve relay "$front" "$PYTHON" "$PROGRAMS/spoil.py" "$front" \
		"$port" $how 50000
	if [ $how = none ]; then
		accepted "get takes what is right" ok get ask client "$GET" \
			127.0.0.1 "$front" $MID
		accepted "curl takes what is right" \
			curl_docs client "http://127.0.0.1:$front" curl -- $MID
		accepted "wrk takes what is right" \
			wrk_load client "http://127.0.0.1:$front" $MID 2 1
	else
		like "$("$GET" 127.0.0.1 "$front" $MID 2>&1 & pid=$!
			sleep 0.5; kill $pid 2>/dev/null)" \
			'wrong at byte 4[0-9]{4}' \
			"$how: get says where"
		refused "$how: curl_docs sees it" 1 curl_docs client \
			"http://127.0.0.1:$front" curl -m 1 -- $MID
	fi
	stop relay
	stop tiny
done
round spoil-wrk
free_port port
serve tiny "$port" "$TINY" -t "$port"
free_port front
serve relay "$front" "$PYTHON" "$PROGRAMS/spoil.py" "$front" "$port" flip 50000
refused "flip: wrk sees it" 1 \
	wrk_load client "http://127.0.0.1:$front" $MID 2 1
stop relay
stop tiny
finish
