"""Wakes sleeping apps for the front, which connects, says the name of an app, and is told the port to go to.

systemd starts this with the first connection (cloudtool-waker.socket), and it ends when nobody has asked for a while. All that
ask for the same app wait for the one start of it. Killed at any moment, nothing is lost: the front asks again.
"""

import os
import socket
import threading

from . import checks, lock, waking
from .context import Context, Failure, Writer

LISTENER = 3
LINGER = 5


class Start:
    """One app on its way."""

    def __init__(self):
        self.port: int | None = None
        self.known = threading.Event()


class Waker:
    def __init__(self):
        self.lock = threading.Lock()
        self.starts: dict[str, Start] = {}
        self.out = Writer(os.open(os.devnull, os.O_WRONLY))

    def serve(self, listener: socket.socket) -> None:
        listener.settimeout(LINGER)
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                if self.starts:
                    continue
                return
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    def answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                connection.settimeout(5)
                app = checks.app_name(connection.makefile().readline().strip())
                start = self.start_of(app)
                start.known.wait()
                connection.sendall(f"{start.port or 'failed'}\n".encode())
            except (Failure, OSError, ValueError) as error:
                print(f"cloudtool: {error}")

    def start_of(self, app: str) -> Start:
        with self.lock:
            if app not in self.starts:
                self.starts[app] = Start()
                threading.Thread(target=self.wake, args=(app, self.starts[app])).start()
            return self.starts[app]

    def wake(self, app: str, begun: Start) -> None:
        """Whoever asked goes on as soon as the slot listens; that the front need not ask any more comes after."""
        ctx = Context({"verb": "wake", "by": "visitor", "app": app}, self.out)
        try:
            with lock.waking(ctx, app):
                begun.port = waking.start(ctx, app)
                begun.known.set()
                waking.settle(ctx, app)
        except (Failure, OSError) as error:
            print(f"cloudtool: {app} could not be woken: {error}")
        finally:
            with self.lock:
                del self.starts[app]
            begun.known.set()
            ctx.close()


def main() -> int:
    Waker().serve(socket.socket(fileno=LISTENER))
    return 0
