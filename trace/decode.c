/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config.h"

#include "decode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4
#endif

/* Names of numbers. */

struct name {
	uint64_t value;
	const char *name;
};

/* clang-format off */
#define N(x) { (uint64_t)(x), #x }

static const struct name domains[] = {
	N(AF_UNSPEC), N(AF_UNIX), N(AF_INET), N(AF_INET6), N(AF_NETLINK),
	N(AF_PACKET), N(AF_VSOCK), N(AF_ALG), N(AF_BLUETOOTH), {0}
};
static const struct name types[] = {
	N(SOCK_STREAM), N(SOCK_DGRAM), N(SOCK_RAW), N(SOCK_RDM),
	N(SOCK_SEQPACKET), N(SOCK_DCCP), N(SOCK_PACKET), {0}
};
static const struct name type_flags[] = {
	N(SOCK_CLOEXEC), N(SOCK_NONBLOCK), {0}
};
static const struct name ip_protocols[] = {
	N(IPPROTO_IP), N(IPPROTO_ICMP), N(IPPROTO_TCP), N(IPPROTO_UDP),
	N(IPPROTO_ICMPV6), N(IPPROTO_SCTP), N(IPPROTO_RAW), {262, "IPPROTO_MPTCP"},
	{0}
};
static const struct name hows[] = {
	N(SHUT_RD), N(SHUT_WR), N(SHUT_RDWR), {0}
};
static const struct name msg_flags[] = {
	N(MSG_OOB), N(MSG_PEEK), N(MSG_DONTROUTE), N(MSG_CTRUNC), N(MSG_PROXY),
	N(MSG_TRUNC), N(MSG_DONTWAIT), N(MSG_EOR), N(MSG_WAITALL), N(MSG_FIN),
	N(MSG_SYN), N(MSG_CONFIRM), N(MSG_RST), N(MSG_ERRQUEUE),
	N(MSG_NOSIGNAL), N(MSG_MORE), N(MSG_WAITFORONE), N(MSG_BATCH),
	N(MSG_ZEROCOPY), N(MSG_FASTOPEN), N(MSG_CMSG_CLOEXEC), {0}
};
static const struct name levels[] = {
	N(SOL_SOCKET), {IPPROTO_IP, "SOL_IP"}, {IPPROTO_TCP, "SOL_TCP"},
	{IPPROTO_IPV6, "SOL_IPV6"}, {IPPROTO_UDP, "SOL_UDP"},
	{263, "SOL_PACKET"}, {270, "SOL_NETLINK"}, {282, "SOL_TLS"},
	{284, "SOL_MPTCP"}, {0}
};
static const struct name socket_options[] = {
	N(SO_DEBUG), N(SO_REUSEADDR), N(SO_TYPE), N(SO_ERROR), N(SO_DONTROUTE),
	N(SO_BROADCAST), N(SO_SNDBUF), N(SO_RCVBUF), N(SO_KEEPALIVE),
	N(SO_OOBINLINE), N(SO_NO_CHECK), N(SO_PRIORITY), N(SO_LINGER),
	N(SO_BSDCOMPAT), N(SO_REUSEPORT), N(SO_PASSCRED), N(SO_PEERCRED),
	N(SO_RCVLOWAT), N(SO_SNDLOWAT), {20, "SO_RCVTIMEO"},
	{21, "SO_SNDTIMEO"}, N(SO_BINDTODEVICE), N(SO_ATTACH_FILTER),
	N(SO_DETACH_FILTER), N(SO_PEERNAME), {29, "SO_TIMESTAMP"},
	N(SO_ACCEPTCONN), N(SO_PEERSEC), N(SO_SNDBUFFORCE), N(SO_RCVBUFFORCE),
	N(SO_PASSSEC), {35, "SO_TIMESTAMPNS"}, N(SO_MARK),
	{37, "SO_TIMESTAMPING"}, N(SO_PROTOCOL), N(SO_DOMAIN),
	N(SO_RXQ_OVFL), N(SO_WIFI_STATUS), N(SO_PEEK_OFF), N(SO_NOFCS),
	N(SO_LOCK_FILTER), N(SO_SELECT_ERR_QUEUE), N(SO_BUSY_POLL),
	N(SO_MAX_PACING_RATE), N(SO_BPF_EXTENSIONS), N(SO_INCOMING_CPU),
	N(SO_ATTACH_BPF), N(SO_ATTACH_REUSEPORT_CBPF),
	N(SO_ATTACH_REUSEPORT_EBPF), N(SO_CNX_ADVICE), N(SO_MEMINFO),
	N(SO_INCOMING_NAPI_ID), N(SO_COOKIE), N(SO_PEERGROUPS), N(SO_ZEROCOPY),
	N(SO_TXTIME), N(SO_BINDTOIFINDEX), {66, "SO_RCVTIMEO_NEW"},
	{67, "SO_SNDTIMEO_NEW"}, N(SO_DETACH_REUSEPORT_BPF),
	N(SO_PREFER_BUSY_POLL), N(SO_BUSY_POLL_BUDGET), {71, "SO_NETNS_COOKIE"},
	{72, "SO_BUF_LOCK"}, {0}
};
static const struct name tcp_options[] = {
	N(TCP_NODELAY), N(TCP_MAXSEG), N(TCP_CORK), N(TCP_KEEPIDLE),
	N(TCP_KEEPINTVL), N(TCP_KEEPCNT), N(TCP_SYNCNT), N(TCP_LINGER2),
	N(TCP_DEFER_ACCEPT), N(TCP_WINDOW_CLAMP), N(TCP_INFO), N(TCP_QUICKACK),
	N(TCP_CONGESTION), N(TCP_MD5SIG), N(TCP_THIN_LINEAR_TIMEOUTS),
	N(TCP_THIN_DUPACK), N(TCP_USER_TIMEOUT), N(TCP_REPAIR),
	N(TCP_REPAIR_QUEUE), N(TCP_QUEUE_SEQ), N(TCP_REPAIR_OPTIONS),
	N(TCP_FASTOPEN), N(TCP_TIMESTAMP), N(TCP_NOTSENT_LOWAT), N(TCP_CC_INFO),
	N(TCP_SAVE_SYN), N(TCP_SAVED_SYN), N(TCP_REPAIR_WINDOW),
	N(TCP_FASTOPEN_CONNECT), N(TCP_ULP), N(TCP_MD5SIG_EXT),
	N(TCP_FASTOPEN_KEY), N(TCP_FASTOPEN_NO_COOKIE),
	N(TCP_ZEROCOPY_RECEIVE), N(TCP_INQ), N(TCP_TX_DELAY), {0}
};
static const struct name ip_options[] = {
	N(IP_TOS), N(IP_TTL), N(IP_HDRINCL), N(IP_OPTIONS), N(IP_RECVOPTS),
	N(IP_RETOPTS), N(IP_PKTINFO), N(IP_PKTOPTIONS), N(IP_MTU_DISCOVER),
	N(IP_RECVERR), N(IP_RECVTTL), N(IP_RECVTOS), N(IP_MTU), N(IP_FREEBIND),
	N(IP_XFRM_POLICY), N(IP_PASSSEC), N(IP_TRANSPARENT),
	N(IP_RECVORIGDSTADDR), N(IP_MINTTL), N(IP_NODEFRAG),
	N(IP_BIND_ADDRESS_NO_PORT), N(IP_MULTICAST_IF), N(IP_MULTICAST_TTL),
	N(IP_MULTICAST_LOOP), N(IP_ADD_MEMBERSHIP), N(IP_DROP_MEMBERSHIP),
	{80, "SO_ORIGINAL_DST"}, {0}
};
static const struct name ipv6_options[] = {
	N(IPV6_ADDRFORM), N(IPV6_CHECKSUM), N(IPV6_UNICAST_HOPS),
	N(IPV6_MULTICAST_IF), N(IPV6_MULTICAST_HOPS), N(IPV6_MULTICAST_LOOP),
	N(IPV6_JOIN_GROUP), N(IPV6_LEAVE_GROUP), N(IPV6_MTU_DISCOVER),
	N(IPV6_MTU), N(IPV6_RECVERR), N(IPV6_V6ONLY), N(IPV6_RECVPKTINFO),
	N(IPV6_PKTINFO), N(IPV6_RECVHOPLIMIT), N(IPV6_RECVTCLASS),
	N(IPV6_TCLASS), N(IPV6_TRANSPARENT), N(IPV6_FREEBIND),
	{80, "IP6T_SO_ORIGINAL_DST"}, {0}
};
static const struct name udp_options[] = {
	N(UDP_CORK), N(UDP_ENCAP), N(UDP_SEGMENT), N(UDP_GRO), {0}
};
static const struct name fcntl_commands[] = {
	N(F_DUPFD), N(F_GETFD), N(F_SETFD), N(F_GETFL), N(F_SETFL), N(F_GETLK),
	N(F_SETLK), N(F_SETLKW), N(F_SETOWN), N(F_GETOWN), N(F_SETSIG),
	N(F_GETSIG), N(F_SETOWN_EX), N(F_GETOWN_EX), N(F_OFD_GETLK),
	N(F_OFD_SETLK), N(F_OFD_SETLKW), N(F_DUPFD_CLOEXEC), N(F_SETPIPE_SZ),
	N(F_GETPIPE_SZ), N(F_ADD_SEALS), N(F_GET_SEALS), {0}
};
static const struct name open_modes[] = {
	N(O_RDONLY), N(O_WRONLY), N(O_RDWR), {0}
};
static const struct name open_flags[] = {
	N(O_APPEND), N(O_NONBLOCK), N(O_ASYNC), N(O_DIRECT), N(O_NOATIME),
	N(O_SYNC), N(O_DSYNC), N(O_CLOEXEC), {0100000, "O_LARGEFILE"}, {0}
};
static const struct name fd_flags[] = { N(FD_CLOEXEC), {0} };
static const struct name ioctls[] = {
	N(FIONREAD), N(FIONBIO), N(FIOASYNC), N(FIONCLEX), N(FIOCLEX),
	N(TIOCOUTQ), N(SIOCATMARK), N(SIOCSPGRP), N(SIOCGPGRP), N(SIOCGSTAMP),
	N(SIOCGIFCONF), N(SIOCGIFNAME), N(SIOCGIFFLAGS), N(SIOCGIFADDR),
	N(SIOCGIFINDEX), N(SIOCOUTQNSD), N(TIOCGWINSZ), N(TIOCGPGRP),
	{0x5401, "TCGETS"}, {0}
};
static const struct name poll_events[] = {
	N(POLLIN), N(POLLPRI), N(POLLOUT), N(POLLERR), N(POLLHUP), N(POLLNVAL),
	N(POLLRDNORM), N(POLLRDBAND), N(POLLWRNORM), N(POLLWRBAND), N(POLLMSG),
	N(POLLREMOVE), N(POLLRDHUP), {0}
};
static const struct name epoll_events[] = {
	N(EPOLLIN), N(EPOLLPRI), N(EPOLLOUT), N(EPOLLERR), N(EPOLLHUP),
	N(EPOLLRDNORM), N(EPOLLRDBAND), N(EPOLLWRNORM), N(EPOLLWRBAND),
	N(EPOLLMSG), N(EPOLLRDHUP), {1u << 28, "EPOLLEXCLUSIVE"},
	{1u << 29, "EPOLLWAKEUP"}, {1u << 30, "EPOLLONESHOT"},
	{1u << 31, "EPOLLET"}, {0}
};
static const struct name epoll_ops[] = {
	N(EPOLL_CTL_ADD), N(EPOLL_CTL_DEL), N(EPOLL_CTL_MOD), {0}
};
static const struct name epoll_flags[] = { N(EPOLL_CLOEXEC), {0} };
static const struct name dup_flags[] = { N(O_CLOEXEC), {0} };
static const struct name pipe_flags[] = {
	N(O_CLOEXEC), N(O_DIRECT), N(O_NONBLOCK), {0}
};
static const struct name eventfd_flags[] = {
	N(EFD_CLOEXEC), N(EFD_NONBLOCK), N(EFD_SEMAPHORE), {0}
};
static const struct name timerfd_flags[] = {
	N(TFD_CLOEXEC), N(TFD_NONBLOCK), {0}
};
static const struct name signalfd_flags[] = {
	{O_CLOEXEC, "SFD_CLOEXEC"}, {O_NONBLOCK, "SFD_NONBLOCK"}, {0}
};
static const struct name clocks[] = {
	N(CLOCK_REALTIME), N(CLOCK_MONOTONIC), N(CLOCK_BOOTTIME),
	N(CLOCK_REALTIME_ALARM), N(CLOCK_BOOTTIME_ALARM), {0}
};
static const struct name splice_flags[] = {
	N(SPLICE_F_MOVE), N(SPLICE_F_NONBLOCK), N(SPLICE_F_MORE),
	N(SPLICE_F_GIFT), {0}
};
static const struct name rwf_flags[] = {
	N(RWF_HIPRI), N(RWF_DSYNC), N(RWF_SYNC), N(RWF_NOWAIT), N(RWF_APPEND),
	{0}
};
static const struct name close_range_flags[] = {
	N(CLOSE_RANGE_UNSHARE), N(CLOSE_RANGE_CLOEXEC), {0}
};
#undef N

/*
 * What the arguments of a function are: "name:letter" for each.
 *
 *	f an fd			p a pointer		i an int
 *	u unsigned, size	x hexadecimal		n the count of slices
 *	d a buffer		v slices (iovec)	m a message (msghdr)
 *	w messages (mmsghdr)	F message flags		a an address
 *	l its length		L the same, by pointer
 *	D domain		T socket type		P protocol
 *	H how to shut down	o option level		O option name
 *	V option value		q its length		Q the same, by pointer
 *	c fcntl command		C its argument
 *	r ioctl request		R its argument
 *	s pollfds		S an fd_set		t time-out in ms
 *	k a time by pointer	e epoll operation	E epoll event
 *	g epoll events		j two fds by pointer	h an offset by pointer
 *	y syscall number
 *	1 flags of epoll_create1	2 of pipe2	3 of dup3, accept's is 4
 *	5 of eventfd	6 of timerfd	7 clock		8 of splice
 *	9 of preadv2	0 of close_range	b of signalfd
 *
 * An argument that has no item behind it is written as the pointer it is.
 */
static const struct spec {
	const char *name, *args;
} specs[] = {
	{"accept", "fd:f addr:a addrlen:L"},
	{"accept4", "fd:f addr:a addrlen:L flags:4"},
	{"bind", "fd:f addr:a addrlen:l"},
	{"close", "fd:f"},
	{"close_range", "first:u last:u flags:0"},
	{"closefrom", "first:i"},
	{"connect", "fd:f addr:a addrlen:l"},
	{"copy_file_range", "in:f inoff:h out:f outoff:h len:u flags:x"},
	{"dprintf", "fd:f format:p"},
	{"dup", "fd:f"},
	{"dup2", "fd:f newfd:i"},
	{"dup3", "fd:f newfd:i flags:3"},
	{"epoll_create", "size:i"},
	{"epoll_create1", "flags:1"},
	{"epoll_ctl", "epfd:f op:e fd:f event:E"},
	{"epoll_pwait", "epfd:f events:g maxevents:i timeout:t sigmask:p"},
	{"epoll_pwait2", "epfd:f events:g maxevents:i timeout:k sigmask:p"},
	{"epoll_wait", "epfd:f events:g maxevents:i timeout:t"},
	{"eventfd", "initval:u flags:5"},
	{"eventfd2", "initval:u flags:5"},
	{"eventfd_read", "fd:f value:p"},
	{"eventfd_write", "fd:f value:u"},
	{"fclose", "stream:p"},
	{"fcntl", "fd:f cmd:c arg:C"},
	{"fdopen", "fd:f mode:p"},
	{"fflush", "stream:p"},
	{"freopen", "path:p mode:p stream:p"},
	{"fstat", "fd:f statbuf:p"},
	{"getpeername", "fd:f addr:a addrlen:L"},
	{"getsockname", "fd:f addr:a addrlen:L"},
	{"getsockopt", "fd:f level:o optname:O optval:V optlen:Q"},
	{"ioctl", "fd:f request:r arg:R"},
	{"listen", "fd:f backlog:i"},
	{"pipe", "pipefd:j"},
	{"pipe2", "pipefd:j flags:2"},
	{"poll", "fds:s nfds:u timeout:t"},
	{"ppoll", "fds:s nfds:u timeout:k sigmask:p"},
	{"preadv2", "fd:f iov:v iovcnt:n offset:i flags:9"},
	{"pselect", "nfds:i readfds:S writefds:S exceptfds:S timeout:k "
		    "sigmask:p"},
	{"pselect6", "nfds:i readfds:S writefds:S exceptfds:S timeout:k "
		     "sigmask:p"},
	{"pwritev2", "fd:f iov:v iovcnt:n offset:i flags:9"},
	{"read", "fd:f buf:d len:u"},
	{"readv", "fd:f iov:v iovcnt:n"},
	{"recv", "fd:f buf:d len:u flags:F"},
	{"recvfrom", "fd:f buf:d len:u flags:F addr:a addrlen:L"},
	{"recvmmsg", "fd:f msgvec:w vlen:u flags:F timeout:k"},
	{"recvmsg", "fd:f msg:m flags:F"},
	{"select", "nfds:i readfds:S writefds:S exceptfds:S timeout:k"},
	{"send", "fd:f buf:d len:u flags:F"},
	{"sendfile", "out:f in:f offset:h count:u"},
	{"sendmmsg", "fd:f msgvec:w vlen:u flags:F"},
	{"sendmsg", "fd:f msg:m flags:F"},
	{"sendto", "fd:f buf:d len:u flags:F addr:a addrlen:l"},
	{"setsockopt", "fd:f level:o optname:O optval:V optlen:q"},
	{"shutdown", "fd:f how:H"},
	{"signalfd", "fd:i mask:p flags:b"},
	{"signalfd4", "fd:i mask:p sizemask:u flags:b"},
	{"sockatmark", "fd:f"},
	{"socket", "domain:D type:T protocol:P"},
	{"socketpair", "domain:D type:T protocol:P sv:j"},
	{"splice", "in:f inoff:h out:f outoff:h len:u flags:8"},
	{"tee", "in:f out:f len:u flags:8"},
	{"timerfd_create", "clockid:7 flags:6"},
	{"vmsplice", "fd:f iov:v iovcnt:n flags:8"},
	{"vdprintf", "fd:f format:p"},
	{"write", "fd:f buf:d len:u"},
	{"writev", "fd:f iov:v iovcnt:n"},
	{"aio_read", "aiocb:p"},
	{"aio_write", "aiocb:p"},
	{"fgets", "buf:p size:i stream:p"},
	{"fprintf", "stream:p format:p"},
	{"fputs", "string:p stream:p"},
	{"fread", "buf:p size:u count:u stream:p"},
	{"fwrite", "buf:p size:u count:u stream:p"},
	{"getline", "line:p size:p stream:p"},
	{"pidfd_getfd", "pidfd:i targetfd:i flags:x"},
	{"vfprintf", "stream:p format:p"},
	{"io_uring_enter", "fd:f to_submit:u min_complete:u flags:x"},
	{"io_uring_setup", "entries:u params:p"},
	{"io_uring_register", "fd:f opcode:u arg:p nr_args:u"},
};

static const char *const sys_names[] = {
#include "sysnames.h"
};
/* clang-format on */

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *
trace_sys_name(int nr)
{
	if (nr < 0 || (size_t)nr >= COUNT(sys_names) || !sys_names[nr])
		return "";
	return sys_names[nr];
}

int
trace_sys_number(const char *name)
{
	size_t i;

	for (i = 0; i < COUNT(sys_names); i++)
		if (sys_names[i] && !strcmp(sys_names[i], name))
			return i;
	return -1;
}

static const struct spec *
find_spec(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < COUNT(specs); i++)
		if (!strncmp(specs[i].name, name, len) && !specs[i].name[len])
			return &specs[i];
	return NULL;
}

/* The spec of fn, undressed: __recv_chk, fcntl64, _IO_fclose, preadv64v2. */
static const struct spec *
plain_spec(const char *fn)
{
	const struct spec *s = find_spec(fn, strlen(fn));
	const char *p = fn;
	size_t n;

	if (s)
		return s;
	if (!strcmp(fn, "preadv64v2"))
		return plain_spec("preadv2");
	if (!strcmp(fn, "pwritev64v2"))
		return plain_spec("pwritev2");
	if (!strncmp(p, "_IO_", 4))
		p += 4;
	else if (!strncmp(p, "__", 2))
		p += 2;
	n = strlen(p);
	if (n > 4 && !strcmp(p + n - 4, "_chk"))
		n -= 4;
	s = find_spec(p, n);
	if (!s && n > 2 && !strncmp(p + n - 2, "64", 2))
		s = find_spec(p, n - 2);
	return s;
}

const char *
trace_plain_name(const char *fn)
{
	const struct spec *s = plain_spec(fn);

	return s ? s->name : fn;
}

const char *
trace_call_name(const struct trace_call *c)
{
	/* An escape's function is the one that it hid in. */
	return c->escape == TRACE_COVERED && c->fn && c->fn[0]
		? c->fn
		: trace_sys_name(c->sys);
}

bool
trace_is_call(const char *name)
{
	return plain_spec(name) || trace_sys_number(name) >= 0;
}

const char *
trace_kind_name(enum trace_kind kind)
{
	static const char *const names[] = {
		[TRACE_UNKNOWN] = "unknown",
		[TRACE_TCP] = "tcp",
		[TRACE_LISTEN] = "listen",
		[TRACE_UDP] = "udp",
		[TRACE_UNIX] = "unix",
		[TRACE_SOCKET] = "socket",
		[TRACE_EPOLL] = "epoll",
		[TRACE_EVENTFD] = "eventfd",
		[TRACE_PIPE] = "pipe",
		[TRACE_TIMERFD] = "timerfd",
		[TRACE_SIGNALFD] = "signalfd",
		[TRACE_FILE] = "file",
	};

	return (size_t)kind < COUNT(names) ? names[kind] : "unknown";
}

const char *
trace_origin_name(enum trace_origin origin)
{
	static const char *const names[] = {
		[0] = "unknown",
		[TRACE_BY_SOCKET] = "socket",
		[TRACE_BY_ACCEPT] = "accept",
		[TRACE_BY_INHERIT] = "inherit",
		[TRACE_BY_PASSING] = "passing",
		[TRACE_BY_ESCAPE] = "escape",
		[TRACE_BY_BEFORE] = "before",
	};

	return (size_t)origin < COUNT(names) ? names[origin] : "unknown";
}

const char *
trace_escape_name(enum trace_escape escape)
{
	static const char *const names[] = {
		[TRACE_COVERED] = "",
		[TRACE_LIBC] = "libc",
		[TRACE_RAW] = "raw",
		[TRACE_INLINE] = "inline",
		[TRACE_URING] = "io_uring",
		[TRACE_EARLY] = "early",
	};

	return (size_t)escape < COUNT(names) ? names[escape] : "unknown";
}

const char *
trace_escape_text(enum trace_escape escape)
{
	static const char *const texts[] = {
		[TRACE_COVERED] = "",
		[TRACE_LIBC] = "inside another function of libc",
		[TRACE_RAW] = "by syscall(2)",
		[TRACE_INLINE] = "by a syscall instruction of its own",
		[TRACE_URING] = "by io_uring",
		[TRACE_EARLY] = "before the recorder was there",
	};

	return (size_t)escape < COUNT(texts) ? texts[escape] : "";
}

/* One call being written, as text or as JSON. */
struct writer {
	struct trace_buf *b;
	const struct trace_call *c;
	const struct spec *spec;
	bool json;
	size_t max; /* bytes of a buffer */
	trace_fd_fn *fd;
	void *arg;
};

static const char *
name_of(const struct name *names, uint64_t value)
{
	for (; names->name; names++)
		if (names->value == value)
			return names->name;
	return NULL;
}

static void
put_int(struct writer *w, int64_t v)
{
	buf_fmt(w->b, "%lld", (long long)v);
}

static void
put_uint(struct writer *w, uint64_t v)
{
	buf_fmt(w->b, "%llu", (unsigned long long)v);
}

static void
put_hex(struct writer *w, uint64_t v)
{
	if (w->json)
		put_uint(w, v);
	else
		buf_fmt(w->b, v ? "%#llx" : "%llx", (unsigned long long)v);
}

static void
put_ptr(struct writer *w, uint64_t v)
{
	if (w->json)
		put_uint(w, v);
	else if (v)
		buf_fmt(w->b, "%#llx", (unsigned long long)v);
	else
		buf_str(w->b, "NULL");
}

/* One of several values: its name, else a number. */
static void
put_name(struct writer *w, const struct name *names, uint64_t v)
{
	const char *name = name_of(names, v);

	if (!name)
		put_int(w, (int32_t)v);
	else if (w->json)
		buf_json(w->b, name);
	else
		buf_str(w->b, name);
}

/* Flags after `first` (a name that is always written, or NULL). */
static void
put_flags(struct writer *w, const char *first, const struct name *names,
	uint64_t v)
{
	const char *sep = "";

	if (w->json)
		buf_char(w->b, '[');
	if (first) {
		buf_fmt(w->b, w->json ? "\"%s\"" : "%s", first);
		sep = w->json ? "," : "|";
	}
	for (; names->name; names++) {
		if (!names->value || (v & names->value) != names->value)
			continue;
		v &= ~names->value;
		buf_fmt(w->b, w->json ? "%s\"%s\"" : "%s%s", sep, names->name);
		sep = w->json ? "," : "|";
	}
	if (v)
		buf_fmt(w->b, w->json ? "%s\"%#llx\"" : "%s%#llx", sep,
			(unsigned long long)v);
	else if (!*sep && !w->json)
		buf_char(w->b, '0');
	if (w->json)
		buf_char(w->b, ']');
}

static void
put_fd(struct writer *w, int fd, uint32_t ep)
{
	if (!w->json && w->fd)
		w->fd(w->arg, w->b, w->c, fd, ep);
	else
		put_int(w, fd);
}

static const struct trace_item *
find_item(const struct trace_call *c, unsigned int arg, unsigned int type)
{
	size_t i;

	for (i = 0; i < c->nitems; i++)
		if (c->items[i].arg == arg && c->items[i].type == type)
			return &c->items[i];
	return NULL;
}

/*
 * An address without text is one of the socket's family, which is not IP's.
 * An IP socket takes none but AF_UNSPEC, which ends what connect(2) did.
 */
static void
put_family(struct writer *w)
{
	const struct trace_endpoint *e = trace_endpoint_by_id(w->c->ep);
	int family = e ? e->domain : AF_UNSPEC;

	if (family == AF_INET || family == AF_INET6)
		family = AF_UNSPEC;
	buf_str(w->b, "{sa_family=");
	put_name(w, domains, family);
	buf_char(w->b, '}');
}

/* "127.0.0.1:80" as strace shows a struct sockaddr. */
static void
put_addr(struct writer *w, const char *s, size_t len)
{
	char text[128], *port;

	len = strnlen(s, len < sizeof(text) - 1 ? len : sizeof(text) - 1);
	memcpy(text, s, len);
	text[len] = 0;
	if (w->json) {
		buf_json(w->b, text);
		return;
	}
	if (!text[0]) {
		put_family(w);
		return;
	}
	if (text[0] == '/' || text[0] == '@') {
		buf_str(w->b, "{sa_family=AF_UNIX, sun_path=");
		if (text[0] == '@')
			buf_char(w->b, '@');
		buf_quoted(w->b, text + (text[0] == '@'),
			len - (text[0] == '@'), false);
		buf_char(w->b, '}');
		return;
	}
	port = strrchr(text, ':');
	if (!port || strspn(port + 1, "0123456789") != strlen(port + 1)) {
		buf_quoted(w->b, text, len, false);
		return;
	}
	*port++ = 0;
	if (text[0] == '[') {
		text[strcspn(text, "]")] = 0;
		buf_fmt(w->b,
			"{sa_family=AF_INET6, sin6_port=htons(%s), "
			"inet_pton(AF_INET6, \"%s\", &sin6_addr)}",
			port, text + 1);
	} else {
		buf_fmt(w->b,
			"{sa_family=AF_INET, sin_port=htons(%s), "
			"sin_addr=inet_addr(\"%s\")}",
			port, text);
	}
}

/* n bytes at data of a buffer that held `whole`. */
static void
put_data(struct writer *w, const void *data, size_t n, uint64_t whole)
{
	bool more;

	if (n > whole)
		n = whole;
	if (n > w->max)
		n = w->max;
	more = n < whole;
	if (w->json)
		buf_json_bytes(w->b, data, n);
	else
		buf_quoted(w->b, data, n, more);
}

/* How many bytes of a buffer of n mean something: of a receive, as many as
 * came. */
static uint64_t
meant(const struct writer *w, uint64_t n)
{
	const char *name = w->spec->name;
	bool in = !strncmp(name, "recv", 4) || !strncmp(name, "read", 4) ||
		!strncmp(name, "preadv", 6);

	if (!in)
		return n;
	if (w->c->ret < 0)
		return 0;
	return (uint64_t)w->c->ret < n ? (uint64_t)w->c->ret : n;
}

/* The slices of argument `at`; their bytes, as many as were kept, follow one
 * another in the item of the data. */
static void
put_iov(struct writer *w, unsigned int at, uint64_t count)
{
	const struct trace_item *lens = find_item(w->c, at, TRACE_ITEM_IOV);
	const struct trace_item *data = find_item(w->c, at, TRACE_ITEM_DATA);
	size_t n = lens ? lens->len / sizeof(uint64_t) : 0, i;
	size_t kept = data ? data->len : 0, off = 0, part;
	uint64_t all = 0, len;

	if (!lens) {
		put_ptr(w, at < w->c->nargs ? w->c->args[at] : 0);
		return;
	}
	for (i = 0; i < n; i++) {
		memcpy(&len, (const char *)lens->data + i * sizeof(len),
			sizeof(len));
		all += len;
	}
	all = meant(w, all);
	buf_char(w->b, '[');
	for (i = 0; i < n; i++) {
		memcpy(&len, (const char *)lens->data + i * sizeof(len),
			sizeof(len));
		part = len < all ? len : all;
		buf_str(w->b, i ? (w->json ? "," : ", ") : "");
		buf_str(w->b, w->json ? "{" : "{iov_base=");
		if (w->json)
			buf_str(w->b, "\"base\":");
		if (data && off <= kept)
			put_data(w, (const char *)data->data + off,
				kept - off < part ? kept - off : part, part);
		else
			buf_str(w->b, w->json ? "\"\"" : "\"\"...");
		buf_fmt(w->b, w->json ? ",\"len\":%llu}" : ", iov_len=%llu}",
			(unsigned long long)len);
		off += part;
		all -= part;
	}
	if (count > n) {
		buf_str(w->b, n == 0 ? "" : w->json ? "," : ", ");
		buf_str(w->b, w->json ? "\"...\"" : "...");
	}
	buf_char(w->b, ']');
}

static void
put_fds(struct writer *w, const struct trace_item *it)
{
	size_t n = it->len / sizeof(int), i;
	int fd;

	buf_char(w->b, '[');
	for (i = 0; i < n; i++) {
		memcpy(&fd, (const char *)it->data + i * sizeof(fd),
			sizeof(fd));
		buf_str(w->b, i ? (w->json ? "," : ", ") : "");
		put_fd(w, fd, fd == w->c->fd ? w->c->ep : 0);
	}
	buf_char(w->b, ']');
}

static void
put_msg(struct writer *w, unsigned int at)
{
	const struct trace_item *addr = find_item(w->c, at, TRACE_ITEM_ADDR);
	const struct trace_item *iov = find_item(w->c, at, TRACE_ITEM_IOV);
	const struct trace_item *fds = find_item(w->c, at, TRACE_ITEM_FDS);

	if (!iov) {
		put_ptr(w, w->c->args[at]);
		return;
	}
	buf_str(w->b, w->json ? "{\"name\":" : "{msg_name=");
	if (addr)
		put_addr(w, addr->data, addr->len);
	else
		buf_str(w->b, w->json ? "null" : "NULL");
	buf_str(w->b, w->json ? ",\"iov\":" : ", msg_iov=");
	put_iov(w, at, 0);
	if (!w->json)
		buf_fmt(w->b, ", msg_iovlen=%zu", iov->len / sizeof(uint64_t));
	if (w->json) {
		buf_str(w->b, ",\"fds\":");
		if (fds)
			put_fds(w, fds);
		else
			buf_str(w->b, "[]");
	} else if (fds) {
		buf_str(w->b,
			", msg_control=[{cmsg_level=SOL_SOCKET, "
			"cmsg_type=SCM_RIGHTS, cmsg_data=");
		put_fds(w, fds);
		buf_str(w->b, "}]");
	}
	buf_char(w->b, '}');
}

/* Of several messages the lengths are known. */
static void
put_mmsg(struct writer *w, unsigned int at)
{
	const struct trace_item *it = find_item(w->c, at, TRACE_ITEM_IOV);
	uint64_t len;
	size_t i;

	if (!it) {
		put_ptr(w, w->c->args[at]);
		return;
	}
	buf_char(w->b, '[');
	for (i = 0; i < it->len / sizeof(len); i++) {
		memcpy(&len, (const char *)it->data + i * sizeof(len),
			sizeof(len));
		buf_str(w->b, i ? (w->json ? "," : ", ") : "");
		buf_fmt(w->b, w->json ? "{\"len\":%llu}" : "{msg_len=%llu}",
			(unsigned long long)len);
	}
	buf_char(w->b, ']');
}

static void
put_option_name(struct writer *w, uint64_t level, uint64_t name)
{
	const struct name *names = NULL;

	switch ((int)level) {
	case SOL_SOCKET:
		names = socket_options;
		break;
	case IPPROTO_TCP:
		names = tcp_options;
		break;
	case IPPROTO_IP:
		names = ip_options;
		break;
	case IPPROTO_IPV6:
		names = ipv6_options;
		break;
	case IPPROTO_UDP:
		names = udp_options;
		break;
	}
	if (names)
		put_name(w, names, (uint32_t)name);
	else
		put_int(w, (int32_t)name);
}

/* SO_RCVTIMEO, SO_SNDTIMEO: the old numbers and the new ones. */
static bool
is_time(int level, int name)
{
	return level == SOL_SOCKET &&
		(name == 20 || name == 21 || name == 66 || name == 67);
}

static void
put_timeval(struct writer *w, int64_t sec, int64_t usec)
{
	buf_fmt(w->b,
		w->json ? "{\"sec\":%lld,\"usec\":%lld}"
			: "{tv_sec=%lld, tv_usec=%lld}",
		(long long)sec, (long long)usec);
}

static void
put_option_value(struct writer *w, unsigned int at)
{
	const struct trace_item *it = find_item(w->c, at, TRACE_ITEM_OPT);
	int level = w->c->args[1], name = w->c->args[2], v[2];
	int64_t tv[2];

	if (!it) {
		put_ptr(w, w->c->args[at]);
		return;
	}
	if (is_time(level, name) && it->len == sizeof(v)) {
		/* As 32-bit programs have it. */
		memcpy(v, it->data, sizeof(v));
		put_timeval(w, v[0], v[1]);
	} else if (is_time(level, name) && it->len == sizeof(tv)) {
		memcpy(tv, it->data, sizeof(tv));
		put_timeval(w, tv[0], tv[1]);
	} else if (level == SOL_SOCKET && name == SO_LINGER &&
		it->len == sizeof(v)) {
		memcpy(v, it->data, sizeof(v));
		buf_fmt(w->b,
			w->json ? "{\"onoff\":%d,\"linger\":%d}"
				: "{l_onoff=%d, l_linger=%d}",
			v[0], v[1]);
	} else if (it->len == sizeof(int)) {
		memcpy(v, it->data, sizeof(int));
		if (w->json)
			put_int(w, v[0]);
		else if (level == SOL_SOCKET && name == SO_ERROR && v[0] > 0 &&
			strerrorname_np(v[0]))
			buf_fmt(w->b, "[%s]", strerrorname_np(v[0]));
		else
			buf_fmt(w->b, "[%d]", v[0]);
	} else {
		put_data(w, it->data, it->len, it->len);
	}
}

static void
put_fcntl_arg(struct writer *w, uint64_t cmd, uint64_t v)
{
	switch (cmd) {
	case F_SETFL:
		put_flags(w, name_of(open_modes, v & O_ACCMODE), open_flags,
			v & ~(uint64_t)O_ACCMODE);
		break;
	case F_SETFD:
		put_flags(w, NULL, fd_flags, v);
		break;
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
	case F_SETOWN:
	case F_SETSIG:
	case F_SETPIPE_SZ:
		put_int(w, (int32_t)v);
		break;
	default:
		put_ptr(w, v);
	}
}

static bool
fcntl_takes_none(uint64_t cmd)
{
	return cmd == F_GETFD || cmd == F_GETFL || cmd == F_GETOWN ||
		cmd == F_GETSIG || cmd == F_GETPIPE_SZ || cmd == F_GET_SEALS;
}

static void
put_ioctl_arg(struct writer *w, unsigned int at, uint64_t v)
{
	const struct trace_item *it = find_item(w->c, at, TRACE_ITEM_OPT);
	int value;

	if (it && it->len == sizeof(int)) {
		memcpy(&value, it->data, sizeof(value));
		buf_fmt(w->b, w->json ? "%d" : "[%d]", value);
	} else {
		put_ptr(w, v);
	}
}

static struct trace_poll
poll_at(const struct trace_item *it, size_t i)
{
	struct trace_poll p;

	memcpy(&p, (const char *)it->data + i * sizeof(p), sizeof(p));
	return p;
}

/* The fds of a poll; `back` for what it returned. */
static void
put_pollfds(struct writer *w, const struct trace_item *it, uint64_t count,
	bool back)
{
	size_t n = it->len / sizeof(struct trace_poll), i;
	const char *sep = "";

	buf_char(w->b, '[');
	for (i = 0; i < n; i++) {
		struct trace_poll p = poll_at(it, i);

		if (back && !p.revents)
			continue;
		buf_str(w->b, sep);
		sep = w->json ? "," : ", ";
		buf_str(w->b, w->json ? "{\"fd\":" : "{fd=");
		if (back)
			put_int(w, p.fd);
		else
			put_fd(w, p.fd, p.ep);
		if (w->json) {
			buf_fmt(w->b, ",\"endpoint\":%u,\"events\":", p.ep);
			put_flags(w, NULL, poll_events, p.events);
			buf_str(w->b, ",\"revents\":");
			put_flags(w, NULL, poll_events, p.revents);
		} else {
			buf_str(w->b, back ? ", revents=" : ", events=");
			put_flags(w, NULL, poll_events,
				back ? p.revents : p.events);
		}
		buf_char(w->b, '}');
	}
	if (!back && count > n)
		buf_fmt(w->b, w->json ? "%s\"...\"" : "%s...", sep);
	buf_char(w->b, ']');
}

/* Which bit of a poll set says that an fd is in the set of argument `at` of
 * select. */
static uint32_t
select_bit(unsigned int at)
{
	return at == 1 ? POLLIN : at == 2 ? POLLOUT : POLLPRI;
}

static const struct trace_item *
any_item(const struct trace_call *c, unsigned int type)
{
	size_t i;

	for (i = 0; i < c->nitems; i++)
		if (c->items[i].type == type)
			return &c->items[i];
	return NULL;
}

static void
put_fdset(struct writer *w, unsigned int at, uint64_t v)
{
	const struct trace_item *it = any_item(w->c, TRACE_ITEM_POLL);
	const char *sep = "";
	size_t n, i;

	if (!v || !it) {
		if (w->json && !v)
			buf_str(w->b, "null");
		else
			put_ptr(w, v);
		return;
	}
	n = it->len / sizeof(struct trace_poll);
	buf_char(w->b, '[');
	for (i = 0; i < n; i++) {
		struct trace_poll p = poll_at(it, i);

		if (!(p.events & select_bit(at)))
			continue;
		buf_str(w->b, sep);
		sep = w->json ? "," : " ";
		put_fd(w, p.fd, p.ep);
	}
	buf_char(w->b, ']');
}

static void
put_epoll(struct writer *w, const struct trace_item *it, bool one)
{
	size_t n = it->len / sizeof(struct trace_poll), i;

	if (!one)
		buf_char(w->b, '[');
	for (i = 0; i < n && (!one || !i); i++) {
		struct trace_poll p = poll_at(it, i);
		uint32_t events = one ? p.events : p.revents;

		buf_str(w->b, i ? (w->json ? "," : ", ") : "");
		buf_str(w->b, w->json ? "{\"events\":" : "{events=");
		put_flags(w, NULL, epoll_events, events);
		if (!one && p.fd >= 0) {
			buf_str(w->b, w->json ? ",\"fd\":" : ", fd=");
			put_fd(w, p.fd, p.ep);
		}
		if (!one && w->json)
			buf_fmt(w->b, ",\"endpoint\":%u", p.ep);
		buf_char(w->b, '}');
	}
	if (!one)
		buf_char(w->b, ']');
}

static void
put_time(struct writer *w, unsigned int at, uint64_t v)
{
	const struct trace_item *it = find_item(w->c, at, TRACE_ITEM_TIME);
	int64_t ns = -1;

	if (it && it->len == sizeof(ns))
		memcpy(&ns, it->data, sizeof(ns));
	if (!v || (it && ns < 0))
		buf_str(w->b, w->json ? "null" : "NULL");
	else if (!it)
		put_ptr(w, v);
	else if (w->json)
		put_int(w, ns);
	else if (!strcmp(w->spec->name, "select"))
		buf_fmt(w->b, "{tv_sec=%lld, tv_usec=%lld}",
			(long long)(ns / 1000000000),
			(long long)(ns % 1000000000 / 1000));
	else
		buf_fmt(w->b, "{tv_sec=%lld, tv_nsec=%lld}",
			(long long)(ns / 1000000000),
			(long long)(ns % 1000000000));
}

static void
put_socket_type(struct writer *w, uint64_t v)
{
	uint64_t flags = v & (SOCK_CLOEXEC | SOCK_NONBLOCK);
	const char *name = name_of(types, v & ~flags & 0xffffffff);

	if (w->json || name)
		put_flags(w, name, type_flags, name ? flags : v & 0xffffffff);
	else
		put_hex(w, v & 0xffffffff);
}

static void
put_protocol(struct writer *w, uint64_t v)
{
	int domain = w->c->args[0];

	if (domain == AF_INET || domain == AF_INET6)
		put_name(w, ip_protocols, (uint32_t)v);
	else
		put_int(w, (int32_t)v);
}

/* The length of an address, which is behind a pointer that nobody kept: the
 * family says it. */
static void
put_addrlen(struct writer *w, unsigned int at, uint64_t v)
{
	const struct trace_item *it = find_item(w->c, at - 1, TRACE_ITEM_ADDR);
	const struct trace_endpoint *e = trace_endpoint_by_id(w->c->ep);
	const char *s = it ? it->data : "";
	unsigned int len = 0;

	if (it && e && e->domain == AF_INET6)
		len = sizeof(struct sockaddr_in6);
	else if (it && it->len && strchr("0123456789", s[0]))
		len = sizeof(struct sockaddr_in);
	else if (it && it->len && s[0] == '[')
		len = sizeof(struct sockaddr_in6);
	if (len)
		buf_fmt(w->b, w->json ? "%u" : "[%u]", len);
	else
		put_ptr(w, v);
}

static uint32_t
ep_of(const struct trace_call *c, int fd)
{
	return fd == c->fd ? c->ep : 0;
}

/* The fd of argument `at` and, where the call says it, its endpoint. */
static void
put_arg_fd(struct writer *w, unsigned int at, int fd)
{
	const struct trace_item *it = any_item(w->c, TRACE_ITEM_EPOLL);
	uint32_t ep = ep_of(w->c, fd);
	struct trace_poll p;

	if (!ep && at == 2 && it && it->len >= sizeof(p) &&
		!strcmp(w->spec->name, "epoll_ctl")) {
		p = poll_at(it, 0);
		if (p.fd == fd)
			ep = p.ep;
	}
	put_fd(w, fd, ep);
}

static void
put_buffer(struct writer *w, unsigned int at, uint64_t v)
{
	const struct trace_item *it = find_item(w->c, at, TRACE_ITEM_DATA);
	uint64_t len = at + 1 < w->c->nargs ? w->c->args[at + 1] : 0;

	/* What was to be sent is shown also when it was not taken. */
	if (!w->c->err || meant(w, 1))
		len = meant(w, len);
	else
		it = NULL;
	if (it)
		put_data(w, it->data, it->len, len);
	else if (!w->c->err && !len)
		put_data(w, "", 0, 0);
	else
		put_ptr(w, v);
}

static void
put_arg(struct writer *w, char letter, unsigned int at)
{
	const struct trace_call *c = w->c;
	uint64_t v = at < c->nargs ? c->args[at] : 0;
	const struct trace_item *it;

	switch (letter) {
	case 'f':
		put_arg_fd(w, at, (int)v);
		break;
	case 'i':
		put_int(w, (int32_t)v);
		break;
	case 'u':
		put_uint(w, v);
		break;
	case 'n':
		put_int(w, (int32_t)v);
		break;
	case 'x':
		put_hex(w, v);
		break;
	case 'd':
		put_buffer(w, at, v);
		break;
	case 'v':
		put_iov(w, at, at + 1 < c->nargs ? c->args[at + 1] : 0);
		break;
	case 'm':
		put_msg(w, at);
		break;
	case 'w':
		put_mmsg(w, at);
		break;
	case 'F':
		put_flags(w, NULL, msg_flags, v & 0xffffffff);
		break;
	case 'a':
		it = find_item(c, at, TRACE_ITEM_ADDR);
		if (it)
			put_addr(w, it->data, it->len);
		else
			put_ptr(w, v);
		break;
	case 'l':
	case 'q':
		put_uint(w, v & 0xffffffff);
		break;
	case 'L':
		put_addrlen(w, at, v);
		break;
	case 'Q':
		it = find_item(c, at - 1, TRACE_ITEM_OPT);
		if (it)
			buf_fmt(w->b, w->json ? "%u" : "[%u]", it->len);
		else
			put_ptr(w, v);
		break;
	case 'D':
		put_name(w, domains, v & 0xffffffff);
		break;
	case 'T':
		put_socket_type(w, v);
		break;
	case 'P':
		put_protocol(w, v);
		break;
	case 'H':
		put_name(w, hows, v & 0xffffffff);
		break;
	case 'o':
		put_name(w, levels, v & 0xffffffff);
		break;
	case 'O':
		put_option_name(w, c->args[1], v);
		break;
	case 'V':
		put_option_value(w, at);
		break;
	case 'c':
		put_name(w, fcntl_commands, v & 0xffffffff);
		break;
	case 'C':
		put_fcntl_arg(w, c->args[1], v);
		break;
	case 'r':
		if (name_of(ioctls, v & 0xffffffff))
			put_name(w, ioctls, v & 0xffffffff);
		else
			put_hex(w, v & 0xffffffff);
		break;
	case 'R':
		put_ioctl_arg(w, at, v);
		break;
	case 's':
		it = find_item(c, at, TRACE_ITEM_POLL);
		if (it)
			put_pollfds(w, it, c->args[1], false);
		else
			put_ptr(w, v);
		break;
	case 'S':
		put_fdset(w, at, v);
		break;
	case 't':
		put_int(w, (int32_t)v);
		break;
	case 'k':
		put_time(w, at, v);
		break;
	case 'e':
		put_name(w, epoll_ops, v & 0xffffffff);
		break;
	case 'E':
		it = find_item(c, at, TRACE_ITEM_EPOLL);
		if (it && it->len >= sizeof(struct trace_poll) && v)
			put_epoll(w, it, true);
		else
			put_ptr(w, v);
		break;
	case 'g':
		it = find_item(c, at, TRACE_ITEM_EPOLL);
		if (it)
			put_epoll(w, it, false);
		else if (c->ret == 0)
			buf_str(w->b, "[]");
		else
			put_ptr(w, v);
		break;
	case 'j':
		it = find_item(c, at, TRACE_ITEM_PAIR);
		if (it)
			put_fds(w, it);
		else
			put_ptr(w, v);
		break;
	case 'y':
		if (!w->json)
			buf_fmt(w->b, "SYS_%s", trace_sys_name((int)v));
		else
			buf_json(w->b, trace_sys_name((int)v));
		break;
	case '1':
		put_flags(w, NULL, epoll_flags, v & 0xffffffff);
		break;
	case '2':
		put_flags(w, NULL, pipe_flags, v & 0xffffffff);
		break;
	case '3':
		put_flags(w, NULL, dup_flags, v & 0xffffffff);
		break;
	case '4':
		put_flags(w, NULL, type_flags, v & 0xffffffff);
		break;
	case '5':
		put_flags(w, NULL, eventfd_flags, v & 0xffffffff);
		break;
	case '6':
		put_flags(w, NULL, timerfd_flags, v & 0xffffffff);
		break;
	case '7':
		put_name(w, clocks, v & 0xffffffff);
		break;
	case '8':
		put_flags(w, NULL, splice_flags, v & 0xffffffff);
		break;
	case '9':
		put_flags(w, NULL, rwf_flags, v & 0xffffffff);
		break;
	case '0':
		put_flags(w, NULL, close_range_flags, v & 0xffffffff);
		break;
	case 'b':
		put_flags(w, NULL, signalfd_flags, v & 0xffffffff);
		break;
	default: /* p, h */
		put_ptr(w, v);
	}
}

/* The letter of the next argument of *s and its name; 0 at the end. */
static char
next_arg(const char **s, const char **name, int *len)
{
	const char *colon;
	char letter;

	while (**s == ' ')
		(*s)++;
	if (!**s)
		return 0;
	colon = strchr(*s, ':');
	*name = *s;
	*len = colon - *s;
	letter = colon[1];
	*s = colon + 2;
	return letter;
}

static const struct spec *
call_spec(const struct trace_call *c)
{
	const struct spec *s = NULL;

	if (c->escape == TRACE_COVERED && c->fn && c->fn[0] &&
		strcmp(c->fn, "syscall"))
		s = plain_spec(c->fn);
	if (!s && c->sys >= 0)
		s = plain_spec(trace_sys_name(c->sys));
	return s;
}

static void
put_unknown(struct writer *w)
{
	unsigned int i;

	for (i = 0; i < w->c->nargs; i++) {
		if (w->json)
			buf_fmt(w->b, "%s\"a%u\":", i ? "," : "", i);
		else
			buf_str(w->b, i ? ", " : "");
		put_hex(w, w->c->args[i]);
	}
}

static void
put_args(struct writer *w)
{
	const struct trace_call *c = w->c;
	const char *at, *name, *sep = "";
	unsigned int i = 0;
	bool shown = c->fd < 0;
	char letter;
	int len;

	if (c->escape == TRACE_COVERED && c->fn && !strcmp(c->fn, "syscall") &&
		c->sys >= 0) {
		if (!w->json) {
			buf_fmt(w->b, "SYS_%s", trace_sys_name(c->sys));
			sep = ", ";
		}
	}
	if (!w->spec) {
		if (*sep && c->nargs)
			buf_str(w->b, sep);
		put_unknown(w);
		shown = true;
	}
	at = w->spec ? w->spec->args : "";
	for (; (letter = next_arg(&at, &name, &len)); i++) {
		if (letter == 'C' && fcntl_takes_none(c->args[1]))
			break;
		buf_str(w->b, sep);
		sep = w->json ? "," : ", ";
		if (w->json)
			buf_fmt(w->b, "\"%.*s\":", len, name);
		if (letter == 'j' ||
			(letter == 'f' && i < c->nargs &&
				(int)c->args[i] == c->fd))
			shown = true;
		put_arg(w, letter, i);
	}
	/* fclose(FILE *) and the like: which fd it was about. A new fd is
	 * what the call returned. */
	if (!shown && !w->json && c->ret != c->fd && w->spec &&
		strchr(w->spec->args, 'p') && !strchr(w->spec->args, 'f')) {
		buf_str(w->b, " /* ");
		put_fd(w, c->fd, c->ep);
		buf_str(w->b, " */");
	}
}

void
trace_decode_args(struct trace_buf *b, const struct trace_call *c, size_t max,
	trace_fd_fn *fd, void *arg)
{
	struct writer w = {.b = b,
		.c = c,
		.spec = call_spec(c),
		.max = max,
		.fd = fd,
		.arg = arg};

	buf_char(b, '(');
	put_args(&w);
	buf_char(b, ')');
}

void
trace_decode_json(struct trace_buf *b, const struct trace_call *c, size_t max)
{
	struct writer w = {
		.b = b, .c = c, .spec = call_spec(c), .json = true, .max = max};

	buf_char(b, '{');
	put_args(&w);
	buf_char(b, '}');
}

/* Whether what the call returned is a new fd. */
static bool
returns_fd(const struct trace_call *c, const char *name)
{
	static const char *const makers[] = {"socket", "accept", "accept4",
		"dup", "dup2", "dup3", "epoll_create", "epoll_create1",
		"eventfd", "eventfd2", "timerfd_create", "signalfd",
		"signalfd4"};
	size_t i;

	if (!strcmp(name, "fcntl"))
		return c->args[1] == F_DUPFD || c->args[1] == F_DUPFD_CLOEXEC;
	for (i = 0; i < COUNT(makers); i++)
		if (!strcmp(name, makers[i]))
			return true;
	return false;
}

/* The endpoint of the fd returned: a copy's is its original's. */
static uint32_t
made_of(const struct trace_call *c, const char *name)
{
	if (c->made)
		return c->made;
	if (!strncmp(name, "dup", 3) || !strcmp(name, "fcntl"))
		return c->ep;
	return ep_of(c, (int)c->ret);
}

static void
put_select_back(struct writer *w, const struct trace_item *it)
{
	static const char *const sides[] = {NULL, "in", "out", "except"};
	size_t n = it->len / sizeof(struct trace_poll), i;
	const char *sep = " (";
	unsigned int at;

	for (at = 1; at <= 3; at++) {
		bool any = false;

		for (i = 0; i < n; i++) {
			struct trace_poll p = poll_at(it, i);

			if (!(p.revents & select_bit(at)))
				continue;
			if (any)
				buf_fmt(w->b, " %d", p.fd);
			else
				buf_fmt(w->b, "%s%s [%d", sep, sides[at], p.fd);
			any = true;
			sep = ", ";
		}
		if (any)
			buf_char(w->b, ']');
	}
	if (*sep == ',')
		buf_char(w->b, ')');
}

void
trace_decode_ret(struct trace_buf *b, const struct trace_call *c,
	trace_fd_fn *fd, void *arg)
{
	const struct spec *s = call_spec(c);
	const char *name = s ? s->name : "";
	struct writer w = {.b = b, .c = c, .spec = s, .fd = fd, .arg = arg};
	const struct trace_item *it = any_item(c, TRACE_ITEM_POLL);
	bool polls = strstr(name, "poll") && !strstr(name, "epoll");
	bool selects = strstr(name, "select") != NULL;

	if (c->cut) {
		buf_char(b, '?');
		return;
	}
	if (c->err) {
		const char *e = strerrorname_np(c->err);

		buf_fmt(b, "%lld %s (%s)", (long long)c->ret, e ? e : "E?",
			strerrordesc_np(c->err) ? strerrordesc_np(c->err)
						: "Unknown error");
		return;
	}
	if (c->ret >= 0 && returns_fd(c, name)) {
		put_fd(&w, (int)c->ret, made_of(c, name));
		return;
	}
	if (!strcmp(name, "fcntl") &&
		(c->args[1] == F_GETFL || c->args[1] == F_GETFD)) {
		put_hex(&w, c->ret);
		if (c->args[1] == F_GETFL) {
			buf_str(b, " (flags ");
			put_flags(&w, name_of(open_modes, c->ret & O_ACCMODE),
				open_flags, c->ret & ~(int64_t)O_ACCMODE);
			buf_char(b, ')');
		} else if (c->ret) {
			buf_str(b, " (flags ");
			put_flags(&w, NULL, fd_flags, c->ret);
			buf_char(b, ')');
		}
		return;
	}
	buf_fmt(b, "%lld", (long long)c->ret);
	if ((polls || selects) && c->ret == 0)
		buf_str(b, " (Timeout)");
	else if (polls && it && c->ret > 0) {
		buf_str(b, " (");
		put_pollfds(&w, it, 0, true);
		buf_char(b, ')');
	} else if (selects && it && c->ret > 0) {
		put_select_back(&w, it);
	}
}
