# Twin tests (t3xxx): each call on plain TCP and on Kmap, compared value by
# value. twin/run runs single cases by hand.
check_PROGRAMS += twin/twin
twin_twin_SOURCES = \
	names.h \
	twin/conn.c \
	twin/connect.c \
	twin/drive.c \
	twin/epoll.c \
	twin/fdops.c \
	twin/leave.c \
	twin/matrix.h \
	twin/msg.c \
	twin/names.c \
	twin/peer.c \
	twin/pollx.c \
	twin/rx-calls.c \
	twin/rx.c \
	twin/sockopt.c \
	twin/state.c \
	twin/thread.c \
	twin/twin.c \
	twin/twin.h \
	twin/tx-calls.c \
	twin/tx.c \
	twin/wait-calls.c \
	twin/wait.c
# The library finds kmap_testpoint in the program.
twin_twin_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/emu
twin_twin_LDFLAGS = -rdynamic
twin_twin_LDADD = libtap.la twin/libfortify.la twin/liblfs.la -lpthread

# What an application's own build flags make of the calls.
check_LTLIBRARIES += twin/libfortify.la twin/liblfs.la
twin_libfortify_la_SOURCES = twin/fortify.c
twin_libfortify_la_CPPFLAGS = $(AM_CPPFLAGS) -U_FORTIFY_SOURCE \
	-D_FORTIFY_SOURCE=2
twin_libfortify_la_CFLAGS = $(AM_CFLAGS) -O2
twin_liblfs_la_SOURCES = twin/lfs.c
twin_liblfs_la_CPPFLAGS = $(AM_CPPFLAGS) -D_FILE_OFFSET_BITS=64

TWIN_TESTS = \
	t3000-connect.t \
	t3010-read.t \
	t3011-readv.t \
	t3012-preadv2.t \
	t3013-recv.t \
	t3014-recvfrom.t \
	t3015-recvmsg.t \
	t3016-recvmmsg.t \
	t3020-write.t \
	t3021-writev.t \
	t3022-pwritev2.t \
	t3023-send.t \
	t3024-sendto.t \
	t3025-sendmsg.t \
	t3026-sendmmsg.t \
	t3027-sendfile.t \
	t3028-splice.t \
	t3029-vectors.t \
	t3030-poll.t \
	t3031-select.t \
	t3032-epoll_wait.t \
	t3033-epoll-nested.t \
	t3034-epoll-edge.t \
	t3035-epoll_ctl.t \
	t3036-epoll-beside.t \
	t3037-poll-beside.t \
	t3040-sockopt.t \
	t3041-ioctl.t \
	t3042-dup.t \
	t3043-fork.t \
	t3044-thread.t \
	t3045-stream.t \
	t3046-self.t \
	t3047-names.t \
	t3048-state.t \
	t3049-leave.t \
	t3050-fortify.t \
	t3060-acceptor.t \
	t3061-forked.t \
	t3062-threads-of-one.t \
	t3063-alone.t

dist_check_SCRIPTS += $(TWIN_TESTS)
TESTS += $(TWIN_TESTS)
EXTRA_DIST += twin/run twin/.gitignore
