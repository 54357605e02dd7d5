#!/bin/bash
# Twin test: writev.
exec "${srcdir:-$(dirname "$0")}/twin/run" writev sys_writev
