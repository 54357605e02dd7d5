# Tests of kmap-trace, t7xxx.
check_PROGRAMS += look
look_SOURCES = look.c
look_CFLAGS = $(TOOLS_CFLAGS)
look_LDADD = $(top_builddir)/trace/liblook.la

check_PROGRAMS += events
events_SOURCES = events.c
events_CFLAGS = $(TOOLS_CFLAGS)
events_LDADD = $(top_builddir)/trace/libsinks.la

check_PROGRAMS += fuzz/region
fuzz_region_SOURCES = fuzz/region.c
fuzz_region_CFLAGS = $(TOOLS_CFLAGS)
fuzz_region_LDADD = $(top_builddir)/trace/libdrain.la \
	$(top_builddir)/trace/libtable.la $(top_builddir)/trace/libsinks.la \
	$(top_builddir)/trace/liblook.la $(LIBKMAP) $(TRACE_LIBS)

check_PROGRAMS += trace/busy
trace_busy_SOURCES = trace/busy.c
trace_busy_LDADD = -lpthread

TRACE_TESTS = \
	t7010-recorder.t \
	t7020-sinks.t \
	t7030-trace.t \
	t7035-usage.t \
	t7037-completion.t \
	t7040-elf.t \
	t7045-i386.t \
	t7050-verify.t \
	t7055-unseen.t \
	t7060-attach.t \
	t7080-twin.t \
	t7090-hostile.t \
	t7100-tables-python.t \
	t7110-tables-servers.t \
	t7120-tables-runtimes.t \
	t7130-tables-envoy.t

dist_check_SCRIPTS += $(TRACE_TESTS)
TESTS += $(TRACE_TESTS)
EXTRA_DIST += trace/rec.c trace/spoil.c trace/calls.py trace/deny.py trace/unseen.c \
	trace/i386.c trace/i386.py \
	programs/table.sh programs/asgi.py

# What Envoy, Flask and a small server call, for the README: calls.md
.PHONY: calls
calls: tiny get
	KMAP_CALLS=calls.md $(srcdir)/t7130-tables-envoy.t
CLEANFILES += calls.md
