"""spoil.py PORT TARGET HOW OFFSET: pass connections on, and once, at that byte
of what comes back, do what the library must never do: flip a bit, drop a
byte, double one, or swap two. HOW none: do nothing."""
import socket
import sys
import threading

port, target, how, offset = sys.argv[1:5]
offset = int(offset)


def spoiled(data, i):
    if how == 'flip':
        return data[:i] + bytes([data[i] ^ 1]) + data[i + 1:]
    if how == 'drop':
        return data[:i] + data[i + 1:]
    if how == 'double':
        return data[:i + 1] + data[i:]
    if how == 'swap' and i + 8 < len(data):
        return data[:i] + data[i + 4:i + 8] + data[i:i + 4] + data[i + 8:]
    return data


def pump(src, dst, back):
    seen = 0
    while True:
        data = src.recv(65536)
        if not data:
            break
        n = len(data)
        if back and seen <= offset < seen + n:
            data = spoiled(data, offset - seen)
        seen += n
        try:
            dst.sendall(data)
        except OSError:
            break
    for s in (dst, src):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


listener = socket.create_server(('127.0.0.1', int(port)), backlog=100)
while True:
    client, _ = listener.accept()
    server = socket.create_connection(('127.0.0.1', int(target)))
    for a, b, back in ((client, server, False), (server, client, True)):
        threading.Thread(target=pump, args=(a, b, back), daemon=True).start()
