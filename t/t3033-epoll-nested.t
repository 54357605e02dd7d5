#!/bin/bash
# Twin test: a set in a set, a set in poll, a set for a single wait.
exec "${srcdir:-$(dirname "$0")}/twin/run" epoll_nested epoll_polled epoll_fresh
