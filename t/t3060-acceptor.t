#!/bin/bash
# Twin test: the subject accepts, the peer connects.
exec "${srcdir:-$(dirname "$0")}/twin/run" -a recv send poll epoll_et shutdown \
	'leave.fdopen_at_*'
