#!/bin/bash
# Twin test: streams: random sizes, spill, urgent data.
exec "${srcdir:-$(dirname "$0")}/twin/run" stream
