#!/bin/bash
# Twin test: preadv2 at the current position.
exec "${srcdir:-$(dirname "$0")}/twin/run" preadv2 preadv64v2 sys_preadv2
