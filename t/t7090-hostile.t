#!/bin/bash
# What kmap-trace reads was written by others: a region that a program run
# wild has damaged gives outputs that are still whole, and nothing else.
. "${srcdir:-$(dirname "$0")}/lib.sh"
need_module json
REGION=$builddir/fuzz/region
[ -x "$REGION" ] || bail_out "$REGION is not built"
cd "$WORK" || exit 99
runs=${KMAP_LONG:+5000}
seeds=${KMAP_LONG:+1 2 3 4}
for seed in ${seeds:-7090}; do
	mkdir "$seed"
	"$REGION" -n "${runs:-300}" -s "$seed" "$WORK/$seed" >tap 2>err
	is "$? $(grep -c '^ok' tap)" "0 2" "seed $seed: read to the end" ||
		diag "$(tail -n 20 tap err)"
	diag "$(grep '^#' tap)"
	ok "seed $seed: every line of JSON is one" "$PYTHON" -c '
import json, sys
for l in open(sys.argv[1], encoding="utf-8"):
    json.loads(l)' "$seed/json"
	ok "seed $seed: so is the trace for Perfetto" "$PYTHON" -c '
import json, sys
json.load(open(sys.argv[1], encoding="utf-8"))' "$seed/perfetto"
	is "$(LC_ALL=C grep -c '[^ -~]' "$seed/text")" 0 \
		"seed $seed: nothing that a terminal obeys"
	ok "seed $seed: the table is one" "$KMAP_TRACE" --check \
		"$seed/table.kmap"
	rm -r "$seed"
done
finish
