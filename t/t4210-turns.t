#!/bin/bash
# The processes of a server that share nothing take connections strictly in
# turn: each of them gets a link, and from then on every connection is paired,
# though the one before it was always another process's.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need "$PYTHON"
export KMAP_UPGRADE=now
procs=3 conns=30
plan 4

cat >"$WORK/server.py" <<'END'
import os, socket, sys
n, conns = int(sys.argv[2]), int(sys.argv[3])
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen(8)
turns = [os.pipe() for i in range(n)]
for i in range(n):
    if os.fork():
        continue
    for k in range(conns // n):
        os.read(turns[i][0], 1)
        c = l.accept()[0]
        # Not before the next one: it would take this one's turn.
        c.recv(100)
        os.write(turns[(i + 1) % n][1], b"t")
        c.sendall(b"x" * 100000)
        while c.recv(100):
            pass
        c.close()
    sys.exit()
os.write(turns[0][1], b"t")
with open(sys.argv[1] + ".new", "w") as f:
    f.write(str(l.getsockname()[1]) + "\n")
os.rename(sys.argv[1] + ".new", sys.argv[1])
for i in range(n):
    os.wait()
END
cat >"$WORK/client.py" <<'END'
import socket, sys
bad = 0
for i in range(int(sys.argv[2])):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(b"request")
    # Few calls: there is no time to look for another process.
    bad += len(s.recv(100000, socket.MSG_WAITALL)) != 100000
    s.close()
print(bad)
END

start server kmap_env KMAP_STATS="$WORK/server.json" "$PYTHON" \
	"$WORK/server.py" "$WORK/port" $procs $conns
port=$(port_of "$WORK/port")
is "$(KMAP_STATS=$WORK/client.json within 30 kmap_env "$PYTHON" \
	"$WORK/client.py" "$port" $conns)" 0 "every answer"
# Its processes end by themselves, and each says what it had.
for ((i = 0; i < 200; i++)); do
	[ "$(wc -l <"$WORK/server.json")" -le $procs ] || break
	sleep 0.05
done
stop server
paired=$(stats_sum "$WORK/client.json" connections_paired)
is "$(stats_sum "$WORK/client.json" connections_seen)" $conns "in $conns"
is "$(grep -c '"connections_seen":'$((conns / procs)) \
	"$WORK/server.json")" $procs "they took turns"
# Each misses its first ones, in which it meets the client.
holds "$paired >= $conns - 2 * $procs" "each process paired: $paired of $conns"
finish
