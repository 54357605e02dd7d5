# Tests of the kind "model".
