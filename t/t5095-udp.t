#!/bin/bash
# UDP is none of the library's business: datagrams go as they went, over lo,
# and nothing counts them.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
programs "$@"
need "$PYTHON"

udp_bound()
{
	local i hex
	hex=$(printf ':%04X ' "$PORT")
	for ((i = 0; i < 200; i++)); do
		! grep -qs "$hex" /proc/self/net/udp || return 0
		sleep 0.05
	done
	return 1
}

udp()
{
	local bytes
	round udp
	free_port PORT
	serve echo - "$PYTHON" "$PROGRAMS/udp.py" serve "$PORT"
	ok "$(label "the server is bound")" udp_bound || return
	is "$(ask client "$PYTHON" "$PROGRAMS/udp.py" ask "$PORT")" right \
		"$(label "every datagram comes back")"
	lo_stop
	ok "$(label "the server ends by itself")" ended echo
	lo_saw 3000000
	[ "$MODE" != tcp ] || return 0
	report client echo
	bytes=$(($(sum client ring_bytes_in) + $(sum client ring_bytes_out) +
		$(sum client tcp_bytes_in) + $(sum client tcp_bytes_out) +
		$(sum client connections_seen) +
		$(sum echo ring_bytes_in) + $(sum echo connections_seen)))
	is "$bytes" 0 "$(label "nothing is counted")"
	# Without this line, nothing counted would mean nothing.
	is "$(stats_lines "$R/client.stats" | wc -l)" 1 \
		"$(label "the library was there")"
}

in_modes udp
finish
