#!/bin/bash
# kmap-stat: what it shows is what the library counted and what ss(8) says;
# other users' processes show to root only; whoever publishes garbage neither
# stops it nor reaches the terminal.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need ss redis-server redis-benchmark
need_module json

stat=$KMAP_STAT
app=$srcdir/stat/app.py
export KMAP_UPGRADE=now

# run NAME MODE...: the program of stat/app.py, until `go_on` or `finish_app`
run()
{
	local name=$1 i
	shift
	mkfifo "$WORK/$name.in"
	: >"$WORK/$name.out"
	if [ -n "${PLAIN-}" ]; then
		plain_words
	else
		kmap_words
	fi
	"${KMAP_WORDS[@]}" ${BEFORE-} "$PYTHON" -S "$app" "$@" \
		<"$WORK/$name.in" >"$WORK/$name.out" 2>"$WORK/$name.err" &
	started[$name]=$!
	eval "exec {${name}_in}>\"\$WORK/$name.in\""
	said "$name" 1
}

# said NAME N: it has said so many lines
said()
{
	local i
	for ((i = 0; i < 1200; i++)); do
		[ "$(wc -l <"$WORK/$1.out")" -lt "$2" ] || return 0
		running "$1" || break
		sleep 0.025
	done
	diag "$1 did not say it is ready: $(cat "$WORK/$1.err")"
	return 1
}

end_app()
{
	eval "exec {${1}_in}>&-"
	ended "$1" 20
	rm -f "$WORK/$1".{in,out,err}
}

# look OPTION...: one look, as JSON, in $WORK/look
look()
{
	timeout -k 2 30 "$stat" -j "$@" >"$WORK/look" 2>"$WORK/look.err"
}

# q EXPRESSION: of the last look: `a` is all, p(PID) a process
q()
{
	"$PYTHON" -S - "$1" "$WORK/look" <<-'END'
	import json, sys
	a = [json.loads(l) for l in open(sys.argv[2])][-1]
	p = lambda pid: [x for x in a['processes'] if x['pid'] == pid][0]
	conns = [c for x in a['processes'] for c in x['connections']]
	pids = sorted(x['pid'] for x in a['processes'])
	print(eval(sys.argv[1]))
	END
}

parses()
{
	q "'processes' in a"
}

# ---- what the library counted ----

export KMAP_STATS=$WORK/own.json
run own own
unset KMAP_STATS
own=$(pid_of own)
look -p "$own"
is "$?" 0 "a process is seen"
cp "$WORK/look" "$WORK/look.own"
is "$(q "[c['kmap'] for c in conns]")" "['ring', 'ring']" \
	"both ends are on rings"
is "$(q "[c['fd'] for c in sorted(conns, key=lambda c: c['role'] != 'connector')]")" \
	"[$(cut -d' ' -f2- "$WORK/own.out" | sed 's/ /, /')]" \
	"their numbers, connector first"
is "$(q "sorted((c['role'], c['ring_fill_in'], c['ring_fill_out']) for c in conns)")" \
	"[('acceptor', 1000, 0), ('connector', 0, 1000)]" \
	"1,000 bytes wait in a ring"
like "$("$stat" -p "$own")" "^ *PID USER .*$own .*python3" "a line of text"
like "$("$stat" -lp "$own")" "ring_bytes_in +[1-9]" "every counter by name"
like "$("$stat" -cp "$own")" "ESTAB ring .*1000.*127\.0\.0\.1:" \
	"a line for each connection"
is "$("$stat" -cHp "$own" | wc -l)" 2 "no headings when not wanted"
end_app own
"$PYTHON" -S - "$WORK/look.own" "$WORK/own.json" >"$WORK/diff" <<-'END'
import json, sys
seen = json.loads(open(sys.argv[1]).read())['processes'][0]
said = json.loads(open(sys.argv[2]).read())
for k in said:
    # The end rings, and goes down.
    if k in ('directions_down', 'doorbells_rung', 'doorbells_saved'):
        continue
    if seen.get(k) != said[k]:
        print(k, seen.get(k), said[k])
print(len(said) > 20, 'tcp_messages_in' in said)
END
is "$(cat "$WORK/diff")" "True True" "the same as the line of KMAP_STATS"

# ---- addresses as ss has them ----

run families families
look -p "$(pid_of families)"
is "$(q "'\n'.join(sorted(c['state'] + ' ' + c['local'] + ' ' + c['peer'] for c in conns))")" \
	"$(ss -tnpH | grep "pid=$(pid_of families)," |
		awk '{ print $1, $4, $5 }' | LC_ALL=C sort)" \
	"states and addresses are those of ss"
is "$(q "len(conns)")" 6 "all six"
port=$(q "conns[0]['local'].rpartition(':')[2]")
look -P "$port"
is "$(q "all(':$port' in c['local'] + ' ' + c['peer'] for c in conns) and len(conns)")" \
	2 "by port: both ends"
look --sport "$port"
is "$(q "[c['local'].endswith(':$port') for c in conns]")" "[True]" \
	"by the own port"
look --dport "$port"
is "$(q "[c['peer'].endswith(':$port') for c in conns]")" "[True]" \
	"by the peer's port"
end_app families

# ---- why not ----

KMAP_UPGRADE=never run never own
look -p "$(pid_of never)"
is "$(q "[(c['kmap'], c['why'], c['in'], c['ring_bytes_in']) for c in conns]")" \
	"[('barred', 'never', 'tcp', 0), ('barred', 'never', 'tcp', 0)]" \
	"KMAP_UPGRADE=never is said"
is "$(q "a['processes'][0]['not_upgraded']")" "{'never': 2}" \
	"and added up"
end_app never

# ---- fork, exec, limits ----

run fork fork
read -r _ parent child <"$WORK/fork.out"
look
is "$(q "[x['connections_now'] for x in (p($parent), p($child))]")" "[2, 4]" \
	"a child publishes what it inherited and what it made"
is "$(q "[x['ring_bytes_out'] + x['tcp_bytes_out'] for x in (p($parent), p($child))]")" \
	"[12800, $((15 * 128))]" "each counts its own"
is "$(q "[c['ring_fill_in'] for c in p($child)['connections'] if c['kmap'] == 'ring']")" \
	"[0, 0, 0, 0]" "the ring's cursors go on in the child"
end_app fork

run image image
look -p "$(pid_of image)"
is "$?" 1 "a new image without connections is not seen"
like "$(cat "$WORK/look.err")" "publishes" "and that is said"
look -a -p "$(pid_of image)"
is "$(q "[x['published'] for x in a['processes']]")" "[False]" \
	"with -a it is"
end_app image

for how in "prlimit --fsize=1000" "prlimit --nofile=24"; do
	BEFORE=$how run limited own
	is "$(wc -l <"$WORK/limited.out")" 1 "$how: the program runs"
	look
	is "$(parses)" True "$how: nothing else is hurt"
	end_app limited
done

# 2 + 200 connections; the first 64 have records.
run sandbox sandbox 1
look -p "$(pid_of sandbox)"
is "$(q "[(x['connections_now'], len(conns), x['not_upgraded']['seccomp']) for x in a['processes']]")" \
	"[(202, 64, 64)]" "a filter that kills: no call of ours meets it"
end_app sandbox
run sandbox sandbox 0
is "$(wc -l <"$WORK/sandbox.out")" 1 "nor if it was there first"
end_app sandbox

KMAP_UPGRADE=never run many many 2500
look -p "$(pid_of many)"
is "$(q "[(x['connections_now'], len(x['connections']), x['connections_unshown']) for x in a['processes']]")" \
	"[(5000, 4096, 904)]" "4,096 connections have a record, the others count"
like "$("$stat" -cp "$(pid_of many)" | tail -n 1)" "and 904 more" \
	"which is said"
# What was closed frees its record.
echo >&"$many_in"
said many 2
look -p "$(pid_of many)"
is "$(q "[(x['connections_now'], len(conns)) for x in a['processes']]")" \
	"[(200, 200)]" "closed ones are gone"
end_app many

run churn churn
good=0
for ((i = 0; i < 20; i++)); do
	look -p "$(pid_of churn)"
	[ "$(q "all(c['local'].startswith('127.0.0.1:') or c['local'] == '*:*' for c in conns) and len(set(c['fd'] for c in conns)) == len(conns)")" \
		= True ] && good=$((good + 1))
done
is "$good" 20 "connections that come and go: each number once"
end_app churn

# ---- a real server ----

free_port rp
start redis kmap_env redis-server --port "$rp" --bind 127.0.0.1 --save '' \
	--dir "$WORK"
wait_port "$rp" redis
start bench kmap_env redis-benchmark -p "$rp" -c 8 -P 4 -n 100000000 -t get
for ((i = 0; i < 400; i++)); do
	look -P "$rp"
	[ "$(q "sum(c['kmap'] == 'ring' for c in conns)")" -lt 16 ] || break
	sleep 0.05
done
is "$(q "sum(c['kmap'] == 'ring' for c in conns)")" 16 \
	"redis and its clients: 8 connections, both ends on rings"
is "$(q "pids")" \
	"$(printf '%s\n' "$(pid_of redis)" "$(pid_of bench)" | sort -n |
		tr '\n' ' ' | sed 's/\(.*\) \(.*\) /[\1, \2]/')" \
	"two processes"
timeout 30 "$stat" -j -d -i 0.3 -n 3 -p "$(pid_of redis)" >"$WORK/look"
is "$("$PYTHON" -S -c "
import json, sys
a = [json.loads(l) for l in open(sys.argv[1])]
print(len(a), all(x['interval'] > 0 and x['processes'][0]['ring_bytes_in'] > 0
    and x['processes'][0]['ring_messages_out'] > 0 and
    x['processes'][0]['tcp_bytes_in'] < 1000 for x in a))" "$WORK/look")" \
	"3 True" "ring bytes grow, those by TCP do not"
timeout 30 "$stat" -j -i 0.2 -n 2 -p "$(pid_of redis)" >"$WORK/look"
is "$("$PYTHON" -S -c "
import json, sys
a, b = [json.loads(l)['processes'][0] for l in open(sys.argv[1])]
print(all(b[k] >= a[k] for k in a if isinstance(a[k], int) and k not in
    ('hot', 'armed')) and b['ring_bytes_in'] > a['ring_bytes_in'])" \
	"$WORK/look")" True "totals only grow"
is "$("$stat" -s pid -H | awk '{ print $1 }' | sort -nc && echo sorted)" \
	sorted "sorted by pid"
not_ok "nothing is sorted by nonsense" "$stat" -s nonsense
not_ok "no port 0" "$stat" -P 0
not_ok "an operand is refused" "$stat" x

timeout 30 "$stat" -i 0.1 -n 2 >"$WORK/plain"
is "$(grep -c "$(printf '\033')" "$WORK/plain")" 0 \
	"plain blocks where there is no terminal"
is "$(grep -c '^ *PID' "$WORK/plain")" 2 "two of them"
if command -v script >/dev/null; then
	timeout 30 script -qec "stty rows 10 cols 60; '$stat' -i 0.1 -n 2" \
		/dev/null >"$WORK/tty" </dev/null
	like "$(cat "$WORK/tty")" $'\033''\[H.*kmap-stat [0-9:]+: ' \
		"on a terminal it is drawn in place"
	is "$(sed 's/\x1b\[[0-9]*[A-Z]//g' "$WORK/tty" | tr -d '\r' |
		awk 'length($0) > 60' | wc -l)" 0 "no wider than that"
else
	skip "no script(1)" "on a terminal it is drawn in place"
	skip "no script(1)" "no wider than that"
fi

# ---- who may look ----

if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --regid=65534 \
	--clear-groups true 2>/dev/null; then
	chmod 711 "$WORK"
	cp "$stat" "$WORK/kmap-stat" 2>/dev/null
	[ ! -e "${stat%/*}/.libs/kmap-stat" ] ||
		cp "${stat%/*}/.libs/kmap-stat" "$WORK/kmap-stat"
	cp "$(kmap_preload | sed 's/.*://')" "$WORK/lib.so"
	cp "$app" "$WORK/app.py"
	nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	is "$("${nobody[@]}" "$WORK/kmap-stat" -H | awk '{ print $1 }' |
		grep -cx -e "$(pid_of redis)" -e "$(pid_of bench)")" 0 \
		"root's processes do not show to others"
	not_ok "not by pid either" "${nobody[@]}" "$WORK/kmap-stat" -p \
		"$(pid_of redis)"
	KMAP_LIB=$WORK/lib.so app=$WORK/app.py BEFORE="${nobody[*]}" \
		run theirs own
	is "$("${nobody[@]}" "$WORK/kmap-stat" -H | awk '{ print $1 }' |
		grep -cx "$(pid_of theirs)")" 1 "one's own do"
	look -p "$(pid_of theirs)"
	is "$(q "[x['uid'] for x in a['processes']]")" "[65534]" \
		"all show to root"
	end_app theirs
else
	for what in "root's processes do not show to others" \
		"not by pid either" "one's own do" "all show to root"; do
		skip "needs root" "$what"
	done
fi
stop bench
stop redis

# ---- garbage ----

PLAIN=1
esc=$(printf '\033')
for kind in empty short magic version pid sizes head huge cut names noise; do
	run bad bad $kind
	look -p "$(pid_of bad)"
	is "$? $(parses)" "1 True" "$kind: not shown" || diag "$(cat "$WORK/look")"
	end_app bad
done
for kind in odd all odd-seq; do
	run bad bad $kind
	look -a -p "$(pid_of bad)"
	is "$? $(parses)" "0 True" "$kind: JSON stands"
	for how in "" -c -l -ch; do
		timeout 30 "$stat" $how -p "$(pid_of bad)" >"$WORK/text" 2>&1
		is "$? $(LC_ALL=C grep -c '[^ -~]' "$WORK/text")" "0 0" \
			"$kind $how: nothing that a terminal obeys"
	done
	end_app bad
done
run bad bad odd
is "$(look -p "$(pid_of bad)"; q "a['processes'][0]['command']")" \
	'?[31mA"\???' "a name's escapes are made visible"
end_app bad

run shaking shaking
good=0
for ((i = 0; i < 30; i++)); do
	look -a && [ "$(parses)" = True ] && good=$((good + 1))
done
is "$good" 30 "a file that shrinks and changes all the time"
end_app shaking

run crowd crowd
look
is "$? $(parses)" "0 True" "500 files of that name"
end_app crowd

if [ "$(id -u)" = 0 ] && run fifo fifo "$WORK/mnt"; then
	is "$(cat "$WORK/fifo.out")" "ready /memfd:kmap-stat (deleted)" \
		"a FIFO that bears the name"
	look
	is "$? $(parses)" "0 True" "does not hold kmap-stat"
	end_app fifo
else
	[ -z "${started[fifo]-}" ] || end_app fifo
	skip "no mount here" "a FIFO that bears the name"
	skip "no mount here" "does not hold kmap-stat"
fi
finish
