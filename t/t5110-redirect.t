#!/bin/bash
# Through REDIRECT of iptables and of nftables, as a service mesh does it: the
# two ends see different 4-tuples. Whom the connector takes behind it: its own
# uid, root, and those whom KMAP_PEERS names.
. "${srcdir:-$(dirname "$0")}/lib.sh"
. "$srcdir/programs/lib.sh"
. "$srcdir/programs/envoy.sh"
programs "$@"
. "$PROGRAMS/others.sh"
need iptables nft ip setpriv
[ "$NET" = private ] ||
	need_failed "REDIRECT needs a network namespace of our own"

# An address that is not of this machine: only the rule can bring it here.
AWAY=192.0.2.7
ip addr add 198.51.100.1/32 dev lo &&
	ip route add 192.0.2.0/24 dev lo src 198.51.100.1 ||
	need_failed "no routes can be set here"

# redirect PORT: what goes to AWAY, and to port 8080 of this machine
redirect()
{
	iptables -t nat -F OUTPUT &&
		iptables -t nat -A OUTPUT -p tcp -d $AWAY --dport 80 \
			-j REDIRECT --to-ports "$1" &&
		iptables -t nat -A OUTPUT -p tcp -d 127.0.0.1 --dport 8080 \
			-j REDIRECT --to-ports "$1"
}

redirect_nft()
{
	iptables -t nat -F OUTPUT
	nft -f - <<-END
	add table ip kmaptest
	flush table ip kmaptest
	table ip kmaptest {
		chain out {
			type nat hook output priority -90;
			tcp dport { 80, 8080 } redirect to :$1
		}
	}
	END
}

# tiny_behind REDIRECT-COMMAND
tiny_behind()
{
	free_port PORT
	serve tiny "$PORT" "$TINY" -t "$PORT" &&
		ok "$(label "the rules are set by $1")" "$1" "$PORT"
}

same_uid()
{
	local how
	for how in redirect redirect_nft; do
		round "$how"
		tiny_behind $how || return
		is "$(ask client "$GET" -c 3 -n 2 127.0.0.1 8080 $BIG)" \
			$((6 * BIG)) "$(label "every byte")"
		is "$(ask client "$GET" -c 3 -n 2 $AWAY 80 $BIG)" \
			$((6 * BIG)) "$(label "every byte, from far away")"
		round_end tiny
		judge_kept $((12 * BIG)) 1 client:6 tiny:6
		[ $how = redirect ] || nft delete table ip kmaptest

		round "$how-once"
		tiny_behind $how || return
		curl_docs client "http://$AWAY:80" curl \
			-H 'Connection: close' -- $MID $MID $MID $MID $MID \
			$MID $MID $MID $MID $MID $MID
		round_end tiny
		judge_once $MID 11 client tiny 1
		[ $how = redirect ] || nft delete table ip kmaptest
	done
}

sidecar_behind()
{
	round envoy
	free_port PORT
	serve tiny "$PORT" "$TINY" -t "$PORT" && sidecar 2 "$PORT" || return
	ok "$(label "the rules are set")" redirect "$FRONT"
	curl_docs client "http://$AWAY:80" curl -- $SMALL $BIG $MID $BIG
	round_end envoy tiny
	judge_kept $((2 * BIG)) 2 client:1 envoy tiny:seen
}

# uids NAME SERVER CLIENT [NAME=VALUE of the client]: - for our own
uids()
{
	round "$1"
	BEFORE=()
	[ "$2" = - ] || { as "$2"; BEFORE=("${AS[@]}"); }
	tiny_behind redirect || { BEFORE=(); return; }
	BEFORE=()
	[ "$3" = - ] || { as "$3"; BEFORE=("${AS[@]}"); }
	[ -z "${4-}" ] || BEFORE+=(env "$4")
	is "$(ask client "$GET" -c 2 -n 2 $AWAY 80 $BIG)" $((4 * BIG)) \
		"$(label "every byte")"
	BEFORE=()
	round_end tiny
}

strangers()
{
	if ! drop_uid; then
		skip "this uid cannot change to another" "other uids"
		return
	fi
	uids "service 1337, client root" 1337 -
	[ "$MODE" = tcp ] || on_tcp client tiny
	uids "service 1337, client 1000" 1337 1000
	[ "$MODE" = tcp ] || on_tcp client tiny
	uids "both 1337" 1337 1337
	judge_kept $((4 * BIG)) 1 client:2 tiny:2
	uids "service root, client 1337" - 1337
	judge_kept $((4 * BIG)) 1 client:2 tiny:2
	uids "service 1337, which the client names" 1337 1000 KMAP_PEERS=1337
	judge_kept $((4 * BIG)) 1 client:2 tiny:2
}

all()
{
	same_uid
	sidecar_behind
	[ "$MODE" = tcp ] || strangers
}

in_modes all
finish
