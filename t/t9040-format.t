#!/bin/bash
# The sources have one style (.clang-format) and one licence.
. "${srcdir:-$(dirname "$0")}/lib.sh"
need clang-format
top=$srcdir/..
plan 2

cd "$top" || exit 99
# Not what make writes.
mapfile -t files < <(find src emu trace t \( -name '*.c' -o -name '*.h' \) \
	! -name covers.h ! -name sysnames.h ! -name html-page.h | sort)
for f in "${files[@]}"; do
	clang-format --style=file "$f" 2>&1 | cmp -s - "$f" || echo "$f"
done >"$WORK/style"
is "$(cat "$WORK/style")" "" "clang-format -i would change nothing"

for f in "${files[@]}"; do
	head -n 3 "$f" | grep -q 'SPDX-License-Identifier: LGPL-2.1-or-later' ||
		echo "$f"
done >"$WORK/licence"
is "$(cat "$WORK/licence")" "" "every source names the licence"
