# Tests of the kind "bench".
