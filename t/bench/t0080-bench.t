#!/bin/bash
# The measuring programs and their statistics: not how fast anything is, but
# that what they say is so.
. "${srcdir:-$(dirname "$0")/..}/lib.sh"
private_net "$@"
need "$PYTHON"
BENCH=$builddir/bench
for p in pingpong stream connrate idle plain calls tableload histtest; do
	[ -x "$BENCH/$p" ] || bail_out "bench/$p is not built"
done
export TMPDIR=$WORK/tmp
mkdir "$TMPDIR"
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$srcdir/bench
plan 26

# value JSON EXPRESSION: of the object r
value()
{
	"$PYTHON" -c 'import json, sys
r = json.loads(sys.argv[1])
print(eval(sys.argv[2]))' "$1" "$2" 2>&1
}

ok "histogram against sorting" "$BENCH/histtest"
ok "medians, ratios, order of the runs, verdicts" \
	"$PYTHON" "$srcdir/bench/labtest.py"

sane='r["n"] > 0 and abs(r["n"] / r["secs"] / r["rate"] - 1) < 0.01 and r["secs"] < 5'
for kind in tcp unix pipe fifo; do
	for how in "" -e; do
		# shellcheck disable=SC2086
		json=$(timeout 20 "$BENCH/pingpong" -t $kind $how -d 0.03)
		is "$(value "$json" "$sane and 0 < r['p50'] <= r['p99']")" \
			True "pingpong $kind $how"
		# shellcheck disable=SC2086
		json=$(timeout 20 "$BENCH/stream" -t $kind $how -d 0.03 -s 20000)
		is "$(value "$json" "$sane")" True "stream $kind $how"
	done
done

# More connections at once, answers in pieces, and the count of the witness.
before=$(lo_bytes)
json=$(timeout 20 "$BENCH/pingpong" -e -i 40 -s 100000 -d 0.1)
seen=$(($(lo_bytes) - before))
carried=$(value "$json" 'r["all"] * 200000')
[ "$NET" = private ] || seen=$((carried + 1))
holds "${seen:-0} >= ${carried:-1} && ${seen:-0} < 1.3 * ${carried:-0}" \
	"pingpong: lo carried $seen bytes for $carried bytes on TCP"

json=$(timeout 20 "$BENCH/connrate" -e -w 8 -d 0.1)
is "$(value "$json" "$sane and r['n'] % 8 == 0")" True "connrate"
json=$(timeout 20 "$BENCH/idle" -m epoll -i 20 -d 0.2)
is "$(value "$json" "r['ticks'] <= 1 and r['cpu_a'] + r['cpu_b'] < 2e7")" \
	True "idle on TCP uses no CPU"

json=$(timeout 20 "$BENCH/calls" -d 0.02 -f 27)
is "$(value "$json" "r['n'] > 0 and 0 < r['cpu'] and abs(r['secs'] * 1e9 / r['n'] / r['ns'] - 1) < 0.01")" \
	True "calls"
json=$(timeout 20 "$BENCH/tableload" "$srcdir/table/good.kmap")
is "$(value "$json" "0 < r['median'] and 0 < r['first']")" True "tableload"
echo 'no table' >"$WORK/bad.kmap"
like "$(timeout 20 "$BENCH/tableload" "$WORK/bad.kmap" 2>&1)" "bad.kmap:1:" \
	"tableload refuses what is no table"

# The program that a table is made of must exist; a library, too.
out=$(KMAP_LIB=$WORK/none.so timeout 20 "$srcdir/bench/run" -q 2>&1)
like "$? $out" "^1 .*run .make" "without a library: what to do"

ls -A "$TMPDIR" >"$WORK/left"
is "$(cat "$WORK/left")" "" "nothing is left in the temporary directory"
finish
