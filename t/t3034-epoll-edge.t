#!/bin/bash
# Twin test: edge-triggered, ONESHOT, EXCLUSIVE, a set nobody waits on.
exec "${srcdir:-$(dirname "$0")}/twin/run" epoll_et epoll_oneshot epoll_exclusive epoll_unwaited epoll_walk
