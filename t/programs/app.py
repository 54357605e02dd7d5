"""A service in Flask: /N answers the document of N bytes from $DOCS, /file/N
the same as a file, POST the length and sum of what came."""
import hashlib
import os

from flask import Flask, Response, request, send_file

app = Flask(__name__)
DOCS = os.environ['DOCS']
BODIES = {}


@app.get('/<int:size>')
def body(size):
    if size not in BODIES:
        with open(os.path.join(DOCS, str(size)), 'rb') as f:
            BODIES[size] = f.read()
    return Response(BODIES[size], mimetype='application/octet-stream')


@app.get('/file/<int:size>')
def as_file(size):
    return send_file(os.path.join(DOCS, str(size)),
                     mimetype='application/octet-stream')


@app.post('/')
def take():
    data = request.get_data()
    return '%d %s\n' % (len(data), hashlib.sha256(data).hexdigest())
