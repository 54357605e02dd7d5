#!/bin/bash
# Limit: 300 s
# t1010 under ThreadSanitizer, which sees a missing ordering even where this
# machine's own keeps the bytes right; and sees it when it is taken out.
. "${srcdir:-$(dirname "$0")}/lib.sh"
# It looks at orderings, of which a long run has no others.
unset KMAP_LONG

tsan()
{
	"$CC" -O1 -g -fsanitize=thread -D_GNU_SOURCE -I"$top_builddir" \
		-I"$top_srcdir/src" -I"$srcdir" -o "$WORK/$1" \
		"$srcdir/t1010-ring.c" "$srcdir/tap.c" "$2" \
		"$top_srcdir/src/gate.c" "$top_srcdir/src/lock.c" \
		"$top_srcdir/src/sys.c" -lpthread
}
: >"$WORK/x.c"
"$CC" -fsanitize=thread -shared -o "$WORK/x.so" "$WORK/x.c" 2>/dev/null ||
	skip_all "no ThreadSanitizer here"
tsan sound "$top_srcdir/src/ring.c" || bail_out "t1010 cannot be built"
"$WORK/sound" >"$WORK/out" 2>&1 || rc=$?
case $(cat "$WORK/out") in
*"FATAL: ThreadSanitizer"*) skip_all "ThreadSanitizer cannot run here" ;;
esac
plan 3
is "${rc-0} $(grep -c 'WARNING: ThreadSanitizer' "$WORK/out")" "0 0" \
	"no race, every byte" || diag "$(tail -n 40 "$WORK/out")"
for what in tail head; do
	sed "s/a_store_rel(&r->shm->$what,/a_store(\&r->shm->$what,/" \
		"$top_srcdir/src/ring.c" >"$WORK/ring.c"
	tsan broken "$WORK/ring.c" || bail_out "cannot be built"
	TSAN_OPTIONS=halt_on_error=1 "$WORK/broken" >"$WORK/out" 2>&1
	holds "$(grep -c 'WARNING: ThreadSanitizer' "$WORK/out") > 0" \
		"a $what that is published without ordering is found"
done
finish
