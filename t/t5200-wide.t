#!/bin/bash
# Limit: 900 s
# Many more programs (programs/wide, doc/PROGRAMS.md), where they are
# installed: in the long run alone.
[ -n "${KMAP_LONG-}" ] || {
	echo "1..0 # SKIP in make check-long alone"
	exit 0
}
exec bash "${srcdir:-$(dirname "$0")}/programs/wide"
