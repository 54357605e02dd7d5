#!/bin/bash
# Twin test: sendto.
exec "${srcdir:-$(dirname "$0")}/twin/run" sendto sys_sendto
