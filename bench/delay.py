"""A TCP proxy that makes a link long: every byte, both ways, arrives `seconds` later. Throughput is not limited.

A handshake cannot be delayed from here (the client's connect() ends at this machine), so its time is put before the
first byte instead: the other end is dialled after one and a half round trips, which is when it would see the connection.
"""

import socket
import threading
import time
from queue import SimpleQueue

PIECE = 1 << 18


class Delay:
    """Listens on a port of the loopback (or at the address given) and leads to `target`."""

    def __init__(self, target: tuple[str, int], seconds: float, listen: tuple[str, int] = ("127.0.0.1", 0)):
        self.target = target
        self.seconds = seconds
        self.listener = socket.create_server(listen)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket):
        time.sleep(3 * self.seconds)
        far = socket.create_connection(self.target)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink in ((near, far), (far, near)):
            travelling: SimpleQueue = SimpleQueue()
            threading.Thread(target=self._take, args=(source, travelling), daemon=True).start()
            threading.Thread(target=self._give, args=(sink, travelling), daemon=True).start()

    def _take(self, source: socket.socket, travelling: SimpleQueue):
        while True:
            try:
                data = source.recv(PIECE)
            except OSError:
                data = b""
            travelling.put((time.monotonic() + self.seconds, data))
            if not data:
                return

    def _give(self, sink: socket.socket, travelling: SimpleQueue):
        while True:
            due, data = travelling.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                return
