#!/bin/bash
# memcached with two worker threads, by clients in Python that compare each
# value, and by netcat.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
need memcached nc "$PYTHON"
export DOCS

memcached_serve()
{
	local user=root
	! drop_uid || user=nobody
	free_port PORT
	serve memcached "$PORT" memcached -l 127.0.0.1 -p "$PORT" -U 0 -t 2 \
		-m 512 -I 16m -u $user
}

load()
{
	local each=$((2 * 2 * (3000000 + MID + SMALL) + 500 * 100))

	round load
	memcached_serve || return
	is "$(ask client "$PYTHON" "$PROGRAMS/memcache.py" "$PORT" 6 2 \
		3000000 $MID $SMALL)" $((6 * each)) \
		"$(label "every value is right")"
	round_end memcached
	judge_kept $((6 * each)) 1 client:6 memcached:6
	[ "$MODE" != kmap ] || moved memcached in $((6 * 3000000)) 99
}

# netcat half-closes as soon as it has written everything, while most of the
# answer is still to come; from then on that may go over TCP.
netcat()
{
	local i
	round netcat
	memcached_serve || return
	{
		printf 'set v 0 0 %d\r\n' $BIG
		cat "$DOCS/$BIG"
		printf '\r\nget v\r\nget v\r\nquit\r\n'
	} >"$R/in"
	{
		printf 'STORED\r\n'
		for i in 1 2; do
			printf 'VALUE v 0 %d\r\n' $BIG
			cat "$DOCS/$BIG"
			printf '\r\nEND\r\n'
		done
	} >"$R/want"
	ask client nc -N 127.0.0.1 "$PORT" <"$R/in" >"$R/got"
	same "$R/got" "$R/want" "netcat: a value of 10 MB"
	round_end memcached
	rm -f "$R"/{in,want,got}
	report client memcached
	[ "$MODE" != kmap ] || moved memcached in $BIG 90
}

all()
{
	load
	netcat
}

in_modes all
finish
