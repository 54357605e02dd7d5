#!/bin/bash
# Twin test: pwritev2 at the current position.
exec "${srcdir:-$(dirname "$0")}/twin/run" pwritev2 pwritev64v2 sys_pwritev2
