# Tests of the kind "bench", and what `make bench` and `make demo` run.
bench_bins = bench/pingpong bench/stream bench/connrate bench/idle \
	bench/plain bench/calls bench/tableload
bench_common = bench/common.c bench/common.h bench/hist.c

check_PROGRAMS += $(bench_bins) bench/histtest
dist_check_SCRIPTS += bench/run bench/demo bench/t0080-bench.t
TESTS += bench/t0080-bench.t
EXTRA_DIST += bench/lab.py bench/stacks.py bench/bench.py bench/demo.py bench/labtest.py \
	bench/common.sh \
	bench/wrk.lua
BENCH_DEPS += $(bench_bins) tiny

bench_pingpong_SOURCES = bench/pingpong.c $(bench_common)
bench_pingpong_LDADD =
bench_stream_SOURCES = bench/stream.c $(bench_common)
bench_stream_LDADD =
bench_connrate_SOURCES = bench/connrate.c $(bench_common)
bench_connrate_LDADD =
bench_idle_SOURCES = bench/idle.c $(bench_common)
bench_idle_LDADD =
bench_plain_SOURCES = bench/plain.c $(bench_common)
bench_plain_LDADD =
bench_calls_SOURCES = bench/calls.c
bench_calls_LDADD =
bench_tableload_SOURCES = bench/tableload.c
bench_tableload_LDADD = $(top_builddir)/src/libkmap.la
bench_histtest_SOURCES = bench/histtest.c bench/common.h bench/hist.c
bench_histtest_LDADD =
