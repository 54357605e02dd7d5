# Tests of the kind "lint".
LINT_TESTS = \
	t9010-names.t \
	t9020-reach.t \
	t9030-unharmed.t \
	t9040-format.t

dist_check_SCRIPTS += $(LINT_TESTS)
TESTS += $(LINT_TESTS)
EXTRA_DIST += lint/fd-functions.py lint/spy.map

# Neither is sanitized: they stand for a stranger's program and library, and
# the sanitizers' own interceptors would answer for ours.
check_PROGRAMS += lint/reach
lint_reach_SOURCES = lint/reach.c lint/spy.h names.h
lint_reach_CPPFLAGS = -I$(top_srcdir)/emu -U_FORTIFY_SOURCE
lint_reach_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Wall
lint_reach_LDADD =

check_LTLIBRARIES += lint/spy.la
lint_spy_la_SOURCES = lint/spy.c lint/spy.h
lint_spy_la_CPPFLAGS = -I$(top_srcdir)/emu -U_FORTIFY_SOURCE
lint_spy_la_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Wall
# -rpath makes libtool build a shared object that is never installed.
lint_spy_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere \
	-Wl,--version-script=$(srcdir)/lint/spy.map
lint_spy_la_LIBADD =

check_PROGRAMS += lint/cancel
lint_cancel_SOURCES = lint/cancel.c
lint_cancel_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -Wno-unused-result
lint_cancel_LDADD = -lpthread

check_LTLIBRARIES += lint/early.la
lint_early_la_SOURCES = lint/early.c
lint_early_la_CPPFLAGS = -U_FORTIFY_SOURCE
lint_early_la_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Wall -fno-builtin
lint_early_la_LDFLAGS = -module -avoid-version -shared -rpath /nowhere
lint_early_la_LIBADD =
