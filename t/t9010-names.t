#!/bin/bash
# The names that the library takes: calls.def, libkmapemu.map, what the
# library exports, doc/COVERAGE.md, libc's headers and the tests agree. And the
# names of its test points.
. "${srcdir:-$(dirname "$0")}/lib.sh"
plan 15

emu=$top_srcdir/emu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || bail_out "no temporary directory"
libc=$(ldd "$KMAP_LIB" | awk '$1 ~ /^libc\./ { print $3 }')

# The columns of calls.def: kind, name, and what an alias stands for.
sed -n 's/^KMAP_\(CALL0\|CALL\|CALLP\)(\([^,]*\), \(\w*\),.*/call \3/p
	s/^KMAP_VOID(\(\w*\),.*/call \1/p
	s/^KMAP_ALIAS(\(\w*\), \(\w*\),.*/alias \1 \2/p' \
	"$emu/calls.def" > table
cut -d' ' -f2 table | sort > defined
sed -n 's/^\t*\(\w*\);$/\1/p' "$emu/libkmapemu.map" | sort > mapped
nm -D --defined-only "$KMAP_LIB" | awk '{ print $3 }' | sort > exported
nm -D --defined-only "$libc" | awk '$2 ~ /[TWi]/ { print $3 }' |
	grep -v '@GLIBC_PRIVATE' | sed -n 's/@@.*//p' | sort -u > libc
# Rows of COVERAGE: "name answer" for each name in backticks of column one.
awk -F' [|] ' '/^[|] `/ {
	n = split($1, f, "`")
	for (i = 2; i <= n; i += 2)
		print f[i] "\t" $2
}' "$top_srcdir/doc/COVERAGE.md" | sort > covered

# same NAME A B: two sorted lists are equal; the differences are shown.
same()
{
	ok "$1" diff "$2" "$3"
}

# none NAME FILE: nothing is in it.
none()
{
	same "$1" /dev/null "$2"
}

[ "$(wc -l < defined)" -gt 150 ] && [ "$(wc -l < libc)" -gt 1500 ] ||
	bail_out "found no names"

uniq -d defined > twice
none "no name stands in calls.def twice" twice
same "calls.def and libkmapemu.map agree" defined mapped
same "calls.def and the exported names agree" defined exported
comm -23 defined libc > strange
none "libc exports every name of calls.def" strange
awk '$1 == "call" { print $2 }' table | sort > calls
awk '$1 == "alias" { print $3 }' table | sort -u | comm -23 - calls > strange
none "every alias stands for a call of calls.def" strange

cut -f1 covered | uniq -d > twice
none "no function has two rows in COVERAGE" twice
awk -F'\t' '$2 ~ /^(emulated|watched|to TCP|refused)/ { print $1 }' covered |
	grep -v '^_IO_popen$' > taken
same "the wrapped functions of COVERAGE are those of calls.def" taken defined
awk -F'\t' '$2 !~ /^(emulated|watched|to TCP|refused|the kernel.s|not concerned)$/' \
	covered > strange
none "every row of COVERAGE gives one of its answers" strange
"$PYTHON" "$srcdir/lint/fd-functions.py" $CC < libc > takes_fd ||
	bail_out "cannot read libc's headers"
[ "$(wc -l < takes_fd)" -gt 150 ] || bail_out "found no fd functions"
cut -f1 covered | sort -u > names
sort takes_fd | comm -23 - names > missing
none "every function of libc that takes an fd has its row" missing

# A name of ours in the library's own relocations would be a self-call.
readelf -rW "$KMAP_LIB" | awk '/JUMP_SLO|GLOB_DAT|R_X86_64_64|ABS64/ \
	{ sub(/@.*/, "", $5); print $5 }' | sort -u > wanted
grep -qx dlsym wanted || bail_out "readelf shows no relocations"
comm -12 wanted defined > self
none "the library calls no name that it interposes" self

# One definition for each exported name, in the file of its family.
awk -F'"' '/^KMAP_/ { split($1, f, /[(,] */)
	if ($1 ~ /^KMAP_(ALIAS|VOID)/) n = f[2]; else n = f[3]
	if ($1 ~ /^KMAP_CALL0/) n = f[3]
	print n, $(NF - 1) }' "$emu/calls.def" > family
while read -r name fam; do
	files=$(grep -lE "^(KMAP_EXPORT .*[ *])?$name\\(|KMAP_ALIAS_(OF|64)\\($name,|^BORN\\($name,|globl $name\\\\n" \
		"$emu"/*.c | xargs -rn1 basename | sort | tr '\n' ' ')
	[ "$files" = "$fam.c " ] || echo "$name ($fam): ${files:-nowhere}"
done < family > strange
none "every name is defined in the file of its family alone" strange

# Twin cases: what the objects of the cases import is called by one of them,
# also by its further names. What the harness calls does not count.
for o in "$builddir"/twin/twin-*.o "$builddir"/twin/.libs/*_la-*.o; do
	case $o in
	*/twin-conn.o | */twin-drive.o | */twin-peer.o | */twin-twin.o) ;;
	*) nm -u "$o" | awk '{ print $2 }' ;;
	esac
done | sort -u > called
[ "$(wc -l < called)" -gt 200 ] || bail_out "found no objects of twin cases"
comm -23 defined called > missing
none "every name is called by a twin case" missing
"$builddir/twin/twin" -l '*' | sort > cases
[ "$(wc -l < cases)" -gt 500 ] || bail_out "found no twin cases"
sed -n 's/.*twin\/run" //p' "$srcdir"/t3*.t |
	xargs -L1 "$builddir/twin/twin" -l | sort -u > run
comm -23 cases run > missing
none "every twin case is run by a t3xxx test" missing

# A new test point is one more place at which t4010 kills.
cat "$top_srcdir"/src/*.c "$emu"/*.c |
	sed -n 's/.*KMAP_TESTPOINT("\([^"]*\)".*/\1/p' | sort -u > points
[ "$(wc -l < points)" -gt 10 ] || bail_out "found no test points"
sed -n '/^} points\[\] = {$/,/^};$/s/^\t{"\([^"]*\)".*/\1/p' \
	"$srcdir/t4010-kills.c" | sort > killed
same "t4010 kills at every test point" points killed
sed -n '/^  | point | where |$/,/^$/s/^  | \([a-z][^|]*\) |.*/\1/p' \
	"$top_srcdir/doc/TESTING.md" | grep -v '^point$' | tr -d ' ' |
	tr , '\n' | sort > told
same "doc/TESTING.md names every test point" points told
finish
