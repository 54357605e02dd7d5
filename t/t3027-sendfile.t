#!/bin/bash
# Twin test: sendfile from a file.
exec "${srcdir:-$(dirname "$0")}/twin/run" sendfile sendfile64 sys_sendfile sendfile_own
