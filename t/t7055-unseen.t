#!/bin/bash
# What a preloaded library does not see, in small programs of each kind: named
# by --verify, and kept on TCP by the table.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need strace curl "$CC" "$PYTHON"
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
! sanitized address || skip_all "ASan's runtime wants to be first"
trace=$KMAP_TRACE
# The name of the recorder's memory goes by this name.
unset KMAP_TRACE
cd "$WORK" || exit 99
strace -f -c -o probe true 2>/dev/null || need_failed "no ptrace here"
"$CC" -O2 -w -o unseen "$srcdir/trace/unseen.c" -ldl ||
	bail_out "unseen does not compile"
plan 27

# verified PROGRAM...: its output in out, its calls in log, its table in t.kmap
verified()
{
	rm -f t.kmap
	within 60 "$trace" --verify --json log -o t.kmap "$@" >out 2>err
}

# escapes: "cause function syscall count" of each kind, sorted
escapes()
{
	"$PYTHON" - <<'END'
import collections, json
n = collections.Counter()
for line in open("log"):
    c = json.loads(line)
    if c["type"] == "call" and c["escape"]:
        n[c["escape"], c["fn"] or "-", c["sys"]] += 1
for key in sorted(n):
    print(*key, n[key])
END
}

verified ./unseen raw
is "$?, $(<out)" "0, hello" "syscall(2) past the recorder: it runs"
is "$(escapes)" "raw syscall sendto 1" "its cause"
is "$(grep -A2 '^decision = "tcp"' t.kmap | grep -E '^(reason|role)')" \
	$'reason = "raw-io"\nrole = "connect"' "that endpoint alone stays on TCP"
ok "the others may move" grep -q 'decision = "emulate"' t.kmap

verified ./unseen resolve no.such.name.invalid
is "$?, $(<out)" "0, no" "getaddrinfo: it runs"
ok "each of its calls is named by it" \
	test -z "$(escapes | grep -v '^libc getaddrinfo ')"
like "$(escapes)" "libc getaddrinfo socket [0-9]" "and there are some"

./unseen uring >out
if [ $? = 77 ]; then
	for c in 1 2 3 4; do
		skip "no io_uring here" "io_uring"
	done
else
	verified ./unseen uring
	is "$?, $(<out)" "0, hello" "an accept by io_uring: it runs"
	is "$(escapes)" "io_uring - io_uring_enter 1
io_uring - io_uring_setup 1" "its cause"
	like "$(grep '"type":"endpoint"' log)" '"origin":"escape"' \
		"no call explains what it accepted"
	is "$(grep -c 'decision = "emulate"' t.kmap)" 0 "all stays on TCP"
fi

go=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null)
cat >main.go <<'END'
package main

import "syscall"

func main() {
	l, _ := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	syscall.Bind(l, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	syscall.Listen(l, 1)
	name, _ := syscall.Getsockname(l)
	c, _ := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	syscall.Connect(c, name)
	a, _, _ := syscall.Accept(l)
	syscall.Write(c, []byte("hello"))
	b := make([]byte, 5)
	n, _ := syscall.Read(a, b)
	println(string(b[:n]))
}
END
if [ -n "$go" ] && GOCACHE=$WORK/go.cache GOTOOLCHAIN=local GO111MODULE=off \
	CGO_ENABLED=0 "$go" build -o gonet main.go 2>go.err; then
	within 60 "$trace" --json log -o t.kmap ./gonet >out 2>err
	is "$?" 0 "a Go program is followed by ptrace"
	like "$(<err)" "gonet is a Go program.*hello" "it says so, and it runs"
	is "$(escapes)" "inline - accept4 1
inline - bind 1
inline - connect 1
inline - getsockname 1
inline - listen 1
inline - read 1
inline - socket 2
inline - write 1" "each of its calls is there"
	is "$(grep -c 'decision = "emulate"' t.kmap)" 0 "all stays on TCP"
else
	# bootstrap does not install it: it is large, and optional.
	for c in 1 2 3 4; do
		skip "no Go here" "Go"
	done
fi

## An IPv4 address in IPv6's dress is what it is

free_port port
start tiny kmap_env KMAP_UPGRADE=now "$builddir/tiny" "$port"
wait_port "$port" tiny || bail_out "tiny does not listen"
within 60 "$trace" -q --json log -o t.kmap ./unseen mapped "$port"
is "$?" 0 "v4-mapped: it runs"
like "$(grep '"type":"endpoint"' log)" "\"peer\":\"127.0.0.1:$port\"" \
	"v4-mapped: the address is IPv4's"
ok "in the table, too" grep -q "^address = \"127.0.0.1:$port\"" t.kmap
within 60 kmap_env KMAP_TABLE="$WORK/t.kmap" KMAP_UPGRADE=now \
	KMAP_STATS="$WORK/stats" ./unseen mapped "$port"
holds "$(stats_sum stats ring_bytes_in) > 0" "which lets it move"

## With the library behind the recorder

curl -s "http://127.0.0.1:$port/300000" >want
rm -f stats
within 60 kmap_env KMAP_UPGRADE=now KMAP_STATS="$WORK/stats" \
	"$trace" --verify --json log -o t.kmap \
	curl -s "http://127.0.0.1:$port/300000" >out 2>err
ok "--verify before the library: the same bytes" cmp want out
holds "$(stats_sum stats ring_bytes_in) > 0" "by shared memory"
is "$("$PYTHON" -c '
import json
lines = [json.loads(l) for l in open("log")]
tcp = {l["id"] for l in lines if l["type"] == "endpoint" and l["kind"] == "tcp"}
print(sum(l["endpoint"] in tcp and bool(l["escape"]) for l in lines
          if l["type"] == "call"))')" 0 "none of its connection's calls escapes"

## A stack that came before is not walked again

cat >audit.c <<'END'
/* How often libunwind is asked to walk. */
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int (*real)(void *, void *);
static unsigned long walks;

static int
init_local(void *cursor, void *context)
{
	__atomic_fetch_add(&walks, 1, __ATOMIC_RELAXED);
	return real(cursor, context);
}

unsigned int
la_version(unsigned int version)
{
	return version;
}

unsigned int
la_objopen(struct link_map *map, Lmid_t lmid, uintptr_t *cookie)
{
	return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

uintptr_t
la_symbind64(Elf64_Sym *sym, unsigned int ndx, uintptr_t *from, uintptr_t *to,
	unsigned int *flags, const char *name)
{
	if (strncmp(name, "_UL", 3) || !strstr(name, "_init_local"))
		return sym->st_value;
	real = (void *)sym->st_value;
	return (uintptr_t)init_local;
}

__attribute__((destructor)) static void
tell(void)
{
	if (walks)
		dprintf(2, "walks %lu\n", walks);
}
END
if [ "$(uname -m)" = x86_64 ]; then
	"$CC" -shared -fPIC -w -o audit.so audit.c || bail_out "no compiler"
	cat >loop.py <<'END'
import socket
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen()
c = socket.create_connection(l.getsockname())
a = l.accept()[0]
for i in range(5000):
    c.send(b"hello")
    a.recv(5)
END
	LD_AUDIT=$WORK/audit.so within 60 "$trace" -o t.kmap "$PYTHON" loop.py \
		2>err
	walks=$(sed -n 's/^walks //p' err | sort -n | tail -n 1)
	calls=$(sed -n 's/.*: \([0-9]*\) calls of .*/\1/p' err)
	diag "$walks walks for $calls calls"
	holds "${walks:-0} > 0 && ${walks:-0} < ${calls:-0} / 100" \
		"99 of 100 come from the cache"
else
	skip "the audit is written for x86-64" "the cache of stacks"
fi

# What another user executes: the recorder's memory is not his.
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	free_port port
	start tiny plain_env "$builddir/tiny" "$port"
	wait_port "$port" tiny || bail_out "tiny does not listen"
	as="setpriv --reuid 65534 --regid 65534 --clear-groups"
	# shellcheck disable=SC2086
	"$trace" -o t.kmap $as curl -s "http://127.0.0.1:$port/10" >out 2>err
	like "$(<err)" "curl was executed as another user.*use --verify" \
		"another user's program: the report says so"
	like "$(<err)" "no network endpoint that was seen" "no more than it knows"
	# shellcheck disable=SC2086
	verified $as curl -s "http://127.0.0.1:$port/10"
	is "$(escapes | grep -c " sendto ")" 0 \
		"--verify: a preloaded library would see what it calls"
	is "$(grep -c "^address = \"127.0.0.1:$port\"" t.kmap) $(
		sed -n '/^address = "127.0.0.1:/,/^$/s/^decision = //p' t.kmap)" \
		'1 "emulate"' "and could move it"
else
	skip "not root" "another user's program"
	skip "not root" "what is known of it"
	skip "not root" "--verify"
	skip "not root" "its connection"
fi

finish
