#!/bin/bash
# Twin test: socket options and names.
exec "${srcdir:-$(dirname "$0")}/twin/run" sockopt name
