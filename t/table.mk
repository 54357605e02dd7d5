# Interception tables: t6xxx.
check_PROGRAMS += fuzz/table table/strict
fuzz_table_SOURCES = fuzz/table.c
fuzz_table_LDADD = $(top_builddir)/src/libkmap.la
table_strict_SOURCES = table/strict.c
table_strict_LDADD =

TABLE_TESTS = \
	t6010-grammar.t \
	t6020-obey.t

dist_check_SCRIPTS += $(TABLE_TESTS)
TESTS += $(TABLE_TESTS)
EXTRA_DIST += table/good.kmap table/small.kmap table/toml.py
