# What the tests of real programs (t5xxx) share. Such a test begins with
#
#	#!/bin/bash
#	. "${srcdir:-$(dirname "$0")}/lib.sh"
#	. "$srcdir/programs/lib.sh"
#	programs "$@"
#
# and runs the same load in three modes:
#
#	tcp	no preload: the reference, and the proof that the witness (the
#		byte counter of lo) sees what goes over TCP
#	kmap	both sides preloaded, KMAP_UPGRADE=now
#	earned	both sides preloaded, the environment unset
#
# By hand, from the build's t directory, the modes that are wanted and what
# was counted, kept:
#
#	KMAP_MODES="tcp kmap" KMAP_KEEP=1 $srcdir/t5010-tiny.t
#
# A load is a *round*: servers are started, programs ask them, all end, and
# then the shares are judged by both ends' statistics and by lo.

TINY=$builddir/tiny
GET=$builddir/get
PROGRAMS=$srcdir/programs
MODES=${KMAP_MODES:-tcp kmap earned}
MODE=
BIG=10000000
MID=100000
SMALL=700

# programs "$@": the start of a test of programs
programs()
{
	private_net "$@"
	need curl cmp sha256sum
	[ -x "$TINY" ] || bail_out "$TINY is not built"
	case $MODES in
	tcp) ;;
	*) [ -e "$KMAP_LIB" ] || bail_out "$KMAP_LIB is not built" ;;
	esac
	[ "$NET" = private ] ||
		diag "no private network namespace: lo is no witness here"
	# The environment is part of what a mode means.
	unset KMAP_UPGRADE KMAP_RING KMAP_PEERS KMAP_STATS
	unset http_proxy https_proxy all_proxy HTTP_PROXY no_proxy
	DOCS=$WORK/docs
	mkdir "$DOCS"
	"$TINY" -o $SMALL >"$DOCS/$SMALL"
	"$TINY" -o $MID >"$DOCS/$MID"
	"$TINY" -o $BIG >"$DOCS/$BIG"
}

# in_modes FUNCTION: call it in each mode that is asked for
in_modes()
{
	for MODE in $MODES; do
		unset KMAP_UPGRADE
		case $MODE in
		tcp | earned) ;;
		kmap) export KMAP_UPGRADE=now ;;
		*) bail_out "no mode '$MODE'" ;;
		esac
		mkdir -p "$WORK/$MODE"
		"$@"
		stop_all
	done
	unset KMAP_UPGRADE
}

# full: this mode runs everything; the two others leave out what takes long
# and says nothing new
full()
{
	[ "$MODE" = kmap ] || [ -n "${KMAP_LONG-}" ]
}

## Rounds

# round NAME: begin a round
round()
{
	ROUND=$1
	R=$WORK/$MODE/$1
	EACH=$BIG
	mkdir -p "$R"
	LO=0
	LO_START=$(lo_bytes)
}

# side_words SIDE: the words before a command in the present mode; statistics
# go to a file for each side. A program may give up root before it ends, and
# children of other uids may start: so everybody may append.
side_words()
{
	if [ "$MODE" = tcp ]; then
		plain_words
		return
	fi
	[ -e "$R/$1.stats" ] || {
		: >"$R/$1.stats"
		chmod 666 "$R/$1.stats"
	}
	kmap_words
	KMAP_WORDS+=("KMAP_STATS=$R/$1.stats")
}

# What stands before the words above, so that it runs without the library:
# setpriv or unshare.
BEFORE=()

# serve SIDE PORT COMMAND...: start a server in the present mode and wait
# until it listens; PORT may be - for none
serve()
{
	local side=$1 port=$2
	shift 2
	side_words "$side"
	start "$side" "${BEFORE[@]}" "${KMAP_WORDS[@]}" "$@"
	[ "$port" = - ] || wait_port "$port" "$side" || {
		fail "$(label "$side starts")"
		return 1
	}
}

# ask SIDE COMMAND...: run a client in the present mode, stdout is the
# caller's; its stderr is kept
ask()
{
	local side=$1 rc=0
	shift
	side_words "$side"
	within "${ASK_LIMIT:-25}" "${BEFORE[@]}" "${KMAP_WORDS[@]}" "$@" \
		2>>"$R/$side.err" || rc=$?
	if [ $rc != 0 ]; then
		{
			diag "$(label "$side"): exit status $rc of: $*"
			diag "$(tail -n 15 "$R/$side.err")"
		} >&2
	fi
	return $rc
}

# ask_plain COMMAND...: an ordinary client, without the library in any mode
ask_plain()
{
	plain_words
	within "${ASK_LIMIT:-25}" "${KMAP_WORDS[@]}" "$@"
}

# lo_stop: what lo carried since the round began, before the servers end
lo_stop()
{
	LO=$(($(lo_bytes) - LO_START))
}

# What servers say when a part of them dies, though they go on.
DEATHS='exited on signal|was sent SIG(SEGV|BUS|ABRT|ILL|FPE)|BUG REPORT'
DEATHS="$DEATHS|Caught Segmentation|Caught Aborted|assert failure"
DEATHS="$DEATHS|AddressSanitizer|runtime error:|Fatal Python error"

# round_end SIDE...: the clients are done; note what lo carried, then end the
# servers, the first named first, so that each writes its statistics. None
# may have died before, none of its children, and all must end when told to.
round_end()
{
	local side bad
	lo_stop
	for side; do
		bad=
		running "$side" || bad="had died"
		stop "$side" "${STOP_SIGNAL:-TERM}" || bad="did not end"
		case $STATUS in
		13[2-9]) bad="ended with status $STATUS" ;;
		esac
		! grep -aqsE "$DEATHS" "$WORK/$side.log" "$R/$side.err" ||
			bad="speaks of death"
		if [ -n "$bad" ]; then
			fail "$(label "$side $bad")"
			show_log "$side"
			[ ! -s "$R/$side.err" ] ||
				diag "$(tail -n 20 "$R/$side.err")"
		fi
	done
}

label()
{
	echo "$MODE: $ROUND: $*"
}

# drop_uid: true if servers started here can give up root for nobody
drop_uid()
{
	[ "$(id -u)" = 0 ] &&
		grep -Eq '^ +0 +0 +4294967295$' /proc/self/uid_map
}

## Bodies

# same FILE FILE NAME: byte for byte
same()
{
	if cmp -s "$1" "$2"; then
		pass "$(label "$3")"
	else
		fail "$(label "$3")"
		diag "$(cmp "$1" "$2" 2>&1; ls -l "$1" "$2" 2>&1)"
		return 1
	fi
}

# as_on_tcp FILE NAME: what FILE holds is what the round of the same name got
# on TCP. Where that was not run, there is nothing to compare.
as_on_tcp()
{
	local ref=$WORK/tcp/$ROUND/${1##*/}
	[ "$MODE" = tcp ] || [ ! -e "$ref" ] || same "$1" "$ref" "$2"
}

# curl_docs SIDE URL-WITHOUT-NAME NAME OPTION... -- SIZE...: get documents on
# kept-alive connections; whole answers are compared with those on TCP, except
# for what tells the time, and the bodies with the documents
curl_docs()
{
	local side=$1 url=$2 name=$3 opts=() size i=0 args=() bad=0
	shift 3
	while [ "$1" != -- ]; do
		opts+=("$1")
		shift
	done
	shift
	for size; do
		i=$((i + 1))
		args+=(-o "$R/$name.$i" "$url/$size")
	done
	ask "$side" curl -sS -f -D "$R/$name.heads" "${opts[@]}" \
		"${args[@]}" || {
		fail "$(label "$name")"
		return 1
	}
	i=0
	for size; do
		i=$((i + 1))
		cmp "$R/$name.$i" "$DOCS/$size" >>"$R/$name.cmp" 2>&1 || bad=1
		rm -f "$R/$name.$i"
	done
	if [ $bad = 0 ]; then
		pass "$(label "$name: $i bodies are right")"
	else
		fail "$(label "$name: $i bodies are right")"
		diag "$(head -n 5 "$R/$name.cmp")"
	fi
	sed -i -E '/^(date|last-modified|etag|x-envoy-upstream-service-time):/Id' \
		"$R/$name.heads"
	as_on_tcp "$R/$name.heads" "$name: heads are as on TCP"
}

# wrk_load SIDE URL SIZE CONNECTIONS SECONDS [WRK-OPTION...]: wrk compares
# each body. Sets WRK_REQUESTS, WRK_BYTES (heads and bodies) and EACH (bytes
# for each connection), for the judges.
wrk_load()
{
	local side=$1 url=$2 size=$3 conns=$4 secs=$5 out bad
	shift 5
	WRK_REQUESTS=0 WRK_BYTES=0
	out=$(DOC=$DOCS/$size ask "$side" wrk -t1 -c"$conns" -d"${secs}s" \
		--timeout 10s -s "$PROGRAMS/check.lua" "$@" "$url/$size") || {
		fail "$(label "wrk of $size bytes")"
		return 1
	}
	read -r WRK_REQUESTS WRK_BYTES bad < <(
		sed -n 's/^checked //p' <<<"$out")
	EACH=$((WRK_BYTES / conns))
	diag "$(label "wrk: $conns connections, $size bytes:" \
		"$(awk "BEGIN { print int($WRK_REQUESTS / $secs) }")" \
		"requests/s, $WRK_BYTES bytes")"
	if [ "${WRK_REQUESTS:-0}" -gt 0 ] && [ "$bad" = 0 ]; then
		pass "$(label "wrk of $size bytes: each answer is right")"
	else
		fail "$(label "wrk of $size bytes: each answer is right")"
		diag "requests $WRK_REQUESTS, wrong or failed $bad"
		diag "$out"
	fi
}

## Shares

# sum SIDE KEY
sum()
{
	stats_sum "$R/$1.stats" "$2"
}

# report SIDE...: what the statistics say, as diagnostics; and no connection
# is without an answer. (One that a fork shared has an answer of each process.)
report()
{
	local side why seen up reasons
	[ "$MODE" != tcp ] || return 0
	for side; do
		diag "$(label "$side:" "$(report_line "$R/$side.stats")")"
		why=$(stats_reasons "$R/$side.stats" | tr '\n' ';')
		[ -z "$why" ] || diag "$(label "$side: not upgraded: $why")"
		seen=$(sum "$side" connections_seen)
		up=$(sum "$side" connections_upgraded)
		reasons=$(stats_reasons "$R/$side.stats" |
			awk '{ n += $1 } END { print n + 0 }')
		holds "$seen <= $up + $reasons" \
			"$(label "$side: upgraded, or a reason why not")" ||
			diag "$seen seen, $up upgraded, $reasons reasons"
	done
}

# report_line FILE
report_line()
{
	cat "$1" 2>/dev/null | awk '
	function get(key)
	{
		if (match($0, "\"" key "\": ?[0-9]+"))
			return substr($0, RSTART + length(key) + 3,
				RLENGTH - length(key) - 3) + 0
		return 0
	}
	{
		for (i = 1; i <= n; i++)
			sum[i] += get(key[i])
	}
	BEGIN {
		n = split("connections_seen connections_paired " \
			"connections_upgraded directions_up " \
			"directions_down bounces spills ring_bytes_in " \
			"ring_bytes_out tcp_bytes_in tcp_bytes_out", key)
	}
	END {
		printf "%d processes:", NR
		for (i = 1; i <= n; i++) {
			name = key[i]
			sub(/^(connections|directions)_/, "", name)
			sub(/_bytes_/, " ", name)
			printf " %s %.0f", name, sum[i]
		}
	}'
}

# percent PART WHOLE
percent()
{
	awk "BEGIN { printf \"%.2f\", $2 ? 100 * $1 / $2 : 0 }"
}

# share WANTED NEAR NAME: a share that depends on when the other end was
# scheduled. Missed, but near what is wanted, it is a known difference
# (t/known); far from it, or for the NEAR_MAXth time in this test, it fails.
NEAR_MAX=5
nears=0
share()
{
	if awk "BEGIN { exit !($1) }" || ! awk "BEGIN { exit !($2) }" ||
		[ $((nears += 1)) -ge $NEAR_MAX ]; then
		holds "$1" "$3"
	else
		holds "$1" "$3 (near)"
	fi
}

# near PERCENT: how much is near it: 96 for 99, 85 for 95, 70 for 90
near()
{
	case $1 in 99) echo 96 ;; 95) echo 85 ;; *) echo $(($1 - 20)) ;; esac
}

# moved SIDE in|out BYTES PERCENT: that many percent of the bytes that the
# client knows of went over rings, by this side's own count
moved()
{
	local ring
	ring=$(sum "$1" ring_bytes_"$2")
	share "$ring >= $4 / 100 * $3" "$ring >= $(near "$4") / 100 * $3" \
		"$(label "$1: $4 % of $3 bytes $2 by ring")" ||
		diag "$(percent "$ring" "$3") %: $ring of $3"
}

# kept_out SIDE in|out PERCENT: of all that this side has moved in this
# direction, as it counted itself, no more than the rest went over TCP
kept_out()
{
	local ring tcp
	ring=$(sum "$1" ring_bytes_"$2")
	tcp=$(sum "$1" tcp_bytes_"$2")
	share "$ring > 0 && $ring >= $3 / 100 * ($ring + $tcp)" \
		"$ring > 0 && $ring >= $(near "$3") / 100 * ($ring + $tcp)" \
		"$(label "$1: $3 % of its own count $2 by ring")" ||
		diag "$(percent "$ring" $((ring + tcp))) %: ring $ring, tcp $tcp"
}

# lo_below BYTES NAME: the witness
lo_below()
{
	if [ "$NET" != private ]; then
		skip "lo is not ours alone" "$(label "lo: $2")"
		return 0
	fi
	share "$LO < $1" "$LO < 3 * $1" "$(label "lo: $2")" ||
		diag "lo carried $LO bytes; below $1 was wanted"
}

# lo_saw BYTES: on plain TCP the witness sees everything
lo_saw()
{
	if [ "$NET" != private ]; then
		skip "lo is not ours alone" "$(label "lo saw TCP's bytes")"
		return 0
	fi
	holds "$LO >= $1" "$(label "lo saw TCP's bytes")" ||
		diag "lo carried $LO bytes; $1 at least were sent"
}

# upgraded SIDE NUMBER|seen: 95 % of the connections, both directions. seen:
# of those that this side has seen, where only it knows how many there were;
# some of these may have carried little, so it does as well if what stayed on
# TCP is less than 1 MB for each that stayed there, and 5 % of the rest: what
# the others sent before they had earned it.
upgraded()
{
	local n=$2 up left=-1
	up=$(sum "$1" connections_upgraded)
	[ "$n" != seen ] || {
		n=$(sum "$1" connections_seen)
		left=$(((n - up) * 1000000 + $(sum "$1" ring_bytes_out) / 20 -
			$(sum "$1" tcp_bytes_out)))
	}
	share "$up > 0 && ($up >= 0.95 * $n || $left >= 0)" \
		"$up > 0 && $up >= $(near 95) / 100 * $n" \
		"$(label "$1: 95 % of ${2/seen/its} connections upgraded")" ||
		diag "$up of $n"
}

# went_up SIDE NUMBER: 95 % of the connections of one exchange have moved the
# direction that carries the body; the other one had nothing left to say
went_up()
{
	share "$(sum "$1" directions_up) >= 0.95 * $2" \
		"$(sum "$1" directions_up) >= $(near 95) / 100 * $2" \
		"$(label "$1: 95 % of $2 connections moved")" ||
		diag "$(sum "$1" directions_up) of $2"
}

# The judges. Arguments: BYTES the bodies (and perhaps heads) that the client
# got in this round; HOPS the connections that each byte passed; then CLIENT:N
# and SERVER:N (N may be seen), sides with the number of connections that they
# had with their clients or servers; proxies lie between.

# judge_kept BYTES HOPS CLIENT:N [PROXY...] SERVER:N: connections that were
# kept alive and carried 10 MB or more each. A proxy is named without number.
# A slow machine may not carry 10 MB of small answers in a round that ends by
# the clock (EACH says so): then 90 % must do.
judge_kept()
{
	local bytes=$1 hops=$2 client=$3 server part=99 rest
	[ "$EACH" -ge $BIG ] || part=90
	rest=$((bytes * hops * (part == 99 ? 2 : 10) / 100))
	shift 3
	server=${!#}
	report "${client%:*}" "${@%:*}"
	case $MODE in
	tcp)
		lo_saw $((bytes * hops))
		;;
	kmap)
		judge_kept_sides "$bytes" $part "$client" "$@"
		lo_below $rest \
			"below $rest of $bytes bytes in $hops hops"
		;;
	earned)
		# The promise is about connections of more than 1 MB.
		if [ "$EACH" -gt 1000000 ]; then
			upgraded "${client%:*}" "${client#*:}"
			upgraded "${server%:*}" "${server#*:}"
		fi
		diag "$(label "lo carried $(percent $LO $((bytes * hops))) %")"
		;;
	esac
}

judge_kept_sides()
{
	local bytes=$1 part=$2 client=$3 side
	shift 3
	moved "${client%:*}" in "$bytes" "$part"
	kept_out "${client%:*}" in "$part"
	for side; do
		moved "${side%:*}" out "$bytes" "$part"
		kept_out "${side%:*}" out "$part"
		[ "$side" = "${side%:*}" ] || continue
		moved "$side" in "$bytes" "$part"
		kept_out "$side" in "$part"
	done
}

# other_hop SIDE: what this side got by TCP belongs to a hop that is not
# judged together with what follows
other_hop()
{
	[ "$MODE" = tcp ] || LO=$((LO - $(sum "$1" tcp_bytes_in)))
}

# judge_once SIZE COUNT CLIENT SERVER [FREE]: COUNT connections of one
# exchange each, with bodies of SIZE; the first FREE of them (0) may stay on
# TCP, because the two processes had not met before.
judge_once()
{
	local size=$1 count=$2 client=$3 server=$4 free=${5:-0} due
	due=$(((count - free) * size))
	report "$client" "$server"
	case $MODE in
	tcp)
		lo_saw $((size * count))
		;;
	kmap)
		moved "$client" in $due 90
		moved "$server" out $due 90
		# A connection costs lo some 1.5 KB before a body is sent.
		lo_below $((free * size + due / 10 + count * 3000)) \
			"below 10 % of what could move"
		;;
	earned)
		[ "$size" -le 1000000 ] || {
			went_up "$server" "$count"
		}
		diag "$(label "lo carried $(percent $LO $((size * count))) %")"
		;;
	esac
}
