#!/usr/bin/python3
"""The functions in libc's headers that take a file descriptor, one a line.

usage: fd-functions.py COMPILER [ARGUMENTS]; names that libc exports come on
stdin, others are dropped.
"""
import re
import subprocess
import sys

HEADERS = """
aio.h arpa/inet.h dirent.h execinfo.h fcntl.h fts.h ifaddrs.h mqueue.h netdb.h
netinet/in.h poll.h pty.h resolv.h spawn.h stdio.h stdlib.h sys/epoll.h
sys/eventfd.h sys/fanotify.h sys/file.h sys/inotify.h sys/ioctl.h sys/mman.h
sys/mount.h sys/pidfd.h sys/prctl.h sys/select.h sys/sendfile.h
sys/signalfd.h sys/socket.h sys/stat.h sys/statfs.h sys/statvfs.h sys/time.h
sys/timerfd.h sys/uio.h sys/wait.h sys/xattr.h termios.h unistd.h utmp.h
""".split()

FD = re.compile(
    r"\bint \*?(\w*fd\w*|__s|__(fp|fildes\w*|sock\w*|socket|in|out))( ?\[2\])?(,|$)"
    r"|struct (aiocb(64)?|pollfd) |\bfd_set \*|mqd_t ")
PROTOTYPE = re.compile(
    r"[\w*] \*?(\w+) \(((?:[^(){};]|\([^(){};]*\))*)\)")

source = "#define _GNU_SOURCE\n#define _LARGEFILE64_SOURCE\n" + "".join(
    f"#if __has_include(<{h}>)\n#include <{h}>\n#endif\n" for h in HEADERS)
text = subprocess.run(sys.argv[1:] + ["-E", "-P", "-x", "c", "-"],
                      input=source, text=True, check=True,
                      stdout=subprocess.PIPE).stdout
text = re.sub(r"\s+", " ", text)
exported = set(sys.stdin.read().split())
for name in sorted({m[1] for m in PROTOTYPE.finditer(text)
                    if FD.search(m[2])} & exported):
    print(name)
