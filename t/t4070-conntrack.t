#!/bin/bash
# Behind a REDIRECT conntrack forgets a connection whose carrier is silent,
# and then its FIN finds no way: the library keeps the carrier alive while the
# bytes go by rings, and the program sees its own values of SO_KEEPALIVE and
# TCP_KEEP* all the time.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need nft ip
[ "$NET" = private ] || need_failed "REDIRECT needs a network namespace"

AWAY=192.0.2.7
FORGETS=/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established
free_port PORT
ip addr add 198.51.100.1/32 dev lo &&
	ip route add 192.0.2.0/24 dev lo src 198.51.100.1 &&
	nft -f - <<-END || need_failed "no rules can be set here"
	table ip kmaptest {
		chain out {
			type nat hook output priority -90;
			ip daddr $AWAY tcp dport 80 redirect to :$PORT
		}
	}
	END
echo 3 >$FORGETS || need_failed "conntrack's time-out cannot be set here"
export KMAP_UPGRADE=now

cat >"$WORK/ends.py" <<'END'
import socket, sys, time
who, host, port, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), \
    float(sys.argv[4])
OPTIONS = ((socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT))

def values(s):
    return [s.getsockopt(*o) for o in OPTIONS]

if who == 'server':
    l = socket.socket()
    l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    l.bind((host, port))
    l.listen(4)
    s, _ = l.accept()
    while True:
        d = s.recv(1)
        if d != b'.':
            break
        s.send(d)
    # The end comes from here, when all has been silent.
    s.close()
else:
    s = socket.create_connection((host, port))
    s.settimeout(None)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    first = values(s)
    stop = time.monotonic() + seconds
    n = 0
    while time.monotonic() < stop:
        s.send(b'.')
        assert s.recv(1) == b'.'
        n += 1
        if n > 50:
            time.sleep(0.02)
        if n == 60:
            print('same' if values(s) == first else 'other', values(s))
            # What a program sets is what it gets, and what is refused.
            for o, v in zip(OPTIONS, (1, 500, 33, 5)):
                s.setsockopt(*o, v)
            print('set', values(s))
            for o, v in zip(OPTIONS[1:], (0, 40000, 128)):
                try:
                    s.setsockopt(*o, v)
                    print('taken', v)
                except OSError as e:
                    print('refused', e.errno)
            print('then', values(s))
            s.setsockopt(*OPTIONS[0], 0)
            print('off', values(s)[0])
    s.send(b'!')
    s.settimeout(8)
    try:
        print('end', s.recv(1))
    except OSError as e:
        print('no end:', e)
END

# how many connections of our own have the keep-alive timer (proc(5): tr)
probing()
{
	awk '$4 == "01" && $6 ~ /^02:/ { n++ } END { print n + 0 }' \
		/proc/net/tcp
}

ends()
{
	local name=$1
	shift
	start "$name-server" "$@" "$PYTHON" "$WORK/ends.py" server 0.0.0.0 \
		"$PORT" 0
	wait_port "$PORT" "$name-server" >&2
	start "$name-client" "$@" "$PYTHON" "$WORK/ends.py" client "$AWAY" 80 7
	sleep 3
	probes=$(probing)
	ended "$name-client" 30
	cat "$WORK/$name-client.log"
	ended "$name-server" 10 || stop "$name-server"
}

tcp=$(ends tcp plain_env; echo "probes $probes")
kmap=$(ends kmap kmap_env KMAP_STATS="$WORK/s.json"; echo "probes $probes")
diag "tcp: $tcp"
diag "kmap: $kmap"
is "$(grep -v probes <<<"$kmap")" "$(grep -v probes <<<"$tcp")" \
	"the program sees its own options, and the end"
like "$kmap" "end b''" "the FIN found its way"
is "$(sed -n 's/probes //p' <<<"$kmap")" 2 "both carriers are kept alive"
is "$(sed -n 's/probes //p' <<<"$tcp")" 0 "which the program did not ask for"
is "$(stats_sum "$WORK/s.json" connections_upgraded)" 2 \
	"both ends were on rings"

# Without a translation nothing is changed.
AWAY=127.0.0.1
nft delete table ip kmaptest
start plain-server kmap_env "$PYTHON" "$WORK/ends.py" server 0.0.0.0 80 0
wait_port 80 plain-server
start plain-client kmap_env KMAP_STATS="$WORK/t.json" \
	"$PYTHON" "$WORK/ends.py" client 127.0.0.1 80 1
sleep 0.6
is "$(probing)" 0 "no probe where no address is translated"
ended plain-client 20
holds "$(stats_sum "$WORK/t.json" connections_upgraded) == 1" \
	"on rings, too"
finish
