#!/bin/bash
# Twin test: the many names of one kind, and what libc does inside itself.
exec "${srcdir:-$(dirname "$0")}/twin/run" born stdio aio pidfd eventfd signal exec process
