# Interception tables: t6xxx.
check_PROGRAMS += fuzz/table table/made-up table/strict
fuzz_table_SOURCES = fuzz/table.c
fuzz_table_CFLAGS = $(TOOLS_CFLAGS)
fuzz_table_LDADD = $(LIBKMAP)
table_made_up_SOURCES = table/made-up.c
table_made_up_CFLAGS = $(TOOLS_CFLAGS)
table_made_up_LDADD = $(top_builddir)/trace/libtable.la \
	$(top_builddir)/trace/libsinks.la $(top_builddir)/trace/liblook.la \
	$(LIBKMAP)
table_strict_SOURCES = table/strict.c
table_strict_LDADD =

TABLE_TESTS = \
	t6010-grammar.t \
	t6020-obey.t \
	t6030-gather.t \
	t6040-cycle.t

dist_check_SCRIPTS += $(TABLE_TESTS)
TESTS += $(TABLE_TESTS)
EXTRA_DIST += table/good.kmap table/small.kmap table/toml.py \
	table/made-up.kmap table/made-up.diff
