#!/bin/bash
# Twin test: write and its other names.
exec "${srcdir:-$(dirname "$0")}/twin/run" write __write sys_write
