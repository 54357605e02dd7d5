# Tests of the kind "fault".
