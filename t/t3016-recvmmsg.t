#!/bin/bash
# Twin test: recvmmsg.
exec "${srcdir:-$(dirname "$0")}/twin/run" recvmmsg sys_recvmmsg
