# Reads the macros of <sys/syscall.h>, writes sysnames.h: [number] = "name",
# The names of another ABI (x32) and the limits are left out.
BEGIN { print "/* Made from <sys/syscall.h>; do not edit. */" }
/^#define __NR_[a-z0-9_]+ [0-9]+ *$/ {
	name = substr($2, 6)
	if (name != "syscalls" && !seen[$3]++)
		printf "[%d] = \"%s\",\n", $3, name
}
