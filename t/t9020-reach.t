#!/bin/bash
# Every exported name, and every syscall number behind syscall(2), reaches the
# one function of libc that calls.def names for it, and gives the result and
# errno that it gives without the library.
. "${srcdir:-$(dirname "$0")}/lib.sh"
case " $KMAP_SANITIZE " in
*" address "*)
	skip_all "ASan's interceptors stand in front of ours"
	;;
esac
plan 6

reach=$builddir/lint/reach
spy=$builddir/lint/.libs/spy.so
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
[ -x "$reach" ] && [ -f "$spy" ] || bail_out "reach or spy.so is not built"

"$reach" names | grep -v '^SYS_\| ' | sort > "$tmp/names"
nm -D --defined-only "$KMAP_LIB" | awk '{ print $3 }' | sort > "$tmp/exported"
ok "the test calls every exported name" diff "$tmp/exported" "$tmp/names"

env LD_PRELOAD="$KMAP_LIB" "$reach" where "$KMAP_LIB" > "$tmp/where"
ok "the loader binds every name to the library" diff /dev/null "$tmp/where"

env -u LD_PRELOAD "$reach" run < /dev/null > "$tmp/plain" 2> "$tmp/err"
env LD_PRELOAD="$KMAP_LIB" "$reach" run < /dev/null > "$tmp/ours" \
	2>> "$tmp/err"
ok "the program called them all" \
	test "$(wc -l < "$tmp/plain")" = "$("$reach" names | wc -l)"
ok "result and errno are those without the library" \
	diff "$tmp/plain" "$tmp/ours"

env LD_PRELOAD="$KMAP_LIB:$spy" "$reach" count < /dev/null > "$tmp/counts" \
	2> "$tmp/err" || diag "$(cat "$tmp/err")"
[ "$(wc -l < "$tmp/counts")" -gt 200 ] || echo "few counts" >> "$tmp/counts"
# closefrom goes around the library's own numbers by close_range, and a raw
# rt_sigaction to the code behind sigaction; sockatmark is one ioctl.
grep -v -e ' 1$' -e '^closefrom 0$' -e '^SYS_rt_sigaction 0$' \
	-e '^sockatmark 0$' \
	"$tmp/counts" > "$tmp/wrong"
ok "each reaches its function of libc exactly once" \
	diff /dev/null "$tmp/wrong"
# Nothing but the order of the preloads makes that constructor the first.
early=$builddir/lint/.libs/early.so
[ -f "$early" ] || bail_out "early.so is not built"
same_words()
{
	local got
	got=$(env LD_PRELOAD="$KMAP_LIB:$early" /bin/echo late) || return
	echo "$got"
	[ "$got" = $'early\nlate' ]
}
ok "calls before the library's constructor, an allocator that makes calls" \
	same_words
finish
