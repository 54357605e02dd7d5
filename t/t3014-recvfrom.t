#!/bin/bash
# Twin test: recvfrom.
exec "${srcdir:-$(dirname "$0")}/twin/run" recvfrom sys_recvfrom
