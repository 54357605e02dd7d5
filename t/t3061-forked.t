#!/bin/bash
# Twin test: the peer is a forked child, of the same family.
exec "${srcdir:-$(dirname "$0")}/twin/run" -p fork recv send epoll_et
