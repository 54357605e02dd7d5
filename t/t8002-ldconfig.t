#!/bin/bash
# make install as root: a bare LD_PRELOAD=libkmapemu.so works from any
# directory. In a mount namespace whose /etc and /usr/local are copies, so that
# the machine stays as it is.
. "${srcdir:-$(dirname "$0")}/lib.sh"

need make unshare mount
unset MAKEFLAGS MAKELEVEL MFLAGS

if [ "${1-}" != inside ]; then
	libdir=$(sed -n "s/^libdir='\(.*\)'/\1/p" \
		"$top_builddir/emu/libkmapemu.la")
	[ "$libdir" = /usr/local/lib ] ||
		skip_all "configured for $libdir, not for /usr/local/lib"
	# Without root, root of a user namespace does: the mounts are its own.
	how=-m
	[ "$(id -u)" = 0 ] || how=-rm
	unshare $how --propagation private true 2>/dev/null ||
		skip_all "no mount namespace of our own here"
	rm -rf "$WORK"
	exec unshare $how --propagation private -- "$BASH" "$0" inside
fi

mount -t tmpfs tmpfs "$WORK" || skip_all "tmpfs cannot be mounted here"
mkdir "$WORK/etc"
# Secrets cannot be read without root, and are not needed.
cp -a /etc/. "$WORK/etc" 2>/dev/null
mount --bind "$WORK/etc" /etc || skip_all "no bind mount here"
mount -t tmpfs -o mode=755 tmpfs /usr/local || skip_all "no mount here"
mount -t tmpfs -o mode=755 tmpfs /var/cache/ldconfig 2>/dev/null
PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
at_end()
{
	umount /var/cache/ldconfig /usr/local /etc "$WORK" 2>/dev/null
	rm -rf "$WORK"
}
trap at_end EXIT
mkdir -p /usr/local/lib
ldconfig

# The bare name, from a directory: what the loader says, and whether the
# library is really there.
bare()
{
	(cd "$1" && LD_PRELOAD=$bare cat /proc/self/maps 2>&1 >"$WORK/maps")
	grep -c 'r-xp.*/usr/local/lib/libkmapemu.so' "$WORK/maps"
}
# The runtime of ASan stands before it, as in every test.
KMAP_LIB=libkmapemu.so
bare=$(kmap_preload)

like "$(bare /)" "cannot be preloaded" "before: the loader ignores it"
ok "make install" make -C "$top_builddir" install
is "$(bare /)" 1 "after: it is loaded, from /"
is "$(bare "$WORK")" 1 "from another directory"
is "$(bare /proc/self)" 1 "from /proc/self"
like "$(cd / && LD_PRELOAD=$bare kmap-trace --version 2>&1)" "^kmap-trace" \
	"kmap-trace runs by its bare name" || :
ok "make uninstall" make -C "$top_builddir" uninstall
like "$(bare /)" "cannot be preloaded" "afterwards it is gone"
finish
