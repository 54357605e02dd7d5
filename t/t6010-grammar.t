#!/bin/bash
# What a table may hold (kmap-table(5)): each thing that is refused, with its
# place; and that every table is TOML.
. "${srcdir:-$(dirname "$0")}/lib.sh"
need_module tomllib
FUZZ=$builddir/fuzz/table
[ -x "$FUZZ" ] || bail_out "$FUZZ is not built"
cd "$WORK" || exit 99

# bad MESSAGE-AFTER-THE-FILE'S-NAME TEXT: the text with printf's escapes
bad()
{
	printf '%b' "$2" >bad.kmap
	is "$("$KMAP_TRACE" --check bad.kmap 2>&1; echo "status $?")" \
		"bad.kmap:$1
status 1" "$1"
}

# The same behind a good beginning, of three lines.
HEAD='kmap-table = 1
[program]
exe = "x"
'

line()
{
	bad "$1" "$HEAD$2\n"
}

for f in good small; do
	ok "$f.kmap is a table" "$KMAP_TRACE" --check "$srcdir/table/$f.kmap"
done
is "$("$KMAP_TRACE" --check "$srcdir/table/good.kmap" 2>&1)" "" \
	"a good table: nothing is said"

## The file

is "$("$KMAP_TRACE" --check none . 2>&1)" "none: there is no such file
.: it is not a regular file" "no file, and no regular file"
head -c 16777217 /dev/zero >large
is "$("$KMAP_TRACE" --check large 2>&1)" "large: larger than 16777216 bytes" \
	"a large file"
bad '1:1: a table begins with "kmap-table = 1"' ''
bad '1:1: a table begins with "kmap-table = 1"' '<html>\n'
bad '3:1: a table begins with "kmap-table = 1"' '# a comment\n\n[program]\n'
bad '1:1: version 2 of tables: version 1 is known' 'kmap-table = 2\n'
bad '1:1: "kmap-table" takes an integer, not a string' 'kmap-table = "1"\n'
bad '2:1: "x" is not a key of the top' 'kmap-table = 1\nx = 1\n'
bad '2:1: a table has a section [program]' 'kmap-table = 1\n'
bad '2:1: [program] lacks "exe"' 'kmap-table = 1\n[program]\n'
bad '3:1: "exe" is empty' 'kmap-table = 1\n[program]\nexe = ""\n'

## Characters

line '4:3: a carriage return: lines end in a line feed alone' '# \r'
line '4:2: the control character 0x7' '#\a'
line '4:2: the control character 0x7f' '#\x7f'
line '4:1: the control character 0x0' '\0'
line '4:3: the byte 0xff is not UTF-8' '# \xff'
line '4:3: the byte 0xc3 is not UTF-8' '# \xc3('
line '4:3: the byte 0xc0 is not UTF-8' '# \xc0\xaf'
line '4:3: the byte 0xed is not UTF-8' '# \xed\xa0\x80'
line '4:3: the byte 0xf4 is not UTF-8' '# \xf4\x90\x80\x80'
line '4:19: the byte 0xe2 is not UTF-8' '# eight and eight \xe2\x82'
bad '1:1: a table begins with "kmap-table = 1"' '\xef\xbb\xbfkmap-table = 1\n'

## Keys and sections

line '4:1: no key: a name, digits, _ and -, or a string' '@ = 1'
line '4:1: no key before the =' '= 1'
line '4:3: no = after the key' 'a 1'
line '5:2: no = after the key' 'runs = 1\na'
line '4:2: a dotted key: write the section in [brackets], or quote a name that has a dot' \
	'a.b = 1'
line '4:1: a literal string ('"'...'"'): write it in double quotes' "'a' = 1"
line '4:1: "none" is not a key of [program]' 'none = 1'
line '4:1: "exe" stands twice' 'exe = "y"'
line '4:1: "nothing" is not a section of a table' '[nothing]'
line '4:3: a section is [name] or [[name]]' '[[]]'
line '4:2: a section is [name] or [[name]]' '[ call ]'
line '4:6: a section is [name] or [[name]]' '[call'
line '4:11: a section is [name] or [[name]]' '[[endpoint]'
line '4:6: a dotted section: sections have one name' '[call.x]'
line '4:8: more on the line, after a section'"'s name" '[call] x = 1'
line '4:1: the section is [call]' '[[call]]'
line '4:1: the section is [[endpoint]]' '[endpoint]'
line '4:1: [program] stands twice, first in line 2' '[program]'
line '6:1: "a" stands twice, first in line 5' \
	'[call]\na = { count = 1 }\n"\\u0061" = { count = 2 }'

## Values

line '4:8: no value: a string, an integer, true, false, an array or an inline table' \
	'runs = yes'
line '4:8: no value: a string, an integer, true, false, an array or an inline table' \
	'runs = '
line '4:8: a float: numbers are whole' 'runs = 1.5'
line '4:8: a float: numbers are whole' 'runs = 1e5'
line '4:8: a float: numbers are whole' 'runs = -inf'
line '4:8: a float: numbers are whole' 'runs = nan'
line '4:8: an underscore in a number' 'runs = 1_000'
line '4:8: a number that is not decimal' 'runs = 0xff'
line '4:8: a number that is not decimal' 'runs = 0b1'
line '4:8: a number that begins with 0' 'runs = 01'
line '4:8: a number that begins with 0' 'runs = -00'
line '4:8: a plus sign: write the number alone' 'runs = +1'
line '4:8: a date or time' 'runs = 1979-05-27'
line '4:8: a date or time' 'runs = 07:32:00'
line '4:8: a number beyond 64 bits' 'runs = 9223372036854775808'
line '4:1: "runs" is a count: not below 0' 'runs = -9223372036854775808'
line '4:8: a number that does not end where its digits end' 'runs = 1a'
line '4:10: more on the line, after a value' 'runs = 1 2'
line '4:1: "runs" takes an integer, not a boolean' 'runs = true'
line '4:1: "command" takes a string, not an array' 'command = []'
line '4:1: "command" takes a string, not an inline table' 'command = {}'
line '4:1: "build-id" is hexadecimal, in lower case' 'build-id = "AB"'

## Strings

line '4:11: a multi-line string ("""): a table'"'s strings stand on one line" \
	'command = """a"""'
line '4:11: a multi-line literal string ('"'''): write it in double quotes, on one line" \
	"command = '''a'''"
line '4:11: a literal string ('"'...'"'): write it in double quotes' \
	"command = 'a'"
line '4:13: the line ends within a string' 'command = "a'
line '4:13: an unknown escape: known are \b \t \n \f \r \" \\ \u \U' \
	'command = "a\\x41"'
line '4:12: an escape takes 4 (\u) or 8 (\U) hexadecimal digits' \
	'command = "\\u12"'
line '4:12: a NUL in a string' 'command = "\\u0000"'
line '4:12: the escape names no character' 'command = "\\ud800"'
line '4:12: the escape names no character' 'command = "\\U00110000"'

## Arrays and inline tables

line '6:1: the file ends within an array' '[call]\na = { count = 1, flags = [ "x",'
line '5:32: neither , nor ] after an element of an array' \
	'[call]\na = { count = 1, flags = [ "x" "y" ] }'
line '5:27: no value: a string, an integer, true, false, an array or an inline table' \
	'[call]\na = { count = 1, flags = [,] }'
line '5:27: an element of "flags" is a string, not an integer' \
	'[call]\na = { count = 1, flags = [1] }'
line '5:16: the line ends within an inline table' '[call]\na = { count = 1\n}'
line '5:18: the line ends within an inline table' '[call]\na = { count = 1, # x'
line '5:18: a comma before the } of an inline table' '[call]\na = { count = 1, }'
line '5:17: neither , nor } after a value of an inline table' \
	'[call]\na = { count = 1 flags = [] }'
line '5:18: "count" stands twice' '[call]\na = { count = 1, count = 1 }'
line '5:18: "x" is not a key of [call]' '[call]\na = { count = 1, x = 1 }'
line '5:1: [call] lacks "count"' '[call]\na = {}'
line '5:1: "a" takes an inline table, not an integer' '[call]\na = 1'
line '5:10: nested too deep' '[call]\na = [[[[[[]]]]]]'

## Settings

line '5:1: "upgrade" is earned, now or never, not "soon"' \
	'[settings]\nupgrade = "soon"'
line '5:1: "ring" is bytes from 4096 to 64M' '[settings]\nring = 4095'
line '5:1: "ring" is bytes from 4096 to 64M' '[settings]\nring = "1G"'
line '5:1: "ring" is bytes from 4096 to 64M' '[settings]\nring = -8192'
line '5:1: "peers" is same-uid or uid,uid...' '[settings]\npeers = "all"'
line '5:1: "peers" is same-uid or uid,uid...' '[settings]\npeers = []'
line '5:1: "peers" is same-uid or uid,uid...' '[settings]\npeers = [-1]'
line '5:1: "inert" takes a boolean, not a string' '[settings]\ninert = "yes"'
line '5:1: "log" is not a key of [settings]' '[settings]\nlog = "debug"'

## Endpoints

# endpoint MESSAGE ROLE ADDRESS DECISION [MORE]
endpoint()
{
	bad "$1" "$HEAD[[endpoint]]
role = \"$2\"
address = \"$3\"
decision = \"$4\"
${5-}"
}

line '4:1: [[endpoint]] lacks "address"' '[[endpoint]]'
endpoint '5:1: "role" is connect, accept, listen, pair or open, not "x"' \
	x '1.2.3.4:5' tcp
endpoint '7:1: "decision" is emulate or tcp, not "x"' listen '1.2.3.4:5' x
endpoint '8:1: "kind" is tcp, udp, unix or other, not "x"' \
	listen '1.2.3.4:5' tcp 'kind = "x"\n'
endpoint '5:1: an endpoint of TCP is connect, accept or listen, not "pair"' \
	pair '1.2.3.4:5' tcp
endpoint '7:1: "emulate" is for TCP, and this is udp' \
	connect '1.2.3.4:5' emulate 'kind = "udp"\n'
for a in '' localhost:80 1.2.3.4 1.2.3.4: 1.2.3.4:0 1.2.3.4:080 :80 \
	1.2.3.4:65536 1.2.3:80 ::1:80 '[::1]' '[::1:80' '[1.2.3.4]:80' \
	1.2.3.4:80x '**:80' 1.2.3.4:-1 '[fe80::1%lo]:80'; do
	endpoint "6:1: \"$a\" is not an address: 127.0.0.1:80, [::1]:80, with * for any host or port" \
		listen "$a" tcp
done
endpoint '8:1: the endpoint listen [::ffff:1.2.3.4]:5 stands twice, first in line 4' \
	listen '1.2.3.4:5' tcp \
	'[[endpoint]]\nrole="listen"\naddress="[::ffff:1.2.3.4]:5"\ndecision="tcp"\n'
endpoint '9:1: the endpoint open  stands twice, first in line 4' \
	open '' tcp \
	'kind="unix"\n[[endpoint]]\nrole="open"\nkind="unix"\naddress=""\ndecision="tcp"\n'
# What a message quotes cannot write to the terminal.
line '4:1: "a?[31m?b" is not a key of [program]' '"a\\u001b[31m\\nb" = 1'

## Every table is TOML

mkdir toml
while read -r l; do
	case $l in
	'ok '*) pass "${l#ok - }" ;;
	'not ok '*) fail "${l#not ok - }" ;;
	*) echo "$l" ;;
	esac
done < <("$PYTHON" "$srcdir/table/toml.py" toml 4000 "$FUZZ" \
	"$srcdir"/table/*.kmap 2>&1 || echo "not ok - toml.py ran")

## Whatever is fed in

diag "$("$FUZZ" -n 100000 -s 6010 "$srcdir"/table/*.kmap >fuzz 2>&1
	echo "status $?"; grep '^#' fuzz)"
is "$(grep -c '^ok' fuzz)" 2 "100,000 mutated tables: no crash" ||
	diag "$(cat fuzz)"

finish
