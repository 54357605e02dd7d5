# Tests of kmap-stat, t6050 on.
STAT_TESTS = t6050-stat.t
dist_check_SCRIPTS += $(STAT_TESTS)
TESTS += $(STAT_TESTS)
EXTRA_DIST += stat/app.py
t6050-stat.log: AM_T_LOG_FLAGS = 300
