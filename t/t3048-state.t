#!/bin/bash
# Twin test: what is asked of a connection in each state of its end.
exec "${srcdir:-$(dirname "$0")}/twin/run" state
