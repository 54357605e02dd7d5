#!/bin/bash
# Twin test: recv.
exec "${srcdir:-$(dirname "$0")}/twin/run" recv
