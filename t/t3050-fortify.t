#!/bin/bash
# Twin test: what fortified and large-file builds call.
exec "${srcdir:-$(dirname "$0")}/twin/run" __read_chk __recv_chk __recvfrom_chk __poll_chk __ppoll_chk __fdelt_chk large_file
