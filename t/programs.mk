# Real programs on plain TCP and on Kmap (t5xxx), and the two of our own that
# they use.
check_PROGRAMS += tiny get
tiny_SOURCES = tiny.c pattern.h
tiny_LDADD = -lpthread
get_SOURCES = get.c pattern.h
get_LDADD =

PROGRAM_TESTS = \
	t5000-shares.t \
	t5010-tiny.t \
	t5020-python.t \
	t5030-nginx.t \
	t5040-redis.t \
	t5050-memcached.t \
	t5060-haproxy.t \
	t5070-node.t \
	t5080-java.t \
	t5090-envoy.t \
	t5091-envoy-http2.t \
	t5092-envoy-service.t \
	t5095-udp.t \
	t5100-others.t \
	t5110-redirect.t \
	t5200-wide.t

dist_check_SCRIPTS += $(PROGRAM_TESTS)
TESTS += $(PROGRAM_TESTS)
EXTRA_DIST += programs/wide programs/wide.d/databases.sh \
	programs/wide.d/streams.sh programs/wide.d/web.sh
EXTRA_DIST += programs/lib.sh programs/check.lua programs/nginx.sh \
	programs/envoy.sh programs/others.sh programs/fetch-envoy \
	programs/app.py programs/client.py programs/memcache.py \
	programs/udp.py programs/spoil.py \
	programs/grpc_echo.py programs/server.js \
	programs/client.js programs/Server.java programs/Client.java
CLEANFILES += envoy/envoy*

# The programs alone, by hand: make check-programs [KMAP_MODES="tcp kmap"]
.PHONY: check-programs
check-programs:
	KMAP_MODES='$(KMAP_MODES)' $(MAKE) $(AM_MAKEFLAGS) check \
		TESTS='$(PROGRAM_TESTS)'
