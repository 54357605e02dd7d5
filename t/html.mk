# The picture that kmap-trace draws.
check_PROGRAMS += trace/made-up
trace_made_up_SOURCES = trace/made-up.c
trace_made_up_CFLAGS = $(TOOLS_CFLAGS)
trace_made_up_LDADD = $(top_builddir)/trace/libpicture.la \
	$(top_builddir)/trace/libsinks.la \
	$(LIBKMAP)
dist_check_SCRIPTS += t7070-html.t
TESTS += t7070-html.t
EXTRA_DIST += trace/browser.py trace/look.py trace/page.py
