#!/bin/bash
# Twin test: what leaves the library's sight, with unread bytes on both rings:
# SCM_RIGHTS, pidfd_getfd, stdio, aio, io_uring; and mlockall.
exec "${srcdir:-$(dirname "$0")}/twin/run" leave
