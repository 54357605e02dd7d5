#!/bin/bash
# Twin test: splice from a pipe and into one.
exec "${srcdir:-$(dirname "$0")}/twin/run" splice sys_splice splice_in sys_splice_in splice_own
