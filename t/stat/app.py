"""Programs for kmap-stat to look at. Each says `ready`, then waits for its
standard input to end (or for a line, where it says so)."""
import ctypes
import os
import socket
import struct
import sys


def ready(*words):
    print('ready', *words, flush=True)


def hold():
    sys.stdin.buffer.read()


def pair(family=socket.AF_INET, addr='127.0.0.1', dest=None):
    with socket.socket(family, socket.SOCK_STREAM) as l:
        l.bind((addr, 0))
        l.listen(64)
        c = socket.socket(socket.AF_INET6 if family == socket.AF_INET6 else
                          socket.AF_INET, socket.SOCK_STREAM)
        c.connect((dest or addr, l.getsockname()[1]))
        return c, l.accept()[0]


def take(s, n):
    while n > 0:
        n -= len(s.recv(n))


def pingpong(c, a, rounds, n=64):
    for _ in range(rounds):
        c.sendall(b'x' * n)
        take(a, n)
        a.sendall(b'y' * n)
        take(c, n)


def own():
    """Both ends here; 1,000 bytes stay in the ring."""
    c, a = pair()
    pingpong(c, a, 500)
    c.sendall(b'z' * 1000)
    ready(c.fileno(), a.fileno())
    hold()


def families():
    keep = [pair(), pair(socket.AF_INET6, '::1'),
            pair(socket.AF_INET6, '::', '::ffff:127.0.0.1')]
    ready()
    hold()


def fork():
    """The child takes over: a connection of the parent's, and a new one."""
    c, a = pair()
    pingpong(c, a, 100)
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        pingpong(c, a, 10)
        b = pair()
        pingpong(*b, 5)
        os.write(w, b'.')
        os.read(0, 1)
        os._exit(0)
    os.read(r, 1)
    ready(os.getpid(), pid)
    hold()
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def image():
    c, a = pair()
    pingpong(c, a, 100)
    os.execv(sys.executable, [sys.executable, '-S', __file__, 'nothing'])


def nothing():
    ready()
    hold()


def many(n):
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    l = socket.socket()
    l.bind(('127.0.0.1', 0))
    l.listen(64)
    keep = []
    for _ in range(int(n)):
        c = socket.create_connection(l.getsockname())
        keep += [c, l.accept()[0]]
    ready()
    sys.stdin.readline()
    del keep[200:], c
    ready()
    hold()


def sandbox(first):
    """A filter that kills for what publishing calls, then 100 connections."""
    keep = [pair() for _ in range(int(first))]
    memfd_create, fallocate, arch = {
        'x86_64': (319, 285, 0xc000003e),
        'aarch64': (279, 47, 0xc00000b7)}[os.uname().machine]
    code = [(0x20, 0, 0, 4), (0x15, 0, 3, arch), (0x20, 0, 0, 0),
            (0x15, 2, 0, memfd_create), (0x15, 1, 0, fallocate),
            (0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, 0x80000000)]
    prog = b''.join(struct.pack('<HBBI', *c) for c in code)
    buf = ctypes.create_string_buffer(prog)
    fprog = struct.pack('<HxxxxxxQ', len(code), ctypes.addressof(buf))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, fprog, 0, 0):
        sys.exit('no filter')
    keep += [pair() for _ in range(100)]
    for p in keep:
        pingpong(*p, 2)
    ready(len(keep))
    hold()


def churn():
    """Connections come and go until the input ends."""
    import select
    ready()
    keep = []
    while not select.select([0], [], [], 0)[0]:
        p = pair()
        pingpong(*p, 3)
        keep.append(p)
        if len(keep) > 20:
            for s in keep.pop(len(keep) * 7919 % 20):
                s.close()


# ---- hostile ones ----

CONNS, CONN, HEAD = 4096, 128, 4096 if os.uname().machine != 'aarch64' \
    else 65536
MAGIC = 0x746174732d70616d


def head(magic=MAGIC, version=1, head_size=HEAD, conn_size=CONN,
         conn_max=CONNS, nstats=32, nwhy=18, pid=None, nconns=1, live=1):
    pid = os.getpid() if pid is None else pid
    return struct.pack('<QIIIIIIiIIIII', magic, version, head_size, conn_size,
                       conn_max, nstats, nwhy, pid, nconns, live, 0, 0,
                       0).ljust(HEAD, b'\0')


def conn(seq=1, rx=1, tx=1, state=0x00000103, fd=0, segment=7, slot=0, gen=1,
         ring=131072, watch=2, n=5):
    return struct.pack('<IIQQQQQIiQ', seq, rx, n, n, n, n, n, state, fd,
                       segment) + struct.pack(
        '<IIQQQQQIIII', tx, slot, n, n, n, n, n, gen, ring, watch, 0)


def publish(data):
    fd = os.memfd_create('kmap-stat')
    os.write(fd, data)
    return fd


BAD = {
    'empty': lambda: b'',
    'short': lambda: head()[:100],
    'magic': lambda: head(magic=1) + conn(),
    'version': lambda: head(version=2) + conn(),
    'pid': lambda: head(pid=1) + conn(),
    'sizes': lambda: head(conn_size=1 << 31) + conn(),
    'head': lambda: head(head_size=0) + conn(),
    'huge': lambda: head(nconns=0xffffffff, conn_max=0xffffffff) + conn(),
    'cut': lambda: head(nconns=4096) + conn(),
    'names': lambda: head(nstats=0x7fffffff, nwhy=0xffffffff) + conn(),
    'noise': lambda: os.urandom(HEAD + CONNS * CONN),
}
# These pass for good: what they say is shown, however strange.
ODD = {
    'odd': lambda: head(nconns=6, live=0xffffffff) + conn(n=2 ** 64 - 1) +
    conn(fd=-1) + conn(fd=0x7fffffff, watch=0xffffffff) +
    conn(state=0xffffffff) + conn(ring=0xffffffff, n=2 ** 63) +
    conn(segment=2 ** 64 - 1, slot=0xffffffff, gen=0xffffffff),
    'all': lambda: head(nconns=4096) + os.urandom(CONNS * CONN),
    'odd-seq': lambda: head(nconns=4096) +
    b''.join(conn(seq=i | 1, slot=i, state=i * 0x01010101 & 0xffffffff,
                  rx=i, tx=i * 3) for i in range(4096)),
}


def bad(kind):
    with open('/proc/self/comm', 'wb') as f:
        f.write(b'\x1b[31mA"\\\n\x07\xff')
    keep = publish(dict(BAD, **ODD)[kind]())
    ready()
    hold()


def shaking():
    """Its file shrinks and grows, its record changes, all the time."""
    import select
    fd = publish(head(nconns=4096) + conn(fd=0) * 4096)
    ready()
    i = 0
    while not select.select([0], [], [], 0)[0]:
        i += 1
        os.ftruncate(fd, i * 4099 % (HEAD + CONNS * CONN))
        os.pwrite(fd, head(nconns=i % 5000) + conn(seq=i), 0)


def crowd():
    """Many files of that name, none of them good."""
    keep = [publish(b'') for _ in range(500)]
    ready()
    hold()


def fifo(path):
    """A FIFO that bears the name of a memfd (on an unmounted tmpfs)."""
    os.makedirs(path)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.unshare(0x20000)
    libc.mount(b'none', b'/', None, 0x4000 | 0x40000, None)
    if libc.mount(b'none', path.encode(), b'tmpfs', 0, None) != 0:
        sys.exit('no mount')
    name = path + '/memfd:kmap-stat (deleted)'
    os.mkfifo(name)
    keep = os.open(name, os.O_RDWR)
    libc.umount2(path.encode(), 2)
    ready(os.readlink('/proc/self/fd/%d' % keep))
    hold()


globals()[sys.argv[1]](*sys.argv[2:])
