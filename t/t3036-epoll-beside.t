#!/bin/bash
# Twin test: epoll beside other fds, signals, threads, fork.
exec "${srcdir:-$(dirname "$0")}/twin/run" epoll_mixed epoll_signal epoll_thread epoll_fork
