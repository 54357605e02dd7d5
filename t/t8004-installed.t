#!/bin/bash
# What is installed serves alone: tables and kmap-stat with the installed
# commands and libraries (all programs of t71 with KMAP_LONG=1), while the
# directories that these were built in are out of sight; and the manual's
# options from another directory.
# Limit: 300 s
. "${srcdir:-$(dirname "$0")}/lib.sh"

need make unshare mount curl "$PYTHON"
[ -z "$KMAP_SANITIZE" ] || skip_all "once without sanitizers is enough"
unset MAKEFLAGS MAKELEVEL MFLAGS TESTS

if [ "${1-}" != inside ]; then
	how=-m
	[ "$(id -u)" = 0 ] || how=-rm
	unshare $how --propagation private true 2>/dev/null ||
		need_failed "no mount namespace of our own here"
	# The namespace of its own is the network's, too.
	rm -rf "$WORK"
	exec unshare $how -n --propagation private -- "$BASH" "$0" inside
fi
ip link set lo up || need_failed "lo cannot be set up"

prefix=$(sed -n "s/^prefix = //p" "$top_builddir/Makefile")
ok "make install" make -C "$top_builddir" install DESTDIR="$WORK/root"
# Not where configure was told: all of it was moved.
mv "$WORK/root$prefix" "$WORK/prefix" || exit 99
KMAP_PREFIX=$WORK/prefix
export KMAP_PREFIX
unset KMAP_LIB KMAP_RECORDER KMAP_TRACE KMAP_STAT
for d in trace emu src; do
	mount -t tmpfs tmpfs "$top_builddir/$d" || skip_all "no mount here"
done
is "$(find "$top_builddir" -name 'kmap-*' -perm -u+x ! -type d -o \
	-name 'libkmap*.so')" "" "what was built is out of sight"

# tests NAME: one of our own, whose results are told if it fails. It has no
# namespace to make, it is in one.
tests()
{
	(
		KMAP_NETNS=$(readlink /proc/self/ns/net)
		export KMAP_NETNS
		"$BASH" "$srcdir/$1" >"$WORK/out" 2>&1
	) && ! grep -q '^1\.\.0' "$WORK/out" && return
	grep -E '^(not ok|#|Bail|1\.\.0)' "$WORK/out"
	return 1
}
ok "nginx, redis, memcached, haproxy, curl and wrk by their tables" \
	tests t7110-tables-servers.t
if [ -n "${KMAP_LONG-}" ]; then
	ok "Flask, gunicorn and uvicorn" tests t7100-tables-python.t
	ok "node and Java" tests t7120-tables-runtimes.t
	ok "Envoy" tests t7130-tables-envoy.t
fi

# Every option that --help names, from a directory of its own, by bare name.
PATH=$KMAP_PREFIX/bin:$PATH
mkdir "$WORK/here" && cd "$WORK/here" || exit 99
start tiny "$builddir/tiny" -t 8000
wait_port 8000 tiny || bail_out "tiny does not listen"
url=http://127.0.0.1:8000/700
done_options=

# try NAME[=VALUE] WANT COMMAND...: it ends with 0 and says WANT, a pattern,
# on stdout or stderr, or writes it into a file that it is given as %
try()
{
	local option=$1 want=$2 rc=0 n
	shift 2
	done_options="$done_options ${option%%=*}"
	rm -f out file
	timeout 60 "$@" >out 2>&1 </dev/null || rc=$?
	[ ! -e file ] || cat file >>out
	[ -n "$want" ] || echo >>out
	n=$(grep -acE -e "$want" out)
	is "$rc $((n > 0))" "0 1" "$cmd $option" || diag "$(head -n 5 out)"
}

# left COMMAND: options that its help names and nobody tried
left()
{
	local option
	for option in $("$1" --help | grep -oE '^ +(-.,|   ) +--[a-z-]+' |
		grep -oE -- '--[a-z-]+'); do
		case " $done_options " in
		*" $option "*) ;;
		*) echo "$option" ;;
		esac
	done
}

cmd=kmap-trace
get="curl -s -o /dev/null $url"
try --output '^decision = ' kmap-trace -q -o file $get
cp file one.kmap
try --output=table '^decision = ' kmap-trace -q --output=file $get
cp file two.kmap
try --check '' kmap-trace --check one.kmap two.kmap
try --diff '' kmap-trace --diff one.kmap two.kmap
try --merge '^runs = 2' kmap-trace --merge -o file one.kmap two.kmap
try --trace '^connect\(.*127.0.0.1:8000' kmap-trace -t $get
try --trace=file '^connect\(.*127.0.0.1:8000' kmap-trace -tfile $get
try --json '"fn":"connect"' kmap-trace --json=file $get
try --folded ';connect 1$' kmap-trace --folded=file $get
try --perfetto '"connect"' kmap-trace --perfetto=file $get
try --html '<html' kmap-trace --html=file $get
try --summary '^\| connect' kmap-trace --summary $get
try --verify 'coverage: [0-9]+ of' kmap-trace --verify $get
try --expr '^connect\(' kmap-trace -t -e connect $get
try --string-limit 'GET /7"\.\.\.' kmap-trace -t -s 6 $get
try --quiet '' sh -c "test -z \"\$(kmap-trace -q $get 2>&1)\""
start idle sleep 1.5
try --attach "." kmap-trace -t -p "$(pid_of idle)"
try --twin 'same|equal' kmap-trace --twin \
	--drive 'curl -s -o /dev/null --retry 9 --retry-connrefused http://127.0.0.1:8001/10000000' \
	"$builddir/tiny" -t 8001
done_options="$done_options --drive"
try --usage Usage kmap-trace --usage
try --help 'kmap-trace' kmap-trace --help
try --version '^kmap-trace' kmap-trace --version
is "$(left kmap-trace)" "" "kmap-trace: no option was left out"

cmd=kmap-stat
stop tiny
start tiny env "LD_PRELOAD=$KMAP_PREFIX/lib/libkmapemu.so" KMAP_UPGRADE=now \
	"$builddir/tiny" -t 8000
wait_port 8000 tiny || bail_out "tiny does not listen"
# A connection that stays: a second answer that is long in coming.
start curl env "LD_PRELOAD=$KMAP_PREFIX/lib/libkmapemu.so" KMAP_UPGRADE=now \
	curl -s --limit-rate 100k -o /dev/null -o /dev/null "$url" \
	http://127.0.0.1:8000/10000000
for ((i = 0; i < 200; i++)); do
	kmap-stat -c -H -P 8000 | grep -q curl && break
	sleep 0.05
done
pid=$(pid_of tiny)
try --all "^ *$pid .*tiny" kmap-stat -a
try --connections "127.0.0.1:8000" kmap-stat -c
try --long 'ring_bytes_out +[1-9]' kmap-stat -l
try --pid "^ *$pid " kmap-stat -p "$pid"
try --port "^ *$pid " kmap-stat -P 8000
try --sport "^ *$pid " kmap-stat --sport=8000
try --dport "^ *$(pid_of curl) " kmap-stat --dport=8000
try --delta "^ *$pid " kmap-stat -d -i 0.1 -n 2
try --interval "^ *$pid " kmap-stat -i 0.1 -n 2
try --count "^ *$pid " kmap-stat -i 0.1 -n 2
try --sort "^ *$pid " kmap-stat -s pid
try --batch "^ *$pid " kmap-stat -b
try --human "^ *$pid .*[0-9][KM]" kmap-stat -h
try --no-header "^ *$pid " kmap-stat -H
try --json "\"pid\": ?$pid\\b" kmap-stat -j
try --usage Usage kmap-stat --usage
try --help kmap-stat kmap-stat --help
try --version '^kmap-stat' kmap-stat --version
is "$(left kmap-stat)" "" "kmap-stat: no option was left out"
finish
