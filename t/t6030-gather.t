#!/bin/bash
# What kmap-trace gathers into a table, from events that are made up; and what
# it does with tables: --merge, --diff, files.
. "${srcdir:-$(dirname "$0")}/lib.sh"
need_module tomllib
MADE_UP=$builddir/table/made-up
[ -x "$MADE_UP" ] || bail_out "$MADE_UP is not built"
cd "$WORK" || exit 99

# What two runs may differ in.
counted()
{
	sed -E 's/(count|calls|processes|runs) = [0-9]+/\1 = N/g' "$@"
}

## Gathering

"$MADE_UP" 1 one.kmap >one
is "$(head -n 1 one)" "one.kmap: 8 of 26" "a table is written"
ok "as it should be" diff -u "$srcdir/table/made-up.kmap" one.kmap
ok "it is a table" "$KMAP_TRACE" --check one.kmap
ok "and TOML" "$PYTHON" -c 'import sys, tomllib
t = tomllib.load(open(sys.argv[1], "rb"))
assert t["call"]["listen@GLIBC_2.2.5"]["count"] == 4
assert all(e["decision"] == "tcp" for e in t["endpoint"]
           if e.get("kind", "tcp") != "tcp")' one.kmap
is "$(sed -n '2,$s/:[^:]*$//p' one | LC_ALL=C sort)" \
	"$("$PYTHON" -c 'import sys, tomllib
for e in tomllib.load(open(sys.argv[1], "rb"))["endpoint"]:
    k = e.get("kind", "tcp")
    n = [] if k == "tcp" else [k]
    n += [e["role"]] + [e["address"]] * (e["address"] != "")
    if e["decision"] == "tcp":
        print(*n)' one.kmap | LC_ALL=C sort)" \
	"the summary names what stays"
"$MADE_UP" 2 two.kmap >two
ok "another run: the same but for counts" \
	diff -u <(counted one.kmap) <(counted two.kmap)
not_ok "which differ" cmp one.kmap two.kmap
is "$("$KMAP_TRACE" --diff one.kmap two.kmap; echo $?)" 0 \
	"--diff has nothing to say"

## Files

is "$("$MADE_UP" 1 one.kmap | head -n 1)" "one.kmap (unchanged): 8 of 26" \
	"the same again"
is "$(ls)" "$(printf '%s\n' one one.kmap two two.kmap)" "leaves nothing else"
cp one.kmap t.kmap
"$MADE_UP" 2 t.kmap >/dev/null
ok "a different old table is kept" cmp t.kmap~ one.kmap
ok "beside the new one" cmp t.kmap two.kmap
"$MADE_UP" 1 t.kmap >/dev/null
ok "one of them" cmp t.kmap~ two.kmap
is "$(stat -c %a t.kmap)" "$(printf '%o' $((0666 & ~0$(umask))))" \
	"its mode is a file's"
not_ok "a directory that is not there" "$MADE_UP" 1 none/t.kmap
like "$("$MADE_UP" 1 none/t.kmap 2>&1)" \
	'^kmap-trace: none/t.kmap: cannot be written: No such file' "is said"
ln -s /dev/full full
like "$("$MADE_UP" 1 full 2>&1)" \
	'^kmap-trace: full: cannot be written: No space left' "a full disk, too"
mkdir d
not_ok "a directory is no file" "$MADE_UP" 1 d
is "$(ls -A d; ls | grep XXXX; ls | grep -c '[.]......$')" 0 \
	"no temporary file is left"

## --merge

"$KMAP_TRACE" --merge one.kmap two.kmap -o both.kmap
ok "--merge: the same but for counts" \
	diff -u <(counted one.kmap) <(counted both.kmap)
is "$(grep -c 'runs = 2' both.kmap)" 1 "two runs"
is "$(for f in one two both; do
	sed -n 's/^"read@.*count = \([0-9]*\).*/\1/p' $f.kmap
done | tr '\n' ' ' | awk '{ print $1 + $2 - $3 }')" 0 "counts are added"
ok "a table joined with itself has no new things" sh -c \
	'"$KMAP_TRACE" --merge one.kmap one.kmap -o same.kmap &&
	"$KMAP_TRACE" --diff one.kmap same.kmap'
# Of two decisions the careful one stays, with its reason; what is in one
# table only is kept.
edit()
{
	"$PYTHON" - "$@" <<-'END'
	import sys
	s = open(sys.argv[1]).read()
	for a, b in zip(sys.argv[3::2], sys.argv[4::2]):
	    assert s.count(a) == 1, (a, s.count(a))
	    s = s.replace(a, b)
	open(sys.argv[2], 'w').write(s)
	END
}
edit one.kmap edited.kmap \
	'6379"
count = 1
decision = "emulate"' '6379"
count = 1
decision = "tcp"
reason = "by hand"' \
	'9003"
count = 1
decision = "tcp"
reason = "urgent"' '9003"
count = 1
decision = "emulate"' \
	'= "127.0.0.1:6380' '= "127.0.0.1:6381' \
	'inert = false' 'inert = true
ring = "1M"' \
	'"send@GLIBC_2.2.5" = { count = 1' '"send@GLIBC_2.2.5" = { count = 0' \
	'"TCP_NODELAY"' '"TCP_CORK"'
for order in "one.kmap edited.kmap" "edited.kmap one.kmap"; do
	# shellcheck disable=SC2086 # two words
	"$KMAP_TRACE" --merge $order -o merged.kmap
	is "$("$KMAP_TRACE" --diff one.kmap merged.kmap)" \
"~ settings: inert false -> true
~ settings: ring (none) -> 1M
~ endpoint connect 127.0.0.1:6379: decision emulate -> tcp
~ endpoint connect 127.0.0.1:6379: reason (none) -> by hand
~ call setsockopt@GLIBC_2.2.5: options +TCP_CORK
+ endpoint connect 127.0.0.1:6381: emulate" "--merge $order"
done
sed 's/"00112233445566778899"/"0011"/' one.kmap >build.kmap
like "$("$KMAP_TRACE" --merge one.kmap build.kmap -o x 2>&1; echo $?)" \
	'of two builds of app.*1$' "two builds are not joined"
sed 's|^exe = .*|exe = "/bin/other"|' one.kmap >other.kmap
like "$("$KMAP_TRACE" --merge one.kmap other.kmap -o x 2>&1; echo $?)" \
	'is of app, and other.kmap is of other.*1$' "two programs neither"
echo x >bad.kmap
is "$("$KMAP_TRACE" --merge one.kmap bad.kmap none.kmap -o x 2>&1; echo $?)" \
"bad.kmap:1:1: a table begins with \"kmap-table = 1\"
none.kmap: there is no such file
1" "bad ones are all said"
not_ok "and nothing is written" test -e x
"$KMAP_TRACE" --merge one.kmap two.kmap -o one.kmap
ok "a result may be one of them" cmp one.kmap both.kmap
"$KMAP_TRACE" --merge both.kmap -o - >out.kmap
ok "- is standard output" cmp out.kmap both.kmap

## --diff

is "$("$KMAP_TRACE" --diff both.kmap edited.kmap; echo $?)" \
	"$(cat "$srcdir/table/made-up.diff")
1" "--diff"
is "$("$KMAP_TRACE" --diff both.kmap bad.kmap 2>&1; echo $?)" \
	"bad.kmap:1:1: a table begins with \"kmap-table = 1\"
2" "--diff: trouble"

finish
