# Tests of the kind "programs".
