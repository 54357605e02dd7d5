#!/bin/bash
# bash completes what the commands take: each option that --help names, no
# other, and what belongs behind them. With and without bash-completion's own
# functions, which these may use.
. "${srcdir:-$(dirname "$0")}/lib.sh"
for c in "$KMAP_TRACE" "$KMAP_STAT"; do
	[ -x "$c" ] || bail_out "$c is not built"
done
plan 16
cd "$WORK" || exit 99
touch one.kmap other.txt
for c in kmap-trace kmap-stat; do
	# shellcheck disable=SC1090
	. "$top_srcdir/trace/completion/$c"
done
# A shell that runs no prompt has none, and says so.
compopt()
{
	:
}

# completed WORD...: what stands for the last of them, sorted, in one line
completed()
{
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	"_${1/-/_}" "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
	printf '%s\n' "${COMPREPLY[@]}" | LC_ALL=C sort -u | tr '\n' ' '
}

# options COMMAND: that its help names
options()
{
	"$1" --help | grep -oE '^ +(-.,|   ) +--[a-z-]+' |
		grep -oE -- '--[a-z-]+' | LC_ALL=C sort -u | tr '\n' ' '
}

is "$(completed kmap-trace -- | tr -d =)" "$(options "$KMAP_TRACE")" \
	"kmap-trace: every option, and no other"
is "$(completed kmap-stat -- | tr -d =)" "$(options "$KMAP_STAT")" \
	"kmap-stat: every option, and no other"
is "$(completed kmap-trace --fol)" "--folded " "the rest of an option"
is "$(completed kmap-trace --check o)" "one.kmap " "a table"
is "$(completed kmap-trace --merge -o o)" "one.kmap other.txt " "any file for -o"
is "$(completed kmap-trace --json o)" "one.kmap other.txt " "for --json"
is "$(completed kmap-trace -e recvm)" "recvmsg " "a call for -e"
is "$(completed kmap-trace -e %)" "%network " "a class"
is "$(completed kmap-trace -e end)" "endpoint= " "an endpoint"
like " $(completed kmap-trace -p "")" " $$ " "a process"
like " $(completed kmap-trace -q ca)" " cat " "the program's name"
is "$(completed kmap-trace -q cat o)" "one.kmap other.txt " "then its arguments"
is "$(completed kmap-trace -o table cat --he)" " " "which are not our options"
is "$(completed kmap-stat --sort ring_f)" "ring_fill " "kmap-stat: a key"
is "$(completed kmap-stat --sort = ring_f)" "ring_fill " \
	"and with =, which is a word of its own"

# Each key is one that the command takes.
bad=
for key in $(completed kmap-stat -s ""); do
	"$KMAP_STAT" -s "$key" >/dev/null 2>&1 || bad="$bad $key"
done
is "$bad" "" "each key is one"

finish
