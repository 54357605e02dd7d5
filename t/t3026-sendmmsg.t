#!/bin/bash
# Twin test: sendmmsg.
exec "${srcdir:-$(dirname "$0")}/twin/run" sendmmsg sys_sendmmsg
