#!/bin/bash
# The harness itself: a failure, a hang, a crash and a missing thing are seen
# as what they are. A harness that passes everything would pass this too, so
# each case looks at the driver's own verdict.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
unset KMAP_LONG

driver=$top_srcdir/build-aux/tap-driver.sh
[ -e "$driver" ] || bail_out "no tap-driver.sh: run ./bootstrap"

# verdict COMMAND...: what automake's driver makes of a test, as words
verdict()
{
	AM_TAP_AWK=awk bash "$driver" --test-name it --log-file "$WORK/it.log" \
		--trs-file "$WORK/it.trs" --color-tests no --enable-hard-errors \
		yes --expect-failure no -- "$builddir/limit" "${LIMIT:-20}" \
		"$@" >/dev/null 2>&1
	sed -n 's/^:test-result: \([A-Z]*\).*/\1/p' "$WORK/it.trs" |
		tr '\n' ' ' | sed 's/ $//'
}

# script TEXT: a shell test with that body
script()
{
	printf '#!/bin/bash\n. "%s/lib.sh"\n%s\n' "$srcdir" "$1" \
		>"$WORK/it.t"
	chmod +x "$WORK/it.t"
}

sample=$builddir/sample

is "$(verdict "$sample" pass)" "PASS PASS PASS" "C: checks that hold"
is "$(verdict "$sample" fail-ok)" "FAIL ERROR" "C: ok that does not hold"
is "$(verdict "$sample" fail-int)" "FAIL ERROR" "C: numbers that differ"
is "$(verdict "$sample" fail-str)" "FAIL ERROR" "C: NULL is no empty word"
is "$(verdict "$sample" short)" "PASS ERROR ERROR" "C: fewer checks than planned"
is "$(verdict "$sample" skip)" "SKIP SKIP" "C: skipped checks"
is "$(verdict "$sample" skip-all)" "SKIP" "C: skipped test"
is "$(CI='' verdict "$sample" need)" "SKIP" "C: what is missing is a skip"
is "$(CI=true verdict "$sample" need)" "ERROR" "C: and an error on CI"
is "$(verdict "$sample" bail)" "ERROR" "C: bail out"
is "$(verdict "$sample" crash)" "PASS ERROR" "C: a crash is an error"
like "$(cat "$WORK/it.log")" "killed by signal 6" "the log names the signal"
is "$(verdict "$sample" nonsense)" "ERROR ERROR" "a test that prints nothing"
is "$(verdict "$WORK/not-there")" "ERROR ERROR" "a test that is not there"

script 'plan 2; ok yes true; not_ok no false; finish'
is "$(verdict "$WORK/it.t")" "PASS PASS" "sh: checks that hold"
script 'ok no false; finish'
is "$(verdict "$WORK/it.t")" "FAIL ERROR" "sh: ok that does not hold"
script 'not_ok no true; finish'
is "$(verdict "$WORK/it.t")" "FAIL ERROR" "sh: not_ok of a success"
script 'not_ok no sh -c "kill -SEGV \$\$"; finish'
is "$(verdict "$WORK/it.t")" "FAIL ERROR" "sh: not_ok of a crash"
script 'not_ok no /nowhere/program; finish'
is "$(verdict "$WORK/it.t")" "FAIL ERROR" "sh: not_ok of a missing program"
script 'is a b name; finish'
is "$(verdict "$WORK/it.t")" "FAIL ERROR" "sh: words that differ"
script 'holds "0.985 >= 0.99" share; finish'
is "$(verdict "$WORK/it.t")" "FAIL ERROR" "sh: a number too small"
script 'holds "" share; holds "1 >=" share; finish'
is "$(verdict "$WORK/it.t")" "FAIL FAIL ERROR" "sh: a number that is missing"
script 'plan 2; ok yes true; finish'
is "$(verdict "$WORK/it.t")" "PASS ERROR ERROR" "sh: fewer than planned"
script 'need no-such-program; ok yes true; finish'
is "$(CI='' verdict "$WORK/it.t")" "SKIP" "sh: what is missing is a skip"
is "$(CI=true verdict "$WORK/it.t")" "ERROR" "sh: and an error on CI"
script 'skip "no moon" one; finish'
is "$(verdict "$WORK/it.t")" "SKIP" "sh: a skipped check"

# A hang becomes a failure that shows both ends.
begin=$SECONDS
LIMIT=1
is "$(verdict "$sample" hang)" "FAIL ERROR" "a hang is a failure"
LIMIT=
holds "$((SECONDS - begin)) <= 60" "and ends in time"
like "$(cat "$WORK/it.log")" "time limit of 1 s" "it names the limit"
if command -v gdb >/dev/null; then
	is "$(grep -c 'in sample_waits_for_peer' "$WORK/it.log")" 2 \
		"the stacks of both ends are in the log" ||
		diag "$(cat "$WORK/it.log")"
else
	skip "no gdb here" "the stacks of both ends are in the log"
fi
is "$(pgrep -f "$sample hang" | wc -l)" 0 "both ends were killed"

script '# Limit: 1 s
plan 1
start one sleep 100
sleep 100'
is "$(LIMIT=100 verdict "$WORK/it.t")" "FAIL ERROR" \
	"a script names its own limit"

is "$(verdict "$sample" daemon)" "PASS" "a daemon that detached itself"
like "$(cat "$WORK/it.log")" "left running: process" "is named"
is "$(pgrep -f "$sample daemon" | wc -l)" 0 "and killed"

# It said where its files are before it was killed.
script '# Limit: 1 s
plan 1
echo "# $WORK" >'"$WORK"'/where
sleep 100'
verdict "$WORK/it.t" >/dev/null
read -r _ where <"$WORK/where"
not_ok "a test that is killed leaves no files" test -e "$where"

# lib.sh's own tools.
script 'start one sleep 1000; pid_of one >'"$WORK"'/pid; ok yes true; finish'
verdict "$WORK/it.t" >/dev/null
not_ok "a started program ends with its test" kill -0 "$(cat "$WORK/pid")"

if [ "$NET" = private ]; then
	before=$(lo_bytes)
	port=
	free_port port
	start sink sh -c "nc -l -N 127.0.0.1 $port >/dev/null"
	if command -v nc >/dev/null; then
		not_ok "nobody listens on another port" listens $((port + 1))
		ok "wait_port sees who listens" wait_port "$port" sink
		head -c 100000 /dev/zero | timeout 10 nc -N 127.0.0.1 "$port"
		ended sink
		now=$(lo_bytes)
		holds "$now - $before >= 100000 && $now - $before < 200000" \
			"lo counted what went over it"
	else
		skip "no nc here" "nobody listens on another port"
		skip "no nc here" "wait_port sees who listens"
		skip "no nc here" "lo counted what went over it"
	fi
else
	skip "no private network namespace" "nobody listens on another port"
	skip "no private network namespace" "wait_port sees who listens"
	skip "no private network namespace" "lo counted what went over it"
fi

start gone sh -c 'exit 7'
ended gone
is "$STATUS" 7 "the status of a program that ended"
start gone sh -c 'exit 7'
sleep 0.3
begin=$SECONDS
not_ok "wait_port gives up on a dead program" wait_port 1 gone
holds "$((SECONDS - begin)) < 10" "at once"
is "$(within 1 sleep 5 2>/dev/null; echo $?)" 124 "within ends in time"

cat >"$WORK/stats" <<'END'
{"pid": 1, "exe": "/usr/sbin/nginx", "connections_seen": 3, "ring_bytes_in": 5000000000, "not_upgraded": {"too_short": 2, "peer": 1}, "sleeps": 4}
{"pid":2,"exe":"/usr/bin/wrk","connections_seen":3,"ring_bytes_in":7,"not_upgraded":{"peer":4},"sleeps":0}
END
is "$(stats_sum "$WORK/stats" ring_bytes_in)" 5000000007 "sum of a counter"
is "$(stats_sum "$WORK/stats" ring_bytes_in wrk)" 7 "of one program"
is "$(stats_sum "$WORK/stats" nothing)" 0 "of a counter that is not there"
is "$(stats_sum "$WORK/none" sleeps)" 0 "of no file"
is "$(stats_reasons "$WORK/stats" | tr '\n' ' ')" "5 peer 2 too_short " \
	"reasons, the most frequent first"
ok "stats_wait sees both lines" stats_wait "$WORK/stats" 2 1
not_ok "and does not see a third" stats_wait "$WORK/stats" 3 1

is "$(KMAP_SANITIZE='' kmap_preload)" "$KMAP_LIB" "LD_PRELOAD is ours alone"
like "$(KMAP_SANITIZE='address undefined' kmap_preload)" \
	"^/[^:]*libasan[^:]*:$KMAP_LIB\$" "and comes after the runtime of ASan"
finish
