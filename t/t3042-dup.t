#!/bin/bash
# Twin test: dup, and close.
exec "${srcdir:-$(dirname "$0")}/twin/run" dup close
