#!/bin/bash
# Twin test: poll and select beside other fds, with masks, in bad use.
exec "${srcdir:-$(dirname "$0")}/twin/run" pollx selectx
