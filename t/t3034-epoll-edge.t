#!/bin/bash
# Twin test: edge-triggered, ONESHOT, EXCLUSIVE.
exec "${srcdir:-$(dirname "$0")}/twin/run" epoll_et epoll_oneshot epoll_exclusive epoll_walk
