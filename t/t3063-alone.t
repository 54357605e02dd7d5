#!/bin/bash
# Twin test: the peer has no library.
exec "${srcdir:-$(dirname "$0")}/twin/run" -m alone recv send poll epoll_et epoll_walk close ioctl
