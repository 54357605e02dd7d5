#!/bin/bash
# Twin test: readv.
exec "${srcdir:-$(dirname "$0")}/twin/run" readv sys_readv
