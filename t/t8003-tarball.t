#!/bin/bash
# The tarball builds out of tree, without autotools and from a source that
# cannot be written, and holds what a clone holds.
# Limit: 240 s
. "${srcdir:-$(dirname "$0")}/lib.sh"

need make tar
[ -z "$KMAP_SANITIZE" ] || skip_all "once without sanitizers is enough"
unset MAKEFLAGS MAKELEVEL MFLAGS TESTS
name=kmap-$(sed -n 's/^#define PACKAGE_VERSION "\(.*\)"/\1/p' \
	"$top_builddir/config.h")

# automake wants a path relative to the build.
to=$(realpath --relative-to="$top_builddir" "$WORK")/$name
ok "make distdir" make -C "$top_builddir" distdir distdir="$to" \
	am__remove_distdir=: am__skip_mode_fix=:
ok "make it a tarball" tar -C "$WORK" -czf "$WORK/$name.tar.gz" "$name"
rm -rf "${WORK:?}/$name"
tar -C "$WORK" -xzf "$WORK/$name.tar.gz"

# Each file under version control is in it, but for what serves git alone.
if git -C "$top_srcdir" rev-parse --show-toplevel >/dev/null 2>&1; then
	absent=$(cd "$top_srcdir" && git ls-files | while read -r f; do
		case $f in
		.gitignore) continue ;;
		esac
		[ -e "$WORK/$name/$f" ] || [ ! -e "$f" ] || echo "$f"
	done)
	is "$absent" "" "the tarball holds every file of the repository"
else
	skip "not a clone" "the tarball holds every file of the repository"
fi

chmod -R a-w "$WORK/$name"
mkdir "$WORK/b"
cd "$WORK/b" || exit 1
ok "configure out of tree" "$WORK/$name/configure" -q \
	--prefix="$WORK/inst" || diag "$(tail -n 30 config.log)"
ok "make" make -s
ok "make install" make -s install
KMAP_LIB=$WORK/inst/lib/libkmapemu.so
is "$(kmap_env /bin/echo hello 2>&1)" hello "its library preloads"
is "$("$WORK/inst/bin/kmap-trace" --version | head -c 10)" kmap-trace \
	"its kmap-trace runs"
cd / && chmod -R u+w "$WORK/$name"
finish
