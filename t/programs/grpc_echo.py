"""grpc_echo.py serve PORT | ask PORT DOCUMENT...: a service without protoc,
whose messages are plain bytes. Echo gives back what it got; Cut streams it
back in pieces; Join takes a stream. All must come back byte for byte; each
document goes through each call twice, on one connection. The client prints
how many bytes were right."""
from concurrent import futures
import signal
import sys

import grpc

SIZES = [('grpc.max_receive_message_length', -1),
         ('grpc.max_send_message_length', -1)]
PIECE = 60000


def pieces(data):
    return [data[i:i + PIECE] for i in range(0, len(data), PIECE)]


def serve(port):
    handlers = {
        'Echo': grpc.unary_unary_rpc_method_handler(lambda rq, ctx: rq),
        'Cut': grpc.unary_stream_rpc_method_handler(
            lambda rq, ctx: iter(pieces(rq))),
        'Join': grpc.stream_unary_rpc_method_handler(
            lambda rqs, ctx: b''.join(rqs)),
    }
    server = grpc.server(futures.ThreadPoolExecutor(4), options=SIZES)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler('kmap.Test', handlers),))
    if not server.add_insecure_port('127.0.0.1:%s' % port):
        sys.exit('no port')
    server.start()
    signal.sigwait({signal.SIGTERM})
    server.stop(0).wait()


def ask(port, names):
    right = 0
    with grpc.insecure_channel('127.0.0.1:%s' % port,
                               options=SIZES) as channel:
        echo = channel.unary_unary('/kmap.Test/Echo')
        cut = channel.unary_stream('/kmap.Test/Cut')
        join = channel.stream_unary('/kmap.Test/Join')
        for name in names:
            with open(name, 'rb') as f:
                doc = f.read()
            for _ in range(2):
                for got in (echo(doc, timeout=20),
                            b''.join(cut(doc, timeout=20)),
                            join(iter(pieces(doc)), timeout=20)):
                    if got != doc:
                        sys.exit('%s: %d bytes came back wrong'
                                 % (name, len(got)))
                    right += len(got)
    print(right)


# The server's threads must not take the signal that it waits for.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
if sys.argv[1] == 'serve':
    serve(sys.argv[2])
else:
    ask(sys.argv[2], sys.argv[3:])
