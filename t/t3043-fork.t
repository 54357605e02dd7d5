#!/bin/bash
# Twin test: fork.
exec "${srcdir:-$(dirname "$0")}/twin/run" fork
