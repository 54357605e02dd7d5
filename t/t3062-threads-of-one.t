#!/bin/bash
# Twin test: both ends are threads of one process.
exec "${srcdir:-$(dirname "$0")}/twin/run" -p thread recv send poll epoll_et
