#!/bin/bash
# Twin test: recvmsg.
exec "${srcdir:-$(dirname "$0")}/twin/run" recvmsg sys_recvmsg
