#!/bin/bash
# Who takes a moved connection's socket from outside (pidfd_getfd), and writes
# into it, is noticed at the other end: a reset with a line in the log, never
# wrong bytes.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need "$PYTHON"
export KMAP_UPGRADE=now

cat >"$WORK/client.py" <<'END'
import os, socket, subprocess, sys, time
taker = '''
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.syscall(438, os.pidfd_open(int(sys.argv[1])), int(sys.argv[2]), 0)
if fd < 0:
    sys.exit(77)
if sys.argv[3] == "write":
    os.write(fd, b"stray")
'''
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
# What another process writes is not to wait for an ACK.
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
sent = bytearray()
got = bytearray()
def rounds(n):
    for i in range(n):
        b = os.urandom(100)
        sent.extend(b)
        s.sendall(b)
        while len(got) < len(sent):
            r = s.recv(1000)
            if not r:
                return "the end"
            got.extend(r)
    return "well"
end = rounds(50)
env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
rc = subprocess.run([sys.executable, "-c", taker, str(os.getpid()),
                     str(s.fileno()), sys.argv[2]], env=env).returncode
if rc:
    sys.exit(rc)
time.sleep(0.1)
if end == "well":
    try:
        end = rounds(50)
    except OSError as e:
        end = type(e).__name__
print(end, "right" if sent.startswith(got) else "WRONG")
END

start server kmap_env KMAP_STATS="$WORK/server.json" \
	KMAP_LOG="error:$WORK/log" "$builddir/fault/serve" echo "$WORK/port"
port=$(port_of "$WORK/port")
got=$(KMAP_STATS=$WORK/look.json within 20 kmap_env "$PYTHON" \
	"$WORK/client.py" "$port" look)
[ $? != 77 ] || need_failed "pidfd_getfd is not allowed here"
plan 5
is "$got" "well right" "a copy that is only held does no harm"
is "$(stats_sum "$WORK/look.json" connections_upgraded)" 1 "it had moved"
got=$(KMAP_STATS=$WORK/write.json within 20 kmap_env "$PYTHON" \
	"$WORK/client.py" "$port" write)
like "$got" "^(ConnectionResetError|BrokenPipeError) right$" \
	"bytes past the library: a reset, and no wrong byte"
is "$(stats_sum "$WORK/write.json" connections_upgraded)" 1 "it had moved"
stop server
is "$(grep -c 'somebody wrote past the wrappers' "$WORK/log")" 1 \
	"the log says so once"
finish
