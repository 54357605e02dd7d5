#!/bin/bash
# Trace, table, emulate, trace again: real programs under the table that was
# written for them, and the table of that run.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/nginx.sh"
private_net "$@"
need curl nginx redis-server redis-benchmark memcached
unset KMAP_UPGRADE KMAP_RING KMAP_PEERS KMAP_STATS KMAP_TABLE KMAP_LOG
unset http_proxy https_proxy all_proxy HTTP_PROXY no_proxy
[ -e "$KMAP_RECORDER" ] || bail_out "libkmaptrace.so is not built"
cd "$WORK" || exit 99

# Paths that a run takes by chance are evidence of that run alone.
things()
{
	sed -E '/^\[path\]/,/^$/d; s/(count|calls|processes|runs) = [0-9]+/\1 = N/g' \
		"$@"
}

# trace TABLE NAME PORT COMMAND...: a traced server, in the background
traced()
{
	local table=$1 name=$2 port=$3
	shift 3
	start "$name" "${BEFORE[@]}" "$KMAP_TRACE" -q -o "$table" "$@"
	wait_port "$port" "$name"
}
BEFORE=()

# cycle NAME PORT LOAD -- COMMAND...: LOAD is a function, run as the client
cycle()
{
	local name=$1 port=$2 load=$3
	shift 4
	traced "$name.1" "$name" "$port" "$@" || return
	$load plain
	stop "$name"
	ok "$name: a table" "$KMAP_TRACE" --check "$name.1"
	like "$(grep -c '^decision = "emulate"' "$name.1")" '[1-9]' \
		"$name: something may move"
	traced "$name.2" "$name" "$port" "$@" || return
	$load plain
	stop "$name"
	ok "$name: the same table again" \
		diff -u <(things "$name.1") <(things "$name.2")
	: >"$name.stats"
	chmod 666 "$name.stats"
	start "$name" kmap_env KMAP_UPGRADE=now KMAP_LOG="warn:$PWD/$name.warn" \
		KMAP_STATS="$PWD/$name.stats" KMAP_TABLE="$PWD/$name.1" "$@"
	wait_port "$port" "$name" || return
	$load kmap
	stop "$name"
	local ring tcp
	ring=$(stats_sum "$name.stats" ring_bytes_out)
	tcp=$(stats_sum "$name.stats" tcp_bytes_out)
	holds "$ring > 9 * $tcp" "$name: its bytes go by rings" ||
		diag "ring $ring, tcp $tcp," \
			"$(stats_reasons "$name.stats" | tr '\n' ';')"
	is "$(stats_reasons "$name.stats" | grep -E 'table|unknown')" "" \
		"$name: the table knows all of it"
	is "$(cat "$name.warn")" "" "$name: nothing is logged"
	# The recorder before the library: it sees what the program does, not
	# what becomes of it.
	kmap_words
	BEFORE=(env KMAP_UPGRADE=now KMAP_TABLE="$PWD/$name.1"
		"LD_PRELOAD=$(kmap_preload)")
	traced "$name.3" "$name" "$port" "$@" || return
	BEFORE=()
	$load kmap
	stop "$name"
	ok "$name: and the table of that is the same" \
		diff -u <(things "$name.1") <(things "$name.3")
}

# client plain|kmap COMMAND...
client()
{
	local how=$1
	shift
	if [ "$how" = kmap ]; then
		within 30 kmap_env KMAP_UPGRADE=now "$@"
	else
		within 30 "$@"
	fi >client.out 2>&1 || diag "$(tail -n 5 client.out)"
}

bench()
{
	client "$1" redis-benchmark -p "$REDIS" -n 4000 -c 3 -d 400 -t set,get -q
}

page()
{
	# TCP's buffers grow with a client that is fast, and would never fill.
	local slow=()
	[ "$1" = kmap ] || slow=(--limit-rate 100M)
	client "$1" curl -sS "${slow[@]}" "http://127.0.0.1:$NGINX/doc" \
		"http://127.0.0.1:$NGINX/doc" -o one -o two
	cmp one two && cmp one html/doc
}

store()
{
	client "$1" "$PYTHON" -c '
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
f = b"x" * 3000
for i in range(300):
    s.sendall(b"set k 0 0 3000\r\n" + f + b"\r\n")
    assert s.recv(100) == b"STORED\r\n"
    s.sendall(b"get k\r\n")
    n = 0
    while n < 16 + 3000 + 2 + 5:
        n += len(s.recv(4096))
' "$MEMCACHED"
}

free_port REDIS
cycle redis "$REDIS" bench -- redis-server --port "$REDIS" \
	--bind 127.0.0.1 --save ''

free_port NGINX
mkdir html
chmod 755 html
# More than any buffer holds: it waits for room, on TCP and on rings.
head -c 30000000 /dev/urandom >html/doc
nginx_conf "$WORK/nginx.conf" "$NGINX" "root $WORK/html;"
cycle nginx "$NGINX" page -- nginx -c "$WORK/nginx.conf"

free_port MEMCACHED
user=()
[ "$(id -u)" != 0 ] || user=(-u root)
cycle memcached "$MEMCACHED" store -- memcached -l 127.0.0.1 \
	-p "$MEMCACHED" -U 0 -t 2 "${user[@]}"

# A program with a seccomp filter: its table keeps the library out.
STRICT=$builddir/table/strict
[ -x "$STRICT" ] || bail_out "$STRICT is not built"
for how in connect allow; do
	free_port PORT
	start listener kmap_env KMAP_UPGRADE=now "$STRICT" listen "$PORT"
	wait_port "$PORT" listener
	ok "$how is traced" "$KMAP_TRACE" -q -o $how.kmap "$STRICT" $how "$PORT"
	ended listener
	free_port PORT
	start listener kmap_env KMAP_UPGRADE=now KMAP_STATS="$PWD/$how.stats" \
		"$STRICT" listen "$PORT"
	wait_port "$PORT" listener
	sed -i "s/^address = .*/address = \"127.0.0.1:$PORT\"/" $how.kmap
	ok "$how under its table" kmap_env KMAP_UPGRADE=now \
		KMAP_TABLE="$PWD/$how.kmap" "$STRICT" $how "$PORT"
	ended listener
done
is "$(grep '^inert' connect.kmap allow.kmap)" "connect.kmap:inert = false
allow.kmap:inert = true" "who installs a filter is inert"
holds "$(stats_sum connect.stats ring_bytes_in) > 1000 && $(stats_sum allow.stats ring_bytes_in) == 0" "and so it stays on TCP"

finish
