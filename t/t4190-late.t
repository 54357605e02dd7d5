#!/bin/bash
# A client beside a server without the library looks for it ever more rarely,
# and finds one that gets it late.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
need strace
plan 3

export KMAP_UPGRADE=now
kmap_words
strace -c -e trace=accept4 -U name,calls -o "$WORK/calls" \
	"${KMAP_WORDS[@]}" "$builddir/fault/late" 20000 >"$WORK/out"
is $? 0 "20,000 round trips"
read -r ms end <"$WORK/out"
looks=$(awk '$1 == "accept4" { print $2 }' "$WORK/calls")
# In each of the first calls, and then once in 10 ms.
holds "${looks:-0} > 0 && ${looks:-0} <= 300 + $ms / 10" \
	"$looks looks for the server's greeting in $ms ms"
is "$end" paired "the greeting that comes late is found"
finish
