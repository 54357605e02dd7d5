#!/bin/bash
# Twin test: read and its other names.
exec "${srcdir:-$(dirname "$0")}/twin/run" read __read sys_read
