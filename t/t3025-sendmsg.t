#!/bin/bash
# Twin test: sendmsg.
exec "${srcdir:-$(dirname "$0")}/twin/run" sendmsg sys_sendmsg
