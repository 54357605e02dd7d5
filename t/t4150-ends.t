#!/bin/bash
# Every end of a process writes one line of KMAP_STATS, whatever ends it, and
# is otherwise the end that it is without the library.
. "${srcdir:-$(dirname "$0")}/lib.sh"
plan 6

# What a fault does is the kernel's affair here, not a sanitizer's.
faults=handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}:$faults
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}:$faults
ends=$builddir/fault/ends
# Cores fall here.
cd "$WORK" || bail_out "no directory"

# owed NOTE STATS: each process wrote as many lines as it owes
owed()
{
	awk 'NR == FNR { split($0, a, /[:,]/); n[a[2]]++; next }
		{ pid = $1; owes = $2; $1 = $2 = "" }
		n[pid] != owes { print n[pid] + 0 " lines, not " owes ":" $0
			bad = 1 }
		END { exit bad }' "$2" "$1"
}

plain_env "$ends" plain.note >plain
kmap_env KMAP_STATS="$WORK/stats" "$ends" kmap.note >kmap
holds "$(wc -l <plain) == $(wc -l <kmap.note) && $(wc -l <plain) > 80" \
	"all ends were made"
ok "each is what it is without the library" diff plain kmap
ok "and wrote its lines" owed kmap.note stats

plain_env "$ends" say >plain
ok "nobody sees that the library hears of signals" \
	diff plain <(kmap_env KMAP_STATS="$WORK/say" "$ends" say)
plain_env bash -c "trap '' TERM USR1 RTMAX; exec '$ends' say" >plain
ok "what is ignored stays ignored in programs" diff plain <(kmap_env \
	KMAP_STATS="$WORK/say" bash -c "trap '' TERM USR1 RTMAX
	exec '$ends' say")
plain_env "$ends" say all >plain
ok "a program without the library inherits nothing" diff plain <(kmap_env \
	KMAP_STATS="$WORK/say" bash -c "exec env -u LD_PRELOAD '$ends' say all")
finish
