#!/bin/bash
# Twin test: ioctl, fcntl, fstat.
exec "${srcdir:-$(dirname "$0")}/twin/run" ioctl fcntl fstat
