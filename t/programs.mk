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
	t5090-envoy.t

dist_check_SCRIPTS += $(PROGRAM_TESTS)
TESTS += $(PROGRAM_TESTS)
EXTRA_DIST += programs/lib.sh programs/check.lua programs/nginx.sh \
	programs/envoy.sh programs/fetch-envoy programs/app.py \
	programs/client.py programs/memcache.py programs/server.js \
	programs/client.js programs/Server.java programs/Client.java
CLEANFILES += envoy/envoy*
