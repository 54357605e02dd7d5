#!/bin/bash
# Twin test: both ends in one thread.
exec "${srcdir:-$(dirname "$0")}/twin/run" self
