#!/bin/bash
# Twin test: socket, connect, listen, accept, shutdown.
exec "${srcdir:-$(dirname "$0")}/twin/run" socket connect listen accept shutdown
