#!/bin/bash
# How kmap-trace is called: what is refused, what it hints at, where the table
# goes when it cannot be where it should.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need "$PYTHON" "$CC"
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
plan 47
cd "$WORK" || exit 99
trace=$KMAP_TRACE
# The name of the recorder's memory goes by this name.
unset KMAP_TRACE

cat >net.py <<'END'
import socket, sys
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen()
c = socket.create_connection(l.getsockname())
a = l.accept()[0]
END
net=("$PYTHON" net.py)

## A table that cannot be written in the end

mkdir tmp gone
TMPDIR=$WORK/tmp "$trace" -o gone/t.kmap sh -c "rm -r gone; ${net[*]}" 2>err
like "$(<err)" "gone/t.kmap: cannot be written.*
kmap-trace: the table is in $WORK/tmp/kmap-trace[^ ]*/t.kmap instead" \
	"its directory is gone: it says where the table is"
ok "it is there" "$trace" --check tmp/kmap-trace.*/t.kmap
like "$(<err)" "next: KMAP_TABLE=$WORK/tmp/kmap-trace.*/t.kmap" "and goes on"
rm -rf tmp/*
TMPDIR=$WORK/tmp "$trace" -q -o - "${net[@]}" >/dev/full 2>err
ok "standard output is full: the table is kept" "$trace" --check tmp/*/*.kmap

"$trace" -o - "${net[@]}" >out 2>err
ok "-o -: the table is on standard output" grep -q '^kmap-table = 1' out
ok "the report names no file" test "$(grep -c 'table: \|next: ' err)" = 0
if [ "$(id -u)" != 0 ] || command -v setpriv >/dev/null; then
	mkdir -m 555 closed
	chmod 755 .
	as=
	[ "$(id -u)" != 0 ] || as="setpriv --reuid 65534 --clear-groups"
	like "$(cd closed && $as "$trace" true 2>&1)" \
		"true.kmap: Permission denied .-o FILE .* -o /dev/null" \
		"a directory that cannot be written: what helps"
else
	skip "root may write anywhere" "a directory that cannot be written"
fi

## What is refused, and nothing run

# refused WHY OPTION...: and the program is not run
refused()
{
	local why=$1
	shift
	"$trace" "$@" touch ran 2>err
	is "$?" 1 "refused: $*"
	[ ! -e ran ] || fail "it was run: $*"
	like "$(<err)" "$why" "and why"
}

refused '-o: the file has no name' -o ''
refused '--json: the file has no name' --json=
refused '-t: write -tlog' -t=log
refused '-o: write -otable' -o=table
refused '-t was given twice' -tone -t
refused '-o was given twice' -o one -o two
refused '--summary was given twice' --summary --summary=two
like "$("$trace" --verify -p 4194303 2>&1)" 'no recorder in: --verify has' \
	"--verify and --attach"
refused 'one process' -p 4194303 -p 4194303
refused 'run nothing that could be shown' --check -t
refused 'run nothing that could be shown' --diff --verify
refused 'write no table' --check -o table
refused '-o TABLE .-o - is standard output' --merge
refused './two: two outputs cannot be one' --json two --folded ./two
refused 'touch.kmap: two outputs cannot be one' --json touch.kmap
echo old >touch.kmap
ln -s touch.kmap link
refused 'link: two outputs cannot be one' -o touch.kmap --html link
is "$(<touch.kmap)" old "a file that is there is left as it was"
ok "one device for two forms" "$trace" -q --json /dev/null -t/dev/null \
	-o /dev/null true

## What is likely meant

"$trace" -t log true 2>err
is $? 127 "-t with a blank before its file"
like "$(<err)" "log: No such file.*without a blank: -tlog" "says how it is written"
like "$("$trace" --summary log true 2>&1)" "--summary=log" "--summary, too"

if echo 'int main(void) { return 0; }' |
	"$CC" -x c -static -o static - 2>/dev/null; then
	"$trace" --twin ./static 2>err
	is "$?, $(<err)" "2, kmap-trace: static is linked statically, so no \
library can be preloaded into it: --twin cannot run it on Kmap" \
		"--twin says what it does not do"
	"$trace" ./static 2>err
	like "$(tail -n +2 err)" "^kmap-trace: static: 0 calls of 1 program in \
[0-9.]+ s
kmap-trace: it used no network endpoint, so there is no table\$" \
		"a static program without any network call: what there is to say"
	not_ok "and there is no table" test -e static.kmap
else
	lacking "no static libc here" "--twin says what it does not do"
	lacking "no static libc here" "a static program without network calls"
	lacking "no static libc here" "and there is no table"
fi

"$trace" -q -o net.kmap "${net[@]}"
KMAP_TABLE=$WORK/net.kmap LD_PRELOAD=$(bash "$srcdir/lib.sh" preload) \
	"$trace" -o again.kmap "${net[@]}" >out 2>err
is "$(grep -c 'is ignored' err)" 0 "the program's table is none of kmap-trace's"

finish
