"""client.py kept|once PORT PATH TIMES SIZE...: get documents, each of them
TIMES times, and post each once; compare all with $DOCS. kept: http.client on
one connection; once: urllib, a connection for each."""
import hashlib
import http.client
import os
import sys
import urllib.request

how, port, path, times = sys.argv[1:5]
total = 0


def check(data, size, doc):
    global total
    if data != doc:
        sys.exit('a body of %s bytes is wrong: %d came' % (size, len(data)))
    total += len(data)


def summed(doc):
    return b'%d %s\n' % (len(doc), hashlib.sha256(doc).hexdigest().encode())


conn = http.client.HTTPConnection('127.0.0.1', int(port), timeout=20)
for size in sys.argv[5:]:
    with open(os.path.join(os.environ['DOCS'], size), 'rb') as f:
        doc = f.read()
    for i in range(int(times)):
        if how == 'kept':
            conn.request('GET', path + '/' + size)
            check(conn.getresponse().read(), size, doc)
        else:
            with urllib.request.urlopen('http://127.0.0.1:%s%s/%s' % (
                    port, path, size), timeout=20) as r:
                check(r.read(), size, doc)
    if how == 'kept':
        conn.request('POST', '/', body=doc)
        if conn.getresponse().read() != summed(doc):
            sys.exit('a post of %s bytes is wrong' % size)
conn.close()
print(total)
