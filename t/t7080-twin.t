#!/bin/bash
# kmap-trace --twin: programs see the same on TCP and on Kmap, and what is
# different is found and shown.
# Limit: 240 s
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/nginx.sh"
case " $KMAP_SANITIZE " in
*' address '*) skip_all "a preloaded ASan runtime tells another story" ;;
esac
private_net "$@"
need curl "$PYTHON" "$CC"
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
plan 41
cd "$WORK" || exit 99
trace=$KMAP_TRACE
export KMAP_EMU_LIB=$KMAP_LIB TMPDIR=$WORK/tmp
mkdir tmp
# The name of the recorder's memory goes by this name.
unset KMAP_TRACE

# twin OPTION... PROGRAM...: STATUS; what it said is in err
twin()
{
	within 60 "$trace" --twin "$@" >out 2>err
	STATUS=$?
}

# said REGEX NAME
said()
{
	like "$(<err)" "$1" "$2"
}

moved='on Kmap [1-9][0-9]* bytes moved by shared memory'

## Programs that see the same

free_port port
url=http://127.0.0.1:$port
for how in "" -f -t; do
	# shellcheck disable=SC2086
	twin --drive "for i in 1 2 3; do
		curl -s $url/100 $url/100000 $url/1000000; done | cksum" \
		"$builddir/tiny" $how "$port"
	is "$STATUS" 0 "tiny $how: equal"
	said 'equal: 3 connections \(3 accepted, 0 connected\), [0-9]+ bytes read and 330[0-9]+ written, what was read by its content, too; 3 ends of stream, 0 errors' \
		"tiny $how: what was compared"
	# A child for each connection meets its peer once.
	[ "$how" = -f ] || said "$moved" "tiny $how: by shared memory"
	is "$(sort -u out | wc -l)" 1 "tiny $how: the load ran twice"
done

if command -v redis-server >/dev/null && command -v redis-benchmark >/dev/null
then
	twin --drive "redis-benchmark -p $port -c 1 -n 1000 -d 500 \
		-t set,get,lrange_100 -q" \
		redis-server --port "$port" --save '' --dir "$WORK"
	is "$STATUS" 0 "redis: equal"
	said 'equal: .* by its content, too; .*the order of readiness of [1-9]' \
		"redis: what was compared"
	said "$moved" "redis: by shared memory"
else
	for i in equal compared moved; do
		lacking "no redis here" "redis: $i"
	done
fi

if command -v nginx >/dev/null; then
	mkdir www
	head -c 700000 /dev/zero >www/file
	echo hello >www/hello
	nginx_conf "$WORK/n.conf" "$port" "root $WORK/www;"
	twin --drive "curl -s $url/hello $url/file $url/hello $url/none $url/file |
		cksum; curl -s $url/hello" nginx -e n.err -c "$WORK/n.conf"
	is "$STATUS" 0 "nginx: equal"
	said 'equal: 2 connections .* read and 14[0-9]{5} written, .* by its content, too; 2 ends' \
		"nginx: what was compared"
	said "$moved" "nginx: by shared memory"
else
	for i in equal compared moved; do
		lacking "no nginx here" "nginx: $i"
	done
fi

## Programs that do not

cat >server.py <<'END'
import select, signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind(("127.0.0.1", int(sys.argv[1])))
l.listen()
while True:
    c = l.accept()[0]
    p = select.poll()
    p.register(c, select.POLLIN | select.POLLOUT)
    while True:
        (fd, ready), = p.poll()
        if ready & select.POLLOUT:
            c.send(b"hello")
            p.modify(c, select.POLLIN)
        if ready & ~select.POLLOUT:
            try:
                if not c.recv(65536, socket.MSG_DONTWAIT):
                    break
            except BlockingIOError:
                continue
            except ConnectionError:
                break
    c.close()
END
cat >client.py <<'END'
import socket, sys
for i in range(2):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    assert s.recv(5) == b"hello"
    s.sendall(bytes(range(250)) * 2000)
    s.shutdown(socket.SHUT_WR)
    while s.recv(100):
        pass
END
"$CC" -O2 -w -D_GNU_SOURCE -shared -fPIC -o spoil.so "$srcdir/trace/spoil.c" -ldl ||
	bail_out "spoil.c does not compile"

# spoilt HOW: what spoil.c does to the server, and to it alone
spoilt()
{
	SPOIL=$1 LD_PRELOAD=$WORK/spoil.so twin \
		--drive "unset SPOIL; $PYTHON client.py $port" \
		"$PYTHON" server.py "$port"
}

for how in nothing cut again; do
	spoilt $how
	is "$STATUS" 0 "$how: equal"
	said 'equal: 2 connections .*, 1000000 bytes read and 10 written, what was read by its content, too; 2 ends' \
		"$how: all bytes"
done
# shown HOW WHAT ON-TCP ON-KMAP
shown()
{
	local all
	spoilt "$1"
	is "$STATUS" 1 "$1: different"
	# Each stack is one word.
	all=$(sed -E 's/^     > .+!.+$/STACK/; s/^     > .*/ANON/' err |
		tr '\n' ' ' | sed -E 's/(ANON )*(STACK )((STACK|ANON) )*/STACK /g')
	like "$all" "^kmap-trace: different: connection 1, accepted on 127.0.0.1:$port: $2    on TCP: $3 STACK    on Kmap: $4 STACK \$" \
		"$1: the first difference, both stacks"
}
shown byte 'other bytes were read, somewhere from byte [0-9]+ to [0-9]+' \
	'recv = [0-9]+, bytes [0-9]+ to [0-9]+' \
	'recv = [0-9]+, bytes [0-9]+ to [0-9]+'
shown count '500000 bytes were read on TCP, 499999 on Kmap; .* byte [0-9]+' \
	'recv = [0-9]+, bytes [0-9]+ to [0-9]+' \
	'recv = [0-9]+, bytes [0-9]+ to [0-9]+'
shown reset 'the end of the stream was read on TCP alone' 'recv = 0' \
	'recv = -1 ECONNRESET \(Connection reset by peer\)'
shown ready 'it became ready in another order' 'poll = 1, ready: OUT' \
	'poll = 1, ready: IN'

## Runs that say nothing

twin --drive 'test -z "$LD_PRELOAD"' "$builddir/tiny" "$port"
is "$STATUS" 1 "the load's exit status is looked at"
said 'different: the load ended with 0 on TCP and ended with 1 on Kmap' "and told"
twin --drive "curl -s $url/\$(date +%s%N | cut -c 10-)" "$builddir/tiny" "$port"
is "$STATUS" 2 "a load that is another one each time"
said 'nothing was compared: two runs on TCP differ, too: connection 1,.*
   on TCP again: ' "is told"
twin --drive "unset LD_PRELOAD; curl -s $url/10" "$builddir/tiny" "$port"
is "$STATUS" 2 "a load without the library: nothing was compared"
said 'nothing was compared: .* \(no_peer\)' "and why"
twin --drive true true
is "$STATUS" 2 "a program that does not listen"
said 'nothing was compared: on TCP true ended with 0 and did not listen' \
	"is told"
"$trace" --drive true true >out 2>err
is $? 1 "--drive without --twin is refused"
is "$(ls -A tmp; ls -- *.kmap 2>/dev/null)" "" "no file is left"
finish
