# Peers that are not just like us: without the library, with another uid, in
# other namespaces. For the tests that need them; after `programs`.

# Others may not be let into the directories of the build.
cp "$KMAP_LIB" "$WORK/libkmapemu.so" && KMAP_LIB=$WORK/libkmapemu.so
cp "$TINY" "$WORK/tiny" && TINY=$WORK/tiny
cp "$GET" "$WORK/get" && GET=$WORK/get

# serve_plain SIDE PORT COMMAND...: a server without the library
serve_plain()
{
	local MODE=tcp
	serve "$@"
}

# as UID: the words that run what follows as that uid
as()
{
	AS=(setpriv --reuid "$1" --regid "$1" --clear-groups --)
}

# in_namespaces: the words for other pid, mount and ipc namespaces, with a
# /dev/shm and /tmp/shm of its own; the network is shared
in_namespaces()
{
	AS=(unshare -pmi --fork --kill-child --mount-proc -- sh -c
		'mount -t tmpfs none /dev/shm && exec "$@"' sh)
}

# stop_inner SIDE: end a server that was started through unshare --fork,
# which does not pass signals on
stop_inner()
{
	local pid
	for pid in $(children_of "$(pid_of "$1")"); do
		kill -TERM "$pid" 2>/dev/null
	done
	ended "$1" || fail "$(label "$1 ends when told to")"
}

# on_tcp SIDE...: not a byte went over a ring, and the reason was counted
on_tcp()
{
	local side tcp
	report "$@"
	for side; do
		is "$(($(sum "$side" ring_bytes_in) +
			$(sum "$side" ring_bytes_out)))" 0 \
			"$(label "$side: not a byte by ring")"
		tcp=$(($(sum "$side" tcp_bytes_in) +
			$(sum "$side" tcp_bytes_out)))
		holds "$tcp >= $BIG" \
			"$(label "$side: counts what went over TCP")"
		like "$(stats_reasons "$R/$side.stats")" '[1-9]' \
			"$(label "$side: counts why")"
	done
}
