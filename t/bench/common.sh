# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced by run and demo: a network of our own, and python.

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# A network namespace keeps strangers' bytes off lo and our ports off theirs;
# a pid namespace ends all that was started, whatever happens. Without the
# right to either the programs run beside everybody else's.
enter() {
	local try

	[ -z "${KMAP_BENCH_IN-}" ] || return 0
	export KMAP_BENCH_IN=1
	command -v unshare >/dev/null && for try in \
	    "-n -p -f --kill-child --mount-proc" \
	    "-r -n -p -f --kill-child --mount-proc" \
	    "-n" "-r -n"; do
		# shellcheck disable=SC2086
		if unshare $try true 2>/dev/null; then
			export KMAP_BENCH_NET=1
			exec unshare $try "$0" "$@"
		fi
	done
	echo "${0##*/}: no namespaces here: using this machine's network" >&2
}

# Before the namespace, in which nothing can be fetched: KMAP_ENVOY is the
# binary's path, or KMAP_NO_ENVOY the reason why there is none.
get_envoy() {
	local top=${top_builddir:-$here/../..} said

	[ -z "${KMAP_BENCH_IN-}" ] && [ -z "${KMAP_ENVOY-}" ] || return 0
	said=$(mktemp) || die "no temporary file: set TMPDIR"
	KMAP_ENVOY=$("$here/../programs/fetch-envoy" "$top/t/envoy" \
		2> >(tee "$said" >&2)) || {
		KMAP_NO_ENVOY=$(tail -n 1 "$said")
		KMAP_ENVOY=
	}
	rm -f "$said"
	export KMAP_ENVOY KMAP_NO_ENVOY=${KMAP_NO_ENVOY-}
}

python() {
	local py

	for py in /usr/bin/python3 python3; do
		if command -v "$py" >/dev/null; then
			export PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1
			exec "$py" "$@"
		fi
	done
	die "python3 is missing: apt-get install python3"
}
