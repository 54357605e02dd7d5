#!/bin/bash
# Twin test: epoll_wait, epoll_pwait and epoll_pwait2, level-triggered.
exec "${srcdir:-$(dirname "$0")}/twin/run" epoll_wait epoll_pwait epoll_pwait2 'sys_epoll_*.*'
