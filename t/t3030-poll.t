#!/bin/bash
# Twin test: poll and ppoll.
exec "${srcdir:-$(dirname "$0")}/twin/run" poll ppoll __poll sys_poll sys_ppoll
