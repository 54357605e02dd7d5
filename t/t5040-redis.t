#!/bin/bash
# redis-server with redis-cli, whose values are compared, and with 50 clients
# of redis-benchmark, pipelined and not; with one thread and with I/O threads.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
need redis-server redis-cli redis-benchmark

redis()
{
	free_port PORT
	serve redis "$PORT" redis-server --port "$PORT" --bind 127.0.0.1 \
		--save '' --appendonly no --dir "$R" "$@"
}

cli()
{
	ask client redis-cli -h 127.0.0.1 -p "$PORT" "$@"
}

values()
{
	local i
	round values
	redis || return
	is "$(cli -x set big <"$DOCS/$BIG")" OK "$(label "10 MB are set")"
	for i in 1 2 3; do
		echo "get big"
		echo "strlen big"
	done >"$R/commands"
	cli <"$R/commands" >"$R/got"
	for i in 1 2 3; do
		cat "$DOCS/$BIG"
		printf '\n%d\n' $BIG
	done | cmp - "$R/got" >"$R/cmp" 2>&1
	is "$?" 0 "$(label "10 MB come back, three times")"
	round_end redis
	rm -f "$R/got"
	judge_kept $((3 * BIG)) 1 client:2 redis:2
	[ "$MODE" != kmap ] || moved redis in $BIG 90
}

# 2,000 values of 5,000 bytes, each its own slice of a document, in and out
# through one connection.
many()
{
	local i
	round many
	redis || return
	"$PYTHON" - "$DOCS/$BIG" "$R/in" "$R/out" "$R/want" <<-'END'
	import sys
	doc = open(sys.argv[1], 'rb').read().replace(b'\n', b'\0')
	put, get, want = (open(p, 'wb') for p in sys.argv[2:])
	for i in range(2000):
	    v = doc[i * 5000:i * 5000 + 5000]
	    k = b'k%d' % i
	    put.write(b'*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$5000\r\n%s\r\n'
	              % (len(k), k, v))
	    get.write(b'get %s\n' % k)
	    want.write(v + b'\n')
	END
	like "$(cli --pipe <"$R/in")" 'errors: 0, replies: 2000' \
		"$(label "mass insertion")"
	cli <"$R/out" >"$R/got"
	same "$R/got" "$R/want" "2,000 values come back"
	round_end redis
	rm -f "$R"/{in,out,got,want}
	judge_kept $BIG 1 client:2 redis:2
}

# bench NAME PIPELINE REQUESTS SIZE [SERVER-OPTION...]: 50 connections set,
# and another 50 get, that many values
bench()
{
	local name=$1 pipe=$2 n=$3 size=$4 out
	shift 4
	# 10 MB for each connection matter in the full run alone.
	full || n=$((n / 4))
	round "$name"
	redis "$@" || return
	EACH=$((n * size / 50))
	out=$(ask client redis-benchmark -h 127.0.0.1 -p "$PORT" -c 50 \
		-P "$pipe" -n "$n" -d "$size" -r 100 -t set,get --csv)
	like "$out" '"SET".*"GET"' "$(label "redis-benchmark runs")"
	diag "$(label "requests/s:" \
		"$(awk -F'"' '/SET|GET/ { print $2, $4 }' <<<"$out" |
			tr '\n' ' ')")"
	is "$(cli config get maxclients | tail -n 1)" 10000 \
		"$(label "redis-cli beside it")"
	round_end redis
	# The answers of GET; what SET sends is as much.
	judge_kept $((n * size)) 1 client:100 redis:100
	[ "$MODE" != kmap ] || moved redis in $((n * size)) \
		$((EACH < BIG ? 90 : 99))
}

all()
{
	values
	many
	bench single 1 32000 16000
	bench pipelined 16 40000 16000
	bench small 16 100000 64
	! full ||
		bench threads 16 40000 16000 --io-threads 3 \
			--io-threads-do-reads yes
}

in_modes all
finish
