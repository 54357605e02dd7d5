# Tests of the kind "unit".
check_PROGRAMS += t1020-owner
t1020_owner_SOURCES = t1020-owner.c
t1020_owner_LDADD = libtap.la $(top_builddir)/src/libkmap.la
TESTS += t1020-owner
check_PROGRAMS += t1030-ep
t1030_ep_SOURCES = t1030-ep.c
t1030_ep_LDADD = libtap.la $(top_builddir)/src/libkmap.la
TESTS += t1030-ep
check_PROGRAMS += t1040-lock
t1040_lock_SOURCES = t1040-lock.c
t1040_lock_LDADD = libtap.la $(top_builddir)/src/libkmap.la -lpthread
TESTS += t1040-lock
