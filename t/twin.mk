# Tests of the kind "twin".
