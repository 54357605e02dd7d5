#!/bin/bash
# make install DESTDIR= puts the right files in place, and nothing else.
. "${srcdir:-$(dirname "$0")}/lib.sh"

need make
# Not the flags of the make that runs us.
unset MAKEFLAGS MAKELEVEL MFLAGS
prefix=$(sed -n "s/^prefix = //p" "$top_builddir/Makefile")
root=$WORK/root

listing()
{
	(cd "$root$prefix" 2>/dev/null && find . ! -type d | sort |
		tr '\n' ' ' | sed 's/ $//')
}

ok "make install DESTDIR" make -C "$top_builddir" install DESTDIR="$root"
is "$(listing)" "./bin/kmap-stat ./bin/kmap-trace ./lib/libkmapemu.so\
 ./lib/libkmaptrace.so ./share/bash-completion/completions/kmap-stat\
 ./share/bash-completion/completions/kmap-trace ./share/man/man1/kmap-stat.1\
 ./share/man/man1/kmap-trace.1 ./share/man/man5/kmap-table.5\
 ./share/man/man7/libkmapemu.7" "the files, and no others"
not_ok "nothing outside the prefix" sh -c \
	"find '$root' ! -type d | grep -v '^$root$prefix/'"
out=$("$root$prefix/bin/kmap-trace" --version 2>&1)
is "$?" 0 "the installed kmap-trace runs"
KMAP_LIB=$root$prefix/lib/libkmapemu.so
is "$(kmap_env /bin/echo hello 2>&1)" hello "the installed library preloads"
is "$(stat -c %a "$KMAP_LIB")" 755 "and everybody may read it"

if command -v man >/dev/null; then
	for page in "$root$prefix"/share/man/man*/*; do
		is "$(MANWIDTH=80 man --warnings -E UTF-8 -Tutf8 -Z -l \
			"$page" 2>&1 >/dev/null)" "" \
			"${page##*/} has no mistake that man sees"
	done
else
	skip "no man here" "the manual pages"
fi

ok "make uninstall DESTDIR" make -C "$top_builddir" uninstall DESTDIR="$root"
is "$(find "$root" ! -type d)" "" "leaves no file"
finish
