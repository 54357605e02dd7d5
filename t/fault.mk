# Tests of faults, t4xxx: kills, hostile peers, limits, leaks.
check_PROGRAMS += t4010-kills fault/duel
TESTS += t4010-kills
t4010_kills_SOURCES = t4010-kills.c fault/duel.h
fault_duel_SOURCES = fault/duel.c fault/duel.h
# The library finds kmap_testpoint in the program.
fault_duel_LDFLAGS = -rdynamic
fault_duel_LDADD = libtap.la -lpthread
