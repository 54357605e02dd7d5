#!/bin/bash
# Twin test: select and pselect.
exec "${srcdir:-$(dirname "$0")}/twin/run" select __select pselect sys_select sys_pselect6
