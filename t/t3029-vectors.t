#!/bin/bash
# Twin test: vectors, several messages, control data, positions; what a socket refuses.
exec "${srcdir:-$(dirname "$0")}/twin/run" iov mmsg recvfrom_addr pv2 refused inq
