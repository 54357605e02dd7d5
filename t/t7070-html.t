#!/bin/bash
# Limit: 300 s
# The picture: one file, nothing outside of it, nothing of the traced program
# is obeyed, and a browser can use it. Of made-up events, and of a real trace.
. "${srcdir:-$(dirname "$0")}/lib.sh"

private_net "$@"
need "$PYTHON" curl
made=$builddir/trace/made-up
checks=34	# of look.py
plan $((16 + checks))

for scene in small large hostile cut; do
	"$made" $scene "$WORK/$scene.html" 2>"$WORK/err" ||
		bail_out "made-up $scene: $(cat "$WORK/err")"
done
for scene in small large hostile; do
	ok "$scene: well-formed, escaped, self-contained" \
		"$PYTHON" "$srcdir/trace/page.py" "$WORK/$scene.html"
done
not_ok "cut: the parser sees that the end is missing" \
	"$PYTHON" "$srcdir/trace/page.py" "$WORK/cut.html"
size=$(stat -c %s "$WORK/large.html")
diag "100,000 calls are $size bytes"
holds "$size < 15000000" "100,000 calls fit in 15 MB"
is "$(grep -c '^\[[0-9]' "$WORK/small.html")" 30 "one line for each call"
is "$(grep -ac $'[\x01-\x08\x0b-\x1f\x7f]' "$WORK/hostile.html")" 0 \
	"no control byte in the file"
is "$(grep -aio '</script' "$WORK/hostile.html" | wc -l)" 2 \
	"no </script> but our own two"

# A trace longer than the page may be.
out=$(MADE_UP_MAX=10 "$made" small "$WORK/few.html" 2>&1)
is "$?:$(grep -c '^\[[0-9]' "$WORK/few.html")" 0:10 "no more than allowed"
like "$out" "first 10 of 30 calls" "and that is said"
# Nowhere to write to.
out=$("$made" small "$WORK/no/such.html" 2>&1)
is "$?" 1 "a file that cannot be made"
if [ -w /dev/full ]; then
	out=$("$made" large /dev/full 2>&1)
	is "$?:$(wc -l <<<"$out")" 1:1 "a full disk: an error, once"
	like "$out" "No space left" "and its reason"
else
	skip "no /dev/full" "a full disk: an error, once"
	skip "no /dev/full" "and its reason"
fi

# Two real programs of one hop.
free_port port
cat >"$WORK/app" <<END
"$builddir/tiny" $port & server=\$!
for i in {1..200}; do
	curl -s http://127.0.0.1:$port/1000 >"$WORK/body" && break
	sleep 0.05
done
kill \$server
wait
END
(cd "$WORK" && timeout 60 "$KMAP_TRACE" -q --html real.html -o real.kmap \
	bash app) >"$WORK/out" 2>&1
is "$?:$(stat -c %s "$WORK/body")" 0:1000 "a real trace: the programs did run"
ok "it is well-formed, escaped, self-contained" \
	"$PYTHON" "$srcdir/trace/page.py" "$WORK/real.html"
ok "functions of the programs have names" grep -q 'tiny!main' "$WORK/real.html"

browser=$("$PYTHON" -c 'import sys; sys.path.insert(0, sys.argv[1])
import browser; print(browser.find() or "")' "$srcdir/trace")
if [ -z "$browser" ]; then
	for ((i = 0; i < checks; i++)); do
		lacking "no Chromium here" "in the browser"
	done
else
	before=$tap_run
	PYTHONDONTWRITEBYTECODE=1 timeout -k 5 240 "$PYTHON" \
		"$srcdir/trace/look.py" "$tap_run" "$WORK"/{small,large}.html \
		"$WORK"/{hostile,cut,real}.html >"$WORK/look" \
		2>"$WORK/look.err" || { tap_failed=1; diag "$(tail "$WORK/look.err")"; }
	cat "$WORK/look"
	tap_run=$((before + $(grep -Ec '^(not )?ok ' "$WORK/look")))
fi
finish
