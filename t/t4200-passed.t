#!/bin/bash
# An epoll set that a fork shares, and one of the two passes it on: its maker
# can give it back to the kernel; a child, which knows nothing of what was added
# since, is refused until then.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need "$PYTHON"
export KMAP_UPGRADE=now

cat >"$WORK/client.py" <<'END'
import errno, os, select, socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
ep = select.epoll()
ep.register(s, select.EPOLLIN)
for i in range(50):
    s.sendall(b"x" * 100)
    n = 0
    while n < 100:
        ep.poll()
        n += len(s.recv(100))
a, b = socket.socketpair()

def passed(fd):
    try:
        socket.send_fds(a, [b"x"], [fd])
        return "passed"
    except OSError as e:
        return errno.errorcode[e.errno]

def seen():
    _, fds, _, _ = socket.recv_fds(b, 1, 1)
    end = select.epoll.fromfd(fds[0])
    r = end.poll(5, 1)
    end.close()
    return "well" if r == [(s.fileno(), select.EPOLLIN)] else r

def in_child(fn):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        print("child:", fn(), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)

in_child(lambda: passed(ep.fileno()))
s.sendall(b"y" * 10)
print("parent:", passed(ep.fileno()))
print("taken:", seen())
print("own:", ep.poll(5, 1) == [(s.fileno(), select.EPOLLIN)])
in_child(lambda: passed(ep.fileno()))
print("taken:", seen())
print("bytes:", s.recv(100))
END

start server kmap_env "$builddir/fault/serve" echo "$WORK/port"
port=$(port_of "$WORK/port")
plan 2
got=$(KMAP_STATS=$WORK/stats.json within 20 kmap_env "$PYTHON" \
	"$WORK/client.py" "$port")
is "$got" "child: EBUSY
parent: passed
taken: well
own: True
child: passed
taken: well
bytes: b'yyyyyyyyyy'" "the maker passes it, a child may not before"
holds "$(stats_sum "$WORK/stats.json" connections_upgraded) > 0" "it had moved"
stop server
finish
