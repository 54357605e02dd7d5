# Trace, table, emulate, trace again: what the tests of real programs under
# their own tables (t71xx) share. After programs/lib.sh and `programs`.
#
# A program goes through four runs under the same load, which is a function
# that asks it and looks at each answer:
#
#	first	traced, on TCP: its table is in order
#	again	the same: the table is the same, apart from counts
#	kmap	by that table, with the client on Kmap, too: the bytes are on
#		rings, by both ends' counts and by lo, and the table knows
#		all that happens
#	behind	traced once more, the recorder before the library, by that
#		table: and the table of this is the same

case " $KMAP_SANITIZE " in
*' address '*) skip_all "a preloaded ASan runtime tells another story" ;;
esac
[ -x "$KMAP_TRACE" ] || bail_out "kmap-trace is not built"
[ -e "$KMAP_RECORDER" ] || bail_out "libkmaptrace.so is not built"
unset KMAP_TRACE_LIB KMAP_TABLE KMAP_LOG
RUNS='first again kmap behind'

# run_words RUN SIDE: the words before the program that this test is about
run_words()
{
	local run=$1
	side_words "$2"
	case $run in
	kmap | behind)
		: >"$R/$2.warn"
		chmod 666 "$R/$2.warn"
		KMAP_WORDS+=("KMAP_TABLE=$T/first" "KMAP_LOG=warn:$R/$2.warn")
		;;
	esac
	[ "$run" = kmap ] ||
		KMAP_WORDS+=("$KMAP_TRACE" -q "${TRACE_MORE[@]}" -o "$T/$run")
}
TRACE_MORE=()

# begin NAME RUN: a round in the mode that the run is for
begin()
{
	case $2 in
	kmap | behind)
		MODE=kmap
		export KMAP_UPGRADE=now
		;;
	*)
		MODE=tcp
		unset KMAP_UPGRADE
		;;
	esac
	mkdir -p "$WORK/$MODE"
	T=$WORK/tables/$1
	mkdir -p "$T"
	# Servers that gave up root write there what nobody reads.
	round "$1-$2"
	chmod 777 "$R"
}

# server NAME PORT BYTES LOAD COMMAND...: all four runs. BYTES are those that
# the load moves through the server, once for each hop. BESIDE names sides
# that BEHIND starts before it in each run.
BESIDE=()
BEHIND=:
server()
{
	local name=$1 port=$2 bytes=$3 load=$4 run
	shift 4
	for run in $RUNS; do
		begin "$name" "$run"
		$BEHIND || return
		run_words "$run" "$name"
		start "$name" "${KMAP_WORDS[@]}" "$@"
		wait_port "$port" "$name" || {
			fail "$(label starts)"
			return 1
		}
		$load
		round_end "$name" "${BESIDE[@]}"
		judge "$name" "$run" "$bytes" out "$name" "${BESIDE[@]}"
	done
}

# client NAME SERVER PORT BYTES COMMAND...: the same for a program that asks;
# SERVER is a function that serves as the side "server"
client()
{
	local name=$1 server=$2 bytes=$3 run
	shift 3
	for run in $RUNS; do
		begin "$name" "$run"
		$server || return
		run_words "$run" "$name"
		ok "$(label "it runs")" within 25 "${KMAP_WORDS[@]}" "$@"
		round_end server
		judge "$name" "$run" "$bytes" in "$name" server
	done
}

# same_table NAME RUN: it says what the first one does. Paths that are there
# in one run alone are those of what came early or late in that run (who closed
# first, what was already there, what had to wait for room): most must agree.
same_table()
{
	local name=$1 run=$2 all other
	"$KMAP_TRACE" --diff "$T/first" "$T/$run" >"$R/diff" 2>&1
	is "$(grep -v '^[-+] path ' "$R/diff")" "" \
		"$name, $run: the same but for counts and paths" || return
	all=$(cat "$T/first" "$T/$run" | grep -c 'frames = ')
	other=$(grep -c '^[-+] path ' "$R/diff")
	holds "$all > 0 && $other <= $all / 3" \
		"$name, $run: and the same paths, but for those of chance"
	[ "$other" = 0 ] || {
		diag "$name, $run: of $all paths $other are in one run alone"
		diag "$(grep ' path ' "$R/diff" | cut -c 1-200 | head -n 12)"
	}
}

# judge NAME RUN BYTES in|out SIDE...: most bytes come in or go out at the
# first side
judge()
{
	local name=$1 run=$2 bytes=$3 way=$4
	shift 4
	case $run in
	first)
		lo_saw "$bytes"
		ok "$name: a table" "$KMAP_TRACE" --check "$T/first"
		like "$(grep -c '^decision = "emulate"' "$T/first")" '[1-9]' \
			"$name: something of it may move"
		;;
	again)
		same_table "$name" again
		;;
	kmap)
		report "$@"
		kept_out "$1" "$way" 90
		lo_below $((bytes / 10)) "below 10 % of $bytes bytes"
		is "$(stats_reasons "$R/$1.stats" | grep -E 'table|unknown')" \
			"" "$name: the table knows all of it"
		is "$(<"$R/$1.warn")" "" "$name: nothing is logged"
		;;
	behind)
		same_table "$name" behind
		;;
	esac
}
