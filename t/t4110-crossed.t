#!/bin/bash
# One thread closes a connection while another one pairs it: nothing is left.
. "${srcdir:-$(dirname "$0")}/lib.sh"
private_net "$@"
plan 1

got=$(KMAP_UPGRADE=now KMAP_RING=4096 LD_PRELOAD=$(kmap_preload) timeout 60 \
	"$builddir/fault/crossed" 12)
is "$got" "12 1" "12 closes crossed a pairing: the segments are gone"
finish
