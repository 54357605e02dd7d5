#!/bin/bash
# How kmap-trace is called: what is refused, what it hints at, where the table
# goes when it cannot be where it should.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need "$PYTHON"
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
plan 4
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

finish
