#!/bin/bash
# Twin test: send.
exec "${srcdir:-$(dirname "$0")}/twin/run" send __send
