"""memcache.py PORT CONNECTIONS ROUNDS SIZE...: as many threads, each with a
connection of its own, set values of these sizes (slices of the largest
document in $DOCS) and get them back that often, alone and several in one
command; then a few thousand small ones. Prints how many bytes were right."""
import os
import socket
import sys
import threading

port, conns, rounds = map(int, sys.argv[1:4])
sizes = [int(s) for s in sys.argv[4:]]
doc = open(os.path.join(os.environ['DOCS'], '10000000'), 'rb').read()
right = [0] * conns
errors = []


def value(n, size):
    return doc[n * 1000:n * 1000 + size]


def got(f, keys):
    """The values of an answer to get."""
    out = {}
    while True:
        line = f.readline()
        if line == b'END\r\n':
            break
        word = line.split()
        if len(word) != 4 or word[0] != b'VALUE':
            raise ValueError('answer %r' % line[:80])
        out[word[1]] = f.read(int(word[3]))
        if f.read(2) != b'\r\n':
            raise ValueError('a value without end')
    return [out.get(k) for k in keys]


def work(n):
    s = socket.create_connection(('127.0.0.1', port), timeout=20)
    f = s.makefile('rb')

    def put(key, data):
        s.sendall(b'set %s 0 0 %d\r\n%s\r\n' % (key, len(data), data))
        if f.readline() != b'STORED\r\n':
            raise ValueError('not stored')

    def get(keys, want):
        s.sendall(b'get %s\r\n' % b' '.join(keys))
        if got(f, keys) != want:
            raise ValueError('a value is wrong')
        right[n] += sum(map(len, want))

    # As clients do first: what is sent before anybody has accepted lies in
    # TCP's buffers, megabytes of it.
    for _ in range(20):
        put(b'first%d' % n, doc[:100])
    keys = [b'k%d-%d' % (n, size) for size in sizes]
    want = [value(n, size) for size in sizes]
    for key, data in zip(keys, want):
        put(key, data)
    for _ in range(rounds):
        for key, data in zip(keys, want):
            get([key], [data])
        get(keys, want)
    put(b's%d' % n, doc[:100])
    for _ in range(500):
        get([b's%d' % n], [doc[:100]])
    s.sendall(b'quit\r\n')
    if f.read(1) != b'':
        raise ValueError('something after quit')


def guarded(n):
    try:
        work(n)
    except Exception as e:
        errors.append('%d: %r' % (n, e))


threads = [threading.Thread(target=guarded, args=(n,)) for n in range(conns)]
for t in threads:
    t.start()
for t in threads:
    t.join()
if errors:
    sys.exit('; '.join(errors))
print(sum(right))
