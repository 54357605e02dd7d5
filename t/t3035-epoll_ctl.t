#!/bin/bash
# Twin test: epoll's book-keeping: errors, data, several sets, closed numbers.
exec "${srcdir:-$(dirname "$0")}/twin/run" epoll_ctl epoll_close epoll_connect
