# What the shell tests share. A test begins with
#
#	#!/bin/bash
#	. "${srcdir:-$(dirname "$0")}/lib.sh"
#	private_net "$@"	# if it uses the network
#	plan 3
#
# and ends with `finish`. `make check` sets srcdir, builddir and KMAP_LIB;
# run by hand from the build's t directory, or as ./tNNNN-x.t in the tree, the
# defaults below find the same things.
#
# bash lib.sh preload prints the value of LD_PRELOAD, for tests in C.

set -u
srcdir=$(cd "${srcdir:-$(dirname "${BASH_SOURCE[0]}")}" && pwd)
[ -n "${builddir-}" ] || [ ! -x ./limit ] || builddir=.
builddir=$(cd "${builddir:-$srcdir}" && pwd)
top_srcdir=${top_srcdir:-$(dirname "$srcdir")}
top_builddir=${top_builddir:-$(dirname "$builddir")}
# KMAP_PREFIX: what is installed there is tested instead of what was built.
if [ -n "${KMAP_PREFIX-}" ]; then
	KMAP_LIB=$KMAP_PREFIX/lib/libkmapemu.so
	KMAP_RECORDER=$KMAP_PREFIX/lib/libkmaptrace.so
	KMAP_TRACE=$KMAP_PREFIX/bin/kmap-trace
	KMAP_STAT=$KMAP_PREFIX/bin/kmap-stat
fi
: "${KMAP_LIB:=$top_builddir/emu/.libs/libkmapemu.so}"
: "${KMAP_RECORDER:=$top_builddir/trace/.libs/libkmaptrace.so}"
: "${KMAP_TRACE:=$top_builddir/trace/kmap-trace}"
: "${KMAP_STAT:=$top_builddir/trace/kmap-stat}"
[ -n "${KMAP_SANITIZE+set}" ] || KMAP_SANITIZE=$(sed -n \
	's/^KMAP_SANITIZE = *//p' "$builddir/Makefile" 2>/dev/null)
[ -n "${SAN_TOOLS_CFLAGS+set}" ] || SAN_TOOLS_CFLAGS=$(sed -n \
	's/^SAN_TOOLS_CFLAGS = *//p' "$builddir/Makefile" 2>/dev/null)
: "${CC:=gcc}"
export srcdir builddir top_srcdir top_builddir KMAP_LIB KMAP_TRACE
export KMAP_SANITIZE CC
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# The tests compare messages and numbers.
export LC_ALL=C.UTF-8
# Debian's python, which sees Debian's modules.
PYTHON=/usr/bin/python3

## TAP

tap_run=0
tap_failed=0
tap_planned=

plan()
{
	tap_planned=$1
	echo "1..$1"
}

diag()
{
	printf '%s\n' "$*" | sed 's/^/# /'
}

skip_all()
{
	echo "1..0 # SKIP $*"
	exit 0
}

bail_out()
{
	echo "Bail out! $*"
	exit 1
}

# What this test cannot do without is missing: an error on CI, else a skip.
need_failed()
{
	[ "${CI-}" != true ] || bail_out "$*"
	skip_all "$*"
}

# need PROGRAM...
need()
{
	local p
	for p; do
		command -v "$p" >/dev/null || need_failed "no $p here"
	done
}

# need_module PYTHON-MODULE...
need_module()
{
	local m
	need "$PYTHON"
	for m; do
		"$PYTHON" -c "import $m" 2>/dev/null ||
			need_failed "$PYTHON has no module $m"
	done
}

pass()
{
	echo "ok $((++tap_run)) - $*"
}

# known NAME: why a check that failed is a known difference (see t/known)
known()
{
	local pattern why
	while IFS=$'\t' read -r pattern why; do
		[ -n "$why" ] && [[ $pattern != '#'* ]] || continue
		[[ $1 =~ $pattern ]] && echo "$why" && return
	done <"$srcdir/known"
	return 1
}

fail()
{
	local why
	if why=$(known "$*"); then
		echo "not ok $((++tap_run)) - $* # TODO $why"
	else
		tap_failed=$((tap_failed + 1))
		echo "not ok $((++tap_run)) - $*"
	fi
	return 1
}

# ok NAME COMMAND...: holds if the command exits 0
ok()
{
	local name=$1 out rc=0
	shift
	out=$("$@" 2>&1) || rc=$?
	if [ $rc = 0 ]; then
		pass "$name"
	else
		fail "$name"
		diag "exit status $rc of: $*"
		[ -z "$out" ] || diag "$(printf '%s' "$out" | tail -n 30)"
		return 1
	fi
}

# not_ok NAME COMMAND...: holds if the command fails by itself; a signal or
# a missing program is not what was asked for
not_ok()
{
	local name=$1 out rc=0
	shift
	out=$("$@" 2>&1) || rc=$?
	if [ $rc -gt 0 ] && [ $rc -lt 126 ]; then
		pass "$name"
	else
		fail "$name"
		diag "exit status $rc of: $*"
		[ -z "$out" ] || diag "$(printf '%s' "$out" | tail -n 30)"
		return 1
	fi
}

# is GOT WANT NAME
is()
{
	if [ "$1" = "$2" ]; then
		pass "$3"
	else
		fail "$3"
		diag "got '$1', want '$2'"
		return 1
	fi
}

# like TEXT REGEX NAME
like()
{
	if [[ $1 =~ $2 ]]; then
		pass "$3"
	else
		fail "$3"
		diag "got '$1', want a match of '$2'"
		return 1
	fi
}

# holds EXPRESSION NAME: numbers, with fractions, as awk sees them
holds()
{
	if awk "BEGIN { exit !($1) }" </dev/null; then
		pass "$2"
	else
		fail "$2"
		diag "does not hold: $1"
		return 1
	fi
}

# skip WHY NAME
skip()
{
	echo "ok $((++tap_run)) - $2 # SKIP $1"
}

# lacking WHY NAME: a check that needs what bootstrap would have installed
lacking()
{
	[ "${CI-}" != true ] || bail_out "$1"
	skip "$@"
}

# The end of a test.
finish()
{
	if [ -z "$tap_planned" ]; then
		plan "$tap_run"
	elif [ "$tap_planned" != "$tap_run" ]; then
		diag "planned $tap_planned checks, made $tap_run"
		exit 1
	fi
	# Also of those whose exit status nobody looks at.
	if grep -qsE 'ERROR: AddressSanitizer|: runtime error: ' \
		"$WORK".sanitizer/*; then
		diag "$(head -n 60 "$WORK".sanitizer/*)"
		exit 1
	fi
	[ "$tap_failed" = 0 ]
	exit
}

## A place for files, and the end

WORK=$(mktemp -d "${TMPDIR:-/tmp}/kmap-test.XXXXXX") || exit 99
# Servers that gave up root look in here.
chmod 755 "$WORK"
lib_shell=$BASHPID
# With --enable-asan=tools: what the sanitizers say goes where `finish` looks,
# whoever it is that they say it of, and ends in an abort, because a status of
# 1 may be what the test wants. A stranger's own fault stays a signal.
if [ -n "$SAN_TOOLS_CFLAGS" ]; then
	mkdir "$WORK.sanitizer"
	chmod 1777 "$WORK.sanitizer"
	UBSAN_OPTIONS=abort_on_error=1:print_stacktrace=1
	UBSAN_OPTIONS=$UBSAN_OPTIONS:log_path=$WORK.sanitizer/log
	# Tests preload kmap-trace, too: then the runtime comes second.
	ASAN_OPTIONS=$UBSAN_OPTIONS:detect_leaks=0:verify_asan_link_order=0
	UBSAN_OPTIONS=$UBSAN_OPTIONS:handle_segv=0:handle_sigbus=0
	UBSAN_OPTIONS=$UBSAN_OPTIONS:handle_sigfpe=0:handle_sigill=0
	export ASAN_OPTIONS UBSAN_OPTIONS
fi

at_exit()
{
	local rc=$?
	# A subshell inherits the trap but not the duty.
	[ "$BASHPID" = "$lib_shell" ] || return $rc
	trap - EXIT
	stop_all
	if [ -n "${KMAP_KEEP-}" ]; then
		diag "kept $WORK"
	else
		rm -rf "$WORK" "$WORK.sanitizer"
	fi
	exit $rc
}
trap at_exit EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

## The network

# private_net "$@": run this test again in a network namespace of its own.
# Where that is not allowed it goes on in this one, NET is "shared", and
# only free_port's ports may be used.
private_net()
{
	local here how=
	here=$(readlink /proc/self/ns/net)
	if [ "${KMAP_NETNS-}" = "$here" ]; then
		NET=private
		ip link set lo up || bail_out "lo cannot be set up"
		return 0
	fi
	# Root needs no user namespace, and keeps other uids to play with.
	if unshare -n true 2>/dev/null; then
		how=-n
	elif unshare -rn true 2>/dev/null; then
		how=-rn
	fi
	if [ -n "$how" ] && command -v ip >/dev/null; then
		rm -rf "$WORK" "$WORK.sanitizer"
		exec unshare $how -- "$BASH" -c '
			KMAP_NETNS=$(readlink /proc/self/ns/net)
			export KMAP_NETNS
			exec "$BASH" "$@"' private_net "$0" "$@"
	fi
	NET=shared
	diag "no network namespace of our own here: free ports"
}
NET=shared

# Bytes that lo has carried in this network namespace, the witness outside
# the library. Not /sys: it shows the namespace in which it was mounted.
lo_bytes()
{
	awk '{ sub(/^ */, "") } sub(/^lo:/, "") { print $1 }' \
		/proc/self/net/dev
}

# Ports below the range that the kernel gives out, none twice.
port_last=$((20000 + ($$ * 7) % 9000))
# free_port VARIABLE: set it to a port that nobody has
free_port()
{
	local hex
	while :; do
		port_last=$((port_last + 1))
		[ $port_last -lt 30000 ] || port_last=20000
		hex=$(printf ':%04X ' $port_last)
		grep -qs "$hex" /proc/self/net/tcp /proc/self/net/tcp6 ||
			break
	done
	printf -v "$1" '%d' $port_last
}

# listens PORT: somebody listens there. It looks without connecting: a server
# that takes one client at a time is not disturbed.
listens()
{
	local hex
	hex=$(printf '%04X' "$1")
	grep -Eqs "^ *[0-9]+: [0-9A-F]+:$hex [0-9A-F]+:0000 0A " \
		/proc/self/net/tcp /proc/self/net/tcp6
}

# port_of FILE: what a server writes there once it listens
port_of()
{
	local i
	for ((i = 0; i < 400; i++)); do
		[ ! -s "$1" ] || break
		sleep 0.025
	done
	cat "$1"
}

# until_line FILE TEXT: until it stands there, 10 s at most
until_line()
{
	local i
	for ((i = 0; i < 500; i++)); do
		grep -q "$2" "$1" 2>/dev/null && return
		sleep 0.02
	done
	return 1
}

# wait_port PORT [NAME]: until somebody listens there, 30 s at most; with the
# name of a started program it gives up when that has died
wait_port()
{
	local i
	for ((i = 0; i < 600; i++)); do
		! listens "$1" || return 0
		if [ -n "${2-}" ] && ! running "$2"; then
			diag "$2 died before it listened on $1"
			show_log "$2"
			return 1
		fi
		sleep 0.05
	done
	diag "nobody listens on port $1 after 30 s"
	[ -z "${2-}" ] || { show_log "$2"; stacks "$2"; }
	return 1
}

## Programs in the background

declare -A started=()

# start NAME COMMAND...: its output is in $WORK/NAME.log; kmap_env, plain_env
# or a program may be the command. pid_of NAME is the program itself.
start()
{
	local name=$1
	shift
	if [ "$1" = kmap_env ]; then
		shift
		kmap_words
		set -- "${KMAP_WORDS[@]}" "$@"
	elif [ "$1" = plain_env ]; then
		shift
		plain_words
		set -- "${KMAP_WORDS[@]}" "$@"
	fi
	"$@" >"$WORK/$name.log" 2>&1 </dev/null &
	started[$name]=$!
}

pid_of()
{
	echo "${started[$1]}"
}

running()
{
	local state
	[ -n "${started[$1]-}" ] || return 1
	state=$(awk '/^State:/ { print $2 }' \
		"/proc/${started[$1]}/status" 2>/dev/null) || return 1
	[ -n "$state" ] && [ "$state" != Z ]
}

# ended NAME [SECONDS]: wait until it ended by itself; its status is in
# STATUS. After SECONDS (10) it is killed, with its stacks shown: 1.
ended()
{
	local i n=$((${2:-10} * 50))
	for ((i = 0; i < n; i++)); do
		running "$1" || break
		sleep 0.02
	done
	if running "$1"; then
		diag "$1 still runs after ${2:-10} s"
		stacks "$1"
		kill -KILL "${started[$1]}" 2>/dev/null
		wait "${started[$1]}" 2>/dev/null
		STATUS=137
		unset "started[$1]"
		return 1
	fi
	wait "${started[$1]}" 2>/dev/null
	STATUS=$?
	unset "started[$1]"
}
STATUS=0

# stop NAME [SIGNAL]: TERM (or SIGNAL), and wait
stop()
{
	[ -n "${started[$1]-}" ] || return 0
	kill -"${2:-TERM}" "${started[$1]}" 2>/dev/null
	ended "$1"
}

stop_all()
{
	local name
	for name in "${!started[@]}"; do
		kill -TERM "${started[$name]}" 2>/dev/null
	done
	for name in "${!started[@]}"; do
		ended "$name" 5
	done
	return 0
}

show_log()
{
	diag "--- end of the log of $1"
	diag "$(tail -n 30 "$WORK/$1.log" 2>/dev/null)"
}

# children_of PID: all that descend from it
children_of()
{
	local c
	for c in $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		echo "$c"
		children_of "$c"
	done
}

# stacks NAME...: of the started programs and their children
stacks()
{
	local name pid
	for name; do
		for pid in ${started[$name]-} \
			$(children_of "${started[$name]-0}"); do
			diag "--- stacks of $name, process $pid:" \
				"$(tr '\0' ' ' <"/proc/$pid/cmdline")"
			diag "$(timeout -k 2 20 gdb -nx -batch \
				-iex 'set debuginfod enabled off' \
				-ex 'thread apply all bt 40' -p "$pid" 2>&1 |
				grep -Ev '^(warning|\[New LWP|$)')"
		done
	done
}

# within SECONDS COMMAND...: 124 if it does not end in time, with the stacks
# of all started programs
within()
{
	local seconds=$1 rc=0 name
	shift
	if [ "$1" = kmap_env ]; then
		shift
		kmap_words
		set -- "${KMAP_WORDS[@]}" "$@"
	fi
	timeout -k 5 "$seconds" "$@" || rc=$?
	if [ $rc = 124 ] || [ $rc = 137 ]; then
		diag "not done after $seconds s: $*" >&2
		for name in "${!started[@]}"; do
			stacks "$name" >&2
		done
	fi
	return $rc
}

## The library

# The one place that knows what goes into LD_PRELOAD: the runtimes of the
# sanitizers have to come first.
kmap_preload()
{
	local s so list=
	for s in $KMAP_SANITIZE; do
		case $s in
		address) so=$($CC -print-file-name=libasan.so) ;;
		# UBSan's comes by itself, as a library that ours needs.
		*) continue ;;
		esac
		# It may be a linker script or a link: take the object.
		so=$(readlink -f "$so")
		list=$list$so:
	done
	printf '%s\n' "$list$KMAP_LIB"
}

# Strangers leak on purpose when they end; what is ours is checked elsewhere.
sanitizer_words()
{
	KMAP_WORDS=()
	case " $KMAP_SANITIZE " in
	*" address "*)
		KMAP_WORDS+=("ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:abort_on_error=1}")
		;;
	esac
	case " $KMAP_SANITIZE " in
	*" undefined "*)
		KMAP_WORDS+=("UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}")
		;;
	esac
}

# The words before a command that shall run preloaded. KMAP_UPGRADE and the
# like are taken from the environment, as for everybody.
kmap_words()
{
	sanitizer_words
	KMAP_WORDS=(env "LD_PRELOAD=$(kmap_preload)" "${KMAP_WORDS[@]}")
}

# The same command on plain TCP.
plain_words()
{
	sanitizer_words
	KMAP_WORDS=(env -u LD_PRELOAD -u KMAP_STATS "${KMAP_WORDS[@]}")
}

# kmap_env [NAME=value...] COMMAND...
kmap_env()
{
	kmap_words
	"${KMAP_WORDS[@]}" "$@"
}

# plain_env [NAME=value...] COMMAND...
plain_env()
{
	plain_words
	"${KMAP_WORDS[@]}" "$@"
}

# sanitized KIND: this build has that sanitizer
sanitized()
{
	case " $KMAP_SANITIZE " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

## What the library counted (KMAP_STATS: one line of JSON for each process)

# stats_lines FILE [EXE]: the lines of the processes whose exe ends in EXE
stats_lines()
{
	[ -e "$1" ] || return 0
	if [ -n "${2-}" ]; then
		grep -E "\"exe\": ?\"([^\"]*/)?$2\"" "$1"
	else
		cat "$1"
	fi
}

# stats_sum FILE KEY [EXE]: the sum of a key; 0 where it never stands
stats_sum()
{
	stats_lines "$1" "${3-}" | awk -v key="\"$2\"" '
	{
		while ((i = index($0, key)) > 0) {
			$0 = substr($0, i + length(key))
			if (match($0, /^: ?-?[0-9]+/)) {
				v = substr($0, 1, RLENGTH)
				gsub(/[^-0-9]/, "", v)
				sum += v
			}
		}
	}
	END { printf "%.0f\n", sum }'
}

# stats_reasons FILE [EXE]: "count reason" lines, why connections stayed on
# TCP
stats_reasons()
{
	stats_lines "$1" "${2-}" | sed -n \
		's/.*"not_upgraded": \{0,1\}{\([^}]*\)}.*/\1/p' |
		tr ',' '\n' | awk -F: '
	NF == 2 {
		gsub(/[ "]/, "", $1)
		n[$1] += $2
	}
	END { for (r in n) print n[r], r }' | sort -rn
}

# stats_wait FILE LINES [SECONDS]: until that many processes wrote theirs
stats_wait()
{
	local i n=$((${3:-10} * 20))
	for ((i = 0; i < n; i++)); do
		[ "$(stats_lines "$1" | wc -l)" -lt "$2" ] || return 0
		sleep 0.05
	done
	diag "$(stats_lines "$1" | wc -l) of $2 lines of statistics"
	return 1
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
	case ${1-} in
	preload) kmap_preload ;;
	*) echo "usage: bash lib.sh preload" >&2; exit 2 ;;
	esac
fi
