# Tests of the kind "lint".
