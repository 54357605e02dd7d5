#!/bin/bash
# In a program that gained privileges (AT_SECURE) the library is inert: it
# reads no environment, opens no file, offers nothing.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"

[ "$(id -u)" = 0 ] || need_failed "only root can make a setuid program"
command -v "$CC" >/dev/null || need_failed "no compiler"
! sanitized address || skip_all "AddressSanitizer refuses setuid programs"
plan 6
export KMAP_UPGRADE=now

# LD_PRELOAD with a slash is not obeyed there; so it is linked, which is also
# what an administrator's /etc/ld.so.preload comes to.
chmod 777 "$WORK"
cp "$KMAP_LIB" "$WORK/libkmapemu.so"
cat >"$WORK/main.c" <<'END'
#include <sys/auxv.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	if (argc < 2)
		return !printf("%lu\n", getauxval(AT_SECURE));
	dup2(2, 1);
	return execv(argv[1], argv + 1);
}
END
"$CC" -o "$WORK/main" "$WORK/main.c" -Wl,--no-as-needed \
	"$WORK/libkmapemu.so" -Wl,-rpath,"$WORK" || bail_out "cannot link"
"$CC" -O -I"$top_builddir" -I"$srcdir" -D_GNU_SOURCE -o "$WORK/ask" \
	"$srcdir/fault/serve.c" -Wl,--no-as-needed "$WORK/libkmapemu.so" \
	-Wl,-rpath,"$WORK" -lpthread || bail_out "cannot link"
cp "$WORK/ask" "$WORK/secure"
chown root "$WORK/main" "$WORK/secure"
chmod 4755 "$WORK/main" "$WORK/secure"
as_nobody()
{
	"$PYTHON" -c 'import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(12345)
os.execv(sys.argv[1], sys.argv[1:])' "$@"
}
[ "$(as_nobody "$WORK/main" 2>/dev/null)" = 1 ] ||
	need_failed "setuid has no effect here"

start server kmap_env KMAP_STATS="$WORK/server.json" \
	"$builddir/fault/serve" echo "$WORK/port"
for ((i = 0; i < 400; i++)); do
	[ ! -s "$WORK/port" ] || break
	sleep 0.025
done
port=$(cat "$WORK/port")
KMAP_STATS=$WORK/usual.json KMAP_LOG=debug:$WORK/usual.log \
	ok "the same program without privileges is served" \
	timeout -k 2 20 "$WORK/ask" ask "$port" 60 0
holds "$(stats_sum "$WORK/usual.json" connections_paired) == 1" \
	"and is paired"
KMAP_STATS=$WORK/secure.json KMAP_LOG=debug:$WORK/secure.log \
	ok "the setuid program is served" \
	as_nobody "$WORK/secure" ask "$port" 60 0
ok "no file of statistics" test ! -e "$WORK/secure.json"
ok "no log" test ! -e "$WORK/secure.log"
stop server
holds "$(stats_sum "$WORK/server.json" connections_paired) == 1" \
	"the server was paired with the other alone"
finish
