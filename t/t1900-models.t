#!/bin/bash
# Limit: 300 s
# The models of doc/model: spin finds no error in them, finds one as soon as
# any of their switches takes something out, and every function that they
# speak of is in the source.
. "${srcdir:-$(dirname "$0")}/lib.sh"

models=$top_srcdir/doc/model
need spin "${CC%% *}"

# One search a line: what is expected, the model, its flags.
#	ok	no error in the whole state space
#	idle	no execution that goes on for ever: all end up asleep
#	error	an error, and a trail that leads to it
#	awake	an execution that goes on for ever
jobs=()
want()
{
	jobs+=("$*")
}

small=-DK=2
kill="-DNC=2 -DK=1 -DKILL"
space="-DK=3 -DSPACE=1"
common="-DCOMMON -DONE -DSPLIT -DNC=2 -DNR=2 -DK=1"
want ok wake $common
want ok wake $small
want ok wake $small -DX86
want ok wake $kill
want ok wake -DNC=2 -DK=1 -DLINES
want ok wake -DNR=2 -DK=1
want ok wake $space
want idle wake $small
want idle wake $space
want idle wake -DNR=2 -DK=1
for x in FENCE_KICK FENCE_ARM FENCE_L1 FENCE_SLEEP LOOK_ARM LOOK_SLEEP \
	L1_FIRST; do
	want error wake $small -DNO_$x
done
# What arm64 needs and x86-64 has for nothing is left out here.
for x in FENCE_KICK FENCE_SLEEP LOOK_ARM LOOK_SLEEP L1_FIRST; do
	want error wake $small -DX86 -DNO_$x
done
want error wake $kill -DNO_L1_ALWAYS
want error wake $kill -DNO_L2_FIRST
want error wake $space -DNO_KICK_SPACE
for x in HAND_ON HAND_RING KEEP; do
	want error wake $common -DNO_$x
done
want awake wake $small -DNO_CLEAR

updown="-DMAX=4 -DRC=2 -DMAXREC=4"
bounce="-DMAX=2 -DBOUNCE"
readers="-DMAX=1 -DNRD=2 -DBOUNCE"
want ok switch $readers
want ok switch $updown
want ok switch $bounce
want ok switch -DMAX=3 -DBOUNCE
want ok switch -DMAX=2 -DNWR=2 -DBOUNCE
want idle switch $bounce
want idle switch -DMAX=3
for x in INQ_FIRST CAP PASS EOF_LOOK CARRIER FENCE_ARM LOOK_ARM; do
	want error switch $updown -DNO_$x
done
for x in INQ_FIRST CAP FENCE_KICK KICK_REC BOUNCE_BIT UP FENCE_FREEZE \
	LOOK_FREEZE WITHDRAW KICK_FREEZE DOWN_FIN; do
	want error switch $bounce -DNO_$x
done
want error switch $readers -DNO_LOCK

blocking=-DK=2
senders="-DNSD=2 -DK=1"
want ok consent $senders
want ok consent $blocking
want idle consent $blocking
for x in QUIET FENCE_ENTER FENCE_CLOSE FENCE_LEAVE LEAVE_LOOK TURNED_LOOK \
	ENTER_LOOK; do
	want error consent $blocking -DNO_$x
done
want error consent $senders -DNO_TX_QUIET

if [ -n "${KMAP_LONG-}" ]; then
	want ok wake -DNC=2 -DK=2
	want ok wake -DNC=2 -DNR=2 -DONE -DK=1
	want ok wake -DNR=2 -DK=1 -DSPACE=1
	want ok wake -DCOMMON -DNR=2 -DK=2
	want ok wake $common -DX86
	want ok switch -DMAX=4 -DRC=2 -DMAXREC=4 -DBOUNCE
	want ok switch -DMAX=2 -DNRD=2 -DBOUNCE
	want ok switch -DMAX=4 -DNWR=2 -DMAXREC=4
	want ok switch -DMAX=2 -DNWR=2 -DNRD=2
	want ok consent -DNRD=2 -DK=1
	want ok consent $senders -DLONGMSG
	want idle wake $common
	want idle consent $senders
fi

# search EXPECTED MODEL FLAGS...: 0 if it came out as expected
search()
{
	local expected=$1 model=$2 cc run=()
	shift 2
	case $expected in
	# A whole search is worth an optimised one, and less memory.
	ok) cc="-O1 -DSAFETY -DCOLLAPSE" ;;
	error) cc="-O0 -DSAFETY" ;;
	*) cc="-O0 -DNP -DNOFAIR" run=(-l) ;;
	esac
	cp "$models"/*.pml . && spin "$@" -a "$model.pml" &&
		$CC -w $cc -DVECTORSZ=512 -DMEMLIM=12000 -o pan pan.c ||
		return 1
	# -n: do not list what was never reached.
	./pan -m100000 -n "${run[@]}" >out 2>&1
	cat out
	# Part of the states is no proof, and no reason either.
	! grep -Eq 'max search depth|out of memory|VECTORSZ|aborted' \
		out || return 1
	case $expected in
	ok|idle) grep -q 'errors: 0$' out ;;
	error) grep -Eq 'errors: [1-9]' out && test -s "$model.pml.trail" &&
		grep -Eq '^pan:1: (assertion violated|invalid end state)' \
			out ;;
	awake) grep -Eq 'errors: [1-9]' out && test -s "$model.pml.trail" &&
		grep -q '^pan:1: non-progress cycle' out ;;
	esac
}

worker()
{
	local i
	for ((i = $1; i < ${#jobs[@]}; i += workers)); do
		mkdir "$WORK/$i"
		(cd "$WORK/$i" && search ${jobs[i]}) >"$WORK/$i.log" 2>&1
		echo $? >"$WORK/$i.rc"
		rm -rf "${WORK:?}/$i"
	done
}

workers=$(nproc)
pids=()
for ((w = 0; w < workers; w++)); do
	worker $w &
	pids+=($!)
done
wait "${pids[@]}"

for ((i = 0; i < ${#jobs[@]}; i++)); do
	if [ "$(cat "$WORK/$i.rc" 2>/dev/null)" = 0 ]; then
		pass "${jobs[i]}"
	else
		fail "${jobs[i]}"
		diag "$(tail -n 20 "$WORK/$i.log")"
	fi
done

# A switch that nobody pulls, or that no model has, proves nothing.
for model in wake switch consent; do
	is "$(printf '%s\n' "${jobs[@]}" | grep " $model " |
		grep -o 'NO_[A-Z0-9_]*' | sort -u | tr '\n' ' ')" \
		"$(grep -o '^#if.*' "$models/$model.pml" |
			grep -o 'NO_[A-Z0-9_]*' | sort -u | tr '\n' ' ')" \
		"$model: all its switches are tested, and no others"
done
# What breaks under a switch has to be sound without it.
sound=$(printf '%s\n' "${jobs[@]}" | grep '^ok')
is "$(printf '%s\n' "${jobs[@]}" | grep '^error' |
	sed 's/ -DNO_[A-Z0-9_]*//; s/^error/ok/' | sort -u |
	grep -vxF "$sound")" "" "each broken model is a sound one with a switch"

# Rules that the source cites, and switches that the rules name.
is "$(grep -ohE '\<M[0-9]+[:),]' "$top_srcdir"/src/*.[ch] \
	"$top_srcdir"/emu/*.[ch] | tr -d ':),' | sort -u |
	while read -r m; do
		grep -q "^### $m:" "$top_srcdir/doc/MEMORY.md" || echo "$m"
	done)" "" "each rule that the source cites is in doc/MEMORY.md"
is "$(grep -oE 'NO_[A-Z0-9_]+' "$top_srcdir/doc/MEMORY.md" | sort -u |
	while read -r x; do
		grep -q "^#if.*$x" "$models"/*.pml || echo "$x"
	done)" "" "each switch that doc/MEMORY.md names is in a model"

# The models' steps stand for these functions.
for name in $(grep -oh 'kmap_[a-z_]*' "$models"/*.pml | sort -u); do
	ok "$name is in the source" \
		grep -Eq "^$name\(" "$top_srcdir"/src/*.c
done
finish
