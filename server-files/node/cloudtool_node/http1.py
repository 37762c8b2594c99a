"""As much of HTTP as it takes to ask a slot for a page. (http.client alone costs as long to import as a probe may take.)"""

import os
import select
import socket
import time


class Closed(Exception):
    """The server closed the connection without an answer."""


class Response:
    def __init__(self, status: int, headers: dict, body: bytes):
        self.status = status
        self.headers = headers
        self.body = body


def get(port: int, path: str, headers: dict, *, deadline: float, tick, limit: int = 4096) -> Response:
    """GET from the loopback. `tick` is called every few milliseconds while there is no answer, and may raise.

    Raises ConnectionRefusedError, Closed, or TimeoutError at `deadline` (of time.monotonic).
    """
    lines = [f"GET {path} HTTP/1.0", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    with socket.create_connection(("127.0.0.1", port), max(deadline - time.monotonic(), 0.1)) as connection:
        try:
            connection.sendall("\r\n".join(lines).encode("ascii"))
            data = _receive(connection, deadline, tick, limit)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
    head, separator, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not separator or len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise Closed
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
    return Response(int(words[1]), fields, body)


def _receive(connection, deadline, tick, limit) -> bytes:
    data = b""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    wait = 5
    while True:
        if time.monotonic() >= deadline:
            raise TimeoutError
        if not poll.poll(wait):
            tick()
            wait = min(wait * 2, 50)
            continue
        received = connection.recv(65536)
        _, separator, body = data.partition(b"\r\n\r\n")
        data += received
        if not received or (separator and len(body) > limit):
            return data


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a port of the loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")
