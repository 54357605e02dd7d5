"""The service of app.py for an ASGI server such as uvicorn."""
import os

DOCS = os.environ['DOCS']


async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    with open(os.path.join(DOCS, scope['path'][1:]), 'rb') as f:
        body = f.read()
    await send({'type': 'http.response.start', 'status': 200, 'headers': [
        (b'content-length', b'%d' % len(body))]})
    await send({'type': 'http.response.body', 'body': body})
