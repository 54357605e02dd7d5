"""udp.py serve PORT | ask PORT: datagrams of many sizes, each of which must
come back as it was; by sendto and recvfrom, by a connected socket with send
and recv, by sendmsg and recvmsg, and with sizes that differ per datagram so
that a stream in between would show."""
import socket
import sys

from random import Random

how, port = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if how == 'serve':
    s.bind(('127.0.0.1', port))
    while True:
        data, peer = s.recvfrom(65536)
        s.sendto(data, peer)
        if data == b'the end':
            break
    sys.exit(0)

s.settimeout(10)
rnd = Random(1)
total = 0


def same(got, want):
    global total
    if got != want:
        sys.exit('%d bytes sent, %d came back' % (len(want), len(got)))
    total += len(got)


for i in range(300):
    want = rnd.randbytes(rnd.choice((0, 1, 8, 700, 1473, 60000)))
    if i % 3 == 0:
        s.sendto(want, ('127.0.0.1', port))
        same(s.recvfrom(65536)[0], want)
    elif i % 3 == 1:
        s.sendmsg([want[:5], want[5:]], [], 0, ('127.0.0.1', port))
        same(s.recvmsg(65536)[0], want)
    else:
        c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        c.settimeout(10)
        c.connect(('127.0.0.1', port))
        c.send(want)
        same(c.recv(65536), want)
        c.close()
s.sendto(b'the end', ('127.0.0.1', port))
same(s.recvfrom(65536)[0], b'the end')
print('right')
