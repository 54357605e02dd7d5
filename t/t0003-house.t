#!/bin/bash
# What the build made: the library needs libc alone, and the programs answer.
. "${srcdir:-$(dirname "$0")}/lib.sh"

need readelf
version=$(sed -n 's/^#define PACKAGE_VERSION "\(.*\)"/\1/p' \
	"$top_builddir/config.h")

# Libraries that a shared object needs, without the dynamic loader itself.
needed()
{
	readelf -dW "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
		grep -v '^ld-linux' | sort | tr '\n' ' ' | sed 's/ $//'
}

ok "the library is there" test -f "$KMAP_LIB"
if [ -n "$KMAP_SANITIZE" ]; then
	skip "a sanitizer brings its runtime" "it needs libc alone"
else
	like "$(needed "$KMAP_LIB")" '^(libc\.so\.6)?$' "it needs libc alone"
fi
is "$(readelf -dW "$KMAP_LIB" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')" \
	libkmapemu.so "its soname has no number"
not_ok "it has no text relocations" sh -c \
	"readelf -dW '$KMAP_LIB' | grep -q TEXTREL"
not_ok "it asks for no executable stack" sh -c \
	"readelf -lW '$KMAP_LIB' | grep GNU_STACK | grep -q E"
# Thread-local storage that calls __tls_get_addr may allocate in a handler.
not_ok "its thread-local storage is initial-exec" sh -c \
	"readelf --dyn-syms -W '$KMAP_LIB' | grep -q __tls_get_addr"
is "$(readelf -VW "$KMAP_LIB" | grep -c 'Version definition section')" 0 \
	"it defines no version node: that would switch interposition off"

out=$(kmap_env /bin/echo hello 2>&1)
is "$out" hello "a program runs with it, and nothing is said"
is "$(kmap_env cat /proc/self/maps | grep -c "r-xp.*/libkmapemu.so")" 1 \
	"and has it mapped"
out=$(cd / && kmap_env sh -c 'exec sh -c "exit 3"' 2>&1)
is "$?:$out" "3:" "exit status through two programs"

out=$("$KMAP_TRACE" --version 2>&1)
is "$?:$out" "0:kmap-trace (Kmap) $version" "kmap-trace --version"
out=$("$KMAP_TRACE" --help 2>&1)
is "$?" 0 "kmap-trace --help"
like "$out" "Examples:.*--summary" "with examples"
out=$(cd "$WORK" && "$KMAP_TRACE" -q -- touch touched 2>&1)
is "$?:$out" "0:" "kmap-trace runs a program"
ok "which does its work" test -e "$WORK/touched"
out=$("$KMAP_TRACE" 2>&1)
is "$?" 1 "kmap-trace without a program"
out=$("$KMAP_TRACE" --nonsense 2>&1)
is "$?" 1 "kmap-trace with an option it does not know"
not_ok "kmap-trace does not contain the preloaded library" sh -c \
	"readelf -dW '$KMAP_TRACE' | grep -q libkmapemu"
finish
