#!/bin/bash
# A program that confines itself by a seccomp filter, as sshd's children do
# that talk to strangers: the library asks the kernel for nothing then that
# kills it, not for its statistics and its log either.
. "${srcdir:-$(dirname "$0")}/lib.sh"
command -v "$CC" >/dev/null || need_failed "no compiler"
[ -z "$KMAP_SANITIZE" ] || skip_all "a sanitizer asks the kernel for more"
plan 7

cat >"$WORK/confined.c" <<'END'
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAY(nr)                                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),                         \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

int
main(int argc, char **argv)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			offsetof(struct seccomp_data, nr)),
		MAY(SYS_read), MAY(SYS_write), MAY(SYS_exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)};
	struct sock_fprog prog = {sizeof f / sizeof *f, f};
	struct rlimit none = {0, 0};

	if (argc > 1 && setrlimit(RLIMIT_FSIZE, &none) != 0)
		return 1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
		return 2;
	if (write(1, "hi\n", 3) != 3)
		return 4;
	_exit(3);
}
END
ok "the program is built" "$CC" -O2 -o "$WORK/confined" "$WORK/confined.c"
cd "$WORK" || exit 1

out=$(plain_env ./confined)
is "$?:$out" 3:hi "it runs and ends by itself"
out=$(kmap_env ./confined)
is "$?:$out" 3:hi "preloaded"
out=$(kmap_env KMAP_STATS="$PWD/stats" KMAP_LOG=debug:"$PWD/log" ./confined)
is "$?:$out" 3:hi "with statistics and a log"
is "$(stats_lines stats confined | wc -l)" 1 "and its line is there"
out=$(kmap_env KMAP_STATS="$PWD/limited" KMAP_LOG=debug ./confined limit \
	2>/dev/null)
is "$?:$out" 3:hi "where it may write no file"
is "$(wc -c <limited)" 0 "there is no line, and no signal"
finish
