# Tests of faults, t4xxx: kills, hostile peers, limits, leaks.
check_PROGRAMS += t4010-kills fault/duel fault/serve fault/hostile \
	fault/inject fault/hidden fault/family fault/restart fault/strangers \
	fault/crossed fault/takeover fault/naps fault/noexec fault/handover \
	fault/pidns fault/storm fault/sets fault/ends fault/late
t4010_kills_SOURCES = t4010-kills.c fault/duel.h
fault_duel_SOURCES = fault/duel.c fault/duel.h
# The library finds kmap_testpoint in the program.
fault_duel_LDFLAGS = -rdynamic
fault_duel_LDADD = libtap.la -lpthread
fault_serve_SOURCES = fault/serve.c fault/net.h
fault_serve_LDADD = -lpthread
fault_hostile_SOURCES = fault/hostile.c fault/net.h
fault_hostile_LDADD = $(top_builddir)/src/libkmap.la -lpthread
fault_hidden_SOURCES = fault/hidden.c
fault_inject_SOURCES = fault/inject.c
fault_family_SOURCES = fault/family.c fault/net.h
fault_family_LDADD =
fault_restart_SOURCES = fault/restart.c
fault_restart_LDADD = -lpthread
fault_strangers_SOURCES = fault/strangers.c
fault_strangers_LDFLAGS = -rdynamic
fault_strangers_LDADD = -lpthread
fault_crossed_SOURCES = fault/crossed.c
fault_crossed_LDFLAGS = -rdynamic
fault_crossed_LDADD = -lpthread
fault_noexec_SOURCES = fault/noexec.c fault/net.h
fault_noexec_LDFLAGS = -rdynamic
fault_noexec_LDADD =
fault_handover_SOURCES = fault/handover.c fault/net.h
fault_handover_LDFLAGS = -rdynamic
fault_handover_LDADD = -lpthread
fault_naps_SOURCES = fault/naps.c fault/net.h
fault_naps_LDFLAGS = -rdynamic
fault_naps_LDADD = -lpthread
fault_takeover_SOURCES = fault/takeover.c fault/net.h
fault_takeover_LDFLAGS = -rdynamic
fault_takeover_LDADD =
fault_pidns_SOURCES = fault/pidns.c fault/net.h
fault_pidns_LDFLAGS = -rdynamic
fault_pidns_LDADD =
fault_storm_SOURCES = fault/storm.c fault/net.h
fault_storm_LDFLAGS = -rdynamic
fault_storm_LDADD = -lpthread
fault_sets_SOURCES = fault/sets.c fault/net.h
fault_sets_LDFLAGS = -rdynamic
fault_sets_LDADD = -lpthread
fault_late_SOURCES = fault/late.c fault/net.h
fault_late_LDFLAGS = -rdynamic
fault_late_LDADD =
fault_inject_LDADD =
# Not sanitized: it faults on purpose.
fault_ends_SOURCES = fault/ends.c
fault_ends_CFLAGS = -std=gnu11 -D_GNU_SOURCE -Wall
fault_ends_LDADD = -lpthread

FAULT_TESTS = \
	t4020-hostile.t \
	t4021-greetings.t \
	t4030-limits.t \
	t4040-leaks.t \
	t4050-hidden-fds.t \
	t4060-secure.t \
	t4061-confined.t \
	t4070-conntrack.t \
	t4080-family.t \
	t4090-restart.t \
	t4100-strangers.t \
	t4110-crossed.t \
	t4120-naps.t \
	t4130-storm.t \
	t4140-sets.t \
	t4150-ends.t \
	t4160-settings.t \
	t4170-taken.t \
	t4180-handover.t \
	t4190-late.t \
	t4200-passed.t \
	t4210-turns.t

dist_check_SCRIPTS += $(FAULT_TESTS)
TESTS += t4010-kills $(FAULT_TESTS)

# The ring between two threads, and once more under ThreadSanitizer.
check_PROGRAMS += t1010-ring
t1010_ring_SOURCES = t1010-ring.c
t1010_ring_LDADD = libtap.la $(top_builddir)/src/libkmap.la -lpthread
dist_check_SCRIPTS += t1011-ring-tsan.t
TESTS += t1010-ring t1011-ring-tsan.t
