#!/bin/bash
# Twin test: several threads on one endpoint.
exec "${srcdir:-$(dirname "$0")}/twin/run" thread
