#!/bin/bash
# Programs that use no connection, or one to a stranger, run under the library
# as they do without: same output, same exit status, nothing on stderr.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 16

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || bail_out "no temporary directory"
kmap_words

# alike NAME COMMAND...: the same with and without the library.
alike()
{
	local name=$1 a=0 b=0
	shift
	timeout 30 "$@" < /dev/null > plain 2> plain.err || a=$?
	timeout 30 "${KMAP_WORDS[@]}" "$@" < /dev/null > ours 2> ours.err || b=$?
	echo "status $a" >> plain
	echo "status $b" >> ours
	# A command that fails in both shows nothing.
	[ $a = 0 ] || echo "it fails without the library, too" >> ours
	cat plain.err >> plain
	cat ours.err >> ours
	ok "$name" diff plain ours
}

# perhaps PROGRAM NAME COMMAND...: what a plain system need not have. On CI only
# Java may be missing.
perhaps()
{
	local program=$1
	shift
	if command -v "$program" > /dev/null; then
		alike "$@"
	elif [ "${CI-}" = true ] && [ "$program" != java ]; then
		bail_out "no $program here"
	else
		skip "no $program here" "$1"
	fi
}

alike "ls" ls -l /usr/share
alike "bash: pipes, subshells, substitutions, here documents" bash -c '
	seq 1000 | sort -rn | head -n 3
	(cd / && pwd); echo $(echo $(echo deep))
	cat <<< here; exec 3< /etc/passwd; read -u 3 l; echo "$l"
	for i in 1 2 3; do sleep 0.01 & done; wait; trap "echo bye" EXIT
	diff <(echo a) <(echo a) && echo same'
alike "bash: an exit status that a signal gives" bash -c '
	bash -c "kill -TERM \$\$"; echo $?'
alike "tar and gzip through a pipe" bash -c '
	tar cf - -C /usr/share/doc bash | gzip -n | gunzip | tar tf - | sort'
alike "find, xargs, grep" bash -c '
	find /etc -maxdepth 1 -type f -readable 2> /dev/null | sort |
	xargs grep -l root'
alike "awk with getline from a command" awk 'BEGIN {
	"echo x" | getline v; print v; print "y" | "cat"; close("cat")
	system("echo z") }'
alike "sqlite, threads, subprocesses, asyncio in Python" "$PYTHON" -c '
import asyncio, os, signal, sqlite3, subprocess, threading, select
db = sqlite3.connect("/dev/shm/kmap-test-%d" % os.getpid())
db.execute("create table t (x)"); db.execute("insert into t values (1)")
print(db.execute("select * from t").fetchall())
os.unlink("/dev/shm/kmap-test-%d" % os.getpid())
print(subprocess.run(["sh", "-c", "echo out; exit 3"], capture_output=True))
r = []
ts = [threading.Thread(target=lambda i=i: r.append(i)) for i in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]; print(sorted(r))
async def main():
    p = await asyncio.create_subprocess_exec("cat", stdin=-1, stdout=-1)
    print(await p.communicate(b"through"))
    s = await asyncio.start_server(
        lambda r, w: (w.write(b"hello"), w.close()), "127.0.0.1", 0)
    a, b = await asyncio.open_connection(*s.sockets[0].getsockname())
    print(await a.read()); b.close()
asyncio.run(main())
signal.signal(signal.SIGALRM, lambda *a: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.05)
select.select([], [], [], 0.2)
if os.fork() == 0: os._exit(4)
print(os.waitstatus_to_exitcode(os.wait()[1]))
print(os.popen("echo popen").read(), os.system("exit 2"))
'
alike "Python: multiprocessing passes descriptors" "$PYTHON" -c '
import multiprocessing as m, socket, os
def f(c):
    s = c.recv(); s.send(b"from the child"); s.close()
a, b = socket.socketpair()
p, q = m.Pipe(); k = m.Process(target=f, args=(q,)); k.start(); p.send(b)
print(a.recv(100)); k.join(); print(k.exitcode)
'
perhaps git "git: init, commit, log, clone" bash -c '
	rm -rf r c; export GIT_AUTHOR_DATE="1700000000 +0000"
	export GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
	export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_COMMITTER_NAME=a
	export GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_EMAIL=a@b
	git init -q -b m r && cd r && echo x > f && git add f && git commit -qm x
	git log --stat && cd .. && git clone -q file://$PWD/r c && cat c/f'
perhaps perl "perl: fork, pipe open, sockets" perl -e '
	use Socket; $| = 1; open(P, "-|", "echo piped"); print <P>;
	socketpair(A, B, AF_UNIX, SOCK_STREAM, 0);
	$p = fork; if (!$p) { syswrite(B, "child"); exit 3 }
	sysread(A, $x, 5); waitpid $p, 0; print "$x ", $? >> 8, "\n"'
perhaps node "node: files, timers, child processes, a server" node -e '
	const s = require("http").createServer((q, r) => r.end("hello"));
	s.listen(0, "127.0.0.1", () => require("http").get(
	{ port: s.address().port, host: "127.0.0.1", agent: false }, r => {
	r.on("data", d => console.log(String(d))); r.on("end", () => s.close()) }));
	console.log(String(require("child_process").execSync("echo child")))'
perhaps java "java -version" bash -c 'java -version 2>&1'
perhaps gcc "gcc compiles and the result runs" bash -c '
	echo "int main(void) { return 0; }" > m.c && gcc -o m m.c && ./m'

# A server of a stranger's, and a client of ours; and the other way.
"$PYTHON" -c '
import http.server, sys
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(*a): pass
s = http.server.HTTPServer(("127.0.0.1", 0), H)
print(s.server_address[1], flush=True); s.serve_forever()' > port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.05; done
head -c 300000 /dev/urandom > body
ok "a preloaded client of a plain server" "$PYTHON" -c '
import subprocess, sys
u = "http://127.0.0.1:%s/body" % open("port").read().strip()
got = subprocess.run(sys.argv[1:] + [u], stdout=subprocess.PIPE, timeout=20)
assert got.returncode == 0 and got.stdout == open("body", "rb").read()
' "${KMAP_WORDS[@]}" "$PYTHON" -c '
import sys, urllib.request
sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())'
kill $server 2> /dev/null
wait $server 2> /dev/null

rm -f port
"${KMAP_WORDS[@]}" "$PYTHON" -c '
import http.server, sys
class H(http.server.SimpleHTTPRequestHandler):
    def log_message(*a): pass
s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
print(s.server_address[1], flush=True); s.serve_forever()' > port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.05; done
ok "a plain client of a preloaded server" "$PYTHON" -c '
import urllib.request
u = "http://127.0.0.1:%s/body" % open("port").read().strip()
for i in range(20):
    assert urllib.request.urlopen(u).read() == open("body", "rb").read()'
kill $server 2> /dev/null
wait $server 2> /dev/null

# A thread that is cancelled in a blocking call leaves it as ever.
alike "threads cancelled in read, recv, poll, select and epoll_wait" \
	"$builddir/lint/cancel"
finish
