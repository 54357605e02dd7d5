#!/bin/bash
# What a program file says of itself, whose a call is, and files that lie.
. "${srcdir:-$(dirname "$0")}/lib.sh"
need "$CC" strip readelf
LOOK=$builddir/look

# same NAME GOT WANT; part NAME GOT PATTERN (as in case)
same()
{
	is "$2" "$3" "$1"
}
part()
{
	# shellcheck disable=SC2254
	case $2 in
	$3) pass "$1" ;;
	*) fail "$1"; diag "got '$2', want '$3'" ;;
	esac
}
cd "$WORK" || exit 99

cat >one.c <<'END'
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* A call that stays a call, and one that is a jump where it can be. */
__attribute__((noinline)) ssize_t
helper(int fd, char *buf, size_t n)
{
	return recv(fd, buf, n, 0);
}
char buf[64];
int
main(int argc, char **argv)
{
	int sv[2];
	size_t n = argc > 1 ? atoi(argv[1]) : 4;
	char small[8];
	ssize_t (*volatile pointer)(int, void *, size_t, int) = recv;

	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	write(sv[0], "abcdefghijklmnop", 16);
	if (recv(sv[1], small, n, 0) < 0) /* checked, where the size is known */
		return 1;
	if (helper(sv[1], buf, n) < 0)
		return 1;
	if (pointer(sv[1], buf, n, 0) < 0)
		return 1;
	return 0;
}
END
# It tells who called, as (file, function, virtual address).
cat >who.c <<'END'
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <dlfcn.h>
#include <unistd.h>
static void
say(const char *fn, void *ret)
{
	struct link_map *m;
	Dl_info i;
	if (dladdr1(ret, &i, (void **)&m, RTLD_DL_LINKMAP))
		dprintf(2, "%s %#lx\n", fn, (unsigned long)ret - m->l_addr);
}
ssize_t
recv(int fd, void *buf, size_t n, int flags)
{
	say("recv", __builtin_return_address(0));
	return syscall(SYS_recvfrom, fd, buf, n, flags, 0, 0);
}
ssize_t
__recv_chk(int fd, void *buf, size_t n, size_t room, int flags)
{
	(void)room;
	say("__recv_chk", __builtin_return_address(0));
	return syscall(SYS_recvfrom, fd, buf, n, flags, 0, 0);
}
END
"$CC" -shared -fPIC -o who.so who.c || bail_out "no compiler"

# sites BINARY: how look decodes each call that who.so saw
sites()
{
	local fn at
	LD_PRELOAD=$WORK/who.so "./$1" 2>&1 | while read -r fn at; do
		"$LOOK" site "$1" "$at" "$fn"
	done
}

call=plt
expect()
{
	printf '%s\n' "$call __recv_chk@GLIBC_2.4" \
		"tail recv@GLIBC_2.2.5 via $1" "indirect "
}

[ "$(uname -m)" = x86_64 ] || skip_all "call sites are decoded on x86-64 only"
plan 50

hard="-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -w"
i=0
for how in "-fPIE -pie" "-fno-pie -no-pie" "-fPIE -pie -fcf-protection=full" \
	"-fPIE -pie -fcf-protection=none -Wl,-z,lazy" \
	"-fPIE -pie -Wl,-z,now" "-fPIE -pie -fno-plt" \
	"-fno-pie -no-pie -fno-plt"; do
	i=$((i + 1))
	call=plt
	case $how in *no-plt*) call=got ;; esac
	# shellcheck disable=SC2086
	"$CC" $hard $how -o "b$i" one.c || bail_out "cannot build with $how"
	same "call sites: $how" "$(sites "b$i")" "$(expect "b$i!helper")"
	strip "b$i"
	same "call sites, stripped: $how" \
		"$(sites "b$i" | sed 's/+0x[0-9a-f]*/+0x/')" \
		"$(expect "b$i+0x")"
done
"$CC" -O0 -U_FORTIFY_SOURCE -fPIE -pie -o plain one.c
same "call sites without optimisation: no tail call" "$(sites plain)" \
	"plt recv@GLIBC_2.2.5
plt recv@GLIBC_2.2.5
indirect "

# Symbols: sizes count, a return address belongs to what is before it.
"$CC" $hard -fPIE -pie -o b1 one.c
read -r start size <<<"$(readelf -sW b1 | awk '$8 == "helper" { print $2, $3 }')"
start=0x$start
same "the first byte after a call at the start" \
	"$("$LOOK" symbol b1 $((start + 5)))" "b1!helper+0x5"
same "a call that ends a function is that function's" \
	"$("$LOOK" symbol b1 $((start + size)))" \
	"$(printf 'b1!helper+0x%x' "$size")"
cat >gap.s <<'END'
	.text
	.globl first, second, inner, bare
	.type first, @function
first:	.fill 16, 1, 0x90
	.size first, 16
	.fill 16, 1, 0x90	# nobody's
	.type second, @function
second:	.fill 8, 1, 0x90
	.type inner, @function
inner:	.fill 8, 1, 0x90
	.size inner, 8
	.fill 8, 1, 0x90
	.size second, 24
	.type bare, @function
bare:	.fill 8, 1, 0x90	# has no size
	.section .note.GNU-stack
END
"$CC" -shared -nostdlib -o gap.so gap.s
first=0x$(readelf -sW gap.so | awk '$8 == "first" { print $2; exit }')
at()
{
	"$LOOK" symbol gap.so $((first + $1))
}
same "inside by its size" "$(at 16)" "gap.so!first+0x10"
same "beyond its size: nobody" "$(at 17)" \
	"$(printf 'gap.so+0x%x' $((first + 17)))"
same "the inner of two" "$(at 42)" "gap.so!inner+0x2"
same "the outer again behind it" "$(at 52)" "gap.so!second+0x14"
same "no size: up to the section's end" "$(at 62)" "gap.so!bare+0x6"

# Imports with versions
part "imports carry their version" "$("$LOOK" imports b1)" \
	'*__recv_chk GLIBC_2.4 libc.so.6*'
same "imports are all that readelf names" \
	"$("$LOOK" imports b1 | cut -d' ' -f1)" \
	"$(readelf -W --dyn-syms b1 | awk '
		$7 == "UND" && ($4 == "FUNC" || $4 == "NOTYPE") && $8 {
			sub(/@.*/, "", $8); print $8 }' | LC_ALL=C sort)"

# What cannot be preloaded
look()
{
	"$LOOK" program "$1"
}
"$CC" -static -O1 -w -o static one.c
part "static" "$(look ./static)" '*marks static*static is linked statically*ptrace*'
same "dynamic: nothing to say" "$(look ./b1 | tail -n 2)" "obstacle 0"
"$CC" -static-pie -O1 -w -o staticpie one.c &&
	part "static PIE" "$(look ./staticpie)" '*marks static*linked statically*'
if command -v musl-gcc >/dev/null; then
	musl-gcc -O1 -w -U_FORTIFY_SOURCE -o musl one.c
	part "musl" "$(look ./musl)" '*libc musl*uses musl*'
	musl-gcc -O1 -g -w -U_FORTIFY_SOURCE -pthread -o busy \
		"$srcdir/trace/busy.c"
	for lib in "$KMAP_LIB" "$KMAP_RECORDER"; do
		# A sanitizer's runtime is glibc's.
		[ -z "${KMAP_SANITIZE// }" ] || { skip "sanitized" musl; continue; }
		same "musl: it runs with ${lib##*/}" \
			"$(LD_PRELOAD=$lib ./busy kid 2>&1; echo $?)" \
			"$(./busy kid 2>&1; echo $?)"
	done
else
	for c in 1 2 3; do
		lacking "no musl-gcc here" musl
	done
fi
if "$CC" -m32 -O1 -w -o m32 one.c 2>/dev/null; then
	part "i386" "$(look ./m32)" \
		'*is a 32-bit program for i386,*it is traced by ptrace instead*'
	at=0x$(readelf -sW m32 | awk '$8 == "helper" { print $2 }')
	same "i386: its symbols" "$("$LOOK" symbol m32 $((at + 5)))" \
		"m32!helper+0x5"
	ok "i386: damaged in many ways" "$LOOK" damage m32 6000
	strip m32
	ok "i386: and without symbols" "$LOOK" damage m32 6000
else
	for c in 1 2 3 4; do
		lacking "no libc for 32 bits here" i386
	done
fi
printf '\t.globl _start\n_start:\n' >x32.s
if "$CC" -mx32 -nostdlib -static -o x32 x32.s 2>/dev/null; then
	part "x32" "$(look ./x32)" \
		'*is a 32-bit program for x86-64,*its calls are not seen*'
else
	skip "the compiler knows no x32" x32
fi
go=$(command -v go || ls /usr/local/go/bin/go 2>/dev/null)
if [ -n "$go" ]; then
	part "Go" "$(look "$go")" '* go*is a Go program*itself*'
else
	# bootstrap does not install it: it is large, and optional.
	skip "no Go here" Go
fi

# Scripts
printf '#!%s -x\n' "$WORK/b1" >script
printf '#! %s\n' "$WORK/script" >second
printf '#!/usr/bin/env -S A=1 cat\n' >env
echo 'echo hello' >bare
chmod +x script second env bare
same "a script of a script" "$(look ./second | head -n 1)" \
	"chain ./second $WORK/script $WORK/b1"
same "through env, and to the shell" \
	"$(look ./env | head -n 1) $(look ./bare | head -n 1)" \
	"chain ./env /usr/bin/env $(command -v cat) chain ./bare /bin/sh"
printf '#!%s/loop\n' "$WORK" >loop
chmod +x loop
same "a script that is its own interpreter" "$(look ./loop)" \
	"error 40 Too many levels of symbolic links"

# What the loader refuses, for the one whom it concerns
if [ "$(id -u)" = 0 ]; then
	chmod 755 .
	for mark in "chmod u+s:setuid" "chmod g+s:setgid" \
		"setcap cap_net_bind_service+ep:caps"; do
		cp b1 marked
		chmod 755 marked
		if ! command -v ${mark%% *} >/dev/null; then
			lacking "no ${mark%% *} here" "${mark##*:}"
			continue
		fi
		if ! ${mark%%:*} marked; then
			skip "no ${mark##*:} on this file system" "${mark##*:}"
			continue
		fi
		part "${mark##*:}, another user" "$(setpriv --reuid 65534 \
			--regid 65534 --clear-groups "$LOOK" program ./marked)" \
			"*marks*${mark##*:}*the loader preloads nothing*root*"
		rm marked
	done
	cp b1 marked
	chmod u+s marked
	same "setuid root is nothing to root" "$(look ./marked | tail -n 2)" \
		"obstacle 0"
else
	for mark in setuid setgid caps "setuid root is nothing to root"; do
		skip "not root" "$mark"
	done
fi

# Files that lie
part "no such program" "$(look ./nothing)" "error 2 No such file*"
echo x >data
part "no program" "$(look ./data)" "error 13 Permission denied"
head -c 100 b1 >cut
chmod +x cut
part "cut off" "$(look ./cut)" "error 8 its program headers lie outside*"
head -c 40 b1 >cut
part "cut off in the header" "$(look ./cut)" "error 8 its ELF header is cut*"
ok "damaged in many ways" "$LOOK" damage b1 6000
ok "damaged in many ways, with symbols" "$LOOK" damage gap.so 6000
head -c $(($(stat -c %s b1) / 2)) b1 >cut
part "no names from half a file" "$("$LOOK" symbol cut 0x1139)" "cut+0x1139"

finish
